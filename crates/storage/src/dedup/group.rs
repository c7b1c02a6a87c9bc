//! The rows of one moment: [`Group`], old ones in their order and those of one commit after the other.

use std::collections::HashMap;

/// A row of one of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowAt {
    pub source: usize,
    pub row: usize,
}

struct Entry {
    at: RowAt,
    key: Vec<u8>,
}

/// Rows of equal time.
#[derive(Default)]
pub(super) struct Group {
    entries: Vec<Entry>,
    /// How many entries there were before the new rows.
    old: usize,
    originals: Vec<RowAt>,
    by_key: HashMap<Vec<u8>, Vec<usize>>,
}

/// What becomes of the rows of one moment.
pub(super) struct Outcome {
    /// Old rows that are dead where they stand.
    pub killed: Vec<RowAt>,
    /// Rows that stand in the overlay, in their order.
    pub overlay: Vec<RowAt>,
}

impl Group {
    /// Takes the live rows that are there, in their order.
    pub fn of_old(rows: Vec<RowAt>) -> Group {
        let entries = rows.iter().map(|&at| Entry { at, key: Vec::new() }).collect();
        Group { entries, old: rows.len(), originals: rows, by_key: HashMap::new() }
    }

    /// Gives every row that is there its key under the rule of the commits that follow.
    ///
    /// # Errors
    /// Those of `key`.
    pub fn key_by<E>(&mut self, key: impl Fn(RowAt) -> Result<Vec<u8>, E>) -> Result<(), E> {
        self.by_key.clear();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            entry.key = key(entry.at)?;
            self.by_key.entry(entry.key.clone()).or_default().push(at);
        }
        Ok(())
    }

    /// Takes rows that replace nothing.
    pub fn append_all(&mut self, rows: impl Iterator<Item = RowAt>) {
        self.entries.extend(rows.map(|at| Entry { at, key: Vec::new() }));
    }

    /// Takes the rows of a commit with their keys: of equal keys the last one counts, what has its key is replaced.
    pub fn upsert(&mut self, rows: impl Iterator<Item = (Vec<u8>, RowAt)>) {
        let mut last: HashMap<Vec<u8>, RowAt> = HashMap::new();
        for (key, at) in rows {
            last.insert(key, at);
        }
        let mut rows: Vec<(Vec<u8>, RowAt)> = last.into_iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, at) in rows {
            match self.by_key.get(&key) {
                Some(places) => places.iter().for_each(|&place| self.entries[place].at = at),
                None => {
                    self.by_key.insert(key.clone(), vec![self.entries.len()]);
                    self.entries.push(Entry { at, key });
                }
            }
        }
    }

    /// Returns what became of the rows: from the first replaced one on, all stand in the overlay.
    pub fn finish(self) -> Outcome {
        let changed = |&at: &usize| self.entries[at].at != self.originals[at];
        let first = (0..self.old).find(changed).unwrap_or(self.old);
        Outcome {
            killed: self.originals[first..].to_vec(),
            overlay: self.entries[first..].iter().map(|entry| entry.at).collect(),
        }
    }
}
