//! A database over a simulated machine, and the rows of a table as plain text.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use storage::env::clock::ManualClock;
use storage::env::rng::SeededRng;
use storage::env::sim_fs::SimFs;
use storage::{Database, Env, NewColumn, NewTable, Options, Result, SnapshotState, TableView, Terms};
use types::{
    Column, ColumnData, ColumnType, PartitionBy, RowBatch, StrColumn, SymbolColumn, TableId, TableName, TimeRange,
};

pub const ROOT: &str = "/root";
pub const DAY_US: i64 = 86_400_000_000;

/// Sets its flag when it goes, so that a thread which waits for the flag ends where the test fails too.
pub struct Ending<'a>(pub &'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A machine with an empty disk.
pub fn machine() -> (Arc<SimFs>, Env) {
    let fs = Arc::new(SimFs::new(7));
    let env = Env::in_turn(fs.clone(), Arc::new(ManualClock::new(1_700_000_000_000_000)), Arc::new(SeededRng::new(7)));
    (fs, env)
}

/// The same, and the clock, which the test turns.
pub fn machine_with_clock() -> (Arc<SimFs>, Env, Arc<ManualClock>) {
    let fs = Arc::new(SimFs::new(7));
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let env = Env::in_turn(fs.clone(), clock.clone(), Arc::new(SeededRng::new(7)));
    (fs, env, clock)
}

/// The same machine, another process.
pub fn on(env: &Env, fs: SimFs) -> Env {
    on_arc(env, Arc::new(fs))
}

pub fn on_arc(env: &Env, fs: Arc<SimFs>) -> Env {
    Env { fs, ..env.clone() }
}

pub fn open(env: &Env) -> Result<Database> {
    open_at(env, ROOT)
}

pub fn open_at(env: &Env, root: impl AsRef<Path>) -> Result<Database> {
    // Tests of dropped tables open with a grace; in the others a table's files go with it.
    Database::open(env.clone(), Options { drop_grace_us: 0, ..Options::new(root.as_ref()) })
}

pub fn column(name: &str, column_type: ColumnType) -> NewColumn {
    NewColumn::new(name, column_type)
}

/// Makes `name (ts timestamp, sym symbol, v long, note varchar) timestamp(ts) partition by day`.
pub fn create(db: &Database, name: &str) -> TableId {
    let columns = vec![
        column("ts", ColumnType::Timestamp),
        column("sym", ColumnType::Symbol),
        column("v", ColumnType::Long),
        column("note", ColumnType::Varchar),
    ];
    db.create_table(NewTable::new(TableName::new(name).unwrap(), columns, Some(0), PartitionBy::Day)).unwrap()
}

/// One row of that table.
pub type Row = (i64, Option<&'static str>, i64, Option<&'static str>);

pub fn batch(db: &Database, table: &str, rows: &[Row]) -> (TableId, RowBatch) {
    let view = db.view().table(table).unwrap();
    let id = |name: &str| view.schema().column(name).unwrap().id;
    let mut symbols = SymbolColumn::default();
    let mut notes = StrColumn::default();
    for row in rows {
        symbols.push(row.1);
        notes.push(row.3);
    }
    let columns = vec![
        Column { id: id("ts"), data: ColumnData::I64(rows.iter().map(|r| r.0).collect()) },
        Column { id: id("sym"), data: ColumnData::Symbol(symbols) },
        Column { id: id("v"), data: ColumnData::I64(rows.iter().map(|r| r.2).collect()) },
        Column { id: id("note"), data: ColumnData::Str(notes) },
    ];
    (view.id(), RowBatch::new(rows.len(), columns).unwrap())
}

pub fn insert(db: &Database, table: &str, rows: &[Row]) {
    db.append(vec![batch(db, table, rows)]).unwrap();
}

/// A row of the day in the table `t`.
pub fn fill(db: &Database, day: i64) {
    insert(db, "t", &[(day * DAY_US, Some("a"), day, Some("x"))]);
}

/// Two rows of the day in the table `t`, each of a symbol of its own.
pub fn fill_pair(db: &Database, day: i64) {
    insert(db, "t", &[(day * DAY_US, Some("a"), day, Some("x")), (day * DAY_US, Some("b"), -day, None)]);
}

/// A root with rows of the table `t` in segments, in a base, and in the log alone.
pub fn filled(env: &Env) -> Database {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    for day in 1..4 {
        fill_pair(&db, day);
        db.flush_table(id).unwrap();
    }
    db.write_base().unwrap();
    fill_pair(&db, 4);
    db
}

/// A snapshot that is open for so long.
pub fn leased(lease_us: i64) -> Terms {
    Terms { lease_us: Some(lease_us), ..Terms::default() }
}

/// A snapshot that is kept from the start.
pub fn kept() -> Terms {
    Terms { keep: true, owner: "admin".to_owned(), ..Terms::default() }
}

pub fn state(db: &Database, name: &str) -> Option<SnapshotState> {
    db.snapshots().into_iter().find(|s| s.name == name).map(|s| s.state)
}

pub fn rows_at(db: &Database, snapshot: &str, table: &str) -> Vec<String> {
    rows_of(&db.view_at(snapshot).unwrap().table(table).unwrap())
}

/// A base, and the removal of all that nothing needs.
pub fn clean_up(db: &Database) {
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
}

/// The rows of a table, one line each, values separated by blanks, in the order of a scan.
pub fn rows(db: &Database, table: &str) -> Vec<String> {
    db.view().table(table).map(|view| rows_of(&view)).unwrap_or_default()
}

pub fn rows_of(view: &TableView) -> Vec<String> {
    let names: Vec<&str> = view.schema().columns.iter().map(|c| c.name.as_str()).collect();
    column_rows(view, &names)
}

/// As [`rows_of`], of some columns.
pub fn column_rows(view: &TableView, names: &[&str]) -> Vec<String> {
    let columns: Vec<_> = names.iter().map(|name| view.schema().column(name).unwrap().clone()).collect();
    let ids: Vec<_> = columns.iter().map(|c| c.id).collect();
    let mut lines = Vec::new();
    for chunk in view.scan(&ids, &[TimeRange::ALL], 1000).unwrap() {
        let chunk = chunk.unwrap();
        for row in 0..chunk[0].len() {
            let values: Vec<String> = columns
                .iter()
                .zip(&chunk)
                .map(|(c, array)| match c.column_type {
                    ColumnType::Symbol if array.is_valid(row) => {
                        let code = array.as_primitive::<Int32Type>().value(row);
                        view.dictionary(c.id).unwrap().value(code as usize).to_owned()
                    }
                    _ => value(array, row),
                })
                .collect();
            lines.push(values.join(" "));
        }
    }
    assert_eq!(lines.len() as u64, view.row_count().unwrap());
    lines
}

fn value(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return times.value(row).to_string();
    }
    if let Some(longs) = array.as_primitive_opt::<Int64Type>() {
        return longs.value(row).to_string();
    }
    array.as_string::<i32>().value(row).to_owned()
}
