//! What is known without reading columns: [`DirectEndsExec`] answers count, min and max of the designated timestamp, first
//! and last of a table or of ranges of its time, by the bounds and ends of stretches.
//!
//! The aggregate itself gives the answer, of the one row that decides it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use types::ColumnType;

use super::fold::Stop;
use super::work::{Morsel, failed};
use super::{Notes, Order, Selection, Source, fold_streamed};
use crate::exec::operator::reads_tables;

/// Aggregates without keys, known from the ends of a source without conjuncts.
pub struct DirectEndsExec {
    source: Source,
    aggregates: Vec<Known>,
    properties: Arc<PlanProperties>,
}

#[derive(Clone)]
struct Known {
    aggregate: Arc<AggregateFunctionExpr>,
    by: By,
}

/// What decides an aggregate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rows,
    /// The first row, of a column at this place.
    First(usize),
    Last(usize),
}

/// Recognises aggregates over a table or ranges of its time, if each is one of those.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, _notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let is_single = matches!(aggregate.mode(), AggregateMode::Single | AggregateMode::SinglePartitioned);
    let has_filter = aggregate.filter_expr().iter().any(Option::is_some);
    if !is_single || has_filter || !aggregate.group_expr().is_true_no_grouping() {
        return Ok(None);
    }
    let Some((source, outputs)) = Source::beneath(aggregate.input()) else { return Ok(None) };
    if !source.conjuncts().is_empty() {
        return Ok(None);
    }
    let known = |aggregate: &Arc<AggregateFunctionExpr>| {
        Some(Known { aggregate: aggregate.clone(), by: decided_by(aggregate, &source, &outputs)? })
    };
    let Some(aggregates) = aggregate.aggr_expr().iter().map(known).collect() else { return Ok(None) };
    Ok(Some(Arc::new(DirectEndsExec { source, aggregates, properties: plan.properties().clone() })))
}

fn decided_by(aggregate: &AggregateFunctionExpr, source: &Source, outputs: &[Arc<dyn PhysicalExpr>]) -> Option<By> {
    let arguments = aggregate.expressions();
    let [argument] = &arguments[..] else { return None };
    if aggregate.is_distinct() || !aggregate.order_bys().is_empty() {
        return None;
    }
    let argument = super::source::over(argument, outputs).ok()?;
    let never_null = match (argument.downcast_ref::<Literal>(), argument.downcast_ref::<Column>()) {
        (Some(literal), _) => !literal.value().is_null(),
        (_, Some(column)) => !source.schema().field(column.index()).is_nullable(),
        _ => false,
    };
    let column = || argument.downcast_ref::<Column>().map(Column::index);
    match aggregate.fun().name() {
        "count" if never_null => Some(By::Rows),
        "first" => column().map(By::First),
        "last" => column().map(By::Last),
        "min" => column().filter(|place| source.time() == Some(*place)).map(By::First),
        "max" => column().filter(|place| source.time() == Some(*place)).map(By::Last),
        _ => None,
    }
}

impl DirectEndsExec {
    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectEndsExec {
        DirectEndsExec { source, aggregates: self.aggregates.clone(), properties: self.properties.clone() }
    }

    fn answers(source: &Source, aggregates: &[Known], stop: &Stop) -> Result<Vec<ScalarValue>> {
        let mut rows = 0;
        let whole = Whole::of(source)?;
        match &whole {
            Some(whole) => rows = whole.rows,
            None => {
                for morsel in source.work(Order::Any)?.morsels() {
                    rows += morsel.live_rows()?;
                }
            }
        }
        // overlapping runs are merged only where a row of them is asked for
        let needs_ends = rows > 0 && aggregates.iter().any(|known| asks_row(known.by, source));
        let (first, last) = if needs_ends {
            let work = source.work(Order::Time)?;
            (end(work.morsels().iter(), false, stop)?, end(work.morsels().iter().rev(), true, stop)?)
        } else {
            (None, None)
        };
        let answer = |known: &Known| {
            let value = match known.by {
                By::Rows => return Ok(ScalarValue::Int64(Some(rows as i64))),
                By::First(place) => first.as_ref().map(|row| row[place].clone()).or_else(|| whole.as_ref()?.first()),
                By::Last(place) => last.as_ref().map(|row| row[place].clone()).or_else(|| whole.as_ref()?.last()),
            };
            let mut accumulator = known.aggregate.create_accumulator()?;
            if let Some(value) = value {
                accumulator.update_batch(&[value])?;
            }
            accumulator.evaluate()
        };
        aggregates.iter().map(answer).collect()
    }
}

/// What is known of a whole table without a look at its runs.
struct Whole {
    rows: usize,
    bounds_us: Option<(i64, i64)>,
}

impl Whole {
    fn of(source: &Source) -> Result<Option<Whole>> {
        if source.is_bounded() {
            return Ok(None);
        }
        let rows = source.view().row_count().map_err(failed)?;
        Ok(Some(Whole { rows: rows as usize, bounds_us: source.view().time_bounds() }))
    }

    fn first(&self) -> Option<ArrayRef> {
        self.bounds_us.map(|(first, _)| Arc::new(TimestampMicrosecondArray::from(vec![first])) as ArrayRef)
    }

    fn last(&self) -> Option<ArrayRef> {
        self.bounds_us.map(|(_, last)| Arc::new(TimestampMicrosecondArray::from(vec![last])) as ArrayRef)
    }
}

/// Returns whether a row must be read for that.
fn asks_row(by: By, source: &Source) -> bool {
    match by {
        By::Rows => false,
        // of nanoseconds only the microseconds that the bounds lie in are known
        By::First(place) | By::Last(place) => {
            let is_time = source.time() == Some(place) && source.column(place).column_type == ColumnType::Timestamp;
            source.is_bounded() || !is_time
        }
    }
}

/// Returns the values of the first row of morsels that counts, or of the last.
fn end<'a>(morsels: impl Iterator<Item = &'a Morsel>, is_last: bool, stop: &Stop) -> Result<Option<Vec<ArrayRef>>> {
    for morsel in morsels {
        stop.check()?;
        let block = morsel.read()?;
        let row = match block.selection() {
            Selection::All if block.rows() == 0 => None,
            Selection::All => Some(if is_last { block.rows() as u32 - 1 } else { 0 }),
            Selection::Rows(rows) => if is_last { rows.last() } else { rows.first() }.copied(),
        };
        if let Some(row) = row {
            let row = UInt32Array::from(vec![row]);
            return (0..block.columns().len()).map(|place| block.picked(place, &row)).collect::<Result<_>>().map(Some);
        }
    }
    Ok(None)
}

impl fmt::Debug for DirectEndsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectEndsExec({:?})", self.source)
    }
}

impl DisplayAs for DirectEndsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.aggregates.iter().map(|known| known.aggregate.name()).collect();
        write!(f, "DirectEndsExec: {} of {}", names.join(", "), self.source)
    }
}

impl ExecutionPlan for DirectEndsExec {
    fn name(&self) -> &str {
        "DirectEndsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (source, aggregates, schema) = (self.source.clone(), self.aggregates.clone(), self.schema());
        let given = schema.clone();
        // the number of rows of a whole table is known without a thread that may wait for them
        let reads_rows = source.is_bounded() || aggregates.iter().any(|known| asks_row(known.by, &source));
        Ok(fold_streamed(schema, async move {
            let found = move |stop: &Stop| DirectEndsExec::answers(&source, &aggregates, stop);
            let values = if reads_rows { super::fold::on_thread(found).await? } else { found(&Stop::default())? };
            let columns = values.iter().map(|value| value.to_array()).collect::<Result<Vec<_>>>()?;
            Ok(vec![RecordBatch::try_new(given, columns)?])
        }))
    }
}
