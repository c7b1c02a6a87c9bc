//! A database on a machine beside its model: [`History`].
//!
//! Owns the doing of steps to both and the starts and stops in between. Each returns a sentence when the database
//! differs from the model. The campaigns and the tests are written with it.

use std::path::Path;
use std::sync::Arc;

use storage::env::sim_fs::Survive;
use storage::{Database, Options};

use crate::compare::compare;
use crate::generate::Generator;
use crate::machine::Machine;
use crate::model::Model;
use crate::step::{self, Step, describe};

/// A running database, what it must hold, and where its next step comes from.
pub struct History {
    pub machine: Machine,
    pub options: Options,
    pub model: Model,
    pub generator: Generator,
    db: Option<Arc<Database>>,
    /// Highest table id that was ever given out.
    last_id: u64,
}

impl History {
    /// Returns a history whose database is not started yet.
    pub fn new(seed: u64, options: Options, generator: Generator) -> History {
        History { machine: Machine::new(seed), options, model: Model::default(), generator, db: None, last_id: 0 }
    }

    /// Returns the running database.
    pub fn db(&self) -> &Database {
        self.db.as_ref().expect("the database was started")
    }

    /// Returns the running database for another thread.
    pub fn shared_db(&self) -> Arc<Database> {
        self.db.clone().expect("the database was started")
    }

    /// Starts the database and holds it against the model.
    pub fn start(&mut self) -> Result<(), String> {
        let db = self.machine.open(&self.options).map_err(|e| format!("the start was refused: {e}"))?;
        self.db = Some(Arc::new(db));
        self.compare().map_err(|e| format!("after a start: {e}"))
    }

    /// Starts the database, which must be refused, and returns why.
    pub fn start_refused(&mut self) -> Result<String, String> {
        match self.machine.open(&self.options) {
            Ok(_) => Err("the start was not refused".to_owned()),
            Err(e) => Ok(e.to_string()),
        }
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        self.machine.kill();
        self.db = None;
    }

    /// Ends the process as an operator does.
    pub fn stop(&mut self) -> Result<(), String> {
        self.db().close().map_err(|e| format!("a clean stop: {e}"))?;
        self.kill();
        Ok(())
    }

    /// Cuts the power and turns the machine on again; the database is not started.
    pub fn power_cut(&mut self, survive: Survive) {
        self.machine.fs.power_cut(survive);
        self.db = None;
        self.machine.fs = self.machine.fs.power_up();
    }

    /// Does a step to the database and the model.
    pub fn step(&mut self, step: Step) -> Result<(), String> {
        self.machine.fs.set_label(step.label());
        self.machine.clock.advance_us(self.generator.below(2_000_000) as i64);
        step.run(self.db(), &self.model, &self.machine).map_err(|e| format!("{}: {e}", describe(&step)))?;
        step.apply_to(&mut self.model);
        let made = match &step {
            Step::Create(table) => Some(&table.name),
            Step::RestoreTable { to, .. } => Some(to),
            _ => None,
        };
        if let Some(name) = made {
            let id = step::id(self.db(), name).0;
            if id <= self.last_id {
                return Err(format!("table {name} got the id {id}, which was given out before"));
            }
            self.last_id = id;
        }
        Ok(())
    }

    /// Does that many steps of the generator's choice, then compares.
    pub fn steps(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let step = self.generator.next(&self.model);
            self.step(step)?;
        }
        self.compare()
    }

    /// Appends that many rows at least, in commits of the generator's choice.
    pub fn append_rows(&mut self, rows: usize) -> Result<(), String> {
        let until = self.model.row_count() + rows;
        while self.model.row_count() < until {
            let step = if self.model.tables.is_empty() { self.generator.next(&self.model) } else { self.append() };
            self.step(step)?;
        }
        self.compare()
    }

    fn append(&mut self) -> Step {
        self.generator.append(&self.model)
    }

    /// Holds the database against the model.
    pub fn compare(&self) -> Result<(), String> {
        compare(&self.model, self.db())
    }

    /// Stops in one of three ways, or not at all, and starts again.
    pub fn maybe_restart(&mut self) -> Result<(), String> {
        match self.generator.below(4) {
            0 => return Ok(()),
            1 => self.stop()?,
            2 => self.kill(),
            _ => {
                let seed = self.generator.below(u64::MAX);
                self.power_cut(Survive::Subset(seed));
            }
        }
        self.start()
    }

    /// Asks for a restore at the next start; `cut` is what it must give. Ids that the root shows are not given out
    /// again; others were never seen in it.
    pub fn ask_for_restore(&mut self, root: &Path, cut: &Model) {
        let tree = self.machine.fs.tree_digest(&root.join("db"));
        let ids = tree.keys().filter_map(|path| path.to_str()?.split_once('~')?.1.parse().ok());
        self.last_id = ids.max().unwrap_or(0);
        self.machine.fs.write_file(&root.join("_restore"), b"");
        self.options.root = root.to_owned();
        self.model = cut.clone();
    }
}
