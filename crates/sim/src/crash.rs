//! The power goes at every call of a history, in every mode, and the start finds what was acknowledged.
//!
//! A history runs once; the machine is kept as it was in the middle of each changing call. Each of these is then cut
//! and started: the database must equal the model before or after the step that was running. Some are cut again in
//! the middle of that start, and some go on with writes and another cut. Next: `snapshot_cycle`.

use storage::env::SimFs;
use storage::env::sim_fs::{CrashPoint, FaultPlan, Survive};
use storage::{CommitMode, Database, Options, ReadView};

use crate::compare::{compare, compare_view};
use crate::generate::Generator;
use crate::machine::{Machine, options, root};
use crate::model::Model;
use crate::report::Report;
use crate::step::{Step, describe};

/// What a campaign of crashes does.
#[derive(Clone)]
pub struct CrashPlan {
    pub seed: u64,
    pub steps: usize,
    pub options: Options,
    /// Of how many starts one is itself cut at every call.
    pub nested_every: u64,
    /// Of how many calls one is also the end of the process alone.
    pub kill_every: u64,
    /// Commits are acknowledged from the page cache: a power cut may take steps back, but only the latest ones.
    pub relaxed: bool,
    /// Faults that the machine has from the start.
    pub lies: FaultPlan,
}

impl CrashPlan {
    /// Returns the plan of a seed.
    pub fn new(seed: u64) -> CrashPlan {
        let mut options = options(root());
        let relaxed = seed % 4 == 3;
        if relaxed {
            options.commit_mode = CommitMode::NoSync;
        }
        CrashPlan { seed, steps: 40, options, nested_every: 40, kill_every: 2, relaxed, lies: FaultPlan::none() }
    }
}

/// Runs a history and cuts it everywhere.
///
/// # Errors
/// A sentence with seed, step and call where the database differs from the model or did not start.
pub fn crash_everywhere(plan: &CrashPlan) -> Result<Report, String> {
    let mut campaign = Campaign::new(plan);
    campaign.run().map_err(|e| format!("seed {}: {e}", plan.seed))?;
    Ok(campaign.report)
}

struct Campaign<'a> {
    plan: &'a CrashPlan,
    report: Report,
    generator: Generator,
    /// What the database may be after a cut: all states since the last that was certainly durable, oldest first.
    possible: Vec<Model>,
    /// Place in `possible` of the newest state that was acknowledged: the death of the process alone takes nothing of it.
    acknowledged: usize,
    checks: u64,
    kills: u64,
    /// Old views that a reader still holds, and what they must show.
    held: Vec<(Model, ReadView)>,
}

impl<'a> Campaign<'a> {
    fn new(plan: &'a CrashPlan) -> Campaign<'a> {
        Campaign {
            plan,
            report: Report::default(),
            generator: Generator::new(plan.seed, true),
            possible: vec![Model::default()],
            acknowledged: 0,
            checks: 0,
            kills: 0,
            held: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let mut machine = Machine::new(self.plan.seed);
        machine.fs.set_faults(self.plan.lies.clone());
        machine.fs.capture_crash_points(true);
        machine.fs.record_trace(true);
        machine.fs.set_label("first start");
        let mut db = machine.open(&self.plan.options).map_err(|e| format!("first start: {e}"))?;
        self.check_points(&machine.fs, "first start")?;
        let mut model = Model::default();
        for number in 0..self.plan.steps {
            if self.generator.below(14) == 0 {
                db =
                    self.restart(&mut machine, db, &model).map_err(|e| format!("restart before step {number}: {e}"))?;
            }
            let step = self.generator.next(&model);
            // A reader that began just before holds files that the step takes out of the state.
            let frees = matches!(
                step,
                Step::Drop(_)
                    | Step::Purge
                    | Step::Truncate(_)
                    | Step::DropPartitions { .. }
                    | Step::RestoreDatabase(_)
            );
            if frees && self.generator.below(2) == 0 {
                self.held.push((model.clone(), db.view()));
            }
            machine.fs.set_label(step.label());
            machine.clock.advance_us(self.generator.below(3_000_000) as i64);
            step.run(&db, &model, &machine).map_err(|e| format!("step {number} {}: {e}", describe(&step)))?;
            self.acknowledged = self.possible.len() - 1;
            self.possible.extend(step.halfway(&model));
            step.apply_to(&mut model);
            self.possible.push(model.clone());
            let place = format!("step {number} {}", describe(&step));
            self.check_points(&machine.fs, &place)?;
            if !self.plan.relaxed || step.is_durable() {
                self.settle();
            }
            self.report.passed(&machine.fs.take_trace());
            // Not after each step: a segment that was read once stays mapped, and hides that its file is gone.
            if self.generator.below(3) == 0 {
                compare(&model, &db).map_err(|e| format!("after {place}: {e}"))?;
            }
            self.read_old_views(&model, &db).map_err(|e| format!("after {place}: {e}"))?;
        }
        Ok(())
    }

    /// Lets readers begin, read and end: what they see never changes.
    fn read_old_views(&mut self, model: &Model, db: &Database) -> Result<(), String> {
        match self.generator.below(5) {
            0 => self.held.push((model.clone(), db.view())),
            1 if !self.held.is_empty() => {
                let (model, view) = self.held.remove(0);
                compare_view(&model, &view).map_err(|e| format!("a view of seq {}: {e}", view.seq()))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that the newest state is durable: no later cut may go behind it.
    fn settle(&mut self) {
        let last = self.possible.len() - 1;
        self.possible.drain(..last);
        self.acknowledged = 0;
    }

    fn restart(&mut self, machine: &mut Machine, db: Database, model: &Model) -> Result<Database, String> {
        self.held.clear();
        let clean = self.generator.below(2) == 0;
        machine.fs.set_label(if clean { "clean stop" } else { "kill" });
        if clean {
            db.close().map_err(|e| format!("clean stop: {e}"))?;
        } else {
            drop(db);
        }
        machine.kill();
        machine.fs.set_label("start");
        let db = machine.open(&self.plan.options).map_err(|e| format!("start: {e}"))?;
        if self.generator.below(2) == 0 {
            compare(model, &db).map_err(|e| format!("after the start: {e}"))?;
        }
        self.acknowledged = self.possible.len() - 1;
        self.check_points(&machine.fs, "restart")?;
        self.settle();
        self.report.passed(&machine.fs.take_trace());
        Ok(db)
    }

    fn check_points(&mut self, fs: &SimFs, place: &str) -> Result<(), String> {
        for point in fs.take_crash_points() {
            self.check_kill(&point).map_err(|e| {
                format!(
                    "{place}, killed at call {} ({}, {}): {e}",
                    point.op.number,
                    point.op.site,
                    point.op.path.display()
                )
            })?;
            let seed = self.plan.seed ^ point.op.number.rotate_left(20);
            let modes = [
                Survive::Nothing,
                Survive::Subset(seed),
                Survive::Subset(!seed),
                Survive::TornTail(seed),
                Survive::EntriesLost(seed),
                Survive::NamesOnly,
            ];
            for survive in modes {
                self.check_cut(&point, survive).map_err(|e| {
                    let op = &point.op;
                    format!("{place}, call {} ({}, {}), {survive:?}: {e}", op.number, op.site, op.path.display())
                })?;
            }
        }
        Ok(())
    }

    fn check_cut(&mut self, point: &CrashPoint, survive: Survive) -> Result<(), String> {
        let fs = point.power_cut(survive);
        self.report.hit(point.op.site, survive.name());
        if !self.report.state(fs.durable_digest()) {
            return Ok(());
        }
        self.checks += 1;
        let nested = self.checks.is_multiple_of(self.plan.nested_every);
        let mut machine = Machine::on(fs, point.op.number);
        if nested {
            machine.fs.capture_crash_points(true);
            machine.fs.set_label("recovery");
        }
        let (db, found) = self.start(&mut machine, 0)?;
        if nested {
            self.check_nested(&machine.fs)?;
            self.go_on(machine, db, found)?;
        }
        Ok(())
    }

    /// Ends the process in the middle of a call; now and then it goes on from there, then the power goes.
    fn check_kill(&mut self, point: &CrashPoint) -> Result<(), String> {
        self.kills += 1;
        if !self.kills.is_multiple_of(self.plan.kill_every) {
            return Ok(());
        }
        self.report.hit(point.op.site, "kill");
        let mut machine = Machine::on(point.kill(), point.op.number);
        let (db, found) = self.start(&mut machine, self.acknowledged)?;
        self.go_on(machine, db, found)
    }

    /// Starts the database and returns which of the possible states from one on it has.
    fn start(&mut self, machine: &mut Machine, from: usize) -> Result<(Database, Model), String> {
        self.report.starts += 1;
        let db = machine.open(&self.plan.options).map_err(|e| format!("the start was refused: {e}"))?;
        let found = self.find(&db, from)?;
        Ok((db, found))
    }

    /// Returns the newest possible state that the database equals.
    fn find(&self, db: &Database, from: usize) -> Result<Model, String> {
        let mut differences = Vec::new();
        for model in self.possible[from..].iter().rev() {
            match compare(model, db) {
                Ok(()) => return Ok(model.clone()),
                Err(difference) => differences.push(difference),
            }
        }
        differences.dedup();
        differences.truncate(3);
        Err(format!("none of {} possible states: {}", self.possible.len() - from, differences.join("; or ")))
    }

    /// Cuts a start at each of its calls.
    fn check_nested(&mut self, fs: &SimFs) -> Result<(), String> {
        let points = fs.take_crash_points();
        fs.capture_crash_points(false);
        for point in points {
            for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::EntriesLost(point.op.number)] {
                let cut = point.power_cut(survive);
                self.report.hit(point.op.site, survive.name());
                if self.report.state(cut.durable_digest()) {
                    let mut machine = Machine::on(cut, point.op.number ^ 0xfeed);
                    self.start(&mut machine, 0).map_err(|e| {
                        format!("cut again in the start at {} ({}), {survive:?}: {e}", point.op.number, point.op.site)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Writes on after a start, cuts the power again and looks once more.
    fn go_on(&mut self, mut machine: Machine, db: Database, mut model: Model) -> Result<(), String> {
        let mut generator = Generator::new(self.checks ^ self.kills << 32, true).names_from(10_000);
        let cleans_first = generator.below(2) == 0;
        for n in 0..8 {
            let step = if cleans_first && n < 2 { Step::Gc } else { generator.next(&model) };
            step.run(&db, &model, &machine).map_err(|e| format!("going on, {}: {e}", describe(&step)))?;
            step.apply_to(&mut model);
        }
        let mark = Step::Prepare("mark".to_owned());
        if self.plan.relaxed && !model.snapshots.contains_key("mark") {
            mark.run(&db, &model, &machine).map_err(|e| format!("going on, prepare: {e}"))?;
            mark.apply_to(&mut model);
        }
        compare(&model, &db).map_err(|e| format!("going on: {e}"))?;
        if self.plan.relaxed && !model.snapshots.contains_key("mark") {
            return Ok(());
        }
        let survive = [Survive::Nothing, Survive::Subset(self.checks), Survive::EntriesLost(self.checks)];
        machine.fs.power_cut(survive[(self.checks + self.kills) as usize % survive.len()]);
        drop(db);
        machine.fs = machine.fs.power_up();
        let db = machine.open(&self.plan.options).map_err(|e| format!("second start: {e}"))?;
        compare(&model, &db).map_err(|e| format!("after the second cut: {e}"))
    }
}
