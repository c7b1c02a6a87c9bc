//! The model database: what every acknowledged statement has left, kept in the plainest way.
//!
//! Owns tables as lists of rows in the order that a scan must give; knows nothing of files, logs or segments.
//! Cloning is cheap, so that a model of every moment can be kept. Next: `step` for what changes it, `compare` for
//! how a database is held against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::time::US_PER_HOUR;
use types::{ColumnType, PartitionBy, PartitionKey};

use crate::value::{Row, Value};

/// A column of a model table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelColumn {
    pub name: String,
    pub column_type: ColumnType,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTable {
    pub name: String,
    pub columns: Vec<ModelColumn>,
    /// Position of the designated timestamp.
    pub designated: Option<usize>,
    pub partition_by: PartitionBy,
    /// In the order of the designated timestamp, ties in the order of arrival.
    pub rows: Vec<Row>,
    /// Names of the columns beside the designated timestamp by which rows replace each other; None: every row is kept.
    pub dedup: Option<Vec<String>>,
    pub ttl_hours: Option<u32>,
}

impl ModelTable {
    /// Returns a table of days with a designated timestamp `ts` and a symbol `s`.
    pub fn of_symbols(name: &str, rows: Vec<Row>) -> ModelTable {
        let column = |name: &str, column_type| ModelColumn { name: name.to_owned(), column_type };
        ModelTable {
            name: name.to_owned(),
            columns: vec![column("ts", ColumnType::Timestamp), column("s", ColumnType::Symbol)],
            designated: Some(0),
            partition_by: PartitionBy::Day,
            rows,
            dedup: None,
            ttl_hours: None,
        }
    }
}

/// All tables, views and snapshots.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub tables: BTreeMap<String, Arc<ModelTable>>,
    /// Texts of the views of SQL.
    pub views: BTreeMap<String, String>,
    /// Tables that were dropped and may come back, the latest drop last.
    pub dropped: Vec<Arc<ModelTable>>,
    /// Snapshots that are not completed.
    pub snapshots: BTreeMap<String, ModelSnapshot>,
}

/// A snapshot.
#[derive(Debug, Clone)]
pub struct ModelSnapshot {
    /// What the database was, and what a restore makes it again.
    pub cut: Arc<Model>,
    /// Rises from snapshot to snapshot.
    pub number: u64,
    pub kept: bool,
    /// It has the shortest lease: the next look at leases finds that it has run out.
    pub short: bool,
    /// Its lease has run out.
    pub expired: bool,
    /// Its copying was ended on a full disk.
    pub ended: bool,
}

impl ModelSnapshot {
    /// Returns whether it may be being copied.
    pub fn is_open(&self) -> bool {
        !self.kept && !self.expired && !self.ended
    }
}

impl Model {
    /// Takes a snapshot. After a restore of it there are those that are kept now.
    pub fn prepare(&mut self, name: &str, kept: bool) {
        let snapshots = self.snapshots.iter().filter(|(_, s)| s.kept);
        let snapshots = snapshots.map(|(name, s)| (name.clone(), s.clone())).collect();
        let (tables, views, dropped) = (self.tables.clone(), self.views.clone(), self.dropped.clone());
        let cut = Arc::new(Model { tables, views, dropped, snapshots });
        let number = self.snapshots.values().map(|s| s.number + 1).max().unwrap_or(0);
        let snapshot = ModelSnapshot { cut, number, kept, short: false, expired: false, ended: false };
        self.snapshots.insert(name.to_owned(), snapshot);
    }

    /// Returns the snapshot of that name, which must exist, for a change.
    pub fn snapshot_mut(&mut self, name: &str) -> &mut ModelSnapshot {
        self.snapshots.get_mut(name).unwrap_or_else(|| panic!("the model has no snapshot {name}"))
    }

    /// Does what a full disk asks for while a snapshot is open: the oldest one that has expired goes, else the copying of
    /// the oldest open one ends.
    pub fn full_disk(&mut self) {
        let oldest = |wanted: fn(&ModelSnapshot) -> bool| {
            let found = self.snapshots.iter().filter(|(_, s)| wanted(s)).min_by_key(|(_, s)| s.number);
            found.map(|(name, _)| name.clone())
        };
        if let Some(expired) = oldest(|s| s.expired && !s.kept) {
            self.snapshots.remove(&expired);
        } else if let Some(open) = oldest(ModelSnapshot::is_open) {
            self.snapshot_mut(&open).ended = true;
        }
    }

    /// Returns whether a PREPARE of that name must go well.
    pub fn is_free(&self, name: &str) -> bool {
        self.snapshots.get(name).is_none_or(|snapshot| snapshot.expired)
    }

    /// Returns the table of that name, which must exist.
    pub fn table(&self, name: &str) -> &Arc<ModelTable> {
        self.tables.get(name).unwrap_or_else(|| panic!("the model has no table {name}"))
    }

    /// Returns the table of that name for a change.
    pub fn table_mut(&mut self, name: &str) -> &mut ModelTable {
        Arc::make_mut(self.tables.get_mut(name).unwrap_or_else(|| panic!("the model has no table {name}")))
    }

    /// Takes the snapshot that holds what a restore of the database takes away.
    pub fn keep_way_back(&mut self) {
        let numbered = (2..).map(|n| format!("before-restore-{n}"));
        let mut names = std::iter::once("before-restore".to_owned()).chain(numbered);
        let free = names.find(|name| !self.snapshots.contains_key(name)).expect("numbers do not end");
        self.prepare(&free, true);
    }

    /// Takes the latest dropped table of that name out of those.
    pub fn take_dropped(&mut self, name: &str) -> Arc<ModelTable> {
        let at = self.dropped.iter().rposition(|table| table.name == name);
        self.dropped.remove(at.unwrap_or_else(|| panic!("the model has no dropped table {name}")))
    }

    /// Returns the number of rows of all tables.
    pub fn row_count(&self) -> usize {
        self.tables.values().map(|table| table.rows.len()).sum()
    }
}

impl ModelTable {
    /// Returns the row's designated timestamp; 0 in a table that has none.
    pub fn ts_us(&self, row: &Row) -> i64 {
        match self.designated.map(|at| &row[at]) {
            Some(Value::Long(ts_us)) => *ts_us,
            Some(other) => panic!("designated timestamp {other:?}"),
            None => 0,
        }
    }

    /// Returns the partition of a row.
    pub fn partition(&self, row: &Row) -> PartitionKey {
        self.partition_by.key(self.ts_us(row))
    }

    /// Returns the partitions that hold rows, in their order, with the number of rows.
    pub fn partitions(&self) -> BTreeMap<PartitionKey, usize> {
        let mut found = BTreeMap::new();
        for row in &self.rows {
            *found.entry(self.partition(row)).or_default() += 1;
        }
        found
    }

    /// Adds the rows of a commit behind those of the same time, in place of those of equal keys.
    pub fn append(&mut self, rows: &[Row]) {
        match self.dedup.clone() {
            None => self.rows.extend_from_slice(rows),
            Some(names) => {
                let keys: Vec<usize> = names.iter().filter_map(|name| self.column(name)).collect();
                self.upsert(&keys, rows);
            }
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by_key(|row| self.ts_us(row));
        self.rows = rows;
        self.expire();
    }

    fn upsert(&mut self, keys: &[usize], rows: &[Row]) {
        let key = |table: &ModelTable, row: &Row| -> (i64, Vec<KeyOrder>) {
            (table.ts_us(row), keys.iter().map(|&at| key_order(&row[at])).collect())
        };
        // Of equal keys in one commit the last row counts; new keys of one moment stand in the order of their values.
        let last: BTreeMap<_, Row> = rows.iter().map(|row| (key(self, row), row.clone())).collect();
        let mut old: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            old.entry(key(self, row)).or_default().push(at);
        }
        for (key, row) in last {
            match old.get(&key) {
                Some(places) => places.iter().for_each(|&at| self.rows[at] = row.clone()),
                None => self.rows.push(row),
            }
        }
    }

    /// Takes away the partitions whose end is as old as the TTL. The simulated clock is later than every row.
    pub fn expire(&mut self) {
        let Some(hours) = self.ttl_hours else { return };
        let Some(newest_us) = self.rows.last().map(|row| self.ts_us(row)) else { return };
        let lives = |table: &ModelTable, row: &Row| {
            let end_us = table.partition_by.range(table.partition(row)).end_us;
            end_us + i64::from(hours) * US_PER_HOUR > newest_us
        };
        let rows = std::mem::take(&mut self.rows);
        self.rows = rows.into_iter().filter(|row| lives(self, row)).collect();
    }

    /// Gives a LONG or INT column the type VARCHAR.
    pub fn convert_to_text(&mut self, at: usize) {
        for row in &mut self.rows {
            let text = match &row[at] {
                Value::Long(n) => Value::text(&n.to_string()),
                Value::Int(n) => Value::text(&n.to_string()),
                _ => Value::Null,
            };
            Arc::make_mut(row)[at] = text;
        }
        self.columns[at].column_type = ColumnType::Varchar;
    }

    /// Gives every row a further value at the end.
    pub fn add_column(&mut self, column: ModelColumn) {
        let missing = Value::missing(column.column_type);
        for row in &mut self.rows {
            *row = row.iter().cloned().chain([missing.clone()]).collect();
        }
        self.columns.push(column);
    }

    /// Takes a column away.
    pub fn drop_column(&mut self, at: usize) {
        for row in &mut self.rows {
            *row = row.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, value)| value.clone()).collect();
        }
        let column = self.columns.remove(at);
        if let Some(keys) = &mut self.dedup {
            keys.retain(|key| *key != column.name);
        }
        if let Some(designated) = self.designated {
            assert_ne!(designated, at, "the designated timestamp is not dropped");
            self.designated = Some(if designated > at { designated - 1 } else { designated });
        }
    }

    /// Sets a column in every `every`-th row of a partition.
    pub fn update(&mut self, key: PartitionKey, column: usize, value: &Value, every: usize) {
        let mut nth = 0;
        for i in 0..self.rows.len() {
            if self.partition(&self.rows[i]) == key {
                if nth % every == 0 {
                    Arc::make_mut(&mut self.rows[i])[column] = value.clone();
                }
                nth += 1;
            }
        }
    }

    /// Takes the rows of some partitions away.
    pub fn drop_partitions(&mut self, keys: &[PartitionKey]) {
        let rows = std::mem::take(&mut self.rows);
        self.rows = rows.into_iter().filter(|row| !keys.contains(&self.partition(row))).collect();
    }

    /// Gives a column another name.
    pub fn rename_column(&mut self, at: usize, to: &str) {
        let from = std::mem::replace(&mut self.columns[at].name, to.to_owned());
        for key in self.dedup.iter_mut().flatten().filter(|key| **key == from) {
            *key = to.to_owned();
        }
    }

    /// Returns the position of the column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// How values of key columns are ordered: NULL, numbers by value, texts by length and bytes.
type KeyOrder = (bool, i64, usize, Arc<str>);

fn key_order(value: &Value) -> KeyOrder {
    match value {
        Value::Null => (false, 0, 0, Arc::from("")),
        Value::Short(n) => (true, i64::from(*n), 0, Arc::from("")),
        Value::Int(n) => (true, i64::from(*n), 0, Arc::from("")),
        Value::Long(n) => (true, *n, 0, Arc::from("")),
        Value::Text(text) => (true, 0, text.len(), text.clone()),
        other => panic!("{other:?} is no key of the generator"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ModelTable {
        let column = |name: &str, column_type| ModelColumn { name: name.to_owned(), column_type };
        ModelTable {
            name: "t".to_owned(),
            columns: vec![column("a", ColumnType::Int), column("ts", ColumnType::Timestamp)],
            designated: Some(1),
            partition_by: PartitionBy::Day,
            rows: Vec::new(),
            dedup: None,
            ttl_hours: None,
        }
    }

    fn row(a: i32, ts_us: i64) -> Row {
        [Value::Int(a), Value::Long(ts_us)].into()
    }

    fn firsts(table: &ModelTable) -> Vec<Value> {
        table.rows.iter().map(|row| row[0].clone()).collect()
    }

    #[test]
    fn rows_stand_by_time_and_ties_by_arrival() {
        let mut table = table();
        table.append(&[row(1, 5), row(2, 3)]);
        table.append(&[row(3, 3), row(4, 5), row(5, 4)]);
        assert_eq!(firsts(&table), [2, 3, 5, 1, 4].map(Value::Int));
    }

    #[test]
    fn changes_touch_what_they_name() {
        let mut table = table();
        table.append(&[row(1, 0), row(2, 1), row(3, 86_400_000_000)]);
        table.update(PartitionKey(0), 0, &Value::Int(9), 2);
        assert_eq!(firsts(&table), [9, 2, 3].map(Value::Int));
        table.add_column(ModelColumn { name: "b".to_owned(), column_type: ColumnType::Boolean });
        assert_eq!(table.rows[0][2], Value::Bool(false));
        table.drop_column(0);
        assert_eq!((table.designated, &table.rows[2][0]), (Some(0), &Value::Long(86_400_000_000)));
        table.drop_partitions(&[PartitionKey(0)]);
        assert_eq!(table.rows.len(), 1);
    }
}
