//! What a restore leaves behind on the snapshot's timeline, as far as it can be read: a courtesy to the operator.
//! A fault here is no fault of the restore.

use std::collections::BTreeSet;

use types::{Seq, TableId, TimestampUs};

use crate::layout::{Disk, LogName};
use crate::log::chain::{self, Link, LogFiles};
use crate::log::{FrameKind, frame::FrameRef};
use crate::record::{self, CatalogChange, EditCause, Record};
use crate::snapshot::Pin;

/// Returns the sentence about commits behind the cut; `None` when there are none to be seen.
pub fn sentence(disk: &Disk, pin: &Pin) -> Option<String> {
    let files = LogFiles::list(disk).ok()?;
    let last: LogName = pin.last_log.parse().ok()?;
    let mut seen = Seen { cut: pin.seq, ..Seen::default() };
    for name in files.of_timeline(pin.timeline).into_iter().filter(|n| *n > last) {
        let path = files.path(disk, name)?;
        let Ok(Some(header)) = chain::read_header(&disk.env, &path) else { continue };
        let link = Link { name, path, header, end: None };
        // The tail may be torn: what was read before it counts.
        let _ = chain::replay(disk, &link, Seq::ZERO, |frame| {
            seen.frame(frame);
            Ok(())
        });
    }
    (seen.commits > 0).then(|| {
        format!(
            "going back from seq {} ({}) to {} ({}): {} commits of {} tables are left behind on timeline {}",
            seen.last,
            TimestampUs(seen.last_us),
            pin.seq,
            TimestampUs(pin.created_us),
            seen.commits,
            seen.tables.len(),
            pin.timeline
        )
    })
}

#[derive(Default)]
struct Seen {
    cut: Seq,
    last: Seq,
    last_us: i64,
    commits: u64,
    tables: BTreeSet<TableId>,
}

impl Seen {
    fn frame(&mut self, frame: FrameRef<'_>) {
        if frame.kind != FrameKind::Commit || frame.seq <= self.cut.max(self.last) {
            return;
        }
        let Ok(records) = record::decode(frame.payload) else { return };
        let tables: Vec<TableId> = records.iter().filter_map(changed_table).collect();
        if !tables.is_empty() {
            (self.last, self.last_us) = (frame.seq, frame.commit_us);
            self.commits += 1;
            self.tables.extend(tables);
        }
    }
}

/// The table whose content a record changes; edits by flush only move rows.
fn changed_table(record: &Record) -> Option<TableId> {
    match record {
        Record::Rows(rows) if rows.batch.rows > 0 => Some(rows.table),
        Record::Edit(edit)
            if !matches!(edit.cause, EditCause::Flush | EditCause::Compact | EditCause::ConvertPartitions) =>
        {
            Some(edit.table)
        }
        Record::Catalog(
            CatalogChange::Create { table, .. }
            | CatalogChange::Drop { table }
            | CatalogChange::Rename { table, .. }
            | CatalogChange::Alter { table, .. }
            | CatalogChange::Truncate { table },
        ) => Some(*table),
        _ => None,
    }
}
