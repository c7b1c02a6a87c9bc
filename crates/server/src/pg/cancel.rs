//! Which connection a cancel request means: [`Registry`].
//!
//! A request stops the statement that runs when it arrives; a connection that is idle then takes no notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use storage::env::Rng;
use tokio::sync::Notify;

/// The secret by which a client names its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CancelKey {
    pub pid: i32,
    pub secret: i32,
}

/// All connections that can be asked to stop their statement.
#[derive(Default)]
pub struct Registry {
    connections: Mutex<HashMap<CancelKey, Arc<Notify>>>,
}

impl Registry {
    /// Returns a place for a new connection; dropping it removes the connection.
    pub fn register(self: &Arc<Self>, rng: &dyn Rng) -> Registration {
        let mut connections = self.connections.lock().expect("no holder of this lock panics");
        loop {
            let bits = rng.next_u64();
            // Clients show the process number to people: keep it positive.
            let key = CancelKey { pid: ((bits >> 33) as i32).max(1), secret: bits as i32 };
            if connections.keys().all(|other| other.pid != key.pid) {
                let requested = Arc::new(Notify::new());
                connections.insert(key, requested.clone());
                return Registration { registry: self.clone(), key, requested };
            }
        }
    }

    /// Stops the statement that the connection of that key runs, if there is one.
    pub fn cancel(&self, pid: i32, secret: &[u8]) {
        let Ok(secret) = secret.try_into().map(i32::from_be_bytes) else { return };
        let connections = self.connections.lock().expect("no holder of this lock panics");
        if let Some(requested) = connections.get(&CancelKey { pid, secret }) {
            requested.notify_waiters();
        }
    }
}

/// A connection's entry in the [`Registry`].
pub struct Registration {
    registry: Arc<Registry>,
    key: CancelKey,
    requested: Arc<Notify>,
}

impl Registration {
    pub fn key(&self) -> CancelKey {
        self.key
    }

    /// Returns when a cancel request arrives; those that came before the first poll do not count.
    pub async fn requested(&self) {
        self.requested.notified().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.connections.lock().expect("no holder of this lock panics").remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use storage::env::rng::SeededRng;

    use super::*;

    #[tokio::test]
    async fn only_the_right_secret_stops_a_waiting_connection() {
        let registry = Arc::new(Registry::default());
        let rng = SeededRng::new(1);
        let (one, other) = (registry.register(&rng), registry.register(&rng));
        let CancelKey { pid, secret } = one.key();
        let mut waits = std::pin::pin!(one.requested());
        let mut other_waits = std::pin::pin!(other.requested());
        assert!(futures::poll!(&mut waits).is_pending() && futures::poll!(&mut other_waits).is_pending());
        registry.cancel(pid, &(secret ^ 1).to_be_bytes());
        registry.cancel(pid, b"long secret");
        assert!(futures::poll!(&mut waits).is_pending());
        registry.cancel(pid, &secret.to_be_bytes());
        assert!(futures::poll!(&mut waits).is_ready() && futures::poll!(&mut other_waits).is_pending());
    }

    #[test]
    fn a_closed_connection_is_forgotten() {
        let registry = Arc::new(Registry::default());
        drop(registry.register(&SeededRng::new(1)));
        assert!(registry.connections.lock().unwrap().is_empty());
    }
}
