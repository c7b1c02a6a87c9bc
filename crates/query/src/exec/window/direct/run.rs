//! Reads the rows in time and hands them on with the values beside them.

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

use super::states::{Rows, State, Values, state};
use super::{Call, Windows};
use crate::exec::direct::keys::{KeyColumns, Keys};
use crate::exec::direct::wanted::{at_places, columns_of, rows_of};
use crate::exec::direct::{Block, Order, Selection};
use crate::provider::shown;

/// Rows of a batch that is handed on: its columns stay in a core's cache while they are computed with.
const BATCH_ROWS: usize = 32 << 10;
/// The number of a key before its first row.
const UNSEEN: u32 = u32::MAX;

/// Hands on every row with the values beside it. Ends early when `is_over` says so or `hand_on` returns false.
pub fn run(
    windows: &Windows,
    schema: &SchemaRef,
    reservation: &MemoryReservation,
    is_over: &dyn Fn() -> bool,
    hand_on: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<()> {
    let source = &windows.source;
    let dictionary = |output: &usize| match source.schema().fields().len() > *output {
        true => source.dictionary(*output),
        false => Ok(None),
    };
    let dictionaries = windows.outputs.iter().map(dictionary).collect::<Result<Vec<_>>>()?;
    let mut partitions: Vec<Partition> = Vec::new();
    let mut columns = Vec::new();
    for call in &windows.calls {
        let place = partitions.iter().position(|partition| partition.columns == call.partition);
        let place = match place {
            Some(place) => place,
            None => {
                partitions.push(Partition::new(windows, &call.partition, reservation)?);
                partitions.len() - 1
            }
        };
        columns.push(Column::new(windows, call, place)?);
    }
    for morsel in source.work(Order::Time)?.morsels() {
        if is_over() {
            return Ok(());
        }
        let block = morsel.read()?;
        let rows = block.selected_rows();
        let times = times(windows, &block)?;
        for partition in &mut partitions {
            partition.number(&block, reservation)?;
        }
        let arguments = columns.iter().map(|column| column.argument(&block)).collect::<Result<Vec<_>>>()?;
        for start in (0..rows).step_by(BATCH_ROWS) {
            let len = BATCH_ROWS.min(rows - start);
            let mut values = Vec::with_capacity(columns.len());
            for (column, argument) in columns.iter_mut().zip(&arguments) {
                let partition = &partitions[column.partition];
                values.push(column.values(partition, argument.as_ref(), &times, start, len, reservation)?);
            }
            let mut arrays = Vec::with_capacity(schema.fields().len());
            for (i, output) in windows.outputs.iter().enumerate() {
                arrays.push(match output.checked_sub(source.schema().fields().len()) {
                    Some(call) => values[call].clone(),
                    None => {
                        let stored = rows_of(&block, *output, start, len)?;
                        shown(stored, dictionaries[i].as_deref(), schema.field(i).data_type())?
                    }
                });
            }
            let options = RecordBatchOptions::new().with_row_count(Some(len));
            if !hand_on(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The keys of one PARTITION BY, numbered in the order of appearance.
struct Partition {
    columns: Vec<usize>,
    /// None: all rows are of one key.
    keys: Option<Keys>,
    /// From the keys' own numbers.
    numbers: Vec<u32>,
    count: u32,
    /// The number of each row of the block in work.
    rows: Vec<u32>,
}

impl Partition {
    fn new(windows: &Windows, columns: &[usize], reservation: &MemoryReservation) -> Result<Partition> {
        let mut pairs = Vec::new();
        for place in columns {
            let Some(texts) = windows.source.dictionary(*place)? else {
                return internal_err!("a key of a direct window is no symbol");
            };
            pairs.push(KeyColumns { left: (*place, texts.clone()), right: (*place, texts) });
        }
        let keys = if pairs.is_empty() { None } else { Some(Keys::try_new(pairs)?) };
        let numbers = keys.as_ref().map_or(0, Keys::numbers);
        reservation.try_grow(numbers * size_of::<u32>())?;
        let count = u32::from(keys.is_none());
        Ok(Partition { columns: columns.to_vec(), keys, numbers: vec![UNSEEN; numbers], count, rows: Vec::new() })
    }

    /// Numbers the rows of a block.
    fn number(&mut self, block: &Block, reservation: &MemoryReservation) -> Result<()> {
        let before = self.rows.capacity();
        self.rows.clear();
        let Some(keys) = &self.keys else {
            self.rows.resize(block.selected_rows(), 0);
            return grown(reservation, self.rows.capacity() - before);
        };
        let keys = keys.of_right(block.columns());
        let mut number = |key: i32| {
            let number = &mut self.numbers[key as usize];
            if *number == UNSEEN {
                *number = self.count;
                self.count += 1;
            }
            *number
        };
        match block.selection() {
            Selection::All => self.rows.extend(keys.iter().map(|key| number(*key))),
            Selection::Rows(rows) => self.rows.extend(rows.iter().map(|row| number(keys[*row as usize]))),
        }
        grown(reservation, self.rows.capacity() - before)
    }
}

fn grown(reservation: &MemoryReservation, rows: usize) -> Result<()> {
    reservation.try_grow(rows * size_of::<u32>())
}

/// The values of one call.
struct Column {
    /// The place of its partition.
    partition: usize,
    argument: Option<Argument>,
    state: Box<dyn State>,
    keys: usize,
    more_bytes: usize,
}

/// An expression over those columns only that it reads.
struct Argument {
    expr: Arc<dyn PhysicalExpr>,
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Column {
    fn new(windows: &Windows, call: &Call, partition: usize) -> Result<Column> {
        let schema = windows.source.schema();
        let argument = call.argument.as_ref().map(|expr| {
            let places = columns_of(std::slice::from_ref(expr))?;
            let fields: Vec<_> = places.iter().map(|place| schema.fields()[*place].clone()).collect();
            let expr = at_places(expr.clone(), &places)?;
            Ok::<_, datafusion::error::DataFusionError>(Argument {
                expr,
                places,
                schema: Arc::new(Schema::new(fields)),
            })
        });
        let argument = argument.transpose()?;
        let data_type = argument.as_ref().map(|a| a.expr.data_type(&a.schema)).transpose()?;
        let time = windows.source.time().map(|place| schema.field(place).data_type());
        let per_us = if time == Some(&DataType::Timestamp(TimeUnit::Nanosecond, None)) { 1_000 } else { 1 };
        let state = state(call, data_type.as_ref(), per_us)?;
        Ok(Column { partition, argument, state, keys: 0, more_bytes: 0 })
    }

    /// Returns the argument's values of a block's rows that count.
    fn argument(&self, block: &Block) -> Result<Option<ArrayRef>> {
        let Some(Argument { expr, places, schema }) = &self.argument else { return Ok(None) };
        let columns = places.iter().map(|place| block.selected(*place)).collect::<Result<Vec<_>>>()?;
        let rows = block.selected_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        expr.evaluate(&batch)?.into_array(rows).map(Some)
    }

    fn values(
        &mut self,
        partition: &Partition,
        argument: Option<&ArrayRef>,
        times: &[i64],
        start: usize,
        len: usize,
        reservation: &MemoryReservation,
    ) -> Result<ArrayRef> {
        let count = partition.count as usize;
        if count > self.keys {
            reservation.try_grow((count - self.keys) * self.state.key_bytes())?;
            self.state.grow(count);
            self.keys = count;
        }
        let values = argument.map(|array| Values::of(&array.slice(start, len)));
        let times = if times.is_empty() { times } else { &times[start..start + len] };
        let rows = Rows { keys: &partition.rows[start..start + len], times, values: values.as_ref() };
        let values = self.state.values(&rows)?;
        let more_bytes = self.state.more_bytes();
        if more_bytes > self.more_bytes {
            reservation.try_grow(more_bytes - self.more_bytes)?;
            self.more_bytes = more_bytes;
        }
        Ok(values)
    }
}

/// Returns the designated timestamps of a block's rows that count; none when the source lacks them.
fn times(windows: &Windows, block: &Block) -> Result<ScalarBuffer<i64>> {
    let Some(place) = windows.source.time() else { return Ok(ScalarBuffer::default()) };
    let column = block.column(place);
    let times = match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().values().clone()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().values().clone()
        }
        other => return internal_err!("a designated timestamp is {other}"),
    };
    Ok(match block.selection() {
        Selection::All => times,
        Selection::Rows(rows) => rows.iter().map(|row| times[*row as usize]).collect(),
    })
}
