//! Window functions directly over a table's runs: rows stream by in the order of time, of each key there is one small state.
//!
//! [`recognise`] knows the plain operator over a table (under filters) where every window is partitioned by symbols, ordered
//! by the designated timestamp, and ends with the current row. Nothing is sorted and no input is held: a counter, a sum or
//! the last few rows of each key (`states.rs`, `moving.rs`) are all there is. Rows come out as they lie.

use std::fmt;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future;

use super::run::{PlacedCall, WindowExec};
use super::{FrameEnd, WindowFrame, WindowFunction};
use crate::exec::direct::wanted::{self, narrowed};
use crate::exec::direct::{Notes, Source, by_time, keys, sent};
use crate::exec::operator::reads_tables;

mod moving;
mod run;
mod states;

/// The longest frame or distance in rows of which a state may keep all.
const MOST_ROWS: usize = 4096;

/// One call over the columns of the source.
#[derive(Debug, Clone)]
struct Call {
    function: WindowFunction,
    /// Over the source's columns, as expressions see them.
    argument: Option<Arc<dyn PhysicalExpr>>,
    /// Places of symbols in the source.
    partition: Vec<usize>,
    frame: WindowFrame,
    output: FieldRef,
}

/// What is computed.
#[derive(Debug, Clone)]
struct Windows {
    source: Source,
    calls: Vec<Call>,
    /// What is handed on of the source's columns and, behind them, the calls.
    outputs: Vec<usize>,
}

/// Returns the streaming operator in the place of the plain one; a projection above tells which columns are wanted.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match wanted::of::<WindowExec>(plan) {
        Some((window, wanted)) => direct(window, &wanted, notes),
        None => Ok(None),
    }
}

fn direct(plain: &WindowExec, wanted: &[ProjectionExpr], notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((source, mut columns)) = Source::beneath(&plain.input) else {
        notes.falls_back(|| "window: the input is no table".to_owned());
        return Ok(None);
    };
    let mut calls = Vec::new();
    for call in &plain.calls {
        match placed(call, &source, &columns)? {
            Ok(call) => calls.push(call),
            Err(why) => {
                notes.falls_back(|| format!("window: {why}"));
                return Ok(None);
            }
        }
    }
    let width = source.schema().fields().len();
    for (i, call) in calls.iter().enumerate() {
        columns.push(Arc::new(Column::new(call.output.name(), width + i)));
    }
    let (outputs, exprs) = narrowed(wanted, &columns)?;
    let operator = Arc::new(DirectWindowExec::new(Windows { source, calls, outputs }));
    Ok(Some(Arc::new(ProjectionExec::try_new(exprs, operator)?)))
}

/// Returns the call over the source, or why it cannot be computed row by row.
fn placed(
    call: &PlacedCall,
    source: &Source,
    columns: &[Arc<dyn PhysicalExpr>],
) -> Result<std::result::Result<Call, &'static str>> {
    let place = |place: usize| columns[place].downcast_ref::<Column>().map(Column::index);
    match call.order.as_slice() {
        [] => {}
        [(time, how)] if !how.descending && place(*time).is_some_and(|time| source.time() == Some(time)) => {}
        _ => return Ok(Err("a window is ordered by something else than the designated timestamp")),
    }
    let symbol = |column: &usize| place(*column).filter(|place| source.is_symbol(*place));
    let Some(partition) = call.partition.iter().map(symbol).collect::<Option<Vec<usize>>>() else {
        return Ok(Err("a window is partitioned by something else than symbols"));
    };
    let mut codes = Vec::new();
    for place in &partition {
        codes.push(source.dictionary(*place)?.map_or(0, |texts| texts.len()));
    }
    if !keys::are_countable(&codes) {
        return Ok(Err("the symbols of a window have too many combinations"));
    }
    if !streams(&call.function, call.frame, !call.order.is_empty()) {
        return Ok(Err("a value needs rows behind the current one, or very many before it"));
    }
    let argument = call.args.first().map(|place| columns[*place].clone());
    if let Some(argument) = &argument {
        let is_wide = |data_type: DataType| {
            matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Timestamp(_, None))
        };
        if !is_wide(argument.data_type(source.schema())?) && call.function != WindowFunction::Count {
            return Ok(Err("a value is neither a number nor a timestamp"));
        }
    }
    let (function, frame, output) = (call.function.clone(), call.frame, call.output.clone());
    Ok(Ok(Call { function, argument, partition, frame, output }))
}

/// Returns whether the function's value is known with the current row, from few rows before it.
fn streams(function: &WindowFunction, frame: WindowFrame, is_ordered: bool) -> bool {
    let is_unbounded = frame.start == FrameEnd::Unbounded;
    let ends_now = frame.end == FrameEnd::Current && !frame.exclude_current;
    let is_short = match frame.start {
        FrameEnd::Unbounded => false,
        FrameEnd::Preceding(rows) => !frame.by_time && rows < MOST_ROWS as i64,
        FrameEnd::Current => true,
    };
    match function {
        WindowFunction::RowNumber => true,
        WindowFunction::Rank | WindowFunction::DenseRank => is_ordered,
        WindowFunction::Neighbour { ahead, distance, .. } => !ahead && *distance <= MOST_ROWS,
        WindowFunction::Sum
        | WindowFunction::Avg
        | WindowFunction::Ksum
        | WindowFunction::Min
        | WindowFunction::Max
        | WindowFunction::Count => ends_now && (is_unbounded || is_short || frame.by_time),
        WindowFunction::First { .. } => ends_now && is_unbounded,
        WindowFunction::Last { ignore_nulls } => ends_now && (is_unbounded || !ignore_nulls),
        _ => false,
    }
}

impl Windows {
    /// Returns the schema of the outputs.
    fn schema(&self) -> SchemaRef {
        let source = self.source.schema();
        let field = |output: &usize| match output.checked_sub(source.fields().len()) {
            None => source.fields()[*output].clone(),
            Some(call) => self.calls[call].output.clone(),
        };
        Arc::new(Schema::new(self.outputs.iter().map(field).collect::<Vec<FieldRef>>()))
    }
}

/// Rows of a table with the values of window functions beside them.
#[derive(Debug)]
struct DirectWindowExec {
    windows: Arc<Windows>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectWindowExec {
    fn new(windows: Windows) -> DirectWindowExec {
        let time = windows.source.time();
        let time = windows.outputs.iter().position(|output| Some(*output) == time);
        let properties = by_time(windows.schema(), time);
        let metrics = ExecutionPlanMetricsSet::new();
        DirectWindowExec { windows: Arc::new(windows), properties, metrics }
    }
}

impl DisplayAs for DirectWindowExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Windows { source, calls, .. } = &*self.windows;
        let functions: Vec<String> = calls.iter().map(|call| format!("{:?}", call.function)).collect();
        write!(f, "DirectWindowExec: {}, rows: {source}", functions.join(", "))
    }
}

impl ExecutionPlan for DirectWindowExec {
    fn name(&self) -> &str {
        "DirectWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("DirectWindowExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (windows, schema) = (self.windows.clone(), self.schema());
        Ok(sent(self.schema(), metrics, future::ok(()), move |(), is_closed, give| {
            run::run(&windows, &schema, &reservation, is_closed, give)
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
