//! The operator behind SPLICE JOIN: holds both inputs, walks them by time, then gathers the pairs.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use crate::exec::column_place::{columns, in_time, times};
use crate::exec::key_index::KeyIndex;
use crate::exec::operator::reads_inputs;

/// One input and the places of its time and keys.
#[derive(Debug, Clone)]
pub struct Side {
    pub input: Arc<dyn ExecutionPlan>,
    pub time: usize,
    pub keys: Vec<usize>,
}

impl Side {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Side {
        Side { input, time: self.time, keys: self.keys.clone() }
    }
}

/// The join of two inputs that ascend by time.
#[derive(Debug, Clone)]
pub struct SpliceJoinExec {
    left: Side,
    right: Side,
    properties: Arc<PlanProperties>,
}

impl SpliceJoinExec {
    pub fn new(left: Side, right: Side) -> SpliceJoinExec {
        let (left_schema, right_schema) = (left.input.schema(), right.input.schema());
        let fields = left_schema.fields().iter().chain(right_schema.fields());
        let fields: Vec<Arc<Field>> = fields.map(|f| Arc::new(Field::clone(f).with_nullable(true))).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(fields))),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        SpliceJoinExec { left, right, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SpliceJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let name = |side: &Side| side.input.schema().field(side.time).name().clone();
        write!(f, "SpliceJoinExec: time={} = {}", name(&self.left), name(&self.right))
    }
}

impl ExecutionPlan for SpliceJoinExec {
    fn name(&self) -> &str {
        "SpliceJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(
        |exec| left = exec.left.input, right = exec.right.input =>
            SpliceJoinExec::new(exec.left.over(left), exec.right.over(right))
    );

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        [&self.left, &self.right].map(|side| in_time(&side.input, side.time)).into()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let left = self.left.input.execute(partition, Arc::clone(&context))?;
        let right = self.right.input.execute(partition, Arc::clone(&context))?;
        let consumer = MemoryConsumer::new(format!("SpliceJoinExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let schema = self.schema();
        let sides = (self.left.clone(), self.right.clone());
        let batch_size = context.session_config().batch_size().max(1);
        let output = stream::once(spliced(sides, left, right, schema.clone(), reservation, batch_size))
            .map_ok(stream::iter)
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, output)))
    }
}

/// Rows of both sides that stand beside each other; None before a side's first row.
type Pair = (Option<u32>, Option<u32>);

async fn spliced(
    (left, right): (Side, Side),
    left_rows: SendableRecordBatchStream,
    right_rows: SendableRecordBatchStream,
    schema: SchemaRef,
    mut reservation: MemoryReservation,
    batch_size: usize,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send> {
    let left_batch = held(left_rows, &mut reservation).await?;
    let right_batch = held(right_rows, &mut reservation).await?;
    let pairs = pairs((&left, &left_batch), (&right, &right_batch), reservation.new_empty())?;
    reservation.try_grow(pairs.len() * size_of::<Pair>())?;
    Ok((0..pairs.len()).step_by(batch_size).map(move |first| {
        // Held here so that the memory stays charged until the last batch is out.
        let _held = &reservation;
        let part = &pairs[first..pairs.len().min(first + batch_size)];
        let lefts: UInt32Array = part.iter().map(|(left, _)| *left).collect();
        let rights: UInt32Array = part.iter().map(|(_, right)| *right).collect();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for column in left_batch.columns() {
            arrays.push(take(column, &lefts, None)?);
        }
        for column in right_batch.columns() {
            arrays.push(take(column, &rights, None)?);
        }
        Ok(RecordBatch::try_new(schema.clone(), arrays)?)
    }))
}

/// Reads a whole input.
async fn held(mut rows: SendableRecordBatchStream, reservation: &mut MemoryReservation) -> Result<RecordBatch> {
    let schema = rows.schema();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        // Twice: the batches, and the one that they are joined to.
        reservation.try_grow(batch.get_array_memory_size() * 2)?;
        batches.push(batch);
    }
    Ok(concat_batches(&schema, &batches)?)
}

/// Walks both inputs by time.
fn pairs(
    (left, left_batch): (&Side, &RecordBatch),
    (right, right_batch): (&Side, &RecordBatch),
    reservation: MemoryReservation,
) -> Result<Vec<Pair>> {
    let types = left.keys.iter().map(|key| left_batch.schema().field(*key).data_type().clone()).collect();
    let mut index = KeyIndex::try_new(types, reservation)?;
    let left_keys = index.read(&columns(left_batch, &left.keys))?;
    let right_keys = index.read(&columns(right_batch, &right.keys))?;
    let (left_times, right_times) = (times(left_batch, left.time), times(right_batch, right.time));
    let time_of = |array: &arrow::array::TimestampMicrosecondArray, row: usize| {
        (row < array.len()).then(|| if array.is_valid(row) { array.value(row) } else { i64::MIN })
    };
    let mut newest: HashMap<usize, Pair> = HashMap::new();
    let (mut l, mut r, mut pairs) = (0, 0, Vec::new());
    loop {
        let now = match (time_of(&left_times, l), time_of(&right_times, r)) {
            (None, None) => return Ok(pairs),
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(i64::MIN),
        };
        // The right rows of this moment by key, to be paired with the left ones.
        let mut waiting: Vec<Option<(usize, u32)>> = Vec::new();
        let mut of_key: HashMap<usize, VecDeque<usize>> = HashMap::new();
        while time_of(&right_times, r) == Some(now) {
            let key = index.add(&right_keys, r)?;
            of_key.entry(key).or_default().push_back(waiting.len());
            waiting.push(Some((key, r as u32)));
            r += 1;
        }
        while time_of(&left_times, l) == Some(now) {
            let key = index.add(&left_keys, l)?;
            let pair = newest.entry(key).or_default();
            pair.0 = Some(l as u32);
            let place = of_key.get_mut(&key).and_then(VecDeque::pop_front);
            if let Some((_, row)) = place.and_then(|place| waiting[place].take()) {
                pair.1 = Some(row);
            }
            pairs.push(*pair);
            l += 1;
        }
        for (key, row) in waiting.into_iter().flatten() {
            let pair = newest.entry(key).or_default();
            pair.1 = Some(row);
            pairs.push(*pair);
        }
    }
}
