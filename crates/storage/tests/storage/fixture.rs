//! Copies that earlier versions of the formats wrote, and that every later version must restore.
//!
//! They were made by the server of their time. Version 1: a table with rows in a segment (an UPDATE flushes) and in the
//! log, seventy PREPAREs for a base, a table made and dropped, PREPARE, `cp -a` without `db/_live`. Version 2 (kept
//! snapshots, leases, owners): DEDUP keys, a Parquet partition, a kept snapshot, a restore in place, another kept one, a
//! base, rows in the log behind it, PREPARE, `cp -a`; log files that were linked uncut were cut behind their last frame.
//! Version 3 (settled snapshots, tables that came back): DEDUP keys, a settled snapshot, a table brought back from it,
//! another settled one, a base, rows in the log behind it, PREPARE, `cp -a`. Its bases know no dropped tables.
//! Version 4 (dropped tables that may come back): as version 3, with a table that was dropped behind the first settled snapshot.
//! Its lists of segments hold objects.
//! Version 5 (segments as arrays): as version 4, with one settled snapshot and no table brought back. It knows no views.

use std::path::{Path, PathBuf};

use storage::{Database, Env, Options, Replace, SnapshotState};
use types::TableName;

use crate::support::column_rows;

const TRADES: [&str; 4] = ["ts", "sym", "qty", "note"];

/// A fixture's root in a place of its own, with a trigger.
struct Root(PathBuf);

impl Root {
    #[expect(clippy::disallowed_methods, reason = "the test lays out the root as an operator does")]
    fn new(fixture: &str, trigger: &str) -> Root {
        let unique = format!("stillpoint-{fixture}-{}-{}", std::process::id(), trigger.replace('=', "-"));
        let root = std::env::temp_dir().join(unique);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture), &root);
        std::fs::write(root.join("_restore"), trigger).unwrap();
        Root(root)
    }

    fn restore(&self) -> Database {
        Database::open(Env::os(), Options::new(&self.0)).unwrap()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn trades(db: &Database) -> Vec<String> {
    column_rows(&db.view().table("trades").unwrap(), &TRADES)
}

#[test]
fn a_copy_of_version_1_is_restored() {
    let root = Root::new("root-v1", "");
    let db = root.restore();
    let view = db.view();
    assert_eq!(view.tables().len(), 1);
    let rows = column_rows(&view.table("trades").unwrap(), &["ts", "sym", "qty", "note", "st"]);
    let expected =
        ["1704067200000001 BTC 9 ä s", "1704067800000000 null null null null", "1704153600000000 ETH 3 later "];
    assert_eq!(rows, expected);
}

#[test]
fn a_copy_of_version_2_is_restored_to_each_of_its_snapshots() {
    const ALL: [&str; 5] = [
        "1704067200000001 BTC 9 replaced",
        "1704070800000000 ETH 2 null",
        "1704153600000000 BTC 3 old",
        "1704240000000000 SOL 4 in the log",
        "1704243600000000 SOL 5 later in the log",
    ];
    for (snapshot, rows) in [("default", 5), ("nightly", 4), ("weekly", 3)] {
        let root = Root::new("root-v2", &format!("snapshot={snapshot}"));
        let db = root.restore();
        assert_eq!(trades(&db), ALL[..rows], "{snapshot}");
        assert_eq!(db.view().table("plain").unwrap().row_count().unwrap(), 2, "{snapshot}");
    }
}

#[test]
fn kept_snapshots_of_version_2_outlive_the_restore_and_are_read() {
    let root = Root::new("root-v2", "snapshot=default\nverify=fast");
    let db = root.restore();
    let mut kept: Vec<_> = db.snapshots().into_iter().map(|s| (s.name, s.state, s.owner)).collect();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = ["nightly", "weekly"].map(|name| (name.to_owned(), SnapshotState::Kept, "admin".to_owned()));
    assert_eq!(kept, expected);
    for (name, rows) in [("nightly", 4), ("weekly", 3)] {
        assert_eq!(db.view_at(name).unwrap().table("trades").unwrap().row_count().unwrap(), rows, "{name}");
    }
}

#[test]
fn a_copy_of_version_3_is_restored_to_each_of_its_snapshots_and_then_keeps_what_is_dropped() {
    const ALL: [&str; 5] = [
        "1704067200000001 BTC 9 replaced",
        "1704070800000000 ETH 2 null",
        "1704153600000000 BTC 3 updated",
        "1704240000000000 SOL 4 later",
        "1704243600000000 SOL 5 in the log",
    ];
    const WEEKLY: [&str; 3] = ["1704067200000001 BTC 1 old", ALL[1], ALL[2]];
    for (snapshot, now, before) in [("default", &ALL[..], 4), ("nightly", &ALL[..4], 3), ("weekly", &WEEKLY[..], 0)] {
        let root = Root::new("root-v3", &format!("snapshot={snapshot}"));
        let db = root.restore();
        assert_eq!(trades(&db), now, "{snapshot}");
        assert_eq!(db.view().table("before").map_or(0, |table| table.row_count().unwrap()), before, "{snapshot}");
        assert!(db.dropped_tables().unwrap().is_empty());
        db.drop_table(db.view().table("trades").unwrap().id()).unwrap();
        db.write_base().unwrap();
        drop(db);
        let db = root.restore();
        db.undrop_table("trades", None, None).unwrap();
        assert_eq!(trades(&db), now, "{snapshot}");
        let kept: Vec<_> = db.snapshots().into_iter().map(|s| (s.name, s.state)).collect();
        let settled = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| ((*name).to_owned(), SnapshotState::Settled)).collect()
        };
        assert!(kept == settled(&["nightly", "weekly"]) || kept == settled(&["weekly"]) || kept.is_empty(), "{kept:?}");
    }
}

#[test]
fn a_copy_of_version_4_is_restored_to_each_of_its_snapshots_with_what_was_dropped() {
    const ALL: [&str; 5] = [
        "1704067200000001 BTC replaced",
        "1704070800000000 ETH null",
        "1704153600000000 BTC updated",
        "1704240000000000 SOL later",
        "1704243600000000 SOL in the log",
    ];
    const WEEKLY: [&str; 3] = ["1704067200000001 BTC old", ALL[1], "1704153600000000 BTC old"];
    for (snapshot, now, before) in [("default", &ALL[..], 4), ("nightly", &ALL[..4], 4), ("weekly", &WEEKLY[..], 0)] {
        let root = Root::new("root-v4", &format!("snapshot={snapshot}"));
        let db = root.restore();
        if snapshot != "weekly" {
            assert!(db.view().table("gone").is_none());
            db.undrop_table("gone", None, None).unwrap();
        }
        let check = |db: &Database| {
            let trades = column_rows(&db.view().table("trades").unwrap(), &["ts", "sym", "note"]);
            assert_eq!(trades, now, "{snapshot}");
            let count = |table: &str| db.view().table(table).map_or(0, |table| table.row_count().unwrap());
            assert_eq!((count("before"), count("gone"), count("plain")), (before, 2, 2), "{snapshot}");
        };
        check(&db);
        // Written again as now, it says the same.
        db.write_base().unwrap();
        drop(db);
        let db = root.restore();
        check(&db);
        let settled: Vec<_> = db.snapshots().into_iter().map(|s| (s.name, s.state)).collect();
        for (name, state) in &settled {
            assert_eq!(*state, SnapshotState::Settled, "{name}");
            assert!(db.view_at(name).unwrap().table("trades").unwrap().row_count().unwrap() >= 3, "{name}");
        }
        assert_eq!(settled.len(), ["weekly", "nightly", "default"].iter().position(|name| *name == snapshot).unwrap());
    }
}

#[test]
fn a_copy_of_version_5_is_restored_to_each_of_its_snapshots_and_then_has_views() {
    const ALL: [&str; 4] = [
        "1704067200000000 BTC replaced",
        "1704070800000000 ETH null",
        "1704153600000000 SOL later",
        "1704240000000000 SOL in the log",
    ];
    const WEEKLY: [&str; 2] = ["1704067200000000 BTC old", ALL[1]];
    for (snapshot, now, has_gone) in [("default", &ALL[..], false), ("weekly", &WEEKLY[..], true)] {
        let root = Root::new("root-v5", &format!("snapshot={snapshot}"));
        let db = root.restore();
        let check = |db: &Database| {
            assert_eq!(column_rows(&db.view().table("trades").unwrap(), &["ts", "sym", "note"]), now, "{snapshot}");
            assert_eq!(db.view().table("gone").is_some(), has_gone, "{snapshot}");
            assert_eq!(db.view().table("plain").unwrap().row_count().unwrap(), 2, "{snapshot}");
        };
        check(&db);
        assert_eq!(db.view().sql_views().count(), 0);
        db.set_view(&TableName::new("v").unwrap(), "select * from trades", Replace::Never).unwrap();
        db.write_base().unwrap();
        drop(db);
        let db = root.restore();
        check(&db);
        assert_eq!(db.view().sql_view("V").unwrap().text, "select * from trades");
    }
}

#[expect(clippy::disallowed_methods, reason = "the test lays out the root as an operator does")]
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
