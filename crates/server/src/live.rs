//! What may change while a server runs: [`Live`], read anew for each connection and request, and [`Places`] for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use crate::config::{Config, Credentials, PgUser};

/// The settings that a reload takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    pub http_credentials: Option<Credentials>,
    pub http_connections: usize,
    /// Nothing is changed by HTTP.
    pub http_read_only: bool,
    pub pg_users: Vec<PgUser>,
    pub pg_connections: usize,
}

impl Now {
    /// Returns what a configuration says.
    pub fn of(config: &Config) -> Now {
        Now::default().after(config)
    }

    /// Returns what holds after a reload: a listener that the new configuration lacks goes on as it was.
    pub fn after(&self, config: &Config) -> Now {
        let mut now = self.clone();
        if let Some(http) = &config.http {
            now.http_credentials = http.credentials.clone();
            now.http_connections = http.connections;
            now.http_read_only = http.read_only;
        }
        if let Some(pg) = &config.pg {
            now.pg_users = pg.users.clone();
            now.pg_connections = pg.connections;
        }
        now
    }
}

/// The settings in force.
#[derive(Debug, Default)]
pub struct Live(RwLock<Arc<Now>>);

impl Live {
    /// Returns settings that hold until the first reload.
    pub fn new(now: Now) -> Arc<Live> {
        Arc::new(Live(RwLock::new(Arc::new(now))))
    }

    /// Returns the settings in force.
    pub fn get(&self) -> Arc<Now> {
        self.0.read().expect("no holder of this lock panics").clone()
    }

    /// Replaces the settings; connections that are open go on.
    pub fn set(&self, now: Now) {
        *self.0.write().expect("no holder of this lock panics") = Arc::new(now);
    }
}

/// The connections of a listener.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<AtomicUsize>);

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// Takes a place if fewer than `limit` are taken.
    pub fn take(&self, limit: usize) -> Option<Place> {
        let more = |taken: usize| (taken < limit).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then(|| Place(self.0.clone()))
    }

    /// Returns how many places are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_the_limit_may_change() {
        let places = Places::default();
        let first = places.take(1).unwrap();
        assert!(places.take(1).is_none());
        let second = places.take(2).unwrap();
        drop(first);
        assert!(places.take(1).is_none(), "one is still taken");
        drop(second);
        assert_eq!(places.taken(), 0);
        assert!(places.take(1).is_some());
    }
}
