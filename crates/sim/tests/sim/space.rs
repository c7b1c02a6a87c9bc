//! Many snapshots over a trickle stay small, and at zero bytes free a start and the statements that free space work.

use std::path::Path;

use sim::step::Step;
use storage::env::Fs;

use crate::seeds::{history, ok};

#[test]
fn ten_thousand_prepares_over_a_trickle_stay_small_and_a_full_disk_starts() {
    let mut history = history(1);
    ok(history.steps(30));
    let mut largest = (0, 0);
    for n in 0..10_000 {
        if n % 100 == 0 {
            let row = history.generator.append(&history.model);
            ok(history.step(row));
        }
        ok(history.step(Step::Prepare("default".to_owned())));
        if n % 50 == 0 {
            // Of the tables' own files there may be many: each flush of late rows makes some.
            let tree = history.machine.fs.tree_digest(Path::new("/a"));
            let of_database = tree
                .iter()
                .filter(|(path, _)| !path.starts_with("db") || path.to_str().is_some_and(|p| !p.contains('~')));
            let pins = tree.iter().filter(|(path, _)| path.starts_with("snapshot") && path.as_os_str() != "snapshot");
            largest.0 = largest.0.max(pins.map(|(_, entry)| entry.len_bytes).max().unwrap_or(0));
            largest.1 = largest.1.max(of_database.count());
        }
        ok(history.step(Step::Complete("default".to_owned())));
        // What the background does ten times a second.
        for step in [Step::Flush, Step::Base, Step::Gc, Step::Idle] {
            ok(history.step(step));
        }
    }
    println!("largest pin {} bytes, most files beside the tables {}", largest.0, largest.1);
    assert!(largest.0 <= 8 * 1024 && largest.1 < 100, "largest pin and most files: {largest:?}");
    ok(history.compare());

    history.machine.fs.set_free_bytes(Some(0));
    history.kill();
    ok(history.start().map_err(|e| format!("at zero bytes free: {e}")));
    let table = history.model.tables.keys().next().expect("a table").clone();
    ok(history.step(Step::Drop(table)));
    ok(history.step(Step::Purge));
    ok(history.compare());
    assert!(history.machine.fs.counts().calls > 0);
}
