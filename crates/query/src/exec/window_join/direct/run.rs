//! Reads the right side once, then hands on left rows with the values of their windows, on all cores.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use types::TimeRange;

use super::Join;
use crate::exec::direct::fold::on_thread;
use crate::exec::direct::keys::{KeyColumns, Keys};
use crate::exec::direct::wanted::rows_of;
use crate::exec::direct::{Block, Delivery, Morsel, Order, Work, delivered, fold};
use crate::exec::window_join::answers::{Answers, Right};
use crate::exec::window_join::arranged::{Arranged, Place, Window, reordered};
use crate::exec::window_join::run::{in_unit, taken};
use crate::provider::shown;

mod in_force;

/// Batches that a core makes of one morsel before somebody takes one.
const AHEAD_BATCHES: usize = 2;

/// Returns the rows of the join; nothing is begun before the first is asked for.
pub fn streamed(join: Arc<Join>, schema: SchemaRef, reservation: MemoryReservation) -> SendableRecordBatchStream {
    let output = schema.clone();
    let prepared = async move {
        let side = join.left.source.clone();
        let left = on_thread(move |_| side.work(Order::Time)).await?;
        let keys = Arc::new(keys_of(&join)?);
        let right = read_right(&join, &left, keys.clone(), reservation).await?;
        let dictionaries = join.outputs.iter().map(|output| match *output < join.left_width() {
            true => join.left.source.dictionary(*output),
            false => Ok(None),
        });
        let dictionaries = dictionaries.collect::<Result<Vec<_>>>()?;
        let matching = Matching { answers: join.answers(), join, schema, keys, right, dictionaries };
        let make = move |morsel: &Morsel, hand_on: &mut dyn FnMut(RecordBatch) -> bool| matching.join(morsel, hand_on);
        Ok(move || Ok((left, make)))
    };
    delivered(output, Delivery { ahead: AHEAD_BATCHES, fetch: None }, prepared)
}

/// Returns how keys are numbered; None where the join looks at time only.
fn keys_of(join: &Join) -> Result<Option<Keys>> {
    let mut columns = Vec::new();
    for (l, r) in &join.keys {
        let (Some(left), Some(right)) = (join.left.source.dictionary(*l)?, join.right.source.dictionary(*r)?) else {
            return internal_err!("a key of a direct join is no symbol");
        };
        columns.push(KeyColumns { left: (*l, left), right: (*r, right) });
    }
    if columns.is_empty() { Ok(None) } else { Keys::try_new(columns).map(Some) }
}

/// The right rows that one core has read.
#[derive(Default)]
struct Part {
    times: Vec<i64>,
    keys: Vec<u32>,
    batches: Vec<RecordBatch>,
}

/// Reads the right rows that a window may hold, and arranges them. Every byte is charged.
async fn read_right(
    join: &Arc<Join>,
    left: &Work,
    keys: Arc<Option<Keys>>,
    reservation: MemoryReservation,
) -> Result<HeldRight> {
    let source = join.right.source.within(&[join.reach(left)]);
    let schema: SchemaRef = Arc::new(source.schema().project(&join.read)?);
    let reservation = Arc::new(reservation);
    let (of_parts, charged, given) = (join.clone(), reservation.clone(), schema.clone());
    let numbers = keys.clone();
    let each = move |part: &mut Part, block: Block| {
        if block.selected_rows() == 0 {
            return Ok(());
        }
        let times = of_parts.right.times(&block, of_parts.in_ns)?;
        let batch = block.batch(&of_parts.read, &given)?;
        // what is read, then a copy beside those of its key
        charged.try_grow(2 * (bytes_of(&batch) + times.len() * size_of::<(i64, u32)>()))?;
        match &*numbers {
            None => part.keys.resize(part.keys.len() + times.len(), 0),
            Some(keys) => {
                let numbers = block.selection().picked(keys.of_right(block.columns()));
                part.keys.extend(numbers.iter().map(|number| *number as u32));
            }
        }
        part.times.extend_from_slice(&times);
        part.batches.push(batch);
        Ok(())
    };
    let parts = fold(source, Order::Time, |_| Ok(Part::default()), each).await?;
    let earlier = match join.joined.prevailing {
        true => in_force(join, left, keys.clone(), reservation.clone(), schema.clone()).await?,
        false => Part::default(),
    };
    let (number_of_keys, answers) = (keys.as_ref().as_ref().map_or(1, Keys::numbers), join.answers());
    reservation.try_grow(number_of_keys * size_of::<u32>())?;
    let right = on_thread(move |stop| {
        let mut all = Part::default();
        for part in std::iter::once(earlier).chain(parts) {
            all.times.extend_from_slice(&part.times);
            all.keys.extend_from_slice(&part.keys);
            all.batches.extend(part.batches);
        }
        let (arranged, order) = Arranged::new(&all.times, &all.keys, number_of_keys)?;
        stop.check()?;
        let rows = concat_batches(&schema, &all.batches)?;
        drop(all);
        let rows = if number_of_keys == 1 { rows } else { reordered(&rows, &order)? };
        stop.check()?;
        let arguments = answers.arguments(&rows)?;
        Ok(Right { arranged, rows, arguments })
    })
    .await?;
    reservation.try_grow(right.computed_bytes())?;
    Ok(HeldRight { right, reservation })
}

/// Returns the right rows that are in force where the first window may begin.
async fn in_force(
    join: &Arc<Join>,
    left: &Work,
    keys: Arc<Option<Keys>>,
    reservation: Arc<MemoryReservation>,
    schema: SchemaRef,
) -> Result<Part> {
    let (join, morsels, before_us) = (join.clone(), left.morsels().to_vec(), join.reach(left).start_us);
    on_thread(move |stop| {
        in_force::before(&join, &morsels, keys.as_ref().as_ref(), (before_us, &schema), &reservation, stop)
    })
    .await
}

/// The right side and what is charged for it.
struct HeldRight {
    right: Right,
    reservation: Arc<MemoryReservation>,
}

fn bytes_of(batch: &RecordBatch) -> usize {
    let of = |column: &arrow::array::ArrayRef| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(of).sum()
}

impl Join {
    fn left_width(&self) -> usize {
        self.left.source.schema().fields().len()
    }

    /// Returns where in time windows of left rows may be.
    fn reach(&self, left: &Work) -> TimeRange {
        let first = left.morsels().iter().map(|morsel| morsel.time_bounds().0).min();
        let last = left.morsels().iter().map(|morsel| morsel.time_bounds().1).max();
        let (Some(first), Some(last)) = (first, last) else { return TimeRange::EMPTY };
        // bounds and ends are of whole microseconds, times may be finer
        let low = first.saturating_add(in_unit(self.low_ns.saturating_sub(2_000), false));
        let high = last.saturating_add(in_unit(self.high_ns.saturating_add(2_000), false));
        TimeRange { start_us: low, end_us: high.saturating_add(2) }
    }
}

/// Left morsels meet the right side.
struct Matching {
    join: Arc<Join>,
    schema: SchemaRef,
    answers: Answers,
    keys: Arc<Option<Keys>>,
    right: HeldRight,
    /// Of the outputs that are symbols.
    dictionaries: Vec<Option<Arc<StringViewArray>>>,
}

impl Matching {
    /// Hands on the rows of a morsel; false when nobody takes them.
    fn join(&self, morsel: &Morsel, hand_on: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        let block = morsel.read()?;
        if block.selected_rows() == 0 {
            return Ok(true);
        }
        let windows = self.windows(&block)?;
        let mut start = 0;
        while start < windows.len() {
            let rows = taken(&windows[start..]);
            if !hand_on(self.batch(&block, start, &windows[start..start + rows])?) {
                return Ok(false);
            }
            start += rows;
        }
        Ok(true)
    }

    fn windows(&self, block: &Block) -> Result<Vec<Window>> {
        let join = &self.join;
        let times = join.left.times(block, join.in_ns)?;
        let ends = (in_unit(join.low_ns, join.in_ns), in_unit(join.high_ns, join.in_ns));
        let (arranged, prevailing) = (&self.right.right.arranged, join.joined.prevailing);
        let around = |time: i64| (time.saturating_add(ends.0), time.saturating_add(ends.1));
        // rows come in the order of time, and so do the windows of each key; to keep a place of each is not worth it for few rows
        let mut places = vec![Place::default(); if arranged.keys() <= times.len() { arranged.keys() } else { 0 }];
        let mut window = |key: usize, time: i64| match places.get_mut(key) {
            Some(place) => arranged.window_behind(place, key, around(time), prevailing),
            None => arranged.window(key, around(time), prevailing),
        };
        Ok(match &*self.keys {
            None => times.iter().map(|time| window(0, *time)).collect(),
            Some(keys) => {
                let numbers = block.selection().picked(keys.of_left(block.columns()));
                times.iter().zip(numbers.iter()).map(|(time, key)| window(*key as usize, *time)).collect()
            }
        })
    }

    /// Returns left rows from `start` on with the values of their windows.
    fn batch(&self, block: &Block, start: usize, windows: &[Window]) -> Result<RecordBatch> {
        let width = self.join.left_width();
        let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let (values, bytes) = self.answers.of(&nothing, windows, &self.right.right)?;
        self.right.reservation.try_grow(bytes)?;
        self.right.reservation.shrink(bytes);
        let mut columns = Vec::with_capacity(self.join.outputs.len());
        for (i, output) in self.join.outputs.iter().enumerate() {
            columns.push(match output.checked_sub(width) {
                Some(value) => values[value].clone(),
                None => {
                    let stored = rows_of(block, *output, start, windows.len())?;
                    shown(stored, self.dictionaries[i].as_deref(), self.schema.field(i).data_type())?
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(windows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
