//! UPDATE and DROP PARTITION: partitions are written anew, or taken away, by one edit.
//!
//! One mutator of a table at a time; it first drains the table's flush where rows in memory are meant too, so that it works
//! on segments alone. Rows that come in meanwhile are later than the statement and stay as they are.

use std::sync::Arc;

use types::{PartitionKey, RowBatch, Seq, TableId};

use crate::changes::Outputs;
use crate::chunk::Chunk;
use crate::database::Database;
use crate::log::writer::Urgency;
use crate::read_view::TableView;
use crate::record::{Edit, EditCause, Record, RemovedSegment};
use crate::table::TableState;
use crate::{Error, Result};

/// New content of some partitions.
pub type Rewritten = Vec<(PartitionKey, Vec<RowBatch>)>;

impl Database {
    /// Replaces partitions of a table by the rows that `rewrite` returns, as one commit. `rewrite` sees the table
    /// without rows that come in meanwhile; it may be called again when another change came in between. `None`: nothing
    /// to change. Durable on return.
    pub fn rewrite(&self, id: TableId, mut rewrite: impl FnMut(&TableView) -> Result<Option<Rewritten>>) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        loop {
            self.flush_locked(id)?;
            let view = self.view();
            let table = view.state().tables.get(id).ok_or_else(|| dropped(id))?;
            let Some(partitions) = rewrite(&view.table_by_id(id).ok_or_else(|| dropped(id))?.segments_only())? else {
                return Ok(());
            };
            let outputs = Outputs::new(self);
            let replaced = self.replace(table, partitions, &outputs);
            match outputs.settle(replaced) {
                Err(Error::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Removes partitions with all rows that are visible now, as one commit. Durable on return.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a partition that the table does not have; nothing is removed then.
    pub fn drop_partitions(&self, id: TableId, keys: &[PartitionKey]) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        let mut flushed = false;
        loop {
            let view = self.view();
            let table = view.state().tables.get(id).ok_or_else(|| dropped(id))?;
            // Without rows in memory nothing has to be written first: that is how room is made on a full disk.
            if !flushed && holds_in_memory(table, keys)? {
                self.flush_locked(id)?;
                flushed = true;
                continue;
            }
            if let Some(missing) = keys.iter().find(|key| !table.segments.contains_key(key)) {
                let name = table.schema.partition_by.partition_name(*missing);
                return Err(Error::NotFound(format!(
                    "could not remove partition [table={}, partition={name}]",
                    table.name
                )));
            }
            let removed = segments_of(table, keys.iter().copied());
            match self.commit_edit(Edit { removed, ..table.new_edit(EditCause::DropPartitions) }) {
                Err(Error::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
    }

    fn replace(&self, table: &Arc<TableState>, partitions: Rewritten, outputs: &Outputs) -> Result<()> {
        let mut edit = table.new_edit(EditCause::Rewrite);
        edit.removed = segments_of(table, partitions.iter().map(|(key, _)| *key));
        let last_seq = table.segments.values().flatten().map(|s| s.meta().last_seq).max().unwrap_or(Seq::ZERO);
        for (key, batches) in partitions {
            let first_seq = table.segments.get(&key).and_then(|s| s.first()).map_or(last_seq, |s| s.meta().first_seq);
            let mut chunks = Vec::new();
            for batch in batches.into_iter().filter(|b| b.rows() > 0) {
                let rows = self.resolve_for_edit(table, batch)?;
                let mut chunk = Chunk::from_batch(&table.schema, rows, first_seq, 0)?;
                chunk.last_seq = last_seq;
                chunks.push(chunk);
            }
            for group in Chunk::groups_that_fit(&chunks.iter().collect::<Vec<_>>()) {
                let rows = Chunk::concat(group)?.sorted()?;
                edit.added.extend(self.write_partitions(table, &rows, outputs)?);
            }
        }
        let view = self.view();
        let newest = view.state().tables.get(table.id).ok_or_else(|| dropped(table.id))?;
        edit.symbol_files = self.write_symbol_files(newest, outputs)?;
        self.commit_edit(edit)
    }

    /// Gives symbols of rewritten rows their codes; new codes are committed first, since segments cannot list them.
    fn resolve_for_edit(&self, table: &TableState, batch: RowBatch) -> Result<crate::chunk::ResolvedBatch> {
        let mut resolved = None;
        let max_bytes = crate::database::payload_bytes(&batch);
        self.commit(Urgency::Ordinary, max_bytes, |state| {
            let newest = state.tables.get(table.id).ok_or_else(|| dropped(table.id))?;
            let mut rows = crate::database::Resolver::default().resolve(newest, batch)?;
            resolved = Some(std::mem::take(&mut rows.batch));
            let any_new = !rows.new_symbols.is_empty();
            Ok(if any_new { vec![Record::Rows(rows)] } else { Vec::new() })
        })?;
        Ok(resolved.expect("the commit went through its closure"))
    }
}

/// Returns whether rows of any of the partitions are not in segments yet.
fn holds_in_memory(table: &TableState, keys: &[PartitionKey]) -> Result<bool> {
    for part in table.memtable.parts() {
        let parts = part.partitions(table.schema.partition_by)?;
        if parts.iter().any(|(key, _)| keys.contains(key)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn segments_of(table: &TableState, keys: impl Iterator<Item = PartitionKey>) -> Vec<RemovedSegment> {
    let of = |key: PartitionKey| {
        let segments = table.segments.get(&key).into_iter().flatten();
        segments.map(move |s| RemovedSegment::of(key, s.meta()))
    };
    keys.flat_map(of).collect()
}

fn dropped(id: TableId) -> Error {
    Error::NotFound(format!("table {id} does not exist any more"))
}
