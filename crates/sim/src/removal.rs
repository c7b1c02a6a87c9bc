//! What may go, and when: short histories around the removal of files, each cut at every call.
//!
//! The campaigns meet these moments too seldom: commits that are acknowledged from the page cache beside a gc that is quick, a
//! table that waits to come back over a start, a disk that is nearly full while no snapshot is open.

use storage::env::sim_fs::Survive;
use storage::{CommitMode, Options};

use crate::compare::{compare, compare_view};
use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;
use crate::model::{Model, ModelTable};
use crate::step::{Step, describe};
use crate::value::{Row, Value};

const HOUR_US: i64 = 3_600_000_000;

/// A kept snapshot settles while commits are acknowledged from the page cache, what it lets go goes, and the power goes.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn behind_settling(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, Options { commit_mode: CommitMode::NoSync, ..options.clone() })?;
    history.steps(20)?;
    history.step(Step::PrepareKept("kept".to_owned()))?;
    history.append_rows(20)?;
    flush_all(&mut history)?;
    // What the cut needs of the log is the snapshot's alone from now on.
    history.step(Step::WriteBase)?;
    history.step(Step::Gc)?;
    let steps = vec![Step::Settle, Step::Gc, Step::Gc, Step::Gc];
    cut_everywhere(&mut history, steps).map_err(|e| format!("seed {seed}, behind settling: {e}"))
}

/// What becomes of a snapshot is durable when the statement answers, though commits are acknowledged from the page cache.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn behind_a_standing(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, Options { commit_mode: CommitMode::NoSync, ..options.clone() })?;
    history.steps(10)?;
    let name = || "nightly".to_owned();
    for step in [Step::PrepareLeased(name()), Step::Renew(name()), Step::Keep(name())] {
        let told = describe(&step);
        history.step(step)?;
        history.power_cut(Survive::Nothing);
        history.start().map_err(|e| format!("seed {seed}, cut behind {told}: {e}"))?;
        history.steps(3)?;
    }
    Ok(())
}

/// A table is truncated while commits are acknowledged from the page cache, and gc runs: until the frame that says so is
/// durable, its segments are needed. No base holds them.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn behind_a_truncate(seed: u64, options: &Options) -> Result<(), String> {
    let options = Options { commit_mode: CommitMode::NoSync, base_bytes: u64::MAX, ..options.clone() };
    let mut history = started(seed, options)?;
    let rows = |hours: std::ops::Range<i64>| -> Vec<Row> {
        hours.map(|hour| [Value::Long(hour * HOUR_US), Value::text("s")].into()).collect()
    };
    let append = |hours| Step::Append(vec![("t".to_owned(), rows(hours))]);
    let table = ModelTable::of_symbols("t", Vec::new());
    for step in [Step::Create(table), append(0..30), Step::FlushTable("t".to_owned())] {
        history.step(step)?;
    }
    // All of it is durable behind a snapshot.
    history.step(Step::Prepare("mark".to_owned()))?;
    history.step(Step::Complete("mark".to_owned()))?;
    let steps = vec![Step::Truncate("t".to_owned()), Step::Gc, Step::Gc, append(30..32), Step::Gc];
    cut_everywhere(&mut history, steps).map_err(|e| format!("seed {seed}, behind a truncate: {e}"))
}

/// A reader holds what a truncate takes away, and no base does, while gc runs: then it reads all of it.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn beside_a_reader(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, options.clone())?;
    let rows = (0..30).map(|hour| [Value::Long(hour * HOUR_US), Value::text("s")].into()).collect();
    let append = Step::Append(vec![("t".to_owned(), rows)]);
    for step in [Step::Create(ModelTable::of_symbols("t", Vec::new())), append, Step::FlushTable("t".to_owned())] {
        history.step(step)?;
    }
    let (then, held) = (history.model.clone(), history.db().view());
    for step in [Step::Truncate("t".to_owned()), Step::WriteBase, Step::Gc, Step::Gc] {
        history.step(step)?;
    }
    compare_view(&then, &held).map_err(|e| format!("seed {seed}, a reader from before a truncate: {e}"))?;
    drop(held);
    history.step(Step::Gc)?;
    history.compare()
}

/// A table waits to come back while starts and gc look for files that nothing needs; then it does.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn beside_a_dropped_table(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, options.clone())?;
    history.steps(20)?;
    history.append_rows(20)?;
    flush_all(&mut history)?;
    let Some(name) = fullest(&history.model) else { return Ok(()) };
    history.step(Step::Drop(name.clone()))?;
    let said = |e: String| format!("seed {seed}, table {name} waits to come back: {e}");
    cut_everywhere(&mut history, vec![Step::WriteBase, Step::Gc, Step::Gc]).map_err(said)?;
    for _ in 0..2 {
        history.kill();
        history.start().map_err(said)?;
        history.step(Step::Gc)?;
        history.step(Step::Gc)?;
    }
    let to = name.clone();
    cut_everywhere(&mut history, vec![Step::Undrop { table: name.clone(), to }, Step::Gc]).map_err(said)?;
    history.compare().map_err(said)
}

/// The tables become those of a snapshot while commits are acknowledged from the page cache: that statement is durable when
/// it answers.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn behind_a_restored_database(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, Options { commit_mode: CommitMode::NoSync, ..options.clone() })?;
    history.steps(20)?;
    history.step(Step::PrepareKept("good".to_owned()))?;
    history.append_rows(20)?;
    history.step(Step::RestoreDatabase("good".to_owned()))?;
    history.power_cut(Survive::Nothing);
    history.start().map_err(|e| format!("seed {seed}, cut behind a restored database: {e}"))
}

/// Tables were dropped and the disk is nearly full: the one that was dropped first goes, one at a time, and the others come
/// back.
///
/// # Errors
/// A sentence with what differs from the model.
pub fn on_a_full_disk(seed: u64, options: &Options) -> Result<(), String> {
    let mut history = started(seed, options.clone())?;
    for _ in 0..3 {
        history.steps(10)?;
        history.append_rows(20)?;
        flush_all(&mut history)?;
        if let Some(name) = fullest(&history.model) {
            history.step(Step::Drop(name))?;
        }
    }
    shed(&mut history).map_err(|e| format!("seed {seed}, on a full disk: {e}"))?;
    let left: Vec<String> = history.model.dropped.iter().rev().map(|table| table.name.clone()).collect();
    for (n, table) in left.into_iter().enumerate() {
        history.step(Step::Undrop { table, to: format!("back{n}") })?;
    }
    for step in [Step::WriteBase, Step::Gc, Step::Gc] {
        history.step(step)?;
    }
    history.compare().map_err(|e| format!("seed {seed}, after a full disk: {e}"))
}

/// Lets the guard look at a full disk once, cut at every call.
fn shed(history: &mut History) -> Result<(), String> {
    // What went before is on its way out as long as gc is busy.
    for _ in 0..8 {
        history.step(Step::Gc)?;
    }
    let before = history.model.clone();
    history.machine.fs.capture_crash_points(true);
    full_disk(history)?;
    let points = history.machine.fs.take_crash_points();
    history.machine.fs.capture_crash_points(false);
    if before.dropped.len() != history.model.dropped.len() + 1 {
        return Err(format!("of {} dropped tables {} are left", before.dropped.len(), history.model.dropped.len()));
    }
    let possible = [before, history.model.clone()];
    points.iter().try_for_each(|point| cut(history, point, &possible))
}

/// Does what the guard does once on a full disk while no snapshot is open, and learns which dropped table has gone: the
/// model does not know which of them hold a file that nothing else needs.
///
/// # Errors
/// A sentence when anything else has changed.
pub fn full_disk(history: &mut History) -> Result<(), String> {
    history.machine.fs.set_label("full disk");
    let guarded = history.machine.with_full_disk(|| history.db().step_guard());
    guarded.and_then(|()| history.db().step_guard()).map_err(|e| format!("the guard: {e}"))?;
    let left = history.db().dropped_tables().map_err(|e| format!("dropped tables: {e}"))?;
    let mut left = left.into_iter().rev().map(|table| (table.name.as_str().to_owned(), table.rows)).peekable();
    let dropped = std::mem::take(&mut history.model.dropped);
    let count = dropped.len();
    for table in dropped {
        if left.next_if_eq(&(table.name.clone(), table.rows.len() as u64)).is_some() {
            history.model.dropped.push(table);
        }
    }
    if left.next().is_some() || history.model.dropped.len() + 1 < count {
        return Err("the guard changed more than one dropped table".to_owned());
    }
    history.compare().map_err(|e| format!("after the guard: {e}"))
}

fn started(seed: u64, options: Options) -> Result<History, String> {
    let mut history = History::new(seed, options, Generator::new(seed, false));
    history.start()?;
    Ok(history)
}

fn flush_all(history: &mut History) -> Result<(), String> {
    for table in history.model.tables.clone().into_keys() {
        history.step(Step::FlushTable(table))?;
    }
    Ok(())
}

fn fullest(model: &Model) -> Option<String> {
    let fullest = model.tables.values().max_by_key(|table| table.rows.len());
    fullest.filter(|table| !table.rows.is_empty()).map(|table| table.name.clone())
}

/// Does the steps and cuts the power in the middle of every call: a start finds the database as it was before or after one
/// of them.
fn cut_everywhere(history: &mut History, steps: Vec<Step>) -> Result<(), String> {
    let mut possible = vec![history.model.clone()];
    history.machine.fs.capture_crash_points(true);
    for step in steps {
        history.step(step)?;
        possible.push(history.model.clone());
    }
    let points = history.machine.fs.take_crash_points();
    history.machine.fs.capture_crash_points(false);
    points.iter().try_for_each(|point| cut(history, point, &possible))
}

fn cut(history: &History, point: &storage::env::sim_fs::CrashPoint, possible: &[Model]) -> Result<(), String> {
    let seed = point.op.number;
    for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
        let place =
            || format!("cut at {} ({}, {}), {survive:?}", point.op.number, point.op.site, point.op.path.display());
        let mut machine = Machine::on(point.power_cut(survive), seed);
        let db = machine.open(&history.options).map_err(|e| format!("{}: the start was refused: {e}", place()))?;
        let mut differences: Vec<String> = possible.iter().filter_map(|model| compare(model, &db).err()).collect();
        if differences.len() == possible.len() {
            differences.dedup();
            return Err(format!("{}: {}", place(), differences.join("; or ")));
        }
    }
    Ok(())
}
