//! LATEST ON over a table's own rows: from the newest back, on codes, until every key has been seen.
//!
//! For symbols it is known which keys there can be: the codes of the dictionary that meet the filter, and NULL where a segment has
//! it. When each has had its row the rest of the table is not read. A run that no other reaches into knows the last row of each
//! code once it was asked: its rows are not read. Only the rows that win are materialised; a sort by the symbol that is the only key
//! puts them in the order of the dictionary. Where few rows that nothing is known of must be looked through, whoever asks for the
//! rows that win does it: another thread would wake later. Next file: `direct/waiting.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use storage::arrow_type;
use storage::segment::LastRows;

use super::run::LatestOnExec;
use crate::error::SqlError;
use crate::exec::direct::fold::{Stop, on_thread};
use crate::exec::direct::values::{Change, changed_limit};
use crate::exec::direct::{Backward, Block, FEW_ROWS, Notes, Outputs, Source, reservation};
use crate::exec::operator::{counted, reads_tables};

mod waiting;

use waiting::{Codes, Numbers, SymbolKey, Waiting};

/// Symbols with more texts are sorted by the plain form, which compares only those of rows.
const MOST_TEXTS: usize = 1 << 16;
/// A run of no more rows is looked through where it lies.
const MOST_SMALL_ROWS: usize = if cfg!(test) { 120 } else { 32 << 10 };
/// So many rows of one key are sooner looked through than another thread wakes.
const SOON_ROWS: usize = if cfg!(test) { 600 } else { 128 << 10 };
/// A row of a window counts as so many: it is merged and copied first.
const WINDOW_WEIGHT: usize = 8;
/// Stands for no row.
const NO_ROW: u32 = u32::MAX;

/// The newest row of each key of one table.
#[derive(Debug, Clone)]
pub struct DirectLatestExec {
    source: Source,
    /// Places of the keys in the source.
    keys: Vec<usize>,
    outputs: Outputs,
    /// Rows come in the order of the only key, a symbol; else in that of time.
    sorted: Option<Sorted>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// An order of the texts of a symbol.
#[derive(Debug, Clone, Copy)]
struct Sorted {
    options: SortOptions,
    /// More rows than these are left out.
    fetch: Option<usize>,
}

/// Returns the operator in place of [`LatestOnExec`] over a table, by its designated timestamp.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let latest = plan.downcast_ref::<LatestOnExec>().map(|latest| DirectLatestExec::of(latest, notes));
    Ok(latest.transpose()?.flatten().map(|(latest, _)| Arc::new(latest) as _))
}

/// Returns the operator in place of [`LatestOnExec`] over a table and of the sort on top of it, by the symbol that is its only key.
pub fn recognise_sorted(plan: &Arc<dyn ExecutionPlan>, _notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(None) };
    let ([by], Some(latest)) = (sort.expr().as_ref(), sort.input().downcast_ref::<LatestOnExec>()) else {
        return Ok(None);
    };
    let Some((latest, outputs)) = DirectLatestExec::of(latest, &Notes::default())? else { return Ok(None) };
    let output = by.expr.downcast_ref::<Column>().and_then(|column| outputs.get(column.index()));
    let place = output.and_then(|output| output.downcast_ref::<Column>()).map(Column::index);
    let sorted = Some(Sorted { options: by.options, fetch: sort.fetch() });
    let latest = DirectLatestExec { sorted, properties: plan.properties().clone(), ..latest };
    let is_by_the_key = latest.keys.len() == 1 && place == latest.keys.first().copied();
    Ok((is_by_the_key && latest.fits()).then(|| Arc::new(latest) as _))
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

/// What an operator gives out, over the columns that it reads.
type Exprs = Vec<Arc<dyn PhysicalExpr>>;

impl DirectLatestExec {
    /// Returns the operator in place of another form over a table, by its designated timestamp, and what its outputs are over the
    /// table's columns.
    fn of(latest: &LatestOnExec, notes: &Notes) -> Result<Option<(DirectLatestExec, Exprs)>> {
        let Some((source, exprs)) = Source::beneath(latest.input()) else {
            notes.falls_back(|| "latest on: not over the rows of one table".to_owned());
            return Ok(None);
        };
        let place = |output: &usize| exprs.get(*output)?.downcast_ref::<Column>().map(Column::index);
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
        let outputs = Outputs::new(&source, &exprs, latest.schema())?;
        let (properties, metrics) = (latest.properties().clone(), ExecutionPlanMetricsSet::new());
        Ok(Some((DirectLatestExec { source, keys, outputs, sorted: None, properties, metrics }, exprs)))
    }

    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectLatestExec {
        DirectLatestExec { source, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    /// Returns what is computed of the rows.
    pub fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
        self.outputs.exprs()
    }

    /// Returns the operator with other values.
    pub fn changed(&self, change: &mut Change) -> Option<DirectLatestExec> {
        let mut sorted = self.sorted;
        if let Some(sorted) = &mut sorted {
            sorted.fetch = changed_limit(sorted.fetch, change)?;
        }
        Some(DirectLatestExec { sorted, outputs: self.outputs.changed(change)?, ..self.clone() })
    }

    /// Returns whether the keys of the source are such as the operator knows; a symbol may have got too many texts.
    pub fn fits(&self) -> bool {
        match self.sorted {
            None => keys_fit(&self.source, &self.keys),
            Some(_) => codes_fit(&self.source, &self.keys) && self.texts() <= MOST_TEXTS,
        }
    }

    /// Returns how many texts the first key has.
    fn texts(&self) -> usize {
        let count = |key: &usize| self.source.view().symbol_count(self.source.column(*key).id);
        self.keys.first().and_then(count).map_or(0, |count| count as usize)
    }

    /// Returns the rows that win.
    fn newest(&self, context: &TaskContext, stop: &Stop) -> Result<RecordBatch> {
        let all = self.found_within(usize::MAX, context, || stop.check())?;
        all.map_or_else(|| internal_err!("a search without bounds ended before its rows did"), Ok)
    }

    /// Returns the rows that win where few rows that nothing is known of must be looked through for them.
    fn soon(&self, context: &TaskContext) -> Result<Option<RecordBatch>> {
        let [_] = self.keys[..] else { return Ok(None) };
        if !codes_fit(&self.source, &self.keys) || self.texts() > FEW_ROWS || !self.source.is_at_hand()? {
            return Ok(None);
        }
        self.found_within(SOON_ROWS, context, || Ok(()))
    }

    /// Returns the rows that win; None where more than `left` rows that nothing is known of would be looked through for them.
    fn found_within(
        &self,
        mut left: usize,
        context: &TaskContext,
        go_on: impl Fn() -> Result<()>,
    ) -> Result<Option<RecordBatch>> {
        let memory = reservation(context, "DirectLatestExec");
        let mut found = Found { operator: self, memory, parts: Vec::new(), codes: Vec::new() };
        let mut backward = Backward::new(&self.source, 0)?;
        let mut waiting = self.waiting(&backward)?;
        found.memory.try_grow(waiting.bytes())?;
        let (mut rows, mut charged) = (Vec::new(), waiting.bytes());
        'stretches: while !waiting.is_done() {
            go_on()?;
            if let Some((block, last)) = self.known_run(&mut backward, &waiting, &mut left)? {
                rows.clear();
                waiting.take_last(&last, &mut rows);
                found.add(&block, &rows)?;
                backward.pass_run();
                continue;
            }
            let (blocks, weight) = match backward.small_run(MOST_SMALL_ROWS.min(left))? {
                Some(block) => {
                    backward.pass_run();
                    (vec![block], 1)
                }
                None if backward.window_rows() > left / WINDOW_WEIGHT => return Ok(None),
                None => match backward.next_window()? {
                    Some(blocks) => (blocks, WINDOW_WEIGHT),
                    None => break,
                },
            };
            for block in blocks.iter().rev() {
                left = left.saturating_sub(block.rows() * weight);
                let keys: Vec<&ArrayRef> = self.keys.iter().map(|key| block.column(*key)).collect();
                rows.clear();
                waiting.newest(&keys, block.selection(), &mut rows)?;
                if waiting.bytes() > charged {
                    found.memory.try_grow(waiting.bytes() - charged)?;
                    charged = waiting.bytes();
                }
                rows.reverse();
                found.add(block, &rows)?;
                if waiting.is_done() {
                    break 'stretches;
                }
            }
        }
        found.joined().map(Some)
    }

    /// Returns the next run where the last rows of its codes are known, or are found in at most `left` rows, and these.
    fn known_run(
        &self,
        backward: &mut Backward,
        waiting: &Waiting,
        left: &mut usize,
    ) -> Result<Option<(Block, Arc<LastRows>)>> {
        let ([key], Waiting::Codes(_)) = (&self.keys[..], waiting) else { return Ok(None) };
        let Some(block) = backward.whole_run(*key)? else { return Ok(None) };
        let last = match block.known_last_rows(*key) {
            None if block.rows() <= *left => {
                let last = block.last_rows(*key)?;
                *left -= last.as_ref().map_or(0, |_| block.rows());
                last
            }
            known => known,
        };
        Ok(last.map(|last| (block, last)))
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

/// The rows that win, as they are found.
struct Found<'o> {
    operator: &'o DirectLatestExec,
    memory: MemoryReservation,
    /// Each in the order of time, the newest first.
    parts: Vec<RecordBatch>,
    /// Of each part the codes of the rows, if they are sorted by them; NULL is behind the last text.
    codes: Vec<Vec<u32>>,
}

impl Found<'_> {
    /// Adds rows of a block, rising.
    fn add(&mut self, block: &Block, rows: &[u32]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let gathered = self.operator.outputs.gathered(block, rows)?;
        self.memory.try_grow(gathered.get_array_memory_size())?;
        self.parts.push(gathered);
        if self.operator.sorted.is_some()
            && let Some(key) = self.operator.keys.first()
        {
            let (null, codes) = (self.operator.texts() as u32, block.column(*key).as_primitive::<Int32Type>());
            let code = |row: &u32| match codes.is_valid(*row as usize) {
                true => codes.value(*row as usize) as u32,
                false => null,
            };
            self.codes.push(rows.iter().map(code).collect());
        }
        Ok(())
    }

    /// Returns all rows in the order that is asked for.
    fn joined(mut self) -> Result<RecordBatch> {
        self.parts.reverse();
        let joined = self.operator.outputs.joined(&self.parts)?;
        let Some(sorted) = self.operator.sorted else { return Ok(joined) };
        self.codes.reverse();
        let order = self.operator.order(&self.codes.concat(), sorted)?;
        match joined.num_columns() {
            0 => Ok(joined.slice(0, order.len())),
            _ => Ok(take_record_batch(&joined, &order)?),
        }
    }
}

impl DirectLatestExec {
    /// Returns the places of rows in the order of their codes' texts; no two have the same code.
    fn order(&self, codes: &[u32], sorted: Sorted) -> Result<UInt32Array> {
        let Some(key) = self.keys.first() else { return internal_err!("no key is sorted by") };
        let ranks = self.source.view().ranks(self.source.column(*key).id);
        let ranks = ranks.map_err(|error| SqlError::from_storage(&error).into_datafusion())?;
        let (null, texts) = (self.texts() as u32, ranks.len());
        // one place before the texts and one behind them for NULL
        let mut rows = vec![NO_ROW; texts + 2];
        for (row, code) in codes.iter().enumerate() {
            let place = match (*code == null, sorted.options) {
                (true, SortOptions { nulls_first: true, .. }) => 0,
                (true, _) => texts + 1,
                (false, SortOptions { descending: false, .. }) => 1 + ranks[*code as usize] as usize,
                (false, _) => texts - ranks[*code as usize] as usize,
            };
            rows[place] = row as u32;
        }
        let order = rows.into_iter().filter(|row| *row != NO_ROW).take(sorted.fetch.unwrap_or(usize::MAX));
        Ok(UInt32Array::from_iter_values(order))
    }
}

impl DisplayAs for DirectLatestExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<&str> = self.keys.iter().map(|key| self.source.column(*key).name.as_str()).collect();
        write!(f, "DirectLatestExec: partition by=[{}], ", keys.join(", "))?;
        if let Some(Sorted { options, fetch }) = &self.sorted {
            let direction = if options.descending { "DESC" } else { "ASC" };
            write!(f, "in the order of [{} {direction}], ", keys.join(", "))?;
            if let Some(rows) = fetch {
                write!(f, "rows={rows}, ")?;
            }
        }
        write!(f, "backward scan on: {}", self.source)
    }
}

impl ExecutionPlan for DirectLatestExec {
    fn name(&self) -> &str {
        "DirectLatestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (operator, batch_size) = (self.clone(), context.session_config().batch_size().max(1));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let found = async move {
            if let Some(found) = operator.soon(&context)? {
                return operator.outputs.computed(&found);
            }
            on_thread(move |stop| operator.outputs.computed(&operator.newest(&context, stop)?)).await
        };
        let pieces = move |rows: RecordBatch| {
            let starts = (0..rows.num_rows()).step_by(batch_size);
            stream::iter(starts.map(move |start| Ok(rows.slice(start, batch_size.min(rows.num_rows() - start)))))
        };
        let output = stream::once(found).map_ok(pieces).try_flatten();
        Ok(counted(self.schema(), metrics, output.boxed()))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
