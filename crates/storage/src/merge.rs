//! A table's rows in time order: [`TableScan`] over runs that may overlap.
//!
//! Rows come in the order of the designated timestamp, rows of equal time in the order of arrival; without a designated
//! timestamp all come in the order of arrival. Stretches of one run that no other run reaches into are handed out without
//! copying; where runs interleave, rows are gathered. A segment is mapped when the scan reaches its first moment.
//! [`spans`] decides the order, [`gather`] makes the arrays.

use arrow_array::ArrayRef;
use types::{ColumnId, ColumnType, TimeRange};

use crate::Result;
use crate::run::Run;

mod gather;
mod spans;

use spans::Spans;
pub(crate) use spans::times as times_of;

/// Rows `start..start + len` of one run, which stand together in the result.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Position of the run in the order of arrival.
    order: usize,
    start: usize,
    len: usize,
}

impl Span {
    /// Cuts the first `len` rows off; what is left stays in `self`.
    fn split_front(&mut self, len: usize) -> Span {
        let front = Span { len, ..*self };
        self.start += len;
        self.len -= len;
        front
    }
}

/// An iterator of chunks of at most `chunk_rows` rows, one array a column, in the order of the columns asked for.
pub struct TableScan {
    columns: Vec<(ColumnId, ColumnType)>,
    chunk_rows: usize,
    /// Spans shorter than this are gathered with others, longer ones are handed out as they are.
    min_rows: usize,
    spans: Spans,
    /// What is left of a span that was handed out in part.
    rest: Option<Span>,
    /// Scratch space of [`gather::many`].
    slots: Vec<usize>,
    failed: bool,
}

impl TableScan {
    /// Returns the scan of runs, which stand in the order of arrival (within a partition by Seq). With a designated timestamp only
    /// rows within `ranges` come, which are disjoint and rising; without one all rows come.
    pub fn new(
        runs: Vec<Run>,
        designated: Option<(ColumnId, ColumnType)>,
        columns: Vec<(ColumnId, ColumnType)>,
        ranges: Vec<TimeRange>,
        chunk_rows: usize,
    ) -> TableScan {
        debug_assert!(ranges.windows(2).all(|w| w[0].end_us <= w[1].start_us), "ranges are disjoint and rising");
        let chunk_rows = chunk_rows.max(1);
        let spans = Spans::new(runs, designated, ranges);
        TableScan {
            columns,
            chunk_rows,
            min_rows: chunk_rows.div_ceil(4),
            spans,
            rest: None,
            slots: Vec::new(),
            failed: false,
        }
    }

    /// Returns spans of together at most `chunk_rows` rows, more than one only if they are short; empty at the end.
    fn next_spans(&mut self) -> Result<Vec<Span>> {
        self.spans.close_finished(self.rest.map(|span| span.order));
        let (mut taken, mut rows) = (Vec::new(), 0);
        while rows < self.chunk_rows {
            let next = match self.rest.take() {
                Some(span) => Some(span),
                None => self.spans.next_span()?,
            };
            let Some(mut span) = next else { break };
            let room = match (taken.is_empty(), span.len >= self.min_rows) {
                (true, _) | (_, false) => self.chunk_rows - rows,
                // Short spans before a long one take only so many of its rows that their chunk is not tiny.
                (false, true) => self.min_rows.saturating_sub(rows),
            };
            let take = room.min(span.len);
            let long = taken.is_empty() && span.len >= self.min_rows;
            if take > 0 {
                taken.push(span.split_front(take));
                rows += take;
            }
            let cut = span.len > 0;
            if cut {
                self.rest = Some(span);
            }
            if cut || long {
                break;
            }
        }
        Ok(taken)
    }

    fn next_chunk(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        let taken = self.next_spans()?;
        let run = |span: &Span| self.spans.run(span.order);
        match taken.as_slice() {
            [] => Ok(None),
            [span] => self
                .columns
                .iter()
                .map(|&(id, t)| gather::one(run(span), *span, id, t))
                .collect::<Result<_>>()
                .map(Some),
            taken => gather::many(&self.spans, taken, &self.columns, &mut self.slots).map(Some),
        }
    }
}

impl Iterator for TableScan {
    type Item = Result<Vec<ArrayRef>>;

    fn next(&mut self) -> Option<Result<Vec<ArrayRef>>> {
        if self.failed {
            return None;
        }
        let next = self.next_chunk();
        self.failed = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
mod tests;
