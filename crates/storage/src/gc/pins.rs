//! Files that snapshots hold by name: [`Pins`]. gc asks it before each unlink.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::snapshot::keep::Cut;

/// A file and its length.
pub(crate) type Held = (PathBuf, u64);

/// The files of snapshots, each path once however many snapshots name it.
#[derive(Default)]
pub(crate) struct Pins {
    by_snapshot: HashMap<String, Pinned>,
    /// Files that snapshots name together, by the file that lists them.
    lists: HashMap<Arc<str>, List>,
    /// How many snapshots and lists name a file, and its length.
    files: HashMap<Arc<Path>, (u32, u64)>,
}

/// What one snapshot holds.
#[derive(Default, Clone)]
struct Pinned {
    files: Vec<Arc<Path>>,
    lists: Vec<Arc<str>>,
}

struct List {
    holders: u32,
    files: Vec<Arc<Path>>,
}

/// A snapshot that is released, or needs no longer what it held before it settled. Its files stay pinned while somebody reads
/// it.
pub(crate) struct Released {
    pub id: String,
    pub cut: Option<Cut>,
}

impl Pins {
    /// Returns whether the files of a snapshot are known.
    pub fn has(&self, id: &str) -> bool {
        self.by_snapshot.contains_key(id)
    }

    /// Returns whether the files of a list are known, because a snapshot holds them.
    pub fn has_list(&self, list: &str) -> bool {
        self.lists.contains_key(list)
    }

    /// Notes files of a snapshot, beside those that it holds already.
    pub fn add(&mut self, id: &str, files: impl IntoIterator<Item = Held>) {
        let files = self.count(files);
        self.by_snapshot.entry(id.to_owned()).or_default().files.extend(files);
    }

    /// Notes that a snapshot holds the files of a list; they count only where the list is not known yet.
    pub fn add_list(&mut self, id: &str, list: &str, files: impl IntoIterator<Item = Held>) {
        let name: Arc<str> = self.lists.get_key_value(list).map_or_else(|| list.into(), |(known, _)| known.clone());
        if let Some(known) = self.lists.get_mut(list) {
            known.holders += 1;
        } else {
            let files = self.count(files);
            self.lists.insert(name.clone(), List { holders: 1, files });
        }
        self.by_snapshot.entry(id.to_owned()).or_default().lists.push(name);
    }

    /// Lets one snapshot hold what another one does. Returns false when that is not known.
    pub fn add_all_of(&mut self, id: &str, other: &str) -> bool {
        let Some(Pinned { files, lists }) = self.by_snapshot.get(other).cloned() else { return false };
        let files: Vec<Held> = files.iter().map(|path| (path.to_path_buf(), self.files[path].1)).collect();
        self.add(id, files);
        lists.iter().for_each(|list| self.add_list(id, list, []));
        true
    }

    /// Gives what a snapshot holds another name.
    pub fn rename(&mut self, id: &str, to: &str) {
        if let Some(pinned) = self.by_snapshot.remove(id) {
            let former = self.by_snapshot.insert(to.to_owned(), pinned);
            debug_assert!(former.is_none(), "{to} held files already");
        }
    }

    fn count(&mut self, files: impl IntoIterator<Item = Held>) -> Vec<Arc<Path>> {
        let mut paths = Vec::new();
        for (path, len_bytes) in files {
            let path = self.files.get_key_value(&*path).map_or_else(|| path.into(), |(known, _)| known.clone());
            self.files.entry(path.clone()).or_insert((0, len_bytes)).0 += 1;
            paths.push(path);
        }
        paths
    }

    /// Forgets a snapshot; returns the files that no snapshot names any more.
    pub fn remove(&mut self, id: &str) -> Vec<PathBuf> {
        let Some(Pinned { mut files, lists }) = self.by_snapshot.remove(id) else { return Vec::new() };
        for name in lists {
            let list = self.lists.get_mut(&name).expect("add_list() has made it");
            list.holders -= 1;
            if list.holders == 0 {
                files.extend(self.lists.remove(&name).map(|list| list.files).unwrap_or_default());
            }
        }
        let mut free = Vec::new();
        for path in files {
            let entry = self.files.get_mut(&path).expect("count() has counted it");
            entry.0 -= 1;
            if entry.0 == 0 {
                self.files.remove(&path);
                free.push(path.to_path_buf());
            }
        }
        free
    }

    /// Returns whether a snapshot names the file.
    pub fn holds(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Returns for each snapshot the bytes of the files that it names and `counts` says to count.
    pub fn bytes(&self, counts: impl Fn(&Path) -> bool) -> HashMap<&str, u64> {
        let bytes_of = |files: &[Arc<Path>]| -> u64 {
            files.iter().filter(|path| counts(path)).map(|path| self.files[path].1).sum()
        };
        let of_lists: HashMap<&str, u64> =
            self.lists.iter().map(|(name, list)| (&**name, bytes_of(&list.files))).collect();
        let of_snapshot =
            |pinned: &Pinned| bytes_of(&pinned.files) + pinned.lists.iter().map(|list| of_lists[&**list]).sum::<u64>();
        self.by_snapshot.iter().map(|(id, pinned)| (&**id, of_snapshot(pinned))).collect()
    }

    /// Returns the bytes of all files that snapshots name and `counts` says to count, each once.
    pub fn all_bytes(&self, counts: impl Fn(&Path) -> bool) -> u64 {
        self.files.iter().filter(|(path, _)| counts(path)).map(|(_, (_, len_bytes))| len_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Held> {
        names.iter().map(|n| (PathBuf::from(n), 10)).collect()
    }

    #[test]
    fn a_file_is_free_when_the_last_snapshot_that_names_it_is_gone() {
        let mut pins = Pins::default();
        pins.add("one", files(&["a", "b"]));
        pins.add("two", files(&["b", "c"]));
        assert!(pins.holds(Path::new("b")) && !pins.holds(Path::new("d")));
        assert_eq!(pins.remove("one"), [PathBuf::from("a")]);
        assert!(!pins.holds(Path::new("a")) && pins.holds(Path::new("b")));
        assert_eq!(pins.bytes(|_| true)["two"], 20);
        assert_eq!(pins.remove("two").len(), 2);
        assert!(!pins.holds(Path::new("c")) && !pins.has("two"));
    }

    #[test]
    fn the_files_of_a_list_are_free_when_its_last_holder_is_gone() {
        let mut pins = Pins::default();
        pins.add("one", files(&["base 1"]));
        pins.add_list("one", "list", files(&["a", "b"]));
        assert!(pins.add_all_of("two", "one") && !pins.add_all_of("three", "none"));
        pins.add_list("three", "list", files(&["what is said later does not count"]));
        assert_eq!((pins.bytes(|_| true)["three"], pins.bytes(|path| path != Path::new("b"))["two"]), (20, 20));
        assert!(pins.remove("one").is_empty());
        assert_eq!(pins.remove("two"), [PathBuf::from("base 1")]);
        pins.rename("three", "four");
        assert!(pins.holds(Path::new("a")) && pins.has_list("list") && !pins.has("three"));
        assert_eq!(pins.remove("four").len(), 2);
        assert!(!pins.has_list("list"));
    }
}
