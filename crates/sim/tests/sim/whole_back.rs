//! Cuts in the middle of each call of RESTORE DATABASE, then a start, and the statement again.

use std::collections::BTreeMap;

use sim::compare::{compare, compare_tables};
use sim::machine::Machine;
use sim::step::Step;
use storage::env::sim_fs::Survive;

use crate::seeds::{history, ok, seeds};

#[test]
fn a_cut_while_the_database_goes_back_leaves_the_tables_of_one_side_and_the_statement_ends_it() {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds(2) {
        let mut history = history(seed);
        ok(history.steps(20));
        ok(history.step(Step::PrepareKept("good".to_owned())));
        ok(history.steps(20));
        let step = Step::RestoreDatabase("good".to_owned());
        let before = history.model.clone();
        let halfway = step.halfway(&before).expect("a snapshot comes first");
        history.machine.fs.capture_crash_points(true);
        ok(history.step(step.clone()));
        let points = history.machine.fs.take_crash_points();
        history.machine.fs.capture_crash_points(false);
        ok(history.compare());
        for point in points {
            for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
                let place = format!("seed {seed}, {} ({}), {survive:?}", point.op.number, point.op.site);
                let mut machine = Machine::on(point.power_cut(survive), seed);
                let db = ok(machine.open(&history.options).map_err(|e| format!("{place}: {e}")));
                let sides = [("before", &before), ("between", &halfway), ("after", &history.model)];
                let Some((side, found)) = sides.into_iter().find(|(_, model)| compare(model, &db).is_ok()) else {
                    panic!("{place}: {:?}", compare(&history.model, &db));
                };
                *outcomes.entry(side).or_default() += 1;
                ok(step.run(&db, found, &machine).map_err(|e| format!("{place}, again: {e}")));
                ok(compare_tables(&history.model, &db).map_err(|e| format!("{place}, again: {e}")));
                ok(db.restore_database("before-restore", "admin").map_err(|e| format!("{place}, undo: {e}")));
                ok(compare_tables(&before, &db).map_err(|e| format!("{place}, undo: {e}")));
            }
        }
        ok(history.steps(20));
    }
    assert!(["before", "between", "after"].iter().all(|side| outcomes.contains_key(side)), "{outcomes:?}");
}
