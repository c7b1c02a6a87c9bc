//! The state of one machine: [`Machine`], its inodes and directories.
//!
//! Owns names, space, locks, processes and the numbering of calls; never decides what survives (`crash` does).
//! Inodes are shared between forks until one of them changes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::super::fs::{FileKind, FsCounts, Space};
use super::content::{FileNode, Slot};
use super::fault::{FaultPlan, Verdict};
use super::op::{Op, OpKind, Site, path_class};
use super::{crash::Survive, fault::Fault};

pub(super) const ROOT: u64 = 1;

/// What an inode is.
#[derive(Clone)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
    Symlink(PathBuf),
}

impl Node {
    pub(super) fn new_file() -> Node {
        Node::File(FileNode::default())
    }

    pub(super) fn new_dir() -> Node {
        Node::Dir(DirNode::default())
    }
}

/// A directory: what its names mean to processes, what a power cut leaves for certain, and what lies between.
#[derive(Clone, Default)]
pub(super) struct DirNode {
    pub(super) volatile: BTreeMap<String, u64>,
    pub(super) durable: BTreeMap<String, u64>,
    /// What each name was made to mean since the last sync, oldest first.
    pub(super) pending: BTreeMap<String, Vec<Option<u64>>>,
}

impl DirNode {
    pub(super) fn make_durable(&mut self) {
        for (name, changes) in std::mem::take(&mut self.pending) {
            set_entry(&mut self.durable, &name, changes.last().copied().flatten());
        }
    }

    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    fn set(&mut self, name: &str, inode: Option<u64>) {
        set_entry(&mut self.volatile, name, inode);
        self.pending.entry(name.to_owned()).or_default().push(inode);
    }
}

pub(super) fn set_entry(entries: &mut BTreeMap<String, u64>, name: &str, inode: Option<u64>) {
    match inode {
        Some(inode) => entries.insert(name.to_owned(), inode),
        None => entries.remove(name),
    };
}

/// The latest write, which a power cut may tear.
#[derive(Clone)]
pub(super) struct LastWrite {
    pub(super) inode: u64,
    pub(super) offset: u64,
    pub(super) len_bytes: u64,
    /// The pages that it touched and the file's length, as they were.
    pub(super) before: Vec<(usize, Slot)>,
    pub(super) before_len_bytes: u64,
}

/// A call that has begun and may yet be cut by the power.
#[must_use]
pub(super) struct Call {
    op: Op,
    crash: Option<Survive>,
    pub(super) short: bool,
    /// Answer well without having done it.
    pub(super) lie: bool,
}

#[derive(Clone)]
pub(super) struct Machine {
    pub(super) seed: u64,
    pub(super) nodes: BTreeMap<u64, Arc<Node>>,
    next_inode: u64,
    next_process: u64,
    alive: BTreeSet<u64>,
    off: bool,
    /// Locked directory -> process.
    pub(super) locks: BTreeMap<u64, u64>,
    pub(super) last_write: Option<LastWrite>,
    pub(super) free_bytes: Option<u64>,
    pub(super) said_space: Option<Space>,
    /// Whether files can share blocks.
    pub(super) clones: bool,
    pub(super) max_open_files: Option<usize>,
    /// Process -> how many files it has open.
    open_files: BTreeMap<u64, usize>,
    /// File -> how often its write-back has failed.
    failed_write_backs: BTreeMap<u64, u64>,
    pub(super) counts: FsCounts,
    pub(super) op_count: u64,
    pub(super) faults: FaultPlan,
    pub(super) label: &'static str,
    pub(super) trace: Option<Vec<Op>>,
    pub(super) crash_points: Option<Vec<(Op, Machine)>>,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Machine {
        Machine {
            seed,
            nodes: BTreeMap::from([(ROOT, Arc::new(Node::new_dir()))]),
            next_inode: ROOT + 1,
            next_process: 1,
            alive: BTreeSet::new(),
            off: false,
            locks: BTreeMap::new(),
            last_write: None,
            free_bytes: None,
            said_space: None,
            clones: false,
            max_open_files: None,
            open_files: BTreeMap::new(),
            failed_write_backs: BTreeMap::new(),
            counts: FsCounts::default(),
            op_count: 0,
            faults: FaultPlan::none(),
            label: "",
            trace: None,
            crash_points: None,
        }
    }

    pub(super) fn spawn(&mut self) -> u64 {
        let process = self.next_process;
        self.next_process += 1;
        self.alive.insert(process);
        process
    }

    pub(super) fn kill(&mut self, process: u64) {
        self.alive.remove(&process);
        self.open_files.remove(&process);
        self.locks.retain(|_, holder| *holder != process);
    }

    pub(super) fn kill_all(&mut self) {
        self.alive.clear();
        self.locks.clear();
        self.open_files.clear();
    }

    pub(super) fn is_alive(&self, process: u64) -> bool {
        !self.off && self.alive.contains(&process)
    }

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn power_off(&mut self) {
        self.off = true;
        self.kill_all();
        self.last_write = None;
    }

    pub(super) fn power_up(&mut self) {
        self.off = false;
        self.faults = FaultPlan::none();
    }

    /// Counts a call and lets the plan have its say. Every call passes here first.
    pub(super) fn begin(&mut self, process: u64, kind: OpKind, path: &Path) -> io::Result<Call> {
        if !self.is_alive(process) {
            return Err(io::Error::other("this process is dead"));
        }
        self.op_count += 1;
        self.counts.calls += 1;
        self.counts.syncs += u64::from(kind.is_sync());
        self.counts.writes += u64::from(kind == OpKind::WriteAt);
        let site = Site { label: self.label, path_class: path_class(path), kind };
        let op = Op { number: self.op_count, site, path: path.to_owned() };
        if let Some(trace) = &mut self.trace {
            trace.push(op.clone());
        }
        let mut call = Call { op, crash: None, short: false, lie: false };
        match self.faults.verdict(self.op_count, site) {
            Verdict::Work => {}
            Verdict::Short => call.short = true,
            Verdict::Lie => call.lie = true,
            Verdict::Fail(errno) => return Err(io::Error::from_raw_os_error(errno)),
            // A call that changes nothing cannot be cut in the middle: the power goes before it.
            Verdict::Crash(survive) if !kind.changes() => return Err(self.cut(survive)),
            Verdict::Crash(survive) => call.crash = Some(survive),
        }
        Ok(call)
    }

    /// Begins and ends a call that changes nothing.
    pub(super) fn look(&mut self, process: u64, kind: OpKind, path: &Path) -> io::Result<()> {
        self.begin(process, kind, path).map(|_| ())
    }

    /// Ends a call that changes something: its effect is visible, and not yet durable. The power may go here.
    pub(super) fn finish(&mut self, call: Call) -> io::Result<()> {
        if let Some(mut points) = self.crash_points.take() {
            let trace = self.trace.take();
            points.push((call.op, self.clone()));
            self.crash_points = Some(points);
            self.trace = trace;
        }
        match call.crash {
            Some(survive) => Err(self.cut(survive)),
            None => Ok(()),
        }
    }

    fn cut(&mut self, survive: Survive) -> io::Error {
        self.crash(survive);
        io::Error::other("the power is off")
    }

    pub(super) fn check_open_files(&self, process: u64) -> io::Result<()> {
        match self.max_open_files {
            Some(limit) if self.open_files(process) >= limit => Err(io::Error::from_raw_os_error(Fault::EMFILE)),
            _ => Ok(()),
        }
    }

    pub(super) fn open_files(&self, process: u64) -> usize {
        self.open_files.get(&process).copied().unwrap_or(0)
    }

    pub(super) fn opened(&mut self, process: u64) {
        *self.open_files.entry(process).or_default() += 1;
    }

    pub(super) fn closed(&mut self, process: u64) {
        if let Some(count) = self.open_files.get_mut(&process) {
            *count -= 1;
        }
    }

    pub(super) fn kind(&self, inode: u64) -> FileKind {
        match self.nodes.get(&inode).map(|node| &**node) {
            Some(Node::Dir(_)) => FileKind::Dir,
            Some(Node::Symlink(_)) => FileKind::Symlink,
            _ => FileKind::File,
        }
    }

    pub(super) fn file(&self, inode: u64) -> io::Result<&FileNode> {
        match self.nodes.get(&inode).map(|node| &**node) {
            Some(Node::File(file)) => Ok(file),
            Some(_) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn file_mut(&mut self, inode: u64) -> &mut FileNode {
        let node = self.nodes.get_mut(&inode).expect("an open or named file has an inode");
        match Arc::make_mut(node) {
            Node::File(file) => file,
            _ => panic!("inode {inode} is no file"),
        }
    }

    pub(super) fn dir(&self, inode: u64) -> io::Result<&DirNode> {
        match self.nodes.get(&inode).map(|node| &**node) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(_) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn dir_mut(&mut self, inode: u64) -> &mut DirNode {
        let node = self.nodes.get_mut(&inode).expect("a directory that was resolved has an inode");
        match Arc::make_mut(node) {
            Node::Dir(dir) => dir,
            _ => panic!("inode {inode} is no directory"),
        }
    }

    pub(super) fn entry(&self, dir: u64, name: &str) -> io::Result<u64> {
        self.dir(dir)?.volatile.get(name).copied().ok_or_else(|| Errno::NOENT.into())
    }

    /// Returns the inode of a path, following links.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<u64> {
        self.walk(path, true, 0)
    }

    /// Returns the inode of a path, not following a link at its end.
    pub(super) fn resolve_link(&self, path: &Path) -> io::Result<u64> {
        self.walk(path, false, 0)
    }

    /// Returns the directory that a path's last name stands in, and that name.
    pub(super) fn resolve_parent(&self, path: &Path) -> io::Result<(u64, String)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EXIST.into());
        };
        let dir = self.resolve(parent)?;
        self.dir(dir)?;
        Ok((dir, name.to_string_lossy().into_owned()))
    }

    fn walk(&self, path: &Path, follow_last: bool, depth: u32) -> io::Result<u64> {
        if depth > 40 {
            return Err(Errno::LOOP.into());
        }
        assert!(path.is_absolute(), "{} is not absolute", path.display());
        let parts: Vec<_> = path.components().filter(|part| *part != Component::RootDir).collect();
        let mut at = ROOT;
        let mut walked = PathBuf::from("/");
        for (i, part) in parts.iter().enumerate() {
            let name = part.as_os_str().to_string_lossy();
            at = self.entry(at, &name)?;
            if let Some(Node::Symlink(target)) = self.nodes.get(&at).map(|node| &**node)
                && (follow_last || i + 1 < parts.len())
            {
                at = self.walk(&walked.join(target), true, depth + 1)?;
            }
            walked.push(&*name);
        }
        Ok(at)
    }

    /// Makes an inode and its first name, which must be free.
    pub(super) fn add_entry(&mut self, dir: u64, name: &str, node: Node) -> io::Result<u64> {
        if self.dir(dir)?.volatile.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, Arc::new(node));
        self.link(dir, name, inode)?;
        Ok(inode)
    }

    pub(super) fn link(&mut self, dir: u64, name: &str, inode: u64) -> io::Result<()> {
        if self.dir(dir)?.volatile.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        self.dir_mut(dir).set(name, Some(inode));
        if self.kind(inode) == FileKind::File {
            self.file_mut(inode).links += 1;
        }
        Ok(())
    }

    /// Takes a name away; the space of a file without names is free at once.
    pub(super) fn remove_entry(&mut self, dir: u64, name: &str) {
        let inode = self.dir(dir).ok().and_then(|d| d.volatile.get(name).copied());
        self.dir_mut(dir).set(name, None);
        if let Some(inode) = inode
            && self.kind(inode) == FileKind::File
        {
            let file = self.file_mut(inode);
            file.links -= 1;
            if file.links == 0 {
                let freed = file.volatile.allocated_bytes();
                self.give_back(freed);
            }
        }
    }

    /// Writes what fits and returns how much that was.
    pub(super) fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let page = super::content::PAGE_BYTES as u64;
        let file = self.file(inode)?;
        let before_len_bytes = file.volatile.len_bytes();
        let touched = offset / page..(offset + bytes.len() as u64).div_ceil(page);
        let before = touched.map(|index| (index as usize, file.volatile.slot(index as usize))).collect();
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let n = ((page - at % page) as usize).min(bytes.len() - done);
            let cost = self.file(inode)?.page_cost(at);
            if !self.take(cost) {
                break;
            }
            self.file_mut(inode).write_page(at, &bytes[done..done + n]);
            done += n;
        }
        if done == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(Fault::ENOSPC));
        }
        self.last_write = Some(LastWrite { inode, offset, len_bytes: done as u64, before, before_len_bytes });
        Ok(done)
    }

    pub(super) fn set_len(&mut self, inode: u64, len_bytes: u64) {
        let before = self.file_mut(inode).volatile.allocated_bytes();
        self.file_mut(inode).set_len(len_bytes);
        let after = self.file_mut(inode).volatile.allocated_bytes();
        self.give_back(before - after);
    }

    /// Makes a file durable.
    pub(super) fn sync(&mut self, inode: u64) {
        if self.last_write.as_ref().is_some_and(|write| write.inode == inode) {
            self.last_write = None;
        }
        self.file_mut(inode).make_durable();
    }

    /// Loses what a file holds and was not synced: it stays visible, and no later sync keeps it.
    pub(super) fn fail_write_back(&mut self, inode: u64) {
        self.file_mut(inode).drop_dirty();
        *self.failed_write_backs.entry(inode).or_default() += 1;
    }

    /// Returns how often a write-back has failed, of a file or of all.
    pub(super) fn failed_write_backs(&self, of: Option<u64>) -> u64 {
        match of {
            Some(inode) => self.failed_write_backs.get(&inode).copied().unwrap_or(0),
            None => self.failed_write_backs.values().sum(),
        }
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        let inodes: Vec<u64> = self.nodes.keys().copied().collect();
        for inode in inodes {
            match self.kind(inode) {
                FileKind::File => self.sync(inode),
                FileKind::Dir => self.dir_mut(inode).make_durable(),
                _ => {}
            }
        }
    }

    fn take(&mut self, cost: u64) -> bool {
        match &mut self.free_bytes {
            Some(free) if *free < cost => false,
            Some(free) => {
                *free -= cost;
                true
            }
            None => true,
        }
    }

    fn give_back(&mut self, bytes: u64) {
        if let Some(free) = &mut self.free_bytes {
            *free += bytes;
        }
    }

    /// Returns a hash over paths and bytes of what is durable for certain.
    pub(super) fn durable_digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.digest_dir(ROOT, &mut hasher);
        hasher.finish()
    }

    fn digest_dir(&self, inode: u64, hasher: &mut DefaultHasher) {
        let Ok(dir) = self.dir(inode) else { return };
        for (name, child) in &dir.durable {
            name.hash(hasher);
            match self.nodes.get(child).map(|node| &**node) {
                Some(Node::File(file)) => file.durable.hash_into(hasher),
                Some(Node::Symlink(target)) => target.hash(hasher),
                Some(Node::Dir(_)) => {
                    b'/'.hash(hasher);
                    self.digest_dir(*child, hasher);
                    b'.'.hash(hasher);
                }
                None => {}
            }
        }
    }
}
