//! Every call of a history fails once, in every way it can, and nothing that was acknowledged is lost.
//!
//! A history of steps, starts and one restore runs to an event; each call of that event then fails. The event may be
//! refused or not; afterwards the running database and a database started anew must equal the model before or after it.

use std::collections::BTreeSet;
use std::path::Path;

use storage::Error;
use storage::env::sim_fs::{CopyMode, Fault, FaultPlan, Op, OpKind, Survive};

use crate::compare::{compare, compare_tables};
use crate::generate::Generator;
use crate::history::History;
use crate::machine::{options, root};
use crate::model::Model;
use crate::report::Report;
use crate::step::{Step, StepError, describe};

/// What happens in a history.
enum Event {
    Step(Step),
    /// The process ends, if it runs, and the database is started.
    Start,
    /// A snapshot is copied and put in force; a start must follow. Nothing fails here.
    PutBack,
}

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
        OpKind::HardLink
        | OpKind::Rename
        | OpKind::CloneFile
        | OpKind::CreateDir
        | OpKind::SyncDir
        | OpKind::SetLen => {
            vec![fail("ENOSPC", Fault::ENOSPC), fail("EIO", Fault::EIO)]
        }
        _ => vec![fail("EIO", Fault::EIO)],
    }
}

/// Runs a history and lets each of its calls fail.
///
/// # Errors
/// A sentence with seed, call and fault where something acknowledged was lost or something was invented.
pub fn fail_everywhere(seed: u64, steps: usize) -> Result<Report, String> {
    let mut report = Report::default();
    let events = events(seed, steps);
    // The same events make the same calls, so that a call is known by its number.
    let trace = calls(seed, &events).map_err(|e| format!("seed {seed}: {e}"))?;
    report.passed(&trace.iter().map(|(_, op)| op.clone()).collect::<Vec<_>>());
    let mut seen = BTreeSet::new();
    for (position, op) in &trace {
        for (name, fault) in faults_of(op.site.kind, op.number) {
            // The same site fails in the same way again and again: three times are enough.
            if (0..3).any(|n| seen.insert((op.site, name, n))) {
                report.hit(op.site, name);
                report.starts += 1;
                fail_once(seed, &events, *position, fault).map_err(|e| {
                    format!("seed {seed}, {name} at call {} ({}, {}): {e}", op.number, op.site, op.path.display())
                })?;
            }
        }
    }
    Ok(report)
}

fn events(seed: u64, steps: usize) -> Vec<Event> {
    let mut events = vec![Event::Start];
    let mut generator = Generator::new(seed, true);
    let mut model = Model::default();
    for n in 1..=steps {
        let step = generator.next(&model);
        step.apply_to(&mut model);
        events.push(Event::Step(step));
        if n.is_multiple_of(8) {
            events.push(Event::Start);
        }
    }
    events.extend([Event::PutBack, Event::Start]);
    events
}

fn new_history(seed: u64) -> History {
    History::new(seed, options(root()), Generator::new(seed, false).names_from(10_000))
}

/// Does an event, which must go well.
fn run(history: &mut History, event: &Event) -> Result<(), String> {
    match event {
        Event::Step(step) => history.step(step.clone()),
        Event::Start => {
            history.kill();
            history.machine.fs.set_label("start");
            history.start()
        }
        Event::PutBack => put_back(history),
    }
}

fn put_back(history: &mut History) -> Result<(), String> {
    for name in history.model.snapshots.clone().into_keys() {
        history.step(Step::Complete(name))?;
    }
    history.step(Step::Prepare("default".to_owned()))?;
    let cut = Model { snapshots: Default::default(), ..history.model.clone() };
    let root = history.options.root.clone();
    history.machine.fs.copy_tree(&root, Path::new("/copy"), CopyMode::Copy, &[], 1).finish();
    history.step(Step::Complete("default".to_owned()))?;
    history.kill();
    history.ask_for_restore(Path::new("/copy"), &cut);
    Ok(())
}

/// Returns the calls of a history that may fail, each with the position of its event.
fn calls(seed: u64, events: &[Event]) -> Result<Vec<(usize, Op)>, String> {
    let mut history = new_history(seed);
    history.machine.fs.record_trace(true);
    let mut trace = Vec::new();
    for (position, event) in events.iter().enumerate() {
        run(&mut history, event)?;
        let calls = history.machine.fs.take_trace();
        if !matches!(event, Event::PutBack) {
            trace.extend(calls.into_iter().map(|op| (position, op)));
        }
    }
    Ok(trace)
}

fn fail_once(seed: u64, events: &[Event], at: usize, fault: Fault) -> Result<(), String> {
    let mut history = new_history(seed);
    for event in &events[..at] {
        run(&mut history, event)?;
    }
    match &events[at] {
        Event::Step(step) => fail_step(&mut history, step, fault),
        Event::Start => fail_start(&mut history, fault),
        Event::PutBack => unreachable!("nothing fails here"),
    }
}

fn fail_start(history: &mut History, fault: Fault) -> Result<(), String> {
    history.kill();
    history.machine.fs.set_faults(FaultPlan::one(fault));
    let started = history.machine.open(&history.options);
    history.machine.fs.set_faults(FaultPlan::none());
    if let Ok(db) = started {
        compare(&history.model, &db).map_err(|e| format!("the database that started: {e}"))?;
    }
    history.kill();
    history.start().map_err(|e| format!("the start after the one that failed: {e}"))
}

fn fail_step(history: &mut History, step: &Step, fault: Fault) -> Result<(), String> {
    let before = history.model.clone();
    let mut after = before.clone();
    step.apply_to(&mut after);
    history.machine.fs.set_faults(FaultPlan::one(fault));
    let outcome = step.run(history.db(), &before, &history.machine);
    history.machine.fs.set_faults(FaultPlan::none());
    let possible = match outcome {
        Ok(()) => vec![after],
        // A refusal must be for a reason; what was refused may yet be found after a start, as after a cut.
        Err(StepError::Storage(_)) => {
            [Some(before.clone()), step.halfway(&before), Some(after)].into_iter().flatten().collect()
        }
        Err(StepError::Accepted) => return Err(format!("{}: accepted", describe(step))),
    };
    let running =
        find(&possible, history).map_err(|e| format!("the running database after {}: {e}", describe(step)))?;
    let went_on = go_on(history, &running)?;
    compare_tables(&went_on, history.db()).map_err(|e| format!("going on after {}: {e}", describe(step)))?;
    // A commit may replace rows and leave as many.
    let possible = if running.tables == went_on.tables { possible } else { vec![went_on] };
    if history.machine.fs.op_count().is_multiple_of(2) {
        history.kill();
    } else {
        let seed = history.machine.fs.op_count();
        history.power_cut(Survive::Subset(seed));
    }
    let mut refused = Vec::new();
    for model in possible.into_iter().rev() {
        history.model = model;
        match history.start() {
            Ok(()) => return Ok(()),
            Err(e) => refused.push(e),
        }
        history.kill();
    }
    Err(refused.join("; or "))
}

/// Tries a commit: it works, or the database says that it has stopped writing.
fn go_on(history: &mut History, model: &Model) -> Result<Model, String> {
    let mut model = model.clone();
    if model.tables.is_empty() {
        return Ok(model);
    }
    let step = history.generator.append(&model);
    match step.run(history.db(), &model, &history.machine) {
        Ok(()) => step.apply_to(&mut model),
        Err(StepError::Storage(Error::Unavailable(_))) => {}
        Err(e) => return Err(format!("a commit after the fault: {e}")),
    }
    Ok(model)
}

fn find(possible: &[Model], history: &History) -> Result<Model, String> {
    let mut differences = Vec::new();
    for model in possible.iter().rev() {
        match compare(model, history.db()) {
            Ok(()) => return Ok(model.clone()),
            Err(difference) => differences.push(difference),
        }
    }
    Err(differences.join("; or "))
}
