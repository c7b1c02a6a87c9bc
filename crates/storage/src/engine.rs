//! A running database: [`Engine`] owns the background threads. Only [`crate::env::join`] starts others, for a moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::database::{Database, Options, StartStep};
use crate::env::Env;

/// How often the background thread looks for work.
const TICK: Duration = Duration::from_millis(100);
/// Ticks without a commit after which a mark is written.
const IDLE_TICKS: u32 = 10;

/// What the background steps could not do at their last try.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Troubles {
    /// Returns the steps that fail, with the reason of each.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        self.lock().iter().map(|(step, why)| (*step, why.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// A database and its threads: one flushes, writes bases and collects garbage, one merges segments, one syncs the log and
/// makes spares for it.
pub struct Engine {
    database: Arc<Database>,
    stop: Arc<Stop>,
    troubles: Troubles,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Engine {
    /// Opens a root and starts the background work.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(env: Env, options: Options) -> Result<Engine> {
        Engine::open_with_progress(env, options, &|_| {})
    }

    /// As [`Engine::open`]; `hears` as in [`Database::open_with_progress`].
    pub fn open_with_progress(env: Env, options: Options, hears: &dyn Fn(StartStep)) -> Result<Engine> {
        let database = Arc::new(Database::open_with_progress(env, options, hears)?);
        let stop = Arc::new(Stop::default());
        let troubles = Troubles::default();
        let work = Background { database: database.clone(), stop: stop.clone(), troubles: troubles.clone() };
        let mut engine = Engine { database, stop, troubles, threads: Vec::new() };
        // a flush may take long: an acknowledged commit must not stay long in the page cache alone, and no commit should
        // have to make its own spare
        let (syncs, merges) = (work.clone(), work.clone());
        engine.spawn("storage", move || work.run())?;
        engine.spawn("sync", move || syncs.run_syncs())?;
        engine.spawn("compaction", move || merges.compact())?;
        Ok(engine)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.map_err(|source| crate::Error::Io { path: self.database.layout_root(), source })?);
        Ok(())
    }

    /// Returns what the background work cannot do; it goes on to tell after the engine is gone.
    pub fn troubles(&self) -> Troubles {
        self.troubles.clone()
    }

    /// Returns the database.
    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Stops the background work and ends the run cleanly: everything is durable on return.
    pub fn shutdown(mut self) -> Result<()> {
        self.stop_threads();
        self.database.close()
    }

    fn stop_threads(&mut self) {
        *self.stop.asked.lock().expect("no background thread panics with this lock") = true;
        self.stop.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread of storage panicked; commits were not affected");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

#[derive(Clone)]
struct Background {
    database: Arc<Database>,
    stop: Arc<Stop>,
    troubles: Troubles,
}

type Step = fn(&Database) -> Result<()>;

/// Steps in the order of a tick.
const STEPS: [(&str, Step); 8] = [
    ("memory", Database::step_memory),
    // Before a flush, which makes a segment for each snapshot that has not settled.
    ("settle", |db| db.step_settle().map(drop)),
    ("flush", |db| db.step_flush().map(drop)),
    ("base", |db| db.step_base().map(drop)),
    ("leases", Database::step_leases),
    ("guard", Database::step_guard),
    ("dropped", Database::step_dropped),
    ("gc", |db| db.step_gc().map(drop)),
];

/// A step that failed rests for 2, 4, 8 … ticks, at most this many.
const MAX_REST_TICKS: u32 = 256;

/// How a step has fared: a full disk comes back each tick until the operator mends it.
#[derive(Clone, Copy, Default)]
struct Fault {
    failures: u32,
    rest_ticks: u32,
}

impl Background {
    fn run(self) {
        let mut quiet_ticks = 0;
        let mut faults = [Fault::default(); STEPS.len()];
        let mut last_seq = self.database.view().seq();
        while !self.wait() {
            for ((name, step), fault) in STEPS.iter().zip(&mut faults) {
                self.step(name, *step, fault);
            }
            let seq = self.database.view().seq();
            quiet_ticks = if seq == last_seq { quiet_ticks + 1 } else { 0 };
            if quiet_ticks == IDLE_TICKS {
                self.step("mark", Database::step_mark, &mut Fault::default());
            }
            last_seq = self.database.view().seq();
        }
    }

    fn run_syncs(self) {
        let (mut sync, mut spare) = (Fault::default(), Fault::default());
        while !self.wait() {
            self.step("sync", Database::step_sync, &mut sync);
            self.step("spare", Database::step_spare, &mut spare);
        }
    }

    /// Merges segments while there is something worth it.
    fn compact(self) {
        let mut fault = Fault::default();
        while !self.wait() {
            let mut merged = true;
            while merged && !*self.stop.asked.lock().expect("no holder of this lock panics") {
                merged = self.step("compaction", Database::step_compact, &mut fault).unwrap_or(false);
            }
        }
    }

    /// Waits a tick; returns whether to stop.
    fn wait(&self) -> bool {
        let asked = self.stop.asked.lock().expect("no holder of this lock panics");
        let waited = self.stop.changed.wait_timeout_while(asked, TICK, |asked| !*asked);
        *waited.expect("no holder of this lock panics").0
    }

    /// Does a step, unless it rests after a failure; None when it did nothing.
    fn step<T>(&self, name: &'static str, step: fn(&Database) -> Result<T>, fault: &mut Fault) -> Option<T> {
        if fault.rest_ticks > 0 {
            fault.rest_ticks -= 1;
            return None;
        }
        match step(&self.database) {
            Ok(done) => {
                *fault = Fault::default();
                self.troubles.lock().remove(name);
                Some(done)
            }
            Err(e) => {
                if fault.failures == 0 {
                    tracing::error!("background {name} failed, it will be tried again: {e}");
                }
                self.troubles.lock().insert(name, e.to_string());
                fault.failures += 1;
                fault.rest_ticks = (1 << fault.failures.min(8)).min(MAX_REST_TICKS);
                None
            }
        }
    }
}
