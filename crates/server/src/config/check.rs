//! What is refused and what is only said: the rules over all keys, and [`check`] for `--check-config`.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, Properties, ReadSecret};

/// What was found in a configuration without starting a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// A start is refused for these.
    pub refusals: Vec<String>,
    /// Keys that nobody knows.
    pub warnings: Vec<String>,
    /// Nothing is wrong with these.
    pub advice: Vec<String>,
}

/// Looks through a configuration as a start does, and goes on where a start would end.
pub fn check(
    root: PathBuf,
    server_conf: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    read_secret: ReadSecret,
) -> Findings {
    let properties = match Properties::load(server_conf, environment, read_secret) {
        Ok(properties) => properties,
        Err(error) => return Findings { refusals: vec![error.0], ..Findings::default() },
    };
    let warnings = properties.unknown().to_vec();
    let advice = properties.without_effect().into_iter().collect();
    let refusals = Config::from_properties(root, &properties).err().map(|error| error.0).into_iter().collect();
    Findings { refusals, warnings, advice }
}

/// Refuses values that are not what their keys take, all at once, and under `config.validation.strict` unknown keys.
pub(super) fn refuse_unfit(properties: &Properties) -> Result<(), ConfigError> {
    let mut lines = properties.unfit();
    if lines.is_empty() && !properties.unknown().is_empty() && properties.bool("config.validation.strict")? {
        lines = properties.unknown().to_vec();
        lines.push("mend or remove these keys, or set config.validation.strict=false".to_owned());
    }
    if lines.is_empty() { Ok(()) } else { Err(ConfigError(lines.join("\n"))) }
}

/// A database that was configured to lie elsewhere must not begin anew in another place.
pub(super) fn refuse_other_place(root: &Path, properties: &Properties) -> Result<(), ConfigError> {
    let text = properties.text("cairo.root");
    if text == "db" || Path::new(text) == root.join("db") {
        return Ok(());
    }
    let own = "db, the folder below the root: choose the root itself with -d ROOT or QDB_ROOT";
    Err(properties.bad("cairo.root", own))
}

/// Whoever can reach the port must not get in with a password that stands in every manual.
pub(super) fn refuse_known_credentials_off_loopback(
    config: &Config,
    properties: &Properties,
) -> Result<(), ConfigError> {
    let own = |key: &str| properties.is_set(key) && !matches!(properties.text(key), "" | "quest");
    let mut open = Vec::new();
    if let Some(http) = &config.http
        && !http.bind.ip().is_loopback()
        && http.credentials.is_none()
    {
        let keys = "set http.user and http.password (QDB_HTTP_USER, QDB_HTTP_PASSWORD)";
        open.push(format!("HTTP on {}: {keys}", http.bind));
    }
    if let Some(pg) = &config.pg
        && !pg.bind.ip().is_loopback()
    {
        if !own("pg.password") {
            let keys = "set pg.user and pg.password (QDB_PG_USER, QDB_PG_PASSWORD)";
            open.push(format!("PostgreSQL on {}: {keys}", pg.bind));
        }
        if pg.users.len() > 1 && !own("pg.readonly.password") {
            let keys = "set pg.readonly.password (QDB_PG_READONLY_PASSWORD)";
            open.push(format!("PostgreSQL on {}, read-only user: {keys}", pg.bind));
        }
    }
    if let Some(ilp) = &config.ilp_tcp
        && !ilp.bind.ip().is_loopback()
        && ilp.auth_file.is_none()
    {
        open.push(format!("line protocol over TCP on {}: set line.tcp.auth.db.path", ilp.bind));
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(ConfigError(format!(
        "others can reach this server, so it does not start without credentials of your own:\n  {}\n\
         set them in {}/conf/server.conf or in the environment, or listen on 127.0.0.1 only",
        open.join("\n  "),
        config.root.display()
    )))
}
