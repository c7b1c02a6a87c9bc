//! Left rows beside right ones, pair by pair: where a condition or an argument looks at both.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::answers::{Right, picked};
use super::arranged::Window;
use crate::exec::direct::wanted::{at_places, columns_of};

/// Pairs that are looked at together, about.
const PAIRS: usize = 32 << 10;

/// An expression over both sides that reads the columns it needs only.
pub struct Compiled {
    expr: Arc<dyn PhysicalExpr>,
    /// Of the left columns and, behind them, the right ones.
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Compiled {
    /// Compiles an expression over the columns of both sides.
    pub fn new(expr: &Arc<dyn PhysicalExpr>, both: &Schema) -> Result<Compiled> {
        let places = columns_of(std::slice::from_ref(expr))?;
        let schema = Arc::new(both.project(&places)?);
        Ok(Compiled { expr: at_places(expr.clone(), &places)?, places, schema })
    }
}

/// Where pairs come from.
pub struct Pairs<'a> {
    pub left: &'a RecordBatch,
    pub right: &'a Right,
    pub left_columns: usize,
    /// What a pair must meet.
    pub filter: Option<&'a Compiled>,
}

impl Pairs<'_> {
    /// Gives the pairs of windows, in stretches: left rows and as many right ones, those of one left row in the order of time.
    pub fn each(
        &self,
        windows: &[Window],
        prevailing: bool,
        mut give: impl FnMut(&[u32], &[u32]) -> Result<()>,
    ) -> Result<()> {
        let mut start = 0;
        while start < windows.len() {
            let (mut end, mut pairs) = (start, 0);
            while end < windows.len() && (end == start || pairs + windows[end].rows.len() <= PAIRS) {
                pairs += windows[end].rows.len();
                end += 1;
            }
            let (mut lefts, mut rights) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
            for (row, window) in windows.iter().enumerate().take(end).skip(start) {
                lefts.extend(std::iter::repeat_n(row as u32, window.rows.len()));
                rights.extend(window.rows.clone().map(|right| right as u32));
            }
            if let Some(filter) = self.filter {
                let met = self.test(filter, &lefts, &rights)?;
                (lefts, rights) = (picked(&lefts, &met), picked(&rights, &met));
                if prevailing {
                    (lefts, rights) = self.with_prevailing(filter, windows, start..end, &lefts, &rights)?;
                }
            }
            if !lefts.is_empty() {
                give(&lefts, &rights)?;
            }
            start = end;
        }
        Ok(())
    }

    /// Returns the pairs with the last row before each window in front of it that meets the condition, where none of the window's
    /// lies at its beginning.
    fn with_prevailing(
        &self,
        filter: &Compiled,
        windows: &[Window],
        rows: std::ops::Range<usize>,
        lefts: &[u32],
        rights: &[u32],
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let mut of_rows = Vec::with_capacity(rows.len());
        let mut at = 0;
        for row in rows.clone() {
            let count = lefts[at..].iter().take_while(|left| **left as usize == row).count();
            of_rows.push(at..at + count);
            at += count;
        }
        let waits = |row: &usize| {
            let first = rights[of_rows[*row - rows.start].clone()].first();
            first.is_none_or(|first| self.right.arranged.time(*first as usize) != windows[*row].low)
        };
        let found = self.last_before(filter, windows, rows.clone().filter(waits).collect())?;
        let (mut all_lefts, mut all_rights) = (Vec::new(), Vec::new());
        let mut found = found.into_iter().peekable();
        for (row, own) in rows.zip(of_rows) {
            if let Some((_, right)) = found.next_if(|(left, _)| *left == row)
                && self.right.arranged.time(right) <= windows[row].high
            {
                all_lefts.push(row as u32);
                all_rights.push(right as u32);
            }
            all_lefts.extend_from_slice(&lefts[own.clone()]);
            all_rights.extend_from_slice(&rights[own]);
        }
        Ok((all_lefts, all_rights))
    }

    /// Returns the last row before each of the windows of these left rows that meets the condition, by left row.
    fn last_before(&self, filter: &Compiled, windows: &[Window], rows: Vec<usize>) -> Result<Vec<(usize, usize)>> {
        let place = |row: usize| {
            let Window { rows, of_key, low, high } = &windows[row];
            // a window that ends before it begins leaves out what lies at its beginning, which is then the last one
            let at_low = (rows.start..of_key.end).take_while(|right| self.right.arranged.time(*right) == *low);
            (row, rows.start + if high < low { at_low.count() } else { 0 })
        };
        let mut waiting: Vec<(usize, usize)> =
            rows.into_iter().map(place).filter(|(row, end)| *end > windows[*row].of_key.start).collect();
        let (mut found, mut width) = (Vec::new(), 1);
        while !waiting.is_empty() {
            let back = |(row, end): &(usize, usize)| windows[*row].of_key.start.max(end.saturating_sub(width))..*end;
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            for wait in &waiting {
                let looked_at = back(wait);
                lefts.extend(std::iter::repeat_n(wait.0 as u32, looked_at.len()));
                rights.extend(looked_at.map(|right| right as u32));
            }
            let met = self.test(filter, &lefts, &rights)?;
            let (mut at, mut still) = (0, Vec::new());
            for wait in &waiting {
                let looked_at = back(wait);
                let last = (at..at + looked_at.len()).rev().find(|pair| met.value(*pair));
                match last {
                    Some(pair) => found.push((wait.0, rights[pair] as usize)),
                    None if looked_at.start > windows[wait.0].of_key.start => still.push((wait.0, looked_at.start)),
                    None => {}
                }
                at += looked_at.len();
            }
            waiting = still;
            width = (width * 4).min((PAIRS / waiting.len().max(1)).max(1));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Returns whether pairs meet a condition; NULL is false.
    pub fn test(&self, condition: &Compiled, lefts: &[u32], rights: &[u32]) -> Result<BooleanArray> {
        let value = self.value(condition, lefts, rights)?;
        let flags = value.as_boolean();
        Ok(match value.nulls() {
            Some(nulls) => BooleanArray::new(flags.values() & nulls.inner(), None),
            None => flags.clone(),
        })
    }

    /// Returns the value of an expression for each pair.
    pub fn value(&self, compiled: &Compiled, lefts: &[u32], rights: &[u32]) -> Result<ArrayRef> {
        let (lefts, rights) = (UInt32Array::from(lefts.to_vec()), UInt32Array::from(rights.to_vec()));
        let column = |place: &usize| match place.checked_sub(self.left_columns) {
            None => take(self.left.column(*place), &lefts, None),
            Some(place) => take(self.right.rows.column(place), &rights, None),
        };
        let columns = compiled.places.iter().map(column).collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(lefts.len()));
        let batch = RecordBatch::try_new_with_options(compiled.schema.clone(), columns, &options)?;
        compiled.expr.evaluate(&batch)?.into_array(lefts.len())
    }
}
