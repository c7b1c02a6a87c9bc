//! The best rows that one thread has seen: [`Best`].
//!
//! Rows that beat the worst of the best are added until there are twice as many as wanted; then the worse half goes, and the
//! bar is higher, for all threads. A row that does not beat it costs one comparison, or a part of one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::{Result, internal_err};

use super::rank::{Key, Ranked};
use crate::exec::direct::block::BlockZones;
use crate::exec::direct::{Block, Outputs, Selection};

/// Rows more than wanted before the worse ones go.
const SPARE_ROWS: usize = 512;
/// Rows that are looked at together.
const GROUP_ROWS: usize = 64;

/// Where a row is kept: its block's number, and its place in it.
pub type Place = (u32, u32);

/// The ranks of a row's keys, and where it lies.
pub type BestRow = (Vec<u64>, Place);

pub struct Best {
    keys: Vec<Key>,
    /// By key, for symbols.
    texts: Arc<Vec<Option<Vec<u64>>>>,
    wanted: usize,
    /// Of each row the ranks of all keys, one after the other.
    ranks: Vec<u64>,
    places: Vec<Place>,
    /// Ranks of the worst row that is still wanted; empty while there are too few.
    worst: Vec<u64>,
    /// The least first rank that so many rows of one thread are known not to come after: all threads'.
    bar: Arc<AtomicU64>,
    /// Those with rows among the best, by their numbers.
    blocks: BTreeMap<u32, Block>,
}

impl Best {
    /// Returns what the best of so many rows take at most, without the blocks, which lie in the files' maps.
    pub fn bytes(wanted: usize, keys: usize) -> usize {
        let most = 2 * wanted + SPARE_ROWS;
        most * (keys * size_of::<u64>() + size_of::<Place>() + size_of::<u32>())
    }

    /// Returns the best of no rows yet; `bar` is shared by all threads, and begins with the greatest number.
    pub fn new(keys: Vec<Key>, texts: Arc<Vec<Option<Vec<u64>>>>, wanted: usize, bar: Arc<AtomicU64>) -> Best {
        let (ranks, places, worst, blocks) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Best { keys, texts, wanted, ranks, places, worst, bar, blocks }
    }

    /// Looks at the rows of a block that count. Of rows that no key tells apart those of the block with the lower number come first.
    pub fn offer(&mut self, number: u32, block: Block) -> Result<()> {
        let texts = self.texts.clone();
        let keys = self.keys.iter().zip(texts.iter());
        let keys: Vec<Ranked<'_>> = keys
            .map(|(key, texts)| Ranked::new(key, block.column(key.place), texts.as_ref()))
            .collect::<Result<_>>()?;
        match block.selection() {
            Selection::Rows(rows) => {
                rows.iter().for_each(|row| self.look(&keys, number, *row));
                // so that the next one who asks knows where to look
                block.zones(self.keys[0].place)?.inspect(BlockZones::measure);
            }
            Selection::All => self.look_at_all(&keys, &block, number)?,
        }
        drop(keys);
        if self.places.iter().rev().any(|(block, _)| *block == number) {
            self.blocks.insert(number, block);
        }
        Ok(())
    }

    /// Raises the bar if there are enough new rows for it to be worth it.
    pub fn raise_bar(&mut self) {
        let is_first = self.worst.is_empty() && self.places.len() >= self.wanted;
        if is_first || self.places.len() >= self.wanted + self.wanted / 4 {
            self.keep(self.wanted);
        }
    }

    /// Looks at rows in the order in which they lie, and passes over those together that all come after the bar.
    fn look_at_all(&mut self, keys: &[Ranked<'_>], block: &Block, number: u32) -> Result<()> {
        let zones = block.zones(self.keys[0].place)?;
        let mut next = 0;
        while next < block.rows() {
            let mut end = block.rows();
            if let Some(zones) = &zones {
                let (bounds, after) = zones.at(next);
                end = after;
                if self.keys[0].least_of(&bounds) > self.bar.load(Ordering::Relaxed) {
                    next = end;
                    continue;
                }
            }
            while next < end {
                let group_end = end.min(next + GROUP_ROWS);
                if keys[0].any_before(next, group_end, self.bar.load(Ordering::Relaxed)) {
                    (next..group_end).for_each(|row| self.look(keys, number, row as u32));
                }
                next = group_end;
            }
        }
        Ok(())
    }

    fn look(&mut self, keys: &[Ranked<'_>], block: u32, row: u32) {
        let kept = self.ranks.len();
        let mut beats = self.worst.is_empty();
        for (i, key) in keys.iter().enumerate() {
            let rank = key.rank(row as usize);
            if !beats {
                match rank.cmp(&self.worst[i]) {
                    std::cmp::Ordering::Less => beats = true,
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Greater => break,
                }
            }
            self.ranks.push(rank);
        }
        if !beats {
            self.ranks.truncate(kept);
            return;
        }
        self.places.push((block, row));
        if self.places.len() >= 2 * self.wanted + SPARE_ROWS {
            self.keep(self.wanted);
        }
    }

    /// Keeps the best of these rows only.
    fn keep(&mut self, rows: usize) {
        if self.places.len() < rows {
            return;
        }
        let width = self.keys.len();
        let ranks = |row: &u32| &self.ranks[*row as usize * width..(*row as usize + 1) * width];
        let mut order: Vec<u32> = (0..self.places.len() as u32).collect();
        order.select_nth_unstable_by(rows - 1, |a, b| {
            ranks(a).cmp(ranks(b)).then_with(|| self.places[*a as usize].cmp(&self.places[*b as usize]))
        });
        self.worst = ranks(&order[rows - 1]).to_vec();
        self.bar.fetch_min(self.worst[0], Ordering::Relaxed);
        order.truncate(rows);
        order.sort_unstable();
        self.places = order.iter().map(|row| self.places[*row as usize]).collect();
        self.ranks = order.iter().flat_map(ranks).copied().collect();
        let used: HashSet<u32> = self.places.iter().map(|(block, _)| *block).collect();
        self.blocks.retain(|number, _| used.contains(number));
    }

    /// Returns the best rows, first those that come first: ranks and place of each, and what the outputs need of them.
    pub fn finish(mut self, outputs: &Outputs) -> Result<(Vec<BestRow>, RecordBatch)> {
        self.keep(self.wanted);
        let width = self.keys.len();
        let ranks = |row: u32| &self.ranks[row as usize * width..(row as usize + 1) * width];
        let mut by_place: Vec<u32> = (0..self.places.len() as u32).collect();
        by_place.sort_unstable_by_key(|row| self.places[*row as usize]);
        let mut parts = Vec::new();
        for rows in by_place.chunk_by(|a, b| self.places[*a as usize].0 == self.places[*b as usize].0) {
            let places: Vec<u32> = rows.iter().map(|row| self.places[*row as usize].1).collect();
            let Some(block) = rows.first().and_then(|row| self.blocks.get(&self.places[*row as usize].0)) else {
                return internal_err!("a row among the best has no block");
            };
            parts.push(outputs.gathered(block, &places)?);
        }
        let joined = outputs.joined(&parts)?;
        let mut order: Vec<u32> = (0..by_place.len() as u32).collect();
        // equal ones stay in the order of their places
        order.sort_by_key(|place| ranks(by_place[*place as usize]));
        let found = order.iter().map(|place| by_place[*place as usize]);
        let found = found.map(|row| (ranks(row).to_vec(), self.places[row as usize])).collect();
        let rows = match joined.num_columns() {
            0 => joined,
            _ => take_record_batch(&joined, &UInt32Array::from(order))?,
        };
        Ok((found, rows))
    }
}
