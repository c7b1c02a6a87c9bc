//! What a query reads of a table: [`Run`], contiguous rows sorted by the designated timestamp, from a segment or a memtable
//! chunk alike.
//!
//! A run knows its Seq range and time range without touching its data; [`Run::open`] gives the columns and which rows are
//! dead. Next: [`crate::merge`], the scan over runs.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use roaring::RoaringBitmap;
use types::{ColumnId, ColumnType, PartitionKey, Seq};

use crate::Result;
use crate::segment::{LastRows, Segment, SegmentHandle, Zones};
use crate::window::window;

mod sorted_chunk;

pub use sorted_chunk::SortedChunk;

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
    /// Rows that are dead beside those of the segment's own delete vector, or instead of them.
    dead: Option<Arc<RoaringBitmap>>,
}

#[derive(Clone)]
enum Source {
    Segment(Arc<SegmentHandle>),
    Chunk(Arc<SortedChunk>),
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
            dead: None,
        }
    }

    /// Returns the rows of a sorted chunk, all of one partition.
    pub fn of_chunk(partition: PartitionKey, sorted: Arc<SortedChunk>) -> Run {
        let chunk = sorted.chunk();
        Run {
            partition,
            first_seq: chunk.first_seq,
            last_seq: chunk.last_seq,
            ts_min: chunk.ts_min,
            ts_max: chunk.ts_max,
            rows: chunk.rows,
            source: Source::Chunk(sorted),
            dead: None,
        }
    }

    /// Returns the run with these dead rows; of a segment they are all, those of its delete vector among them.
    pub fn with_dead(self, dead: Arc<RoaringBitmap>) -> Run {
        Run { dead: Some(dead), ..self }
    }

    /// Returns the number of rows, dead ones counted.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of rows that are not dead.
    pub fn live_rows(&self) -> usize {
        let dead = match (&self.dead, &self.source) {
            (Some(dead), _) => dead.len(),
            (None, Source::Segment(segment)) => segment.meta().dead.as_ref().map_or(0, |dead| dead.rows),
            (None, Source::Chunk(_)) => 0,
        };
        self.rows - dead as usize
    }

    /// Returns the dead rows; None when there are none.
    ///
    /// # Errors
    /// As [`SegmentHandle::dead`].
    pub fn dead(&self) -> Result<Option<Arc<RoaringBitmap>>> {
        match (&self.dead, &self.source) {
            (Some(dead), _) => Ok(Some(dead.clone())),
            (None, Source::Segment(segment)) => segment.dead(),
            (None, Source::Chunk(_)) => Ok(None),
        }
    }

    /// Returns whether any row may be NULL in a column, without touching its data. A column that the run lacks is NULL in all.
    pub fn may_be_null(&self, id: ColumnId) -> bool {
        match &self.source {
            Source::Segment(segment) => segment.meta().column(id).is_none_or(|column| column.null_count > 0),
            Source::Chunk(sorted) => sorted.chunk().column(id).is_none_or(|column| column.null_count() > 0),
        }
    }

    /// Returns what is known of a column without touching it; None where nothing is.
    pub fn known(&self, id: ColumnId) -> Option<Known> {
        let Source::Segment(segment) = &self.source else { return None };
        Some(match segment.meta().column(id) {
            Some(column) => Known { min: column.min, max: column.max, nulls: column.null_count },
            None => Known { min: None, max: None, nulls: self.rows as u64 },
        })
    }

    /// Returns whether these columns can be read without mapping a file or looking through it first.
    pub fn is_at_hand(&self, mut columns: impl Iterator<Item = ColumnId>) -> bool {
        match &self.source {
            Source::Chunk(_) => true,
            Source::Segment(handle) => handle.opened().is_some_and(|open| columns.all(|id| open.is_checked(id))),
        }
    }

    /// Returns how many bytes a first look at these columns will read from a file; 0 where they were read before, or are in memory.
    pub fn unread_bytes(&self, columns: &[ColumnId]) -> u64 {
        match &self.source {
            Source::Chunk(_) => 0,
            Source::Segment(handle) => handle.unread_bytes(columns),
        }
    }

    /// Returns whether zones of so many rows are known of all these columns without touching one.
    pub fn has_zones(&self, columns: &[ColumnId], zone_rows: usize) -> bool {
        match &self.source {
            Source::Chunk(_) => false,
            Source::Segment(handle) => {
                handle.open().is_ok_and(|segment| columns.iter().all(|id| segment.has_zones(*id, zone_rows)))
            }
        }
    }

    /// Has the system fetch what a first look at these columns will read, without waiting for it.
    pub fn will_read(&self, columns: &[ColumnId]) {
        if let Source::Segment(handle) = &self.source {
            handle.will_read(columns);
        }
    }

    /// Returns the run with its data at hand; a segment is mapped now.
    ///
    /// # Errors
    /// As [`Segment::open`] and [`Run::dead`].
    pub fn open(&self) -> Result<OpenRun> {
        let dead = self.dead()?.filter(|dead| !dead.is_empty());
        let data = match &self.source {
            Source::Segment(handle) => Data::Segment(handle.open()?),
            Source::Chunk(sorted) => Data::Chunk(sorted.clone()),
        };
        Ok(OpenRun { data, rows: self.rows, dead })
    }
}

/// What a segment's description says of the values of a column, dead rows' among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Least and greatest value of integers, times and of the codes of SYMBOL; None when all rows are NULL or the type has no bounds.
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub nulls: u64,
}

/// A run whose columns can be read.
pub struct OpenRun {
    data: Data,
    rows: usize,
    dead: Option<Arc<RoaringBitmap>>,
}

enum Data {
    Segment(Arc<Segment>),
    Chunk(Arc<SortedChunk>),
}

impl OpenRun {
    /// Returns the number of rows, dead ones counted.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the dead rows; None when there are none.
    pub fn dead(&self) -> Option<&RoaringBitmap> {
        self.dead.as_deref()
    }

    /// Returns the first stretch of live rows in a range, if there is one.
    pub fn live_stretch(&self, rows: Range<usize>) -> Option<Range<usize>> {
        let Some(dead) = &self.dead else { return (!rows.is_empty()).then_some(rows) };
        let end = rows.end as u32;
        let mut start = rows.start as u32;
        let mut gone = dead.range(start..end);
        for row in &mut gone {
            if row > start {
                return Some(start as usize..row as usize);
            }
            start = row + 1;
        }
        (start < end).then_some(start as usize..rows.end)
    }

    /// Returns the type of a column; None when the run lacks it.
    pub fn column_type(&self, id: ColumnId) -> Option<ColumnType> {
        match &self.data {
            Data::Segment(segment) => segment.meta().column(id).map(|c| c.column_type),
            Data::Chunk(sorted) => sorted.chunk().columns.iter().find(|(column, ..)| *column == id).map(|(_, t, _)| *t),
        }
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
            Data::Chunk(sorted) => Ok(sorted.chunk().column(id).cloned()),
        }
    }

    /// Returns what is known of stretches of `zone_rows` rows of a column; None where nothing is, as of rows in memory.
    ///
    /// # Errors
    /// As [`Segment::column`].
    pub fn zones(&self, id: ColumnId, zone_rows: usize) -> Result<Option<Arc<Zones>>> {
        match &self.data {
            Data::Segment(segment) => segment.zones(id, zone_rows),
            Data::Chunk(_) => Ok(None),
        }
    }

    /// Returns the last row of each code of a SYMBOL column, dead rows among them; None where there are too many codes for the rows.
    ///
    /// # Errors
    /// As [`Segment::column`].
    pub fn last_rows(&self, id: ColumnId) -> Result<Option<Arc<LastRows>>> {
        match &self.data {
            Data::Segment(segment) => segment.last_rows(id),
            Data::Chunk(sorted) => Ok(sorted.last_rows(id)),
        }
    }

    /// Returns what [`OpenRun::last_rows`] does if somebody has asked for them before.
    pub fn known_last_rows(&self, id: ColumnId) -> Option<Arc<LastRows>> {
        match &self.data {
            Data::Segment(segment) => segment.known_last_rows(id),
            Data::Chunk(sorted) => sorted.known_last_rows(id),
        }
    }
}
