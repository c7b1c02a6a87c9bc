//! The rows of a filled SAMPLE BY, made in order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, TimestampMicrosecondArray, UInt64Array, new_null_array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options, interleave, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::cast::as_float64_array;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::MemoryReservation;

use super::{FillWith, Span};
use crate::exec::column_place::{columns, times};
use crate::exec::key_index::KeyIndex;

/// A filled column: where it stands, what fills it, and for LINEAR its values as doubles.
struct Filled {
    place: usize,
    with: FillWith,
    numbers: Option<Float64Array>,
}

pub struct Filler {
    rows: RecordBatch,
    schema: SchemaRef,
    time: usize,
    /// The input's buckets.
    bucket_times: ScalarBuffer<i64>,
    keys: Vec<usize>,
    filled: Vec<Filled>,
    span: Span,
    /// Rows of each key, ascending by time.
    rows_of_key: Vec<Vec<usize>>,
    /// How many rows of each key lie before the next row to come out.
    passed: Vec<usize>,
    /// The first row of the input that has not come out.
    next_input: usize,
    /// The bucket and key of the next row to come out; `None` at the end.
    next_bucket_us: Option<i64>,
    next_key: usize,
    last_bucket_us: Option<i64>,
    /// Keeps the input charged as long as it lives.
    _reservation: MemoryReservation,
}

/// One row to come out.
#[derive(Clone, Copy)]
struct Place {
    bucket_us: i64,
    key: usize,
    /// The input's row of this bucket and key.
    row: Option<usize>,
    /// How many rows of the key lie in earlier buckets.
    passed: usize,
}

impl Filler {
    #[expect(clippy::too_many_arguments, reason = "one call; the parts of the plan and what it charges")]
    pub fn try_new(
        rows: RecordBatch,
        schema: SchemaRef,
        time: usize,
        keys: &[usize],
        fills: Vec<(usize, FillWith)>,
        span: Span,
        mut index: KeyIndex,
        reservation: MemoryReservation,
    ) -> Result<Filler> {
        if times(&rows, time).null_count() > 0 {
            return exec_err!("SAMPLE BY: timestamp {} is null in some row", schema.field(time).name());
        }
        let row_keys = index.read(&columns(&rows, keys))?;
        let mut rows_of_key: Vec<Vec<usize>> = Vec::new();
        reservation.try_grow(rows.num_rows() * size_of::<usize>())?;
        for row in 0..rows.num_rows() {
            let key = index.add(&row_keys, row)?;
            if key == rows_of_key.len() {
                rows_of_key.push(Vec::new());
            }
            rows_of_key[key].push(row);
        }
        if rows_of_key.is_empty() && keys.is_empty() {
            // Without keys there is one series, also when it has no row at all.
            rows_of_key.push(Vec::new());
        }
        let filled = fills.into_iter().map(|(place, with)| filled(&rows, place, with)).collect::<Result<Vec<_>>>()?;
        let bucket_times = times(&rows, time).values().clone();
        let (first, last) = (bucket_times.first().copied(), bucket_times.last().copied());
        let grid = match first {
            Some(first_us) if span.since_first => span.grid.with_origin(first_us),
            _ => span.grid,
        };
        let span = Span { grid, ..span };
        let first = span.from_us.map(|from_us| span.grid.floor(from_us)).into_iter().chain(first).min();
        let last = match span.to_us {
            Some(to_us) => Some(span.grid.floor(to_us.saturating_sub(1))),
            None => last,
        };
        let passed = vec![0; rows_of_key.len()];
        let next_bucket_us = if rows_of_key.is_empty() { None } else { first.filter(|first| Some(*first) <= last) };
        let keys = keys.to_vec();
        Ok(Filler {
            rows,
            schema,
            time,
            bucket_times,
            keys,
            filled,
            span,
            rows_of_key,
            passed,
            next_input: 0,
            next_bucket_us,
            next_key: 0,
            last_bucket_us: last,
            _reservation: reservation,
        })
    }

    /// Returns up to `batch_size` further rows, `None` at the end.
    pub fn next(&mut self, batch_size: usize) -> Result<Option<RecordBatch>> {
        let mut places = Vec::new();
        while places.len() < batch_size {
            let Some(place) = self.next_place() else { break };
            places.push(place);
        }
        if places.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        let buckets = TimestampMicrosecondArray::from_iter_values(places.iter().map(|place| place.bucket_us));
        columns[self.time] = Some(Arc::new(buckets));
        // Each key is spelled as in its first row.
        let first_rows = UInt64Array::from_iter_values(
            places.iter().filter_map(|place| self.rows_of_key[place.key].first()).map(|row| *row as u64),
        );
        for key in &self.keys {
            columns[*key] = Some(take(self.rows.column(*key), &first_rows, None)?);
        }
        for filled in &self.filled {
            columns[filled.place] = Some(self.values(filled, &places)?);
        }
        let columns = columns.into_iter().map(|column| column.expect("each column is the time, a key or filled"));
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())?))
    }

    fn next_place(&mut self) -> Option<Place> {
        let (bucket_us, key) = (self.next_bucket_us?, self.next_key);
        let (rows, passed) = (&self.rows_of_key[key], self.passed[key]);
        let is_now = |row: usize| self.bucket_times[row] == bucket_us;
        let row = rows.get(passed).copied().filter(|row| is_now(*row));
        if row.is_some() {
            self.passed[key] += 1;
            // A bucket with two rows of one key (the planner never makes them) shows both.
            let twice = rows.get(passed + 1).is_some_and(|row| is_now(*row));
            self.next_key = if twice { key } else { key + 1 };
        } else {
            self.next_key += 1;
        }
        if self.next_key == self.rows_of_key.len() {
            self.next_key = 0;
            self.next_bucket_us = self.bucket_after(bucket_us);
        }
        Some(Place { bucket_us, key, row, passed })
    }

    fn bucket_after(&mut self, bucket_us: i64) -> Option<i64> {
        while self.bucket_times.get(self.next_input).is_some_and(|us| *us <= bucket_us) {
            self.next_input += 1;
        }
        let next_us = self.span.grid.next(bucket_us);
        // A row is never lost, even if its bucket were not of this grid.
        let next_us = self.bucket_times.get(self.next_input).map_or(next_us, |us| next_us.min(*us));
        (next_us > bucket_us && Some(next_us) <= self.last_bucket_us).then_some(next_us)
    }

    fn values(&self, filled: &Filled, places: &[Place]) -> Result<ArrayRef> {
        let input = self.rows.column(filled.place);
        let null = new_null_array(input.data_type(), 1);
        let computed = match &filled.with {
            FillWith::Constant(value) => value.to_array()?,
            FillWith::Linear => self.lines(filled, places, input.data_type())?,
            FillWith::Null | FillWith::Prev => new_null_array(input.data_type(), 0),
        };
        let sources: [&dyn Array; 3] = [input.as_ref(), null.as_ref(), computed.as_ref()];
        let source = |(at, place): (usize, &Place)| match (place.row, &filled.with) {
            (Some(row), _) => (0, row),
            (None, FillWith::Null) => (1, 0),
            (None, FillWith::Constant(_)) => (2, 0),
            (None, FillWith::Linear) => (2, at),
            (None, FillWith::Prev) => match place.passed {
                0 => (1, 0),
                passed => (0, self.rows_of_key[place.key][passed - 1]),
            },
        };
        let indices: Vec<(usize, usize)> = places.iter().enumerate().map(source).collect();
        Ok(interleave(&sources, &indices)?)
    }

    fn lines(&self, filled: &Filled, places: &[Place], data_type: &DataType) -> Result<ArrayRef> {
        let Some(numbers) = &filled.numbers else { return Ok(new_null_array(data_type, places.len())) };
        let line: Float64Array = places.iter().map(|place| self.line(numbers, place, data_type.is_integer())).collect();
        // Cutting towards zero is what a cast to a whole number does; what does not fit is NULL.
        Ok(cast_with_options(&line, data_type, &CastOptions { safe: true, ..Default::default() })?)
    }

    /// Returns the value at an empty bucket on the line between the key's rows around it. With keys, buckets outside of
    /// a key's rows lie on the line through its two nearest points, as in the peer; without keys they are NULL.
    fn line(&self, numbers: &Float64Array, place: &Place, whole: bool) -> Option<f64> {
        if place.row.is_some() {
            return None;
        }
        let rows = &self.rows_of_key[place.key];
        let point = |row: usize| {
            let row = *rows.get(row)?;
            numbers.is_valid(row).then(|| (self.bucket_times[row], numbers.value(row)))
        };
        let (first, second) = match place.passed {
            passed if passed > 0 && passed < rows.len() => (point(passed - 1)?, point(passed)?),
            _ if self.keys.is_empty() => return None,
            0 => (point(0)?, point(1)?),
            passed => {
                let (before, last) = (point(passed.checked_sub(2)?)?, point(passed - 1)?);
                // The nearest points of whole numbers are those that were shown, already cut.
                let previous_us = self.span.grid.floor(last.0 - 1).max(before.0);
                let previous = on_line(before, last, previous_us);
                ((previous_us, if whole { previous.trunc() } else { previous }), last)
            }
        };
        Some(on_line(first, second, place.bucket_us))
    }
}

/// Returns the height at `x` of the line through two points (time, value).
fn on_line((x1, y1): (i64, f64), (x2, y2): (i64, f64), x: i64) -> f64 {
    (y1 * (x2 - x) as f64 + y2 * (x - x1) as f64) / (x2 - x1) as f64
}

fn filled(rows: &RecordBatch, place: usize, with: FillWith) -> Result<Filled> {
    let numbers = match with {
        FillWith::Linear => {
            let numbers = cast(rows.column(place), &DataType::Float64)?;
            Some(as_float64_array(&numbers)?.clone())
        }
        _ => None,
    };
    Ok(Filled { place, with, numbers })
}
