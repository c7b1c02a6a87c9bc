//! Writers against a running server, with a ledger of their own of what they sent and what was acknowledged.
//!
//! The ledger lives in this process, so it survives whatever happens to the server. What a later state of the database may
//! be is bounded by two marks: everything acknowledged at the lower one must be there, nothing sent after the upper one may
//! be, and in between only whole requests in their order. [`pair`] writes rows into two tables at once, [`ddl`] changes
//! tables.

pub mod ddl;
pub mod pair;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::Result;
use crate::http::Http;
use crate::random::Random;
use crate::server::Server;
use ddl::Ddl;
use pair::{Pair, Way};

/// All writers of a history; they go on over many runs of the server.
pub struct Workload {
    ledgers: Ledgers,
    random: Random,
}

/// The ledgers of all writers; another thread may hold them to take marks.
#[derive(Clone)]
pub struct Ledgers {
    pairs: Vec<Arc<Pair>>,
    ddl: Arc<Ddl>,
}

/// How far each writer is: operations acknowledged, or sent.
#[derive(Debug, Clone)]
pub struct Mark {
    pairs: Vec<u64>,
    ddl: usize,
}

/// The writers' threads of one run of the server.
pub struct Running {
    quiet: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

/// A writer, to be run in a thread until it is told to stop.
type Write = Box<dyn FnOnce(&AtomicBool, Random) -> Result<()> + Send>;

impl Workload {
    /// Returns writers that have written nothing yet.
    pub fn new(seed: u64) -> Workload {
        let pair = |name: &str, way| Arc::new(Pair::new(name, way));
        let pairs = vec![pair("lines", Way::Lines), pair("more", Way::Lines), pair("booked", Way::Transaction)];
        Workload { ledgers: Ledgers { pairs, ddl: Arc::new(Ddl::default()) }, random: Random::new(seed) }
    }

    /// Starts a thread for each writer.
    pub fn start(&mut self, server: &Server) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let quiet = Arc::new(AtomicBool::new(false));
        let (http_port, pg_port) = (server.http_port, server.pg_port);
        let mut threads = Vec::new();
        let mut spawn = |random: Random, write: Write| {
            let (stop, quiet) = (stop.clone(), quiet.clone());
            threads.push(std::thread::spawn(move || match write(&stop, random) {
                // The server was killed under the writer: what it had sent is in the ledger.
                Err(_) if quiet.load(Ordering::SeqCst) => Ok(()),
                done => done,
            }));
        };
        for pair in &self.ledgers.pairs {
            let pair = pair.clone();
            let random = Random::new(self.random.below(u64::MAX));
            spawn(random, Box::new(move |stop, random| pair.run(http_port, pg_port, stop, random)));
        }
        let ddl = self.ledgers.ddl.clone();
        let random = Random::new(self.random.below(u64::MAX));
        spawn(random, Box::new(move |stop, random| ddl.run(http_port, stop, random)));
        Running { quiet, stop, threads }
    }

    /// Returns what was acknowledged up to now.
    pub fn acknowledged(&self) -> Mark {
        self.ledgers.acknowledged()
    }

    /// Returns what was sent up to now.
    pub fn sent(&self) -> Mark {
        self.ledgers.sent()
    }

    /// Returns the ledgers for a thread that takes marks beside the writers.
    pub fn ledgers(&self) -> Ledgers {
        self.ledgers.clone()
    }

    /// Compares a database with the ledger and returns where it stands between the two marks.
    pub fn check(&self, http: &mut Http, low: &Mark, high: &Mark) -> Result<Mark> {
        let mut seen = Vec::new();
        for ((pair, low), high) in self.ledgers.pairs.iter().zip(&low.pairs).zip(&high.pairs) {
            seen.push(pair.check(http, *low, *high)?);
        }
        Ok(Mark { pairs: seen, ddl: self.ledgers.ddl.check(http, low.ddl, high.ddl)? })
    }

    /// Goes on from a state that [`Workload::check`] found: what was sent and is not there never happened.
    pub fn adopt(&self, mark: &Mark) {
        for (pair, rows) in self.ledgers.pairs.iter().zip(&mark.pairs) {
            pair.adopt(*rows);
        }
        self.ledgers.ddl.adopt(mark.ddl);
    }
}

impl Ledgers {
    /// Returns what was acknowledged up to now.
    pub fn acknowledged(&self) -> Mark {
        Mark { pairs: self.pairs.iter().map(|pair| pair.acknowledged()).collect(), ddl: self.ddl.acknowledged() }
    }

    /// Returns what was sent up to now.
    pub fn sent(&self) -> Mark {
        Mark { pairs: self.pairs.iter().map(|pair| pair.sent()).collect(), ddl: self.ddl.sent() }
    }
}

impl Running {
    /// Says that the server is about to be killed: failures from now on are no fault.
    pub fn expect_the_end(&self) {
        self.quiet.store(true, Ordering::SeqCst);
    }

    /// Tells whether a writer has ended, which it does only after a failure; [`Running::stop`] has the reason.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Stops the writers after their current request and returns the first failure.
    pub fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let mut done = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err("a writer panicked".into()));
            done = done.and(ended);
        }
        done
    }
}

impl Mark {
    /// Returns the rows of all pairs (each stands in two tables) and the changes of tables.
    pub fn totals(&self) -> (u64, usize) {
        (self.pairs.iter().sum(), self.ddl)
    }
}
