//! What sessions know of the server: its parameters, who is connected, its clock.

use std::sync::{Arc, RwLock};

use storage::env::Env;

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
    /// The user that `current_user()` answers.
    pub user: String,
    /// Clock and random bits.
    pub env: Env,
    /// When the server started, in microseconds since 1970.
    pub started_us: i64,
    /// Bytes that running statements may hold together before they spill or fail.
    pub memory_limit_bytes: usize,
}

impl Settings {
    /// Returns settings without parameters, for the machine's clock.
    pub fn new(env: Env) -> Settings {
        let started_us = env.clock.now_us();
        Settings {
            parameters: Parameters::default(),
            reload: None,
            user: "admin".to_owned(),
            env,
            started_us,
            memory_limit_bytes: 2 << 30,
        }
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
