//! Text to code: [`CodeTable`], an open-addressing table of codes. The texts themselves stand in [`Texts`] only.

use types::text_hash::TextHasher;

use super::texts::Texts;

/// Slots hold 0, or the upper half of a text's hash and its code + 1.
pub(super) struct CodeTable {
    slots: Vec<u64>,
    used: usize,
    hasher: TextHasher,
}

const MIN_SLOTS: usize = 16;

impl CodeTable {
    /// Returns the table of all texts.
    pub fn of(texts: &Texts) -> CodeTable {
        let slots = (texts.len() * 2).next_power_of_two().max(MIN_SLOTS);
        let mut table = CodeTable { slots: vec![0; slots], used: 0, hasher: TextHasher::default() };
        for code in 0..texts.len() {
            table.insert(code as i32, texts);
        }
        table
    }

    /// Returns the code of a text, if it has one.
    pub fn find(&self, text: &[u8], texts: &Texts) -> Option<i32> {
        let hash = self.hash(text);
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let code = (slot as u32 - 1) as usize;
            if (slot >> 32) as u32 == hash && texts.get(code) == text {
                return Some(code as i32);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds the code of a text that is not in the table.
    pub fn insert(&mut self, code: i32, texts: &Texts) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let wider = vec![0; self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, wider) {
                if slot != 0 {
                    self.place(slot);
                }
            }
        }
        let hash = self.hash(texts.get(code as usize));
        self.place(u64::from(hash) << 32 | (code as u64 + 1));
        self.used += 1;
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.start((slot >> 32) as u32);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn hash(&self, text: &[u8]) -> u32 {
        self.hasher.hash(text) as u32
    }

    fn start(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}
