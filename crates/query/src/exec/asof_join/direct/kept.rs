//! Right rows that may still be met, kept in the blocks they came in, and the values of those that were.
//!
//! A block is kept while it is read, while rows of it are found and not handed on, and while it holds the newest row of a
//! key. When most of what is kept is dead weight the newest rows are copied into one block, so that rare keys never pin a
//! whole table. Every byte is charged to the reservation.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, downcast_primitive, new_null_array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use std::sync::Arc;

use super::meeting::{NONE, RowRef, place_of, row_ref};

/// Kept rows that nobody needs are not worth a copy up to this number, or while all blocks together are so small.
const DEAD_ROWS_ALLOWED: usize = 64 << 10;
const BYTES_ALLOWED: usize = 8 << 20;

/// A block of right rows.
pub struct KeptBlock {
    /// The columns that the join hands on, as they are stored.
    pub columns: Vec<ArrayRef>,
    /// Which rows of the columns these are; None: all.
    pub rows: Option<Vec<u32>>,
    /// Times of the rows.
    pub times: ScalarBuffer<i64>,
}

struct Slot {
    block: KeptBlock,
    bytes: usize,
}

/// The kept blocks.
pub struct Kept {
    slots: Vec<Option<Slot>>,
    types: Vec<DataType>,
    rows: usize,
    bytes: usize,
    reservation: MemoryReservation,
}

impl Kept {
    /// Returns an empty store for columns of these types.
    pub fn new(types: Vec<DataType>, reservation: MemoryReservation) -> Kept {
        Kept { slots: Vec::new(), types, rows: 0, bytes: 0, reservation }
    }

    /// Keeps a block and returns its place.
    ///
    /// # Errors
    /// When the memory pool is full.
    pub fn add(&mut self, block: KeptBlock) -> Result<usize> {
        // of mapped columns the part that these rows are
        let of_rows = |column: &ArrayRef| column.to_data().get_slice_memory_size();
        let columns = block.columns.iter().map(of_rows).sum::<std::result::Result<usize, _>>()?;
        let rows = block.rows.as_ref().map_or(0, |rows| rows.capacity() * size_of::<u32>());
        let bytes = columns + rows + size_of_val(&*block.times);
        self.reservation.try_grow(bytes)?;
        self.rows += block.times.len();
        self.bytes += bytes;
        let slot = Some(Slot { block, bytes });
        let free = self.slots.iter().position(Option::is_none);
        Ok(match free {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        })
    }

    /// Returns the bytes of all kept blocks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the time of a row.
    pub fn time(&self, row: RowRef) -> i64 {
        let (place, row) = place_of(row);
        self.slot(place).block.times[row]
    }

    /// Lets go of all blocks but those of `newest`, and copies its rows together when little of what is kept is needed.
    /// No other reference outlives this, and no block that is being read.
    pub fn sweep(&mut self, newest: &mut [RowRef]) -> Result<()> {
        let mut held = vec![0usize; self.slots.len()];
        newest.iter().filter(|row| **row != NONE).for_each(|row| held[place_of(*row).0] += 1);
        for (place, held) in held.iter().enumerate() {
            if *held == 0 {
                self.drop_slot(place);
            }
        }
        let needed: usize = held.iter().sum();
        if self.bytes > BYTES_ALLOWED && self.rows > needed.saturating_mul(2) + DEAD_ROWS_ALLOWED {
            self.compact(newest)?;
        }
        Ok(())
    }

    fn drop_slot(&mut self, place: usize) {
        if let Some(slot) = self.slots[place].take() {
            self.rows -= slot.block.times.len();
            self.bytes -= slot.bytes;
            self.reservation.shrink(slot.bytes);
        }
    }

    fn compact(&mut self, newest: &mut [RowRef]) -> Result<()> {
        let rows: Vec<RowRef> = newest.iter().copied().filter(|row| *row != NONE).collect();
        let places = self.places(&rows);
        let columns = (0..self.types.len()).map(|column| self.values(&places, column)).collect::<Result<_>>()?;
        let times = rows.iter().map(|row| self.time(*row)).collect();
        let old = self.slots.len();
        let place = self.add(KeptBlock { columns, rows: None, times })?;
        (0..old).filter(|other| *other != place).for_each(|other| self.drop_slot(other));
        for (row, reference) in newest.iter_mut().filter(|row| **row != NONE).enumerate() {
            *reference = row_ref(place, row);
        }
        Ok(())
    }

    /// Returns where the values of rows stand.
    pub fn places(&self, rows: &[RowRef]) -> Places {
        let mut missing = false;
        let place = |row: &RowRef| {
            if *row == NONE {
                missing = true;
                return Places::MISSING;
            }
            let (place, row) = place_of(*row);
            match &self.slot(place).block.rows {
                Some(rows) => (place as u32, rows[row]),
                None => (place as u32, row as u32),
            }
        };
        let places = rows.iter().map(place).collect();
        Places { places, missing }
    }

    /// Returns the values of rows in a column; NULL for no row.
    pub fn values(&self, places: &Places, column: usize) -> Result<ArrayRef> {
        let array = |slot: &Option<Slot>| slot.as_ref().map(|slot| slot.block.columns[column].clone());
        let arrays: Vec<Option<ArrayRef>> = self.slots.iter().map(array).collect();
        let data_type = &self.types[column];
        macro_rules! primitives {
            ($T:ty) => {
                return Ok(primitives::<$T>(&arrays, places, data_type))
            };
        }
        downcast_primitive! {
            data_type => (primitives),
            _ => others(&arrays, places, data_type)
        }
    }

    fn slot(&self, place: usize) -> &Slot {
        self.slots[place].as_ref().expect("a row that is referred to is kept")
    }
}

/// Blocks and rows in them.
pub struct Places {
    places: Vec<(u32, u32)>,
    missing: bool,
}

impl Places {
    const MISSING: (u32, u32) = (u32::MAX, 0);
}

fn primitives<T: ArrowPrimitiveType>(arrays: &[Option<ArrayRef>], places: &Places, data_type: &DataType) -> ArrayRef {
    let arrays: Vec<Option<&PrimitiveArray<T>>> = arrays.iter().map(|a| a.as_ref().map(|a| a.as_primitive())).collect();
    let slices: Vec<&[T::Native]> = arrays.iter().map(|a| a.map_or(&[][..], |a| &a.values()[..])).collect();
    let value = |&(block, row): &(u32, u32)| match slices.get(block as usize) {
        Some(values) => values[row as usize],
        None => T::Native::default(),
    };
    let values: Vec<T::Native> = places.places.iter().map(value).collect();
    let has_nulls = places.missing || arrays.iter().flatten().any(|array| array.null_count() > 0);
    let is_valid = |&(block, row): &(u32, u32)| match arrays.get(block as usize) {
        Some(Some(array)) => array.is_valid(row as usize),
        _ => false,
    };
    let nulls = has_nulls.then(|| NullBuffer::from_iter(places.places.iter().map(is_valid)));
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(data_type.clone()))
}

fn others(arrays: &[Option<ArrayRef>], places: &Places, data_type: &DataType) -> Result<ArrayRef> {
    let null = new_null_array(data_type, 1);
    // Place 0 is a single NULL, the others are the kept blocks.
    let values: Vec<&dyn Array> =
        std::iter::once(&null).chain(arrays.iter().map(|a| a.as_ref().unwrap_or(&null))).map(|a| a.as_ref()).collect();
    let index = |place: &(u32, u32)| match *place == Places::MISSING {
        true => (0, 0),
        false => (place.0 as usize + 1, place.1 as usize),
    };
    let indices: Vec<(usize, usize)> = places.places.iter().map(index).collect();
    Ok(interleave(&values, &indices)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};
    use arrow::datatypes::Float64Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    fn kept(pool: &Arc<dyn MemoryPool>) -> Kept {
        Kept::new(vec![DataType::Float64, DataType::Utf8], MemoryConsumer::new("test").register(pool))
    }

    fn block(first: i32, rows: Option<Vec<u32>>, count: i32) -> KeptBlock {
        let some = |i: i32| (i % 5 != 3).then_some(f64::from(i));
        let numbers: ArrayRef = Arc::new((first..first + count).map(some).collect::<Float64Array>());
        let texts: ArrayRef = Arc::new((first..first + count).map(|i| Some(i.to_string())).collect::<StringArray>());
        let times = match &rows {
            Some(rows) => rows.iter().map(|row| i64::from(first) + i64::from(*row)).collect(),
            None => (i64::from(first)..i64::from(first + count)).collect(),
        };
        KeptBlock { columns: vec![numbers, texts], rows, times }
    }

    fn shown(kept: &Kept, rows: &[RowRef]) -> Vec<(Option<f64>, Option<String>)> {
        let places = kept.places(rows);
        let (numbers, texts) = (kept.values(&places, 0).expect("numbers"), kept.values(&places, 1).expect("texts"));
        let texts = texts.as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
        numbers.as_primitive::<Float64Type>().iter().zip(texts).collect()
    }

    #[test]
    fn values_come_from_any_block_and_no_row_is_null() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        let mut kept = kept(&pool);
        let (a, b) = (kept.add(block(0, None, 10)), kept.add(block(100, Some(vec![1, 3, 7]), 10)));
        let (a, b) = (a.expect("fits"), b.expect("fits"));
        let rows = [row_ref(b, 0), NONE, row_ref(a, 3), row_ref(b, 2), row_ref(a, 4)];
        let text = |text: &str| Some(text.to_owned());
        let wanted = [
            (Some(101.0), text("101")),
            (None, None),
            (None, text("3")),
            (Some(107.0), text("107")),
            (Some(4.0), text("4")),
        ];
        assert_eq!(shown(&kept, &rows), wanted);
        assert_eq!((kept.time(rows[0]), kept.time(rows[3])), (101, 107));
    }

    #[test]
    fn blocks_without_newest_rows_go_and_rare_keys_are_copied_together() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 30));
        let mut kept = kept(&pool);
        let mut newest = Vec::new();
        for n in 0..24 {
            let place = kept.add(block(n * 100_000, None, 100_000)).expect("fits");
            if n % 2 == 0 {
                newest.extend([row_ref(place, 70_000), NONE]);
            }
        }
        let before = shown(&kept, &newest);
        kept.sweep(&mut newest).expect("fits");
        assert_eq!(shown(&kept, &newest), before);
        assert_eq!(kept.rows, 12, "half had none, the others were copied together");
        assert!(pool.reserved() < 10_000, "{} bytes are left", pool.reserved());
    }
}
