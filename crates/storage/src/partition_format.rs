//! CONVERT PARTITION TO PARQUET | NATIVE: the same rows in files of another format, as one edit.
//!
//! Rows that come into a Parquet partition later are written as Parquet too, and so are those that an UPDATE or a merge
//! writes anew: a partition keeps its format until it is converted again.

use types::{PartitionKey, TableId};

use crate::changes::Outputs;
use crate::compaction::{TARGET_BYTES, TARGET_ROWS, merged_rows};
use crate::database::Database;
use crate::record::{AddedSegment, Edit, EditCause, RemovedSegment};
use crate::segment::SegmentHandle;
use crate::table::TableState;
use crate::{Error, Result};

/// How the rows of a partition are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionFormat {
    /// Arrow files, scanned as they lie.
    Native,
    /// Parquet files: smaller, decoded when they are read.
    Parquet,
}

impl PartitionFormat {
    /// Returns the format of a partition of a table; a new one is native.
    pub(crate) fn of(table: &TableState, partition: PartitionKey) -> PartitionFormat {
        let mut segments = table.segments.get(&partition).into_iter().flatten();
        if segments.any(|segment| segment.meta().is_parquet()) {
            PartitionFormat::Parquet
        } else {
            PartitionFormat::Native
        }
    }

    fn is_of(self, segment: &SegmentHandle) -> bool {
        segment.meta().is_parquet() == (self == PartitionFormat::Parquet)
    }

    fn name(self) -> &'static str {
        match self {
            PartitionFormat::Native => "native",
            PartitionFormat::Parquet => "parquet",
        }
    }
}

impl Database {
    /// Stores partitions in another format, as one commit; one that has it already stays as it is. Durable on return.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a partition that the table does not have; nothing is changed then.
    pub fn convert_partitions(&self, id: TableId, keys: &[PartitionKey], to: PartitionFormat) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        loop {
            self.flush_locked(id)?;
            let view = self.view();
            let gone = || Error::NotFound(format!("table {id} does not exist any more"));
            let table = view.state().tables.get(id).ok_or_else(gone)?;
            if let Some(missing) = keys.iter().find(|key| !table.segments.contains_key(key)) {
                let partition = table.schema.partition_by.partition_name(*missing);
                return Err(Error::NotFound(format!(
                    "cannot convert partition to {}, partition does not exist [table={}, partition={partition}]",
                    to.name(),
                    table.name
                )));
            }
            let outputs = Outputs::new(self);
            let converted = self.write_converted(table, keys, to, &outputs);
            let outcome =
                converted.and_then(|edit| if edit.removed.is_empty() { Ok(()) } else { self.commit_edit(edit) });
            match outputs.settle(outcome) {
                Err(Error::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
    }

    fn write_converted(
        &self,
        table: &TableState,
        keys: &[PartitionKey],
        to: PartitionFormat,
        outputs: &Outputs,
    ) -> Result<Edit> {
        let mut edit = table.new_edit(EditCause::ConvertPartitions);
        let mut keys = keys.to_vec();
        keys.sort();
        keys.dedup();
        for key in keys {
            let segments = &table.segments[&key];
            if segments.iter().all(|segment| to.is_of(segment)) {
                continue;
            }
            edit.removed.extend(segments.iter().map(|segment| RemovedSegment::of(key, segment.meta())));
            let mut start = 0;
            while start < segments.len() {
                let end = end_of_group(&segments[start..]) + start;
                let rows = merged_rows(table, key, &segments[start..end])?;
                if rows.rows > 0 {
                    let added: Vec<AddedSegment> = self.write_partitions_as(table, Some(to), &rows, outputs)?;
                    edit.added.extend(added);
                }
                start = end;
            }
        }
        Ok(edit)
    }
}

/// Returns how many of the first segments become one together: at least one, and no more than fit into memory well.
fn end_of_group(segments: &[std::sync::Arc<SegmentHandle>]) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    let fit = segments.iter().take_while(|segment| {
        rows += segment.meta().live_rows();
        bytes += segment.meta().len_bytes;
        rows <= TARGET_ROWS && bytes <= TARGET_BYTES
    });
    fit.count().max(1)
}
