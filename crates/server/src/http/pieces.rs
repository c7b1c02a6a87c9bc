//! The rows of an answer as JSON, batch by batch in their order: [`Pieces`].
//!
//! Where batches come faster than one thread writes them, others write those that come next at the same time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use query::SqlError;
use query::kind::Kind;
use tokio::task::JoinHandle;

use super::cells::Cells;

/// Batches that are written at the same time.
const AT_ONCE: usize = 2;
/// A batch of fewer values is sooner written than another thread wakes.
const MANY_VALUES: usize = 4096;
/// What a value takes, about, before any was written.
const VALUE_BYTES: usize = 16;

/// What has come and was not sent.
pub struct Pieces {
    /// Which columns are shown, and of which kind they are.
    columns: Arc<[(usize, Kind)]>,
    quote_longs: bool,
    /// What stands before the first row, until it is sent.
    head: Vec<u8>,
    /// A row stands before the next one.
    comma: bool,
    /// Bytes that a row takes, by those written last; at first a guess.
    row_bytes: usize,
    waiting: VecDeque<Piece>,
}

/// The rows of one batch.
enum Piece {
    Batch(Batch),
    /// Another thread writes it.
    Elsewhere {
        rows: usize,
        text: JoinHandle<Written>,
    },
}

struct Batch {
    columns: Arc<[(usize, Kind)]>,
    quote_longs: bool,
    batch: RecordBatch,
    rows: Range<usize>,
    comma: bool,
    /// Where the text goes, behind what is there.
    out: Vec<u8>,
}

/// Text, up to what went wrong.
pub struct Written {
    pub text: Vec<u8>,
    pub error: Option<SqlError>,
}

impl Pieces {
    /// Returns no rows yet; `head` stands before the first.
    pub fn new(head: Vec<u8>, columns: Arc<[(usize, Kind)]>, quote_longs: bool) -> Pieces {
        let row_bytes = columns.len() * VALUE_BYTES;
        Pieces { columns, quote_longs, head, comma: false, row_bytes, waiting: VecDeque::new() }
    }

    /// Returns whether another batch may be written beside those that are here.
    pub fn have_room(&self) -> bool {
        self.waiting.len() < AT_ONCE
    }

    /// Returns whether all that came was written.
    pub fn are_none(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns what stands before the first row, once.
    pub fn head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Adds rows of a batch.
    pub fn add(&mut self, batch: RecordBatch, rows: Range<usize>) {
        let comma = self.comma;
        self.comma |= !rows.is_empty();
        let (columns, quote_longs, out) = (self.columns.clone(), self.quote_longs, self.head());
        self.waiting.push_back(Piece::Batch(Batch { columns, quote_longs, batch, rows, comma, out }));
    }

    /// Returns the text of the next batch; None when there is none.
    pub async fn next(&mut self) -> Option<Written> {
        for piece in self.waiting.iter_mut().skip(1) {
            piece.begin_elsewhere(self.row_bytes);
        }
        let (rows, head, written) = match self.waiting.pop_front()? {
            Piece::Batch(batch) => (batch.rows.len(), batch.out.len(), batch.written(self.row_bytes)),
            Piece::Elsewhere { rows, text } => {
                let lost = |error| Written {
                    text: Vec::new(),
                    error: Some(SqlError::internal(format!("the thread that wrote rows ended: {error}"))),
                };
                (rows, 0, text.await.unwrap_or_else(lost))
            }
        };
        if let Some(bytes) = written.text.len().saturating_sub(head).checked_div(rows) {
            self.row_bytes = bytes + 1;
        }
        Some(written)
    }
}

impl Piece {
    /// Lets another thread write the batch, if that is worth it.
    fn begin_elsewhere(&mut self, row_bytes: usize) {
        let Piece::Batch(batch) = self else { return };
        let rows = batch.rows.len();
        if rows * batch.columns.len() < MANY_VALUES {
            return;
        }
        let batch = Batch {
            columns: batch.columns.clone(),
            out: std::mem::take(&mut batch.out),
            batch: batch.batch.clone(),
            rows: batch.rows.clone(),
            ..*batch
        };
        *self = Piece::Elsewhere { rows, text: tokio::spawn(async move { batch.written(row_bytes) }) };
    }
}

impl Batch {
    fn written(self, row_bytes: usize) -> Written {
        let mut out = self.out;
        let cells = self.columns.iter().map(|&(column, kind)| Cells::new(kind, self.batch.column(column)));
        let cells: Vec<Cells<'_>> = match cells.collect() {
            Ok(cells) => cells,
            Err(error) => return Written { text: out, error: Some(error) },
        };
        out.reserve(self.rows.len() * row_bytes);
        let mut comma = self.comma;
        for row in self.rows {
            out.extend_from_slice(if comma { b",[" } else { b"[" });
            comma = true;
            for (i, cells) in cells.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                cells.json(&mut out, row, self.quote_longs);
            }
            out.push(b']');
        }
        Written { text: out, error: None }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn batch(rows: Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
        RecordBatch::try_from_iter([("l", column)]).expect("a column")
    }

    /// Returns the text of batches that end at these rows, so many of which are there before the next is written.
    async fn written(ends: &[i64], ahead: usize) -> String {
        let mut pieces = Pieces::new(b"head".to_vec(), Arc::new([(0, Kind::Long)]), false);
        let (mut text, mut start, mut ends) = (Vec::new(), 0, ends.iter());
        loop {
            while pieces.waiting.len() < ahead
                && let Some(end) = ends.next()
            {
                pieces.add(batch(start..*end), 0..(end - start) as usize);
                start = *end;
            }
            let Some(next) = pieces.next().await else { break };
            assert!(next.error.is_none());
            text.extend(next.text);
        }
        assert!(pieces.are_none());
        String::from_utf8(text).expect("text")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_come_in_their_order_whoever_writes_them() {
        let rows: Vec<String> = (0..20_000).map(|row| format!("[{row}]")).collect();
        let expected = format!("head{}", rows.join(","));
        for ends in [&[20_000][..], &[0, 5, 5_000, 12_000, 12_001, 20_000], &[5_000, 10_000, 15_000, 15_000, 20_000]] {
            for ahead in 1..5 {
                assert_eq!(written(ends, ahead).await, expected, "{ends:?}, {ahead}");
            }
        }
    }
}
