//! LATEST ON over a table's own rows: from the newest back, on codes, until every key has been seen.
//!
//! For symbols it is known which keys there can be: the codes of the dictionary that meet the filter, and NULL where a segment has
//! it. When each has had its row the rest of the table is not read. A segment that no other reaches into knows the last row of each
//! code once it was asked: its rows are not read. Only the rows that win are materialised. Next file:
//! `direct/waiting.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use storage::arrow_type;
use storage::segment::LastRows;

use super::run::LatestOnExec;
use crate::exec::direct::fold::on_thread;
use crate::exec::direct::{Backward, Block, Notes, Outputs, Source, reservation};

mod waiting;

use waiting::{Codes, Numbers, SymbolKey, Waiting};

/// The newest row of each key of one table.
#[derive(Debug, Clone)]
pub struct DirectLatestExec {
    source: Source,
    /// Places of the keys in the source.
    keys: Vec<usize>,
    outputs: Outputs,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Returns the operator in place of [`LatestOnExec`] over a table, by its designated timestamp.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(latest) = plan.downcast_ref::<LatestOnExec>() else { return Ok(None) };
    let Some((source, outputs)) = Source::beneath(latest.input()) else {
        notes.falls_back(|| "latest on: not over the rows of one table".to_owned());
        return Ok(None);
    };
    let place = |output: &usize| outputs.get(*output)?.downcast_ref::<Column>().map(Column::index);
    if source.time().is_none() || place(&latest.time()) != source.time() {
        notes.falls_back(|| "latest on: not by the designated timestamp".to_owned());
        return Ok(None);
    }
    let Some(keys) = latest.keys().iter().map(place).collect::<Option<Vec<usize>>>() else {
        notes.falls_back(|| "latest on: a key is computed".to_owned());
        return Ok(None);
    };
    if !keys_fit(&source, &keys) {
        notes.falls_back(|| {
            "latest on: keys that are neither symbols, integers, flags nor moments, or too many".to_owned()
        });
        return Ok(None);
    }
    let outputs = Outputs::new(&source, &outputs, plan.schema())?;
    let (properties, metrics) = (plan.properties().clone(), ExecutionPlanMetricsSet::new());
    Ok(Some(Arc::new(DirectLatestExec { source, keys, outputs, properties, metrics })))
}

fn keys_fit(source: &Source, keys: &[usize]) -> bool {
    codes_fit(source, keys) || Numbers::fit(&stored_types(source, keys))
}

fn codes_fit(source: &Source, keys: &[usize]) -> bool {
    let counts = keys.iter().map(|key| source.view().symbol_count(source.column(*key).id).map(|n| n as usize));
    counts.collect::<Option<Vec<usize>>>().is_some_and(|counts| Codes::fit(&counts))
}

fn stored_types(source: &Source, keys: &[usize]) -> Vec<DataType> {
    keys.iter().map(|key| arrow_type(source.column(*key).column_type)).collect()
}

impl DirectLatestExec {
    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectLatestExec {
        DirectLatestExec { source, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    /// Returns whether the keys of the source are such as the operator knows; a symbol may have got too many texts.
    pub fn fits(&self) -> bool {
        keys_fit(&self.source, &self.keys)
    }

    /// Returns the rows, gathered, in the order of the output.
    fn newest(&self, context: &TaskContext, stop: &crate::exec::direct::fold::Stop) -> Result<Vec<RecordBatch>> {
        let memory = reservation(context, "DirectLatestExec");
        let mut backward = Backward::new(&self.source, 0)?;
        let mut waiting = self.waiting(&backward)?;
        memory.try_grow(waiting.bytes())?;
        let (mut found, mut rows, mut charged) = (Vec::new(), Vec::new(), waiting.bytes());
        'windows: while !waiting.is_done() {
            if let Some((block, last)) = self.known_run(&mut backward, &waiting)? {
                rows.clear();
                waiting.take_last(&last, &mut rows);
                if !rows.is_empty() {
                    let gathered = self.outputs.gathered(&block, &rows)?;
                    memory.try_grow(gathered.get_array_memory_size())?;
                    found.push(gathered);
                }
                backward.pass_run();
                continue;
            }
            let Some(blocks) = backward.next_window()? else { break };
            stop.check()?;
            for block in blocks.iter().rev() {
                let keys: Vec<&ArrayRef> = self.keys.iter().map(|key| block.column(*key)).collect();
                rows.clear();
                waiting.newest(&keys, block.selection(), &mut rows)?;
                if waiting.bytes() > charged {
                    memory.try_grow(waiting.bytes() - charged)?;
                    charged = waiting.bytes();
                }
                if !rows.is_empty() {
                    rows.reverse();
                    let gathered = self.outputs.gathered(block, &rows)?;
                    memory.try_grow(gathered.get_array_memory_size())?;
                    found.push(gathered);
                }
                if waiting.is_done() {
                    break 'windows;
                }
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Returns the next run where the last rows of its codes are known, and these.
    fn known_run(&self, backward: &mut Backward, waiting: &Waiting) -> Result<Option<(Block, Arc<LastRows>)>> {
        let ([key], Waiting::Codes(_)) = (&self.keys[..], waiting) else { return Ok(None) };
        let Some(block) = backward.whole_run(*key)? else { return Ok(None) };
        Ok(block.last_rows(*key)?.map(|last| (block, last)))
    }

    /// Returns the keys that there can be.
    fn waiting(&self, backward: &Backward) -> Result<Waiting> {
        if !codes_fit(&self.source, &self.keys) {
            return Ok(Waiting::Numbers(Numbers::default()));
        }
        let symbol = |key: &usize| {
            let id = self.source.column(*key).id;
            let count = self.source.view().symbol_count(id).unwrap_or(0) as usize;
            let mut wanted = vec![true; count];
            wanted.push(backward.runs().any(|run| run.may_be_null(id)));
            for (code, wanted) in wanted.iter_mut().enumerate() {
                *wanted &= backward.meets(*key, (code < count).then_some(code));
            }
            SymbolKey { count, wanted }
        };
        Ok(Waiting::Codes(Codes::new(&self.keys.iter().map(symbol).collect::<Vec<_>>())))
    }
}

impl DisplayAs for DirectLatestExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<&str> = self.keys.iter().map(|key| self.source.column(*key).name.as_str()).collect();
        write!(f, "DirectLatestExec: partition by=[{}], backward scan on: {}", keys.join(", "), self.source)
    }
}

impl ExecutionPlan for DirectLatestExec {
    fn name(&self) -> &str {
        "DirectLatestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (operator, batch_size) = (self.clone(), context.session_config().batch_size().max(1));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let found = on_thread(move |stop| {
            let found = operator.newest(&context, stop)?;
            let joined = operator.outputs.joined(&found)?;
            operator.outputs.computed(&joined)
        });
        let pieces = move |rows: RecordBatch| {
            let starts = (0..rows.num_rows()).step_by(batch_size);
            stream::iter(starts.map(move |start| Ok(rows.slice(start, batch_size.min(rows.num_rows() - start)))))
        };
        let output = stream::once(found).map_ok(pieces).try_flatten();
        let output = output.inspect_ok(move |batch: &RecordBatch| metrics.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output.boxed())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
