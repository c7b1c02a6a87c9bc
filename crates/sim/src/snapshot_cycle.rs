//! A snapshot under writes, copied while the writes go on, restored, written on, and all of it once more.
//!
//! The copy is made piece by piece between the steps of the history, as `cp -a`, `cp -al` and `rsync` would meet
//! them. After the restore, which is itself cut at each of its calls, the database must equal the model at the cut;
//! then writes, a restart and a power cut. Next: `damage` for copies that are not whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use storage::Options;
use storage::env::sim_fs::{CopyMode, CrashPoint, FaultPlan, Survive, TreeEntry};

use crate::compare::compare;
use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;
use crate::model::Model;
use crate::step::Step;

/// What a snapshot cycle does.
#[derive(Clone)]
pub struct CyclePlan {
    pub seed: u64,
    /// Steps before the first snapshot, and after each restore.
    pub steps: usize,
    pub rounds: usize,
    pub options: Options,
    /// Whether each call of a restore is cut too.
    pub cut: bool,
    /// Faults that the machine has from the start.
    pub lies: FaultPlan,
}

impl CyclePlan {
    /// Returns the plan of a seed.
    pub fn new(seed: u64) -> CyclePlan {
        let mut options = crate::machine::options("/a");
        // What a restore leaves behind is held for ever, goes at once, or goes while the history goes on.
        options.restore_grace_us = [options.restore_grace_us, 0, 20_000_000][(seed % 3) as usize];
        CyclePlan { seed, steps: 40, rounds: 2, options, cut: seed.is_multiple_of(8), lies: FaultPlan::none() }
    }
}

/// What a copy may leave out, by the guide: it still changes and a restore needs none of it.
pub const EXCLUDED: [&str; 2] = ["db/_live", "log"];

/// Runs rounds of snapshot, copy and restore.
///
/// # Errors
/// A sentence with the seed and where the database differs from the model.
pub fn run(plan: &CyclePlan) -> Result<(), String> {
    let generator = Generator::new(plan.seed, false);
    let history = History::new(plan.seed, plan.options.clone(), generator);
    let mut cycle = Cycle { plan, history, copies: Vec::new(), served: BTreeSet::new() };
    cycle.run().map_err(|e| format!("seed {}: {e}", plan.seed))
}

struct Cycle<'a> {
    plan: &'a CyclePlan,
    history: History,
    /// Hard-link copies and what was in them.
    copies: Vec<(PathBuf, BTreeMap<PathBuf, TreeEntry>)>,
    /// Roots that a server ran on.
    served: BTreeSet<PathBuf>,
}

impl Cycle<'_> {
    fn run(&mut self) -> Result<(), String> {
        self.history.machine.fs.set_faults(self.plan.lies.clone());
        self.history.start()?;
        self.history.steps(self.plan.steps).map_err(|e| format!("before the first snapshot: {e}"))?;
        for round in 1..=self.plan.rounds {
            self.round(round).map_err(|e| format!("round {round}: {e}"))?;
        }
        Ok(())
    }

    fn round(&mut self, round: usize) -> Result<(), String> {
        self.history.maybe_restart()?;
        self.keep_some(round)?;
        self.history.step(Step::Prepare("default".to_owned()))?;
        let cut = (*self.history.model.snapshots.get("default").expect("just prepared").cut).clone();
        let hard_links = self.history.generator.below(3) == 0;
        let target = PathBuf::from(format!("/copy{round}"));
        self.copy(&target, hard_links)?;
        if hard_links {
            self.copies.push((target.clone(), self.history.machine.fs.tree_digest(&target)));
        }
        self.history.step(Step::Complete("default".to_owned()))?;
        let kept = self.history.model.snapshots.keys().next().cloned();
        if let Some(name) = kept.filter(|_| self.history.generator.below(4) == 0) {
            self.history.step(Step::Complete(name))?;
        }
        self.history.steps(self.plan.steps / 4).map_err(|e| format!("after the copy: {e}"))?;
        self.verify(&target, &cut)?;
        self.history.kill();
        self.restore(&target, &cut, hard_links)?;
        self.check_copies()
    }

    /// Takes a snapshot that is kept, or completes one: it must outlive restores to later cuts, and only those.
    fn keep_some(&mut self, round: usize) -> Result<(), String> {
        if self.history.generator.below(2) == 0 {
            self.history.step(Step::PrepareKept(format!("kept{round}")))?;
            self.history.steps(self.plan.steps / 4).map_err(|e| format!("after a kept snapshot: {e}"))?;
            self.history.maybe_restart()?;
        }
        let kept = self.history.model.snapshots.keys().next().cloned();
        match kept.filter(|_| self.history.generator.below(3) == 0) {
            Some(name) => self.history.step(Step::Complete(name)),
            None => Ok(()),
        }
    }

    /// Copies the root while the history goes on.
    fn copy(&mut self, target: &Path, hard_links: bool) -> Result<(), String> {
        let history = &mut self.history;
        let mode = if hard_links { CopyMode::HardLink } else { CopyMode::Copy };
        let excluded: &[&str] = if hard_links || history.generator.below(2) == 0 { &EXCLUDED } else { &[] };
        let root = history.options.root.clone();
        let mut copy = history.machine.fs.copy_tree(&root, target, mode, excluded, self.plan.seed);
        while copy.step() {
            if history.generator.below(6) == 0 {
                history.steps(1).map_err(|e| format!("during the copy: {e}"))?;
            }
            // Copying ends, and what the snapshot does not name goes under the copier's hands: what it names does not.
            if history.generator.below(80) == 0 && history.model.snapshots["default"].is_open() {
                for step in [Step::FullDisk, Step::Gc, Step::Gc] {
                    history.step(step).map_err(|e| format!("during the copy: {e}"))?;
                }
            }
            // The copy reads through the machine, which a power cut would turn off: the process alone ends.
            if history.generator.below(60) == 0 {
                history.kill();
                history.start().map_err(|e| format!("during the copy: {e}"))?;
            }
        }
        if copy.vanished().is_empty() || !history.model.snapshots["default"].is_open() {
            return Ok(());
        }
        Err(format!("files vanished while they were copied: {:?}", copy.vanished()))
    }

    /// Counts the copy's rows without serving it.
    fn verify(&self, copy: &Path, cut: &Model) -> Result<(), String> {
        let whole = storage::restore::verify(&self.history.machine.env(), copy, Some("default"), &|_| {});
        let whole = whole.map_err(|e| format!("the copy is said not to be whole: {e}"))?;
        let found: Vec<u64> = whole.iter().map(|snapshot| snapshot.rows).collect();
        let expected: usize = cut.tables.values().map(|table| table.rows.len()).sum();
        match found[..] == [expected as u64] {
            true => Ok(()),
            false => Err(format!("{found:?} rows are counted in the copy, expected {expected}")),
        }
    }

    /// Puts the copy in force, in its own place or in that of the source, and writes on.
    fn restore(&mut self, copy: &Path, cut: &Model, hard_links: bool) -> Result<(), String> {
        let fs = self.history.machine.fs.clone();
        let root = self.history.options.root.clone();
        let how = if hard_links { 0 } else { self.history.generator.below(3) };
        let (root, place) = match how {
            0 => (copy.to_owned(), "in the copy's place"),
            1 => {
                fs.remove(&root);
                fs.copy_tree(copy, &root, CopyMode::Copy, &[], 1).finish();
                (root, "in place of the root")
            }
            _ => {
                // Later files stay in place, as nearly every tool leaves them.
                fs.copy_tree(copy, &root, CopyMode::Copy, &[], 1).finish();
                (root, "over the root")
            }
        };
        if how > 0 {
            // A copy that was served and is overwritten now is no copy any more.
            self.copies.retain(|(copy, _)| *copy != root);
        }
        self.served.insert(root.clone());
        self.history.ask_for_restore(&root, cut);
        if self.plan.cut {
            // A cut before the restore has synced the copy may take the copy itself; that is not looked at here.
            fs.sync_all();
        }
        fs.capture_crash_points(self.plan.cut);
        self.history.start().map_err(|e| format!("restored {place}: {e}"))?;
        let points = fs.take_crash_points();
        fs.capture_crash_points(false);
        self.cut_restore(&points, cut).map_err(|e| format!("restoring {place}: {e}"))?;
        if fs.peek(&root.join("_restore")).is_some() {
            return Err(format!("restored {place}: _restore is still there"));
        }
        self.history.steps(self.plan.steps).map_err(|e| format!("after the restore {place}: {e}"))?;
        self.history.maybe_restart().map_err(|e| format!("after the restore {place}: {e}"))?;
        self.history.power_cut(Survive::Subset(self.plan.seed));
        self.history.start().map_err(|e| format!("after a power cut behind the restore {place}: {e}"))
    }

    /// Cuts the power in the middle of every call of the restore: the next start must have the cut.
    fn cut_restore(&mut self, points: &[CrashPoint], cut: &Model) -> Result<(), String> {
        for point in points {
            let seed = self.plan.seed ^ point.op.number;
            for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
                let mut machine = Machine::on(point.power_cut(survive), seed);
                let start = machine.open(&self.history.options).map_err(|e| format!("the start was refused: {e}"));
                start.and_then(|db| compare(cut, &db)).map_err(|e| {
                    let op = &point.op;
                    format!("cut at {} ({}, {}), {survive:?}: {e}", op.number, op.site, op.path.display())
                })?;
            }
        }
        Ok(())
    }

    /// Looks whether anything has changed in the hard-link copies.
    fn check_copies(&self) -> Result<(), String> {
        for (copy, before) in &self.copies {
            let now = self.history.machine.fs.tree_digest(copy);
            for (path, entry) in before {
                let is_served = self.served.contains(copy);
                match now.get(path) {
                    Some(found) if found.hash == entry.hash && found.inode == entry.inode => {}
                    // A server that runs on the copy may remove what it no longer needs: its names, not the inodes.
                    None if is_served => {}
                    found => return Err(format!("{} of the copy {} became {found:?}", path.display(), copy.display())),
                }
            }
        }
        Ok(())
    }
}
