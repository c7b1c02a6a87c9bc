//! TTL: a partition goes with the commit that makes it too old, and never comes back.

use storage::NewTable;
use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, TableName, Ttl};

use crate::support::*;

fn times(db: &storage::Database) -> Vec<String> {
    column_rows(&db.view().table("t").unwrap(), &["v"])
}

#[test]
fn old_partitions_go_with_the_commit_and_stay_away() {
    for flushed in [false, true] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        let id = create(&db, "t");
        db.set_ttl(id, Some(Ttl::Hours(48))).unwrap();
        insert(&db, "t", &[(DAY_US, None, 1, None), (2 * DAY_US, None, 2, None)]);
        if flushed {
            db.flush_table(id).unwrap();
        }
        insert(&db, "t", &[(4 * DAY_US, None, 4, None)]);
        assert_eq!(times(&db), ["2", "4"], "the end of day 1 is two days before");
        // A row that comes too late is stored and gone.
        insert(&db, "t", &[(DAY_US + 5, None, 5, None), (4 * DAY_US + 1, None, 6, None)]);
        assert_eq!(times(&db), ["2", "4", "6"]);
        // A base behind the expiry names rows in the log that must not come back.
        db.write_base().unwrap();
        while db.step_gc().unwrap() {}
        drop(db);
        let db = open(&on(&env, fs.kill())).unwrap();
        assert_eq!(times(&db), ["2", "4", "6"], "flushed {flushed}");
        db.set_ttl(id, Some(Ttl::Hours(24))).unwrap();
        assert_eq!(times(&db), ["4", "6"], "a shorter TTL works at once");
        db.set_ttl(id, None).unwrap();
        insert(&db, "t", &[(0, None, 7, None)]);
        assert_eq!(times(&db), ["7", "4", "6"]);
        db.flush_table(id).unwrap();
        assert_eq!(times(&db), ["7", "4", "6"]);
    }
}

#[test]
fn nanoseconds_are_not_taken_for_a_later_time() {
    let (_fs, env) = machine();
    let db = open(&env).unwrap();
    let columns = vec![column("ts", ColumnType::TimestampNs), column("v", ColumnType::Long)];
    let new = NewTable::new(TableName::new("t").unwrap(), columns, Some(0), PartitionBy::Day);
    let id = db.create_table(new).unwrap();
    db.set_ttl(id, Some(Ttl::Hours(48))).unwrap();
    for day in [1, 2, 4] {
        let ids: Vec<_> = db.view().table("t").unwrap().schema().columns.iter().map(|c| c.id).collect();
        let of = |id, value| Column { id, data: ColumnData::I64(vec![value]) };
        let columns = vec![of(ids[0], day * DAY_US * 1_000), of(ids[1], day)];
        db.append(vec![(id, RowBatch::new(1, columns).unwrap())]).unwrap();
    }
    assert_eq!(times(&db), ["2", "4"]);
}
