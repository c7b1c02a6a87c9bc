//! Files that snapshots hold by name: [`Pins`]. gc asks it before each unlink.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::snapshot::keep::Cut;

/// The files of snapshots, each path once however many snapshots name it.
#[derive(Default)]
pub(crate) struct Pins {
    by_snapshot: HashMap<String, Vec<Arc<Path>>>,
    /// How many snapshots name a file, and its length.
    files: HashMap<Arc<Path>, (u32, u64)>,
}

/// A snapshot that is released; its files stay pinned while somebody reads it.
pub(crate) struct Released {
    pub id: String,
    pub cut: Option<Cut>,
}

impl Pins {
    /// Returns whether the files of a snapshot are known.
    pub fn has(&self, id: &str) -> bool {
        self.by_snapshot.contains_key(id)
    }

    /// Notes the files of a snapshot.
    pub fn add(&mut self, id: &str, files: impl Iterator<Item = (PathBuf, u64)>) {
        let mut paths = Vec::new();
        for (path, len_bytes) in files {
            let path = self.files.get_key_value(&*path).map_or_else(|| path.into(), |(known, _)| known.clone());
            self.files.entry(path.clone()).or_insert((0, len_bytes)).0 += 1;
            paths.push(path);
        }
        self.by_snapshot.insert(id.to_owned(), paths);
    }

    /// Forgets a snapshot; returns the files that no snapshot names any more.
    pub fn remove(&mut self, id: &str) -> Vec<PathBuf> {
        let mut free = Vec::new();
        for path in self.by_snapshot.remove(id).unwrap_or_default() {
            let entry = self.files.get_mut(&path).expect("add() has counted it");
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

    /// Returns the files of a snapshot with their lengths.
    pub fn files_of(&self, id: &str) -> impl Iterator<Item = (&Path, u64)> {
        let paths = self.by_snapshot.get(id).into_iter().flatten();
        paths.map(|path| (&**path, self.files[path].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_when_the_last_snapshot_that_names_it_is_gone() {
        let mut pins = Pins::default();
        let files = |names: &[&str]| names.iter().map(|n| (PathBuf::from(n), 10)).collect::<Vec<_>>().into_iter();
        pins.add("one", files(&["a", "b"]));
        pins.add("two", files(&["b", "c"]));
        assert!(pins.holds(Path::new("b")) && !pins.holds(Path::new("d")));
        assert_eq!(pins.remove("one"), [PathBuf::from("a")]);
        assert!(!pins.holds(Path::new("a")) && pins.holds(Path::new("b")));
        assert_eq!(pins.files_of("two").map(|(_, len)| len).sum::<u64>(), 20);
        assert_eq!(pins.remove("two").len(), 2);
        assert!(!pins.holds(Path::new("c")) && !pins.has("two"));
    }
}
