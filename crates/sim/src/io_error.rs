//! R6: every call of a history fails once, in every way it can, and nothing that was acknowledged is lost.
//!
//! A history runs to a step; on a fork of the machine each call of that step then fails. The step may be refused or
//! not; afterwards the running database and a database started anew must equal the model before or after it.

use storage::Database;
use storage::env::sim_fs::{Fault, FaultPlan, Op, OpKind, Survive};

use crate::compare::{compare, compare_tables};
use crate::generate::Generator;
use crate::machine::{Machine, options, root};
use crate::model::Model;
use crate::report::Report;
use crate::step::{Step, StepError, describe};

/// Returns the ways in which a call can fail, with their names.
fn faults_of(kind: OpKind, at_op: u64) -> Vec<(&'static str, Fault)> {
    let fail = |name, errno| (name, Fault::Fail { at_op, errno, times: 1 });
    let short = ("short", Fault::Short { at_op });
    match kind {
        OpKind::CreateNew | OpKind::Open | OpKind::Read | OpKind::Map => {
            vec![fail("EMFILE", Fault::EMFILE), fail("EIO", Fault::EIO)]
        }
        OpKind::WriteAt => {
            vec![fail("ENOSPC", Fault::ENOSPC), fail("EIO", Fault::EIO), fail("EINTR", Fault::EINTR), short]
        }
        OpKind::ReadAt => vec![fail("EIO", Fault::EIO), fail("EINTR", Fault::EINTR), short],
        OpKind::HardLink | OpKind::CreateDir | OpKind::SyncDir | OpKind::SetLen => {
            vec![fail("ENOSPC", Fault::ENOSPC), fail("EIO", Fault::EIO)]
        }
        _ => vec![fail("EIO", Fault::EIO)],
    }
}

/// Runs a history and lets each of its calls fail.
///
/// # Errors
/// A sentence with seed, step, call and fault where something acknowledged was lost or something was invented.
pub fn fail_everywhere(seed: u64, steps: usize) -> Result<Report, String> {
    let mut report = Report::default();
    let mut history = Vec::new();
    let mut generator = Generator::new(seed, true);
    let mut model = Model::default();
    for _ in 0..steps {
        let step = generator.next(&model);
        step.apply_to(&mut model);
        history.push(step);
    }
    // Every start with the same seed makes the same calls, so that a call is known by its number.
    let trace = calls(seed, &history)?;
    report.passed(&trace.iter().map(|(_, op)| op.clone()).collect::<Vec<_>>());
    let mut seen = std::collections::BTreeSet::new();
    for (position, op) in &trace {
        for (name, fault) in faults_of(op.site.kind, op.number) {
            // The same site fails in the same way again and again: three times are enough.
            let times = (0..3).find(|n| seen.insert((op.site, name, *n)));
            if times.is_some() {
                report.hit(op.site, name);
                report.starts += 1;
                fail_once(seed, &history, *position, fault).map_err(|e| {
                    format!("seed {seed}, {name} at call {} ({}, {}): {e}", op.number, op.site, op.path.display())
                })?;
            }
        }
    }
    Ok(report)
}

/// Returns the calls of a history, each with the position of its step.
fn calls(seed: u64, history: &[Step]) -> Result<Vec<(usize, Op)>, String> {
    let mut machine = Machine::new(seed);
    machine.fs.record_trace(true);
    let mut trace = Vec::new();
    machine.fs.set_label("first start");
    let db = machine.open(&options(root())).map_err(|e| format!("seed {seed}: first start: {e}"))?;
    let mut model = Model::default();
    machine.fs.take_trace();
    for (position, step) in history.iter().enumerate() {
        machine.fs.set_label(step.label());
        step.run(&db, &model).map_err(|e| format!("seed {seed}: {}: {e}", describe(step)))?;
        step.apply_to(&mut model);
        trace.extend(machine.fs.take_trace().into_iter().map(|op| (position, op)));
    }
    Ok(trace)
}

fn fail_once(seed: u64, history: &[Step], at: usize, fault: Fault) -> Result<(), String> {
    let mut machine = Machine::new(seed);
    let db = machine.open(&options(root())).map_err(|e| format!("first start: {e}"))?;
    let mut model = Model::default();
    for step in &history[..at] {
        step.run(&db, &model).map_err(|e| format!("{}: {e}", describe(step)))?;
        step.apply_to(&mut model);
    }
    machine.fs.set_faults(FaultPlan::one(fault));
    let before = model.clone();
    let step = &history[at];
    let mut after = model.clone();
    step.apply_to(&mut after);
    let possible = match step.run(&db, &model) {
        Ok(()) => vec![after],
        // A refusal must be for a reason; what was refused may yet be found after a start, as after a cut.
        Err(StepError::Storage(_)) => vec![before.clone(), after],
        Err(StepError::Accepted) => return Err(format!("{}: accepted", describe(step))),
    };
    machine.fs.set_faults(FaultPlan::none());
    let running = find(&possible, &db).map_err(|e| format!("the running database after {}: {e}", describe(step)))?;
    let model = go_on(&db, &running, seed)?;
    compare_tables(&model, &db).map_err(|e| format!("going on after {}: {e}", describe(step)))?;
    let possible = if running.row_count() == model.row_count() { possible } else { vec![model] };
    if seed.is_multiple_of(2) {
        machine.kill();
    } else {
        machine.fs.power_cut(Survive::Subset(seed));
        machine.fs = machine.fs.power_up();
    }
    drop(db);
    let db = machine.open(&options(root())).map_err(|e| format!("the start afterwards was refused: {e}"))?;
    find(&possible, &db).map(drop).map_err(|e| format!("after a start: {e}"))
}

/// Tries a commit: it works, or the database says that it has stopped writing.
fn go_on(db: &Database, model: &Model, seed: u64) -> Result<Model, String> {
    let mut model = model.clone();
    if model.tables.is_empty() {
        return Ok(model);
    }
    let step = Generator::new(seed, false).append(&model);
    match step.run(db, &model) {
        Ok(()) => step.apply_to(&mut model),
        Err(StepError::Storage(storage::Error::Unavailable(_))) => {}
        Err(e) => return Err(format!("a commit after the fault: {e}")),
    }
    Ok(model)
}

fn find(possible: &[Model], db: &Database) -> Result<Model, String> {
    let mut differences = Vec::new();
    for model in possible.iter().rev() {
        match compare(model, db) {
            Ok(()) => return Ok(model.clone()),
            Err(difference) => differences.push(difference),
        }
    }
    Err(differences.join("; or "))
}
