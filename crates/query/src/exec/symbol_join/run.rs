//! Keeps one side, then reads the table and hands on its rows beside the kept ones of the same text.

use std::collections::HashMap;
use std::sync::Arc;

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
use crate::exec::direct::{Block, Order, Selection};
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
    /// For each row the next one of the same key.
    next: Vec<u32>,
    /// The first row without a key.
    first_null: u32,
    has_duplicates: bool,
    key: usize,
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
            reservation.try_grow(2 * batch.get_array_memory_size() + batch.num_rows() * size_of::<u32>())?;
            batches.push(batch);
        }
        let rows = concat_batches(&schema, &batches)?;
        if rows.num_rows() >= UNKNOWN as usize {
            return internal_err!("a join keeps {} rows", rows.num_rows());
        }
        let next = vec![NONE; rows.num_rows()];
        Ok(Kept { rows, next, first_null: NONE, has_duplicates: false, key: join.key, reservation })
    }

    /// Chains the rows of equal keys, each chain rising; returns the first row of each text.
    fn chained<'k>(&mut self, keys: &'k StringViewArray) -> HashMap<&'k str, u32> {
        let mut first: HashMap<&str, u32> = HashMap::with_capacity(keys.len());
        for row in (0..keys.len()).rev() {
            let head =
                if keys.is_valid(row) { first.entry(keys.value(row)).or_insert(NONE) } else { &mut self.first_null };
            self.next[row] = *head;
            self.has_duplicates |= *head != NONE;
            *head = row as u32;
        }
        first
    }
}

/// Hands on the table's rows with their partners. Ends early when `is_over` says so or `hand_on` returns false.
pub fn run(
    join: &Join,
    mut kept: Kept,
    schema: &SchemaRef,
    is_over: &dyn Fn() -> bool,
    hand_on: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<()> {
    let work = join.source.work(Order::Time)?;
    let Some(texts) = work.dictionary(join.symbol) else {
        return internal_err!("the key of a direct join is no symbol");
    };
    let keys = kept.rows.column(kept.key).as_string_view().clone();
    let first = kept.chained(&keys);
    kept.reservation.try_grow(texts.len() * size_of::<u32>())?;
    let mut firsts = vec![UNKNOWN; texts.len()];
    let mut lookup = |code: i32| {
        let row = &mut firsts[code as usize];
        if *row == UNKNOWN {
            *row = first.get(texts.value(code as usize)).copied().unwrap_or(NONE);
        }
        *row
    };
    let null = if join.null_meets_null { kept.first_null } else { NONE };
    let outputs = Outputs { join, kept: &kept, schema, dictionaries: dictionaries(join)? };
    for morsel in work.morsels() {
        if is_over() {
            return Ok(());
        }
        let block = morsel.read()?;
        let codes = block.column(join.symbol).as_primitive::<Int32Type>();
        let nulls = codes.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut partner = |row: usize| match nulls {
            Some(nulls) if nulls.is_null(row) => null,
            _ => lookup(codes.value(row)),
        };
        let partners: Vec<u32> = match block.selection() {
            Selection::All => (0..block.rows()).map(&mut partner).collect(),
            Selection::Rows(rows) => rows.iter().map(|row| partner(*row as usize)).collect(),
        };
        for start in (0..partners.len()).step_by(BATCH_ROWS) {
            let partners = &partners[start..(start + BATCH_ROWS).min(partners.len())];
            if !outputs.join(&block, start, partners, hand_on)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn dictionaries(join: &Join) -> Result<Vec<Option<Arc<StringViewArray>>>> {
    let dictionary = |output: &Output| match output {
        Output::Kept(_) => Ok(None),
        Output::Table(place) => join.source.dictionary(*place),
    };
    join.outputs.iter().map(dictionary).collect()
}

/// How rows become batches.
struct Outputs<'a> {
    join: &'a Join,
    kept: &'a Kept,
    schema: &'a SchemaRef,
    dictionaries: Vec<Option<Arc<StringViewArray>>>,
}

impl Outputs<'_> {
    /// Hands on rows of a block from `start` on, with the first partner of each; false when nobody wants more.
    fn join(
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
