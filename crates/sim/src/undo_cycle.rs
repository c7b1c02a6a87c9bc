//! Restores that are undone, and undone again, each cut at every call; what was left goes when its grace is over.
//!
//! Next: `snapshot_cycle` for what a restore itself must give.

use std::path::PathBuf;

use storage::Options;
use storage::env::sim_fs::Survive;

use crate::compare::compare;
use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;
use crate::model::Model;
use crate::step::Step;

/// How long a restore can be undone in [`run`].
const GRACE_US: i64 = 36_000_000_000;

/// The end of a timeline that a restore left.
pub struct Left {
    timeline: u32,
    end: Model,
}

impl Left {
    /// Returns what an undo makes of the database as it is now: no snapshot is open, kept ones go on.
    fn of(history: &History) -> Left {
        let mut end = history.model.clone();
        end.snapshots.retain(|_, snapshot| snapshot.kept);
        Left { timeline: history.db().timeline().number, end }
    }
}

/// Runs restores and undos of them.
///
/// # Errors
/// A sentence with the seed and where the database differs from the model.
pub fn run(seed: u64, options: &Options) -> Result<(), String> {
    let options = Options { restore_grace_us: GRACE_US, ..options.clone() };
    let mut history = History::new(seed, options, Generator::new(seed, false));
    undo_and_undo_again(&mut history, seed).map_err(|e| format!("seed {seed}: {e}"))
}

fn undo_and_undo_again(history: &mut History, seed: u64) -> Result<(), String> {
    history.start()?;
    history.steps(40)?;
    let first = restore_in_place(history, 30)?;
    history.steps(60)?;
    history.maybe_restart()?;
    history.steps(30)?;
    let second = undo(history, seed, &first)?;
    history.steps(40)?;
    history.maybe_restart()?;
    let third = undo(history, seed, &second)?;
    history.steps(40)?;
    let fourth = undo(history, seed, &third)?;
    history.steps(20)?;
    history.power_cut(Survive::Subset(seed));
    history.start()?;
    // The third goes on from the first, and the newest from the third.
    what_was_left_goes(history, &[second.timeline, fourth.timeline])
}

/// Goes back to the cut of a snapshot in place.
pub fn restore_in_place(history: &mut History, steps: usize) -> Result<Left, String> {
    history.step(Step::Prepare("default".to_owned()))?;
    let cut = (*history.model.snapshots["default"].cut).clone();
    let name = format!("kept{}", history.db().timeline().number);
    history.step(Step::PrepareKept(name))?;
    history.steps(steps)?;
    let left = Left::of(history);
    history.kill();
    let root = history.options.root.clone();
    history.ask_for_restore(&root, &cut);
    history.machine.fs.write_file(&root.join("_restore"), b"snapshot=default");
    history.start()?;
    Ok(left)
}

/// Goes back to the end of a timeline, cutting the power at every call on the way; returns what is left by that.
pub fn undo(history: &mut History, seed: u64, to: &Left) -> Result<Left, String> {
    let Left { timeline, end } = to;
    let left = Left::of(history);
    history.kill();
    let root = history.options.root.clone();
    history.ask_for_restore(&root, end);
    history.machine.fs.write_file(&root.join("_restore"), format!("timeline={timeline}").as_bytes());
    history.machine.fs.sync_all();
    history.machine.fs.capture_crash_points(true);
    history.start().map_err(|e| format!("back to {timeline}: {e}"))?;
    let points = history.machine.fs.take_crash_points();
    history.machine.fs.capture_crash_points(false);
    if history.machine.fs.peek(&root.join("_restore")).is_some() {
        return Err(format!("back to {timeline}: _restore is still there"));
    }
    for point in &points {
        let seed = seed ^ point.op.number;
        for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
            let mut machine = Machine::on(point.power_cut(survive), seed);
            let db = machine.open(&history.options).map_err(|e| format!("the start was refused: {e}"));
            let op = &point.op;
            db.and_then(|db| compare(end, &db)).map_err(|e| {
                let path = op.path.display();
                format!("back to {timeline}, cut at {} ({}, {path}), {survive:?}: {e}", op.number, op.site)
            })?;
        }
    }
    Ok(left)
}

/// When no restore can be undone any more and no snapshot is kept, the log of timelines that were left for good is gone, and
/// every row is there still.
fn what_was_left_goes(history: &mut History, left: &[u32]) -> Result<(), String> {
    for name in history.model.snapshots.clone().into_keys() {
        history.step(Step::Complete(name))?;
    }
    history.machine.clock.advance_us(GRACE_US);
    history.step(Step::WriteBase)?;
    for _ in 0..8 {
        history.step(Step::Gc)?;
    }
    history.compare()?;
    history.kill();
    history.start()?;
    let files = history.machine.fs.files_below(&history.options.root.join("db"));
    let is_left = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".wal") && left.iter().any(|number| name.starts_with(&format!("{number}-")))
    };
    match files.iter().find(is_left) {
        Some(path) => Err(format!("after the grace {} is still there", path.display())),
        None => Ok(()),
    }
}
