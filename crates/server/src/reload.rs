//! What changed in server.conf is taken over while the server runs: [`Reloader`].
//!
//! Asked by `reload_config()` and by SIGHUP. A file that cannot be used changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use storage::Env;

use crate::config::{Config, Parameter};
use crate::live::Live;
use crate::server::shown;
use crate::start;

/// Takes over new values of the keys that can be reloaded.
pub struct Reloader {
    root: PathBuf,
    env: Env,
    live: Arc<Live>,
    shown: query::Parameters,
    in_force: Mutex<Vec<Parameter>>,
    enabled: bool,
}

impl Reloader {
    /// Returns the reloader of a server that runs with this configuration.
    pub fn new(config: &Config, env: Env, live: Arc<Live>, shown: query::Parameters) -> Reloader {
        Reloader {
            root: config.root.clone(),
            env,
            live,
            shown,
            in_force: Mutex::new(config.parameters.clone()),
            enabled: config.reload,
        }
    }

    /// Reads the configuration again and returns whether anything changed. Says in the log what did, and what waits for
    /// a restart.
    pub fn reload(&self) -> bool {
        if !self.enabled {
            tracing::warn!("configuration not reloaded: config.reload.enabled=false");
            return false;
        }
        let mut in_force = self.in_force.lock().expect("no holder of this lock panics");
        let config = match start::load_config(&self.root, self.env.fs.as_ref()) {
            Ok(config) => config,
            Err(why) => {
                tracing::error!("configuration not reloaded, the old one stays in force: {why}");
                return false;
            }
        };
        // secrets look alike where they are shown: only the settings themselves tell that one changed
        let now = self.live.get().after(&config);
        let mut changed = *self.live.get() != now;
        for (old, new) in in_force.iter_mut().zip(config.parameters.clone()) {
            let differs = (&old.value, old.source) != (&new.value, new.source);
            if differs && !new.reloadable {
                tracing::warn!("{} was changed to {}: restart the server for it", new.name, new.value);
            } else if differs {
                tracing::info!(
                    "reloaded config option [update, key={}, old={}, new={}]",
                    new.name,
                    old.value,
                    new.value
                );
                *old = new;
                changed = true;
            }
        }
        for line in config.warnings.iter().chain(&config.without_effect) {
            tracing::warn!("{line}");
        }
        if changed {
            self.live.set(now);
            self.shown.set(in_force.iter().map(shown).collect());
        }
        changed
    }
}
