//! Compaction: [`Database::step_compact`] merges segments of one partition that stand next to each other in Seq.
//!
//! A step is one merge of at most [`TARGET_ROWS`] rows. It holds no lock that a commit or a flush waits for: its edit is
//! refused when another change of these segments came first, and what it wrote is garbage then. Rows keep their order,
//! ties in time the order of arrival, and dead rows are dropped. While a snapshot is open nothing is merged, because the
//! inputs would stay on disk. [`choice`] decides what is worth a merge.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arrow_array::{Array, ArrayRef};
use types::{ColumnId, ColumnType, PartitionKey, TableId, TimeRange};

use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::chunk::Chunk;
use crate::database::Database;
use crate::merge::TableScan;
use crate::planted::Planted;
use crate::record::{Edit, EditCause, RemovedSegment};
use crate::run::Run;
use crate::segment::SegmentHandle;
use crate::snapshot::Seen;
use crate::table::{SegmentMap, TableState};
use crate::{Error, Result};

mod choice;

/// A merge makes a segment of at most so many rows.
pub const TARGET_ROWS: u64 = 4 << 20;
/// The inputs of a merge have at most so many bytes: its output is held in memory.
pub const TARGET_BYTES: u64 = 128 << 20;
/// Rows copied at once.
const CHUNK_ROWS: usize = 64 << 10;

/// What compaction knows of the tables.
#[derive(Default)]
pub(crate) struct Compaction {
    /// Segments of which none is worth a merge. Not strong: whoever holds them keeps their files.
    settled: HashMap<TableId, Weak<SegmentMap>>,
    /// Table of the last merge; the next search begins behind it, so that each has its turn.
    last: Option<TableId>,
    /// Snapshots none of which is open.
    closed: Seen,
}

/// Segments that one merge replaces.
struct Merge {
    table: Arc<TableState>,
    partition: PartitionKey,
    inputs: Vec<Arc<SegmentHandle>>,
}

impl Compaction {
    /// Returns the next merge that is worth it.
    fn find(&mut self, state: &DbState, limits: &choice::Limits) -> Option<Merge> {
        let mut changed: Vec<&Arc<TableState>> = state.tables.iter().filter(|table| self.is_changed(table)).collect();
        changed.sort_by_key(|table| (self.last.is_some_and(|last| table.id <= last), table.id));
        self.settled.retain(|id, _| state.tables.get(*id).is_some());
        for table in changed {
            let newest = table.segments.last_key_value().map(|(key, _)| *key);
            for (partition, segments) in table.segments.iter() {
                if let Some(range) = choice::choose(segments, Some(*partition) < newest, limits) {
                    self.last = Some(table.id);
                    let inputs = segments[range].to_vec();
                    return Some(Merge { table: table.clone(), partition: *partition, inputs });
                }
            }
            self.settle(table);
        }
        None
    }

    fn is_changed(&self, table: &TableState) -> bool {
        self.settled.get(&table.id).is_none_or(|known| known.as_ptr() != Arc::as_ptr(&table.segments))
    }

    fn settle(&mut self, table: &TableState) {
        self.settled.insert(table.id, Arc::downgrade(&table.segments));
    }
}

impl Database {
    /// Merges some segments of one partition, when that is worth it. Returns whether it did; durable on return.
    ///
    /// # Errors
    /// Of the disk, and `Corrupt` of an input: that table is left alone then until its segments change.
    pub fn step_compact(&self) -> Result<bool> {
        let mut compaction = self.compaction.lock().expect("no compaction panics");
        let view = self.view();
        let snapshots = &view.state().snapshots;
        if !compaction.closed.is(snapshots) {
            if view.state().has_open_snapshot() {
                return Ok(false);
            }
            compaction.closed.note(snapshots);
        }
        let limits = choice::Limits { fan_in: self.options.compact_fan_in, ..choice::Limits::default() };
        let Some(mut merge) = compaction.find(view.state(), &limits) else { return Ok(false) };
        drop(view);
        if self.disk.has(Planted::CompactNotAdjacent) && merge.inputs.len() > 2 {
            merge.inputs.remove(1);
        }
        let outputs = Outputs::new(self);
        let merged = self.merge(&merge, &outputs);
        match outputs.settle(merged) {
            Ok(()) => Ok(true),
            // Another change came first; the next step looks again.
            Err(Error::Conflict(_)) => Ok(false),
            Err(e) => {
                compaction.settle(&merge.table);
                Err(e)
            }
        }
    }

    fn merge(&self, merge: &Merge, outputs: &Outputs) -> Result<()> {
        let Merge { table, partition, inputs } = merge;
        let rows = merged_rows(table, *partition, inputs)?;
        let added = if rows.rows == 0 { Vec::new() } else { self.write_partitions(table, &rows, outputs)? };
        self.commit_edit(Edit {
            removed: inputs.iter().map(|input| RemovedSegment::of(*partition, input.meta())).collect(),
            added,
            ..table.new_edit(EditCause::Compact)
        })
    }
}

/// Returns the live rows of segments in the order of a scan, without columns that were dropped.
pub(crate) fn merged_rows(table: &TableState, partition: PartitionKey, inputs: &[Arc<SegmentHandle>]) -> Result<Chunk> {
    let present = |id: ColumnId| inputs.iter().any(|input| input.meta().column(id).is_some());
    let mut columns: Vec<(ColumnId, ColumnType)> =
        table.schema.columns.iter().filter(|c| present(c.id)).map(|c| (c.id, c.column_type)).collect();
    columns.sort_by_key(|(id, _)| *id);
    let mut pieces: Vec<Vec<ArrayRef>> = vec![Vec::new(); columns.len()];
    if !columns.is_empty() {
        let runs = inputs.iter().map(|input| Run::of_segment(partition, input.clone())).collect();
        let designated = columns.iter().find(|(id, _)| Some(*id) == table.schema.designated).copied();
        for chunk in TableScan::new(runs, designated, columns.clone(), vec![TimeRange::ALL], CHUNK_ROWS) {
            pieces.iter_mut().zip(chunk?).for_each(|(pieces, array)| pieces.push(array));
        }
    }
    let rows = inputs.iter().map(|input| input.meta().live_rows() as usize).sum();
    let mut merged = Vec::with_capacity(columns.len());
    for ((id, column_type), pieces) in columns.into_iter().zip(pieces) {
        let arrays: Vec<&dyn Array> = pieces.iter().map(|array| array.as_ref()).collect();
        if rows > 0 {
            let joined = arrow_select::concat::concat(&arrays)
                .map_err(|e| Error::Invalid(format!("column {id} cannot be joined: {e}")))?;
            merged.push((id, column_type, joined));
        }
    }
    let seqs = inputs.iter().map(|input| (input.meta().first_seq, input.meta().last_seq));
    let (first, last) = seqs.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("a merge has inputs");
    let designated = if rows > 0 { table.schema.designated } else { None };
    Chunk::of_arrays(rows, merged, designated, first..=last, 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, TableName};

    use super::*;
    use crate::segment::reader::tests::sim;
    use crate::{NewColumn, NewTable, Options};

    #[test]
    fn a_merge_that_a_truncate_overtakes_leaves_nothing_behind() {
        let db = Database::open(sim(), Options::new("/root")).unwrap();
        let columns = vec![NewColumn::new("ts", ColumnType::Timestamp)];
        let name = TableName::new("t").unwrap();
        let id = db.create_table(NewTable::new(name, columns, Some(0), PartitionBy::Day)).unwrap();
        let column = db.view().table("t").unwrap().schema().columns[0].id;
        for ts in 0..4 {
            let data = ColumnData::I64(vec![ts]);
            db.append(vec![(id, RowBatch::new(1, vec![Column { id: column, data }]).unwrap())]).unwrap();
            db.flush_table(id).unwrap();
        }
        let merge = Compaction::default().find(db.view().state(), &choice::Limits::default()).unwrap();
        db.truncate(id).unwrap();
        let outputs = Outputs::new(&db);
        let merged = db.merge(&merge, &outputs);
        assert!(matches!(outputs.settle(merged), Err(Error::Conflict(_))));
        drop(merge);
        while db.step_gc().unwrap() {}
        let dir = Path::new("/root/db").join(db.view().table("t").unwrap().directory()).join("1970-01-01");
        assert_eq!(db.disk.env.fs.list(&dir).unwrap(), Vec::new());
    }
}
