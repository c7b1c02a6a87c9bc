//! What a restore leaves behind, as far as it can be read: a courtesy to the operator. A fault here is no fault of the
//! restore.

use std::collections::BTreeSet;

use types::{Seq, TableId, TimelineId, TimestampUs};

use crate::Error;
use crate::layout::Disk;
use crate::log::chain::{self, Link, LogFiles};
use crate::log::{FrameKind, frame::FrameRef};
use crate::record::{self, CatalogChange, Record, ViewChange};
use crate::timeline::{self, Parent, Timeline};

/// What lies on the timeline in force that the restored state lacks.
#[derive(Default)]
pub struct LeftBehind {
    /// The timeline in force, if there is something on it that an undo would bring back, or it cannot be told.
    pub timeline: Option<TimelineId>,
    /// Tells of commits; `None` when there are none to be seen.
    pub sentence: Option<String>,
    /// Above every id of a table that was made there.
    pub next_table: u64,
}

/// Looks at the timeline in force, from where it and the restored timeline part. One that a restore made and no start has
/// served is another try: what that one left is what this one leaves.
pub fn look(disk: &Disk, to: TimelineId, seq: Seq, time_us: i64) -> LeftBehind {
    let ids = timeline::list(disk).unwrap_or_default();
    // A file that was not written whole is none.
    let lines = ids.into_iter().rev().map(|id| (id, timeline::read(disk, id)));
    let mut lines = lines.filter(|(_, line)| !matches!(line, Err(Error::Corrupt { .. })));
    let Some((newest, line)) = lines.next() else { return LeftBehind::default() };
    let in_force = line.ok().and_then(|(line, _)| left_by_a_try(disk, &line)).unwrap_or(newest);
    let mut seen = Seen::default();
    if read(disk, in_force, to, seq, &mut seen).is_none() {
        return LeftBehind { timeline: Some(in_force), sentence: None, next_table: seen.next_table };
    }
    let sentence = (seen.commits > 0).then(|| {
        format!(
            "going back from seq {} ({}) to {seq} ({}): {} commits of {} tables are left behind on timeline {in_force}",
            seen.last,
            TimestampUs(seen.last_us),
            TimestampUs(time_us),
            seen.commits,
            seen.tables.len(),
        )
    });
    LeftBehind { timeline: seen.anything.then_some(in_force), sentence, next_table: seen.next_table }
}

fn left_by_a_try(disk: &Disk, line: &Timeline) -> Option<TimelineId> {
    let is_of_restore = line.parent.as_ref().is_some_and(Parent::is_of_restore);
    let is_unserved = LogFiles::list(disk).ok()?.of_timeline(line.timeline).is_empty();
    line.left.filter(|_| is_of_restore && is_unserved)
}

/// Reads the frames that the restored state lacks. `None`: a file cannot be read, so there may be more.
fn read(disk: &Disk, in_force: TimelineId, to: TimelineId, seq: Seq, seen: &mut Seen) -> Option<()> {
    let files = LogFiles::list(disk).ok()?;
    let there: Vec<_> = timeline::history_of(disk, to).ok()?.lineage().collect();
    let end_of = |id| there.iter().find(|(t, _)| *t == id).map(|(_, end)| (*end).min(seq));
    let mut lines = Vec::new();
    for (id, end) in timeline::history_of(disk, in_force).ok()?.lineage() {
        let common = end_of(id);
        // Where the two part: what comes first of the ends that each of them lets count.
        lines.push((id, common.unwrap_or(Seq::ZERO).min(end), end));
        if common.is_some() {
            break;
        }
    }
    for (id, after, end) in lines.into_iter().rev() {
        seen.last = seen.last.max(after);
        for name in files.of_timeline(id) {
            let path = files.path(disk, name)?;
            let Some(header) = chain::read_header(&disk.env, &path).ok()? else { continue };
            let link = Link { name, path, header, end: None };
            // The tail may be torn: what was read before it counts.
            let _ = chain::replay(disk, &link, Seq::ZERO, |frame| {
                if frame.seq <= end {
                    seen.frame(frame);
                }
                Ok(())
            });
        }
    }
    Some(())
}

#[derive(Default)]
struct Seen {
    last: Seq,
    last_us: i64,
    commits: u64,
    tables: BTreeSet<TableId>,
    next_table: u64,
    /// There are changes of tables, of views or of snapshots.
    anything: bool,
}

impl Seen {
    fn frame(&mut self, frame: FrameRef<'_>) {
        if frame.kind != FrameKind::Commit || frame.seq <= self.last {
            return;
        }
        let Ok(records) = record::decode(frame.payload) else { return };
        let tables: Vec<TableId> = records.iter().filter_map(changed_table).collect();
        let of_snapshots = records.iter().any(|r| matches!(r, Record::Cut(_) | Record::Stand { .. }));
        self.anything |= of_snapshots || !tables.is_empty();
        if !tables.is_empty() {
            (self.last, self.last_us) = (frame.seq, frame.commit_us);
            self.commits += 1;
            self.next_table = tables.iter().map(|id| id.0 + 1).fold(self.next_table, u64::max);
            self.tables.extend(tables);
        }
    }
}

/// The table, or view, whose content a record changes; edits by flush only move rows.
fn changed_table(record: &Record) -> Option<TableId> {
    match record {
        Record::Rows(rows) if rows.batch.rows > 0 => Some(rows.table),
        Record::Adopt(adopted) => Some(adopted.says.table),
        Record::Edit(edit) if !edit.cause.only_moves() => Some(edit.table),
        Record::Catalog(
            CatalogChange::Create { table, .. }
            | CatalogChange::Drop { table }
            | CatalogChange::SetAside { table, .. }
            | CatalogChange::Undrop { table, .. }
            | CatalogChange::Rename { table, .. }
            | CatalogChange::Alter { table, .. }
            | CatalogChange::Truncate { table },
        )
        | Record::View(ViewChange::Set { view: table, .. } | ViewChange::Drop { view: table }) => Some(*table),
        _ => None,
    }
}
