//! With `log.retention`, every moment of the restorable window is as the model was then: after any steps, starts and power
//! cuts, and what lies behind the window costs nothing.
//!
//! The model of every Seq is kept. Now and then the database is asked for moments of its past; the machine is also cut in
//! the middle of calls, and a start on what is left is asked the same, before and after it has tidied up.

use std::collections::BTreeMap;

use storage::env::Clock;
use storage::env::sim_fs::{CrashPoint, FaultPlan, Survive};
use storage::{Database, Moment, Options};
use types::Seq;

use crate::compare::compare_view;
use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;
use crate::model::Model;

/// What a look at past moments does.
#[derive(Clone)]
pub struct MomentsPlan {
    pub seed: u64,
    pub steps: usize,
    pub options: Options,
    /// Of how many steps one is cut at every call.
    pub cut_every: u64,
    pub snapshots: bool,
    /// Faults that the machine has from the start.
    pub lies: FaultPlan,
}

impl MomentsPlan {
    /// Returns the plan of a seed.
    pub fn new(seed: u64) -> MomentsPlan {
        let mut options = crate::machine::options("/a");
        options.log_retention_us = Some([20, 60, 200][seed as usize % 3] * 1_000_000);
        MomentsPlan { seed, steps: 120, options, cut_every: 12, snapshots: seed % 2 == 1, lies: FaultPlan::none() }
    }
}

/// Runs a history and looks back.
///
/// # Errors
/// A sentence with the seed and the moment that is not as it was.
pub fn run(plan: &MomentsPlan) -> Result<(), String> {
    let generator = Generator::new(plan.seed, plan.snapshots);
    let history = History::new(plan.seed, plan.options.clone(), generator);
    let mut run = Run { plan, history, past: BTreeMap::new(), began_us: 0 };
    run.all().map_err(|e| format!("seed {}: {e}", plan.seed))
}

/// What the database was after a Seq, and when.
#[derive(Clone)]
struct Past {
    model: Model,
    /// After the commit and before the next one.
    at_us: i64,
}

struct Run<'a> {
    plan: &'a MomentsPlan,
    history: History,
    past: BTreeMap<Seq, Past>,
    began_us: i64,
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), String> {
        self.history.machine.fs.set_faults(self.plan.lies.clone());
        self.began_us = self.history.machine.clock.now_us();
        self.history.start()?;
        for number in 0..self.plan.steps {
            if self.history.generator.below(20) == 0 {
                self.history.maybe_restart().map_err(|e| format!("restart before step {number}: {e}"))?;
                self.note();
                self.look_back(self.history.db()).map_err(|e| format!("restart before step {number}: {e}"))?;
            }
            let cut = self.history.generator.below(self.plan.cut_every) == 0;
            self.history.machine.fs.capture_crash_points(cut);
            let step = self.history.generator.next(&self.history.model);
            let place = crate::step::describe(&step);
            self.history.step(step)?;
            self.history.db().step_base().map_err(|e| format!("base: {e}"))?;
            self.history.db().step_gc().map_err(|e| format!("gc: {e}"))?;
            self.note();
            let points = self.history.machine.fs.take_crash_points();
            self.history.machine.fs.capture_crash_points(false);
            self.cut(&points).map_err(|e| format!("step {number} {place}: {e}"))?;
            if self.history.generator.below(4) == 0 {
                self.look_back(self.history.db()).map_err(|e| format!("after step {number} {place}: {e}"))?;
            }
        }
        self.history.compare()
    }

    /// Notes what the database is now.
    fn note(&mut self) {
        let seq = self.history.db().view().seq();
        let past = Past { model: self.history.model.clone(), at_us: self.history.machine.clock.now_us() };
        self.past.insert(seq, past);
    }

    /// Asks for some moments: each is as it was, or lies before the window, which is as long as it has to be.
    fn look_back(&self, db: &Database) -> Result<(), String> {
        let window = db.restore_window().map_err(|e| format!("the window: {e}"))?;
        let [stretch] = &window[..] else { return Err(format!("the window has {} stretches", window.len())) };
        let retention_us = self.plan.options.log_retention_us.unwrap_or(0);
        let now_us = self.history.machine.clock.now_us();
        if stretch.from_us > (now_us - retention_us).max(self.began_us + 1_000_000) {
            return Err(format!("the window is too short: {stretch:?}, it is {now_us}"));
        }
        let known: Vec<Seq> = self.past.keys().copied().filter(|seq| *seq <= stretch.to_seq).collect();
        for _ in 0..4 {
            let Some(&seq) = known.get(self.history.generator.below(known.len().max(1) as u64) as usize) else {
                return Ok(());
            };
            self.look_at(db, seq, stretch.from_seq).map_err(|e| format!("{stretch:?}: {e}"))?;
        }
        Ok(())
    }

    fn look_at(&self, db: &Database, seq: Seq, from: Seq) -> Result<(), String> {
        let Past { model, at_us } = &self.past[&seq];
        for moment in [Moment::Seq(seq), Moment::Time(*at_us)] {
            match db.view_at_moment(moment) {
                Ok(view) if seq < from => return Err(format!("{moment:?} is shown, at {}", view.seq())),
                Err(e) if seq < from && e.to_string().contains("window begins") => {}
                Err(e) => return Err(format!("{moment:?}: {e}")),
                Ok(view) => compare_view(model, &view).map_err(|e| format!("{moment:?}: {e}"))?,
            }
        }
        Ok(())
    }

    /// Cuts the power in the middle of calls, starts and looks back, tidies up and looks again.
    fn cut(&self, points: &[CrashPoint]) -> Result<(), String> {
        for point in points {
            let seed = self.plan.seed ^ point.op.number;
            let survive = [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly];
            let survive = survive[(seed % 4) as usize];
            let mut machine = Machine::on(point.power_cut(survive), seed);
            machine.clock.set_wall_us(self.history.machine.clock.now_us());
            let looked = machine.open(&self.plan.options).map_err(|e| format!("the start was refused: {e}"));
            let looked = looked.and_then(|db| {
                self.look_back(&db)?;
                while db.step_gc().map_err(|e| format!("gc: {e}"))? {}
                self.look_back(&db).map_err(|e| format!("after gc: {e}"))
            });
            looked.map_err(|e| {
                let op = &point.op;
                format!("cut at {} ({}, {}), {survive:?}: {e}", op.number, op.site, op.path.display())
            })?;
        }
        Ok(())
    }
}
