//! The best rows that one thread has seen: [`Best`].
//!
//! Rows that beat the worst of the best are added until there are twice as many as wanted; then the worse half goes, and the
//! bar is higher, for all threads. A row that does not beat it costs one comparison, or a part of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result;

use super::rank::{Key, Ranked};
use crate::exec::direct::{Block, Outputs, Selection};

/// Rows more than wanted before the worse ones go.
const SPARE_ROWS: usize = 512;
/// Rows that are looked at together.
const GROUP_ROWS: usize = 64;

/// Where a row is kept: its block, and its place in it.
type Place = (u32, u32);

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
    /// Those with rows among the best.
    blocks: Vec<Option<Block>>,
}

impl Best {
    /// Returns what the best of so many rows take at most, without the blocks, which lie in the files' maps.
    pub fn bytes(wanted: usize, keys: usize) -> usize {
        let most = 2 * wanted + SPARE_ROWS;
        most * (keys * size_of::<u64>() + size_of::<Place>() + size_of::<u32>())
    }

    /// Returns the best of no rows yet; `bar` is shared by all threads, and begins with the greatest number.
    pub fn new(keys: Vec<Key>, texts: Arc<Vec<Option<Vec<u64>>>>, wanted: usize, bar: Arc<AtomicU64>) -> Best {
        let (ranks, places, worst, blocks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Best { keys, texts, wanted, ranks, places, worst, bar, blocks }
    }

    /// Looks at the rows of a block that count.
    pub fn offer(&mut self, block: Block) -> Result<()> {
        let texts = self.texts.clone();
        let keys = self.keys.iter().zip(texts.iter());
        let keys: Vec<Ranked<'_>> = keys
            .map(|(key, texts)| Ranked::new(key, block.column(key.place), texts.as_ref()))
            .collect::<Result<_>>()?;
        let number = self.blocks.len() as u32;
        match block.selection() {
            Selection::Rows(rows) => rows.iter().for_each(|row| self.look(&keys, number, *row)),
            Selection::All => self.look_at_all(&keys, &block, number)?,
        }
        drop(keys);
        self.blocks.push(Some(block));
        self.forget_blocks();
        Ok(())
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
                if keys[0].all_after(bounds, self.bar.load(Ordering::Relaxed)) {
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
        if self.places.len() <= rows {
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
    }

    /// Lets go of the blocks that have no row among the best.
    fn forget_blocks(&mut self) {
        let mut used = vec![false; self.blocks.len()];
        self.places.iter().for_each(|(block, _)| used[*block as usize] = true);
        self.blocks.iter_mut().zip(used).filter(|(_, used)| !used).for_each(|(block, _)| *block = None);
        while self.blocks.last().is_some_and(Option::is_none) {
            self.blocks.pop();
        }
    }

    /// Returns the best rows, first those that come first: their ranks and what the outputs need of them.
    pub fn finish(mut self, outputs: &Outputs) -> Result<(Vec<Vec<u64>>, RecordBatch)> {
        self.keep(self.wanted);
        let width = self.keys.len();
        let ranks = |row: u32| &self.ranks[row as usize * width..(row as usize + 1) * width];
        let mut parts = Vec::new();
        let mut gathered: Vec<u32> = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let Some(block) = block else { continue };
            let here = |row: &u32| self.places[*row as usize].0 as usize == number;
            let rows: Vec<u32> = (0..self.places.len() as u32).filter(here).collect();
            let places: Vec<u32> = rows.iter().map(|row| self.places[*row as usize].1).collect();
            parts.push(outputs.gathered(block, &places)?);
            gathered.extend(rows);
        }
        let joined = outputs.joined(&parts)?;
        let mut order: Vec<u32> = (0..gathered.len() as u32).collect();
        order.sort_by(|a, b| {
            let (a, b) = (gathered[*a as usize], gathered[*b as usize]);
            ranks(a).cmp(ranks(b)).then_with(|| self.places[a as usize].cmp(&self.places[b as usize]))
        });
        let found = order.iter().map(|row| ranks(gathered[*row as usize]).to_vec()).collect();
        let rows = match joined.num_columns() {
            0 => joined,
            _ => take_record_batch(&joined, &UInt32Array::from(order))?,
        };
        Ok((found, rows))
    }
}
