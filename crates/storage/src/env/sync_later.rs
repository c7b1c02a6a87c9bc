//! Files whose syncs wait until all of them are done at once: [`SyncLater`].
//!
//! For who writes many files that nothing names yet: each sync of its own would wait once more for the device, and for the
//! journal of the file system. What was written counts as durable when [`SyncLater::sync`] has returned, and not before.

#[cfg(all(test, unix))]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::fs::{Access, DirEntry, FileSystem, Fs, FsCounts, FsFile, Mapped, Metadata, Space};

/// So many files and directories are synced one by one; of more the whole file system is, in one call.
const MOST_ALONE: usize = 16;

/// The files of another file system, each sync of which is only noted.
pub struct SyncLater {
    fs: Arc<dyn Fs>,
    /// Opened before the first write that it answers for.
    whole: Box<dyn FileSystem>,
    below: PathBuf,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    dirs: BTreeSet<PathBuf>,
    /// The first ones, open: the others need no descriptor.
    files: Vec<(PathBuf, Arc<dyn FsFile>)>,
    more_files: usize,
}

impl Waiting {
    fn are_many(&self) -> bool {
        self.dirs.len() + self.files.len() + self.more_files > MOST_ALONE
    }
}

impl SyncLater {
    /// Returns the same files with nothing that waits; all that is written lies on the file system of `below`.
    pub fn new(fs: Arc<dyn Fs>, below: &Path) -> io::Result<SyncLater> {
        let whole = fs.file_system_of(below)?;
        Ok(SyncLater { fs, whole, below: below.to_owned(), waiting: Arc::default() })
    }

    /// Makes durable what was to be. Nothing waits any more, also after a failure: a failed sync is never repeated.
    ///
    /// # Errors
    /// Of the first sync that failed, with its path.
    pub fn sync(&self) -> Result<(), (PathBuf, io::Error)> {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        if waiting.are_many() {
            return self.whole.sync().map_err(|e| (self.below.clone(), e));
        }
        for (path, file) in waiting.files {
            file.sync().map_err(|e| (path, e))?;
        }
        for dir in waiting.dirs {
            self.fs.sync_dir(&dir).map_err(|e| (dir, e))?;
        }
        Ok(())
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().expect("no holder of this lock panics")
}

impl Fs for SyncLater {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = self.fs.create_new(path)?.into();
        Ok(Box::new(LaterFile { file, path: path.to_owned(), waiting: self.waiting.clone() }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        lock(&self.waiting).dirs.insert(dir.to_owned());
        Ok(())
    }

    fn file_system_of(&self, dir: &Path) -> io::Result<Box<dyn FileSystem>> {
        self.fs.file_system_of(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.fs.open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.fs.read(path)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.fs.map(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.fs.metadata(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.fs.space(dir)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir(path)
    }

    fn hard_link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.fs.hard_link(existing, new)
    }

    fn hard_links(&self, from: &Path, to: &Path, names: &[(String, String)]) -> Result<(), (PathBuf, io::Error)> {
        self.fs.hard_links(from, to, names)
    }

    fn clone_file(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.fs.clone_file(existing, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn set_access(&self, path: &Path, access: Access) -> io::Result<()> {
        self.fs.set_access(path, access)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.fs.unlink(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.fs.lock_dir(dir)
    }

    fn counts(&self) -> FsCounts {
        self.fs.counts()
    }
}

/// A new file whose sync is only noted.
struct LaterFile {
    file: Arc<dyn FsFile>,
    path: PathBuf,
    waiting: Arc<Mutex<Waiting>>,
}

impl FsFile for LaterFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, bytes)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut waiting = lock(&self.waiting);
        if waiting.are_many() {
            waiting.more_files += 1;
        } else {
            waiting.files.push((self.path.clone(), self.file.clone()));
        }
        Ok(())
    }
}
