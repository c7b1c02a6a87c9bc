//! Cuts in the middle of each call of PREPARE, then a plain start or a restore in place.

use std::collections::BTreeMap;
use std::path::Path;

use sim::compare::{compare, compare_tables};
use sim::machine::Machine;
use sim::step::Step;
use storage::env::sim_fs::Survive;

use crate::seeds::{history, ok};

#[test]
fn a_cut_in_prepare_leaves_the_snapshot_open_or_never_made() {
    let mut outcomes: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for seed in 0..8 {
        let mut history = history(seed);
        ok(history.steps(40));
        let before = history.model.clone();
        history.machine.fs.capture_crash_points(true);
        ok(history.step(Step::Prepare("default".to_owned())));
        let after = history.model.clone();
        for point in history.machine.fs.take_crash_points() {
            for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
                for in_place in [false, true] {
                    let fs = point.power_cut(survive);
                    if in_place {
                        fs.write_file(Path::new("/a/_restore"), b"");
                    }
                    let tree = fs.tree_digest(Path::new("/a"));
                    let mut machine = Machine::on(fs, seed);
                    let outcome = match machine.open(&history.options) {
                        Ok(db) if in_place => {
                            ok(compare_tables(&before, &db));
                            assert!(db.snapshots().is_empty(), "no snapshot is open after a restore");
                            "restored"
                        }
                        Ok(db) if compare(&after, &db).is_ok() => "open",
                        Ok(db) => {
                            ok(compare(&before, &db).map_err(|e| format!("seed {seed}, {}: {e}", point.op.site)));
                            "never made"
                        }
                        Err(e) => {
                            assert!(
                                in_place,
                                "seed {seed}, {}, {survive:?}: a plain start was refused: {e}",
                                point.op.site
                            );
                            assert_eq!(machine.fs.tree_digest(Path::new("/a")), tree, "a refusal changes nothing");
                            "refused"
                        }
                    };
                    let key = format!(
                        "{:?} {}, {}",
                        point.op.site.kind,
                        point.op.site.path_class,
                        if in_place { "_restore" } else { "plain" }
                    );
                    *outcomes.entry(key).or_default().entry(outcome).or_default() += 1;
                }
            }
        }
    }
    for (step, outcome) in &outcomes {
        println!("{step}: {outcome:?}");
    }
}
