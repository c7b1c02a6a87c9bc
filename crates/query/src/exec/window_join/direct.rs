//! WINDOW JOIN directly over the runs of two tables: keys compared by codes, right values laid beside those of their key, left
//! rows handed on as they lie, on all cores.
//!
//! [`recognise`] knows the plain operator where both sides are tables (under filters) in the order of their designated
//! timestamps, keys are symbols, ends are as far from every left row, and neither a condition nor an argument looks at both
//! sides. [`run`] reads the right side once and arranges it (`arranged.rs`); then each core takes morsels of the left side.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::answers::{Answers, reads_left};
use super::run::{End, Joined, WindowJoinExec};
use crate::exec::direct::sides::{self, Side};
use crate::exec::direct::source::over;
use crate::exec::direct::wanted::{self, at_places, columns_of, narrowed};
use crate::exec::direct::{Notes, by_time};
use crate::exec::operator::reads_tables;

mod run;

/// What is joined; places are those of each source's columns.
#[derive(Debug, Clone)]
struct Join {
    left: Side,
    right: Side,
    keys: Vec<(usize, usize)>,
    low_ns: i128,
    high_ns: i128,
    in_ns: bool,
    /// As the plain operator has it.
    joined: Arc<Joined>,
    /// The right columns that arguments read, and these over only them.
    read: Vec<usize>,
    arguments: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    /// What is handed on of the left source's columns and, behind them, the values.
    outputs: Vec<usize>,
}

/// Returns the join over runs in the place of the plain one; a projection above tells which columns are wanted.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match wanted::of::<WindowJoinExec>(plan) {
        Some((join, wanted)) => direct(join, &wanted, notes),
        None => Ok(None),
    }
}

/// Returns the join over runs with the wanted values above it, or notes why it cannot be.
fn direct(plain: &WindowJoinExec, wanted: &[ProjectionExpr], notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (join, mut columns) = match placed(plain)? {
        Ok(placed) => placed,
        Err(why) => {
            notes.falls_back(|| format!("window join: {why}"));
            return Ok(None);
        }
    };
    let width = join.left.source.schema().fields().len();
    for (i, aggregate) in join.joined.aggregates.iter().enumerate() {
        columns.push(Arc::new(Column::new(aggregate.field.name(), width + i)));
    }
    let (outputs, exprs) = narrowed(wanted, &columns)?;
    let operator = DirectWindowJoinExec::new(Join { outputs, ..join });
    Ok(Some(Arc::new(ProjectionExec::try_new(exprs, Arc::new(operator))?)))
}

/// A join over two sources, and the left columns over the left one.
type Placed = (Join, Vec<Arc<dyn PhysicalExpr>>);

/// Returns the join over both sources, and the left columns over the left one; or what stands in the way.
fn placed(plain: &WindowJoinExec) -> Result<std::result::Result<Placed, String>> {
    let joined = &plain.joined;
    let sides = sides::both((&plain.left, joined.left_time), (&plain.right, joined.right_time));
    let (left, right) = match sides {
        Ok(sides) => sides,
        Err(why) => return Ok(Err(why)),
    };
    let (End::Fixed { ns: low_ns }, End::Fixed { ns: high_ns }) = (&joined.low, &joined.high) else {
        return Ok(Err("each left row says how far its window reaches".to_owned()));
    };
    let keys = match sides::key_places(&left, &right, &joined.keys, &plain.left.schema())? {
        Ok(keys) => keys,
        Err(why) => return Ok(Err(why)),
    };
    let ((left, left_columns), (right, right_columns)) = (left, right);
    let width = plain.left.schema().fields().len();
    let by_pairs = |arg: &Arc<dyn PhysicalExpr>| reads_left(arg, width) || is_volatile(arg);
    let aggregates = &joined.aggregates;
    let args: Vec<_> = aggregates.iter().map(|aggregate| aggregate.function.expressions()).collect();
    let has_condition = joined.filter.is_some() || aggregates.iter().any(|aggregate| aggregate.filter.is_some());
    if has_condition || args.iter().flatten().any(by_pairs) {
        return Ok(Err("a condition or an argument looks at the left row".to_owned()));
    }
    // the left ones are never met
    let outs: Vec<Arc<dyn PhysicalExpr>> = plain.left.schema().fields().iter().enumerate().map(column).collect();
    let outs = [outs, right_columns].concat();
    let args = args.iter().map(|args| args.iter().map(|arg| over(arg, &outs)).collect::<Result<Vec<_>>>());
    let args = args.collect::<Result<Vec<_>>>()?;
    let read = columns_of(&args.concat())?;
    let narrow = |args: Vec<Arc<dyn PhysicalExpr>>| args.into_iter().map(|arg| at_places(arg, &read)).collect();
    let arguments = args.into_iter().map(narrow).collect::<Result<Vec<_>>>()?;
    let in_ns = joined.in_ns(&plain.left.schema(), &plain.right.schema());
    let (low_ns, high_ns, joined) = (*low_ns, *high_ns, joined.clone());
    let outputs = Vec::new();
    let join = Join { left, right, keys, low_ns, high_ns, in_ns, joined, read, arguments, outputs };
    Ok(Ok((join, left_columns)))
}

fn column((place, field): (usize, &Arc<arrow::datatypes::Field>)) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(field.name(), place))
}

impl Join {
    /// Returns the schema of the outputs.
    fn schema(&self) -> SchemaRef {
        let left = self.left.source.schema();
        let field = |output: &usize| match output.checked_sub(left.fields().len()) {
            None => left.fields()[*output].clone(),
            Some(value) => self.joined.aggregates[value].field.clone(),
        };
        Arc::new(Schema::new(self.outputs.iter().map(field).collect::<Vec<_>>()))
    }

    fn answers(&self) -> Answers {
        let functions = self.joined.aggregates.iter().map(|aggregate| &aggregate.function);
        Answers::of_right(functions.zip(self.arguments.iter().cloned()), self.joined.prevailing)
    }
}

/// The join of two tables.
#[derive(Debug)]
struct DirectWindowJoinExec {
    join: Arc<Join>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectWindowJoinExec {
    fn new(join: Join) -> DirectWindowJoinExec {
        let time = join.outputs.iter().position(|output| *output == join.left.time);
        let properties = by_time(join.schema(), time);
        DirectWindowJoinExec { join: Arc::new(join), properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for DirectWindowJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Join { left, right, keys, joined, .. } = &*self.join;
        let (l, r) = (left.source.schema(), right.source.schema());
        let keys: Vec<String> =
            keys.iter().map(|k| format!("{} = {}", l.field(k.0).name(), r.field(k.1).name())).collect();
        let on = keys.join(", ");
        write!(f, "DirectWindowJoinExec: on=[{on}], {joined}, left: {}, right: {}", left.source, right.source)
    }
}

impl ExecutionPlan for DirectWindowJoinExec {
    fn name(&self) -> &str {
        "DirectWindowJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!(|exec| exec.join.arguments.iter().flatten());

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("DirectWindowJoinExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        Ok(run::streamed(self.join.clone(), self.schema(), reservation))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
