//! Rows through their life: log, memtable, segments, bases, restarts.

use std::path::Path;

use storage::env::Fs;
use storage::{Database, Options, StartStep};

use types::PartitionBy;

use crate::support::*;

const ROWS: &[Row] = &[
    (3 * DAY_US, Some("b"), 1, Some("late")),
    (DAY_US, Some("a"), 2, None),
    (DAY_US, None, 3, Some("")),
    (2 * DAY_US, Some("b"), i64::MIN, Some("ä")),
];

fn expected() -> Vec<String> {
    let lines = ["86400000000 a 2 null", "86400000000 null 3 ", "172800000000 b null ä", "259200000000 b 1 late"];
    lines.map(str::to_owned).to_vec()
}

#[test]
fn rows_come_back_in_time_order_through_flush_base_and_restart() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "trades");
    insert(&db, "Trades", ROWS);
    assert_eq!(rows(&db, "TRADES"), expected());
    db.flush_table(id).unwrap();
    assert_eq!(rows(&db, "trades"), expected());
    insert(&db, "trades", &[(DAY_US, Some("c"), 9, None)]);
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
    let before = rows(&db, "trades");
    assert_eq!(before[2], "86400000000 c 9 null", "a tie comes after what arrived before it");
    db.close().unwrap();
    drop(db);
    let fs = fs.kill();
    let db = open(&on(&env, fs)).unwrap();
    assert_eq!(rows(&db, "trades"), before);
    assert_eq!(db.view().table("trades").unwrap().partitions().unwrap().len(), 3);
}

#[test]
fn a_base_is_due_when_the_log_has_many_bytes_or_many_files() {
    // Each step ends a log file.
    let due = |base_bytes, log_files_max| -> Vec<bool> {
        let (_, env) = machine();
        let options = Options { base_bytes, log_files_max, ..Options::new(ROOT) };
        let db = Database::open(env, options).unwrap();
        create(&db, "t");
        let mut step = |n: i64| {
            insert(&db, "t", &[(n, Some("a"), n, None)]);
            db.prepare_snapshot("default").unwrap();
            db.complete_snapshot("default").unwrap();
            db.step_base().unwrap()
        };
        (0..4).map(&mut step).collect()
    };
    assert_eq!(due(u64::MAX, usize::MAX), [false; 4]);
    assert_eq!(due(1, usize::MAX), [true; 4]);
    // The rows are in memory alone: a base lets none of the files go, and the next one is due with the next file.
    assert_eq!(due(u64::MAX, 3), [false, false, true, true]);
}

#[test]
fn a_start_tells_what_it_reads() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    insert(&db, "t", ROWS);
    drop(db);
    let heard = std::sync::Mutex::new(Vec::new());
    let listen = |step: StartStep| heard.lock().unwrap().push(format!("{step:?}"));
    storage::Database::open_with_progress(on(&env, fs.kill()), storage::Options::new(ROOT), &listen).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["Doing(\"recovery: reading log file 1 of 1\")"]);
}

#[test]
fn acknowledged_rows_survive_a_power_cut_and_a_second_one() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    insert(&db, "t", ROWS);
    drop(db);
    fs.power_cut(storage::env::sim_fs::Survive::Nothing);
    let fs = std::sync::Arc::new(fs.power_up());
    let env = on_arc(&env, fs.clone());
    let db = open(&env).unwrap();
    assert_eq!(rows(&db, "t"), expected());
    insert(&db, "t", &[(5 * DAY_US, Some("z"), 5, None)]);
    drop(db);
    fs.power_cut(storage::env::sim_fs::Survive::Nothing);
    let db = open(&on(&env, fs.power_up())).unwrap();
    assert_eq!(rows(&db, "t").len(), 5);
}

#[test]
fn statements_change_what_the_next_view_sees_and_not_an_older_one() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", ROWS);
    let before = db.view();
    db.add_column(id, column("x", types::ColumnType::Int)).unwrap();
    db.drop_column(id, "note").unwrap();
    db.rename_column(id, "v", "w").unwrap();
    assert!(db.add_column(id, column("W", types::ColumnType::Int)).is_err());
    assert!(db.drop_column(id, "ts").is_err());
    db.rename_table(id, &types::TableName::new("u").unwrap()).unwrap();
    assert_eq!(rows(&db, "u").len(), 4);
    db.truncate(id).unwrap();
    assert_eq!(rows(&db, "u").len(), 0);
    db.drop_table(id).unwrap();
    assert!(db.view().table("u").is_none() && db.view().tables().is_empty());
    assert_eq!(rows_of(&before.table("t").unwrap()), expected());
}

#[test]
fn partitions_are_dropped_and_rewritten_as_one_change() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", ROWS);
    db.drop_partitions(id, &[PartitionBy::Day.key(DAY_US)]).unwrap();
    assert_eq!(rows(&db, "t"), expected()[2..].to_vec());
    assert!(db.drop_partitions(id, &[PartitionBy::Day.key(0)]).is_err());
    db.rewrite(id, |view| {
        assert_eq!(view.row_count().unwrap(), 2);
        Ok(Some(vec![(
            PartitionBy::Day.key(2 * DAY_US),
            vec![batch(&db, "t", &[(2 * DAY_US, Some("new"), 7, None)]).1],
        )]))
    })
    .unwrap();
    let after = ["172800000000 new 7 null", "259200000000 b 1 late"].map(str::to_owned).to_vec();
    assert_eq!(rows(&db, "t"), after);
    drop(db);
    fs.power_cut(storage::env::sim_fs::Survive::Nothing);
    let db = open(&on(&env, fs.power_up())).unwrap();
    assert_eq!(rows(&db, "t"), after);
}

#[test]
fn bad_rows_are_refused_and_leave_nothing() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    create(&db, "u");
    for bad in [i64::MIN, -1] {
        let both = vec![batch(&db, "t", ROWS), batch(&db, "u", &[(bad, Some("s"), 1, None)])];
        assert!(matches!(db.append(both), Err(storage::Error::Invalid(_))));
    }
    assert_eq!((rows(&db, "t").len(), rows(&db, "u").len()), (0, 0));
}

#[test]
fn a_root_in_use_or_of_another_kind_is_refused_untouched() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let refused = |result: storage::Result<storage::Database>, word: &str| match result {
        Err(storage::Error::Refused(text)) => assert!(text.contains(word), "{text}"),
        other => panic!("{:?}", other.err()),
    };
    refused(open(&env), "in use");
    drop(db);
    for (file, word) in [("tables.d.0", "QuestDB"), ("something", "not of this database")] {
        fs.make_dirs(Path::new("/foreign/db"));
        fs.write_file(&Path::new("/foreign/db").join(file), b"x");
        let before = fs.tree_digest(Path::new("/foreign"));
        refused(open_at(&env, "/foreign"), word);
        fs.write_file(Path::new("/foreign/_restore"), b"");
        refused(open_at(&env, "/foreign"), word);
        fs.remove(Path::new("/foreign/_restore"));
        assert_eq!(fs.tree_digest(Path::new("/foreign")), before);
        fs.remove(&Path::new("/foreign/db").join(file));
    }
    fs.make_dirs(Path::new("/fresh/db/lost+found"));
    assert!(open_at(&env, "/fresh").is_ok());
}

#[test]
fn a_commit_larger_than_the_spare_log_file_gets_a_larger_one() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.step_spare().unwrap();
    let many: Vec<Row> = (0..100_000).map(|i| (i, Some("a"), i, None)).collect();
    insert(&db, "t", &many);
    insert(&db, "t", &many);
    while db.step_gc().unwrap() {}
    let files = fs.list(&Path::new(ROOT).join("db/_live")).unwrap();
    assert!(files.len() <= 3, "{files:?}");
    drop(db);
    fs.power_cut(storage::env::sim_fs::Survive::Nothing);
    let db = open(&on(&env, fs.power_up())).unwrap();
    assert_eq!(db.view().table("t").unwrap().row_count().unwrap(), 200_000);
}
