//! What sessions know of the server: its parameters, who is connected, its clock.

use std::sync::Arc;

use storage::env::Env;

/// One configuration parameter, as SHOW PARAMETERS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The key, e.g. `http.net.bind.to`.
    pub path: String,
    /// The environment variable that overrides it.
    pub env_var: String,
    pub value: String,
    /// `default`, `conf` or `env`.
    pub source: String,
    pub sensitive: bool,
    pub reloadable: bool,
}

/// The settings that all sessions of a server share.
#[derive(Clone)]
pub struct Settings {
    pub parameters: Vec<Parameter>,
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
        Settings { parameters: Vec::new(), user: "admin".to_owned(), env, started_us, memory_limit_bytes: 2 << 30 }
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
