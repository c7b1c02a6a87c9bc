//! Rows from the end of a table's time: ORDER BY its timestamp DESC, with and without LIMIT, and LIMIT -n.
//!
//! Rows are read from the newest back, by windows, and no further than they are asked for; nothing is sorted. Rows of equal
//! time come in the reverse order of arrival when the order is descending, as QuestDB's backward scan gives them.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future;

use crate::exec::direct::values::{Change, changed_limit};
use crate::exec::direct::{Backward, FEW_ROWS, Notes, Outputs, Selection, Source, made, reservation, sent};
use crate::exec::operator::reads_tables;
use crate::exec::slice::SliceExec;

/// The last rows of a table by time.
#[derive(Debug, Clone)]
pub struct DirectLastExec {
    source: Source,
    outputs: Outputs,
    /// Newest rows that are left out, and rows that follow them and stay; None: all of them.
    drop: usize,
    keep: Option<usize>,
    /// Whether the newest comes first.
    descending: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Returns the operator in place of a descending sort by the designated timestamp of a table, and of a slice from its end.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, _notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (input, drop, keep, by) = if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let [by] = sort.expr().as_ref() else { return Ok(None) };
        let Some(column) = by.expr.downcast_ref::<Column>().filter(|_| by.options.descending) else { return Ok(None) };
        (sort.input(), 0, sort.fetch(), Some(column.index()))
    } else if let Some(slice) = plan.downcast_ref::<SliceExec>() {
        let Some((keep, drop)) = slice.window().from_the_end() else { return Ok(None) };
        (slice.input(), drop, Some(keep), None)
    } else {
        return Ok(None);
    };
    let Some((source, outputs)) = Source::beneath(input) else { return Ok(None) };
    let Some((_, time)) = source.with_time() else { return Ok(None) };
    if let Some(by) = by {
        let column = outputs.get(by).and_then(|output| output.downcast_ref::<Column>());
        if source.time().is_none() || column.map(Column::index) != Some(time) {
            return Ok(None);
        }
    }
    let outputs = Outputs::new(&source, &outputs, plan.schema())?;
    let (properties, metrics) = (plan.properties().clone(), ExecutionPlanMetricsSet::new());
    let descending = by.is_some();
    Ok(Some(Arc::new(DirectLastExec { source, outputs, drop, keep, descending, properties, metrics })))
}

impl DirectLastExec {
    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectLastExec {
        DirectLastExec { source, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    /// Returns what is computed of the rows.
    pub fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
        self.outputs.exprs()
    }

    /// Returns the operator with other values.
    pub fn changed(&self, change: &mut Change) -> Option<DirectLastExec> {
        let keep = changed_limit(self.keep, change)?;
        Some(DirectLastExec { keep, outputs: self.outputs.changed(change)?, ..self.clone() })
    }

    /// Gives the rows away, each batch of at most the session's size.
    fn send(
        &self,
        context: &TaskContext,
        is_closed: &dyn Fn() -> bool,
        give: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<()> {
        let batch_size = context.session_config().batch_size().max(1);
        let memory = reservation(context, "DirectLastExec");
        let mut skip = self.drop;
        let mut left = self.keep.unwrap_or(usize::MAX);
        let wanted = if self.source.conjuncts().is_empty() { skip.saturating_add(left) } else { 0 };
        let mut backward = Backward::new(&self.source, wanted)?;
        // newest first; of an ascending order all are gathered before the first is sent
        let mut found: Vec<RecordBatch> = Vec::new();
        'windows: while left > 0 && !is_closed() {
            let Some(blocks) = backward.next_window()? else { break };
            for block in blocks.iter().rev() {
                let selected = block.selected_rows();
                let end = selected - skip.min(selected);
                skip -= selected - end;
                let taken = end.min(left);
                left -= taken;
                // pieces from the end of what is taken
                let start = end - taken;
                let mut upper = end;
                while upper > start {
                    let lower = upper.saturating_sub(batch_size).max(start);
                    let rows: Vec<u32> = match block.selection() {
                        Selection::All => (lower as u32..upper as u32).collect(),
                        Selection::Rows(rows) => rows[lower..upper].to_vec(),
                    };
                    upper = lower;
                    if !self.descending {
                        let gathered = self.outputs.gathered(block, &rows)?;
                        memory.try_grow(gathered.get_array_memory_size())?;
                        found.push(gathered);
                        continue;
                    }
                    let rows: Vec<u32> = rows.into_iter().rev().collect();
                    let batch = self.outputs.computed(&self.outputs.gathered(block, &rows)?)?;
                    if !give(batch) {
                        return Ok(());
                    }
                }
                if left == 0 {
                    break 'windows;
                }
            }
        }
        while let Some(gathered) = found.pop() {
            if !give(self.outputs.computed(&gathered)?) {
                break;
            }
        }
        Ok(())
    }
}

impl DisplayAs for DirectLastExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "DirectLastExec: ")?;
        if let Some(keep) = self.keep {
            write!(f, "rows={keep}, ")?;
        }
        if self.drop > 0 {
            write!(f, "behind={}, ", self.drop)?;
        }
        let order = if self.descending { "descending" } else { "ascending" };
        write!(f, "{order}, backward scan on: {}", self.source)
    }
}

impl ExecutionPlan for DirectLastExec {
    fn name(&self) -> &str {
        "DirectLastExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let operator = self.clone();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let few = self.keep.is_some_and(|keep| keep.saturating_add(self.drop) <= FEW_ROWS);
        if few && self.source.conjuncts().is_empty() {
            return Ok(made(self.schema(), metrics, move |is_closed, give| operator.send(&context, is_closed, give)));
        }
        Ok(sent(self.schema(), metrics, future::ok(()), move |(), is_closed, give| {
            operator.send(&context, is_closed, give)
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
