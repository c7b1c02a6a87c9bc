//! Rows of an input that an operator still needs, kept in the batches they came in.
//!
//! A batch lives as long as one of its rows is held. When most of what is kept is dead weight the held rows are copied
//! into one batch, so that one row a key never pins a whole table. Every byte is charged to the reservation.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::TryStreamExt;

/// Dead rows up to this number are not worth a copy.
const DEAD_ROWS_ALLOWED: usize = 65_536;

/// One kept row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef {
    batch: usize,
    row: usize,
}

struct Slot {
    batch: RecordBatch,
    held: usize,
    bytes: usize,
}

/// Batches with the number of rows held in each.
pub struct KeptRows {
    schema: SchemaRef,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    reservation: MemoryReservation,
}

impl KeptRows {
    /// Returns an empty store for rows of `schema`.
    pub fn new(schema: SchemaRef, reservation: MemoryReservation) -> KeptRows {
        KeptRows { schema, slots: Vec::new(), free: Vec::new(), reservation }
    }

    /// Keeps `batch` and returns its place. Nothing of it is held yet: the next `sweep` drops it unless rows are held.
    /// An error when the memory pool is full.
    pub fn add(&mut self, batch: RecordBatch) -> Result<usize> {
        let bytes = batch.get_array_memory_size();
        self.reservation.try_grow(bytes)?;
        let slot = Some(Slot { batch, held: 0, bytes });
        match self.free.pop() {
            Some(place) => {
                self.slots[place] = slot;
                Ok(place)
            }
            None => {
                self.slots.push(slot);
                Ok(self.slots.len() - 1)
            }
        }
    }

    /// Holds a row of a kept batch until it is released as often as it was held.
    pub fn hold(&mut self, batch: usize, row: usize) -> RowRef {
        self.slot(batch).held += 1;
        RowRef { batch, row }
    }

    /// Holds a held row once more.
    pub fn hold_again(&mut self, row: RowRef) -> RowRef {
        self.hold(row.batch, row.row)
    }

    /// Gives up one hold of a row.
    pub fn release(&mut self, row: RowRef) {
        let slot = self.slot(row.batch);
        debug_assert!(slot.held > 0, "a row is released once for each hold");
        slot.held -= 1;
    }

    /// Drops batches without held rows. `true` asks the caller to `compact`.
    pub fn sweep(&mut self) -> bool {
        let (mut kept, mut held) = (0, 0);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            match slot {
                Some(Slot { held: 0, bytes, .. }) => {
                    self.reservation.shrink(*bytes);
                    *slot = None;
                    self.free.push(place);
                }
                Some(slot) => {
                    kept += slot.batch.num_rows();
                    held += slot.held;
                }
                None => {}
            }
        }
        kept > held.saturating_mul(2) + DEAD_ROWS_ALLOWED
    }

    /// Copies all held rows into one batch. `refs` must be every reference that there is, one for each hold.
    pub fn compact<'a>(&mut self, refs: impl Iterator<Item = &'a mut RowRef>) -> Result<()> {
        let refs: Vec<&'a mut RowRef> = refs.collect();
        let wanted: Vec<Option<RowRef>> = refs.iter().map(|r| Some(**r)).collect();
        let columns = self.gather(&wanted, &(0..self.schema.fields().len()).collect::<Vec<_>>())?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let place = self.add(batch)?;
        for (row, reference) in refs.into_iter().enumerate() {
            self.release(*reference);
            *reference = self.hold(place, row);
        }
        self.sweep();
        Ok(())
    }

    /// Returns the values of `rows` in each of `columns`; `None` gives NULL.
    pub fn gather(&self, rows: &[Option<RowRef>], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        // Place 0 is a single NULL, the others are the kept batches.
        let mut order = vec![0; self.slots.len()];
        let mut batches = Vec::new();
        for (place, slot) in self.slots.iter().enumerate() {
            if let Some(slot) = slot {
                batches.push(&slot.batch);
                order[place] = batches.len();
            }
        }
        let indices: Vec<(usize, usize)> =
            rows.iter().map(|row| row.map_or((0, 0), |row| (order[row.batch], row.row))).collect();
        let column = |&column: &usize| {
            let null = new_null_array(self.schema.field(column).data_type(), 1);
            let mut values: Vec<&dyn Array> = vec![null.as_ref()];
            values.extend(batches.iter().map(|batch| batch.column(column).as_ref()));
            Ok(interleave(&values, &indices)?)
        };
        columns.iter().map(column).collect()
    }

    fn slot(&mut self, place: usize) -> &mut Slot {
        self.slots[place].as_mut().expect("a held row's batch is kept")
    }
}

/// Reads the whole input into one batch; an error when the memory pool is full.
pub async fn read_all(
    mut input: SendableRecordBatchStream,
    reservation: MemoryReservation,
) -> Result<(RecordBatch, MemoryReservation)> {
    let mut batches = Vec::new();
    while let Some(batch) = input.try_next().await? {
        // Twice: the batches and their copy live side by side for a moment.
        reservation.try_grow(2 * batch.get_array_memory_size())?;
        batches.push(batch);
    }
    let rows = concat_batches(&input.schema(), &batches)?;
    reservation.shrink(batches.iter().map(RecordBatch::get_array_memory_size).sum());
    Ok((rows, reservation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
        RecordBatch::try_from_iter([("v", column)]).expect("one column")
    }

    #[test]
    fn a_row_a_batch_is_compacted_and_the_memory_given_back() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(64 << 20));
        let mut kept = KeptRows::new(batch(0..0).schema(), MemoryConsumer::new("test").register(&pool));
        let mut refs = Vec::new();
        let mut asked = false;
        for n in 0..20 {
            let place = kept.add(batch(n * 10_000..(n + 1) * 10_000)).expect("fits");
            refs.push(kept.hold(place, 7));
            asked = kept.sweep();
        }
        assert!(asked, "200,000 rows for 20 held ones");
        let before = pool.reserved();
        kept.compact(refs.iter_mut()).expect("fits");
        assert!(pool.reserved() * 100 < before, "{} of {before} bytes are left", pool.reserved());
        let rows: Vec<Option<RowRef>> = refs.iter().map(|r| Some(*r)).chain([None]).collect();
        let values = kept.gather(&rows, &[0]).expect("same schema");
        let values: Vec<Option<i64>> = values[0].as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values[0], Some(7));
        assert_eq!(values[19], Some(190_007));
        assert_eq!(values[20], None);
    }

    #[test]
    fn a_full_pool_is_an_error() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1_000));
        let mut kept = KeptRows::new(batch(0..0).schema(), MemoryConsumer::new("LatestOnExec").register(&pool));
        let error = kept.add(batch(0..10_000)).expect_err("80 KB do not fit");
        assert!(error.to_string().contains("LatestOnExec"), "{error}");
    }
}
