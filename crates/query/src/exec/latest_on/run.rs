//! The operator behind LATEST ON: reads its input once, keeps one row a key.

use std::fmt;
use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use crate::exec::column_place::{columns, times};
use crate::exec::kept_rows::{KeptRows, RowRef};
use crate::exec::key_index::KeyIndex;
use crate::exec::operator::{counted, reads_inputs};

/// The newest row of each key.
#[derive(Debug, Clone)]
pub struct LatestOnExec {
    input: Arc<dyn ExecutionPlan>,
    time: usize,
    keys: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LatestOnExec {
    /// Returns the operator; `time` and `keys` are places in the input's schema.
    pub fn new(input: Arc<dyn ExecutionPlan>, time: usize, keys: Vec<usize>) -> Result<LatestOnExec> {
        let schema = input.schema();
        let by_time = PhysicalSortExpr::new(
            Arc::new(Column::new(schema.field(time).name(), time)),
            SortOptions { descending: false, nulls_first: true },
        );
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, [[by_time]]),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(LatestOnExec {
            input,
            time,
            keys,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl LatestOnExec {
    /// Returns what rows are read from.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// Returns the place of the time in the input.
    pub fn time(&self) -> usize {
        self.time
    }

    /// Returns the places of the keys in the input.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }
}

impl DisplayAs for LatestOnExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let schema = self.input.schema();
        let keys: Vec<&str> = self.keys.iter().map(|key| schema.field(*key).name().as_str()).collect();
        write!(f, "LatestOnExec: on={}, partition by=[{}]", schema.field(self.time).name(), keys.join(", "))
    }
}

impl ExecutionPlan for LatestOnExec {
    fn name(&self) -> &str {
        "LatestOnExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(|exec| input = exec.input => LatestOnExec::new(input, exec.time, exec.keys.clone())?);

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let schema = self.schema();
        let newest = Newest::try_new(&schema, self.time, self.keys.clone(), &context, partition)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batch_size = context.session_config().batch_size();
        let output = stream::once(newest.read(input))
            .map_ok(move |newest| stream::iter(newest.batches(batch_size)))
            .try_flatten();
        Ok(counted(schema, metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The winner of one key so far.
struct Winner {
    row: RowRef,
    time: Option<i64>,
    /// Place in the input: later wins and stands later among equal times.
    arrival: u64,
}

struct Newest {
    schema: SchemaRef,
    time: usize,
    keys: Vec<usize>,
    index: KeyIndex,
    kept: KeptRows,
    winners: Vec<Winner>,
    arrived: u64,
}

impl Newest {
    fn try_new(
        schema: &SchemaRef,
        time: usize,
        keys: Vec<usize>,
        context: &TaskContext,
        partition: usize,
    ) -> Result<Newest> {
        let consumer = MemoryConsumer::new(format!("LatestOnExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let types: Vec<DataType> = keys.iter().map(|key| schema.field(*key).data_type().clone()).collect();
        Ok(Newest {
            schema: Arc::clone(schema),
            time,
            keys,
            index: KeyIndex::try_new(types, reservation.new_empty())?,
            kept: KeptRows::new(Arc::clone(schema), reservation),
            winners: Vec::new(),
            arrived: 0,
        })
    }

    /// Reads the whole input; afterwards the winners stand in the order of the output.
    async fn read(mut self, mut input: SendableRecordBatchStream) -> Result<Newest> {
        while let Some(batch) = input.next().await {
            self.take(batch?)?;
        }
        self.winners.sort_unstable_by_key(|winner| (winner.time, winner.arrival));
        Ok(self)
    }

    /// Returns the winners, each batch made when it is asked for.
    fn batches(self, batch_size: usize) -> impl Iterator<Item = Result<RecordBatch>> {
        let batch_size = batch_size.max(1);
        (0..self.winners.len()).step_by(batch_size).map(move |first| {
            let last = self.winners.len().min(first + batch_size);
            let rows: Vec<Option<RowRef>> = self.winners[first..last].iter().map(|winner| Some(winner.row)).collect();
            let every_column: Vec<usize> = (0..self.schema.fields().len()).collect();
            let columns = self.kept.gather(&rows, &every_column)?;
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        })
    }

    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = self.index.read(&columns(&batch, &self.keys))?;
        let times = times(&batch, self.time);
        let place = self.kept.add(batch)?;
        for row in 0..times.len() {
            let time = times.is_valid(row).then(|| times.value(row));
            let key = self.index.add(&keys, row)?;
            let arrival = self.arrived;
            self.arrived += 1;
            match self.winners.get_mut(key) {
                Some(winner) if time < winner.time => {}
                Some(winner) => {
                    self.kept.release(winner.row);
                    *winner = Winner { row: self.kept.hold(place, row), time, arrival };
                }
                None => self.winners.push(Winner { row: self.kept.hold(place, row), time, arrival }),
            }
        }
        if self.kept.sweep() {
            self.kept.compact(self.winners.iter_mut().map(|winner| &mut winner.row))?;
        }
        Ok(())
    }
}
