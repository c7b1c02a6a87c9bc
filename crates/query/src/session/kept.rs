//! What is kept of a statement for the next time that somebody says it: [`Kept`].
//!
//! Of every statement that was said twice its syntax tree, and of a query without parameters its optimized logical plan, with
//! the tables taken out: nothing here holds a read view. Each time the plan is put over the statement's own read view,
//! and only if its tables are still those, with the same columns. A plan for which anything else was looked at is made
//! anew each time: the clock, chance, the user, what is in the database beyond the columns of the tables. Rows are
//! never kept.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::SqlError;
use crate::parser;
use crate::parser::ast::Statement;

pub use plan::{KeptPlan, Planned};

/// Most statements that are kept.
const MOST: usize = 256;
/// Longest text that is kept, in bytes.
const LONGEST_BYTES: usize = 4_096;
/// Texts that were said once are remembered by their hash in so many places.
const ONCE: usize = 1_024;

/// The statements of all sessions of a server.
pub struct Kept {
    hasher: RandomState,
    texts: Mutex<Texts>,
}

struct Texts {
    by_text: HashMap<Box<str>, Said>,
    /// Counts the statements said: the one whose turn is longest ago makes room.
    turn: u64,
    once: Box<[u64; ONCE]>,
}

struct Said {
    entry: Arc<Entry>,
    turn: u64,
}

/// One statement.
pub struct Entry {
    pub statement: Statement,
    /// None: nobody would find a plan again.
    plan: Option<Mutex<Option<Arc<KeptPlan>>>>,
}

impl Entry {
    /// Returns the plan that was kept.
    pub fn plan(&self) -> Option<Arc<KeptPlan>> {
        self.plan.as_ref().and_then(|plan| plan.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Keeps a plan if the statement itself is kept; `make` returns None for one that may not be.
    pub fn keep(&self, make: impl FnOnce() -> Option<KeptPlan>) {
        if let Some(place) = &self.plan {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = make().map(Arc::new);
        }
    }
}

impl Default for Kept {
    fn default() -> Kept {
        let texts = Texts { by_text: HashMap::new(), turn: 0, once: Box::new([0; ONCE]) };
        Kept { hasher: RandomState::new(), texts: Mutex::new(texts) }
    }
}

impl Kept {
    /// Returns the statement of a text.
    ///
    /// # Errors
    /// A text that cannot be parsed.
    pub fn statement(&self, sql: &str) -> Result<Arc<Entry>, SqlError> {
        if sql.len() > LONGEST_BYTES {
            return Ok(Arc::new(Entry { statement: parser::parse(sql)?, plan: None }));
        }
        if let Some(entry) = self.lock().find(sql) {
            return Ok(entry);
        }
        let statement = parser::parse(sql)?;
        let again = self.lock().was_said(self.hasher.hash_one(sql));
        let entry = Arc::new(Entry { statement, plan: again.then(Mutex::default) });
        if again {
            self.lock().insert(sql, entry.clone());
        }
        Ok(entry)
    }

    fn lock(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Texts {
    fn find(&mut self, sql: &str) -> Option<Arc<Entry>> {
        self.turn += 1;
        let said = self.by_text.get_mut(sql)?;
        said.turn = self.turn;
        Some(said.entry.clone())
    }

    /// Returns whether the text of that hash was said not long ago, and remembers it: texts that differ each time must
    /// not push out those that come again.
    fn was_said(&mut self, hash: u64) -> bool {
        let place = &mut self.once[hash as usize % ONCE];
        std::mem::replace(place, hash) == hash
    }

    fn insert(&mut self, sql: &str, entry: Arc<Entry>) {
        if self.by_text.len() >= MOST {
            let oldest = self.by_text.iter().min_by_key(|(_, said)| said.turn).map(|(text, _)| text.clone());
            oldest.and_then(|text| self.by_text.remove(&text));
        }
        self.by_text.insert(sql.into(), Said { entry, turn: self.turn });
    }
}
