//! Numbers of groups by their key: [`Table`], an open-addressing table, and [`Window`], an array for whole numbers that lie
//! close together.
//!
//! Both are emptied in a moment: the table by a new epoch, the window by its keys.

use std::mem::size_of;

/// What a table can look up.
pub trait Key: Copy + Eq + Default {
    /// Returns bits that differ in the upper ones where keys differ anywhere.
    fn hash(self) -> u64;
}

/// An odd number without pattern, for hashing by multiplication.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

fn scattered(word: u64) -> u64 {
    let wide = u128::from(word ^ 0x2545_f491_4f6c_dd1d).wrapping_mul(u128::from(SCATTER));
    (wide >> 64) as u64 ^ wide as u64
}

impl Key for i64 {
    fn hash(self) -> u64 {
        scattered(self as u64)
    }
}

impl Key for u128 {
    fn hash(self) -> u64 {
        scattered(self as u64 ^ scattered((self >> 64) as u64).rotate_left(17))
    }
}

#[derive(Clone, Copy, Default)]
struct Entry<K> {
    key: K,
    group: u32,
    /// The epoch that wrote the entry; of any other it is empty.
    epoch: u32,
}

/// Groups by key.
pub struct Table<K> {
    entries: Vec<Entry<K>>,
    epoch: u32,
    used: usize,
    /// 64 less the bits that tell entries apart.
    shift: u32,
}

const LEAST_BITS: u32 = 8;

impl<K: Key> Table<K> {
    /// Returns an empty table.
    pub fn new() -> Table<K> {
        Table { entries: vec![Entry::default(); 1 << LEAST_BITS], epoch: 1, used: 0, shift: 64 - LEAST_BITS }
    }

    /// Returns the group of a key; a new key gets `next`.
    #[inline]
    pub fn find_or_add(&mut self, key: K, next: u32) -> u32 {
        let mask = self.entries.len() - 1;
        let mut at = (key.hash() >> self.shift) as usize;
        loop {
            let entry = &mut self.entries[at & mask];
            if entry.epoch != self.epoch {
                *entry = Entry { key, group: next, epoch: self.epoch };
                self.used += 1;
                if self.used * 2 > self.entries.len() {
                    self.double();
                }
                return next;
            }
            if entry.key == key {
                return entry.group;
            }
            at += 1;
        }
    }

    /// Adds a key; returns whether it is new.
    pub fn add(&mut self, key: K) -> bool {
        let before = self.used;
        self.find_or_add(key, 0);
        self.used > before
    }

    fn double(&mut self) {
        let larger = vec![Entry::default(); self.entries.len() * 2];
        let old = std::mem::replace(&mut self.entries, larger);
        self.shift -= 1;
        let mask = self.entries.len() - 1;
        for entry in old.into_iter().filter(|entry| entry.epoch == self.epoch) {
            let mut at = (entry.key.hash() >> self.shift) as usize;
            while self.entries[at & mask].epoch == self.epoch {
                at += 1;
            }
            self.entries[at & mask] = entry;
        }
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.used = 0;
        match self.epoch.checked_add(1) {
            Some(epoch) => self.epoch = epoch,
            None => {
                self.entries.fill(Entry::default());
                self.epoch = 1;
            }
        }
    }

    /// Returns the keys with their groups.
    pub fn iter(&self) -> impl Iterator<Item = (K, u32)> + '_ {
        self.entries.iter().filter(|entry| entry.epoch == self.epoch).map(|entry| (entry.key, entry.group))
    }

    pub fn size(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<K>>()
    }
}

/// A window may be so long whatever the number of keys.
const SMALL_WINDOW: usize = 1 << 16;
/// No window is longer.
const LARGEST_WINDOW: usize = 1 << 22;
/// A longer one must have one row for so many places.
const PLACES_A_ROW: usize = 16;

/// Groups by whole numbers between two that are not far apart.
pub struct Window {
    low: i64,
    /// One more than the group; 0 is none.
    groups: Vec<u32>,
    rows: usize,
    /// Rows that will come, about.
    expected_rows: usize,
}

impl Window {
    /// Returns a window that holds nothing yet, for about so many rows: they come in parts, and the first tell little of how many.
    pub fn new(expected_rows: usize) -> Window {
        Window { low: 0, groups: Vec::new(), rows: 0, expected_rows }
    }

    /// Makes room for values; false when they lie too far apart, and then nothing has changed.
    pub fn cover(&mut self, values: &[i64]) -> bool {
        let Some(first) = values.first() else { return true };
        let (mut low, mut high) = (*first, *first);
        for value in values {
            low = low.min(*value);
            high = high.max(*value);
        }
        self.rows = self.rows.saturating_add(values.len());
        if self.groups.is_empty() {
            self.low = low;
        }
        let (old_low, old_length) = (i128::from(self.low), self.groups.len() as i128);
        let new_low = i128::from(low).min(old_low);
        let new_end = (i128::from(high) + 1).max(old_low + old_length);
        let length = new_end - new_low;
        if length == old_length {
            return true;
        }
        let rows = self.rows.max(self.expected_rows);
        let most = LARGEST_WINDOW.min(SMALL_WINDOW.max(rows.saturating_mul(PLACES_A_ROW))) as i128;
        if length > most {
            return false;
        }
        // with room on the side where it grows, as part after part may reach a little further
        let room = (old_length / 8).min((most - length) / 2);
        let new_low = if new_low < old_low { (new_low - room).max(i128::from(i64::MIN)) } else { new_low };
        let new_end = if new_end > old_low + old_length { new_end + room } else { new_end };
        let mut groups = vec![0; (new_end - new_low) as usize];
        let offset = (old_low - new_low) as usize;
        groups[offset..offset + self.groups.len()].copy_from_slice(&self.groups);
        (self.low, self.groups) = (new_low as i64, groups);
        true
    }

    /// Returns the group of a value that is covered; a new one gets the one that `next` gives.
    #[inline]
    pub fn find_or_add(&mut self, value: i64, next: impl FnOnce() -> u32) -> u32 {
        let place = &mut self.groups[value.wrapping_sub(self.low) as usize];
        if *place == 0 {
            *place = next() + 1;
        }
        *place - 1
    }

    /// Returns whether this is the group of a value.
    pub fn holds(&self, value: i64, group: u32) -> bool {
        let place = usize::try_from(i128::from(value) - i128::from(self.low)).ok();
        place.and_then(|place| self.groups.get(place)) == Some(&(group + 1))
    }

    /// Names the group of a value that is covered.
    pub fn set(&mut self, value: i64, group: u32) {
        self.groups[value.wrapping_sub(self.low) as usize] = group + 1;
    }

    /// Forgets a value that is covered.
    pub fn forget(&mut self, value: i64) {
        self.groups[value.wrapping_sub(self.low) as usize] = 0;
    }

    pub fn size(&self) -> usize {
        self.groups.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_what_was_first_named() {
        let mut table = Table::new();
        for round in 0..3 {
            for key in 0..5_000i64 {
                let key = key * 1_000_003 - 7;
                let expected = if round == 0 { table.used as u32 } else { table.find_or_add(key, u32::MAX) };
                assert_eq!(table.find_or_add(key, expected), expected);
            }
        }
        assert_eq!(table.iter().count(), 5_000);
        table.clear();
        assert_eq!(table.iter().count(), 0);
        assert_eq!(table.find_or_add(-7, 9), 9);
    }

    #[test]
    fn a_window_is_as_long_as_all_rows_that_will_come_are_worth_and_not_the_first_alone() {
        let parts = [[0, 900_000], [-7, 950_000], [-20, 999_999]];
        assert!(!Window::new(0).cover(&parts[0]));
        let mut window = Window::new(100_000);
        for (number, part) in parts.iter().enumerate() {
            assert!(window.cover(part));
            assert_eq!(window.find_or_add(part[0], || number as u32), number as u32);
        }
        assert_eq!(parts.map(|part| window.find_or_add(part[0], || 9)), [0, 1, 2]);
        assert!(!window.cover(&[LARGEST_WINDOW as i64]));
    }

    #[test]
    fn a_window_grows_both_ways_and_refuses_far_values() {
        let mut window = Window::new(0);
        assert!(window.cover(&[100, 101]));
        assert_eq!(window.find_or_add(100, || 0), 0);
        assert!(window.cover(&[-5, 300]));
        assert_eq!(window.find_or_add(-5, || 1), 1);
        assert_eq!(window.find_or_add(300, || 2), 2);
        assert_eq!(window.find_or_add(100, || 3), 0);
        for far in [i64::MIN, i64::MAX, 10_000_000] {
            assert!(!window.cover(&[far]));
        }
        assert_eq!(window.find_or_add(-5, || 4), 1);
        let mut all = Window::new(0);
        assert!(!all.cover(&[i64::MIN, i64::MAX]));
        assert!(all.cover(&[i64::MAX]) && all.cover(&[i64::MAX - 1]));
        assert_eq!(all.find_or_add(i64::MAX, || 0), 0);
        assert!(all.cover(&[i64::MAX - 3]), "there is no room above");
        assert_eq!(all.find_or_add(i64::MAX, || 9), 0);
    }
}
