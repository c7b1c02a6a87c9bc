//! The model database: what every acknowledged statement has left, kept in the plainest way.
//!
//! Owns tables as lists of rows in the order that a scan must give; knows nothing of files, logs or segments.
//! Cloning is cheap, so that a model of every moment can be kept. Next: `step` for what changes it, `compare` for
//! how a database is held against it.

use std::collections::BTreeMap;
use std::sync::Arc;

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
}

/// All tables and open snapshots.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub tables: BTreeMap<String, Arc<ModelTable>>,
    /// Open snapshots and what the database was at their cut.
    pub snapshots: BTreeMap<String, Arc<Model>>,
}

impl Model {
    /// Returns the table of that name, which must exist.
    pub fn table(&self, name: &str) -> &Arc<ModelTable> {
        self.tables.get(name).unwrap_or_else(|| panic!("the model has no table {name}"))
    }

    /// Returns the table of that name for a change.
    pub fn table_mut(&mut self, name: &str) -> &mut ModelTable {
        Arc::make_mut(self.tables.get_mut(name).unwrap_or_else(|| panic!("the model has no table {name}")))
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

    /// Adds rows behind those of the same time.
    pub fn append(&mut self, rows: &[Row]) {
        self.rows.extend_from_slice(rows);
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by_key(|row| self.ts_us(row));
        self.rows = rows;
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
        self.columns.remove(at);
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

    /// Returns the position of the column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
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
