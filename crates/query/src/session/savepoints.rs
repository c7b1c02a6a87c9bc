//! Savepoints of a transaction: places in the list of rows that wait for COMMIT.

use super::Session;

/// A savepoint's name, and how many lots of rows waited when it was set.
pub(super) type Savepoint = (String, usize);

impl Session {
    /// Remembers how far the transaction has come; false outside one.
    pub fn set_savepoint(&mut self, name: &str) -> bool {
        let Some(waiting) = &self.transaction else { return false };
        self.savepoints.push((name.to_owned(), waiting.len()));
        true
    }

    /// Forgets a savepoint and those set after it; false when there is none of that name.
    pub fn release_savepoint(&mut self, name: &str) -> bool {
        let found = self.savepoints.iter().rposition(|(known, _)| known == name);
        found.inspect(|place| self.savepoints.truncate(*place)).is_some()
    }

    /// Drops the rows that came after a savepoint, which stays; false when there is none of that name.
    pub fn back_to_savepoint(&mut self, name: &str) -> bool {
        let Some(place) = self.savepoints.iter().rposition(|(known, _)| known == name) else { return false };
        self.savepoints.truncate(place + 1);
        if let (Some(waiting), Some((_, length))) = (&mut self.transaction, self.savepoints.last()) {
            waiting.truncate(*length);
        }
        true
    }

    /// Returns whether a failed transaction may go back to a savepoint.
    pub fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }
}
