//! Which value of a key counts: the environment's, then the file's, then the default ([`Properties`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::keys::{self, Key};
use super::{ConfigError, file, value};

/// Variables that begin like a key's but are none: they belong to the start, to logging, or to clients.
const OTHER_VARIABLES: [&str; 5] = ["QDB_ROOT", "QDB_DEBUG", "QDB_CLIENT_CONF", "QDB_PACKAGE", "QDB_OS"];

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Default,
    /// `server.conf`, at this line.
    File(usize),
    Environment,
}

/// One row of SHOW PARAMETERS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub env_name: String,
    /// `****` for a secret.
    pub value: String,
    /// `default`, `conf` or `env`.
    pub source: &'static str,
    pub secret: bool,
    pub reloadable: bool,
}

/// The values of all keys.
#[derive(Debug)]
pub struct Properties {
    set: HashMap<&'static str, (String, Source)>,
    warnings: Vec<String>,
}

impl Properties {
    /// Reads the text of `server.conf` and the variables of the environment.
    pub fn load(server_conf: &str, environment: impl IntoIterator<Item = (String, String)>) -> Properties {
        let mut set = HashMap::new();
        let mut warnings = Vec::new();
        for setting in file::read(server_conf) {
            match keys::find(&setting.key) {
                Some(key) => {
                    set.insert(key.name, (setting.value, Source::File(setting.line)));
                }
                None => warnings.push(format!(
                    "server.conf line {}: unknown key {}; did you mean {}?",
                    setting.line,
                    setting.key,
                    keys::nearest(&setting.key.to_lowercase())
                )),
            }
        }
        let by_variable: HashMap<String, &'static Key> =
            keys::ALL.iter().map(|key| (keys::env_name(key.name), key)).collect();
        let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| name.starts_with("QDB_")).collect();
        variables.sort();
        for (name, text) in variables {
            match by_variable.get(&name) {
                Some(key) => {
                    set.insert(key.name, (text, Source::Environment));
                }
                None if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with("QDB_LOG_") => {}
                None => {
                    let meant = keys::nearest(&name["QDB_".len()..].to_lowercase().replace('_', "."));
                    warnings.push(format!(
                        "environment variable {name} belongs to no key; did you mean {}?",
                        keys::env_name(meant)
                    ));
                }
            }
        }
        Properties { set, warnings }
    }

    /// Returns what the operator should look at.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the text of a key, without blanks around it.
    pub fn text(&self, key: &str) -> &str {
        match self.set.get(key) {
            Some((text, _)) => text.trim(),
            None => keys::find(key).map_or("", |k| k.default),
        }
    }

    /// Returns where the text of a key comes from.
    pub fn source(&self, key: &str) -> Source {
        self.set.get(key).map_or(Source::Default, |(_, source)| *source)
    }

    /// Returns a key that is true or false.
    pub fn bool(&self, key: &str) -> Result<bool, ConfigError> {
        value::boolean(self.text(key)).ok_or_else(|| self.bad(key, "true or false"))
    }

    /// Returns a key that counts something.
    pub fn count(&self, key: &str) -> Result<usize, ConfigError> {
        self.text(key).parse().map_err(|_| self.bad(key, "a number"))
    }

    /// Returns a key that holds a number of bytes.
    pub fn size(&self, key: &str) -> Result<usize, ConfigError> {
        value::size(self.text(key)).ok_or_else(|| self.bad(key, "a size such as 512k, 64m or 1g"))
    }

    /// Returns a key that holds a time.
    pub fn duration(&self, key: &str) -> Result<Duration, ConfigError> {
        value::duration(self.text(key)).ok_or_else(|| self.bad(key, "a time such as 500ms, 60s or 5m"))
    }

    /// Returns an address that has several spellings of its key: the environment's first, then the file's, and of two
    /// in one place the first spelling.
    pub fn address(&self, spellings: &[&str]) -> Result<SocketAddr, ConfigError> {
        let rank = |key: &str| match self.source(key) {
            Source::Environment => 0,
            Source::File(_) => 1,
            Source::Default => 2,
        };
        let key = spellings.iter().min_by_key(|key| rank(key)).expect("a key has a spelling");
        value::address(self.text(key)).ok_or_else(|| self.bad(key, "host:port"))
    }

    /// Returns the error of a value that cannot be used.
    pub fn bad(&self, key: &str, expected: &str) -> ConfigError {
        let place = match self.source(key) {
            Source::Default => "default".to_owned(),
            Source::File(line) => format!("server.conf line {line}"),
            Source::Environment => format!("environment variable {}", keys::env_name(key)),
        };
        ConfigError(format!("{place}: {key} is {:?}; expected {expected}", self.text(key)))
    }

    /// Returns every key with its value, sorted by name.
    pub fn parameters(&self) -> Vec<Parameter> {
        let row = |key: &Key| Parameter {
            name: key.name,
            env_name: keys::env_name(key.name),
            value: if key.secret { "****".to_owned() } else { self.text(key.name).to_owned() },
            source: match self.source(key.name) {
                Source::Default => "default",
                Source::File(_) => "conf",
                Source::Environment => "env",
            },
            secret: key.secret,
            reloadable: key.reloadable,
        };
        keys::ALL.iter().map(row).collect()
    }
}
