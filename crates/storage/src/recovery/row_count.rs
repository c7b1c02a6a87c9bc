//! How many rows of a table stand in the log alone, counted by a replay that looks at no value: [`RowCount`].

use std::collections::{HashMap, HashSet};

use types::{Seq, TableId};

use crate::catalog::DbState;
use crate::record::{CatalogChange, Record};
use crate::table::TableState;

/// The rows of commits, by table.
#[derive(Default)]
pub struct RowCount {
    commits: HashMap<TableId, Vec<(Seq, u64)>>,
    /// Tables of which rows became too old: which of those in the log, only their values say.
    expired: HashSet<TableId>,
}

impl RowCount {
    /// Takes the rows out of a frame's records.
    pub fn take(&mut self, records: &mut Vec<Record>, state: &DbState, seq: Seq) {
        records.retain(|record| match record {
            Record::Rows(rows) => {
                if rows.batch.rows > 0 {
                    let flushed = state.table_with_files(rows.table).map(|table| table.flushed_through);
                    self.note(rows.table, flushed, (seq, rows.batch.rows as u64));
                }
                false
            }
            Record::Catalog(CatalogChange::Expire { table, .. }) => {
                self.expired.insert(*table);
                true
            }
            _ => true,
        });
    }

    fn note(&mut self, table: TableId, flushed_through: Option<Seq>, commit: (Seq, u64)) {
        let commits = self.commits.entry(table).or_default();
        // Only what a flush will take away later is held for long.
        if let Some(through) = flushed_through.filter(|_| commits.len() == commits.capacity()) {
            commits.drain(..commits.partition_point(|(seq, _)| *seq <= through));
        }
        commits.push(commit);
    }

    /// Returns how many rows a query would see in all tables; `None` where that depends on values.
    pub fn of_all(&self, state: &DbState) -> Option<u64> {
        state.tables.iter().map(|table| Some(table.segment_rows + self.in_log(table)?)).sum()
    }

    fn in_log(&self, table: &TableState) -> Option<u64> {
        let commits = self.commits.get(&table.id).map_or(&[][..], Vec::as_slice);
        let unflushed = &commits[commits.partition_point(|(seq, _)| *seq <= table.flushed_through)..];
        let count = unflushed.iter().map(|(_, rows)| rows).sum();
        let depends_on_values = table.has_dedup() || self.expired.contains(&table.id);
        if count > 0 && depends_on_values { None } else { Some(count) }
    }
}
