//! Rows out of a table: [`DirectRowsExec`], a scan with its filters.
//!
//! Texts are made for rows that are left and columns that are asked for. All cores make batches, morsel by morsel; they are handed
//! out in the order of morsels, which is that of time, and few morsels are made ahead of what was taken: a reader that
//! wants ten rows lets the rest unread.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Statistics;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs};
use futures::future::{self, Either};
use futures::{TryStreamExt, stream};

use super::values::{Change, changed_limit};
use super::{Delivery, FEW_ROWS, Morsel, Notes, Order, Source, Work, delivered, few};
use crate::exec::operator::reads_tables;
use crate::provider::StoredScan;

/// Rows of a batch: what the operators above take at a time.
const BATCH_ROWS: usize = 8192;
/// Batches that a thread makes of one morsel before somebody takes one: all of an ordinary morsel, fewer where texts of
/// many columns would take more than so many bytes.
const AHEAD_BATCHES: usize = 16;
const AHEAD_BYTES: usize = 16 << 20;
const TEXT_BYTES: usize = 16;
/// Of so many runs the stretches within bounds are soon found.
const NEAR_RUNS: usize = 16;

/// Rows of one table that meet its filters, in the order of time.
pub struct DirectRowsExec {
    source: Source,
    /// Places of the output's columns among the source's.
    outputs: Vec<usize>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    /// The operators that this one stands for: while a plan is made they tell how many rows there are.
    plain: Option<Arc<dyn ExecutionPlan>>,
}

impl DirectRowsExec {
    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectRowsExec {
        let (outputs, properties) = (self.outputs.clone(), self.properties.clone());
        DirectRowsExec { source, outputs, fetch: self.fetch, properties, plain: None }
    }

    /// Returns what is computed of the rows: nothing.
    pub fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
        &[]
    }

    /// Returns the operator for another number of rows, if it is for one.
    pub fn changed(&self, change: &mut Change) -> Option<DirectRowsExec> {
        Some(DirectRowsExec { fetch: changed_limit(self.fetch, change)?, ..self.over(self.source.clone()) })
    }
}

/// Recognises a filter over a scan, and a scan that reads columns to its end, with a choice of their columns by other names.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, _notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let place = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
    let mut rows = plan;
    let mut chosen: Option<Vec<usize>> = None;
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let Some(places) = projection.expr().iter().map(|e| place(&e.expr)).collect() else { return Ok(None) };
        (rows, chosen) = (projection.input(), Some(places));
        if let Some(same) = rows.downcast_ref::<CooperativeExec>() {
            rows = same.input();
        }
    }
    let fetch = match rows.downcast_ref::<FilterExec>() {
        Some(filter) => filter.fetch(),
        None if rows.downcast_ref::<StoredScan>().is_some() && !plan.schema().fields().is_empty() => None,
        None => return Ok(None),
    };
    let unlimited = match fetch {
        Some(_) => rows.with_fetch(None),
        None => Some(rows.clone()),
    };
    let Some((source, outputs)) = unlimited.as_ref().and_then(Source::beneath) else { return Ok(None) };
    let Some(mut outputs) = outputs.iter().map(place).collect::<Option<Vec<usize>>>() else { return Ok(None) };
    if let Some(chosen) = chosen {
        let Some(of) = chosen.iter().map(|place| outputs.get(*place).copied()).collect() else { return Ok(None) };
        outputs = of;
    }
    let (properties, plain) = (plan.properties().clone(), Some(plan.clone()));
    Ok(Some(Arc::new(DirectRowsExec { source, outputs, fetch, properties, plain })))
}

/// Returns the stretches of rows if they are soon found: of a small table, or of few runs within bounds of time.
fn near_work(source: &Source) -> Result<Option<Work>> {
    let is_near = match source.is_bounded() {
        true => source.runs()?.len() <= NEAR_RUNS,
        false => source.view().row_count().is_ok_and(|rows| rows <= FEW_ROWS as u64),
    };
    if is_near { source.work(Order::Time).map(Some) } else { Ok(None) }
}

impl fmt::Debug for DirectRowsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectRowsExec({:?})", self.source)
    }
}

impl DisplayAs for DirectRowsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "DirectRowsExec: {}", self.source)?;
        self.fetch.map_or(Ok(()), |fetch| write!(f, " fetch: {fetch}"))
    }
}

impl ExecutionPlan for DirectRowsExec {
    fn name(&self) -> &str {
        "DirectRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!(|exec| exec.source.conjuncts());

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (source, outputs, schema) = (self.source.clone(), self.outputs.clone(), self.schema());
        let row_bytes = TEXT_BYTES * outputs.len().max(1);
        let ahead = (AHEAD_BYTES / (row_bytes * BATCH_ROWS)).clamp(1, AHEAD_BATCHES);
        let given = schema.clone();
        let make = move |morsel: &Morsel, hand_on: &mut dyn FnMut(RecordBatch) -> bool| {
            let block = morsel.read()?;
            for batch in block.batches(&outputs, &given, BATCH_ROWS) {
                if !hand_on(batch?) {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let (fetch, delivery) = (self.fetch, Delivery { ahead, fetch: self.fetch });
        let output = schema.clone();
        // nothing may begin before the first batch is asked for: filters may wait for a sub-query until then
        let begun = async move {
            let work = near_work(&source)?;
            if let Some(work) = work.as_ref().filter(|work| work.rows() <= FEW_ROWS) {
                return Ok(Either::Left(stream::iter(few(work, fetch, make))));
            }
            let begin = move || Ok((work.map_or_else(|| source.work(Order::Time), Ok)?, make));
            Ok::<_, DataFusionError>(Either::Right(delivered(output, delivery, future::ok(begin))))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(begun).try_flatten())))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match &self.plain {
            Some(plain) => StatisticsContext::new().compute(plain.as_ref(), args),
            None => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}
