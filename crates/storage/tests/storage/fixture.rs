//! A copy that the first version of every format wrote, and that every later version must restore.
//!
//! It was made by the server: a table with rows in a segment (an UPDATE flushes) and in the log, seventy PREPAREs for a
//! base, a table made and dropped, PREPARE, `cp -a` without `db/_live`.

use std::path::Path;

use storage::{Env, Options};

use crate::support::column_rows;

#[test]
#[expect(clippy::disallowed_methods, reason = "the test lays out the root as an operator does")]
fn a_copy_of_version_1_is_restored() {
    let root = std::env::temp_dir().join(format!("stillpoint-root-v1-{}", std::process::id()));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/root-v1"), &root);
    std::fs::write(root.join("_restore"), b"").unwrap();
    {
        let db = storage::Database::open(Env::os(), Options::new(&root)).unwrap();
        let view = db.view();
        assert_eq!(view.tables().len(), 1);
        let rows = column_rows(&view.table("trades").unwrap(), &["ts", "sym", "qty", "note", "st"]);
        let expected =
            ["1704067200000001 BTC 9 ä s", "1704067800000000 null null null null", "1704153600000000 ETH 3 later "];
        assert_eq!(rows, expected);
    }
    std::fs::remove_dir_all(&root).unwrap();
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
