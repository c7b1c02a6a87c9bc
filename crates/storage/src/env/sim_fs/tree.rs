//! What operators and copy tools do to a simulated machine: [`CopyTree`] and the helpers of [`SimFs`].
//!
//! These are other programs: their calls are not numbered, meet no fault and sync nothing
//! ([`SimFs::sync_all`] does). Mistakes of the caller panic: only tests come here.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::super::fs::FileKind;
use super::super::rng::SeededRng;
use super::SimFs;
use super::machine::{Machine, Node};

/// How a tree is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// New inodes, as `cp -a` and `rsync` make them. An existing target file is overwritten in place.
    Copy,
    /// Further names for the same inodes, as `cp -al` and `rsync --link-dest` make them.
    HardLink,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub kind: FileKind,
    pub inode: u64,
    pub len_bytes: u64,
    /// Hash of a file's bytes or a link's target; 0 for a directory.
    pub hash: u64,
}

/// A copy in progress. Each step copies one piece, so that others can act between the steps.
pub struct CopyTree {
    fs: SimFs,
    from: PathBuf,
    to: PathBuf,
    mode: CopyMode,
    excluded: Vec<PathBuf>,
    rng: SeededRng,
    /// What is left to do; the last comes first.
    todo: Vec<Piece>,
    vanished: Vec<PathBuf>,
}

enum Piece {
    Entry(PathBuf),
    /// The file's bytes from an offset on, from the inode that was opened.
    Bytes {
        source: u64,
        target: u64,
        offset: u64,
    },
}

/// Bytes that a copy tool reads at once.
const CHUNK_BYTES: usize = 64 * 1024;

impl CopyTree {
    /// Copies one directory entry or one chunk; returns false when there is nothing left to do.
    pub fn step(&mut self) -> bool {
        let Some(piece) = self.todo.pop() else { return false };
        match piece {
            Piece::Entry(path) => self.copy_entry(&path),
            Piece::Bytes { source, target, offset } => self.copy_bytes(source, target, offset),
        }
        true
    }

    /// Copies all that is left and returns the paths that vanished in between (a tool would exit with an error).
    pub fn finish(mut self) -> Vec<PathBuf> {
        while self.step() {}
        self.vanished
    }

    /// Returns the paths that were listed and gone when their turn came.
    pub fn vanished(&self) -> &[PathBuf] {
        &self.vanished
    }

    fn copy_entry(&mut self, path: &Path) {
        let fs = self.fs.clone();
        let mut machine = fs.machine();
        let source = self.from.join(path);
        let target = if path.as_os_str().is_empty() { self.to.clone() } else { self.to.join(path) };
        let Ok(inode) = machine.resolve_link(&source) else {
            self.vanished.push(source);
            return;
        };
        match machine.kind(inode) {
            FileKind::Dir => {
                make_dir(&mut machine, &target);
                let mut names: Vec<_> = machine.dir(inode).expect("a directory").volatile.keys().cloned().collect();
                // A file system returns names in an order of its own.
                for i in (1..names.len()).rev() {
                    names.swap(i, self.rng.below(i as u64 + 1) as usize);
                }
                let paths = names.into_iter().map(|name| path.join(name));
                self.todo.extend(paths.filter(|p| !self.excluded.contains(p)).map(Piece::Entry));
            }
            FileKind::File if self.mode == CopyMode::HardLink => {
                let (dir, name) = machine.resolve_parent(&target).expect("made before");
                machine.link(dir, &name, inode).expect("a hard-link copy goes into an empty place");
            }
            FileKind::File => {
                let copy = file_at(&mut machine, &target);
                machine.set_len(copy, 0);
                self.todo.push(Piece::Bytes { source: inode, target: copy, offset: 0 });
            }
            _ => {
                let node = (*machine.nodes[&inode]).clone();
                let (dir, name) = machine.resolve_parent(&target).expect("made before");
                machine.add_entry(dir, &name, node).expect("a link is copied into an empty place");
            }
        }
    }

    fn copy_bytes(&mut self, source: u64, target: u64, offset: u64) {
        let mut machine = self.fs.machine();
        let mut chunk = vec![0; CHUNK_BYTES];
        let got = machine.file(source).expect("it was opened").volatile.read_at(offset, &mut chunk);
        if got > 0 {
            let written = machine.write(target, offset, &chunk[..got]).expect("the copy has space");
            assert_eq!(written, got, "the copy has space");
            self.todo.push(Piece::Bytes { source, target, offset: offset + got as u64 });
        }
    }
}

impl SimFs {
    /// Begins a copy of what lies below `from`; `to` is made, or filled up when it is there. `excluded` are paths
    /// relative to `from`.
    pub fn copy_tree(&self, from: &Path, to: &Path, mode: CopyMode, excluded: &[&str], seed: u64) -> CopyTree {
        CopyTree {
            fs: self.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            mode,
            excluded: excluded.iter().map(PathBuf::from).collect(),
            rng: SeededRng::new(seed),
            todo: vec![Piece::Entry(PathBuf::new())],
            vanished: Vec::new(),
        }
    }

    /// Makes a directory and those above it, where they are missing.
    pub fn make_dirs(&self, path: &Path) {
        let mut machine = self.machine();
        for dir in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            make_dir(&mut machine, dir);
        }
    }

    /// Gives a file these bytes, making it when it is missing.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) {
        let mut machine = self.machine();
        let inode = file_at(&mut machine, path);
        machine.set_len(inode, 0);
        let written = machine.write(inode, 0, bytes).expect("there is space");
        assert_eq!(written, bytes.len(), "there is space");
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &Path, path: &Path) {
        let mut machine = self.machine();
        let (dir, name) = machine.resolve_parent(path).expect("the directory exists");
        machine.add_entry(dir, &name, Node::Symlink(target.to_owned())).expect("the name is free");
    }

    /// Inverts one bit of a file.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        let mut machine = self.machine();
        let inode = machine.resolve(path).expect("the file exists");
        let mut found = [0];
        let got = machine.file(inode).expect("it is a file").volatile.read_at(byte, &mut found);
        assert_eq!(got, 1, "{} is shorter than {byte}", path.display());
        machine.write(inode, byte, &[found[0] ^ (1 << bit)]).expect("the place is taken already");
    }

    /// Cuts or extends a file.
    pub fn truncate_file(&self, path: &Path, len_bytes: u64) {
        let mut machine = self.machine();
        let inode = machine.resolve(path).expect("the file exists");
        machine.set_len(inode, len_bytes);
    }

    /// Removes a file, a link, or a directory with all that is below it.
    pub fn remove(&self, path: &Path) {
        let mut machine = self.machine();
        remove_below(&mut machine, path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Makes everything durable, as `sync` does.
    pub fn sync_all(&self) {
        self.machine().sync_all();
    }

    /// Returns the paths of the regular files below a directory, relative to it and sorted.
    pub fn files_below(&self, dir: &Path) -> Vec<PathBuf> {
        let files = self.tree_digest(dir).into_iter().filter(|(_, entry)| entry.kind == FileKind::File);
        files.map(|(path, _)| path).collect()
    }

    /// Returns what stands below a directory, by paths relative to it.
    pub fn tree_digest(&self, dir: &Path) -> BTreeMap<PathBuf, TreeEntry> {
        let machine = self.machine();
        let mut found = BTreeMap::new();
        digest_below(&machine, dir, Path::new(""), &mut found);
        found
    }

    /// Returns the bytes of a file without a numbered call.
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let machine = self.machine();
        let inode = machine.resolve(path).ok()?;
        Some(machine.file(inode).ok()?.volatile.to_vec())
    }

    /// Returns whether another process holds the lock of a directory.
    pub fn is_locked(&self, dir: &Path) -> bool {
        let machine = self.machine();
        machine.resolve(dir).is_ok_and(|inode| machine.locks.contains_key(&inode))
    }
}

fn make_dir(machine: &mut Machine, path: &Path) {
    if machine.resolve(path).is_err() {
        let (dir, name) = machine.resolve_parent(path).expect("the directory above exists");
        machine.add_entry(dir, &name, Node::new_dir()).expect("the name is free");
    }
}

fn file_at(machine: &mut Machine, path: &Path) -> u64 {
    match machine.resolve(path) {
        Ok(inode) => inode,
        Err(_) => {
            let (dir, name) = machine.resolve_parent(path).expect("the directory exists");
            machine.add_entry(dir, &name, Node::new_file()).expect("the name is free")
        }
    }
}

fn remove_below(machine: &mut Machine, path: &Path) -> io::Result<()> {
    let inode = machine.resolve_link(path)?;
    if machine.kind(inode) == FileKind::Dir {
        let names: Vec<String> = machine.dir(inode)?.volatile.keys().cloned().collect();
        for name in names {
            remove_below(machine, &path.join(name))?;
        }
    }
    let (dir, name) = machine.resolve_parent(path)?;
    machine.remove_entry(dir, &name);
    Ok(())
}

fn digest_below(machine: &Machine, dir: &Path, relative: &Path, found: &mut BTreeMap<PathBuf, TreeEntry>) {
    let Ok(inode) = machine.resolve(&dir.join(relative)) else { return };
    let Ok(node) = machine.dir(inode) else { return };
    for (name, inode) in &node.volatile {
        let path = relative.join(name);
        let mut hasher = DefaultHasher::new();
        let (len_bytes, hash) = match &*machine.nodes[inode] {
            Node::File(file) => {
                file.volatile.hash_into(&mut hasher);
                (file.volatile.len_bytes(), hasher.finish())
            }
            Node::Symlink(target) => {
                hasher.write(target.as_os_str().as_encoded_bytes());
                (0, hasher.finish())
            }
            Node::Dir(_) => (0, 0),
        };
        let kind = machine.kind(*inode);
        found.insert(path.clone(), TreeEntry { kind, inode: *inode, len_bytes, hash });
        if kind == FileKind::Dir {
            digest_below(machine, dir, &path, found);
        }
    }
}
