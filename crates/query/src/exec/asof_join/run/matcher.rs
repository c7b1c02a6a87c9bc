//! Finds the right row of each left row while both sides are read once.

use std::sync::Arc;

use arrow::array::{Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use futures::StreamExt;

use crate::exec::asof_join::AsofSpec;
use crate::exec::column_place::{columns, times, times_ns};
use crate::exec::kept_rows::{KeptRows, RowRef};
use crate::exec::key_index::KeyIndex;

/// The right batch that is being read.
struct Current {
    place: usize,
    /// Holds the batch while it is read, whether or not its rows matter.
    hold: RowRef,
    times: TimestampMicrosecondArray,
    keys: Vec<usize>,
    row: usize,
}

/// The newest right row of a key so far.
#[derive(Clone, Copy)]
struct Newest {
    row: RowRef,
    time_us: i64,
}

pub struct Matcher {
    left: SendableRecordBatchStream,
    right: SendableRecordBatchStream,
    spec: AsofSpec,
    schema: SchemaRef,
    /// Whether a side has nanoseconds: then both are compared in them.
    in_ns: bool,
    index: KeyIndex,
    kept: KeptRows,
    current: Option<Current>,
    right_ended: bool,
    newest: Vec<Option<Newest>>,
    /// The matches of the left batch in work; each holds its row.
    matches: Vec<Option<RowRef>>,
}

impl Matcher {
    pub fn try_new(
        left: SendableRecordBatchStream,
        right: SendableRecordBatchStream,
        spec: AsofSpec,
        schema: SchemaRef,
        operator: String,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Matcher> {
        let reservation = MemoryConsumer::new(operator).with_can_spill(false).register(pool);
        let right_schema = right.schema();
        let types = spec.keys.iter().map(|(_, key)| right_schema.field(*key).data_type().clone()).collect();
        let is_ns = |schema: &SchemaRef, place: usize| {
            *schema.field(place).data_type() == DataType::Timestamp(TimeUnit::Nanosecond, None)
        };
        let in_ns = is_ns(&left.schema(), spec.left_time) || is_ns(&right_schema, spec.right_time);
        Ok(Matcher {
            in_ns,
            index: KeyIndex::try_new(types, reservation.new_empty())?,
            kept: KeptRows::new(right_schema, reservation),
            left,
            right,
            spec,
            schema,
            current: None,
            right_ended: false,
            newest: Vec::new(),
            matches: Vec::new(),
        })
    }

    /// Returns the next left batch with its right columns.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let left = match self.left.next().await {
            Some(batch) => batch?,
            None => return Ok(None),
        };
        let left_keys: Vec<usize> = self.spec.keys.iter().map(|(left, _)| *left).collect();
        let keys = self.index.read(&columns(&left, &left_keys))?;
        let left_times =
            if self.in_ns { times_ns(&left, self.spec.left_time) } else { times(&left, self.spec.left_time) };
        for row in 0..left.num_rows() {
            let found = if left_times.is_valid(row) {
                let time_us = left_times.value(row);
                self.advance(time_us).await?;
                let newest = self.index.find(&keys, row).and_then(|key| self.newest.get(key).copied().flatten());
                newest.filter(|newest| self.within_tolerance(time_us, newest.time_us))
            } else {
                None
            };
            let found = found.map(|newest| self.kept.hold_again(newest.row));
            self.matches.push(found);
        }
        self.emit(left).map(Some)
    }

    fn within_tolerance(&self, left_us: i64, right_us: i64) -> bool {
        let per_us = if self.in_ns { 1_000 } else { 1 };
        let tolerance = self.spec.tolerance_us.map(|us| us.saturating_mul(per_us));
        tolerance.is_none_or(|tolerance| left_us.saturating_sub(right_us) <= tolerance)
    }

    fn emit(&mut self, left: RecordBatch) -> Result<RecordBatch> {
        let right_columns: Vec<usize> = (0..self.right.schema().fields().len()).collect();
        let right = self.kept.gather(&self.matches, &right_columns)?;
        let rows = left.num_rows();
        let columns = left.columns().iter().cloned().chain(right).collect();
        for found in std::mem::take(&mut self.matches).into_iter().flatten() {
            self.kept.release(found);
        }
        self.tidy()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Reads right rows as long as they are not later than `time_us` (LT: as long as they are earlier).
    async fn advance(&mut self, time_us: i64) -> Result<()> {
        loop {
            if self.current.is_none() && !self.load().await? {
                return Ok(());
            }
            let Some(current) = self.current.as_mut() else { return Ok(()) };
            while current.row < current.times.len() {
                let row = current.row;
                if current.times.is_valid(row) {
                    let right_us = current.times.value(row);
                    if right_us > time_us || (self.spec.strict && right_us == time_us) {
                        return Ok(());
                    }
                    let key = current.keys[row];
                    if key >= self.newest.len() {
                        self.newest.resize(key + 1, None);
                    }
                    if let Some(older) = self.newest[key] {
                        self.kept.release(older.row);
                    }
                    self.newest[key] = Some(Newest { row: self.kept.hold(current.place, row), time_us: right_us });
                }
                current.row += 1;
            }
            if let Some(read) = self.current.take() {
                self.kept.release(read.hold);
            }
            self.tidy()?;
        }
    }

    /// Makes the next right batch with rows the current one; `false` at the end.
    async fn load(&mut self) -> Result<bool> {
        while !self.right_ended {
            let batch = match self.right.next().await {
                Some(batch) => batch?,
                None => {
                    self.right_ended = true;
                    break;
                }
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let right_keys: Vec<usize> = self.spec.keys.iter().map(|(_, right)| *right).collect();
            let batch_keys = self.index.read(&columns(&batch, &right_keys))?;
            let keys = (0..batch.num_rows()).map(|row| self.index.add(&batch_keys, row)).collect::<Result<Vec<_>>>()?;
            let place = self.spec.right_time;
            let times = if self.in_ns { times_ns(&batch, place) } else { times(&batch, place) };
            let place = self.kept.add(batch)?;
            self.current = Some(Current { place, hold: self.kept.hold(place, 0), times, keys, row: 0 });
            return Ok(true);
        }
        Ok(false)
    }

    /// Lets go of what no key and no match needs any more.
    fn tidy(&mut self) -> Result<()> {
        // The batch being read cannot move: its rows are still to come.
        if self.kept.sweep() && self.current.is_none() {
            let newest = self.newest.iter_mut().flatten().map(|newest| &mut newest.row);
            self.kept.compact(newest.chain(self.matches.iter_mut().flatten()))?;
        }
        Ok(())
    }
}
