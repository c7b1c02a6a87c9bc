//! Faults that the campaigns have found in storage, each as the shortest history that shows it.

use sim::history::History;
use sim::model::ModelTable;
use sim::step::Step;
use sim::value::{Row, Value};
use storage::env::sim_fs::Survive;
use types::PartitionBy;

use crate::seeds::{history, ok};

fn row(ts_us: i64, symbol: &str) -> Row {
    [Value::Long(ts_us), Value::text(symbol)].into()
}

fn append(table: &str, rows: Vec<Row>) -> Step {
    Step::Append(vec![(table.to_owned(), rows)])
}

/// Does the steps, kills the server, starts it again.
fn check(steps: Vec<Step>) -> History {
    let mut history = history(1);
    for step in steps {
        ok(history.step(step));
    }
    history.kill();
    ok(history.start());
    history
}

#[test]
fn symbols_outlive_the_truncated_rows_that_brought_them() {
    check(vec![
        Step::Create(ModelTable::of_symbols("t", vec![])),
        append("t", vec![row(1, "a"), row(2, "b")]),
        Step::Truncate("t".to_owned()),
        append("t", vec![row(3, "b")]),
        Step::WriteBase,
        append("t", vec![row(4, "c")]),
    ]);
}

#[test]
fn rows_of_the_frame_that_made_a_table_outlive_a_base() {
    check(vec![Step::Create(ModelTable::of_symbols("t", vec![row(1, "a")])), Step::WriteBase]);
}

#[test]
fn a_start_needs_no_symbol_file_of_a_table_dropped_behind_the_base() {
    let mut history = check(vec![
        Step::Create(ModelTable::of_symbols("t", vec![row(1, "a")])),
        Step::FlushTable("t".to_owned()),
        Step::WriteBase,
        Step::Drop("t".to_owned()),
        Step::Purge,
        Step::Gc,
        Step::Gc,
    ]);
    ok(history.step(Step::Gc));
    history.kill();
    ok(history.start());
}

#[test]
fn rows_without_any_value_are_flushed() {
    let mut empty = ModelTable::of_symbols("t", vec![]);
    empty.designated = None;
    empty.partition_by = PartitionBy::None;
    let rows = vec![[Value::Null, Value::Null].into(), [Value::Null, Value::Null].into()];
    check(vec![Step::Create(empty), append("t", rows), Step::FlushTable("t".to_owned())]);
}

#[test]
fn a_killed_run_leaves_nothing_that_a_later_power_cut_takes() {
    let mut history = history(1);
    ok(history.step(Step::Create(ModelTable::of_symbols("t", vec![]))));
    history.machine.fs.capture_crash_points(true);
    for n in 0..3 {
        ok(history.step(append("t", vec![row(n, "a")])));
        ok(history.step(Step::WriteBase));
    }
    for point in history.machine.fs.take_crash_points() {
        let mut next = History::new(1, history.options.clone(), sim::generate::Generator::new(1, false));
        next.machine = sim::machine::Machine::on(point.kill(), 1);
        let db = next.machine.open(&next.options).expect("a start after a kill");
        let rows = db.view().table("t").map_or(0, |t| t.row_count().expect("counts"));
        for step in [Step::Gc, Step::Gc] {
            step.run(&db, &next.model, &next.machine).expect("gc");
        }
        next.machine.fs.power_cut(Survive::Nothing);
        drop(db);
        next.machine.fs = next.machine.fs.power_up();
        let db = next.machine.open(&next.options).unwrap_or_else(|e| panic!("{}: {e}", point.op.site));
        assert_eq!(db.view().table("t").map_or(0, |t| t.row_count().expect("counts")), rows, "{}", point.op.site);
    }
}
