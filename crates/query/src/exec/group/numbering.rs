//! Which group a row belongs to: [`Numbering`] gives each new key the next number, in the order in which keys appear.
//!
//! A key is the part of a group's key that is no bucket of time. At any moment the keys of one bucket are at hand; which
//! groups belong to a bucket is for the caller to keep ([`super::worker`]). Next: [`super::table`].

use std::mem::size_of;
use std::ops::Range;

use arrow::buffer::{NullBuffer, ScalarBuffer};

use super::table::{Table, Window};

/// The keys of the rows of a block.
pub enum Keys {
    /// There is none: a bucket is one group.
    None,
    /// Numbers below the layout's size.
    Slots(ScalarBuffer<u32>),
    Whole(ScalarBuffer<i64>, Option<NullBuffer>),
    Packed(Vec<u128>),
}

/// Groups of one worker by their keys.
pub enum Numbering {
    None,
    /// By an array; one more than the group, 0 is none.
    Slots {
        groups: Vec<u32>,
        keys: Vec<u32>,
    },
    Whole(Box<Whole>),
    Packed {
        groups: Table<u128>,
        keys: Vec<u128>,
    },
}

/// Groups by one whole number.
pub struct Whole {
    /// None: numbers lie too far apart.
    window: Option<Window>,
    table: Table<i64>,
    keys: Vec<i64>,
    /// The groups whose key is NULL, rising.
    nulls: Vec<u32>,
    null_at_hand: Option<u32>,
}

impl Numbering {
    pub fn none() -> Numbering {
        Numbering::None
    }

    /// Returns a numbering of slots below `size`.
    pub fn slots(size: usize) -> Numbering {
        Numbering::Slots { groups: vec![0; size], keys: Vec::new() }
    }

    /// Returns a numbering of whole numbers, for about so many rows.
    pub fn whole(expected_rows: usize) -> Numbering {
        Numbering::Whole(Box::new(Whole {
            window: Some(Window::new(expected_rows)),
            table: Table::new(),
            keys: Vec::new(),
            nulls: Vec::new(),
            null_at_hand: None,
        }))
    }

    pub fn packed() -> Numbering {
        Numbering::Packed { groups: Table::new(), keys: Vec::new() }
    }

    /// Appends the group of each of the rows to `numbers`. There were `count` groups before; returns how many there are now.
    pub fn number(&mut self, keys: &Keys, rows: Range<usize>, count: u32, numbers: &mut Vec<u32>) -> u32 {
        match (self, keys) {
            (Numbering::Slots { groups, keys }, Keys::Slots(slots)) => {
                let mut count = count;
                numbers.extend(slots[rows].iter().map(|slot| {
                    let place = &mut groups[*slot as usize];
                    if *place == 0 {
                        count += 1;
                        *place = count;
                        keys.push(*slot);
                    }
                    *place - 1
                }));
                count
            }
            (Numbering::Whole(whole), Keys::Whole(values, nulls)) => whole.number(
                &values[rows.clone()],
                nulls.as_ref().map(|n| n.slice(rows.start, rows.len())),
                count,
                numbers,
            ),
            (Numbering::Packed { groups, keys }, Keys::Packed(packed)) => {
                let mut count = count;
                numbers.extend(packed[rows].iter().map(|key| {
                    let group = groups.find_or_add(*key, count);
                    if group == count {
                        count += 1;
                        keys.push(*key);
                    }
                    group
                }));
                count
            }
            _ => {
                debug_assert!(false, "keys of another layout");
                count
            }
        }
    }

    /// Gives those slots that have rows and no group a number, in the order of slots. There were `count` groups before; returns how
    /// many there are now.
    pub fn number_slots(&mut self, rows_by_slot: &[u32], count: u32) -> u32 {
        let Numbering::Slots { groups, keys } = self else { return count };
        let mut count = count;
        for (slot, (group, rows)) in groups.iter_mut().zip(rows_by_slot).enumerate() {
            if *rows > 0 && *group == 0 {
                count += 1;
                *group = count;
                keys.push(slot as u32);
            }
        }
        count
    }

    /// Returns one more than the group by slot, 0 for slots that have none at hand; None for keys of another layout.
    pub fn by_slot(&self) -> Option<&[u32]> {
        match self {
            Numbering::Slots { groups, .. } => Some(groups),
            _ => None,
        }
    }

    /// Returns the keys of groups.
    pub fn keys(&self, groups: &[u32]) -> Keys {
        match self {
            Numbering::None => Keys::None,
            Numbering::Slots { keys, .. } => Keys::Slots(groups.iter().map(|group| keys[*group as usize]).collect()),
            Numbering::Packed { keys, .. } => Keys::Packed(groups.iter().map(|group| keys[*group as usize]).collect()),
            Numbering::Whole(whole) => {
                let is_valid = |group: &u32| whole.nulls.binary_search(group).is_err();
                let valid = (!whole.nulls.is_empty()).then(|| groups.iter().map(is_valid).collect::<NullBuffer>());
                let valid = valid.filter(|valid| valid.null_count() > 0);
                Keys::Whole(groups.iter().map(|group| whole.keys[*group as usize]).collect(), valid)
            }
        }
    }

    /// Puts the keys of these groups, those at hand, away.
    pub fn put_away(&mut self, at_hand: impl Iterator<Item = Range<u32>>) {
        match self {
            Numbering::None => {}
            Numbering::Slots { groups, keys } => {
                for group in at_hand.flatten() {
                    groups[keys[group as usize] as usize] = 0;
                }
            }
            Numbering::Whole(whole) => whole.put_away(at_hand),
            Numbering::Packed { groups, .. } => groups.clear(),
        }
    }

    /// Takes the keys of these groups to hand again; none other is.
    pub fn take_up(&mut self, wanted: impl Iterator<Item = Range<u32>>) {
        match self {
            Numbering::None => {}
            Numbering::Slots { groups, keys } => {
                for group in wanted.flatten() {
                    groups[keys[group as usize] as usize] = group + 1;
                }
            }
            Numbering::Whole(whole) => whole.take_up(wanted),
            Numbering::Packed { groups, keys } => {
                for group in wanted.flatten() {
                    groups.find_or_add(keys[group as usize], group);
                }
            }
        }
    }

    /// Returns the bytes that are held.
    pub fn size(&self) -> usize {
        match self {
            Numbering::None => 0,
            Numbering::Slots { groups, keys } => (groups.capacity() + keys.capacity()) * size_of::<u32>(),
            Numbering::Whole(whole) => {
                let keys = whole.keys.capacity() * size_of::<i64>() + whole.nulls.capacity() * size_of::<u32>();
                keys + whole.table.size() + whole.window.as_ref().map_or(0, Window::size)
            }
            Numbering::Packed { groups, keys } => groups.size() + keys.capacity() * size_of::<u128>(),
        }
    }
}

impl Whole {
    fn number(&mut self, values: &[i64], nulls: Option<NullBuffer>, count: u32, numbers: &mut Vec<u32>) -> u32 {
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
            return self.number_values(values, count, numbers);
        };
        let (mut count, mut row) = (count, 0);
        for (start, end) in nulls.valid_slices().chain([(values.len(), values.len())]) {
            for _ in row..start {
                let group = *self.null_at_hand.get_or_insert(count);
                if group == count {
                    count += 1;
                    self.keys.push(0);
                    self.nulls.push(group);
                }
                numbers.push(group);
            }
            count = self.number_values(&values[start..end], count, numbers);
            row = end;
        }
        count
    }

    fn number_values(&mut self, values: &[i64], count: u32, numbers: &mut Vec<u32>) -> u32 {
        if self.window.as_mut().is_some_and(|window| !window.cover(values)) {
            self.leave_window();
        }
        debug_assert_eq!(self.keys.len(), count as usize, "groups are numbered here alone");
        let keys = &mut self.keys;
        match &mut self.window {
            Some(window) => numbers.extend(values.iter().map(|value| {
                let next = keys.len() as u32;
                window.find_or_add(*value, || {
                    keys.push(*value);
                    next
                })
            })),
            None => {
                for value in values {
                    let next = keys.len() as u32;
                    let group = self.table.find_or_add(*value, next);
                    if group == next {
                        keys.push(*value);
                    }
                    numbers.push(group);
                }
            }
        }
        keys.len() as u32
    }

    /// Puts what is at hand into the table.
    fn leave_window(&mut self) {
        let Some(window) = self.window.take() else { return };
        self.table.clear();
        for (group, key) in self.keys.iter().enumerate() {
            if window.holds(*key, group as u32) {
                self.table.find_or_add(*key, group as u32);
            }
        }
    }

    fn put_away(&mut self, at_hand: impl Iterator<Item = Range<u32>>) {
        self.null_at_hand = None;
        let Some(window) = &mut self.window else { return self.table.clear() };
        for group in at_hand.flatten() {
            if self.nulls.binary_search(&group).is_err() {
                window.forget(self.keys[group as usize]);
            }
        }
    }

    fn take_up(&mut self, wanted: impl Iterator<Item = Range<u32>>) {
        for group in wanted.flatten() {
            let key = self.keys[group as usize];
            if self.nulls.binary_search(&group).is_ok() {
                self.null_at_hand = Some(group);
            } else if let Some(window) = &mut self.window {
                // once covered, always covered
                window.set(key, group);
            } else {
                self.table.find_or_add(key, group);
            }
        }
    }
}
