//! What a query reads: [`ReadView`], all tables at one Seq, and [`TableView`], one of them.
//!
//! This is the contract that operators stand on: a table is a list of [`Run`]s, contiguous sorted columns with a Seq range
//! a time range and its dead rows, from segments and from frozen memtable parts alike. A view never changes
//! and never blocks a writer; the files behind it stay as long as it lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::StringViewArray;
use types::{ColumnId, PartitionKey, Schema, Seq, TableId, TableName, TimeRange};

use crate::catalog::DbState;
use crate::layout::Disk;
use crate::memtable::Memtable;
use crate::merge::TableScan;
use crate::partition_format::PartitionFormat;
use crate::run::Run;
use crate::sql_view::SqlView;
use crate::table::TableState;
use crate::{Error, Result};

/// All tables at one Seq.
#[derive(Clone)]
pub struct ReadView {
    state: Arc<DbState>,
    disk: Disk,
}

impl ReadView {
    pub(crate) fn new(state: Arc<DbState>, disk: Disk) -> ReadView {
        ReadView { state, disk }
    }

    pub(crate) fn state(&self) -> &DbState {
        &self.state
    }

    /// Returns the Seq of the last commit that the view holds.
    pub fn seq(&self) -> Seq {
        self.state.seq
    }

    /// Returns the table of that name, in any case.
    pub fn table(&self, name: &str) -> Option<TableView> {
        self.state.table_named(&name.to_lowercase()).map(|t| self.table_view(t))
    }

    /// Returns the table of that id.
    pub fn table_by_id(&self, id: TableId) -> Option<TableView> {
        self.state.tables.get(id).map(|t| self.table_view(t))
    }

    /// Returns all tables, in the order of their ids.
    pub fn tables(&self) -> Vec<TableView> {
        let mut tables: Vec<TableView> = self.state.tables.iter().map(|t| self.table_view(t)).collect();
        tables.sort_by_key(|t| t.table.id);
        tables
    }

    /// Returns the view of SQL of that name, in any case.
    pub fn sql_view(&self, name: &str) -> Option<&Arc<SqlView>> {
        self.state.sql_view_named(&name.to_lowercase())
    }

    /// Returns all views of SQL, in the order of their ids.
    pub fn sql_views(&self) -> impl Iterator<Item = &Arc<SqlView>> {
        self.state.sql_views.values()
    }

    /// Returns a view of SQL as a table without rows that has these columns.
    pub fn shell_of(&self, view: &SqlView, schema: Schema) -> TableView {
        let table = TableState::new(view.id, view.name.clone(), &view.directory(), schema, view.seq);
        self.table_view(&Arc::new(table))
    }

    fn table_view(&self, table: &Arc<TableState>) -> TableView {
        TableView { table: table.clone(), disk: self.disk.clone() }
    }
}

/// One partition, as SHOW PARTITIONS needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    pub key: PartitionKey,
    pub name: String,
    pub rows: u64,
    /// Bounds of the designated timestamp; `None` for a table without one.
    pub time_bounds: Option<(i64, i64)>,
    /// Bytes of its segments on disk; rows that are only in the log count nothing.
    pub size_bytes: u64,
    /// Its segments are Parquet files.
    pub is_parquet: bool,
}

/// One table at one Seq.
#[derive(Clone)]
pub struct TableView {
    pub(crate) table: Arc<TableState>,
    pub(crate) disk: Disk,
}

impl TableView {
    /// Returns the table's id.
    pub fn id(&self) -> TableId {
        self.table.id
    }

    /// Returns the table's name.
    pub fn name(&self) -> &TableName {
        &self.table.name
    }

    /// Returns the name of the table's directory in `db/`.
    pub fn directory(&self) -> &str {
        &self.table.dir
    }

    /// Returns the table's columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.table.schema
    }

    /// Returns the number of rows, exact.
    ///
    /// # Errors
    /// In a table with DEDUP keys, those of opening its segments.
    pub fn row_count(&self) -> Result<u64> {
        self.table.rows()
    }

    /// Returns the Seq of the last commit that changed what a query sees of the table.
    pub fn last_seq(&self) -> Seq {
        self.table.last_seq
    }

    /// Returns the view without the rows that are not in segments yet.
    pub(crate) fn segments_only(&self) -> TableView {
        let mut table = TableState::clone(&self.table);
        table.memtable = Memtable::default();
        table.dedup = Default::default();
        TableView { table: Arc::new(table), disk: self.disk.clone() }
    }

    /// Returns the view without rows and texts: it keeps no file, and nothing of them in memory.
    #[must_use]
    pub fn emptied(&self) -> TableView {
        let table = TableState {
            segments: Arc::default(),
            segment_rows: 0,
            memtable: Memtable::default(),
            symbols: Arc::default(),
            dedup: Default::default(),
            ..TableState::clone(&self.table)
        };
        TableView { table: Arc::new(table), disk: self.disk.clone() }
    }

    /// Returns the partitions that have rows, in the order of time.
    pub fn partitions(&self) -> Result<Vec<PartitionInfo>> {
        let mut found: BTreeMap<PartitionKey, PartitionInfo> = BTreeMap::new();
        for run in self.runs(TimeRange::ALL)? {
            let info = found.entry(run.partition).or_insert_with(|| PartitionInfo {
                key: run.partition,
                name: self.table.schema.partition_by.partition_name(run.partition),
                rows: 0,
                time_bounds: self.table.schema.designated.map(|_| (run.ts_min, run.ts_max)),
                size_bytes: 0,
                is_parquet: PartitionFormat::of(&self.table, run.partition) == PartitionFormat::Parquet,
            });
            info.rows += run.live_rows() as u64;
            info.time_bounds = info.time_bounds.map(|(min, max)| (min.min(run.ts_min), max.max(run.ts_max)));
        }
        for (key, segments) in self.table.segments.iter() {
            if let Some(info) = found.get_mut(key) {
                info.size_bytes = segments.iter().map(|s| s.meta().len_bytes).sum();
            }
        }
        Ok(found.into_values().collect())
    }

    /// Returns the least and greatest designated timestamp in microseconds (nanoseconds are rounded down); `None` without rows or without one.
    pub fn time_bounds(&self) -> Option<(i64, i64)> {
        self.table.schema.designated?;
        let segments = self.table.segments.values().flatten().map(|s| (s.meta().ts_min_us, s.meta().ts_max_us));
        let parts = self.table.memtable.parts().iter().map(|p| (p.chunk().ts_min, p.chunk().ts_max));
        segments.chain(parts).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Returns the runs that may have rows in the range, by partition, within one in the order of arrival.
    pub fn runs(&self, range: TimeRange) -> Result<Vec<Run>> {
        let mut by_partition: BTreeMap<PartitionKey, Vec<Run>> = BTreeMap::new();
        let has_time = self.table.schema.designated.is_some();
        let wanted = |min, max| !has_time || range.overlaps(min, max);
        for (key, segments) in self.table.segments.iter() {
            let bounds = self.table.schema.partition_by.range(*key);
            if has_time && bounds.intersect(&range).is_empty() {
                continue;
            }
            let runs = segments.iter().map(|s| Run::of_segment(*key, s.clone())).filter(|r| wanted(r.ts_min, r.ts_max));
            by_partition.entry(*key).or_default().extend(runs);
        }
        if self.table.has_dedup() && self.table.memtable.rows() > 0 {
            for (key, runs) in self.table.dedup.get(&self.table)?.runs()? {
                let runs = runs.into_iter().filter(|r| wanted(r.ts_min, r.ts_max)).collect();
                by_partition.insert(key, runs);
            }
            return Ok(by_partition.into_values().flatten().collect());
        }
        for part in self.table.memtable.parts().iter().filter(|p| wanted(p.chunk().ts_min, p.chunk().ts_max)) {
            for (key, sorted) in part.partitions(self.table.schema.partition_by)? {
                if wanted(sorted.chunk().ts_min, sorted.chunk().ts_max) {
                    by_partition.entry(*key).or_default().push(Run::of_chunk(*key, sorted.clone()));
                }
            }
        }
        Ok(by_partition.into_values().flatten().collect())
    }

    /// Returns the rows in the order of the designated timestamp, ties in the order of arrival (without a designated
    /// timestamp: in the order of arrival), restricted to disjoint rising ranges, in chunks of at most `chunk_rows`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that the table does not have, or none at all.
    pub fn scan(&self, columns: &[ColumnId], ranges: &[TimeRange], chunk_rows: usize) -> Result<TableScan> {
        let schema = &self.table.schema;
        let typed = |id: &ColumnId| {
            let column = schema.column_by_id(*id);
            column
                .map(|c| (*id, c.column_type))
                .ok_or_else(|| Error::Invalid(format!("column {id} is not in the table")))
        };
        let columns = columns.iter().map(typed).collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Err(Error::Invalid("a scan needs a column; ask for the row count instead".to_owned()));
        }
        let whole = match (ranges.first(), ranges.last()) {
            (Some(first), Some(last)) => TimeRange { start_us: first.start_us, end_us: last.end_us },
            _ => TimeRange::EMPTY,
        };
        let designated = schema.designated.map(|id| typed(&id)).transpose()?;
        Ok(TableScan::new(self.runs(whole)?, designated, columns, ranges.to_vec(), chunk_rows))
    }

    /// Returns the texts of a symbol column by code.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the column is not a SYMBOL.
    pub fn dictionary(&self, column: ColumnId) -> Result<Arc<StringViewArray>> {
        let symbols = self.table.symbols.get(&column);
        symbols.map(|s| s.dictionary.values()).ok_or_else(|| Error::Invalid(format!("column {column} is not a SYMBOL")))
    }

    /// Returns the place of each text of a symbol column among the sorted ones, by code.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the column is not a SYMBOL.
    pub fn ranks(&self, column: ColumnId) -> Result<Arc<[u32]>> {
        let symbols = self.table.symbols.get(&column);
        symbols.map(|s| s.dictionary.ranks()).ok_or_else(|| Error::Invalid(format!("column {column} is not a SYMBOL")))
    }

    /// Returns the number of distinct texts that a symbol column ever had.
    pub fn symbol_count(&self, column: ColumnId) -> Option<u32> {
        self.table.symbols.get(&column).map(|s| s.len)
    }
}
