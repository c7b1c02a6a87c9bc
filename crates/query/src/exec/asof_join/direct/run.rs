//! Reads both sides once, in time, and hands on left rows with what they met.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use types::TimeRange;

use super::Join;
use super::kept::{Kept, KeptBlock};
use super::meeting::{NONE, RowRef, Rows, keyed, note_older, unkeyed};
use crate::exec::direct::keys::{KeyColumns, Keys};
use crate::exec::direct::sides::Side;
use crate::exec::direct::wanted::rows_of;
use crate::exec::direct::{Block, Morsel, Order, Selection, Work};
use crate::provider::shown;

/// Rows of a batch that is handed on: its columns stay in a core's cache while they are computed with.
const BATCH_ROWS: usize = 32 << 10;
/// Right blocks are looked through for those that nobody needs when they are so large together.
const SWEPT_BYTES: usize = 32 << 20;
/// The first stretch of time that is looked at for rows before the first left one is this part of the right side's time.
const FIRST_STRETCH: i64 = 1024;

/// Hands on every left row with the right row that it meets. Ends early when `is_over` says so or `hand_on` returns false.
pub fn run(
    join: &Join,
    schema: SchemaRef,
    reservation: MemoryReservation,
    is_over: &dyn Fn() -> bool,
    hand_on: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<()> {
    let work = join.left.source.work(Order::Time)?;
    let last_us = work.morsels().iter().map(|morsel| morsel.time_bounds().1).max();
    let mut joining: Option<Joining> = None;
    for morsel in work.morsels() {
        let block = morsel.read()?;
        if block.selected_rows() == 0 {
            continue;
        }
        let first = joining.is_none();
        let at = match &mut joining {
            Some(at) => at,
            at => at.insert(Joining::new(join, &work, schema.clone(), &reservation)?),
        };
        let left = LeftBlock::new(block, &join.left, at)?;
        if first {
            at.begin(&work, left.times[0], last_us.unwrap_or(i64::MAX), is_over)?;
        }
        if !at.join(&left, is_over, hand_on)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Left rows that count.
struct LeftBlock {
    block: Block,
    times: ScalarBuffer<i64>,
    keys: ScalarBuffer<i32>,
}

impl LeftBlock {
    fn new(block: Block, side: &Side, joining: &Joining) -> Result<LeftBlock> {
        let times = side.times(&block, joining.in_ns)?;
        let keys = joining.keys.as_ref().map(|keys| block.selection().picked(keys.of_left(block.columns())));
        Ok(LeftBlock { block, times, keys: keys.unwrap_or_default() })
    }

    fn rows(&self, range: std::ops::Range<usize>) -> Rows<'_> {
        let keys = if self.keys.is_empty() { &[] } else { &self.keys[range.clone()] };
        Rows { times: &self.times[range], keys }
    }
}

/// The right block that is being read.
struct Current {
    place: usize,
    times: ScalarBuffer<i64>,
    keys: ScalarBuffer<i32>,
    /// The first row that is not noted yet.
    next: usize,
}

struct Joining<'a> {
    join: &'a Join,
    schema: SchemaRef,
    /// Whether a side has nanoseconds: then both are compared in them.
    in_ns: bool,
    /// None: the join looks at time only.
    keys: Option<Keys>,
    /// The dictionaries of the outputs that are symbols.
    dictionaries: Vec<Option<Arc<StringViewArray>>>,
    /// The right columns among the outputs, by their places in the source.
    right_columns: Vec<usize>,
    right: Vec<Morsel>,
    next_morsel: usize,
    current: Option<Current>,
    kept: Kept,
    sweep_at_bytes: usize,
    /// The newest right row of each key; of a join without keys there is one.
    newest: Vec<RowRef>,
    found: Vec<RowRef>,
}

impl<'a> Joining<'a> {
    fn new(join: &'a Join, left: &Work, schema: SchemaRef, reservation: &MemoryReservation) -> Result<Joining<'a>> {
        let (left_source, right_source) = (&join.left.source, &join.right.source);
        let is_ns = |side: &Side| {
            *side.source.schema().field(side.time).data_type() == DataType::Timestamp(TimeUnit::Nanosecond, None)
        };
        let mut columns = Vec::new();
        for (l, r) in &join.keys {
            let (Some(of_left), Some(of_right)) = (left.dictionary(*l).cloned(), right_source.dictionary(*r)?) else {
                return internal_err!("a key of a direct join is no symbol");
            };
            columns.push(KeyColumns { left: (*l, of_left), right: (*r, of_right) });
        }
        let keys = if columns.is_empty() { None } else { Some(Keys::try_new(columns)?) };
        let numbers = keys.as_ref().map_or(1, Keys::numbers);
        let (width, mut dictionaries, mut right_columns) = (join.left_width(), Vec::new(), Vec::new());
        for output in &join.outputs {
            match output.checked_sub(width) {
                None => dictionaries.push(left_source.dictionary(*output)?),
                Some(place) => {
                    dictionaries.push(right_source.dictionary(place)?);
                    right_columns.push(place);
                }
            }
        }
        // one reservation: it gives all back when the join ends
        let kept_bytes = reservation.new_empty();
        kept_bytes.try_grow(numbers * size_of::<RowRef>())?;
        let stored = |place: &usize| storage::arrow_type(right_source.column(*place).column_type);
        Ok(Joining {
            join,
            schema,
            in_ns: is_ns(&join.left) || is_ns(&join.right),
            keys,
            dictionaries,
            kept: Kept::new(right_columns.iter().map(stored).collect(), kept_bytes),
            right_columns,
            right: Vec::new(),
            next_morsel: 0,
            current: None,
            sweep_at_bytes: SWEPT_BYTES,
            newest: vec![NONE; numbers],
            found: Vec::with_capacity(BATCH_ROWS),
        })
    }

    /// Chooses what is read of the right side: nothing behind the last left row, and of what is before the first only rows
    /// that may be met.
    fn begin(&mut self, left: &Work, first: i64, last_us: i64, is_over: &dyn Fn() -> bool) -> Result<()> {
        let source = &self.join.right.source;
        let end_us = last_us.saturating_add(1);
        let first_us = if self.in_ns { first.div_euclid(1_000) } else { first };
        let mut start_us = i64::MIN;
        if let Some(tolerance_us) = self.join.tolerance_us {
            // a moment is rounded down to its microsecond
            start_us = first_us.saturating_sub(tolerance_us).saturating_sub(1);
        } else if let Some((right_first, right_last)) = source.view().time_bounds() {
            let stretch_us = (right_last.saturating_sub(right_first) / FIRST_STRETCH).max(1);
            if first_us.saturating_sub(right_first) > stretch_us {
                let wanted =
                    self.keys.as_ref().map_or_else(|| Ok(vec![true]), |keys| keys.wanted_by(left.morsels()))?;
                self.seed(wanted, (right_first, first_us), stretch_us, is_over)?;
                start_us = first_us;
            }
        }
        let range = TimeRange { start_us, end_us };
        if !range.is_empty() {
            self.right = source.within(&[range]).work(Order::Time)?.morsels().to_vec();
        }
        Ok(())
    }

    /// Finds the newest row of each wanted key within two moments: backwards, in ever longer stretches of time.
    fn seed(
        &mut self,
        mut wanted: Vec<bool>,
        (first_us, mut end_us): (i64, i64),
        mut stretch_us: i64,
        is_over: &dyn Fn() -> bool,
    ) -> Result<()> {
        let mut missing = wanted.iter().filter(|wanted| **wanted).count();
        while missing > 0 && end_us > first_us {
            let start_us = end_us.saturating_sub(stretch_us);
            let source = self.join.right.source.within(&[TimeRange { start_us, end_us }]);
            for morsel in source.work(Order::Time)?.morsels().iter().rev() {
                if is_over() || missing == 0 {
                    return Ok(());
                }
                let Some(block) = self.read(morsel)? else { continue };
                let zeros = vec![0; if self.keys.is_none() { block.times.len() } else { 0 }];
                let keys: &[i32] = if self.keys.is_none() { &zeros } else { &block.keys };
                missing -= note_older(keys, block.place, &mut wanted, &mut self.newest);
                self.sweep()?;
            }
            (end_us, stretch_us) = (start_us, stretch_us.saturating_mul(4));
        }
        Ok(())
    }

    /// Reads a right morsel and keeps it; None when none of its rows counts.
    fn read(&mut self, morsel: &Morsel) -> Result<Option<Current>> {
        let block = morsel.read()?;
        if block.selected_rows() == 0 {
            return Ok(None);
        }
        let times = self.join.right.times(&block, self.in_ns)?;
        let keys = self.keys.as_ref().map(|keys| block.selection().picked(keys.of_right(block.columns())));
        let rows = match block.selection() {
            Selection::All => None,
            Selection::Rows(rows) => Some(rows.clone()),
        };
        let columns = self.right_columns.iter().map(|place| block.column(*place).clone()).collect();
        let place = self.kept.add(KeptBlock { columns, rows, times: times.clone() })?;
        Ok(Some(Current { place, times, keys: keys.unwrap_or_default(), next: 0 }))
    }

    /// Makes the next right block with rows the current one; false at the end.
    fn load(&mut self) -> Result<bool> {
        while let Some(morsel) = self.right.get(self.next_morsel).cloned() {
            self.next_morsel += 1;
            self.current = self.read(&morsel)?;
            if self.current.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets go of right blocks that no key needs, once they are many. No found row may wait to be handed on.
    fn sweep(&mut self) -> Result<()> {
        if self.kept.bytes() >= self.sweep_at_bytes {
            self.kept.sweep(&mut self.newest)?;
            // so that many rare keys are not looked through for each block
            self.sweep_at_bytes = SWEPT_BYTES.max(2 * self.kept.bytes());
        }
        Ok(())
    }

    /// Joins the rows of a left block; false when nobody wants more.
    fn join(
        &mut self,
        left: &LeftBlock,
        is_over: &dyn Fn() -> bool,
        hand_on: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        let mut start = 0;
        while start < left.times.len() {
            let end = (start + BATCH_ROWS).min(left.times.len());
            self.find(left.rows(start..end))?;
            let found = std::mem::take(&mut self.found);
            if !found.is_empty() {
                let batch = self.batch(left, start, &found)?;
                if !hand_on(batch) {
                    return Ok(false);
                }
            }
            start += found.len();
            self.found = found;
            self.found.clear();
            if self.current.is_none() {
                self.sweep()?;
            }
            if is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Finds what left rows meet; only the first of them when so much of the right side was read that it must be swept.
    fn find(&mut self, left: Rows) -> Result<()> {
        while self.found.len() < left.times.len() {
            if self.current.is_none() {
                if self.kept.bytes() >= self.sweep_at_bytes {
                    break;
                }
                if !self.load()? {
                    let (rest, newest) = (self.found.len(), &self.newest);
                    match &self.keys {
                        Some(_) => self.found.extend(left.keys[rest..].iter().map(|key| newest[*key as usize])),
                        None => self.found.resize(left.times.len(), newest[0]),
                    }
                    break;
                }
            }
            let Some(current) = &mut self.current else { break };
            let done = self.found.len();
            let keys = if left.keys.is_empty() { left.keys } else { &left.keys[done..] };
            let rest = Rows { times: &left.times[done..], keys };
            let right = Rows { times: &current.times, keys: &current.keys };
            let (place, next, newest, found) = (current.place, current.next, &mut self.newest, &mut self.found);
            current.next = match (&self.keys, self.join.strict) {
                (Some(_), false) => keyed::<false>(rest, right, place, next, newest, found),
                (Some(_), true) => keyed::<true>(rest, right, place, next, newest, found),
                (None, false) => unkeyed::<false>(rest.times, right.times, place, next, &mut newest[0], found),
                (None, true) => unkeyed::<true>(rest.times, right.times, place, next, &mut newest[0], found),
            };
            if current.next == current.times.len() {
                self.current = None;
            }
        }
        self.forget_distant(left);
        Ok(())
    }

    /// Takes back what lies further back than the tolerance.
    fn forget_distant(&mut self, left: Rows) {
        let Some(tolerance_us) = self.join.tolerance_us else { return };
        let tolerance = tolerance_us.saturating_mul(if self.in_ns { 1_000 } else { 1 });
        for (found, time) in self.found.iter_mut().zip(left.times) {
            if *found != NONE && time.saturating_sub(self.kept.time(*found)) > tolerance {
                *found = NONE;
            }
        }
    }

    /// Returns left rows from `start` on beside the right rows that they met.
    fn batch(&self, left: &LeftBlock, start: usize, found: &[RowRef]) -> Result<RecordBatch> {
        let width = self.join.left_width();
        let places = self.kept.places(found);
        let (mut columns, mut of_right) = (Vec::with_capacity(self.join.outputs.len()), 0);
        for (i, output) in self.join.outputs.iter().enumerate() {
            let stored = if *output < width {
                rows_of(&left.block, *output, start, found.len())?
            } else {
                of_right += 1;
                self.kept.values(&places, of_right - 1)?
            };
            columns.push(shown(stored, self.dictionaries[i].as_deref(), self.schema.field(i).data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
