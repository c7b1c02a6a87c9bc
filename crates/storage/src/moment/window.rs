//! What the restorable window holds: [`Window`], a part of what gc knows.
//!
//! The window begins at its oldest anchor. Files that left the state behind it, log files from its first one on and what
//! the anchors name stay; when the oldest anchor is given up, what only it and the frames up to the next one needed is
//! free. Knows no disk: it is told what there is, and says what may go.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use types::{Seq, TimelineId};

use super::anchor::{Anchor, Found, Target, is_before};
use crate::layout::LogName;
use crate::log::chain::LogFrom;
use crate::snapshot::keep::Cut;

/// Anchors stand no denser than this part of the retention, and a base is written when the newest is as old as another.
const ANCHORS: i64 = 256;
const BASES: i64 = 8;

/// What may be unlinked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub paths: Vec<PathBuf>,
    pub logs: Vec<LogName>,
    /// Directories that may be empty then.
    pub dirs: Vec<PathBuf>,
}

/// Files that one frame took out of the state.
struct Removed {
    files: Vec<(PathBuf, u64)>,
    dir: Option<PathBuf>,
}

struct KeptLog {
    name: LogName,
    first_seq: Seq,
    len_bytes: u64,
}

/// Somebody reads a state of the window.
struct Lease {
    id: u64,
    /// The anchor that it comes from: the window's begin does not pass it.
    anchor: Seq,
    /// `None` while it is replayed.
    cut: Option<Cut>,
}

/// What is on disk for the sake of moments that are past.
pub(crate) struct Window {
    retention_us: i64,
    max_bytes: Option<u64>,
    /// Oldest first; the last one is the newest base.
    anchors: VecDeque<(Anchor, Vec<Arc<Path>>)>,
    /// How many anchors name a file, and its length.
    named: HashMap<Arc<Path>, (u32, u64)>,
    named_bytes: u64,
    /// Log files before those that a recovery reads, oldest first.
    logs: VecDeque<KeptLog>,
    log_bytes: u64,
    /// By the Seq of the frame that took them out.
    removed: BTreeMap<Seq, Vec<Removed>>,
    removed_bytes: u64,
    /// The first moment, and its commit time.
    from: (Seq, i64),
    /// Commit times of the last frames that timelines share with their children, by the child.
    branches: HashMap<TimelineId, i64>,
    leases: Vec<Lease>,
    next_lease: u64,
}

impl Window {
    /// Returns a window that begins at the newest base, which names these files.
    pub fn new((retention_us, max_bytes): (i64, Option<u64>), newest: Anchor, files: Vec<(PathBuf, u64)>) -> Window {
        let mut window = Window {
            retention_us,
            max_bytes,
            from: (newest.seq, newest.commit_us),
            anchors: VecDeque::new(),
            named: HashMap::new(),
            named_bytes: 0,
            logs: VecDeque::new(),
            log_bytes: 0,
            removed: BTreeMap::new(),
            removed_bytes: 0,
            branches: HashMap::new(),
            leases: Vec::new(),
            next_lease: 0,
        };
        let files = window.name(files);
        window.anchors.push_back((newest, files));
        window
    }

    fn name(&mut self, files: Vec<(PathBuf, u64)>) -> Vec<Arc<Path>> {
        let mut paths = Vec::with_capacity(files.len());
        for (path, len_bytes) in files {
            let path: Arc<Path> =
                self.named.get_key_value(&*path).map_or_else(|| path.into(), |(known, _)| known.clone());
            let entry = self.named.entry(path.clone()).or_insert((0, len_bytes));
            if entry.0 == 0 {
                self.named_bytes += len_bytes;
            }
            entry.0 += 1;
            paths.push(path);
        }
        paths
    }

    /// Returns the files that no anchor names any more.
    fn unname(&mut self, paths: Vec<Arc<Path>>) -> Vec<PathBuf> {
        let mut free = Vec::new();
        for path in paths {
            let entry = self.named.get_mut(&path).expect("name() has counted it");
            entry.0 -= 1;
            if entry.0 == 0 {
                self.named_bytes -= entry.1;
                self.named.remove(&path);
                free.push(path.to_path_buf());
            }
        }
        free
    }

    /// Takes the newest base. Returns what is free because anchors must not stand too dense.
    pub fn add_base(&mut self, anchor: Anchor, files: Vec<(PathBuf, u64)>) -> Vec<PathBuf> {
        let files = self.name(files);
        self.anchors.push_back((anchor, files));
        let at = self.anchors.len() - 2;
        // The log behind a restore goes on from the snapshot's own base, also for a replay from further back.
        let goes_on_from_it = matches!(self.anchors[at].0.log, LogFrom::Behind(_));
        let is_dense = at > 0
            && !goes_on_from_it
            && self.anchors[at].0.commit_us.saturating_sub(self.anchors[at - 1].0.commit_us)
                < self.retention_us / ANCHORS
            && self.leases.iter().all(|lease| lease.anchor != self.anchors[at].0.seq);
        if !is_dense {
            return Vec::new();
        }
        let (_, files) = self.anchors.remove(at).expect("it was just looked at");
        self.unname(files)
    }

    /// Takes a log file that no recovery needs any more; they come oldest first.
    pub fn add_log(&mut self, name: LogName, first_seq: Seq, len_bytes: u64) {
        self.log_bytes += len_bytes;
        self.logs.push_back(KeptLog { name, first_seq, len_bytes });
    }

    /// Takes files that the frame of that Seq took out of the state, and the directory that may be empty without them.
    pub fn add_removed(&mut self, seq: Seq, files: Vec<(PathBuf, u64)>, dir: Option<PathBuf>) {
        self.removed_bytes += files.iter().map(|(_, len_bytes)| len_bytes).sum::<u64>();
        self.removed.entry(seq).or_default().push(Removed { files, dir });
    }

    /// Returns the anchor at the begin.
    pub fn oldest(&self) -> &Anchor {
        &self.anchors[0].0
    }

    /// Returns the anchor that the newest base is.
    pub fn newest(&self) -> &Anchor {
        &self.anchors[self.anchors.len() - 1].0
    }

    /// Takes what former runs left: anchors before the oldest and log files before the first, in their order.
    pub fn add_older(&mut self, older: Vec<Found>, logs: Vec<(LogName, Seq, u64)>) {
        for Found { anchor, files, .. } in older.into_iter().rev() {
            let files = self.name(files);
            self.anchors.push_front((anchor, files));
        }
        for (name, first_seq, len_bytes) in logs.into_iter().rev() {
            self.log_bytes += len_bytes;
            self.logs.push_front(KeptLog { name, first_seq, len_bytes });
        }
        let begin = self.oldest();
        self.from = (begin.seq, begin.commit_us);
    }

    /// Lets the window begin no earlier than at a moment.
    pub fn begin_at(&mut self, from: (Seq, i64)) {
        if from.0 > self.from.0 {
            self.from = from;
        }
    }

    /// Notes the commit time of the last frame that a timeline shares with its parent.
    pub fn add_branch(&mut self, child: TimelineId, commit_us: i64) {
        self.branches.insert(child, commit_us);
    }

    /// Returns the commit time of the last frame that a timeline shares with its parent, as far as the window knows.
    pub fn branch_us(&self, child: TimelineId, seq: Seq) -> Option<i64> {
        let anchor = self.anchors.iter().find(|(anchor, _)| anchor.seq == seq);
        self.branches.get(&child).copied().or_else(|| anchor.map(|(anchor, _)| anchor.commit_us))
    }

    /// Returns the first moment and its commit time.
    pub fn from(&self) -> (Seq, i64) {
        self.from
    }

    /// Returns the newest anchor from which a target is reached.
    pub fn anchor_for(&self, target: Target) -> Option<&Anchor> {
        self.anchors.iter().map(|(anchor, _)| anchor).rfind(|anchor| target.is_reached_from(anchor))
    }

    /// Lets nothing go that states from an anchor on need, until [`Window::give_back`] or until nobody reads what
    /// [`Window::lend`] was given.
    pub fn lease(&mut self, anchor: Seq) -> u64 {
        self.next_lease += 1;
        self.leases.push(Lease { id: self.next_lease, anchor, cut: None });
        self.next_lease
    }

    /// Says which state a lease is for.
    pub fn lend(&mut self, id: u64, cut: Cut) {
        if let Some(lease) = self.leases.iter_mut().find(|lease| lease.id == id) {
            lease.cut = Some(cut);
        }
    }

    /// Ends a lease.
    pub fn give_back(&mut self, id: u64) {
        self.leases.retain(|lease| lease.id != id);
    }

    /// Returns whether a base is due although the log has hardly grown, so that the window can move on.
    pub fn wants_base(&self, now_us: i64) -> bool {
        let newest = self.newest();
        let age_us = now_us.saturating_sub(newest.commit_us);
        let removed = self.removed.range(newest.seq.next()..).flat_map(|(_, of)| of).flat_map(|r| &r.files);
        let removed_bytes = || removed.map(|(_, len_bytes)| len_bytes).sum::<u64>();
        age_us > self.retention_us / BASES || self.max_bytes.is_some_and(|max| removed_bytes() > max / BASES as u64)
    }

    /// Gives up what is older than the retention, and what is more than the window may hold.
    pub fn advance(&mut self, now_us: i64) -> Freed {
        let until_us = now_us.saturating_sub(self.retention_us);
        let mut freed = Freed::default();
        loop {
            let is_old = self.anchors.get(1).is_some_and(|(next, _)| next.commit_us <= until_us);
            let is_much = self.max_bytes.is_some_and(|max| self.bytes() > max);
            if !(is_old || is_much) || !self.give_up_oldest(&mut freed) {
                break;
            }
        }
        self.free_removed(&mut freed);
        freed
    }

    /// Gives up the oldest moments until so many bytes are free, or none but those since the newest base are left.
    pub fn give_up(&mut self, bytes: u64) -> Freed {
        let target = self.bytes().saturating_sub(bytes);
        let mut freed = Freed::default();
        while self.bytes() > target && self.give_up_oldest(&mut freed) {}
        freed
    }

    fn give_up_oldest(&mut self, freed: &mut Freed) -> bool {
        self.leases.retain(|lease| lease.cut.as_ref().is_none_or(|cut| !cut.is_unread()));
        let oldest = self.anchors.front().map(|(anchor, _)| anchor.seq);
        if self.anchors.len() < 2 || self.leases.iter().any(|lease| Some(lease.anchor) == oldest) {
            return false;
        }
        let (_, files) = self.anchors.pop_front().expect("there are two");
        freed.paths.extend(self.unname(files));
        let Anchor { log, seq, commit_us, .. } = *self.oldest();
        self.begin_at((seq, commit_us));
        while let Some(old) = self.logs.pop_front_if(|old| is_before(old.name, log)) {
            self.log_bytes -= old.len_bytes;
            freed.logs.push(old.name);
        }
        self.free_removed(freed);
        true
    }

    /// Lets go what left the state at or before the begin.
    fn free_removed(&mut self, freed: &mut Freed) {
        let begin = self.anchors[0].0.seq;
        while let Some(entry) = self.removed.first_entry().filter(|entry| *entry.key() <= begin) {
            for Removed { files, dir } in entry.remove() {
                self.removed_bytes -= files.iter().map(|(_, len_bytes)| len_bytes).sum::<u64>();
                freed.paths.extend(files.into_iter().map(|(path, _)| path));
                freed.dirs.extend(dir);
            }
        }
    }

    /// Returns the bytes on disk that only the window needs.
    pub fn bytes(&self) -> u64 {
        let newest = self.anchors.back().map_or(&[][..], |(_, files)| files);
        let needed: u64 = newest.iter().map(|path| self.named[path].1).sum();
        self.removed_bytes + self.log_bytes + self.named_bytes.saturating_sub(needed)
    }

    /// Returns the bytes of the log and of removed files that only moments of these Seqs need.
    pub fn bytes_between(&self, from: Seq, to: Seq) -> u64 {
        let removed = self.removed.range(from.next()..to.next()).flat_map(|(_, of)| of);
        let removed: u64 = removed.flat_map(|r| &r.files).map(|(_, len_bytes)| len_bytes).sum();
        let logs = self.logs.iter().filter(|log| (from..=to).contains(&log.first_seq)).map(|log| log.len_bytes);
        removed + logs.sum::<u64>()
    }

    /// Returns the log files that only the window needs, oldest first, with the Seqs of their first frames.
    pub fn logs(&self) -> impl Iterator<Item = (LogName, Seq)> + '_ {
        self.logs.iter().map(|log| (log.name, log.first_seq))
    }

    /// Returns whether an anchor names the file.
    pub fn names(&self, path: &Path) -> bool {
        self.named.contains_key(path)
    }

    /// Returns the files of the window that are no log files.
    pub fn files(&self) -> HashSet<PathBuf> {
        let removed = self.removed.values().flatten().flat_map(|r| r.files.iter().map(|(path, _)| path.clone()));
        removed.chain(self.named.keys().map(|path| path.to_path_buf())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMELINE: TimelineId = TimelineId { number: 1, tag: 7 };

    fn log(number: u64) -> LogName {
        LogName { timeline: TIMELINE, number }
    }

    fn anchor(seq: u64, commit_us: i64, first_log: u64) -> Anchor {
        Anchor { seq: Seq(seq), commit_us, base: None, log: LogFrom::File(log(first_log)) }
    }

    fn files(names: &[&str]) -> Vec<(PathBuf, u64)> {
        names.iter().map(|name| (PathBuf::from(name), 10)).collect()
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// Bases at 0, 10 and 20 seconds, a file that left the state between each two, retention of 10 seconds.
    fn window(max_bytes: Option<u64>) -> Window {
        let mut window = Window::new((10_000_000, max_bytes), anchor(1, 0, 1), files(&["base1", "shared"]));
        window.add_removed(Seq(2), files(&["a"]), None);
        assert_eq!(window.add_base(anchor(3, 10_000_000, 2), files(&["base2", "shared"])), paths(&[]));
        window.add_log(log(1), Seq(1), 100);
        window.add_removed(Seq(4), files(&["b"]), Some("dir".into()));
        assert_eq!(window.add_base(anchor(5, 20_000_000, 3), files(&["base3", "shared"])), paths(&[]));
        window.add_log(log(2), Seq(3), 100);
        window.add_removed(Seq(6), files(&["c"]), None);
        window
    }

    #[test]
    fn what_no_moment_of_the_retention_needs_goes() {
        let mut window = window(None);
        assert_eq!(window.bytes(), 30 + 200 + 20);
        assert_eq!(window.advance(19_999_999), Freed::default());
        let freed = window.advance(20_000_000);
        assert_eq!(freed, Freed { paths: paths(&["base1", "a"]), logs: vec![log(1)], dirs: Vec::new() });
        assert_eq!(window.from(), (Seq(3), 10_000_000));
        let freed = window.advance(99_000_000);
        assert_eq!(freed, Freed { paths: paths(&["base2", "b"]), logs: vec![log(2)], dirs: paths(&["dir"]) });
        // The newest base stays, and what left the state behind it.
        assert_eq!(window.advance(i64::MAX), Freed::default());
        assert_eq!((window.from().0, window.bytes()), (Seq(5), 10));
        window.add_removed(Seq(5), files(&["late"]), None);
        assert_eq!(window.advance(99_000_000).paths, paths(&["late"]));
    }

    #[test]
    fn what_is_too_much_goes_and_what_is_read_stays() {
        let mut small = window(Some(200));
        assert_eq!(small.advance(0).logs, [log(1)]);
        let mut held = window(Some(0));
        let lease = held.lease(Seq(3));
        assert_eq!(held.advance(0).logs, [log(1)]);
        held.give_back(lease);
        assert_eq!(held.give_up(1).logs, [log(2)]);
        assert_eq!(held.bytes(), 10);
    }

    #[test]
    fn anchors_do_not_stand_too_dense() {
        let mut window = window(None);
        assert_eq!(window.add_base(anchor(7, 20_000_001, 4), files(&["base4"])), paths(&[]));
        // 20.000001 stands too near to 20 to be worth it once there is a newer one.
        assert_eq!(window.add_base(anchor(8, 20_000_002, 4), files(&["base5"])), paths(&["base4"]));
        assert_eq!(window.anchor_for(Target { seq: Seq(7), time_us: None }).map(|a| a.seq), Some(Seq(5)));
        assert_eq!(window.anchor_for(Target { seq: Seq(9), time_us: Some(20_000_001) }).map(|a| a.seq), Some(Seq(5)));
        assert!(window.anchor_for(Target { seq: Seq(0), time_us: None }).is_none());
        let own = Anchor { log: LogFrom::Behind(log(4)), ..anchor(9, 20_000_003, 4) };
        assert_eq!(window.add_base(own, files(&["own"])), paths(&["base5"]));
        assert_eq!(window.add_base(anchor(10, 20_000_004, 5), files(&["base6"])), paths(&[]));
        assert!(window.names(Path::new("own")));
    }
}
