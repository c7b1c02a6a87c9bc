//! A machine in memory that loses what was not synced: [`SimFs`].
//!
//! Owns one simulated machine's files: what its processes see (*volatile*) apart from what a power cut leaves
//! (*durable*), by the model of `docs/format/durability.md`. Deterministic: the same calls and seeds give the same
//! bytes. Never touches the real machine. Every call of a process is numbered; a [`FaultPlan`] says at which number
//! the power goes or a call fails, and [`SimFs::capture_crash_points`] keeps the whole machine as it was at each
//! call, so that one run can be cut short everywhere. Next: `machine` for the state, `crash` for what survives.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use super::fs::{Access, DirEntry, FileKind, FileSystem, Fs, FsCounts, FsFile, Mapped, Metadata, Space};

mod content;
mod crash;
mod fault;
mod file;
mod machine;
mod op;
#[cfg(test)]
mod tests;
mod tree;

pub use crash::Survive;
pub use fault::{Fault, FaultPlan};
pub use op::{Op, OpKind, Site};
pub use tree::{CopyMode, CopyTree, TreeEntry};

use file::{SimFile, Told};
use machine::{Machine, Node};

/// What the disk of a simulated machine says of its size.
const DISK_BYTES: u64 = 1 << 30;

/// What others do in the middle of a call of a process.
type Interruption = Box<dyn FnOnce() + Send>;

/// A process on a simulated machine. Clones are the same process.
#[derive(Clone)]
pub struct SimFs {
    machine: Arc<Mutex<Machine>>,
    process: u64,
    /// How many new files this process makes yet before others do something, and what they do.
    interruption: Arc<Mutex<Option<(u64, Interruption)>>>,
}

/// A machine as it was in the middle of a call: the call's effect is in its memory, nothing of it is durable yet.
pub struct CrashPoint {
    pub op: Op,
    machine: Machine,
}

impl CrashPoint {
    /// Cuts the power and turns the machine on again; returns a first process on it. The crash point stays as it is.
    pub fn power_cut(&self, survive: Survive) -> SimFs {
        let mut machine = self.machine.clone();
        machine.crash(survive);
        machine.power_up();
        let process = machine.spawn();
        SimFs::of(machine, process)
    }

    /// Ends all processes but not the machine; returns a new process on it.
    pub fn kill(&self) -> SimFs {
        let mut machine = self.machine.clone();
        machine.kill_all();
        let process = machine.spawn();
        SimFs::of(machine, process)
    }
}

impl SimFs {
    /// Returns the first process on a new machine that has an empty `/`.
    pub fn new(seed: u64) -> SimFs {
        let mut machine = Machine::new(seed);
        let process = machine.spawn();
        SimFs::of(machine, process)
    }

    fn of(machine: Machine, process: u64) -> SimFs {
        SimFs { machine: Arc::new(Mutex::new(machine)), process, interruption: Arc::default() }
    }

    /// Lets others do something just before this process makes its `nth` new file from now on; 0: the next one.
    pub fn interrupt(&self, nth: u64, others: impl FnOnce() + Send + 'static) {
        *self.interruption.lock().expect("no holder of this lock panics") = Some((nth, Box::new(others)));
    }

    /// Returns whether what [`SimFs::interrupt`] was told is still to come, and forgets it.
    pub fn end_interruption(&self) -> bool {
        self.interruption.lock().expect("no holder of this lock panics").take().is_some()
    }

    fn let_others(&self) {
        let due = {
            let mut interruption = self.interruption.lock().expect("no holder of this lock panics");
            match &mut *interruption {
                Some((0, _)) => interruption.take(),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some((_, others)) = due {
            others();
        }
    }

    /// Returns a further process on the same machine.
    pub fn another_process(&self) -> SimFs {
        let process = self.machine().spawn();
        SimFs { machine: self.machine.clone(), process, interruption: Arc::default() }
    }

    /// Returns this process on a machine of its own that begins as an exact copy of this one.
    pub fn fork(&self) -> SimFs {
        SimFs::of(self.machine().clone(), self.process)
    }

    /// Ends this process: its locks are free, its calls fail, what it wrote stays. Returns a new process.
    pub fn kill(&self) -> SimFs {
        self.machine().kill(self.process);
        self.another_process()
    }

    /// Cuts the power now. Until [`SimFs::power_up`] every call fails, and for ever those of processes that ran.
    pub fn power_cut(&self, survive: Survive) {
        self.machine().crash(survive);
    }

    /// Turns the machine on: what survived is what there is. Returns a first process on it.
    pub fn power_up(&self) -> SimFs {
        self.machine().power_up();
        self.another_process()
    }

    /// Returns whether the power is off.
    pub fn is_off(&self) -> bool {
        self.machine().is_off()
    }

    /// Says what goes wrong from now on, instead of what was said before.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.machine().faults = plan;
    }

    /// Lets the kernel fail to write back what a file holds and was not synced. Who has the file or its file system open is told
    /// by the next sync, each once; who opens it later is not.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn fail_write_back(&self, path: &Path) {
        let mut machine = self.machine();
        let inode = machine.resolve(path).expect("the file is there");
        machine.fail_write_back(inode);
    }

    /// Returns the number of the latest call; the first is 1.
    pub fn op_count(&self) -> u64 {
        self.machine().op_count
    }

    /// Names what the caller is about to do; part of the [`Site`] of each call that follows.
    pub fn set_label(&self, label: &'static str) {
        self.machine().label = label;
    }

    /// Begins or ends keeping each call for [`SimFs::take_trace`].
    pub fn record_trace(&self, on: bool) {
        self.machine().trace = on.then(Vec::new);
    }

    /// Returns the calls kept since the last time, oldest first.
    pub fn take_trace(&self) -> Vec<Op> {
        self.machine().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Begins or ends keeping the machine as it is at each call that changes something.
    pub fn capture_crash_points(&self, on: bool) {
        self.machine().crash_points = on.then(Vec::new);
    }

    /// Returns the crash points kept since the last time, oldest first.
    pub fn take_crash_points(&self) -> Vec<CrashPoint> {
        let mut machine = self.machine();
        let taken = machine.crash_points.as_mut().map(std::mem::take).unwrap_or_default();
        taken.into_iter().map(|(op, machine)| CrashPoint { op, machine }).collect()
    }

    /// Sets how many bytes of file content can still be taken; `None` is no limit. Names cost nothing.
    pub fn set_free_bytes(&self, free_bytes: Option<u64>) {
        self.machine().free_bytes = free_bytes;
    }

    /// Sets what the disk says of its size, whatever can be written; `None`: the truth.
    pub fn say_space(&self, space: Option<Space>) {
        self.machine().said_space = space;
    }

    /// Sets whether files can share blocks.
    pub fn set_clones(&self, on: bool) {
        self.machine().clones = on;
    }

    /// Sets how many files can be open at once in a process; `None` is no limit.
    pub fn set_max_open_files(&self, limit: Option<usize>) {
        self.machine().max_open_files = limit;
    }

    /// Returns how many files this process has open.
    pub fn open_files(&self) -> usize {
        self.machine().open_files(self.process)
    }

    /// Returns a hash over paths and bytes of what is durable for certain.
    pub fn durable_digest(&self) -> u64 {
        self.machine().durable_digest()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no holder of this lock panics")
    }
}

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.let_others();
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::CreateNew, path)?;
        machine.check_open_files(self.process)?;
        let (dir, name) = machine.resolve_parent(path)?;
        let inode = machine.add_entry(dir, &name, Node::new_file())?;
        machine.finish(call)?;
        machine.opened(self.process);
        Ok(Box::new(SimFile::new(self, &machine, inode, path, true)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Open, path)?;
        machine.check_open_files(self.process)?;
        let inode = machine.resolve(path)?;
        machine.opened(self.process);
        Ok(Box::new(SimFile::new(self, &machine, inode, path, false)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Read, path)?;
        let inode = machine.resolve(path)?;
        let bytes = machine.file(inode)?.volatile.to_vec();
        machine.counts.read_bytes += bytes.len() as u64;
        Ok(bytes)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Map, path)?;
        let inode = machine.resolve(path)?;
        Ok(Mapped::new(content::MappedBytes(machine.file(inode)?.map())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::List, dir)?;
        let inode = machine.resolve(dir)?;
        let entries = machine.dir(inode)?.volatile.iter();
        Ok(entries.map(|(name, inode)| DirEntry { name: name.clone(), kind: machine.kind(*inode) }).collect())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Metadata, path)?;
        let inode = machine.resolve_link(path)?;
        let len_bytes = machine.file(inode).map_or(0, |file| file.volatile.len_bytes());
        let access = Access { mode: 0o644, user: 0, group: 0 };
        Ok(Metadata { kind: machine.kind(inode), len_bytes, inode, access, device: 0 })
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Metadata, dir)?;
        machine.resolve(dir)?;
        let free_bytes = machine.free_bytes.unwrap_or(DISK_BYTES).min(DISK_BYTES);
        Ok(machine.said_space.unwrap_or(Space { free_bytes, total_bytes: DISK_BYTES }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::CreateDir, path)?;
        let (dir, name) = machine.resolve_parent(path)?;
        machine.add_entry(dir, &name, Node::new_dir())?;
        machine.finish(call)
    }

    fn hard_link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::HardLink, new)?;
        let inode = machine.resolve_link(existing)?;
        if machine.kind(inode) == FileKind::Dir {
            return Err(Errno::PERM.into());
        }
        let (dir, name) = machine.resolve_parent(new)?;
        machine.link(dir, &name, inode)?;
        machine.finish(call)
    }

    fn clone_file(&self, existing: &Path, new: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::CloneFile, new)?;
        if !machine.clones {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let source = machine.resolve(existing)?;
        let bytes = machine.file(source)?.volatile.to_vec();
        let (dir, name) = machine.resolve_parent(new)?;
        let inode = machine.add_entry(dir, &name, Node::new_file())?;
        // The blocks are there already.
        let free_bytes = machine.free_bytes.take();
        let written = machine.write(inode, 0, &bytes);
        machine.free_bytes = free_bytes;
        assert_eq!(written?, bytes.len(), "nothing limits the space");
        machine.finish(call)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::Rename, to)?;
        let (from_dir, from_name) = machine.resolve_parent(from)?;
        let inode = machine.entry(from_dir, &from_name)?;
        let (to_dir, to_name) = machine.resolve_parent(to)?;
        let former = machine.entry(to_dir, &to_name).ok();
        let is_dir = |inode| machine.kind(inode) == FileKind::Dir;
        // A directory gets a name that is free.
        if former.is_some_and(|former| is_dir(inode) || is_dir(former)) {
            return Err(Errno::ISDIR.into());
        }
        if former == Some(inode) {
            // As POSIX has it: two names of one file both stay.
            return machine.finish(call);
        }
        if former.is_some() {
            machine.remove_entry(to_dir, &to_name);
        }
        machine.link(to_dir, &to_name, inode)?;
        machine.remove_entry(from_dir, &from_name);
        machine.finish(call)
    }

    fn set_access(&self, path: &Path, _: Access) -> io::Result<()> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::SetAccess, path)?;
        machine.resolve_link(path).map(drop)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::Unlink, path)?;
        let (dir, name) = machine.resolve_parent(path)?;
        let inode = machine.entry(dir, &name)?;
        if machine.kind(inode) == FileKind::Dir {
            return Err(Errno::ISDIR.into());
        }
        machine.remove_entry(dir, &name);
        machine.finish(call)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let call = machine.begin(self.process, OpKind::RemoveDir, path)?;
        let (dir, name) = machine.resolve_parent(path)?;
        let inode = machine.entry(dir, &name)?;
        if !machine.dir(inode)?.volatile.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        machine.remove_entry(dir, &name);
        machine.finish(call)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let begun = machine.begin(self.process, OpKind::SyncDir, dir);
        let inode = machine.resolve(dir);
        match begun {
            Ok(call) => {
                let inode = inode?;
                machine.dir(inode)?;
                let is_done = !call.lie;
                machine.finish(call)?;
                if is_done {
                    machine.dir_mut(inode).make_durable();
                }
                Ok(())
            }
            Err(error) => {
                // A dead process changes nothing; a failed sync forgets what it should have kept.
                if let Ok(inode) = inode
                    && machine.is_alive(self.process)
                    && machine.dir(inode).is_ok()
                {
                    machine.dir_mut(inode).forget_pending();
                }
                Err(error)
            }
        }
    }

    fn file_system_of(&self, dir: &Path) -> io::Result<Box<dyn FileSystem>> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::Open, dir)?;
        let inode = machine.resolve(dir)?;
        machine.dir(inode)?;
        let told = Told::new(&machine, None);
        Ok(Box::new(SimFileSystem { fs: self.clone(), dir: dir.to_owned(), told }))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut machine = self.machine();
        machine.look(self.process, OpKind::LockDir, dir)?;
        let inode = machine.resolve(dir)?;
        machine.dir(inode)?;
        if machine.locks.contains_key(&inode) {
            return Err(Errno::WOULDBLOCK.into());
        }
        machine.locks.insert(inode, self.process);
        Ok(Box::new(DirLock { fs: self.clone(), inode }))
    }

    fn counts(&self) -> FsCounts {
        self.machine().counts
    }
}

/// An open file system, by a path that it had then.
struct SimFileSystem {
    fs: SimFs,
    dir: PathBuf,
    told: Told,
}

impl FileSystem for SimFileSystem {
    fn sync(&self) -> io::Result<()> {
        let mut machine = self.fs.machine();
        let call = machine.begin(self.fs.process, OpKind::SyncFileSystem, &self.dir)?;
        machine.finish(call)?;
        machine.sync_all();
        self.told.check(&machine)
    }
}

/// The lock of a directory; free when this is dropped or its process ended.
struct DirLock {
    fs: SimFs,
    inode: u64,
}

impl Drop for DirLock {
    fn drop(&mut self) {
        let mut machine = self.fs.machine();
        if machine.locks.get(&self.inode) == Some(&self.fs.process) {
            machine.locks.remove(&self.inode);
        }
    }
}
