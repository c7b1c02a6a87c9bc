//! A result on its way to the client: [`Cursor`].
//!
//! Holds one batch at a time and nothing more of the result; the rest is made while the client reads.

use arrow::array::RecordBatch;
use query::{OutputColumn, Rows};
use tokio::time::Instant;

use super::failure::Stop;
use super::rows::{self, Format, Values};
use super::stream::Output;

/// Rows written between two looks at how much has been gathered.
const ROWS_AT_ONCE: usize = 256;

/// Rows of a statement that have not been sent.
pub struct Cursor {
    rows: Rows,
    formats: Vec<Format>,
    /// A batch and its first row not yet sent.
    batch: Option<(RecordBatch, usize)>,
    last_used: Instant,
}

/// What one fetch sent.
pub struct Fetched {
    pub rows: u64,
    /// Whether the limit was reached before the end of the rows was seen.
    pub suspended: bool,
}

impl Cursor {
    /// Returns a cursor before the first row; a format for each column.
    pub fn new(rows: Rows, formats: Vec<Format>) -> Cursor {
        Cursor { rows, formats, batch: None, last_used: Instant::now() }
    }

    pub fn columns(&self) -> &[OutputColumn] {
        &self.rows.columns
    }

    /// Returns when rows were fetched last.
    pub fn last_used(&self) -> Instant {
        self.last_used
    }

    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    pub fn set_formats(&mut self, formats: Vec<Format>) {
        self.formats = formats;
    }

    /// Lets rows go until `limit` of them or the end, and returns how many.
    pub async fn skip(&mut self, limit: Option<u64>) -> Result<u64, Stop> {
        let mut skipped = 0;
        loop {
            let left = usize::try_from(limit.map_or(u64::MAX, |limit| limit - skipped)).unwrap_or(usize::MAX);
            let Some((batch, first)) = self.batch.take() else {
                match self.rows.next().await? {
                    Some(batch) if left > 0 => self.batch = Some((batch, 0)),
                    batch => {
                        self.batch = batch.map(|batch| (batch, 0));
                        return Ok(skipped);
                    }
                }
                continue;
            };
            let end = batch.num_rows().min(first.saturating_add(left));
            skipped += (end - first) as u64;
            if end < batch.num_rows() {
                self.batch = Some((batch, end));
                self.last_used = Instant::now();
                return Ok(skipped);
            }
        }
    }

    /// Sends rows until `limit` of them or the end. A limit reached with the last row counts as suspended, as in
    /// PostgreSQL: the end is found by the next fetch.
    pub async fn fetch(&mut self, limit: Option<u64>, output: &mut Output) -> Result<Fetched, Stop> {
        let mut sent = 0;
        loop {
            let left = limit.map_or(u64::MAX, |limit| limit - sent);
            if left == 0 {
                self.last_used = Instant::now();
                return Ok(Fetched { rows: sent, suspended: true });
            }
            let Some((batch, first)) = &mut self.batch else {
                match self.rows.next().await? {
                    None => return Ok(Fetched { rows: sent, suspended: false }),
                    Some(batch) => self.batch = Some((batch, 0)),
                }
                continue;
            };
            let values = Values::of(batch, &self.rows.columns)?;
            let end = batch.num_rows().min(first.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
            while *first < end {
                let stop = end.min(*first + ROWS_AT_ONCE);
                for row in *first..stop {
                    rows::write_row(output.buffer(), row, &values, &self.formats);
                }
                sent += (stop - *first) as u64;
                *first = stop;
                output.flush_if_full().await?;
            }
            if end == batch.num_rows() {
                self.batch = None;
            }
        }
    }
}
