//! Others in the middle: whatever happens to a table between two files that background work writes is neither lost nor
//! undone; and a cut under a writer is one moment.
//!
//! The simulator has one thread, so it never stops between the reading and the commit of a flush. Here another thread does,
//! at each place where the work makes a file ([`SimFs::interrupt`](storage::env::SimFs::interrupt)). It is waited for, but
//! not long: it may need a lock that the work holds, and comes behind it then.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use storage::env::sim_fs::CopyMode;
use storage::{Options, ReadView};
use types::ColumnType;

use crate::generate::Generator;
use crate::history::History;
use crate::model::{ModelColumn, ModelTable};
use crate::step::Step;
use crate::value::{Row, Value};

/// How long the work waits for the others.
const PATIENCE: Duration = Duration::from_millis(200);
/// When others that have not ended hang.
const HANGS: Duration = Duration::from_secs(60);
/// More files than any work here makes.
const MOST_FILES: u64 = 40;
const HOUR_US: i64 = 3_600_000_000;

/// Runs all work with everything in its middle.
///
/// # Errors
/// A sentence with the work, what came in its middle, and where the database differs from the model.
pub fn run(options: &Options) -> Result<(), String> {
    for work in works() {
        for others in others() {
            for nth in 0..MOST_FILES {
                let went = at(options, &work, &others, nth);
                if !went.map_err(|e| format!("{others:?} before file {nth} of {work:?}: {e}"))? {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn works() -> Vec<Step> {
    let (snapshot, to) = ("kept".to_owned(), "back".to_owned());
    vec![
        Step::FlushTable("t".to_owned()),
        Step::Compact,
        Step::Settle,
        Step::WriteBase,
        Step::RestoreTable { snapshot, table: "t".to_owned(), to },
    ]
}

fn others() -> Vec<Step> {
    let column = ModelColumn { name: "late".to_owned(), column_type: ColumnType::Symbol };
    vec![
        Step::Truncate("t".to_owned()),
        Step::Drop("t".to_owned()),
        Step::Append(vec![("t".to_owned(), vec![row(30, "later"), row(1, "late")])]),
        Step::AddColumn { table: "t".to_owned(), column },
        Step::Rename { table: "t".to_owned(), to: "u".to_owned() },
        Step::Prepare("default".to_owned()),
        Step::Gc,
        Step::FlushTable("t".to_owned()),
        Step::Complete("kept".to_owned()),
    ]
}

fn row(hour: i64, symbol: &str) -> Row {
    [Value::Long(hour * HOUR_US), Value::text(symbol)].into()
}

/// Does the work, and the others before it makes its `nth` file. Returns whether it made so many.
fn at(options: &Options, work: &Step, others: &Step, nth: u64) -> Result<bool, String> {
    let mut history = History::new(nth, options.clone(), Generator::new(nth, false));
    history.start()?;
    let rows = |hours: std::ops::Range<i64>| hours.map(|hour| row(hour, &format!("s{hour}"))).collect::<Vec<Row>>();
    for step in [
        Step::Create(ModelTable::of_symbols("t", Vec::new())),
        Step::Append(vec![("t".to_owned(), rows(0..30))]),
        Step::FlushTable("t".to_owned()),
        Step::Append(vec![("t".to_owned(), rows(3..27))]),
        Step::FlushTable("t".to_owned()),
        Step::Append(vec![("t".to_owned(), rows(20..50))]),
        Step::PrepareKept("kept".to_owned()),
        Step::Append(vec![("t".to_owned(), rows(22..60))]),
    ] {
        history.step(step)?;
    }
    let (db, before, machine) = (history.shared_db(), history.model.clone(), history.machine.clone());
    let (done, told) = mpsc::channel();
    let its = others.clone();
    history.machine.fs.interrupt(nth, move || {
        let (finished, waited) = mpsc::channel();
        std::thread::spawn(move || {
            let outcome = its.run(&db, &before, &machine).map_err(|e| e.to_string());
            drop(db);
            // Nobody waits any more when the work has gone on.
            let _ = finished.send(());
            let _ = done.send(outcome);
        });
        let _ = waited.recv_timeout(PATIENCE);
    });
    let worked = work.run(history.db(), &history.model, &history.machine);
    if history.machine.fs.end_interruption() {
        return Ok(false);
    }
    let outcome = told.recv_timeout(HANGS).map_err(|e| format!("the others never ended: {e}"))?;
    outcome.map_err(|e| format!("the others: {e}"))?;
    // What the work was about may have gone.
    let is_done = worked.is_ok();
    let may_fail = matches!(work, Step::RestoreTable { .. });
    worked.or_else(|e| if may_fail { Ok(()) } else { Err(format!("the work: {e}")) })?;
    // The cut of the others lies before the work's commit; else the order makes no difference.
    let is_cut = matches!(others, Step::Prepare(_));
    for step in if is_cut { [others, work] } else { [work, others] } {
        if is_done || std::ptr::eq(step, others) {
            step.apply_to(&mut history.model);
        }
    }
    look(&mut history)?;
    Ok(true)
}

/// Holds the database against the model: as it runs, after gc, and after a start.
fn look(history: &mut History) -> Result<(), String> {
    history.compare()?;
    for step in [Step::Compact, Step::Gc, Step::WriteBase, Step::Gc, Step::Gc] {
        history.step(step)?;
    }
    history.compare().map_err(|e| format!("after gc: {e}"))?;
    history.kill();
    history.start()
}

/// Takes snapshots while another thread writes two tables in lock step: a snapshot read in place and a copy of it that is
/// restored show the same rows, of both tables as many.
///
/// # Errors
/// A sentence with what differs.
pub fn cut_under_a_writer(options: &Options) -> Result<(), String> {
    let mut history = History::new(1, options.clone(), Generator::new(1, false));
    history.start()?;
    for table_name in ["a", "b"] {
        history.step(Step::Create(ModelTable::of_symbols(table_name, Vec::new())))?;
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (db, model, machine) = (history.shared_db(), history.model.clone(), history.machine.clone());
        let ended = &ended;
        let writer = scope.spawn(move || -> Result<(), String> {
            for hour in 0..20_000 {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let both = ["a", "b"].map(|name| (name.to_owned(), vec![row(hour, "s")]));
                Step::Append(both.to_vec()).run(&db, &model, &machine).map_err(|e| e.to_string())?;
                std::thread::yield_now();
            }
            Ok(())
        });
        let cut = (0..4).try_for_each(|round| cut_once(&history, round));
        ended.store(true, Ordering::Relaxed);
        writer.join().unwrap_or_else(|_| Err("the writer panicked".to_owned()))?;
        cut
    })
}

fn cut_once(history: &History, round: u64) -> Result<(), String> {
    let said = |e: storage::Error| format!("round {round}: {e}");
    let db = history.db();
    db.prepare_snapshot("default").map_err(said)?;
    let in_place = rows_in(&db.view_at("default").map_err(said)?)?;
    let to = PathBuf::from(format!("/cut{round}"));
    history.machine.fs.copy_tree(&history.options.root, &to, CopyMode::Copy, &[], round).finish();
    db.complete_snapshot("default").map_err(said)?;
    history.machine.fs.write_file(&to.join("_restore"), b"");
    let restored = rows_of(history, &to)?;
    if in_place == restored && restored[0] == restored[1] {
        return Ok(());
    }
    Err(format!("round {round}: {in_place:?} rows at the snapshot, {restored:?} in its restored copy"))
}

fn rows_of(history: &History, root: &Path) -> Result<[u64; 2], String> {
    let options = Options { root: root.to_owned(), ..history.options.clone() };
    let mut machine = history.machine.clone();
    let db = machine.open(&options).map_err(|e| format!("the copy: {e}"))?;
    rows_in(&db.view())
}

fn rows_in(view: &ReadView) -> Result<[u64; 2], String> {
    let rows = |name: &str| -> Result<u64, String> {
        let table = view.table(name).ok_or_else(|| format!("there is no table {name}"))?;
        table.row_count().map_err(|e| e.to_string())
    };
    Ok([rows("a")?, rows("b")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_come_in_the_middle() {
        let options = crate::machine::options("/a");
        let flush = Step::FlushTable("t".to_owned());
        assert!(at(&options, &flush, &Step::Truncate("t".to_owned()), 0).expect("no difference"));
        assert!(!at(&options, &flush, &Step::Truncate("t".to_owned()), MOST_FILES).expect("no difference"));
    }
}
