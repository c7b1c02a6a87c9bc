//! From spans to arrays: [`one`] hands a span out as it is, [`many`] copies rows of several together.

use arrow_array::{Array, ArrayRef};
use types::{ColumnId, ColumnType};

use super::Span;
use super::spans::Spans;
use crate::arrow_type::absent_column;
use crate::run::OpenRun;
use crate::{Error, Result};

/// Returns a column of one span's rows, without copying.
pub(super) fn one(run: &OpenRun, span: Span, id: ColumnId, column_type: ColumnType) -> Result<ArrayRef> {
    let present = run.chunked(id, span.start, span.len)?;
    Ok(present.unwrap_or_else(|| absent_column(column_type, span.len)))
}

/// Spans of fewer rows on average are gathered row by row, longer ones copied as stretches.
const LONG_ROWS: usize = 32;

/// Returns the columns of several spans' rows, in their order. `slots` is kept between calls: a number for each run.
pub(super) fn many(
    spans: &Spans,
    taken: &[Span],
    columns: &[(ColumnId, ColumnType)],
    slots: &mut Vec<usize>,
) -> Result<Vec<ArrayRef>> {
    let rows: usize = taken.iter().map(|s| s.len).sum();
    if rows >= taken.len() * LONG_ROWS {
        return columns.iter().map(|&(id, column_type)| stretches(spans, taken, id, column_type)).collect();
    }
    slots.resize(spans.runs(), usize::MAX);
    let mut runs: Vec<&OpenRun> = Vec::new();
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(rows);
    for span in taken {
        let slot = &mut slots[span.order];
        if *slot == usize::MAX {
            *slot = runs.len();
            runs.push(spans.run(span.order));
        }
        let slot = *slot;
        places.extend((span.start..span.start + span.len).map(|row| (slot, row)));
    }
    taken.iter().for_each(|span| slots[span.order] = usize::MAX);
    columns.iter().map(|&(id, column_type)| single_rows(&runs, &places, id, column_type)).collect()
}

/// Copies rows one by one from the runs' whole columns.
fn single_rows(
    runs: &[&OpenRun],
    places: &[(usize, usize)],
    id: ColumnId,
    column_type: ColumnType,
) -> Result<ArrayRef> {
    let mut lacking = vec![false; runs.len()];
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(runs.len());
    for (run, lacks) in runs.iter().zip(&mut lacking) {
        let whole = run.whole(id)?;
        *lacks = whole.is_none();
        arrays.push(whole.unwrap_or_else(|| absent_column(column_type, 1)));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
    let gathered = if lacking.contains(&true) {
        // One missing value stands for all of a run.
        let places: Vec<_> = places.iter().map(|&(slot, row)| (slot, if lacking[slot] { 0 } else { row })).collect();
        arrow_select::interleave::interleave(&arrays, &places)
    } else {
        arrow_select::interleave::interleave(&arrays, places)
    };
    gathered.map_err(|e| Error::Invalid(format!("rows of column {id} cannot be put together: {e}")))
}

/// Copies stretches of rows one after the other.
fn stretches(spans: &Spans, taken: &[Span], id: ColumnId, column_type: ColumnType) -> Result<ArrayRef> {
    let slice = |span: &Span| -> Result<ArrayRef> {
        let whole = spans.run(span.order).whole(id)?;
        Ok(whole.map_or_else(|| absent_column(column_type, span.len), |array| array.slice(span.start, span.len)))
    };
    let arrays: Vec<ArrayRef> = taken.iter().map(slice).collect::<Result<_>>()?;
    let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
    arrow_select::concat::concat(&arrays)
        .map_err(|e| Error::Invalid(format!("rows of column {id} cannot be put together: {e}")))
}
