//! Timelines: which history of Seqs is in force, and where each left its parent.
//!
//! A timeline file is written by the first start, by a start in another place and by a restore; it is the one thing
//! that is published without the log. The highest number is the history; a parent beyond the Seq where it was left
//! is never read. Page: `docs/format/timeline.md`.

use serde::{Deserialize, Serialize};
use types::{Seq, TimelineId};

use crate::document;
use crate::layout::{Disk, LogName, list_or_none};
use crate::log::chain::LogFiles;
use crate::snapshot::{FileRef, Pin};
use crate::{Error, Result};

/// Version of the timeline's format. Version 1 has neither `left` nor `restored`.
pub const TIMELINE_FORMAT_VERSION: u32 = 2;

/// Content of `db/_timeline/<timeline>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    pub format: u32,
    pub database_id: String,
    pub timeline: TimelineId,
    pub created_us: i64,
    /// `None` for the first timeline of a database.
    pub parent: Option<Parent>,
    /// The timeline that was in force when a restore made this one, if it held more than what was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<TimelineId>,
}

/// Where a timeline leaves its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub timeline: TimelineId,
    /// The last Seq that both share.
    pub seq: Seq,
    /// Base from which that state is recovered, until this timeline has one of its own.
    pub base: Option<FileRef>,
    /// Log file that holds the frame `seq`, and how much of it counts; none when the parent had no log.
    pub last_log: Option<LastLog>,
    /// Table ids below this were seen in the root.
    pub next_table: u64,
    /// The snapshot that a restore served; with it every snapshot of the parent counts as released but those in `kept`.
    pub served_snapshot: Option<String>,
    /// A restore that served no snapshot made the timeline; what is said of snapshots above and below holds as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// Ids of kept snapshots that go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

impl Parent {
    /// Returns whether a restore made the timeline: before it another state than the one at the branch point was in force.
    pub fn is_of_restore(&self) -> bool {
        self.served_snapshot.is_some() || self.restored
    }
}

/// End of the parent's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLog {
    pub file: String,
    pub used_bytes: u64,
}

impl LastLog {
    /// Returns the file's name.
    pub fn name(&self) -> Option<LogName> {
        self.file.parse().ok()
    }
}

/// The timeline in force and its ancestors.
#[derive(Debug, Clone)]
pub struct History {
    /// Newest first; each is the parent of the one before.
    lines: Vec<Timeline>,
    /// The files of `lines`, oldest first, as a pin names them.
    files: Vec<FileRef>,
}

impl History {
    /// Returns the history of a database that has just begun.
    pub fn begin(first: Timeline, bytes: &[u8]) -> History {
        History { files: vec![file_ref(first.timeline, bytes)], lines: vec![first] }
    }

    /// Returns the history that goes on with a new timeline, whose parent is the current one or an ancestor.
    pub fn continued(&self, next: Timeline, bytes: &[u8]) -> History {
        let parent = next.parent.as_ref().map(|p| p.timeline);
        let skip = self.lines.iter().position(|l| Some(l.timeline) == parent).unwrap_or(self.lines.len());
        let mut files = self.files[..self.files.len() - skip].to_vec();
        files.push(file_ref(next.timeline, bytes));
        let mut lines = vec![next];
        lines.extend_from_slice(&self.lines[skip..]);
        History { lines, files }
    }

    /// Returns the timeline in force.
    pub fn current(&self) -> &Timeline {
        &self.lines[0]
    }

    /// Returns the timelines, newest first, each with the Seq where its child left it; `None`: it is in force.
    pub fn lines(&self) -> impl Iterator<Item = (&Timeline, Option<Seq>)> {
        let left = self.lines.iter().map(|child| child.parent.as_ref().map(|parent| parent.seq));
        self.lines.iter().zip(std::iter::once(None).chain(left))
    }

    /// Returns the files of all timelines of the history, oldest first.
    pub fn files(&self) -> &[FileRef] {
        &self.files
    }

    /// Returns the branch points of restores: behind each of these Seqs no snapshot of the parent is open.
    pub fn restores(&self) -> impl Iterator<Item = &Parent> {
        self.lines.iter().filter_map(|l| l.parent.as_ref()).filter(|p| p.is_of_restore())
    }

    /// Returns the timelines, newest first, each with the last Seq of it that counts; of the newest all do.
    pub fn lineage(&self) -> impl Iterator<Item = (TimelineId, Seq)> {
        self.lines().map(|(line, left)| (line.timeline, left.unwrap_or(Seq(u64::MAX))))
    }

    /// Returns whether a kept snapshot of this timeline or an ancestor went on up to a later cut of this one.
    pub fn goes_on(&self, pin: &Pin, cut: Seq) -> bool {
        let mut end = cut;
        for line in &self.lines {
            if line.timeline == pin.timeline {
                return pin.seq < end;
            }
            let Some(parent) = &line.parent else { return false };
            if parent.is_of_restore() && !parent.kept.contains(&pin.id) {
                return false;
            }
            end = parent.seq.next();
        }
        false
    }

    /// Returns the least id that a new table may get as far as branch points know.
    pub fn next_table(&self) -> u64 {
        self.lines.iter().filter_map(|l| l.parent.as_ref()).map(|p| p.next_table).max().unwrap_or(0)
    }
}

fn file_ref(timeline: TimelineId, bytes: &[u8]) -> FileRef {
    document::reference(format!("_timeline/{timeline}.json"), bytes)
}

/// Publishes a timeline. Durable when this returns.
pub fn publish(disk: &Disk, timeline: &Timeline) -> Result<Vec<u8>> {
    let bytes = document::encode(timeline);
    let path = disk.layout.timeline().join(format!("{}.json", timeline.timeline));
    document::write(&disk.env, &path, &bytes)?;
    disk.env.fs.sync_dir(&disk.layout.timeline()).map_err(Error::io(&disk.layout.timeline()))?;
    Ok(bytes)
}

/// Returns the names of timeline files that lie in the root.
pub fn list(disk: &Disk) -> Result<Vec<TimelineId>> {
    let dir = disk.layout.timeline();
    let entries = list_or_none(disk, &dir)?;
    let mut ids: Vec<TimelineId> = entries.iter().filter_map(|e| e.name.strip_suffix(".json")?.parse().ok()).collect();
    ids.sort();
    Ok(ids)
}

/// A timeline that a restore left, with commits that are not in the history any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub timeline: TimelineId,
    /// When it was left.
    pub left_us: i64,
    /// The timeline that the restore made, whose file says so.
    pub by: TimelineId,
}

/// Returns what restores left behind, as far as it can be read.
pub fn left_behind(disk: &Disk) -> Result<Vec<Left>> {
    let mut all = Vec::new();
    for by in list(disk)? {
        match read(disk, by) {
            Ok((line, _)) => {
                // Version 1 does not say what was in force: most often it was the snapshot's own timeline.
                let served = line.parent.as_ref().filter(|p| line.format == 1 && p.served_snapshot.is_some());
                let left = line.left.or(served.map(|p| p.timeline));
                all.extend(left.map(|timeline| Left { timeline, left_us: line.created_us, by }));
            }
            Err(e @ Error::Io { .. }) => return Err(e),
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Reads the file of a timeline.
pub fn read(disk: &Disk, id: TimelineId) -> Result<(Timeline, Vec<u8>)> {
    let (line, bytes) = read_any(disk, id)?;
    if line.timeline != id {
        let path = disk.layout.timeline().join(format!("{id}.json"));
        return Err(Error::corrupt(&path, "the timeline inside has another name"));
    }
    Ok((line, bytes))
}

fn read_any(disk: &Disk, id: TimelineId) -> Result<(Timeline, Vec<u8>)> {
    let path = disk.layout.timeline().join(format!("{id}.json"));
    let bytes = match document::read_whole(&disk.env, &path, None) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::corrupt(&path, "timeline is missing; restore a snapshot or the file"));
        }
        read => read?,
    };
    let line: Timeline = document::decode(&bytes).map_err(|why| Error::corrupt(&path, why))?;
    if !(1..=TIMELINE_FORMAT_VERSION).contains(&line.format) {
        return Err(Error::Refused(format!(
            "{} has format {}, this server reads {TIMELINE_FORMAT_VERSION}: start it with the newer server that wrote it",
            path.display(),
            line.format
        )));
    }
    Ok((line, bytes))
}

/// Returns the history that a timeline ends, whether it is in force or not.
pub fn history_of(disk: &Disk, id: TimelineId) -> Result<History> {
    let (line, bytes) = read(disk, id)?;
    ancestors(disk, line, &bytes)
}

/// Returns the history in force: that of the highest timeline, or `None` in a root that has none yet.
///
/// A file whose checksum is wrong is passed over if nothing was ever written on it (its publishing was cut short).
///
/// # Errors
/// [`Error::Corrupt`] when a timeline that counts is damaged or its parent is missing; [`Error::Refused`] when two
/// timelines have the highest number.
pub fn history(disk: &Disk, files: &LogFiles) -> Result<Option<History>> {
    history_among(disk, files, list(disk)?)
}

/// Returns the history that was in force when a timeline was published: what [`history`] returned without it.
///
/// # Errors
/// As of [`history`].
pub fn history_before(disk: &Disk, files: &LogFiles, published: TimelineId) -> Result<Option<History>> {
    let mut ids = list(disk)?;
    ids.retain(|id| id.number < published.number);
    history_among(disk, files, ids)
}

fn history_among(disk: &Disk, files: &LogFiles, mut ids: Vec<TimelineId>) -> Result<Option<History>> {
    while let Some(id) = ids.pop() {
        match read_any(disk, id) {
            Ok((timeline, bytes)) => {
                if timeline.timeline != id {
                    let path = disk.layout.timeline().join(format!("{id}.json"));
                    return Err(Error::corrupt(&path, "the timeline inside has another name"));
                }
                if let Some(twin) = ids.iter().find(|other| other.number == id.number) {
                    return Err(Error::Refused(format!(
                        "db/_timeline holds two timelines of number {}, {twin} and {id}: two copies lie in one root; \
                         empty the root and put back one copy",
                        id.number
                    )));
                }
                return ancestors(disk, timeline, &bytes).map(Some);
            }
            Err(Error::Corrupt { .. }) if files.of_timeline(id).is_empty() => {}
            Err(why) => return Err(why),
        }
    }
    Ok(None)
}

fn ancestors(disk: &Disk, newest: Timeline, bytes: &[u8]) -> Result<History> {
    let mut files = vec![file_ref(newest.timeline, bytes)];
    let mut lines = vec![newest];
    while let Some(parent) = lines.last().and_then(|l| l.parent.as_ref()) {
        let (line, bytes) = read(disk, parent.timeline)?;
        if line.timeline.number >= lines[lines.len() - 1].timeline.number {
            let path = disk.layout.timeline().join(format!("{}.json", parent.timeline));
            return Err(Error::corrupt(&path, "the timeline inside is not the parent that its child names"));
        }
        files.push(file_ref(line.timeline, &bytes));
        lines.push(line);
    }
    files.reverse();
    Ok(History { lines, files })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::Env;
    use crate::env::clock::ManualClock;
    use crate::env::rng::SeededRng;
    use crate::env::sim_fs::SimFs;
    use crate::layout::Layout;

    const fn id(number: u32) -> TimelineId {
        TimelineId { number, tag: number }
    }

    /// Returns a history of three timelines, each of which leaves the one before at Seq 10 in the way that is said.
    fn history(second: impl Fn(&mut Parent), third: impl Fn(&mut Parent)) -> History {
        let line = |number: u32, leave: Option<&dyn Fn(&mut Parent)>| {
            let parent = leave.map(|leave| {
                let mut parent = Parent {
                    timeline: id(number - 1),
                    seq: Seq(10),
                    base: None,
                    last_log: None,
                    next_table: u64::from(number),
                    served_snapshot: None,
                    restored: false,
                    kept: Vec::new(),
                };
                leave(&mut parent);
                parent
            });
            Timeline {
                format: TIMELINE_FORMAT_VERSION,
                database_id: String::new(),
                timeline: id(number),
                created_us: 0,
                parent,
                left: None,
            }
        };
        let history = History::begin(line(1, None), b"1");
        history.continued(line(2, Some(&second)), b"2").continued(line(3, Some(&third)), b"3")
    }

    fn pin(timeline: u32, seq: u64) -> Pin {
        crate::snapshot::pin::tests::kept_pin(id(timeline), Seq(seq))
    }

    #[test]
    fn a_kept_snapshot_goes_on_over_a_restore_or_an_undo_that_says_so_and_over_a_move() {
        let plain = |_: &mut Parent| {};
        let served = |parent: &mut Parent| parent.served_snapshot = Some("default".to_owned());
        let undone = |parent: &mut Parent| parent.restored = true;
        let with_it = |parent: &mut Parent| parent.kept = vec!["a".to_owned()];
        assert!(history(plain, plain).goes_on(&pin(1, 10), Seq(99)));
        for restore in [&served as &dyn Fn(&mut Parent), &undone] {
            let keeping = |parent: &mut Parent| {
                restore(parent);
                with_it(parent);
            };
            assert!(!history(restore, plain).goes_on(&pin(1, 5), Seq(99)));
            assert!(!history(plain, restore).goes_on(&pin(1, 5), Seq(99)));
            assert!(!history(keeping, restore).goes_on(&pin(1, 5), Seq(99)));
            assert!(!history(restore, keeping).goes_on(&pin(1, 5), Seq(99)));
            assert!(history(keeping, keeping).goes_on(&pin(1, 5), Seq(99)));
            assert!(history(restore, keeping).goes_on(&pin(2, 5), Seq(99)), "it is younger than the first restore");
            assert_eq!(history(restore, plain).restores().count(), 1);
        }
    }

    #[test]
    fn a_kept_snapshot_of_behind_a_branch_or_of_another_history_does_not_go_on() {
        let history = history(|_| {}, |_| {});
        assert!(!history.goes_on(&pin(2, 11), Seq(99)), "it was taken after the timeline was left");
        assert!(history.goes_on(&pin(3, 11), Seq(12)) && !history.goes_on(&pin(3, 12), Seq(12)));
        assert!(!history.goes_on(&pin(4, 1), Seq(99)));
        assert_eq!(history.next_table(), 3);
        let ends: Vec<_> = history.lineage().map(|(line, end)| (line.number, end)).collect();
        assert_eq!(ends, [(3, Seq(u64::MAX)), (2, Seq(10)), (1, Seq(10))]);
    }

    fn disk_with(files: &[(TimelineId, &Timeline)]) -> Disk {
        let fs = SimFs::new(1);
        let layout = Layout::new(Path::new("/root"));
        fs.make_dirs(&layout.timeline());
        for (name, timeline) in files {
            fs.write_file(&layout.timeline().join(format!("{name}.json")), &document::encode(timeline));
        }
        let env = Env::in_turn(Arc::new(fs), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
        Disk { env, layout, planted: None }
    }

    fn why(disk: &Disk) -> String {
        let found = super::history(disk, &LogFiles::default());
        found.map(|history| history.map(|h| h.current().timeline)).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_timeline_whose_name_or_parent_is_not_what_it_says_is_refused_by_the_name_of_its_file() {
        let lines = history(|_| {}, |_| {}).lines;
        let [third, second, first] = [&lines[0], &lines[1], &lines[2]];
        let good = disk_with(&[(id(1), first), (id(2), second), (id(3), third)]);
        let found = super::history(&good, &LogFiles::default()).expect("it is whole").expect("it is there");
        assert_eq!((found.current().timeline, found.files().len()), (id(3), 3));

        let renamed = disk_with(&[(id(1), first), (id(2), second), (id(4), third)]);
        let detail = why(&renamed);
        assert!(detail.contains(&format!("{}.json", id(4))) && detail.contains("has another name"), "{detail}");
        let parent_renamed = disk_with(&[(id(1), second), (id(2), second)]);
        let detail = why(&parent_renamed);
        assert!(detail.contains(&format!("{}.json", id(1))) && detail.contains("has another name"), "{detail}");
        let detail = why(&disk_with(&[(id(3), third)]));
        assert!(detail.contains(&format!("{}.json", id(2))) && detail.contains("missing"), "{detail}");

        let mut circle = second.clone();
        circle.parent.as_mut().expect("it has one").timeline = id(2);
        let detail = why(&disk_with(&[(id(2), &circle)]));
        assert!(detail.contains("not the parent that its child names"), "{detail}");
        let newer = Timeline { format: TIMELINE_FORMAT_VERSION + 1, ..first.clone() };
        let detail = why(&disk_with(&[(id(1), &newer)]));
        assert!(detail.contains("start it with the newer server"), "{detail}");
        assert!(why(&disk_with(&[(id(1), &Timeline { format: 0, ..first.clone() })])).contains("format 0"));

        let twin = TimelineId { number: 1, tag: 9 };
        let detail = why(&disk_with(&[(id(1), first), (twin, &Timeline { timeline: twin, ..first.clone() })]));
        assert!(detail.contains("two copies lie in one root"), "{detail}");
    }
}
