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

/// Returns the columns of several spans' rows, in their order.
pub(super) fn many(spans: &Spans, taken: &[Span], columns: &[(ColumnId, ColumnType)]) -> Result<Vec<ArrayRef>> {
    // Per run the rows from its first to its last span: spans of one run only move forward.
    let mut parts: Vec<Span> = Vec::new();
    let mut slots: Vec<usize> = vec![usize::MAX; spans.runs()];
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(taken.iter().map(|s| s.len).sum());
    for span in taken {
        let mut slot = slots[span.order];
        if slot == usize::MAX {
            slot = parts.len();
            slots[span.order] = slot;
            parts.push(*span);
        }
        let part = &mut parts[slot];
        part.len = span.start + span.len - part.start;
        rows.extend((span.start - part.start..part.len).map(|row| (slot, row)));
    }
    let gather = |&(id, column_type): &(ColumnId, ColumnType)| {
        let of_part = |part: &Span| one(spans.run(part.order), *part, id, column_type);
        let arrays: Vec<ArrayRef> = parts.iter().map(of_part).collect::<Result<_>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
        arrow_select::interleave::interleave(&arrays, &rows)
            .map_err(|e| Error::Invalid(format!("rows of column {id} cannot be put together: {e}")))
    };
    columns.iter().map(gather).collect()
}
