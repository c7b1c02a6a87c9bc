//! The contract of a file system: [`Fs`] and [`FsFile`].
//!
//! Errors are plain [`io::Error`]s; callers add the path with [`crate::Error::io`]. Nothing is durable before the
//! matching sync has returned: a file's bytes and length by [`FsFile::sync`], its name by [`Fs::sync_dir`] on its
//! directory (and that directory's own name by a sync of *its* parent). See `docs/format/durability.md`.

use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Dir,
    Symlink,
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// File name; names that are not UTF-8 are converted lossily (they are never ours).
    pub name: String,
    pub kind: FileKind,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub kind: FileKind,
    pub len_bytes: u64,
    pub inode: u64,
    pub access: Access,
    /// Tells file systems apart while they are mounted.
    pub device: u64,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still take.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Who may do what with a file, as POSIX tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The permission bits alone.
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

/// The bytes of a file that nobody changes any more, mapped or read.
#[derive(Clone)]
pub struct Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Mapped {
    /// Returns a map over the owner's bytes.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Mapped {
        Mapped(Arc::new(owner))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// Calls and bytes since the file system was made; how claims about cost are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FsCounts {
    /// Every call of [`Fs`] and [`FsFile`].
    pub calls: u64,
    /// Calls of [`FsFile::sync`], [`Fs::sync_dir`] and [`FileSystem::sync`].
    pub syncs: u64,
    /// Calls that write file content.
    pub writes: u64,
    /// Bytes handed to writes.
    pub written_bytes: u64,
    /// Bytes that reads returned (maps count as 0).
    pub read_bytes: u64,
}

/// Files and directories. Paths are absolute. Symbolic links are never followed by `metadata` and `list`.
pub trait Fs: Send + Sync {
    /// Makes a file that must not exist and opens it for writing.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// Opens an existing file for reading only.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Maps a whole file whose bytes do not change any more. Its descriptor is closed on return.
    fn map(&self, path: &Path) -> io::Result<Mapped>;
    /// Tells the system which bytes of a file are read soon, so that it fetches them meanwhile. A hint: it may do nothing.
    fn will_read(&self, _path: &Path, _ranges: &[Range<u64>]) -> io::Result<()> {
        Ok(())
    }
    /// Returns the names in a directory, sorted, without `.` and `..`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Returns what is known of a path; `NotFound` when there is nothing.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Returns how full the file system of a directory is.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Makes one directory; its parent must exist, it must not.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must not exist.
    fn hard_link(&self, existing: &Path, new: &Path) -> io::Result<()>;
    /// As [`Fs::hard_link`], of many files, by names relative to `from` and `to`. Ends at the first that fails, and says which
    /// new name that is.
    fn hard_links(&self, from: &Path, to: &Path, names: &[(String, String)]) -> Result<(), (PathBuf, io::Error)> {
        for (existing, new) in names {
            let new = to.join(new);
            self.hard_link(&from.join(existing), &new).map_err(|e| (new, e))?;
        }
        Ok(())
    }
    /// Makes a file that must not exist and shares the blocks of another one until one of them changes; `Unsupported` where the
    /// file system has no such thing or the two do not lie on the same one. Durable as a file that was written.
    fn clone_file(&self, existing: &Path, new: &Path) -> io::Result<()>;
    /// Gives a file another name in the place of its own; a file that had it is gone in the same moment. Or a directory, another
    /// name that is free.
    ///
    /// Never below a root that a server may use: there every name is made once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or directory the permissions and, where this process may, the owner of another one. Not made durable.
    fn set_access(&self, path: &Path, access: Access) -> io::Result<()>;
    /// Takes a file's name away.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable. Never repeated after a failure.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens the file system that a directory lies on, to make durable what is written from now on. A failure to write back is
    /// told once to each that was opened before it, and to nobody who comes later.
    fn file_system_of(&self, dir: &Path) -> io::Result<Box<dyn FileSystem>>;
    /// Takes the exclusive lock of a directory, held until the guard is dropped; `WouldBlock` when another holds it.
    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// Returns what was counted so far.
    fn counts(&self) -> FsCounts;

    /// Returns whether something has that path.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// A file system that was opened to be made durable.
pub trait FileSystem: Send + Sync {
    /// Makes everything durable that lies on it, whoever wrote it. Never repeated after a failure.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait FsFile: Send + Sync {
    /// Writes at an offset and returns how many bytes were taken, which may be fewer than given.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Reads at an offset and returns how many bytes came, which may be fewer than asked; 0 at the end.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;
    /// Returns the file's length.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;
    /// Makes content and length durable. Never repeated after a failure: the kernel may have dropped the pages.
    fn sync(&self) -> io::Result<()>;
    /// Lets the disk begin with what was written there, so that a sync waits less long. Promises nothing, and needs not be done.
    fn begin_write_back(&self, _offset: u64, _len_bytes: u64) {}
}

/// Writes all bytes at an offset, going on after short writes and interruptions.
pub fn write_all_at(file: &dyn FsFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                bytes = &bytes[n..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
