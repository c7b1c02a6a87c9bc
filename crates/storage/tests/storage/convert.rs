//! ALTER COLUMN TYPE in storage: every row, also of a writer beside it, comes back under the new type.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use storage::{Database, Env, Options, Result, TableView};
use types::{ColumnData, ColumnType, StrColumn, SymbolColumn};

use crate::support::*;

fn to_text(_: &TableView, values: &ArrayRef) -> Result<ColumnData> {
    let mut text = StrColumn::default();
    for value in values.as_primitive::<Int64Type>() {
        text.push(value.map(|v| format!("n{v}")).as_deref());
    }
    Ok(ColumnData::Str(text))
}

fn to_symbol(_: &TableView, values: &ArrayRef) -> Result<ColumnData> {
    let mut symbols = SymbolColumn::default();
    for value in values.as_string::<i32>() {
        symbols.push(value);
    }
    Ok(ColumnData::Symbol(symbols))
}

#[test]
fn values_in_segments_and_in_memory_get_the_new_type() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(2 * DAY_US, Some("a"), 1, Some("x")), (DAY_US, None, i64::MIN, None)]);
    db.flush_table(id).unwrap();
    insert(&db, "t", &[(DAY_US, Some("b"), 3, Some("y"))]);
    db.convert_column(id, "v", ColumnType::Varchar, to_text).unwrap();
    db.convert_column(id, "note", ColumnType::Symbol, to_symbol).unwrap();
    let expected = ["86400000000 null null null", "86400000000 b n3 y", "172800000000 a n1 x"];
    assert_eq!(rows(&db, "t"), expected);
    let names: Vec<_> = db.view().table("t").unwrap().schema().columns.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, ["ts", "sym", "v", "note"]);
    // Symbols that are in the log alone must not hold it for ever, and must survive until a file holds them.
    let db = reopen(db, &fs, &env);
    assert_eq!(rows(&db, "t"), expected);
    db.flush_table(id).unwrap();
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
    let db = reopen(db, &fs, &env);
    assert_eq!(rows(&db, "t"), expected);
}

fn reopen(db: Database, fs: &Arc<storage::env::sim_fs::SimFs>, env: &Env) -> Database {
    drop(db);
    open(&on(env, fs.kill())).unwrap()
}

#[test]
fn a_conversion_that_fails_changes_nothing() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
    let refuse = |_: &TableView, _: &ArrayRef| Err(storage::Error::Invalid("inconvertible value".into()));
    assert!(db.convert_column(id, "v", ColumnType::Varchar, refuse).is_err());
    assert!(db.convert_column(id, "ts", ColumnType::Varchar, to_text).is_err());
    assert!(db.convert_column(id, "none", ColumnType::Varchar, to_text).is_err());
    assert_eq!(rows(&db, "t"), ["86400000000 a 1 null"]);
    insert(&db, "t", &[(DAY_US, Some("a"), 2, None)]);
    assert_eq!(db.view().table("t").unwrap().schema().column("v").unwrap().column_type, ColumnType::Long);
}

/// A thread appends while the column is converted: what it was told is stored is there, under one type or the other.
#[test]
fn a_writer_beside_a_conversion_loses_no_row() {
    let root = std::env::temp_dir().join(format!("stillpoint-convert-{}", std::process::id()));
    #[allow(clippy::disallowed_methods, reason = "the test makes a root on the real file system")]
    std::fs::create_dir_all(&root).unwrap();
    let db = Database::open(Env::os(), Options::new(&root)).unwrap();
    let id = create(&db, "t");
    let stored = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..400)
                .filter(|n| {
                    let rows = batch_of(&db, *n);
                    rows.is_some_and(|rows| db.append(vec![rows]).is_ok())
                })
                .count()
        });
        db.convert_column(id, "v", ColumnType::Varchar, to_text).unwrap();
        writer.join().unwrap()
    });
    let view = db.view().table("t").unwrap();
    assert_eq!(view.row_count().unwrap(), stored as u64);
    assert!(column_rows(&view, &["v"]).iter().all(|v| v.starts_with('n')));
    drop(db);
    #[allow(clippy::disallowed_methods, reason = "the test removes its root")]
    std::fs::remove_dir_all(&root).unwrap();
}

/// A row under the type that the column has now; None when it is not a LONG any more.
fn batch_of(db: &Database, n: i64) -> Option<(types::TableId, types::RowBatch)> {
    let is_long = db.view().table("t").unwrap().schema().column("v").unwrap().column_type == ColumnType::Long;
    is_long.then(|| batch(db, "t", &[(DAY_US + n, Some("a"), n, None)]))
}
