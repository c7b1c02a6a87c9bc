//! Which value of a key counts: a secret's file, then the environment's, then server.conf's, then the default
//! ([`Properties`]).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::keys::{self, Key, Kind};
use super::{ConfigError, file, value};

/// Variables that begin like a key's but are none: they belong to the start, to logging, or to clients.
const OTHER_VARIABLES: [&str; 5] = ["QDB_ROOT", "QDB_DEBUG", "QDB_CLIENT_CONF", "QDB_PACKAGE", "QDB_OS"];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// `server.conf`, at this line.
    File(usize),
    Environment,
    /// The file of a secret.
    Secret(String),
}

/// One row of SHOW PARAMETERS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub env_name: String,
    /// `****` for a secret.
    pub value: String,
    /// `default`, `conf`, `env` or `file`.
    pub source: &'static str,
    pub secret: bool,
    pub reloadable: bool,
}

/// Reads the file of a secret, or says why it cannot be used.
pub type ReadSecret<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The values of all keys.
#[derive(Debug)]
pub struct Properties {
    set: HashMap<&'static str, (String, Source)>,
    unknown: Vec<String>,
    /// Which keys somebody asked for: those have an effect.
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Properties {
    /// Reads the text of `server.conf`, the variables of the environment and the files that they name.
    ///
    /// # Errors
    /// The file of a secret that cannot be used.
    pub fn load(
        server_conf: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        read_secret: ReadSecret,
    ) -> Result<Properties, ConfigError> {
        let mut properties = Properties { set: HashMap::new(), unknown: Vec::new(), asked: RefCell::default() };
        let mut secrets = HashMap::new();
        for setting in file::read(server_conf) {
            if let Some(key) = keys::find(&setting.key) {
                properties.set.insert(key.name, (setting.value, Source::File(setting.line)));
            } else if let Some(key) = setting.key.strip_suffix(".file").and_then(secret) {
                secrets.insert(key.name, setting.value);
            } else {
                properties.unknown.push(format!(
                    "server.conf line {}: unknown key {}; did you mean {}?",
                    setting.line,
                    setting.key,
                    keys::nearest(&setting.key.to_lowercase())
                ));
            }
        }
        properties.read_environment(environment, &mut secrets);
        let mut secrets: Vec<_> = secrets.into_iter().collect();
        secrets.sort();
        for (name, path) in secrets {
            let text = read_secret(path.trim()).map_err(|why| ConfigError(format!("{name}.file: {why}")))?;
            properties.set.insert(name, (text, Source::Secret(path.trim().to_owned())));
        }
        Ok(properties)
    }

    fn read_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
        secrets: &mut HashMap<&'static str, String>,
    ) {
        let by_variable: HashMap<String, &'static Key> =
            keys::ALL.iter().map(|key| (keys::env_name(key.name), key)).collect();
        let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| name.starts_with("QDB_")).collect();
        variables.sort();
        for (name, text) in variables {
            let of_secret = || name.strip_suffix("_FILE").and_then(|n| by_variable.get(n)).filter(|key| key.secret);
            if let Some(key) = by_variable.get(&name) {
                self.set.insert(key.name, (text, Source::Environment));
            } else if let Some(key) = of_secret() {
                secrets.insert(key.name, text);
            } else if !OTHER_VARIABLES.contains(&name.as_str()) && !name.starts_with("QDB_LOG_") {
                let meant = keys::nearest(&name["QDB_".len()..].to_lowercase().replace('_', "."));
                self.unknown.push(format!(
                    "environment variable {name} belongs to no key; did you mean {}?",
                    keys::env_name(meant)
                ));
            }
        }
    }

    /// Returns a line for each key that nobody knows.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Returns a line for each value that is not what its key takes.
    pub fn unfit(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for key in keys::ALL.iter().filter(|key| self.set.contains_key(key.name)) {
            let outcome = match key.effect {
                None | Some(Kind::Text) => Ok(()),
                Some(Kind::Bool) => self.read_bool(key.name).map(drop),
                Some(Kind::Count) => self.read_count(key.name).map(drop),
                Some(Kind::Size) => self.read_size(key.name).map(drop),
                Some(Kind::Time) => self.read_duration(key.name).map(drop),
                Some(Kind::Address) => self.read_address(key.name).map(drop),
            };
            lines.extend(outcome.err().map(|error| error.0));
        }
        lines
    }

    /// Returns one line that names the keys that were set and have no effect.
    pub fn without_effect(&self) -> Option<String> {
        let idle = |key: &&Key| key.effect.is_none() && self.set.contains_key(key.name);
        let names: Vec<&str> = keys::ALL.iter().filter(idle).map(|key| key.name).collect();
        (!names.is_empty()).then(|| format!("accepted without effect: {}", names.join(", ")))
    }

    /// Returns the text of a key, without blanks around it.
    pub fn text(&self, key: &str) -> &str {
        let known = keys::find(key);
        self.asked.borrow_mut().extend(known.map(|k| k.name));
        match self.set.get(key) {
            Some((text, _)) => text.trim(),
            None => known.map_or("", |k| k.default),
        }
    }

    /// Returns where the text of a key comes from.
    pub fn source(&self, key: &str) -> Source {
        self.set.get(key).map_or(Source::Default, |(_, source)| source.clone())
    }

    /// Returns whether the operator set a key.
    pub fn is_set(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// Returns a key that is true or false.
    pub fn bool(&self, key: &str) -> Result<bool, ConfigError> {
        self.read_bool(key)
    }

    /// Returns a key that counts something.
    pub fn count(&self, key: &str) -> Result<usize, ConfigError> {
        self.read_count(self.spelling(key))
    }

    /// Returns a key that holds a number of bytes.
    pub fn size(&self, key: &str) -> Result<usize, ConfigError> {
        self.read_size(key)
    }

    /// Returns a key that holds a time.
    pub fn duration(&self, key: &str) -> Result<Duration, ConfigError> {
        self.read_duration(self.spelling(key))
    }

    /// Returns a key that holds an address of this machine.
    pub fn address(&self, key: &str) -> Result<SocketAddr, ConfigError> {
        self.read_address(self.spelling(key))
    }

    /// Returns which spelling of a key counts: the environment's first, then the file's, and of two in one place the
    /// newer spelling.
    fn spelling<'k>(&self, key: &'k str) -> &'k str {
        let rank = |key: &str| match self.source(key) {
            Source::Environment | Source::Secret(_) => 0,
            Source::File(_) => 1,
            Source::Default => 2,
        };
        match keys::other_spelling(key) {
            Some(other) => {
                self.asked.borrow_mut().insert(other);
                if rank(other) < rank(key) { other } else { key }
            }
            None => key,
        }
    }

    fn read_bool(&self, key: &str) -> Result<bool, ConfigError> {
        value::boolean(self.text(key)).ok_or_else(|| self.bad(key, "true or false"))
    }

    fn read_count(&self, key: &str) -> Result<usize, ConfigError> {
        self.text(key).parse().map_err(|_| self.bad(key, "a number"))
    }

    fn read_size(&self, key: &str) -> Result<usize, ConfigError> {
        value::size(self.text(key)).ok_or_else(|| self.bad(key, "a size such as 512k, 64m or 1g"))
    }

    fn read_duration(&self, key: &str) -> Result<Duration, ConfigError> {
        value::duration(self.text(key)).ok_or_else(|| self.bad(key, "a time such as 500ms, 60s or 5m"))
    }

    fn read_address(&self, key: &str) -> Result<SocketAddr, ConfigError> {
        value::address(self.text(key)).ok_or_else(|| self.bad(key, "host:port"))
    }

    /// Returns the error of a value that cannot be used.
    pub fn bad(&self, key: &str, expected: &str) -> ConfigError {
        let place = match self.source(key) {
            Source::Default => "default".to_owned(),
            Source::File(line) => format!("server.conf line {line}"),
            Source::Environment => format!("environment variable {}", keys::env_name(key)),
            Source::Secret(path) => path,
        };
        let secret = keys::find(key).is_some_and(|key| key.secret);
        let shown = if secret { "unfit".to_owned() } else { format!("{:?}", self.text(key)) };
        ConfigError(format!("{place}: {key} is {shown}; expected {expected}"))
    }

    /// Returns every key with its value, sorted by name.
    pub fn parameters(&self) -> Vec<Parameter> {
        let shown = |key: &Key| self.set.get(key.name).map_or(key.default, |(text, _)| text.trim()).to_owned();
        let row = |key: &Key| Parameter {
            name: key.name,
            env_name: keys::env_name(key.name),
            value: if key.secret { "****".to_owned() } else { shown(key) },
            source: match self.source(key.name) {
                Source::Default => "default",
                Source::File(_) => "conf",
                Source::Environment => "env",
                Source::Secret(_) => "file",
            },
            secret: key.secret,
            reloadable: key.reloadable,
        };
        keys::ALL.iter().map(row).collect()
    }

    /// Returns the keys that were asked for so far.
    #[cfg(test)]
    pub fn asked(&self) -> BTreeSet<&'static str> {
        self.asked.borrow().clone()
    }
}

/// Returns the secret of that name: only secrets may stand in files of their own.
fn secret(name: &str) -> Option<&'static Key> {
    keys::find(name).filter(|key| key.secret)
}
