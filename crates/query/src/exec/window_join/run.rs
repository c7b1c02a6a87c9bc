//! The plain operator behind WINDOW JOIN: the right side is read whole and arranged, left batches are handed on with their values.
//!
//! Memory holds the right columns that are needed, charged to the pool. Next files: `answers.rs`, `pairs.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::answers::{Answers, Right};
use super::arranged::{Arranged, Window, reordered};
use crate::exec::column_place::{columns, in_time, times, times_ns};
use crate::exec::key_index::KeyIndex;
use crate::exec::operator::{counted, reads_inputs};

/// Rows of a batch that is handed on, and the right rows of all their windows: a stop is heard that soon.
const SLICE_ROWS: usize = 8 << 10;
const SLICE_WINDOWS: usize = 8 << 20;

/// What is joined; places are those of each input's columns.
#[derive(Debug, Clone)]
pub struct Joined {
    pub left_time: usize,
    pub right_time: usize,
    pub keys: Vec<(usize, usize)>,
    pub low: End,
    pub high: End,
    pub prevailing: bool,
    /// Over the columns of both sides.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    pub aggregates: Vec<Aggregate>,
}

/// See [`super::WindowEnd`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Fixed { ns: i128 },
    OfRow { count: usize, unit_ns: i64 },
}

/// An aggregate over the columns of both sides.
#[derive(Debug, Clone)]
pub struct Aggregate {
    pub function: Arc<AggregateFunctionExpr>,
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    pub field: Arc<Field>,
}

impl Joined {
    /// Returns whether a side has nanoseconds: then both are compared in them.
    pub fn in_ns(&self, left: &Schema, right: &Schema) -> bool {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        *left.field(self.left_time).data_type() == nanos || *right.field(self.right_time).data_type() == nanos
    }

    /// Returns the left schema with the values behind it.
    pub fn schema(&self, left: &Schema) -> SchemaRef {
        let values = self.aggregates.iter().map(|aggregate| aggregate.field.clone());
        let fields: Vec<Arc<Field>> = left.fields().iter().cloned().chain(values).collect();
        Arc::new(Schema::new_with_metadata(fields, left.metadata().clone()))
    }

    /// Returns what is computed of rows of both sides.
    fn expressions(&self) -> impl Iterator<Item = Arc<dyn PhysicalExpr>> + '_ {
        let of_values = self
            .aggregates
            .iter()
            .flat_map(|aggregate| aggregate.function.expressions().into_iter().chain(aggregate.filter.clone()));
        self.filter.iter().cloned().chain(of_values)
    }
}

/// As EXPLAIN shows it, but for the sides.
impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: &End| match end {
            End::Fixed { ns } => format!("{ns}ns"),
            End::OfRow { count, unit_ns } => format!("@{count} * {unit_ns}ns"),
        };
        write!(f, "range=[{}, {}], ", end(&self.low), end(&self.high))?;
        f.write_str(if self.prevailing { "include prevailing" } else { "exclude prevailing" })?;
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter}")?;
        }
        let values: Vec<&str> = self.aggregates.iter().map(|a| a.function.name()).collect();
        write!(f, ", values=[{}]", values.join(", "))
    }
}

/// The join of two inputs that ascend by time.
#[derive(Debug, Clone)]
pub struct WindowJoinExec {
    pub(super) left: Arc<dyn ExecutionPlan>,
    pub(super) right: Arc<dyn ExecutionPlan>,
    pub(super) joined: Arc<Joined>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowJoinExec {
    /// Returns the operator.
    pub fn new(left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>, joined: Joined) -> WindowJoinExec {
        let schema = joined.schema(&left.schema());
        // the left columns keep their places, so whatever order they have still holds
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, left.output_ordering().cloned()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (joined, properties) = (Arc::new(joined), Arc::new(properties));
        WindowJoinExec { left, right, joined, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for WindowJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (left, right) = (self.left.schema(), self.right.schema());
        let pair = |(l, r): &(usize, usize)| format!("{} = {}", left.field(*l).name(), right.field(*r).name());
        let keys: Vec<String> = self.joined.keys.iter().map(pair).collect();
        write!(f, "WindowJoinExec: on=[{}], {}", keys.join(", "), self.joined)
    }
}

impl ExecutionPlan for WindowJoinExec {
    fn name(&self) -> &str {
        "WindowJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(
        |exec| left = exec.left, right = exec.right => WindowJoinExec::new(left, right, Joined::clone(&exec.joined));
        exec.joined.expressions()
    );

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![in_time(&self.left, self.joined.left_time), in_time(&self.right, self.joined.right_time)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let left = self.left.execute(partition, Arc::clone(&context))?;
        let right = self.right.execute(partition, Arc::clone(&context))?;
        let consumer = MemoryConsumer::new(format!("WindowJoinExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let (joined, schema) = (self.joined.clone(), self.schema());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output = async move {
            let matcher = Arc::new(Matcher::read(joined, left.schema(), right, schema, reservation).await?);
            Ok::<_, DataFusionError>(
                left.map_ok(move |batch| stream::iter(matcher.clone().joined(batch))).try_flatten(),
            )
        };
        let output = stream::once(output).try_flatten();
        Ok(counted(self.schema(), metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Left rows meet the right side, which is in memory.
struct Matcher {
    joined: Arc<Joined>,
    answers: Answers,
    right: Right,
    keys: KeyIndex,
    in_ns: bool,
    schema: SchemaRef,
    /// What the states of one slice take.
    states: MemoryReservation,
    _held: MemoryReservation,
}

impl Matcher {
    /// Reads and arranges the right side.
    ///
    /// # Errors
    /// When it does not fit into the memory pool.
    async fn read(
        joined: Arc<Joined>,
        left: SchemaRef,
        mut input: SendableRecordBatchStream,
        schema: SchemaRef,
        reservation: MemoryReservation,
    ) -> Result<Matcher> {
        let right = input.schema();
        let in_ns = joined.in_ns(&left, &right);
        let types = joined.keys.iter().map(|(_, key)| right.field(*key).data_type().clone()).collect();
        let mut keys = KeyIndex::try_new(types, reservation.new_empty())?;
        let key_places: Vec<usize> = joined.keys.iter().map(|(_, key)| *key).collect();
        let (mut batches, mut numbers, mut all_times) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(batch) = input.next().await {
            let batch = batch?;
            // the batches, then a copy in their order
            let batch_bytes = 2 * batch.get_array_memory_size() + batch.num_rows() * 2 * size_of::<(i64, u32)>();
            reservation.try_grow(batch_bytes)?;
            bytes += batch_bytes;
            let batch_keys = keys.read(&columns(&batch, &key_places))?;
            let batch_times =
                if in_ns { times_ns(&batch, joined.right_time) } else { times(&batch, joined.right_time) };
            let dated: Vec<u32> =
                (0..batch.num_rows() as u32).filter(|row| batch_times.is_valid(*row as usize)).collect();
            for row in &dated {
                let number = keys.add(&batch_keys, *row as usize)?;
                numbers.push(number as u32);
                all_times.push(batch_times.value(*row as usize));
            }
            let whole = dated.len() == batch.num_rows();
            batches.push(if whole { batch } else { reordered(&batch, &UInt32Array::from(dated))? });
        }
        let number_of_keys = numbers.iter().max().map_or(0, |most| *most as usize + 1);
        let (arranged, order) = Arranged::new(&all_times, &numbers, number_of_keys)?;
        let rows = reordered(&concat_batches(&right, &batches)?, &order)?;
        drop(batches);
        let answers = Answers::new(&joined, &left, &right)?;
        let arguments = answers.arguments(&rows)?;
        let held = rows.get_array_memory_size() + arranged.size();
        reservation.shrink(bytes.saturating_sub(held));
        let states = reservation.new_empty();
        let right = Right { arranged, rows, arguments };
        reservation.try_grow(right.computed_bytes())?;
        Ok(Matcher { joined, answers, right, keys, in_ns, schema, states, _held: reservation })
    }

    /// Returns left rows with the values of their windows, some at a time.
    fn joined(self: Arc<Self>, left: RecordBatch) -> impl Iterator<Item = Result<RecordBatch>> {
        let mut windows = Vec::new();
        let mut start = 0;
        std::iter::from_fn(move || {
            if start == left.num_rows() {
                return None;
            }
            if windows.is_empty() {
                windows = match self.windows(&left) {
                    Ok(windows) => windows,
                    Err(error) => {
                        start = left.num_rows();
                        return Some(Err(error));
                    }
                };
            }
            let rows = taken(&windows[start..]);
            let part = self.part(&left.slice(start, rows), &windows[start..start + rows]);
            start += rows;
            Some(part)
        })
    }

    fn part(&self, left: &RecordBatch, windows: &[Window]) -> Result<RecordBatch> {
        let (values, bytes) = self.answers.of(left, windows, &self.right)?;
        self.states.try_grow(bytes)?;
        self.states.shrink(bytes);
        let columns = left.columns().iter().cloned().chain(values).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    fn windows(&self, left: &RecordBatch) -> Result<Vec<Window>> {
        let joined = &self.joined;
        let key_places: Vec<usize> = joined.keys.iter().map(|(key, _)| *key).collect();
        let keys = self.keys.read(&columns(left, &key_places))?;
        let times = if self.in_ns { times_ns(left, joined.left_time) } else { times(left, joined.left_time) };
        let (low, high) = (Offsets::new(&joined.low, left, self.in_ns), Offsets::new(&joined.high, left, self.in_ns));
        let number_of_keys = self.right.arranged.keys();
        let window = |row: usize| {
            let key = self.keys.find(&keys, row).filter(|key| *key < number_of_keys)?;
            let time = times.is_valid(row).then(|| times.value(row))?;
            let ends = (time.saturating_add(low.of(row)?), time.saturating_add(high.of(row)?));
            Some(self.right.arranged.window(key, ends, self.answers.takes_prevailing()))
        };
        Ok((0..left.num_rows()).map(|row| window(row).unwrap_or_default()).collect())
    }
}

/// Returns how many of the first left rows are handed on together.
pub fn taken(windows: &[Window]) -> usize {
    let (mut rows, mut met) = (0, 0);
    while rows < windows.len().min(SLICE_ROWS) && (rows == 0 || met + windows[rows].rows.len() <= SLICE_WINDOWS) {
        met += windows[rows].rows.len();
        rows += 1;
    }
    rows
}

/// How far from each left row's time its window begins or ends, in the unit that times are compared in.
pub enum Offsets {
    Fixed(i64),
    OfRow { counts: Int64Array, unit_ns: i64, in_ns: bool },
}

impl Offsets {
    /// Returns the offsets of the rows of a batch.
    pub fn new(end: &End, left: &RecordBatch, in_ns: bool) -> Offsets {
        match end {
            End::Fixed { ns } => Offsets::Fixed(in_unit(*ns, in_ns)),
            End::OfRow { count, unit_ns } => {
                let counts = left.column(*count).as_primitive::<Int64Type>().clone();
                Offsets::OfRow { counts, unit_ns: *unit_ns, in_ns }
            }
        }
    }

    /// Returns the offset of a row; None where it is NULL.
    pub fn of(&self, row: usize) -> Option<i64> {
        match self {
            Offsets::Fixed(offset) => Some(*offset),
            Offsets::OfRow { counts, unit_ns, in_ns } => {
                let count = counts.is_valid(row).then(|| counts.value(row).max(0))?;
                Some(in_unit(i128::from(count) * i128::from(*unit_ns), *in_ns))
            }
        }
    }
}

/// Returns nanoseconds as such or as whole microseconds, as far as 64 bits reach.
pub fn in_unit(ns: i128, in_ns: bool) -> i64 {
    let units = if in_ns { ns } else { ns / 1_000 };
    i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
}
