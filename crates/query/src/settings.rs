//! What sessions know of the server: its parameters, who is connected, its clock.

use std::sync::{Arc, OnceLock, RwLock};

use storage::env::Env;
use types::memory::Budget;

use crate::activity::Activity;
use crate::memory::Spill;
use crate::session::{self, Engine, Kept};

/// One configuration parameter, as SHOW PARAMETERS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The key, e.g. `http.net.bind.to`.
    pub path: String,
    /// The environment variable that overrides it.
    pub env_var: String,
    pub value: String,
    /// `default`, `conf`, `env` or `file`.
    pub source: String,
    pub sensitive: bool,
    pub reloadable: bool,
}

/// Reads the configuration anew and returns whether anything changed.
pub type Reload = Arc<dyn Fn() -> bool + Send + Sync>;

/// COPY … FROM: a file of the server's into a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CopyFrom {
    pub table: String,
    pub table_position: usize,
    /// As it is written, below the root of imports.
    pub file: String,
    pub file_position: usize,
    pub header: bool,
    pub timestamp: Option<String>,
    /// Pattern of the designated timestamp.
    pub format: Option<String>,
    pub delimiter: Option<u8>,
    pub partition_by: Option<types::PartitionBy>,
    pub on_error: CopyErrors,
}

/// What a field does that is no value of its column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CopyErrors {
    #[default]
    SkipColumn,
    SkipRow,
    Abort,
}

/// Who carries COPY out: it reads files, which sessions never do.
pub trait Copies: Send + Sync {
    /// Begins an import and returns its id.
    ///
    /// # Errors
    /// Why it cannot begin.
    fn start(&self, copy: CopyFrom) -> Result<String, crate::SqlError>;

    /// Asks an import to stop; returns false when none of that id runs.
    fn cancel(&self, id: &str) -> bool;
}

/// The parameters, which a reload replaces under running sessions.
#[derive(Clone, Default)]
pub struct Parameters(Arc<RwLock<Arc<Vec<Parameter>>>>);

impl Parameters {
    /// Returns the parameters in force.
    pub fn get(&self) -> Arc<Vec<Parameter>> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Replaces the parameters.
    pub fn set(&self, parameters: Vec<Parameter>) {
        *self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(parameters);
    }
}

/// The settings that all sessions of a server share.
#[derive(Clone)]
pub struct Settings {
    pub parameters: Parameters,
    /// What `reload_config()` does; `None`: nothing.
    pub reload: Option<Reload>,
    /// What COPY does; `None`: it is refused.
    pub copies: Option<Arc<dyn Copies>>,
    /// The user that `current_user()` answers.
    pub user: String,
    /// Clock and random bits.
    pub env: Env,
    /// When the server started, in microseconds since 1970.
    pub started_us: i64,
    /// What running statements may hold together, with memtables and buffers, before they spill or fail.
    pub memory: Budget,
    /// Where they spill.
    pub spill: Spill,
    /// The statements that run now.
    pub activity: Arc<Activity>,
    /// Tables are read by the plain operators only, plans made anew with all of the engine's rules, to compare answers.
    pub plain: bool,
    /// What is kept of statements that come again.
    pub(crate) kept: Arc<Kept>,
    /// Made by the first session, for all.
    engine: Arc<OnceLock<Arc<Engine>>>,
}

/// Memory and spill space of settings that say nothing else.
const MEMORY_BYTES: usize = 2 << 30;
const SPILL_BYTES: u64 = 10 << 30;

impl Settings {
    /// Returns settings without parameters, for the machine's clock.
    pub fn new(env: Env) -> Settings {
        let started_us = env.clock.now_us();
        Settings {
            parameters: Parameters::default(),
            reload: None,
            copies: None,
            user: "admin".to_owned(),
            env,
            started_us,
            memory: Budget::new(MEMORY_BYTES),
            spill: Spill { dir: std::env::temp_dir(), limit_bytes: SPILL_BYTES },
            activity: Arc::default(),
            plain: false,
            kept: Arc::default(),
            engine: Arc::default(),
        }
    }

    /// Returns the engine's state that all sessions share. Limits that are set later have no effect on it.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.engine.get_or_init(|| Arc::new(session::engine(self))).clone()
    }

    /// Returns the settings to share.
    pub fn shared(self) -> Arc<Settings> {
        Arc::new(self)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::new(Env::os())
    }
}
