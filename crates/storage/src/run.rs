//! What a query reads of a table: [`Run`], contiguous rows sorted by the designated timestamp, from a segment or a memtable
//! chunk alike.
//!
//! A run knows its Seq range and time range without touching its data; [`Run::open`] gives the columns. Delete masks join
//! here when segments get delete vectors. Next: [`crate::merge`], the scan over runs.

use std::sync::Arc;

use arrow_array::ArrayRef;
use types::{ColumnId, PartitionKey, Seq};

use crate::Result;
use crate::chunk::Chunk;
use crate::segment::{Segment, SegmentHandle};
use crate::window::window;

/// Contiguous rows of one table, sorted by the designated timestamp (by arrival when there is none).
#[derive(Clone)]
pub struct Run {
    pub partition: PartitionKey,
    pub first_seq: Seq,
    pub last_seq: Seq,
    /// Bounds of the designated timestamp in microseconds; the whole range of i64 when the table has none.
    pub ts_min: i64,
    pub ts_max: i64,
    rows: usize,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Segment(Arc<SegmentHandle>),
    Chunk(Arc<Chunk>),
}

impl Run {
    /// Returns the rows of a segment. The file is not touched.
    pub fn of_segment(partition: PartitionKey, segment: Arc<SegmentHandle>) -> Run {
        let meta = segment.meta().clone();
        Run {
            partition,
            first_seq: meta.first_seq,
            last_seq: meta.last_seq,
            ts_min: meta.ts_min_us,
            ts_max: meta.ts_max_us,
            rows: meta.rows as usize,
            source: Source::Segment(segment),
        }
    }

    /// Returns the rows of a sorted chunk, all of one partition.
    pub fn of_chunk(partition: PartitionKey, chunk: Arc<Chunk>) -> Run {
        debug_assert!(chunk.sorted, "runs are sorted");
        Run {
            partition,
            first_seq: chunk.first_seq,
            last_seq: chunk.last_seq,
            ts_min: chunk.ts_min,
            ts_max: chunk.ts_max,
            rows: chunk.rows,
            source: Source::Chunk(chunk),
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the run with its data at hand; a segment is mapped now.
    ///
    /// # Errors
    /// As [`Segment::open`].
    pub fn open(&self) -> Result<OpenRun> {
        let data = match &self.source {
            Source::Segment(handle) => Data::Segment(handle.open()?),
            Source::Chunk(chunk) => Data::Chunk(chunk.clone()),
        };
        Ok(OpenRun { data, rows: self.rows })
    }
}

/// A run whose columns can be read.
pub struct OpenRun {
    data: Data,
    rows: usize,
}

enum Data {
    Segment(Arc<Segment>),
    Chunk(Arc<Chunk>),
}

impl OpenRun {
    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns a column of all rows; None when the run lacks it: then it is NULL (false, 0) in every row.
    ///
    /// # Errors
    /// As [`Segment::column`].
    pub fn column(&self, id: ColumnId) -> Result<Option<ArrayRef>> {
        self.chunked(id, 0, self.rows())
    }

    /// Returns a column of some rows, charged with these rows only (see [`crate::window`]).
    ///
    /// # Errors
    /// As [`Segment::column`].
    ///
    /// # Panics
    /// When `offset + len` is beyond the rows.
    pub fn chunked(&self, id: ColumnId, offset: usize, len: usize) -> Result<Option<ArrayRef>> {
        Ok(self.whole(id)?.map(|array| window(&array, offset, len)))
    }

    /// Returns a column of all rows as it is kept, to copy rows from: it may be charged with more than its rows.
    ///
    /// # Errors
    /// As [`Segment::column`].
    pub fn whole(&self, id: ColumnId) -> Result<Option<ArrayRef>> {
        match &self.data {
            Data::Segment(segment) => segment.column(id),
            Data::Chunk(chunk) => Ok(chunk.column(id).cloned()),
        }
    }
}
