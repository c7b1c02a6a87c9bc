//! CONVERT, DETACH and ATTACH PARTITION.

use std::path::{Path, PathBuf};

use storage::env::Fs;
use storage::env::sim_fs::{SimFs, Survive};
use storage::{Database, Error, PartitionFormat};
use types::{ColumnType, PartitionKey, TableId};

use crate::support::*;

const DAY_1: PartitionKey = PartitionKey(DAY_US);

fn filled(db: &Database) -> TableId {
    let id = create(db, "t");
    for n in 0..3 {
        let note = Some("a text that is long enough to be kept apart");
        insert(
            db,
            "t",
            &[(DAY_US + 7, Some("a"), n, note), (DAY_US + n, None, i64::MIN, None), (3 * DAY_US, Some("b"), n, note)],
        );
        db.flush_table(id).unwrap();
    }
    id
}

fn is_parquet(db: &Database) -> Vec<bool> {
    db.view().table("t").unwrap().partitions().unwrap().iter().map(|p| p.is_parquet).collect()
}

#[test]
fn a_parquet_partition_reads_the_same_and_stays_parquet() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = filled(&db);
    let mut before = rows(&db, "t");
    db.convert_partitions(id, &[DAY_1], PartitionFormat::Parquet).unwrap();
    assert_eq!((rows(&db, "t"), is_parquet(&db)), (before.clone(), vec![true, false]));
    // Late rows, columns that come and go, rows that replace others.
    insert(&db, "t", &[(DAY_US + 1, Some("c"), 5, Some("late"))]);
    db.flush_table(id).unwrap();
    before.insert(2, "86400000001 c 5 late".to_owned());
    assert_eq!((rows(&db, "t"), is_parquet(&db)), (before.clone(), vec![true, false]));
    db.add_column(id, column("more", ColumnType::Double)).unwrap();
    db.drop_column(id, "more").unwrap();
    db.set_dedup(id, Some(&["ts", "sym"])).unwrap();
    insert(&db, "t", &[(DAY_US + 1, Some("c"), 6, Some("replaced"))]);
    db.flush_table(id).unwrap();
    before[2] = "86400000001 c 6 replaced".to_owned();
    assert_eq!(rows(&db, "t"), before);
    db.write_base().unwrap();
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!((rows(&db, "t"), is_parquet(&db)), (before.clone(), vec![true, false]));
    db.convert_partitions(id, &[DAY_1], PartitionFormat::Native).unwrap();
    assert_eq!((rows(&db, "t"), is_parquet(&db)), (before, vec![false, false]));
    let missing = db.convert_partitions(id, &[DAY_1, PartitionKey(9 * DAY_US)], PartitionFormat::Parquet).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot convert partition to parquet, partition does not exist [table=t, partition=1970-01-10]"
    );
    assert_eq!(is_parquet(&db), [false, false]);
}

#[test]
fn changed_bytes_of_a_parquet_segment_are_found() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = filled(&db);
    db.convert_partitions(id, &[DAY_1], PartitionFormat::Parquet).unwrap();
    let dir = table_dir(&db).join("1970-01-02");
    let name = fs.list(&dir).unwrap().into_iter().find(|e| e.name.ends_with(".parquet")).unwrap().name;
    let path = dir.join(name);
    let good = fs.read(&path).unwrap();
    db.write_base().unwrap();
    drop(db);
    for at in (0..good.len()).step_by(17).chain(good.len() - 12..good.len()) {
        let fs = fs.kill();
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs.write_file(&path, &bad);
        let db = open(&on(&env, fs)).unwrap();
        let view = db.view().table("t").unwrap();
        let ids: Vec<_> = view.schema().columns.iter().map(|c| c.id).collect();
        let scan: Result<Vec<_>, _> = view.scan(&ids, &[types::TimeRange::ALL], 100).unwrap().collect();
        assert!(matches!(scan, Err(Error::Corrupt { .. })), "byte {at}");
    }
}

fn table_dir(db: &Database) -> PathBuf {
    Path::new(ROOT).join("db").join(db.view().table("t").unwrap().directory())
}

/// What `mv <day>.detached <day>.attachable` does.
fn make_attachable(fs: &SimFs, db: &Database, day: &str) {
    let (from, to) = (table_dir(db).join(format!("{day}.detached")), table_dir(db).join(format!("{day}.attachable")));
    fs.create_dir(&to).unwrap();
    for file in fs.list(&from).unwrap() {
        fs.hard_link(&from.join(&file.name), &to.join(&file.name)).unwrap();
        fs.unlink(&from.join(&file.name)).unwrap();
    }
    fs.remove_dir(&from).unwrap();
}

#[test]
fn a_detached_partition_comes_back_as_it_was() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = filled(&db);
    let before = rows(&db, "t");
    db.detach_partitions(id, &[DAY_1]).unwrap();
    assert_eq!(rows(&db, "t"), before[6..]);
    let beside = db.detached_partitions(id).unwrap();
    assert_eq!((&*beside[0].name, beside[0].rows, beside[0].attachable), ("1970-01-02.detached", 6, false));
    while db.step_gc().unwrap() {}
    db.write_base().unwrap();
    drop(db);
    // Nothing of it is a leftover for the next run.
    let fs = std::sync::Arc::new(fs.kill());
    let db = open(&on_arc(&env, fs.clone())).unwrap();
    while db.step_gc().unwrap() {}
    let missing = db.attach_partition(id, DAY_1).unwrap_err().to_string();
    assert_eq!(
        missing,
        "could not attach partition [table=t, detachStatus=ATTACH_ERR_MISSING_PARTITION, partitionTimestamp=1970-01-02T00:00:00.000000Z, partitionBy=DAY]"
    );
    make_attachable(&fs, &db, "1970-01-02");
    insert(&db, "t", &[(4 * DAY_US, Some("z"), 0, None)]);
    db.attach_partition(id, DAY_1).unwrap();
    assert_eq!(rows(&db, "t")[..9], before);
    while db.step_gc().unwrap() {}
    assert_eq!(db.detached_partitions(id).unwrap(), []);
    assert!(!fs.exists(&table_dir(&db).join("1970-01-02.attachable")).unwrap());
    assert!(matches!(db.attach_partition(id, DAY_1), Err(Error::Exists(_))));
}

#[test]
fn what_cannot_be_detached_or_attached_is_refused_and_nothing_changes() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = filled(&db);
    let before = rows(&db, "t");
    let active = db.detach_partitions(id, &[DAY_1, PartitionKey(3 * DAY_US)]).unwrap_err().to_string();
    assert!(active.contains("DETACH_ERR_ACTIVE, partitionTimestamp=1970-01-04T"), "{active}");
    // A partition that is not there is nothing to do in a WAL table.
    db.detach_partitions(id, &[PartitionKey(9 * DAY_US)]).unwrap();
    assert_eq!(rows(&db, "t"), before);
    db.detach_partitions(id, &[DAY_1]).unwrap();
    make_attachable(&fs, &db, "1970-01-02");
    db.drop_column(id, "v").unwrap();
    db.add_column(id, column("v", ColumnType::Double)).unwrap();
    let retyped = db.attach_partition(id, DAY_1).unwrap_err().to_string();
    assert!(retyped.contains("column v was LONG and is DOUBLE now"), "{retyped}");
    assert_eq!(rows(&db, "t").len(), 3);
}

/// Cuts the power and ends the process at every call of a statement; it was done as a whole or not at all, and can be done again.
fn cut_everywhere(fs: &SimFs, env: &storage::Env, states: [Vec<String>; 2], again: impl Fn(&SimFs, &Database)) {
    let points = fs.take_crash_points();
    assert!(!points.is_empty());
    for point in points {
        let seed = point.op.number;
        let cuts = [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed)].map(|s| point.power_cut(s));
        for fs in cuts.into_iter().chain([point.kill()]) {
            let fs = std::sync::Arc::new(fs);
            let db = open(&on_arc(env, fs.clone())).unwrap();
            let found = rows(&db, "t");
            assert!(states.contains(&found), "call {seed} ({}): {found:?}", point.op.path.display());
            if found == states[0] {
                again(&fs, &db);
                assert_eq!(rows(&db, "t"), states[1], "call {seed}");
            }
        }
    }
}

#[test]
fn a_detach_and_an_attach_happen_as_a_whole_or_not_at_all() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = filled(&db);
    let whole = rows(&db, "t");
    fs.capture_crash_points(true);
    db.detach_partitions(id, &[DAY_1]).unwrap();
    let without = rows(&db, "t");
    cut_everywhere(&fs, &env, [whole.clone(), without.clone()], |_, db| db.detach_partitions(id, &[DAY_1]).unwrap());
    fs.capture_crash_points(false);
    make_attachable(&fs, &db, "1970-01-02");
    fs.sync_all();
    fs.capture_crash_points(true);
    db.attach_partition(id, DAY_1).unwrap();
    cut_everywhere(&fs, &env, [without, whole], |_, db| db.attach_partition(id, DAY_1).unwrap());
}
