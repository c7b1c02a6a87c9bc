//! With `log.retention`, every moment of the restorable window is as the model was then: after any steps, starts and power
//! cuts, and what lies behind the window costs nothing.
//!
//! The model of every Seq is kept. Now and then the database is asked for moments of its past, a table comes back from one,
//! and all of it goes back to one; the machine is also cut in the middle of calls, and a start on what is left is asked the
//! same, before and after it has tidied up.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage::env::Clock;
use storage::env::sim_fs::{CrashPoint, FaultPlan, Survive};
use storage::{Database, Moment, Options};
use types::{Seq, TableName, TimestampUs};

use crate::compare::{compare, compare_view};
use crate::generate::Generator;
use crate::history::History;
use crate::machine::Machine;
use crate::model::Model;
use crate::step::Step;

/// Of how many calls of a restore one is cut.
const CUT_OF_RESTORE: u64 = 8;
/// Tables at which no further one comes back.
const MAX_TABLES: usize = 6;

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
        options.log_retention_us = Some([20, 60, 200, 4_000][seed as usize % 4] * 1_000_000);
        options.restore_grace_us = [0, 30, 86_400][seed as usize / 3 % 3] * 1_000_000;
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
    let mut run = Run { plan, history, past: BTreeMap::new(), gone: Vec::new(), began_us: 0 };
    run.all().map_err(|e| format!("seed {}: {e}", plan.seed))
}

/// Longer than any history here.
const WAY_BACK_STAYS_US: i64 = 86_400 * 1_000_000;

/// What the database was after a Seq, and when.
#[derive(Clone)]
struct Past {
    model: Model,
    /// After the commit and before the next one; `None`: a restore came between.
    at_us: Option<i64>,
}

struct Run<'a> {
    plan: &'a MomentsPlan,
    history: History,
    past: BTreeMap<Seq, Past>,
    /// Times of states that restores have left.
    gone: Vec<i64>,
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
            if self.history.generator.below(30) == 0 {
                self.go_back().map_err(|e| format!("going back before step {number}: {e}"))?;
            }
            let cut = self.history.generator.below(self.plan.cut_every) == 0;
            self.history.machine.fs.capture_crash_points(cut);
            let place = match self.history.generator.below(15) {
                0 => self.bring_back(number)?,
                1 => self.full_disk()?,
                _ => {
                    let step = self.next_step();
                    let place = crate::step::describe(&step);
                    self.history.step(step)?;
                    place
                }
            };
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

    /// Returns a step that the model can tell: it knows a way back of a restore as one that stays.
    fn next_step(&mut self) -> Step {
        let stays = self.plan.options.restore_grace_us >= WAY_BACK_STAYS_US;
        loop {
            let step = self.history.generator.next(&self.history.model);
            if stays || !matches!(step, Step::RestoreDatabase(_)) {
                return step;
            }
        }
    }

    /// Notes what the database is now.
    fn note(&mut self) {
        let seq = self.history.db().view().seq();
        let past = Past { model: self.history.model.clone(), at_us: Some(self.history.machine.clock.now_us()) };
        self.past.insert(seq, past);
    }

    /// Returns a moment of the window.
    fn choose(&self) -> Result<Option<(Seq, Past)>, String> {
        let window = self.history.db().restore_window().map_err(|e| format!("the window: {e}"))?;
        let known: Vec<Seq> = self.past.range(window[0].from_seq..).map(|(seq, _)| *seq).collect();
        let at = self.history.generator.below(known.len().max(1) as u64) as usize;
        Ok(known.get(at).map(|seq| (*seq, self.past[seq].clone())))
    }

    /// Makes a new table of what one was at a moment.
    fn bring_back(&mut self, number: usize) -> Result<String, String> {
        let Some((seq, past)) = self.choose()? else { return Ok("nothing to bring back".to_owned()) };
        if self.history.model.tables.len() >= MAX_TABLES {
            return Ok("tables enough".to_owned());
        }
        let tables: Vec<_> = past.model.tables.values().cloned().collect();
        let at = self.history.generator.below(tables.len().max(1) as u64) as usize;
        let Some(mut table) = tables.get(at).cloned() else { return Ok("no table to bring back".to_owned()) };
        let (name, to) = (table.name.clone(), format!("moment{number}"));
        let place = format!("restore table {name} as {to} to seq {seq}");
        self.history.machine.fs.set_label("restore table to");
        self.history.machine.clock.advance_us(1 + self.history.generator.below(1_000_000) as i64);
        let db = self.history.db();
        let then = db.view_at_moment(Moment::Seq(seq)).map_err(|e| format!("{place}: {e}"))?;
        let to_name = TableName::new(&to).map_err(|e| e.to_string())?;
        db.restore_table(&then, &name, &to_name).map_err(|e| format!("{place}: {e}"))?;
        Arc::make_mut(&mut table).name.clone_from(&to);
        self.history.model.tables.insert(to, table);
        Ok(place)
    }

    /// Lets the guard give up the oldest moments, or a dropped table, on a disk that is nearly full.
    fn full_disk(&mut self) -> Result<String, String> {
        // What it does while one is open the model tells (`Step::FullDisk`).
        if self.history.model.snapshots.values().any(|snapshot| !snapshot.kept) {
            return Ok("a snapshot is open".to_owned());
        }
        crate::removal::full_disk(&mut self.history)?;
        // Of what was before nothing is promised any more.
        self.began_us = self.history.machine.clock.now_us();
        Ok("full disk".to_owned())
    }

    /// Restores the whole database to a moment, cutting the power at some of the calls on the way.
    fn go_back(&mut self) -> Result<(), String> {
        let Some((seq, Past { mut model, at_us })) = self.choose()? else { return Ok(()) };
        // Whether the files of one that was kept then and is released now are all there, nobody knows.
        let now = &self.history.model.snapshots;
        let is_there =
            |name: &String, cut: &Arc<Model>| now.get(name).is_some_and(|s| s.kept && Arc::ptr_eq(&s.cut, cut));
        if !model.snapshots.iter().filter(|(_, s)| s.kept).all(|(name, s)| is_there(name, &s.cut)) {
            return Ok(());
        }
        model.snapshots.retain(|_, snapshot| snapshot.kept);
        let text = match at_us.filter(|_| self.history.generator.below(2) == 0) {
            Some(at_us) => format!("timestamp={}", TimestampUs(at_us)),
            None => format!("seq={seq}"),
        };
        if self.history.generator.below(2) == 0 {
            self.history.stop()?
        } else {
            self.history.kill()
        }
        self.history.machine.clock.advance_us(1_000_000);
        let root = self.history.options.root.clone();
        self.history.ask_for_restore(&root, &model);
        let fs = &self.history.machine.fs;
        fs.set_label("restore to a moment");
        fs.write_file(&root.join("_restore"), text.as_bytes());
        fs.sync_all();
        fs.capture_crash_points(true);
        self.history.start().map_err(|e| format!("{text}: {e}"))?;
        let points = self.history.machine.fs.take_crash_points();
        self.history.machine.fs.capture_crash_points(false);
        for point in points.iter().filter(|_| self.history.generator.below(CUT_OF_RESTORE) == 0) {
            let mut machine = self.machine_after(point);
            let db = machine.open(&self.plan.options).map_err(|e| format!("the start was refused: {e}"));
            db.and_then(|db| compare(&model, &db)).map_err(|e| format!("{text}, {}: {e}", place_of(point)))?;
        }
        let left = self.past.split_off(&seq.next());
        let shared = self.past.get_mut(&seq).and_then(|past| past.at_us.take());
        self.gone.extend(left.into_values().filter_map(|past| past.at_us).chain(shared));
        self.look_back(self.history.db()).map_err(|e| format!("after {text}: {e}"))
    }

    /// Asks for some moments: each is as it was, or lies before the window, which is as long as it has to be.
    fn look_back(&self, db: &Database) -> Result<(), String> {
        let window = db.restore_window().map_err(|e| format!("the window: {e}"))?;
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Err("no window".to_owned()) };
        let retention_us = self.plan.options.log_retention_us.unwrap_or(0);
        let now_us = self.history.machine.clock.now_us();
        if first.from_us > (now_us - retention_us).max(self.began_us + 1_000_000) {
            return Err(format!("the window is too short: {window:?}, it is {now_us}"));
        }
        let view = db.view();
        if let Some(past) = self.past.get(&view.seq()) {
            compare_view(&past.model, &view).map_err(|e| format!("now, at {}: {e}", view.seq()))?;
        }
        self.look_into_gap(db)?;
        let known: Vec<Seq> = self.past.keys().copied().filter(|seq| *seq <= last.to_seq).collect();
        for _ in 0..4 {
            let Some(&seq) = known.get(self.history.generator.below(known.len().max(1) as u64) as usize) else {
                return Ok(());
            };
            self.look_at(db, seq, first.from_seq).map_err(|e| format!("{window:?}: {e}"))?;
        }
        Ok(())
    }

    /// Asks for a time whose state a restore has left: nothing is shown of it.
    fn look_into_gap(&self, db: &Database) -> Result<(), String> {
        let at = self.history.generator.below(self.gone.len().max(1) as u64) as usize;
        let Some(&time_us) = self.gone.get(at) else { return Ok(()) };
        match db.view_at_moment(Moment::Time(time_us)) {
            Err(e) if e.to_string().contains("lies in a gap") || e.to_string().contains("window begins") => Ok(()),
            Err(e) => Err(format!("a time that was left, {time_us}: {e}")),
            Ok(view) => Err(format!("a time that was left, {time_us}, is shown, at {}", view.seq())),
        }
    }

    fn look_at(&self, db: &Database, seq: Seq, from: Seq) -> Result<(), String> {
        let Past { model, at_us } = &self.past[&seq];
        for moment in [Some(Moment::Seq(seq)), at_us.map(Moment::Time)].into_iter().flatten() {
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
            let mut machine = self.machine_after(point);
            let looked = machine.open(&self.plan.options).map_err(|e| format!("the start was refused: {e}"));
            let looked = looked.and_then(|db| {
                self.look_back(&db)?;
                while db.step_gc().map_err(|e| format!("gc: {e}"))? {}
                self.look_back(&db).map_err(|e| format!("after gc: {e}"))
            });
            looked.map_err(|e| format!("{}: {e}", place_of(point)))?;
        }
        Ok(())
    }

    /// Returns the machine after a power cut there; what survives is drawn by the seed.
    fn machine_after(&self, point: &CrashPoint) -> Machine {
        let seed = self.plan.seed ^ point.op.number;
        let survive = [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly];
        let machine = Machine::on(point.power_cut(survive[(seed % 4) as usize]), seed);
        machine.clock.set_wall_us(self.history.machine.clock.now_us());
        machine
    }
}

fn place_of(point: &CrashPoint) -> String {
    format!("cut at {} ({}, {})", point.op.number, point.op.site, point.op.path.display())
}
