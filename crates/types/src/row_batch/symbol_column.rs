//! Symbols of a batch: [`SymbolColumn`].

use super::StrColumn;
use crate::text_hash::TextHasher;

/// Symbol values as codes into the batch's own small dictionary; the log replaces them by the column's codes.
#[derive(Debug, Clone, Default)]
pub struct SymbolColumn {
    /// Position in the batch's dictionary, or [`SymbolColumn::NULL`].
    pub codes: Vec<i32>,
    texts: StrColumn,
    lookup: Option<Lookup>,
}

/// An open-addressing table of codes. Slots hold 0, or the upper half of a text's hash and its code + 1.
#[derive(Debug, Clone)]
struct Lookup {
    slots: Vec<u64>,
    hasher: TextHasher,
}

const MIN_SLOTS: usize = 64;

impl PartialEq for SymbolColumn {
    fn eq(&self, other: &SymbolColumn) -> bool {
        self.codes == other.codes && self.texts == other.texts
    }
}

impl SymbolColumn {
    /// The code of NULL.
    pub const NULL: i32 = -1;

    /// Returns a column of codes into a dictionary that lies elsewhere.
    pub fn of_codes(codes: Vec<i32>) -> SymbolColumn {
        SymbolColumn { codes, ..SymbolColumn::default() }
    }

    /// Returns the column with the codes `of` that its values have in a dictionary elsewhere.
    ///
    /// # Panics
    /// When there are fewer than the batch's dictionary has values.
    pub fn with_codes(mut self, of: &[i32]) -> SymbolColumn {
        for code in self.codes.iter_mut().filter(|code| **code != Self::NULL) {
            *code = of[*code as usize];
        }
        SymbolColumn::of_codes(self.codes)
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<&str>) {
        let code = match value {
            None => Self::NULL,
            Some(text) => self.intern(text),
        };
        self.codes.push(code);
    }

    /// Returns the code of a value, adding it to the batch's dictionary when it is new.
    pub fn intern(&mut self, text: &str) -> i32 {
        let lookup =
            self.lookup.get_or_insert_with(|| Lookup { slots: vec![0; MIN_SLOTS], hasher: TextHasher::default() });
        let hash = lookup.hasher.hash(text.as_bytes());
        let mask = lookup.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = lookup.slots[at];
            if slot == 0 {
                break;
            }
            let code = slot as u32 - 1;
            if slot >> 32 == hash >> 32 && self.texts.get(code as usize) == Some(text) {
                return code as i32;
            }
            at = (at + 1) & mask;
        }
        let code = self.texts.len();
        self.texts.push(Some(text));
        lookup.slots[at] = slot_of(hash, code);
        if (code + 1) * 2 > lookup.slots.len() {
            lookup.grow(&self.texts);
        }
        code as i32
    }

    /// Returns the value of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        usize::try_from(self.codes[row]).ok().and_then(|code| self.texts.get(code))
    }

    /// Returns the number of values in the batch's dictionary.
    pub fn value_count(&self) -> usize {
        self.texts.len()
    }

    /// Returns the values of the batch's dictionary by code.
    pub fn values(&self) -> impl Iterator<Item = &str> + Clone {
        self.texts.iter().flatten()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.codes.len() * 4 + self.texts.size_bytes()
    }
}

impl Lookup {
    fn grow(&mut self, texts: &StrColumn) {
        let mask = self.slots.len() * 4 - 1;
        self.slots = vec![0; mask + 1];
        for (code, text) in texts.iter().flatten().enumerate() {
            let hash = self.hasher.hash(text.as_bytes());
            let mut at = hash as usize & mask;
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot_of(hash, code);
        }
    }
}

fn slot_of(hash: u64, code: usize) -> u64 {
    hash >> 32 << 32 | (code as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_code() {
        let mut column = SymbolColumn::default();
        let text = |i: usize| format!("S{}", i * i % 1_009);
        (0..5_000).for_each(|i| column.push(Some(&text(i))));
        column.push(None);
        column.push(Some(""));
        assert!((0..5_000).all(|i| column.get(i) == Some(text(i).as_str())));
        assert_eq!((column.get(5_000), column.get(5_001)), (None, Some("")));
        assert_eq!(column.value_count(), column.values().collect::<std::collections::HashSet<_>>().len());
        assert_eq!(column.intern("S0"), 0);
    }
}
