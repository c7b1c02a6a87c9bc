//! The rows of a morsel as operators read them: [`Block`].

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, SchemaRef};
use datafusion::error::Result;
use storage::run::OpenRun;
use storage::segment::LastRows;

use super::work::{Reading, failed};
use crate::provider::shown;

pub(super) mod zones;

pub use zones::{BlockZones, Bounds, Values, ZONE_ROWS};

/// Which rows of a block count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    All,
    /// Rising.
    Rows(Vec<u32>),
}

impl Selection {
    /// Returns the values of the rows that count.
    pub fn picked<T: ArrowNativeType>(&self, values: ScalarBuffer<T>) -> ScalarBuffer<T> {
        match self {
            Selection::All => values,
            Selection::Rows(rows) => rows.iter().map(|row| values[*row as usize]).collect(),
        }
    }
}

/// Rows as they are stored: symbols are codes (Int32; the NULL has no valid code), CHAR a unit (UInt16), texts Utf8, all
/// others as expressions see them. Columns are slices of larger arrays: what leaves for a plain operator is copied or comes from
/// [`Block::batch`].
pub struct Block {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) rows: usize,
    pub(super) selection: Selection,
    /// Of which run these are rows, from which on, where they lie as they are stored.
    pub(super) run: Option<(Arc<OpenRun>, usize)>,
    pub(super) reading: Arc<Reading>,
}

impl Block {
    /// Returns the number of rows, those that do not count among them.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of rows that count.
    pub fn selected_rows(&self) -> usize {
        match &self.selection {
            Selection::All => self.rows,
            Selection::Rows(rows) => rows.len(),
        }
    }

    /// Returns which rows count.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Returns a column of all rows as it is stored.
    pub fn column(&self, place: usize) -> &ArrayRef {
        &self.columns[place]
    }

    /// Returns the columns of all rows as they are stored.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Returns what is known of stretches of a column; None where nothing is. Rows that do not count are among them.
    pub fn zones(&self, place: usize) -> Result<Option<BlockZones>> {
        let Some((run, start)) = &self.run else { return Ok(None) };
        let zones = run.zones(self.reading.columns[place].0, zones::ZONE_ROWS).map_err(failed)?;
        Ok(zones.map(|zones| BlockZones::new(zones, *start, self.rows)))
    }

    /// Returns the last row of each code of a symbol column, where the block is a whole segment that knows them; rows that do not
    /// count are among them.
    pub fn last_rows(&self, place: usize) -> Result<Option<Arc<LastRows>>> {
        match &self.run {
            Some((run, 0)) if run.rows() == self.rows => run.last_rows(self.reading.columns[place].0).map_err(failed),
            _ => Ok(None),
        }
    }

    /// Returns what [`Block::last_rows`] does where somebody has asked for them before.
    pub fn known_last_rows(&self, place: usize) -> Option<Arc<LastRows>> {
        match &self.run {
            Some((run, 0)) if run.rows() == self.rows => run.known_last_rows(self.reading.columns[place].0),
            _ => None,
        }
    }

    /// Returns some of the rows as a block.
    pub(super) fn part(&self, rows: Range<usize>) -> Block {
        let selection = match &self.selection {
            Selection::All => Selection::All,
            Selection::Rows(counted) => {
                let place = |end: usize| counted.partition_point(|row| (*row as usize) < end);
                let counted = &counted[place(rows.start)..place(rows.end)];
                Selection::Rows(counted.iter().map(|row| row - rows.start as u32).collect())
            }
        };
        let columns = self.columns.iter().map(|column| column.slice(rows.start, rows.len())).collect();
        let run = self.run.as_ref().map(|(run, start)| (run.clone(), start + rows.start));
        Block { columns, rows: rows.len(), selection, run, reading: self.reading.clone() }
    }

    /// Returns a column of all rows as expressions see it.
    pub fn shown(&self, place: usize) -> Result<ArrayRef> {
        self.seen(place, self.columns[place].clone())
    }

    /// Returns a column of the rows that count as expressions see it; texts are made for these rows only.
    pub fn selected(&self, place: usize) -> Result<ArrayRef> {
        match &self.selection {
            Selection::All => self.shown(place),
            Selection::Rows(rows) => self.picked(place, &UInt32Array::from(rows.clone())),
        }
    }

    /// Returns a column of these rows as expressions see it.
    pub fn picked(&self, place: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        self.seen(place, take(&self.columns[place], rows, None)?)
    }

    /// Returns columns of the rows that count as one batch; `schema` has those columns of the source's.
    pub fn batch(&self, places: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
        self.batch_of(0, self.selected_rows(), places, schema)
    }

    /// As [`Block::batch`], in batches of at most `rows` rows, each charged with its own rows only.
    pub fn batches<'a>(
        &'a self,
        places: &'a [usize],
        schema: &'a SchemaRef,
        rows: usize,
    ) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
        let all = self.selected_rows();
        let starts = (0..all).step_by(rows.max(1));
        starts.map(move |start| self.batch_of(start, rows.min(all - start), places, schema))
    }

    /// Returns `len` of the rows that count, from the `start`-th.
    fn batch_of(&self, start: usize, len: usize, places: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
        let rows = match &self.selection {
            Selection::All => None,
            Selection::Rows(rows) => Some(UInt32Array::from(rows[start..start + len].to_vec())),
        };
        let column = |place: &usize| match &rows {
            Some(rows) => self.picked(*place, rows),
            None => self.seen(*place, storage::window(&self.columns[*place], start, len)),
        };
        let columns = places.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(len));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
    }

    fn seen(&self, place: usize, stored: ArrayRef) -> Result<ArrayRef> {
        let dictionary = self.reading.dictionaries[place].as_deref();
        shown(stored, dictionary, self.reading.schema.field(place).data_type())
    }

    /// Returns the block with the rows only that meet the conjuncts.
    pub(super) fn conjoined(mut self) -> Result<Block> {
        let reading = self.reading.clone();
        if let Some(selection) = reading.conjuncts.select(&self)? {
            self.selection = selection;
        }
        Ok(self)
    }
}
