//! Rows that bring their table and columns with them: one commit, or nothing.

use std::sync::Arc;

use storage::{Database, Error, NewTable, Target, Write};
use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, SymbolColumn, TableName};

use crate::support::*;

fn new_table(name: &str, times: &[i64]) -> Write {
    let columns = vec![column("ts", ColumnType::Timestamp), column("sym", ColumnType::Symbol)];
    let new = NewTable::new(TableName::new(name).unwrap(), columns, Some(0), PartitionBy::Day);
    let target = Target::New(new);
    let ids = target.new_ids();
    let mut symbols = SymbolColumn::default();
    times.iter().for_each(|_| symbols.push(Some("x")));
    let columns = vec![
        Column { id: ids[0], data: ColumnData::I64(times.to_vec()) },
        Column { id: ids[1], data: ColumnData::Symbol(symbols) },
    ];
    Write { target, batch: RowBatch::new(times.len(), columns).unwrap() }
}

/// Returns a row for a table as it is now, with a value in a column that it lacks.
fn wider(db: &Database, name: &str, new_column: &str, time: i64) -> Write {
    let view = db.view().table(name).unwrap();
    let schema = view.schema().clone();
    let target = Target::Table {
        id: view.id(),
        name: view.name().clone(),
        schema: Arc::clone(&schema),
        new_columns: vec![column(new_column, ColumnType::Symbol)],
    };
    let mut symbols = SymbolColumn::default();
    symbols.push(Some("new"));
    let columns = vec![
        Column { id: schema.designated.unwrap(), data: ColumnData::I64(vec![time]) },
        Column { id: target.new_ids()[0], data: ColumnData::Symbol(symbols) },
    ];
    Write { target, batch: RowBatch::new(1, columns).unwrap() }
}

#[test]
fn rows_for_a_view_are_refused_and_make_nothing() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    db.set_view(&TableName::new("V").unwrap(), "select 1", storage::Replace::Never).unwrap();
    match db.write(vec![new_table("other", &[1]), new_table("v", &[1])]) {
        Err(Error::Invalid(why)) => assert_eq!(why, "cannot modify view [view=V]"),
        done => panic!("{done:?}"),
    }
    assert!(db.view().tables().is_empty());
}

#[test]
fn rows_and_what_they_need_are_one_commit_that_survives_a_restart() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "old");
    let before = db.view().seq();
    let seq = db.write(vec![new_table("a", &[1, 2]), new_table("b", &[3]), wider(&db, "old", "w", 4)]).unwrap();
    assert_eq!(seq, before.next());
    let all = |db: &Database| [rows(db, "a"), rows(db, "b"), rows(db, "old")].concat();
    let expected = ["1 x", "2 x", "3 x", "4 null null null new"];
    assert_eq!(all(&db), expected);
    db.flush_table(db.view().table("old").unwrap().id()).unwrap();
    assert_eq!(all(&db), expected);
    db.close().unwrap();
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(all(&db), expected);
}

#[test]
fn a_refused_write_makes_nothing() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "old");
    let stale = wider(&db, "old", "w", 4);
    db.write(vec![wider(&db, "old", "v2", 4)]).unwrap();
    let seq = db.view().seq();
    // the columns have changed meanwhile; the new table must not stay behind
    let refused = db.write(vec![new_table("a", &[1]), stale]);
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    let refused = db.write(vec![new_table("a", &[1]), new_table("A", &[2])]);
    assert!(matches!(refused, Err(Error::Exists(_))), "{refused:?}");
    let refused = db.write(vec![new_table("a", &[1]), new_table("b", &[-5])]);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert!(db.view().table("a").is_none());
    assert_eq!(db.view().seq(), seq);
}

#[test]
fn rows_for_a_table_that_was_renamed_or_dropped_meanwhile_are_not_stored() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "old");
    let row = || wider(&db, "old", "w", 4);
    let (before_rename, before_drop) = (row(), row());
    db.rename_table(id, &TableName::new("other").unwrap()).unwrap();
    assert!(matches!(db.write(vec![before_rename]), Err(Error::Conflict(_))));
    assert_eq!(rows(&db, "other").len(), 0);
    db.drop_table(id).unwrap();
    assert!(matches!(db.write(vec![before_drop]), Err(Error::Conflict(_))));
}

#[test]
fn a_table_takes_the_place_of_another_one_with_its_first_rows() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let old = create(&db, "t");
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
    let instead = |id| {
        let Write { target: Target::New(new), batch } = new_table("T", &[7]) else { unreachable!() };
        Write { target: Target::Instead { id, new }, batch }
    };
    let before = db.view();
    db.write(vec![instead(old)]).unwrap();
    assert_eq!(rows(&db, "t"), ["7 x"]);
    assert_eq!(before.table("t").unwrap().row_count().unwrap(), 1);
    assert!(matches!(db.write(vec![instead(old)]), Err(Error::Conflict(_))));
    drop((db, before));
    assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t"), ["7 x"]);
}
