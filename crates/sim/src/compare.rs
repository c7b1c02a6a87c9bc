//! A database held against the model: every table, column, value and order.
//!
//! Reads through the same view as queries do. Returns the first difference as a sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::StringViewArray;
use storage::{Database, ReadView, SnapshotState, TableView};
use types::{ColumnId, ColumnType, TimeRange, Ttl};

use crate::model::{Model, ModelColumn, ModelSnapshot, ModelTable};
use crate::value::Value;

/// Rows that a scan is asked for at once; small, so that chunk borders are met.
const CHUNK_ROWS: usize = 64;

/// Compares tables and snapshots, and reads each of these at its cut.
pub fn compare(model: &Model, db: &Database) -> Result<(), String> {
    compare_tables(model, db)?;
    compare_dropped(model, db)?;
    // When a kept one settles is left to the background.
    let settled = |state| if state == SnapshotState::Settled { SnapshotState::Kept } else { state };
    let found: BTreeMap<String, SnapshotState> =
        db.snapshots().into_iter().map(|s| (s.name, settled(s.state))).collect();
    let state = |snapshot: &ModelSnapshot| match snapshot {
        ModelSnapshot { kept: true, .. } => SnapshotState::Kept,
        ModelSnapshot { expired: true, .. } => SnapshotState::Expired,
        ModelSnapshot { ended: true, .. } => SnapshotState::Ended,
        _ => SnapshotState::Open,
    };
    let expected: BTreeMap<String, SnapshotState> =
        model.snapshots.iter().map(|(name, s)| (name.clone(), state(s))).collect();
    if found != expected {
        return Err(format!("snapshots are {found:?}, expected {expected:?}"));
    }
    for (name, snapshot) in &model.snapshots {
        let view = db.view_at(name).map_err(|e| format!("snapshot {name} cannot be read: {e}"))?;
        compare_view(&snapshot.cut, &view).map_err(|e| format!("at snapshot {name}: {e}"))?;
    }
    Ok(())
}

/// Compares the tables alone.
pub fn compare_tables(model: &Model, db: &Database) -> Result<(), String> {
    compare_view(model, &db.view())
}

fn compare_dropped(model: &Model, db: &Database) -> Result<(), String> {
    let dropped = db.dropped_tables().map_err(|e| format!("dropped tables cannot be counted: {e}"))?;
    let found: Vec<(String, u64)> =
        dropped.into_iter().rev().map(|table| (table.name.as_str().to_owned(), table.rows)).collect();
    let expected: Vec<(String, u64)> =
        model.dropped.iter().map(|table| (table.name.clone(), table.rows.len() as u64)).collect();
    if found != expected {
        return Err(format!("dropped tables are {found:?}, expected {expected:?}"));
    }
    Ok(())
}

/// Compares the tables and the views of SQL of a read view, which may be an old one.
pub fn compare_view(model: &Model, view: &ReadView) -> Result<(), String> {
    let found: BTreeMap<String, TableView> =
        view.tables().into_iter().map(|table| (table.name().as_str().to_owned(), table)).collect();
    let names: BTreeSet<&String> = found.keys().collect();
    let expected: BTreeSet<&String> = model.tables.keys().collect();
    if names != expected {
        return Err(format!("tables are {names:?}, expected {expected:?}"));
    }
    let views: BTreeMap<String, String> =
        view.sql_views().map(|view| (view.name.as_str().to_owned(), view.text.clone())).collect();
    if views != model.views {
        return Err(format!("views are {views:?}, expected {:?}", model.views));
    }
    for (name, table) in &model.tables {
        compare_table(table, &found[name]).map_err(|difference| format!("table {name}: {difference}"))?;
    }
    Ok(())
}

fn compare_table(model: &ModelTable, table: &TableView) -> Result<(), String> {
    let schema = table.schema();
    let columns: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
    let expected: Vec<_> = model.columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
    if columns != expected {
        return Err(format!("columns are {columns:?}, expected {expected:?}"));
    }
    let shape = (schema.designated_index(), schema.partition_by);
    if shape != (model.designated, model.partition_by) {
        return Err(format!(
            "designated and partition are {shape:?}, expected {:?}",
            (model.designated, model.partition_by)
        ));
    }
    compare_rules(model, table)?;
    let counted = table.row_count().map_err(|e| format!("count: {e}"))?;
    if counted != model.rows.len() as u64 {
        return Err(format!("{counted} rows counted, {} expected", model.rows.len()));
    }
    compare_partitions(model, table)?;
    let ids: Vec<ColumnId> = schema.columns.iter().map(|c| c.id).collect();
    compare_rows(model, table, &ids, TimeRange::ALL, 0..model.rows.len())?;
    if let Some(range) = middle(model) {
        let inside = |row: &&crate::value::Row| range.contains(model.ts_us(row));
        let first = model.rows.iter().position(|row| range.contains(model.ts_us(row))).unwrap_or(0);
        let count = model.rows.iter().filter(inside).count();
        compare_rows(model, table, &ids, range, first..first + count).map_err(|e| format!("{e} (within {range:?})"))?;
    }
    Ok(())
}

fn compare_rules(model: &ModelTable, table: &TableView) -> Result<(), String> {
    let schema = table.schema();
    let keys = schema.dedup_keys().iter().filter(|id| schema.designated != Some(**id));
    let keys: BTreeSet<&str> = keys.filter_map(|id| schema.column_by_id(*id)).map(|c| &*c.name).collect();
    let keys = (!schema.dedup_keys().is_empty()).then_some(keys);
    let expected = model.dedup.as_ref().map(|keys| keys.iter().map(String::as_str).collect());
    if keys != expected {
        return Err(format!("keys are {keys:?}, expected {expected:?}"));
    }
    let expected = model.ttl_hours.map(Ttl::Hours);
    if schema.ttl != expected {
        return Err(format!("the time to live is {:?}, expected {expected:?}", schema.ttl));
    }
    Ok(())
}

fn compare_partitions(model: &ModelTable, table: &TableView) -> Result<(), String> {
    let found = table.partitions().map_err(|e| format!("partitions: {e}"))?;
    let found: BTreeMap<_, usize> = found.into_iter().map(|p| (p.key, p.rows as usize)).collect();
    let expected = model.partitions();
    if found != expected {
        return Err(format!("partitions are {found:?}, expected {expected:?}"));
    }
    let bounds = table.time_bounds();
    let expected = match (model.rows.first(), model.rows.last()) {
        (Some(first), Some(last)) if model.designated.is_some() => Some((model.ts_us(first), model.ts_us(last))),
        _ => None,
    };
    if bounds != expected {
        return Err(format!("time bounds are {bounds:?}, expected {expected:?}"));
    }
    Ok(())
}

/// Returns the times between a quarter and three quarters of the rows.
fn middle(model: &ModelTable) -> Option<TimeRange> {
    let count = model.rows.len();
    if model.designated.is_none() || count < 4 {
        return None;
    }
    let ts_us = |at: usize| model.ts_us(&model.rows[at]);
    Some(TimeRange { start_us: ts_us(count / 4), end_us: ts_us(count * 3 / 4) })
}

/// Returns the dictionary of each column that is a symbol.
fn dictionaries(
    model: &ModelTable,
    table: &TableView,
    ids: &[ColumnId],
) -> Result<Vec<Option<Arc<StringViewArray>>>, String> {
    let dictionary = |(column, id): (&ModelColumn, &ColumnId)| {
        let is_symbol = column.column_type == ColumnType::Symbol;
        is_symbol.then(|| table.dictionary(*id)).transpose().map_err(|e| format!("dictionary of {}: {e}", column.name))
    };
    model.columns.iter().zip(ids).map(dictionary).collect()
}

fn compare_rows(
    model: &ModelTable,
    table: &TableView,
    ids: &[ColumnId],
    range: TimeRange,
    rows: std::ops::Range<usize>,
) -> Result<(), String> {
    let dictionaries = dictionaries(model, table, ids)?;
    let scan = table.scan(ids, &[range], CHUNK_ROWS).map_err(|e| format!("the scan was refused: {e}"))?;
    let mut at = rows.start;
    for chunk in scan {
        let chunk = chunk.map_err(|e| format!("the scan failed at row {at}: {e}"))?;
        let count = chunk.first().map_or(0, |array| array.len());
        if at + count > rows.end {
            return Err(format!("the scan gives more than the {} rows expected", rows.len()));
        }
        for (i, (array, column)) in chunk.iter().zip(&model.columns).enumerate() {
            let dictionary = dictionaries[i].as_deref();
            for row in 0..count {
                let found = Value::read(array, row, column.column_type, dictionary);
                let expected = &model.rows[at + row][i];
                if found != *expected {
                    return Err(format!("row {}, column {}: {found:?}, expected {expected:?}", at + row, column.name));
                }
            }
        }
        at += count;
    }
    if at != rows.end {
        return Err(format!("the scan gives {} rows, {} expected", at - rows.start, rows.len()));
    }
    Ok(())
}
