//! Keeps one side, then reads the table and hands on its rows beside the kept ones of the same text.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray, UInt32Array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Int32Type, SchemaRef};
use datafusion::common::{Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::TryStreamExt;

use super::{Join, Output};
use crate::exec::direct::wanted::rows_of;
use crate::exec::direct::{Block, Morsel, Selection, Work};
use crate::provider::shown;

/// Rows of a batch that is handed on: its columns stay in a core's cache while they are computed with.
const BATCH_ROWS: usize = 32 << 10;
/// No kept row.
const NONE: u32 = u32::MAX;
/// A code that was not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// The kept side.
pub struct Kept {
    rows: RecordBatch,
    keys: StringViewArray,
    /// For each row the next one of the same key; each chain rises.
    next: Vec<u32>,
    /// The first row of each key, where its hash says or after that.
    firsts: Vec<u32>,
    hasher: RandomState,
    /// The first row without a key.
    first_null: u32,
    has_duplicates: bool,
    reservation: MemoryReservation,
}

impl Kept {
    /// Reads all rows of the side. An error when the memory pool is full.
    pub async fn read(
        mut input: SendableRecordBatchStream,
        join: &Join,
        reservation: MemoryReservation,
    ) -> Result<Kept> {
        let (schema, mut batches) = (input.schema(), Vec::new());
        while let Some(batch) = input.try_next().await? {
            // the batch, and its copy in one with all others
            reservation.try_grow(2 * batch.get_array_memory_size())?;
            batches.push(batch);
        }
        let rows = concat_batches(&schema, &batches)?;
        if rows.num_rows() >= UNKNOWN as usize {
            return internal_err!("a join keeps {} rows", rows.num_rows());
        }
        let places = (2 * rows.num_rows()).next_power_of_two();
        reservation.try_grow((rows.num_rows() + places) * size_of::<u32>())?;
        let mut kept = Kept {
            keys: rows.column(join.key).as_string_view().clone(),
            next: vec![NONE; rows.num_rows()],
            firsts: vec![NONE; places],
            hasher: RandomState::new(),
            first_null: NONE,
            has_duplicates: false,
            rows,
            reservation,
        };
        kept.chain();
        Ok(kept)
    }

    /// Chains the rows of equal keys.
    fn chain(&mut self) {
        for row in (0..self.keys.len()).rev() {
            let head = match self.keys.is_valid(row) {
                true => {
                    let place = self.place(self.keys.value(row));
                    &mut self.firsts[place]
                }
                false => &mut self.first_null,
            };
            self.next[row] = *head;
            self.has_duplicates |= *head != NONE;
            *head = row as u32;
        }
    }

    /// Returns where the first row of a key stands, or would.
    fn place(&self, key: &str) -> usize {
        // there is always a free place
        let mask = self.firsts.len() - 1;
        let mut place = self.hasher.hash_one(key) as usize & mask;
        while self.firsts[place] != NONE && self.keys.value(self.firsts[place] as usize) != key {
            place = (place + 1) & mask;
        }
        place
    }

    /// Returns the first row of a key, or none.
    fn first(&self, key: &str) -> u32 {
        self.firsts[self.place(key)]
    }
}

/// A table beside what is kept, for all threads that join.
pub struct Joined {
    join: Arc<Join>,
    kept: Kept,
    texts: Arc<StringViewArray>,
    /// The first kept row by code, once it was looked up.
    by_code: Vec<AtomicU32>,
    schema: SchemaRef,
    dictionaries: Vec<Option<Arc<StringViewArray>>>,
}

impl Joined {
    /// Makes the table's work ready to be joined. An error when the memory pool is full.
    pub fn new(join: Arc<Join>, kept: Kept, work: &Work, schema: SchemaRef) -> Result<Joined> {
        let Some(texts) = work.dictionary(join.symbol).cloned() else {
            return internal_err!("the key of a direct join is no symbol");
        };
        kept.reservation.try_grow(texts.len() * size_of::<u32>())?;
        let by_code = (0..texts.len()).map(|_| AtomicU32::new(UNKNOWN)).collect();
        let dictionaries = dictionaries(&join)?;
        Ok(Joined { join, kept, texts, by_code, schema, dictionaries })
    }

    /// Hands on a morsel's rows with their partners; false when nobody wants more.
    pub fn join(&self, morsel: &Morsel, hand_on: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        let block = morsel.read()?;
        let codes = block.column(self.join.symbol).as_primitive::<Int32Type>();
        let nulls = codes.nulls().filter(|nulls| nulls.null_count() > 0);
        let null = if self.join.null_meets_null { self.kept.first_null } else { NONE };
        let partner = |row: usize| match nulls {
            Some(nulls) if nulls.is_null(row) => null,
            _ => self.partner(codes.value(row)),
        };
        let partners: Vec<u32> = match block.selection() {
            Selection::All => (0..block.rows()).map(partner).collect(),
            Selection::Rows(rows) => rows.iter().map(|row| partner(*row as usize)).collect(),
        };
        for start in (0..partners.len()).step_by(BATCH_ROWS) {
            let partners = &partners[start..(start + BATCH_ROWS).min(partners.len())];
            if !self.join_some(&block, start, partners, hand_on)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the first kept row of a code.
    fn partner(&self, code: i32) -> u32 {
        // two threads may look the same code up, and find the same
        let known = &self.by_code[code as usize];
        match known.load(Ordering::Relaxed) {
            UNKNOWN => {
                let row = self.kept.first(self.texts.value(code as usize));
                known.store(row, Ordering::Relaxed);
                row
            }
            row => row,
        }
    }

    /// Hands on rows of a block from `start` on, with the first partner of each; false when nobody wants more.
    fn join_some(
        &self,
        block: &Block,
        start: usize,
        partners: &[u32],
        hand_on: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        let all_come = self.join.is_outer || !partners.contains(&NONE);
        if all_come && !self.kept.has_duplicates {
            return Ok(hand_on(self.batch(block, (start, partners.len()), None, partners)?));
        }
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        for (row, &first) in partners.iter().enumerate() {
            let mut partner = first;
            if first == NONE && self.join.is_outer {
                rows.push(row as u32);
                found.push(NONE);
            }
            while partner != NONE {
                rows.push(row as u32);
                found.push(partner);
                partner = self.kept.next[partner as usize];
                if rows.len() == BATCH_ROWS {
                    let picked = UInt32Array::from(std::mem::take(&mut rows));
                    if !hand_on(self.batch(block, (start, partners.len()), Some(&picked), &found)?) {
                        return Ok(false);
                    }
                    found.clear();
                }
            }
        }
        if rows.is_empty() {
            return Ok(true);
        }
        let picked = UInt32Array::from(rows);
        Ok(hand_on(self.batch(block, (start, partners.len()), Some(&picked), &found)?))
    }

    /// Returns rows of a stretch of a block (`picked`, or all of them) beside kept ones.
    fn batch(
        &self,
        block: &Block,
        (start, len): (usize, usize),
        picked: Option<&UInt32Array>,
        found: &[u32],
    ) -> Result<RecordBatch> {
        let nulls = found.contains(&NONE).then(|| NullBuffer::from_iter(found.iter().map(|row| *row != NONE)));
        let found: ScalarBuffer<u32> = found.iter().map(|row| if *row == NONE { 0 } else { *row }).collect();
        let found = UInt32Array::new(found, nulls);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.join.outputs.len());
        for (i, output) in self.join.outputs.iter().enumerate() {
            columns.push(match output {
                Output::Kept(place) => take(self.kept.rows.column(*place), &found, None)?,
                Output::Table(place) => {
                    let stored = rows_of(block, *place, start, len)?;
                    let stored = picked.map_or(Ok(stored.clone()), |picked| take(&stored, picked, None))?;
                    shown(stored, self.dictionaries[i].as_deref(), self.schema.field(i).data_type())?
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn dictionaries(join: &Join) -> Result<Vec<Option<Arc<StringViewArray>>>> {
    let dictionary = |output: &Output| match output {
        Output::Kept(_) => Ok(None),
        Output::Table(place) => join.source.dictionary(*place),
    };
    join.outputs.iter().map(dictionary).collect()
}
