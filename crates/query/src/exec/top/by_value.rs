//! The first rows by the values of any columns: ORDER BY price DESC, account LIMIT 10.
//!
//! Each thread keeps the best rows that it has seen and passes over all others by one comparison with the worst of them. A
//! value of any type is an unsigned number that rises in the wanted order ([`rank`]), symbols by their place among the sorted
//! texts. Of rows that no key tells apart the earlier ones count. Only the rows that win are materialised. Where bounds of zones
//! are known, the zones are looked at in the order of these, and most not at all ([`pieces`]).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use types::ColumnType;

use crate::error::SqlError;
use crate::exec::direct::fold::{Stop, are_few, fold_parts, on_thread};
use crate::exec::direct::values::{Change, changed_rows};
use crate::exec::direct::{FEW_ROWS, Notes, Order, Outputs, Source, Work, fold_streamed, reservation};
use crate::exec::operator::{counted, reads_tables};

mod best;
mod pieces;
mod rank;

use best::Best;
use pieces::{Pieces, Stretch};
use rank::Key;

/// More rows than these are left to the plain sort.
const MOST_ROWS: usize = 1 << 16;
/// Symbols with more texts than these are left to the plain sort, which compares only those of rows.
const MOST_TEXTS: u32 = 1 << 16;

/// The first rows of a table by some of its columns.
#[derive(Debug, Clone)]
pub struct DirectTopExec {
    source: Source,
    keys: Vec<Key>,
    /// How many of the keys the statement names; one more tells equal rows apart by time.
    named: usize,
    rows: usize,
    outputs: Outputs,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Returns the operator in place of a sort with a limit over a table.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(None) };
    let Some(rows) = sort.fetch().filter(|rows| *rows > 0) else { return Ok(None) };
    let Some((source, outputs)) = Source::beneath(sort.input()) else { return Ok(None) };
    if rows > MOST_ROWS {
        notes.falls_back(|| format!("order by: more than {MOST_ROWS} rows are asked for"));
        return Ok(None);
    }
    let mut keys = Vec::new();
    for by in sort.expr().iter() {
        let output = by.expr.downcast_ref::<Column>().and_then(|column| outputs.get(column.index()));
        let Some(column) = output.and_then(|output| output.downcast_ref::<Column>()) else {
            notes.falls_back(|| format!("order by: {} is computed", by.expr));
            return Ok(None);
        };
        let (place, options) = (column.index(), by.options);
        let key = Key { place, descending: options.descending, nulls_first: options.nulls_first };
        if !is_ranked(&source, place) || !key.is_exact(source.column(place).column_type) {
            notes.falls_back(|| format!("order by: {} has values that are no numbers", column.name()));
            return Ok(None);
        }
        keys.push(key);
    }
    let outputs = Outputs::new(&source, &outputs, plan.schema())?;
    let (named, mut source) = (keys.len(), source);
    if let Some((with_time, place)) = source.with_time() {
        source = with_time;
        if keys.iter().all(|key| key.place != place) {
            keys.push(Key { place, descending: false, nulls_first: true });
        }
    }
    let (properties, metrics) = (plan.properties().clone(), ExecutionPlanMetricsSet::new());
    Ok(Some(Arc::new(DirectTopExec { source, keys, named, rows, outputs, properties, metrics })))
}

fn is_ranked(source: &Source, place: usize) -> bool {
    let column = source.column(place);
    match column.column_type {
        ColumnType::Symbol => source.view().symbol_count(column.id).is_some_and(|texts| texts <= MOST_TEXTS),
        ColumnType::Boolean | ColumnType::Byte | ColumnType::Short | ColumnType::Int | ColumnType::Long => true,
        ColumnType::Float | ColumnType::Double | ColumnType::Ipv4 | ColumnType::Date => true,
        ColumnType::Timestamp | ColumnType::TimestampNs => true,
        _ => false,
    }
}

/// Returns the place of each text of a symbol among the sorted ones, from 1; None for other columns.
fn text_ranks(source: &Source, place: usize) -> Result<Option<Vec<u64>>> {
    if !source.is_symbol(place) {
        return Ok(None);
    }
    let ranks = source.view().ranks(source.column(place).id);
    let ranks = ranks.map_err(|error| SqlError::from_storage(&error).into_datafusion())?;
    Ok(Some(ranks.iter().map(|rank| u64::from(*rank) + 1).collect()))
}

impl DirectTopExec {
    async fn best(self, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        let operator = self.clone();
        let mut begun = match self.begun_here(&context)? {
            Some(begun) => begun,
            None => on_thread(move |stop| operator.begun(context, stop, are_few)).await?,
        };
        let rows = begun.left.iter().map(Stretch::rows).sum();
        let (search, mut states) = (begun.search, vec![begun.best]);
        if !begun.left.is_empty() {
            let start = {
                let search = search.clone();
                move || search.best()
            };
            let each = move |state: &mut Charged, stretch: &Stretch| search.look(&mut state.0, stretch);
            states.extend(fold_parts(std::mem::take(&mut begun.left), rows, start, each).await?);
        }
        let mut found = Vec::new();
        let mut gathered = Vec::new();
        for (best, _memory) in states {
            let (rows, part) = best.finish(&self.outputs)?;
            found.extend(rows);
            gathered.push(part);
        }
        let mut order: Vec<u32> = (0..found.len() as u32).collect();
        order.sort_unstable_by(|a, b| found[*a as usize].cmp(&found[*b as usize]));
        order.truncate(self.rows);
        let joined = self.outputs.joined(&gathered)?;
        let rows = match joined.num_columns() {
            0 => joined.slice(0, order.len()),
            _ => take_record_batch(&joined, &UInt32Array::from(order))?,
        };
        Ok(vec![self.outputs.computed(&rows)?])
    }
}

/// The best rows of a thread, and what is noted of their memory.
type Charged = (Best, MemoryReservation);

/// What all threads of a statement share.
struct Search {
    work: Work,
    keys: Vec<Key>,
    rows: usize,
    /// By key, for symbols.
    texts: Arc<Vec<Option<Vec<u64>>>>,
    bar: Arc<AtomicU64>,
    context: Arc<TaskContext>,
}

/// A search after one thread has looked at the most promising rows.
struct Begun {
    search: Arc<Search>,
    best: Charged,
    /// Rows for other threads.
    left: Vec<Stretch>,
}

impl Search {
    /// Returns the best of no rows yet.
    fn best(&self) -> Result<Charged> {
        let memory = reservation(&self.context, "DirectTopExec");
        memory.try_grow(Best::bytes(self.rows, self.keys.len()))?;
        Ok((Best::new(self.keys.clone(), self.texts.clone(), self.rows, self.bar.clone()), memory))
    }

    /// Looks at rows, unless all come after the worst that is wanted.
    fn look(&self, best: &mut Best, stretch: &Stretch) -> Result<()> {
        if stretch.least > self.bar.load(Ordering::Relaxed) {
            return Ok(());
        }
        best.offer(stretch.number, stretch.read(&self.work)?)
    }
}

impl DirectTopExec {
    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the operator over another source of the same columns.
    pub fn over(&self, source: Source) -> DirectTopExec {
        DirectTopExec { source, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    /// Returns what is computed of the rows.
    pub fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
        self.outputs.exprs()
    }

    /// Returns the operator with other values; None for more rows than it keeps.
    pub fn changed(&self, change: &mut Change) -> Option<DirectTopExec> {
        let rows = changed_rows(self.rows, change).filter(|rows| *rows <= MOST_ROWS)?;
        Some(DirectTopExec { rows, outputs: self.outputs.changed(change)?, ..self.clone() })
    }

    /// Returns whether the keys of the source are such as the operator knows; a symbol may have got too many texts.
    pub fn fits(&self) -> bool {
        self.keys.iter().all(|key| is_ranked(&self.source, key.place))
    }

    /// Begins on this thread where it is soon done: another one would wake later.
    fn begun_here(&self, context: &Arc<TaskContext>) -> Result<Option<Begun>> {
        let texts = |key: &Key| self.source.view().symbol_count(self.source.column(key.place).id).unwrap_or(0);
        let few = self.rows <= FEW_ROWS && self.keys.iter().all(|key| texts(key) as usize <= FEW_ROWS);
        if !few || !self.source.conjuncts().is_empty() || !self.source.is_at_hand()? {
            return Ok(None);
        }
        self.begun(context.clone(), &Stop::default(), |rows| rows <= FEW_ROWS).map(Some)
    }

    /// Looks at the rows of the best zones, and at all others if these are few.
    fn begun(&self, context: Arc<TaskContext>, stop: &Stop, are_few: impl Fn(usize) -> bool) -> Result<Begun> {
        let work = self.source.work(Order::Any)?;
        let texts = self.keys.iter().map(|key| text_ranks(&self.source, key.place)).collect::<Result<_>>()?;
        let bar = Arc::new(AtomicU64::new(u64::MAX));
        let search = Search { work, keys: self.keys.clone(), rows: self.rows, texts: Arc::new(texts), bar, context };
        let (mut best, memory) = search.best()?;
        let mut pieces = Pieces::of(&search.work, &self.keys[0])?;
        let listed = memory.new_empty();
        listed.try_grow(pieces.bytes())?;
        for stretch in pieces.take_best(self.rows) {
            stop.check()?;
            search.look(&mut best, &stretch)?;
            best.raise_bar();
            pieces.is_done(&stretch);
        }
        let mut left = pieces.left(search.bar.load(Ordering::Relaxed));
        if are_few(left.iter().map(Stretch::rows).sum()) {
            for stretch in std::mem::take(&mut left) {
                stop.check()?;
                search.look(&mut best, &stretch)?;
            }
        }
        Ok(Begun { search: Arc::new(search), best: (best, memory), left })
    }
}

impl DisplayAs for DirectTopExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<String> = self.keys[..self.named]
            .iter()
            .map(|key| {
                let direction = if key.descending { " desc" } else { "" };
                format!("{}{direction}", self.source.column(key.place).name)
            })
            .collect();
        write!(f, "DirectTopExec: rows={}, by=[{}], scan on: {}", self.rows, keys.join(", "), self.source)
    }
}

impl ExecutionPlan for DirectTopExec {
    fn name(&self) -> &str {
        "DirectTopExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output = fold_streamed(self.schema(), self.clone().best(context));
        Ok(counted(self.schema(), metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
