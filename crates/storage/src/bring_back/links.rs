//! Second names for many files, given by two workers at once: [`Links`].
//!
//! A file system gives names in one directory one after the other, so many files get theirs in two. A worker gives those of
//! its own directory, then helps the other one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::env::Fs;
use crate::{Error, Result};

/// Directories in a table's directory that hold second names of another state's segments, of all partitions: one or two to
/// make and to sync, however many there are.
pub(super) const DIRS: [&str; 2] = ["_linked", "_linked2"];
/// So many files are given their names by one worker.
const MOST_OF_ONE: usize = 512;
/// Files that a worker takes at once.
const PIECE: usize = 64;

/// Files with the second names that they are to get, relative to the directories of two tables.
pub(super) struct Links {
    from: PathBuf,
    to: PathBuf,
    lanes: [Vec<(String, String)>; 2],
    next: [AtomicUsize; 2],
    failed: Mutex<Option<Error>>,
}

impl Links {
    /// Returns no links yet, of files of one table's directory into that of another.
    pub fn new(from: PathBuf, to: PathBuf) -> Links {
        Links { from, to, lanes: Default::default(), next: Default::default(), failed: Mutex::default() }
    }

    /// Returns which of [`DIRS`] the next of that many files is for.
    pub fn lane(&self, files: usize) -> usize {
        usize::from(files > MOST_OF_ONE && self.lanes[1].len() < self.lanes[0].len())
    }

    /// Notes a file and its second name.
    pub fn add(&mut self, lane: usize, existing: String, new: String) {
        self.lanes[lane].push((existing, new));
    }

    /// Returns the directories that are needed.
    pub fn dirs(&self) -> impl Iterator<Item = &'static str> {
        DIRS.into_iter().zip(&self.lanes).filter(|(_, lane)| !lane.is_empty()).map(|(dir, _)| dir)
    }

    /// Returns whether two workers are worth it.
    pub fn are_many(&self) -> bool {
        !self.lanes[1].is_empty()
    }

    /// Gives names until all are given, or one could not be: first those of the worker's own lane.
    pub fn work(&self, fs: &dyn Fs, own: usize) {
        for lane in [own, 1 - own] {
            loop {
                let start = self.next[lane].fetch_add(PIECE, Ordering::Relaxed).min(self.lanes[lane].len());
                let piece = &self.lanes[lane][start..self.lanes[lane].len().min(start + PIECE)];
                if piece.is_empty() || self.failure().is_some() {
                    break;
                }
                if let Err((new, e)) = fs.hard_links(&self.from, &self.to, piece) {
                    self.failure().get_or_insert(not_linked(&new, e));
                }
            }
        }
    }

    /// Returns whether all names were given.
    pub fn outcome(self) -> Result<()> {
        self.failed.into_inner().expect("no holder of this lock panics").map_or(Ok(()), Err)
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failed.lock().expect("no holder of this lock panics")
    }
}

/// Returns why a file did not get its second name, with what to do where it never will.
pub(super) fn not_linked(new: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::CrossesDevices => Error::Unavailable(format!(
            "{}: the files of then lie on another file system, and hard links to them cannot leave it: copy the snapshot \
             (stillpoint snapshot copy) and restore it into a root of its own",
            new.display()
        )),
        _ => Error::io(new)(error),
    }
}
