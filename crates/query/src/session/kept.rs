//! What is kept of a statement for the next time that somebody says it: [`Kept`].
//!
//! Of every statement that was said twice its syntax tree, and of a query without parameters its optimized logical plan, with
//! the tables taken out: nothing here holds a read view. Each time the plan is put over the statement's own read view,
//! and only if its tables are still those, with the same columns. Where our own operators read one table and nothing but projections
//! are above them, the physical plan is kept too, and nothing is planned: of the same text, or of one that differs from it in
//! literals of its conditions alone ([`Shape`]), or in what its results are called and LIMIT is too ([`Form`]). A plan for which anything else was looked at is made anew each time: the
//! clock, chance, the user, what is in the database beyond the columns of the tables. Rows are never kept.

mod form;
mod plan;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::SqlError;
use crate::parser::ast::Statement;
use crate::parser::{self, Varying};

pub use form::{Form, Forming, Sample};
pub use plan::{KeptPlan, Planned, Ready};
pub use shape::Shape;

/// Most statements that are kept.
const MOST: usize = 256;
/// Longest text that is kept, in bytes.
const LONGEST_BYTES: usize = 4_096;
/// Texts that were said lately are remembered by their hash in so many places.
const LATELY: usize = 1_024;
/// A text of a known shape is planned for itself when it was said so often: until then to bind its literals costs less.
const OFTEN: u32 = 3;
/// So many texts of a form are looked at to learn from them.
const LESSONS: u32 = 16;

/// The statements of all sessions of a server.
pub struct Kept {
    hasher: RandomState,
    texts: Mutex<Texts<Entry>>,
    /// By their texts without literals.
    shapes: Mutex<Texts<Shape>>,
    /// By what is left of their texts without any literals, and without the names that they give.
    forms: Mutex<Texts<Forming>>,
}

struct Texts<T> {
    by_text: HashMap<Box<str>, Said<T>>,
    /// Counts the statements said: the one whose turn is longest ago makes room.
    turn: u64,
    /// Hashes of texts, and how often each was said.
    lately: Box<[(u64, u32); LATELY]>,
}

struct Said<T> {
    entry: Arc<T>,
    turn: u64,
}

/// What is known of a text.
pub enum Known {
    Statement(Arc<Entry>),
    /// The text is new, but for its literals it is not.
    Shape(Arc<Shape>, Varying),
    /// It has the form of others.
    Form(Arc<Forming>, Arc<Entry>),
}

/// One statement.
pub struct Entry {
    pub statement: Statement,
    /// None: nobody would find a plan again.
    plan: Option<Mutex<Option<Arc<KeptPlan>>>>,
    /// Of a query with parameters.
    shape: OnceLock<Option<Shape>>,
}

impl Entry {
    /// Returns a statement of which nothing is kept.
    pub fn once(statement: Statement) -> Entry {
        Entry { statement, plan: None, shape: OnceLock::new() }
    }

    /// Returns the plan that was kept.
    pub fn plan(&self) -> Option<Arc<KeptPlan>> {
        self.plan.as_ref().and_then(|plan| plan.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Keeps a plan if the statement itself is kept, and returns it; `make` returns None for one that may not be.
    pub fn keep(&self, make: impl FnOnce() -> Option<KeptPlan>) -> Option<Arc<KeptPlan>> {
        let place = self.plan.as_ref()?;
        let plan = make().map(Arc::new);
        place.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&plan);
        plan
    }

    /// Returns the shape of the query with parameters.
    pub fn shape(&self) -> Option<&Shape> {
        self.shape.get()?.as_ref()
    }

    /// Keeps the shape of the query with parameters if the statement itself is kept.
    pub fn keep_shape(&self, make: impl FnOnce() -> Option<Shape>) {
        if self.plan.is_some() {
            self.shape.get_or_init(make);
        }
    }
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { hasher: RandomState::new(), texts: Mutex::default(), shapes: Mutex::default(), forms: Mutex::default() }
    }
}

impl Kept {
    /// Returns the statement of a text.
    ///
    /// # Errors
    /// A text that cannot be parsed.
    pub fn statement(&self, sql: &str) -> Result<Arc<Entry>, SqlError> {
        match self.known(sql, false)? {
            Known::Statement(entry) | Known::Form(_, entry) => Ok(entry),
            Known::Shape(..) => Err(SqlError::internal("a shape was found that nobody asked for")),
        }
    }

    /// Returns what is known of a text; a shape only if it is asked for.
    ///
    /// # Errors
    /// A text that cannot be parsed.
    pub fn known(&self, sql: &str, or_shape: bool) -> Result<Known, SqlError> {
        if sql.len() > LONGEST_BYTES {
            return Ok(Known::Statement(Arc::new(Entry::once(parser::parse(sql)?))));
        }
        if let Some(entry) = self.lock().find(sql) {
            return Ok(Known::Statement(entry));
        }
        let hash = self.hasher.hash_one(sql);
        if or_shape && self.lock().times_said(hash) < OFTEN {
            if let Some(varying) = parser::varying(sql)
                && let Some(shape) = shared(&self.shapes).find(&varying.key)
            {
                self.lock().was_said(hash);
                return Ok(Known::Shape(shape, varying));
            }
            if let Some(form) = self.form_of(sql) {
                let entry = Arc::new(Entry::once(parser::parse(sql)?));
                self.lock().was_said(hash);
                return Ok(Known::Form(form, entry));
            }
        }
        let statement = parser::parse(sql)?;
        let again = self.lock().was_said(hash);
        let entry = Arc::new(Entry { plan: again.then(Mutex::default), ..Entry::once(statement) });
        if again {
            self.lock().insert(sql, entry.clone());
        }
        Ok(Known::Statement(entry))
    }

    /// Keeps the shape of a text if texts of that shape come again.
    pub fn keep_shape(&self, sql: &str, make: impl FnOnce(Varying) -> Option<Shape>) {
        let Some(varying) = (sql.len() <= LONGEST_BYTES).then(|| parser::varying(sql)).flatten() else { return };
        let key = varying.key.clone();
        let again = !varying.literals.is_empty()
            && !varying.is_parameterized()
            && shared(&self.shapes).was_said(self.hasher.hash_one(&key));
        if again && let Some(shape) = make(varying) {
            shared(&self.shapes).insert(&key, Arc::new(shape));
        }
    }

    /// Returns what is known of texts of the same form, if it is enough to make a plan of it.
    fn form_of(&self, sql: &str) -> Option<Arc<Forming>> {
        let form = shared(&self.forms).find(&parser::form(sql)?)?;
        matches!(*form, Forming::Known(_)).then_some(form)
    }

    /// Keeps what can be learned from a text that was planned as a whole, if others of its form came before it; `learn` is told what
    /// was learned from those. It is given up where that leads to nothing.
    pub fn keep_form(&self, sql: &str, learn: impl FnOnce(Option<&Forming>) -> Option<Forming>) {
        let Some(form) = (sql.len() <= LONGEST_BYTES).then(|| parser::form(sql)).flatten() else { return };
        let hash = self.hasher.hash_one(&form);
        let before = {
            let mut forms = shared(&self.forms);
            let times = forms.times_said(hash);
            forms.was_said(hash);
            if times == 0 || times > LESSONS {
                return;
            }
            forms.find(&form)
        };
        if let Some(learned) = learn(before.as_deref()) {
            shared(&self.forms).insert(&form, Arc::new(learned));
        }
    }

    /// Returns whether a text is soon planned: it or its shape or form is kept.
    pub fn is_soon_planned(&self, sql: &str) -> bool {
        let has_shape = |varying: Varying| shared(&self.shapes).by_text.contains_key(varying.key.as_str());
        let is_known = || parser::varying(sql).is_some_and(has_shape) || self.form_of(sql).is_some();
        sql.len() <= LONGEST_BYTES && (self.has_plan(sql) || is_known())
    }

    /// Returns whether a plan of that text is kept.
    fn has_plan(&self, sql: &str) -> bool {
        let texts = self.lock();
        texts.by_text.get(sql).is_some_and(|said| said.entry.plan().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Texts<Entry>> {
        shared(&self.texts)
    }
}

fn shared<T>(texts: &Mutex<Texts<T>>) -> MutexGuard<'_, Texts<T>> {
    texts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Default for Texts<T> {
    fn default() -> Texts<T> {
        Texts { by_text: HashMap::new(), turn: 0, lately: Box::new([(0, 0); LATELY]) }
    }
}

impl<T> Texts<T> {
    fn find(&mut self, sql: &str) -> Option<Arc<T>> {
        self.turn += 1;
        let said = self.by_text.get_mut(sql)?;
        said.turn = self.turn;
        Some(said.entry.clone())
    }

    /// Returns whether the text of that hash was said not long ago, and remembers it: texts that differ each time must
    /// not push out those that come again.
    fn was_said(&mut self, hash: u64) -> bool {
        let times = self.times_said(hash);
        self.lately[hash as usize % LATELY] = (hash, times.saturating_add(1));
        times > 0
    }

    fn times_said(&self, hash: u64) -> u32 {
        let (said, times) = self.lately[hash as usize % LATELY];
        if said == hash { times } else { 0 }
    }

    fn insert(&mut self, sql: &str, entry: Arc<T>) {
        if self.by_text.len() >= MOST {
            let oldest = self.by_text.iter().min_by_key(|(_, said)| said.turn).map(|(text, _)| text.clone());
            oldest.and_then(|text| self.by_text.remove(&text));
        }
        self.by_text.insert(sql.into(), Said { entry, turn: self.turn });
    }
}
