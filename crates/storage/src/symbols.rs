//! The dictionary of one SYMBOL column: [`Dictionary`], code to text and text to code. Page: `docs/format/symbols.md`.
//!
//! It only grows. The log's thread adds texts while queries read; nobody waits for longer than one text takes. [`file`]
//! writes the texts that are not yet on disk and loads them; which files count is said by edits, not here.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow_array::{Array, StringViewArray};
use types::ColumnId;

use crate::{Error, Result};

mod codes;
pub mod file;
mod growing_buffer;
mod texts;

use codes::CodeTable;
pub use file::SymbolFileMeta;
use texts::Texts;

/// Texts of one column id by their codes 0, 1, 2 …
pub struct Dictionary {
    column: ColumnId,
    inner: RwLock<Inner>,
    /// Codes below this are in symbol files.
    persisted: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    texts: Texts,
    /// Made by the first look for a text: most columns of most tables are only read.
    codes: Option<CodeTable>,
    /// The texts as an array, when it was last asked for.
    values: Option<Arc<StringViewArray>>,
    /// Their order, when it was last asked for.
    ranks: Option<Arc<[u32]>>,
}

impl Dictionary {
    /// Returns an empty dictionary.
    pub fn new(column: ColumnId) -> Dictionary {
        Dictionary { column, inner: RwLock::default(), persisted: AtomicUsize::new(0) }
    }

    /// Returns the column that the dictionary belongs to.
    pub fn column(&self) -> ColumnId {
        self.column
    }

    /// Returns the number of texts; codes are below it.
    pub fn len(&self) -> usize {
        self.read().texts.len()
    }

    /// Returns whether there is no text yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the code of a text, if it has one.
    pub fn code_of(&self, text: &str) -> Option<i32> {
        let inner = self.read();
        if let Some(codes) = &inner.codes {
            return codes.find(text.as_bytes(), &inner.texts);
        }
        drop(inner);
        let mut inner = self.write();
        let (texts, codes) = inner.with_codes();
        codes.find(text.as_bytes(), texts)
    }

    /// Returns the codes of texts, if all of them have one.
    pub fn codes_of<'a>(&self, of: impl Iterator<Item = &'a str> + Clone) -> Option<Vec<i32>> {
        let inner = self.read();
        if let Some(codes) = &inner.codes {
            return of.map(|text| codes.find(text.as_bytes(), &inner.texts)).collect();
        }
        drop(inner);
        let mut inner = self.write();
        let (texts, codes) = inner.with_codes();
        of.map(|text| codes.find(text.as_bytes(), texts)).collect()
    }

    /// Returns the code of a text and whether it is new; a new text gets the next code.
    ///
    /// # Errors
    /// `Invalid` when the dictionary is full (2^31 - 1 texts).
    pub fn intern(&self, text: &str) -> Result<(i32, bool)> {
        let mut inner = self.write();
        let before = inner.texts.len();
        let code = self.intern_one(&mut inner, text)?;
        Ok((code, inner.texts.len() > before))
    }

    fn intern_one(&self, inner: &mut Inner, text: &str) -> Result<i32> {
        let (texts, codes) = inner.with_codes();
        if let Some(code) = codes.find(text.as_bytes(), texts) {
            return Ok(code);
        }
        let code = self.next_code(texts)?;
        texts.push(text);
        codes.insert(code, texts);
        Ok(code)
    }

    /// Returns the codes of texts; new texts get the next codes.
    ///
    /// # Errors
    /// As [`Dictionary::intern`].
    pub fn intern_all<'a>(&self, of: impl Iterator<Item = &'a str>) -> Result<Vec<i32>> {
        let mut inner = self.write();
        of.map(|text| self.intern_one(&mut inner, text)).collect()
    }

    /// Adds texts that are known to have the codes from `first_code` on, as frames of the log list them. Those that are already there
    /// stay.
    ///
    /// # Errors
    /// `Invalid` when codes would be left out or a code already has another text.
    pub fn append_at<'a>(&self, first_code: usize, texts: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut inner = self.write();
        for (i, text) in texts.into_iter().enumerate() {
            let code = first_code + i;
            if code > inner.texts.len() {
                let have = inner.texts.len();
                return Err(Error::Invalid(format!("symbols {have}..{code} of column {} are missing", self.column)));
            }
            if code < inner.texts.len() {
                if inner.texts.get(code) != text.as_bytes() {
                    return Err(Error::Invalid(format!("symbol {code} of column {} has two texts", self.column)));
                }
                continue;
            }
            let code = self.next_code(&inner.texts)?;
            inner.texts.push(text);
            let Inner { texts, codes, .. } = &mut *inner;
            if let Some(codes) = codes {
                codes.insert(code, texts);
            }
        }
        Ok(())
    }

    /// Returns all texts by code. Codes of rows that the caller already sees are within it. Costs the same however long it is.
    pub fn values(&self) -> Arc<StringViewArray> {
        if let Some(values) = self.read().current_values() {
            return values.clone();
        }
        let mut inner = self.write();
        if inner.current_values().is_none() {
            inner.values = Some(Arc::new(inner.texts.to_array()));
        }
        inner.values.clone().expect("the array was just made")
    }

    /// Returns the place of each text among the sorted ones, by code. Codes of rows that the caller already sees are within it. Sorts
    /// when it is first asked for and after a text has come.
    pub fn ranks(&self) -> Arc<[u32]> {
        let values = self.values();
        if let Some(ranks) = self.read().ranks.as_ref().filter(|ranks| ranks.len() >= values.len()) {
            return ranks.clone();
        }
        // without the lock: texts come meanwhile
        let mut codes: Vec<u32> = (0..values.len() as u32).collect();
        codes.sort_unstable_by_key(|code| values.value(*code as usize));
        let mut ranks = vec![0; codes.len()];
        codes.into_iter().zip(0..).for_each(|(code, rank)| ranks[code as usize] = rank);
        let ranks: Arc<[u32]> = ranks.into();
        let mut inner = self.write();
        if inner.ranks.as_ref().is_none_or(|newest| newest.len() < ranks.len()) {
            inner.ranks = Some(ranks.clone());
        }
        ranks
    }

    /// Returns the text of a code.
    pub fn text(&self, code: i32) -> Option<String> {
        let inner = self.read();
        let code = usize::try_from(code).ok().filter(|&c| c < inner.texts.len())?;
        Some(inner.texts.text(code))
    }

    /// Returns the texts of a range of codes.
    ///
    /// # Panics
    /// When the range is beyond the codes.
    pub fn texts(&self, codes: Range<usize>) -> Vec<String> {
        let inner = self.read();
        codes.map(|code| inner.texts.text(code)).collect()
    }

    /// Returns how many codes are in symbol files that an edit names.
    pub fn persisted(&self) -> usize {
        self.persisted.load(Ordering::Acquire)
    }

    /// Notes that an edit named files with all codes below `count`.
    pub fn set_persisted(&self, count: usize) {
        self.persisted.fetch_max(count, Ordering::AcqRel);
    }

    fn next_code(&self, texts: &Texts) -> Result<i32> {
        let full = || Error::Invalid(format!("the dictionary of column {} is full", self.column));
        i32::try_from(texts.len()).ok().filter(|&code| code < i32::MAX).ok_or_else(full)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().expect("no holder of this lock panics")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().expect("no holder of this lock panics")
    }
}

impl Inner {
    fn current_values(&self) -> Option<&Arc<StringViewArray>> {
        self.values.as_ref().filter(|values| values.len() == self.texts.len())
    }

    fn with_codes(&mut self) -> (&mut Texts, &mut CodeTable) {
        let codes = self.codes.get_or_insert_with(|| CodeTable::of(&self.texts));
        (&mut self.texts, codes)
    }
}

#[cfg(test)]
mod tests;
