//! ALTER TABLE: columns, DEDUP keys, TTL, parameters. Each statement is one frame, whatever it changes.

use types::{ColumnId, DedupRule, PartitionBy, Schema, Seq, SymbolOptions, TableId, Ttl};

use super::Database;
use super::ddl::{NewColumn, check_column_name, column, gone, table};
use crate::log::writer::Urgency;
use crate::record::{CatalogChange, Record};
use crate::table::TableState;
use crate::{Error, Result};

/// One change of a table's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    /// Rows that are there have NULL (false, 0) in it.
    Add(NewColumn),
    Drop(String),
    Rename {
        from: String,
        to: String,
    },
    /// Declares or takes back an INDEX; shown, without effect.
    Index {
        column: String,
        indexed: bool,
    },
    /// Options of a SYMBOL that are shown and have no effect.
    Symbol {
        column: String,
        options: SymbolOptions,
    },
}

impl Database {
    /// Adds a column; rows that are there have NULL (false, 0) in it.
    ///
    /// # Errors
    /// [`Error::Exists`] when the table has a column of that name.
    pub fn add_column(&self, id: TableId, new: NewColumn) -> Result<ColumnId> {
        let mut added = ColumnId(0);
        self.alter(id, |table, schema| {
            added = ColumnId(schema.next_column_id);
            change(table, schema, &ColumnChange::Add(new), Seq::ZERO)
        })?;
        Ok(added)
    }

    /// Drops a column.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for the designated timestamp and the last column.
    pub fn drop_column(&self, id: TableId, name: &str) -> Result<()> {
        self.alter_columns(id, &[ColumnChange::Drop(name.to_owned())])
    }

    /// Gives a column another name.
    pub fn rename_column(&self, id: TableId, from: &str, to: &str) -> Result<()> {
        self.alter_columns(id, &[ColumnChange::Rename { from: from.to_owned(), to: to.to_owned() }])
    }

    /// Makes several changes of a table's columns as one commit: all of them or none.
    ///
    /// # Errors
    /// Those of the first change that does not fit, see [`Database::add_column`] and [`Database::drop_column`].
    pub fn alter_columns(&self, id: TableId, changes: &[ColumnChange]) -> Result<()> {
        self.alter_at(id, |table, schema, seq| changes.iter().try_for_each(|c| change(table, schema, c, seq)))
    }

    /// Declares or takes back the INDEX of a SYMBOL column.
    pub fn set_indexed(&self, id: TableId, column: &str, indexed: bool) -> Result<()> {
        self.alter_columns(id, &[ColumnChange::Index { column: column.to_owned(), indexed }])
    }

    /// Makes later rows replace earlier ones of equal keys, or lets them be (`None`). Rows that are there stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the keys lack the designated timestamp; [`Error::NotFound`] for an unknown column.
    pub fn set_dedup(&self, id: TableId, keys: Option<&[&str]>) -> Result<()> {
        self.alter_at(id, |table, schema, seq| {
            let find = |name: &&str| position(schema, name).map(|at| schema.columns[at].id);
            let keys = keys.unwrap_or_default().iter().map(find).collect::<Result<Vec<_>>>()?;
            if !keys.is_empty() {
                check_dedup_keys(schema, &keys)?;
            }
            add_rule(table, schema, DedupRule { since: seq, keys });
            Ok(())
        })
    }

    /// Sets how long rows are kept, `None` for ever. Partitions that are too old already go with this commit.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a table that is not partitioned.
    pub fn set_ttl(&self, id: TableId, ttl: Option<Ttl>) -> Result<()> {
        self.alter(id, |_, schema| {
            schema.ttl = ttl;
            check_ttl(schema)
        })
    }

    /// Sets the parameters that are shown and have no effect; `None` leaves one as it is.
    pub fn set_params(&self, id: TableId, max_uncommitted_rows: Option<u32>, o3_max_lag_us: Option<i64>) -> Result<()> {
        self.alter(id, |_, schema| {
            schema.max_uncommitted_rows = max_uncommitted_rows.or(schema.max_uncommitted_rows);
            schema.o3_max_lag_us = o3_max_lag_us.or(schema.o3_max_lag_us);
            Ok(())
        })
    }

    /// Declares a table WAL or BYPASS WAL: shown, without effect.
    pub fn set_wal(&self, id: TableId, wal: bool) -> Result<()> {
        self.alter(id, |_, schema| {
            schema.wal = wal;
            Ok(())
        })
    }

    fn alter(&self, id: TableId, change: impl FnOnce(&TableState, &mut Schema) -> Result<()>) -> Result<()> {
        self.alter_at(id, |table, schema, _| change(table, schema))
    }

    /// Commits a new schema; `change` learns the Seq that it gets.
    fn alter_at(&self, id: TableId, change: impl FnOnce(&TableState, &mut Schema, Seq) -> Result<()>) -> Result<()> {
        let known = self.view().table_by_id(id).ok_or_else(|| gone(id))?;
        let max_bytes = 4096 + (known.schema().columns.len() + 16) * 512;
        let now_us = self.disk.env.clock.now_us();
        self.commit(Urgency::Ordinary, max_bytes, |state| {
            let table = table(state, id)?;
            let mut schema = Schema::clone(&table.schema);
            change(table, &mut schema, state.seq.next())?;
            schema.version += 1;
            let expired = table.expired_before(schema.ttl, None, state.commit_us.max(now_us));
            let mut records = vec![Record::Catalog(CatalogChange::Alter { table: id, schema })];
            records.extend(expired.map(|before_us| Record::Catalog(CatalogChange::Expire { table: id, before_us })));
            Ok(records)
        })?;
        Ok(())
    }
}

fn change(table: &TableState, schema: &mut Schema, change: &ColumnChange, seq: Seq) -> Result<()> {
    match change {
        ColumnChange::Add(new) => {
            check_column_name(&new.name)?;
            if schema.column(&new.name).is_some() {
                return Err(Error::Exists(format!("column '{}' already exists", new.name)));
            }
            schema.columns.push(column(ColumnId(schema.next_column_id), new));
            schema.next_column_id += 1;
        }
        ColumnChange::Drop(name) => drop_column(table, schema, name, seq)?,
        ColumnChange::Rename { from, to } => {
            check_column_name(to)?;
            let at = position(schema, from)?;
            if schema.index_of(to).is_some_and(|other| other != at) {
                return Err(Error::Exists(format!("column '{to}' already exists")));
            }
            schema.columns[at].name = to.clone();
        }
        ColumnChange::Index { column, indexed } => {
            let at = position(schema, column)?;
            schema.columns[at].indexed = *indexed;
            if !indexed {
                schema.columns[at].symbol.index_capacity = None;
            }
        }
        ColumnChange::Symbol { column, options } => {
            let at = position(schema, column)?;
            schema.columns[at].symbol = *options;
        }
    }
    Ok(())
}

fn drop_column(table: &TableState, schema: &mut Schema, name: &str, seq: Seq) -> Result<()> {
    let at = position(schema, name)?;
    let id = schema.columns[at].id;
    if schema.designated == Some(id) {
        return Err(Error::Invalid("cannot remove designated timestamp column".into()));
    }
    if schema.columns.len() == 1 {
        return Err(Error::Invalid(format!("cannot remove the last column: {name}; drop the table instead")));
    }
    schema.columns.remove(at);
    if schema.dedup_keys().contains(&id) {
        // Later rows are told apart by the keys that are left.
        let keys = schema.dedup_keys().iter().copied().filter(|key| *key != id).collect();
        add_rule(table, schema, DedupRule { since: seq, keys });
    }
    Ok(())
}

/// Puts a rule in force and forgets those that no row in memory was committed under.
pub(crate) fn add_rule(table: &TableState, schema: &mut Schema, rule: DedupRule) {
    let first = table.memtable.first_seq().unwrap_or(rule.since);
    schema.dedup.push(rule);
    let in_force = schema.dedup.iter().rposition(|rule| rule.since <= first).unwrap_or(0);
    schema.dedup.drain(..in_force);
    if schema.dedup.iter().all(|rule| rule.keys.is_empty()) {
        schema.dedup.clear();
    }
}

pub(super) fn check_dedup_keys(schema: &Schema, keys: &[ColumnId]) -> Result<()> {
    if schema.designated.is_none_or(|designated| !keys.contains(&designated)) {
        return Err(Error::Invalid("deduplicate key list must include dedicated timestamp column".into()));
    }
    Ok(())
}

pub(super) fn check_ttl(schema: &Schema) -> Result<()> {
    if schema.ttl.is_some() && schema.partition_by == PartitionBy::None {
        return Err(Error::Invalid("cannot set TTL on a non-partitioned table".into()));
    }
    Ok(())
}

fn position(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).ok_or_else(|| Error::NotFound(format!("Invalid column: {name}")))
}
