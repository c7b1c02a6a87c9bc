//! A new table whose many rows are written once, and named by one frame.

use std::path::Path;

use storage::env::sim_fs::{Fault, FaultPlan, SimFs, Survive};
use storage::load::Load;
use storage::{Database, Error, NewTable, Options, Terms};
use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, StrColumn, SymbolColumn, TableName};

use crate::support::*;

/// Few rows fill the memory of a load.
fn open_small(env: &storage::Env) -> Database {
    Database::open(env.clone(), Options { drop_grace_us: 0, flush_bytes: 1_000, ..Options::new(Path::new(ROOT)) })
        .unwrap()
}

fn new_table(name: &str) -> NewTable {
    let columns = vec![
        column("ts", ColumnType::Timestamp),
        column("sym", ColumnType::Symbol),
        column("v", ColumnType::Long),
        column("note", ColumnType::Varchar),
    ];
    NewTable::new(TableName::new(name).unwrap(), columns, Some(0), PartitionBy::Day)
}

/// Three days, some rows late, equal times, symbols that come up as it goes; every batch has symbol codes of its own.
fn batch_of(i: i64) -> RowBatch {
    let times = (0..20).map(|row| (i + row) % 3 * DAY_US + i / 4 * 10 + row % 5);
    let (mut symbols, mut notes) = (SymbolColumn::default(), StrColumn::default());
    for row in 0..20 {
        symbols.push((row % 7 != 0).then(|| format!("s{}", (i * 20 + row) % (i + 3))).as_deref());
        notes.push((row % 3 != 0).then_some("note"));
    }
    let data = [
        ColumnData::I64(times.collect()),
        ColumnData::Symbol(symbols),
        ColumnData::I64((i * 20..i * 20 + 20).collect()),
        ColumnData::Str(notes),
    ];
    let ids = new_table("t").schema().unwrap().columns.into_iter().map(|column| column.id);
    RowBatch::new(20, ids.zip(data).map(|(id, data)| Column { id, data }).collect()).unwrap()
}

fn filled<'a>(db: &'a Database, new: &NewTable) -> Load<'a> {
    let mut load = db.begin_load(new).unwrap();
    (0..40).for_each(|i| load.append(batch_of(i)).unwrap());
    load
}

/// The same rows by one commit.
fn by_a_commit(db: &Database, name: &str) -> Vec<String> {
    db.create_table_with_rows(new_table(name), |_| Ok((0..40).map(batch_of).collect())).unwrap();
    rows(db, name)
}

fn files(fs: &SimFs) -> Vec<std::path::PathBuf> {
    let tables = fs.files_below(&Path::new(ROOT).join("db"));
    tables.into_iter().filter(|path| path.iter().any(|step| step.to_string_lossy().contains('~'))).collect()
}

#[test]
fn rows_that_are_written_once_are_those_of_a_commit_in_their_order_and_outlive_a_power_cut() {
    let (fs, env) = machine();
    let db = open_small(&env);
    let log_bytes = || db.status().log_bytes;
    let before = log_bytes();
    let load = filled(&db, &new_table("t"));
    assert!(files(&fs).len() > 3, "rows are written before the end");
    assert!(db.view().table("t").is_none(), "nobody sees them");
    load.finish(&new_table("t")).unwrap();
    assert!(log_bytes() - before < 4_000, "the log names them and does not hold them");
    let loaded = rows(&db, "t");
    assert_eq!(loaded, by_a_commit(&db, "by_commit"));
    drop(db);
    fs.power_cut(Survive::Nothing);
    let db = open_small(&on(&env, fs.power_up()));
    assert_eq!(rows(&db, "t"), loaded);
    db.view().table("t").unwrap().check_files().unwrap();
    // It is a table as others are.
    insert(&db, "t", &[(5, Some("s1"), -1, None), (6, Some("new"), -2, Some("x"))]);
    db.prepare_snapshot_with("good", Terms { keep: true, ..Terms::default() }).unwrap();
    let now = rows(&db, "t");
    assert!(now.contains(&"6 new -2 x".to_owned()), "{:?}", &now[..8]);
    db.drop_table(db.view().table("t").unwrap().id()).unwrap();
    db.restore_table(&db.view_at("good").unwrap(), "t", &TableName::new("t").unwrap()).unwrap();
    assert_eq!(rows(&db, "t"), now);
}

#[test]
fn nothing_is_left_of_rows_that_do_not_come_to_their_end() {
    let (fs, env) = machine();
    let db = open_small(&env);
    drop(filled(&db, &new_table("t")));
    clean_up(&db);
    assert_eq!((files(&fs), db.view().table("t").is_none()), (vec![], true));
    // A bad row ends it.
    let mut load = filled(&db, &new_table("t"));
    let mut bad = batch_of(1).into_columns();
    bad[0].data = ColumnData::I64(vec![-1; 20]);
    let refused = load.append(RowBatch::new(20, bad).unwrap()).unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused}");
    drop(load);
    // Another one was faster.
    let load = filled(&db, &new_table("t"));
    create(&db, "T");
    assert!(matches!(load.finish(&new_table("t")), Err(Error::Exists(_))));
    assert!(matches!(db.begin_load(&new_table("t")).map(drop), Err(Error::Exists(_))));
    clean_up(&db);
    assert_eq!(files(&fs), Vec::<std::path::PathBuf>::new());
    let mut keyed = new_table("keyed");
    keyed.dedup_keys = vec![0];
    assert!(matches!(db.begin_load(&keyed).map(drop), Err(Error::Invalid(_))));
}

#[test]
fn gc_and_snapshots_go_on_beside_a_table_in_the_making() {
    let (_, env) = machine();
    let db = open_small(&env);
    create(&db, "other");
    let mut load = filled(&db, &new_table("t"));
    insert(&db, "other", &[(1, Some("a"), 1, None)]);
    db.prepare_snapshot("default").unwrap();
    clean_up(&db);
    load.append(batch_of(40)).unwrap();
    load.finish(&new_table("t")).unwrap();
    db.complete_snapshot("default").unwrap();
    clean_up(&db);
    assert_eq!(rows(&db, "t").len(), 820);
    db.view().table("t").unwrap().check_files().unwrap();
}

#[test]
fn a_cut_at_any_call_leaves_the_whole_table_or_nothing_of_it() {
    let (fs, env) = machine();
    let db = open_small(&env);
    fs.capture_crash_points(true);
    filled(&db, &new_table("t")).finish(&new_table("t")).unwrap();
    let points = fs.take_crash_points();
    fs.capture_crash_points(false);
    let all = rows(&db, "t");
    assert!(points.len() > 50, "{}", points.len());
    let mut found = [0, 0];
    for (i, point) in points.iter().enumerate() {
        let machine = if i % 2 == 0 { point.kill() } else { point.power_cut(Survive::Subset(i as u64)) };
        let machine = std::sync::Arc::new(machine);
        let db = open_small(&on_arc(&env, machine.clone()));
        clean_up(&db);
        match db.view().table("t") {
            Some(table) => assert_eq!(rows_of(&table), all, "point {i}"),
            None => assert_eq!(files(&machine), Vec::<std::path::PathBuf>::new(), "point {i}"),
        }
        found[usize::from(db.view().table("t").is_some())] += 1;
        // The name is free, or the rows stay: the next one to try gets the same.
        if db.view().table("t").is_none() {
            filled(&db, &new_table("t")).finish(&new_table("t")).unwrap();
        }
        assert_eq!(rows(&db, "t"), all, "point {i}");
    }
    assert!(found[0] > 40 && found[1] > 0, "{found:?}");
}

#[test]
fn an_error_of_any_call_leaves_nothing_of_the_table() {
    let calls = {
        let (fs, env) = machine();
        let db = open_small(&env);
        let before = fs.op_count();
        filled(&db, &new_table("t")).finish(&new_table("t")).unwrap();
        fs.op_count() - before
    };
    let mut failed = 0;
    for nth in 0..calls {
        let (fs, env) = machine();
        let db = open_small(&env);
        fs.set_faults(FaultPlan::one(Fault::Fail { at_op: fs.op_count() + nth, errno: Fault::EIO, times: 1 }));
        let new = new_table("t");
        let outcome = db.begin_load(&new).and_then(|mut load| {
            (0..40).try_for_each(|i| load.append(batch_of(i)))?;
            load.finish(&new)
        });
        fs.set_faults(FaultPlan::none());
        // The table is there when the statement says so, and only then; what the log cannot tell is decided by a start.
        assert_eq!(db.view().table("t").is_some(), outcome.is_ok(), "call {nth}");
        failed += u64::from(outcome.is_err());
        drop(db);
        let db = open_small(&on(&env, fs.power_up()));
        clean_up(&db);
        match outcome {
            Ok(_) => assert_eq!(rows(&db, "t").len(), 800, "call {nth}"),
            Err(_) => assert!(matches!(rows(&db, "t").len(), 0 | 800), "call {nth}"),
        }
    }
    assert!(failed > calls / 2, "{failed} of {calls}");
}
