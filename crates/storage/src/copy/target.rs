//! The directory that a copy goes into: [`Target`].

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::plan::Planned;
use super::{How, Plan, Tally};
use crate::env::fs::{FileKind, FileSystem, Fs, FsFile, write_all_at};
use crate::ipc::checksum_pieces;
use crate::layout::{Disk, Layout, list_or_none};
use crate::root;
use crate::{Error, Result};

/// Ends the name of a file that is not whole yet.
pub(super) const PARTIAL: &str = ".partial";
/// What a worker holds back until it is synced: a copy that is killed begins that much anew.
const HELD_BYTES: u64 = 128 << 20;
/// So many files are synced each by itself. More of them by one sync of their file system, where that waits for this one alone;
/// then other programs' writes hold it up too.
const FEW_FILES: usize = 8;
const HELD_FILES: usize = if cfg!(target_os = "linux") { 64 } else { FEW_FILES };
/// The disk is set to work after so many bytes, not only when a sync waits for it.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    WasThere,
    Written,
    Cloned,
    Linked,
}

/// A file that has come and has not got its name yet.
struct New<'f> {
    file: &'f Planned,
    path: PathBuf,
    partial: PathBuf,
    brought: Brought,
    /// What is to be synced: nothing of a hard link.
    opened: Option<Box<dyn FsFile>>,
}

/// Files of one worker that have come and are not durable yet.
#[derive(Default)]
pub(super) struct Held<'f> {
    new: Vec<New<'f>>,
    bytes: u64,
    /// Opened before the first of them was written, so that another's sync does not take its failures away.
    whole: Option<Box<dyn FileSystem>>,
}

/// A directory that nobody else copies into.
pub(super) struct Target<'a> {
    pub disk: Disk,
    plan: &'a Plan,
    how: How,
    /// Every directory of the copy but the root itself, parents first, relative to it.
    dirs: BTreeSet<String>,
    /// Files of kept snapshots that are not in the source any more.
    lost: Mutex<HashSet<String>>,
    /// The file system has said that it cannot share blocks.
    never_clones: AtomicBool,
    _lock: Option<Box<dyn Send + Sync>>,
}

impl<'a> Target<'a> {
    /// Takes a directory, making it if it is missing.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is, or holds, something else than copies of this database.
    pub fn open(plan: &'a Plan, directory: &Path, how: How) -> Result<Target<'a>> {
        let fs = &plan.disk.env.fs;
        let source = plan.disk.layout.root();
        let disk = Disk { env: plan.disk.env.clone(), layout: Layout::new(directory), planted: None };
        refuse_place(&disk, source)?;
        match fs.create_dir(directory) {
            Ok(()) => take_access(&**fs, source, directory)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(directory)(e)),
        }
        let lock = lock(&disk, directory)?;
        refuse_other(&disk, &plan.found.pin.database_id)?;
        Ok(Target { _lock: lock, ..Target::of(plan, disk, how) })
    }

    /// Returns a directory that was looked at already, and that its caller holds.
    pub fn of(plan: &'a Plan, disk: Disk, how: How) -> Target<'a> {
        let mut dirs = BTreeSet::from(["db", "db/_log", "snapshot", "conf"].map(str::to_owned));
        for file in &plan.files {
            let steps = file.path.match_indices('/').map(|(at, _)| file.path[..at].to_owned());
            dirs.extend(steps);
        }
        Target { disk, plan, how, dirs, lost: Mutex::default(), never_clones: AtomicBool::new(false), _lock: None }
    }

    /// Makes the directories that are missing.
    pub fn make_dirs(&self) -> Result<()> {
        let fs = &self.disk.env.fs;
        for dir in &self.dirs {
            let path = self.root().join(dir);
            match fs.metadata(&path) {
                Ok(found) if found.kind == FileKind::Dir => {}
                Ok(_) => {
                    return Err(Error::Refused(format!(
                        "{} is not a directory: copy into an empty directory",
                        path.display()
                    )));
                }
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    fs.create_dir(&path).map_err(Error::io(&path))?;
                    take_access(&**fs, &self.plan.disk.layout.root().join(dir), &path)?;
                }
                Err(e) => return Err(Error::io(&path)(e)),
            }
        }
        self.forget_partials()
    }

    /// Makes the names of all files but the pin durable. What has its name was synced before.
    pub fn sync_dirs(&self) -> Result<()> {
        let root = self.root();
        for path in
            self.dirs.iter().map(|dir| root.join(dir)).chain([root.to_owned()]).chain(root.parent().map(Path::to_owned))
        {
            match self.disk.env.fs.sync_dir(&path) {
                // Above the directory others may rule.
                Err(e) if e.kind() == ErrorKind::PermissionDenied && !path.starts_with(root) => {}
                done => done.map_err(Error::io(&path))?,
            }
        }
        Ok(())
    }

    /// Makes the pin's name durable.
    pub fn sync_pins(&self) -> Result<()> {
        let dir = self.disk.layout.snapshot();
        self.disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))
    }

    /// Brings a file if it is not there, and makes durable what is held when that has become much.
    ///
    /// # Errors
    /// As [`super::to_directory`]; what is held stays held.
    pub fn bring<'f>(&self, file: &'f Planned, held: &mut Held<'f>, tally: &Tally<'_>) -> Result<()> {
        if held.whole.is_none() {
            held.whole = Some(self.disk.env.fs.file_system_of(self.root()).map_err(Error::io(self.root()))?);
        }
        match self.bring_new(file, tally) {
            Ok(Some(new)) => {
                held.bytes += if new.opened.is_some() { file.len_bytes } else { 0 };
                held.new.push(new);
            }
            Ok(None) => {}
            Err(error) if is_missing(&error) && self.plan.is_of_kept(&file.path) => {
                self.lock_lost().insert(file.path.clone());
            }
            Err(error) => return Err(error),
        }
        if held.bytes >= HELD_BYTES || held.new.len() >= HELD_FILES { self.settle(held, tally) } else { Ok(()) }
    }

    /// Makes what is held durable, and gives it its names; the names are durable after [`Target::sync_dirs`].
    pub fn settle(&self, held: &mut Held<'_>, tally: &Tally<'_>) -> Result<()> {
        let Held { new, whole, .. } = std::mem::take(held);
        let written: Vec<_> = new.iter().filter_map(|new| Some((&new.partial, new.opened.as_ref()?))).collect();
        match whole {
            Some(whole) if written.len() > FEW_FILES => whole.sync().map_err(Error::io(self.root()))?,
            _ => written.iter().try_for_each(|(partial, file)| file.sync().map_err(Error::io(partial)))?,
        }
        for New { file, path, partial, brought, .. } in &new {
            self.disk.env.fs.rename(partial, path).map_err(Error::io(path))?;
            tally.file(file.len_bytes, *brought);
        }
        Ok(())
    }

    /// Returns the files of kept snapshots that were not there any more: somebody has completed those in the middle of the copy.
    pub fn lost(&self) -> HashSet<String> {
        self.lock_lost().clone()
    }

    fn lock_lost(&self) -> MutexGuard<'_, HashSet<String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a file under the name of what is not whole, if it is not there.
    fn bring_new<'f>(&self, file: &'f Planned, tally: &Tally<'_>) -> Result<Option<New<'f>>> {
        let path = file.below(self.root());
        if self.has(file, &path)? {
            tally.bytes(file.len_bytes)?;
            tally.file(file.len_bytes, Brought::WasThere);
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!("{name}{PARTIAL}"));
        let brought = self.bring_partial(file, &partial, tally);
        if brought.is_err() {
            // It frees space, and is made anew the next time anyway: the error that is told is the first one.
            let _ = self.disk.env.fs.unlink(&partial);
        }
        let (brought, opened) = brought?;
        Ok(Some(New { file, path, partial, brought, opened }))
    }

    fn root(&self) -> &Path {
        self.disk.layout.root()
    }

    /// Returns whether the file is there already.
    fn has(&self, file: &Planned, path: &Path) -> Result<bool> {
        let fs = &self.disk.env.fs;
        match fs.metadata(path) {
            Ok(found) if found.kind != FileKind::File => {
                Err(Error::Refused(format!("{} is not a plain file: copy into an empty directory", path.display())))
            }
            Ok(found) if found.len_bytes != file.len_bytes => Ok(false),
            Ok(_) if self.how.verify || file.content.is_some() => {
                Ok(crate::ipc::checksum_file(&self.disk.env, path)? == (file.len_bytes, file.crc32c))
            }
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(path)(e)),
        }
    }

    /// Takes away what a copy that was cut short has left of files that are copied now.
    fn forget_partials(&self) -> Result<()> {
        let named: HashSet<&str> = self.plan.all().map(|file| &*file.path).collect();
        for dir in &self.dirs {
            let path = self.root().join(dir);
            for entry in list_or_none(&self.disk, &path)? {
                let whole = entry.name.strip_suffix(PARTIAL).map(|name| format!("{dir}/{name}"));
                if whole.is_some_and(|whole| named.contains(&*whole)) {
                    let partial = path.join(&entry.name);
                    self.disk.env.fs.unlink(&partial).map_err(Error::io(&partial))?;
                }
            }
        }
        Ok(())
    }

    /// Returns how it came, and what is to be synced.
    fn bring_partial(
        &self,
        file: &Planned,
        partial: &Path,
        tally: &Tally<'_>,
    ) -> Result<(Brought, Option<Box<dyn FsFile>>)> {
        let fs = &self.disk.env.fs;
        let source = file.below(self.plan.disk.layout.root());
        if let Some(bytes) = &file.content {
            let made = write_new(&**fs, partial, bytes, Some(&source))?;
            tally.bytes(file.len_bytes)?;
            return Ok((Brought::Written, Some(made)));
        }
        // Where it cannot be linked or cloned its bytes are written.
        if self.how.link && fs.hard_link(&source, partial).is_ok() {
            self.compare(file, &source, partial, tally)?;
            return Ok((Brought::Linked, None));
        }
        if !self.never_clones.load(Ordering::Relaxed) {
            match fs.clone_file(&source, partial) {
                Ok(()) => {
                    take_access(&**fs, &source, partial)?;
                    return Ok((Brought::Cloned, Some(self.compare(file, &source, partial, tally)?)));
                }
                Err(e) if e.kind() == ErrorKind::Unsupported => self.never_clones.store(true, Ordering::Relaxed),
                Err(e) => return Err(Error::io(partial)(e)),
            }
        }
        let made = fs.create_new(partial).map_err(Error::io(partial))?;
        take_access(&**fs, &source, partial)?;
        let opened = fs.open(&source).map_err(Error::io(&source))?;
        let mut begun = 0;
        read_proven(file, &*opened, &source, &mut |at, bytes| {
            write_all_at(&*made, at, bytes).map_err(Error::io(partial))?;
            let end = at + bytes.len() as u64;
            if end - begun >= WRITE_BACK_BYTES {
                made.begin_write_back(begun, end - begun);
                begun = end;
            }
            tally.bytes(bytes.len() as u64)
        })?;
        Ok((Brought::Written, Some(made)))
    }

    /// Reads a file that came without its bytes.
    fn compare(&self, file: &Planned, source: &Path, partial: &Path, tally: &Tally<'_>) -> Result<Box<dyn FsFile>> {
        let opened = self.disk.env.fs.open(partial).map_err(Error::io(partial))?;
        read_proven(file, &*opened, source, &mut |_, bytes| tally.bytes(bytes.len() as u64))?;
        Ok(opened)
    }
}

/// Returns whether a file is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// Writes a file that is not there, for those who may read another one. Not synced.
pub(super) fn write_new(fs: &dyn Fs, path: &Path, bytes: &[u8], like: Option<&Path>) -> Result<Box<dyn FsFile>> {
    let made = fs.create_new(path).map_err(Error::io(path))?;
    if let Some(like) = like {
        take_access(fs, like, path)?;
    }
    write_all_at(&*made, 0, bytes).map_err(Error::io(path))?;
    Ok(made)
}

/// Hands each piece of a file to `take`, and compares the whole with what names it. `blamed` is the source.
pub(super) fn read_proven(
    file: &Planned,
    opened: &dyn FsFile,
    blamed: &Path,
    take: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (at, crc) = checksum_pieces(opened, blamed, file.len_bytes, take)?;
    let remedy = "the source is damaged, restore an older snapshot or copy that is whole";
    if at != file.len_bytes {
        return Err(Error::corrupt(blamed, format!("{at} bytes long, {} were written: {remedy}", file.len_bytes)));
    }
    if crc != file.crc32c {
        return Err(Error::corrupt(blamed, format!("checksum of the file differs: {remedy}")));
    }
    Ok(())
}

/// Refuses a directory that cannot take copies of a database.
pub(super) fn refuse_target(disk: &Disk, source: &Path, database_id: &str) -> Result<()> {
    refuse_place(disk, source)?;
    let directory = disk.layout.root();
    if !disk.env.fs.exists(directory).map_err(Error::io(directory))? {
        return Ok(());
    }
    drop(lock(disk, directory)?);
    refuse_other(disk, database_id)
}

/// Refuses what is no directory, or lies in its source.
fn refuse_place(disk: &Disk, source: &Path) -> Result<()> {
    let directory = disk.layout.root();
    refuse_within(source, directory)?;
    match disk.env.fs.metadata(directory).map(|found| found.kind) {
        Ok(FileKind::File | FileKind::Other) => Err(Error::Refused(format!(
            "{} is not a directory: name one that is empty or missing, or holds earlier copies",
            directory.display()
        ))),
        Ok(FileKind::Symlink) if !disk.env.fs.exists(directory).map_err(Error::io(directory))? => {
            Err(Error::Refused(format!(
                "{} is a link to what is not there: name a directory that is empty or missing, or holds earlier copies",
                directory.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses a target that lies in its source, or the source in it.
pub(super) fn refuse_within(source: &Path, directory: &Path) -> Result<()> {
    if !directory.starts_with(source) && !source.starts_with(directory) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} and {} lie within each other: choose a directory beside it",
        directory.display(),
        source.display()
    )))
}

pub(super) fn take_access(fs: &dyn Fs, source: &Path, path: &Path) -> Result<()> {
    match fs.metadata(source) {
        Ok(found) => fs.set_access(path, found.access).map_err(Error::io(path)),
        // A directory that only the copy has.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(source)(e)),
    }
}

fn lock(disk: &Disk, directory: &Path) -> Result<Option<Box<dyn Send + Sync>>> {
    let fs = &disk.env.fs;
    let taken = |dir: &Path| match fs.lock_dir(dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(Error::Refused(format!(
            "{} is in use by a server or by another copy: copy into another directory",
            directory.display()
        ))),
        // Not every file system for backups has locks; what else than a directory stands there, [`refuse_other`] says.
        Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(e) => Err(Error::io(dir)(e)),
    };
    drop(taken(&disk.layout.db())?);
    taken(directory)
}

/// Refuses a directory that holds anything else than copies of this database.
fn refuse_other(disk: &Disk, database_id: &str) -> Result<()> {
    let root = disk.layout.root();
    let refuse = |why: String| Err(Error::Refused(format!("{} {why}", root.display())));
    for path in [disk.layout.db(), disk.layout.snapshot(), root.join("conf")] {
        root::refuse_symlink(disk, &path)?;
        if disk.env.fs.metadata(&path).is_ok_and(|found| found.kind != FileKind::Dir) {
            return refuse(format!("holds {}, which is not a directory: copy into an empty directory", path.display()));
        }
    }
    if disk.env.fs.exists(&disk.layout.marker()).map_err(Error::io(&disk.layout.marker()))? {
        let marker = root::read_marker(disk)?;
        if marker.database_id != database_id {
            return refuse("holds a copy of another database: copy into another directory".to_owned());
        }
        if !list_or_none(disk, &disk.layout.live())?.is_empty() {
            let live = PathBuf::from("db/_live");
            return refuse(format!(
                "holds {}, a server's own log: if no server ever ran there remove that folder, else copy into another directory",
                live.display()
            ));
        }
        return Ok(());
    }
    // A copy that was killed before the marker had its name has made some directories.
    let own = |name: &str| ["db", "conf", "snapshot", "lost+found"].contains(&name) || name.starts_with('.');
    let entries = list_or_none(disk, root)?;
    let foreign = entries.iter().find(|e| !own(&e.name));
    let in_db = list_or_none(disk, &disk.layout.db())?;
    let foreign = foreign.or_else(|| in_db.iter().find(|e| e.kind != FileKind::Dir && !e.name.ends_with(PARTIAL)));
    match foreign {
        Some(entry) => refuse(format!("is not empty ({}) and holds no copy: copy into an empty directory", entry.name)),
        None => Ok(()),
    }
}
