//! A hash join on a symbol of a table, by codes: the kept side's rows are found by index, no text is made or hashed.
//!
//! [`recognise`] knows the plain hash join whose streamed side is a table (under filters) and whose one key is a symbol of
//! it. Each code is looked up by its text when it is first met. All cores join, morsel by morsel; rows come in the table's
//! order, as the plain join gives them.
//! Next file: `symbol_join/run.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{JoinType, NullEquality, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsContext;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, StatisticsArgs,
};

use super::direct::{Delivery, Morsel, Notes, Order, Source, by_time, delivered};
use crate::exec::operator::{counted, reads_inputs};

mod run;

/// The most rows of the kept side: what may be larger is left to the plain join, which can spill.
const MOST_ROWS: usize = 1 << 20;
/// Batches that a thread makes of one morsel before somebody takes one: all of an ordinary morsel without duplicates.
const AHEAD_BATCHES: usize = 4;

/// Where an output column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// A column of the kept side.
    Kept(usize),
    /// A column of the source.
    Table(usize),
}

/// What is joined.
#[derive(Debug, Clone)]
struct Join {
    source: Source,
    /// The place of the symbol among the source's columns.
    symbol: usize,
    /// The place of its partner in the kept side.
    key: usize,
    /// Whether rows of the table come without a partner, too.
    is_outer: bool,
    null_meets_null: bool,
    outputs: Vec<Output>,
    /// So many rows are wanted, the first: a LIMIT that the plain join had taken in.
    fetch: Option<usize>,
}

/// Returns the join by codes in the place of the plain one.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    let is_outer = match join.join_type() {
        JoinType::Inner => false,
        JoinType::Right => true,
        _ => return Ok(None),
    };
    let [(key, symbol)] = join.on() else { return Ok(None) };
    if join.filter().is_some() || *join.partition_mode() != PartitionMode::CollectLeft || join.null_aware {
        return Ok(None);
    }
    let Some((source, columns)) = Source::beneath(join.right()) else { return Ok(None) };
    let place = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
    let symbol = place(symbol).and_then(|at| place(&columns[at])).filter(|at| source.is_symbol(*at));
    let (Some(symbol), Some(key)) = (symbol, place(key)) else { return Ok(None) };
    if *join.left().schema().field(key).data_type() != DataType::Utf8View {
        return Ok(None);
    }
    if most_rows(join.left())?.is_some_and(|rows| rows > MOST_ROWS) {
        notes.falls_back(|| "join: the side to be kept may be large".to_owned());
        return Ok(None);
    }
    let kept_columns = join.left().schema().fields().len();
    let all: Vec<usize> = (0..kept_columns + columns.len()).collect();
    let wanted = join.projection.as_deref().unwrap_or(&all);
    let output = |output: &usize| match output.checked_sub(kept_columns) {
        None => Some(Output::Kept(*output)),
        Some(at) => place(&columns[at]).map(Output::Table),
    };
    let Some(outputs) = wanted.iter().map(output).collect::<Option<Vec<Output>>>() else {
        notes.falls_back(|| "join: a column of the table is computed".to_owned());
        return Ok(None);
    };
    let null_meets_null = join.null_equality() == NullEquality::NullEqualsNull;
    let direct = Join { source, symbol, key, is_outer, null_meets_null, outputs, fetch: join.fetch() };
    Ok(Some(Arc::new(DirectHashJoinExec::new(join.left().clone(), plan.clone(), direct))))
}

/// Returns how many rows a plan has at most or about; None when nothing is known.
fn most_rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    if let Some(same) = plan.downcast_ref::<CooperativeExec>() {
        return most_rows(same.input());
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return most_rows(projection.input());
    }
    if let Some(groups) = plan.downcast_ref::<AggregateExec>().and_then(most_groups) {
        return Ok(Some(groups));
    }
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    Ok(match statistics.num_rows {
        Precision::Exact(rows) | Precision::Inexact(rows) => Some(rows),
        Precision::Absent => None,
    })
}

/// Returns how many groups there are at most when all keys are symbols.
fn most_groups(aggregate: &AggregateExec) -> Option<usize> {
    let (source, columns) = Source::beneath(aggregate.input())?;
    let mut groups: usize = 1;
    for (expr, _) in aggregate.group_expr().expr() {
        let place = columns.get(expr.downcast_ref::<Column>()?.index())?.downcast_ref::<Column>()?.index();
        groups = groups.checked_mul(source.dictionary(place).ok()??.len() + 1)?;
    }
    Some(groups)
}

/// The join of a table with a kept side.
#[derive(Debug)]
struct DirectHashJoinExec {
    kept: Arc<dyn ExecutionPlan>,
    /// The plain join, whose schema this one has.
    plain: Arc<dyn ExecutionPlan>,
    join: Arc<Join>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectHashJoinExec {
    fn new(kept: Arc<dyn ExecutionPlan>, plain: Arc<dyn ExecutionPlan>, join: Join) -> DirectHashJoinExec {
        let time = join.source.time().map(Output::Table);
        let time = join.outputs.iter().position(|output| Some(*output) == time);
        let properties = by_time(plain.schema(), time);
        let metrics = ExecutionPlanMetricsSet::new();
        DirectHashJoinExec { kept, plain, join: Arc::new(join), properties, metrics }
    }
}

impl DisplayAs for DirectHashJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Join { source, symbol, key, is_outer, fetch, .. } = &*self.join;
        let kind = if *is_outer { "left" } else { "inner" };
        let (symbol, key) = (&source.column(*symbol).name, self.kept.schema().field(*key).name().clone());
        write!(f, "DirectHashJoinExec: {kind}, on=[{symbol} = {key}], rows: {source}")?;
        fetch.map_or(Ok(()), |fetch| write!(f, " fetch: {fetch}"))
    }
}

impl ExecutionPlan for DirectHashJoinExec {
    fn name(&self) -> &str {
        "DirectHashJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(
        |exec| kept = exec.kept => DirectHashJoinExec::new(kept, exec.plain.clone(), Join::clone(&exec.join))
    );

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.kept.output_partitioning().partition_count() != 1 {
            return internal_err!("the kept side of a direct join has several partitions");
        }
        let kept = self.kept.execute(partition, context.clone())?;
        let consumer = MemoryConsumer::new(format!("DirectHashJoinExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (join, schema, fetch) = (self.join.clone(), self.schema(), self.join.fetch);
        let keeping = self.join.clone();
        let read = async move { run::Kept::read(kept, &keeping, reservation).await };
        let begin = async move {
            let kept = read.await?;
            Ok(move || {
                let work = join.source.work(Order::Time)?;
                let joined = run::Joined::new(join, kept, &work, schema)?;
                Ok((work, move |morsel: &Morsel, hand_on: &mut dyn FnMut(RecordBatch) -> bool| {
                    joined.join(morsel, hand_on)
                }))
            })
        };
        let output = delivered(self.schema(), Delivery { ahead: AHEAD_BATCHES, fetch }, begin);
        Ok(counted(self.schema(), metrics, output))
    }

    fn fetch(&self) -> Option<usize> {
        self.join.fetch
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
