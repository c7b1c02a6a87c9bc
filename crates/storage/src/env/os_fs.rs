//! The real machine's files: [`OsFs`].
//!
//! Owns the translation of [`Fs`] into system calls and the counting of them; decides nothing. `unsafe` is
//! here for one map. What the systems do not share stands in `os_fs/unix.rs` and `os_fs/windows.rs`: the same
//! functions, once for each. Next: `sim_fs` for the same contract on a machine that loses power.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fs::{Access, DirEntry, FileKind, FileSystem, Fs, FsCounts, FsFile, Mapped, Metadata, Space};

#[cfg(unix)]
#[path = "os_fs/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "os_fs/windows.rs"]
mod system;

/// The machine's file systems, through the standard library.
///
/// Only the last part of a path is kept from being followed as a link, by `metadata` and by `create_new`: a root may
/// well be reached through links.
#[derive(Default)]
pub struct OsFs {
    counters: Arc<Counters>,
}

impl OsFs {
    /// Returns the machine's file systems with all counts at 0.
    pub fn new() -> OsFs {
        OsFs::default()
    }
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    syncs: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    read_bytes: AtomicU64,
}

impl Counters {
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn sync(&self) {
        self.call();
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, bytes: usize) {
        self.call();
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self, bytes: usize) {
        self.call();
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Fs for OsFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.counters.call();
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(OsFile { file, counters: self.counters.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.counters.call();
        Ok(Box::new(OsFile { file: open_for_reading(path)?, counters: self.counters.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = open_for_reading(path).and_then(|mut file| {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut file, &mut bytes).map(|_| bytes)
        });
        self.counters.read(bytes.as_ref().map_or(0, Vec::len));
        bytes
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.counters.call();
        let file = open_for_reading(path)?;
        // SAFETY: the contract of `Fs::map` names only files that nobody writes or truncates any more, and this crate
        // never opens a file for writing that it did not create itself.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Mapped::new(map))
    }

    fn will_read(&self, path: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
        self.counters.call();
        system::will_read(path, ranges)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.counters.call();
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let kind = kind_of(entry.file_type()?);
            entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.counters.call();
        system::metadata(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.counters.call();
        system::space(dir)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.counters.call();
        std::fs::create_dir(path)
    }

    fn hard_link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.counters.call();
        std::fs::hard_link(existing, new)
    }

    #[cfg(target_os = "linux")]
    fn hard_links(&self, from: &Path, to: &Path, names: &[(String, String)]) -> Result<(), (PathBuf, io::Error)> {
        system::hard_links(from, to, names, || self.counters.call())
    }

    fn clone_file(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.counters.call();
        system::clone_file(existing, new)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the file system of Env")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.counters.call();
        std::fs::rename(from, to)
    }

    fn set_access(&self, path: &Path, access: Access) -> io::Result<()> {
        self.counters.call();
        system::set_access(path, access)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the file system of Env")]
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.counters.call();
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.counters.call();
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.counters.sync();
        system::open_to_sync(dir)?.sync_all()
    }

    fn file_system_of(&self, dir: &Path) -> io::Result<Box<dyn FileSystem>> {
        self.counters.call();
        #[cfg(target_os = "linux")]
        let dir = open_for_reading(dir)?;
        #[cfg(not(target_os = "linux"))]
        let dir = dir.to_owned();
        Ok(Box::new(OsFileSystem { dir, counters: self.counters.clone() }))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.counters.call();
        Ok(Box::new(system::lock_dir(dir)?))
    }

    fn counts(&self) -> FsCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FsCounts {
            calls: get(&self.counters.calls),
            syncs: get(&self.counters.syncs),
            writes: get(&self.counters.writes),
            written_bytes: get(&self.counters.written_bytes),
            read_bytes: get(&self.counters.read_bytes),
        }
    }
}

struct OsFileSystem {
    /// The kernel tells of a failed write-back by the descriptor: whoever opens one afterwards hears of nothing.
    #[cfg(target_os = "linux")]
    dir: File,
    #[cfg(not(target_os = "linux"))]
    dir: std::path::PathBuf,
    counters: Arc<Counters>,
}

impl FileSystem for OsFileSystem {
    fn sync(&self) -> io::Result<()> {
        self.counters.sync();
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(&self.dir)?);
        #[cfg(not(target_os = "linux"))]
        sync_below(&self.dir)
    }
}

struct OsFile {
    file: File,
    counters: Arc<Counters>,
}

impl FsFile for OsFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.counters.write(bytes.len());
        system::write_at(&self.file, offset, bytes)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let got = system::read_at(&self.file, offset, bytes);
        self.counters.read(*got.as_ref().unwrap_or(&0));
        got
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.counters.call();
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.counters.call();
        self.file.set_len(len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.counters.sync();
        // fdatasync: content, and the length that is needed to read it; times may stay behind.
        self.file.sync_data()
    }

    fn begin_write_back(&self, offset: u64, len_bytes: u64) {
        self.counters.call();
        system::begin_write_back(&self.file, offset, len_bytes);
    }
}

/// Opens a file or directory; anything else is refused.
fn open_for_reading(path: &Path) -> io::Result<File> {
    let file = system::open(path)?;
    match kind_of(file.metadata()?.file_type()) {
        FileKind::File | FileKind::Dir => Ok(file),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a plain file")),
    }
}

fn kind_of(found: std::fs::FileType) -> FileKind {
    if found.is_file() {
        FileKind::File
    } else if found.is_dir() {
        FileKind::Dir
    } else if found.is_symlink() {
        FileKind::Symlink
    } else {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            debug_assert!(found.is_fifo() || found.is_socket() || found.is_block_device() || found.is_char_device());
        }
        FileKind::Other
    }
}

/// Makes what lies below a directory durable, file by file: no system but Linux syncs one file system alone and waits for it.
#[cfg(not(target_os = "linux"))]
fn sync_below(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match kind_of(entry.file_type()?) {
            FileKind::Dir => sync_below(&entry.path())?,
            FileKind::File => system::open_to_sync(&entry.path())?.sync_all()?,
            FileKind::Symlink | FileKind::Other => {}
        }
    }
    system::open_to_sync(dir)?.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::env::Rng;
    use crate::env::fs::FileKind;
    use crate::env::fs::write_all_at;
    use crate::env::rng::OsRng;

    /// A directory of this test's own, removed when the test is over.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let dir = std::env::temp_dir().join(format!("stillpoint-os-fs-{:016x}", OsRng.next_u64()));
            std::fs::create_dir(&dir).expect("the temporary directory can be written");
            Scratch(dir)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("the test's own directory can be removed");
        }
    }

    #[test]
    fn what_was_written_is_read_mapped_and_listed() {
        let (fs, dir) = (OsFs::new(), Scratch::new());
        let file = fs.create_new(&dir.path("b")).expect("created");
        write_all_at(&*file, 3, b"xyz").expect("written");
        file.sync().expect("synced");
        fs.create_dir(&dir.path("a")).expect("made");
        fs.sync_dir(&dir.0).expect("synced");
        let name = |new: &str| ("b".to_owned(), new.to_owned());
        fs.hard_links(&dir.0, &dir.0, &[name("c"), name("d"), name("a/e")]).expect("linked");
        let (taken, e) = fs.hard_links(&dir.0, &dir.0, &[name("f"), name("c"), name("g")]).expect_err("c is there");
        assert_eq!((taken, e.kind()), (dir.path("c"), io::ErrorKind::AlreadyExists));
        for linked in ["d", "a/e", "f"] {
            fs.unlink(&dir.path(linked)).expect("it was linked");
        }

        assert_eq!(fs.read(&dir.path("c")).expect("read"), b"\0\0\0xyz");
        assert_eq!(&fs.map(&dir.path("b")).expect("mapped")[3..], b"xyz");
        let mut part = [0; 8];
        assert_eq!(fs.open(&dir.path("b")).expect("opened").read_at(4, &mut part).expect("read"), 2);
        assert_eq!(&part[..2], b"yz");
        let names: Vec<_> = fs.list(&dir.0).expect("listed").into_iter().map(|e| (e.name, e.kind)).collect();
        let expected = [("a", FileKind::Dir), ("b", FileKind::File), ("c", FileKind::File)];
        assert_eq!(names, expected.map(|(name, kind)| (name.to_owned(), kind)));
        let (b, c) = (fs.metadata(&dir.path("b")).expect("there"), fs.metadata(&dir.path("c")).expect("there"));
        assert_eq!((b.inode, b.len_bytes), (c.inode, 6));

        file.set_len(2).expect("cut");
        assert_eq!(file.len_bytes().expect("known"), 2);
        fs.unlink(&dir.path("b")).expect("unlinked");
        assert!(!fs.exists(&dir.path("b")).expect("asked"));
        fs.remove_dir(&dir.path("a")).expect("removed");
    }

    #[test]
    fn an_existing_name_or_link_is_never_opened_for_writing() {
        let (fs, dir) = (OsFs::new(), Scratch::new());
        drop(fs.create_new(&dir.path("f")).expect("created"));
        std::os::unix::fs::symlink(dir.path("nowhere"), dir.path("link")).expect("linked");
        for name in ["f", "link"] {
            let error = fs.create_new(&dir.path(name)).err().expect("refused");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert_eq!(fs.metadata(&dir.path("link")).expect("there").kind, FileKind::Symlink);
        let reader = fs.open(&dir.path("f")).expect("opened");
        assert!(reader.write_at(0, b"x").is_err(), "a file opened for reading takes no bytes");
    }

    #[test]
    fn an_empty_file_can_be_mapped() {
        let (fs, dir) = (OsFs::new(), Scratch::new());
        drop(fs.create_new(&dir.path("empty")).expect("created"));
        assert!(fs.map(&dir.path("empty")).expect("mapped").is_empty());
    }

    #[test]
    fn a_directory_is_locked_by_one_at_a_time() {
        let (fs, dir) = (OsFs::new(), Scratch::new());
        let held = fs.lock_dir(&dir.0).expect("locked");
        let refused = OsFs::new().lock_dir(&dir.0).err().expect("refused");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(fs.lock_dir(&dir.0).is_ok());
    }

    #[test]
    fn calls_and_bytes_are_counted() {
        let (fs, dir) = (OsFs::new(), Scratch::new());
        let file = fs.create_new(&dir.path("f")).expect("created");
        file.write_at(0, &[1; 100]).expect("written");
        file.sync().expect("synced");
        fs.sync_dir(&dir.0).expect("synced");
        fs.read(&dir.path("f")).expect("read");
        drop(fs.map(&dir.path("f")).expect("mapped"));
        let expected = FsCounts { calls: 6, syncs: 2, writes: 1, written_bytes: 100, read_bytes: 100 };
        assert_eq!(fs.counts(), expected);
    }
}
