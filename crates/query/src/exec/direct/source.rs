//! What an operator reads: [`Source`], one table's rows under conjuncts.

use std::fmt;
use std::sync::Arc;

use arrow::array::StringViewArray;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use storage::{Run, TableView};
use types::{ColumnDef, ColumnType, TimeRange};

use super::sent::FEW_ROWS;
use super::work::{Order, Work};
use crate::error::SqlError;
use crate::provider::{ScanSpec, StoredScan, StoredTable};

/// So many runs are looked at by whoever asks for rows.
const FEW_RUNS: usize = 64;

/// One table's rows under conjuncts.
#[derive(Clone)]
pub struct Source {
    pub(super) view: TableView,
    /// Disjoint rising ranges of the designated timestamp, in microseconds; all of them hold exactly.
    pub(super) ranges: Vec<TimeRange>,
    /// Places of the columns in the table's schema.
    pub(super) columns: Vec<usize>,
    pub(super) schema: SchemaRef,
    /// What each row must meet, over `columns`.
    pub(super) conjuncts: Vec<Arc<dyn PhysicalExpr>>,
    /// Whoever reads it can do with zones: columns of which they are known are not fetched before they are missed.
    pub(super) by_zones: bool,
}

impl Source {
    /// Looks through filters and projections down to a scan without a limit. The expressions are the plan's output columns
    /// over the source's columns. None where there is anything else, or a volatile expression.
    pub fn beneath(plan: &Arc<dyn ExecutionPlan>) -> Option<(Source, Vec<Arc<dyn PhysicalExpr>>)> {
        if let Some(scan) = plan.downcast_ref::<StoredScan>() {
            let spec = scan.spec();
            let schema = plan.schema();
            let (view, ranges) = (spec.view.clone(), spec.ranges.clone());
            let outputs = schema.fields().iter().enumerate().map(|(i, f)| column(f.name(), i)).collect();
            let columns = spec.columns.clone();
            return spec.limit.is_none().then_some((
                Source { view, ranges, columns, schema, conjuncts: Vec::new(), by_zones: false },
                outputs,
            ));
        }
        if let Some(same) = plan.downcast_ref::<CooperativeExec>() {
            return Source::beneath(same.input());
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            if filter.fetch().is_some() || is_volatile(filter.predicate()) {
                return None;
            }
            let (mut source, outputs) = Source::beneath(filter.input())?;
            let conjuncts = split_conjunction(filter.predicate());
            let over_source = conjuncts.into_iter().map(|conjunct| over(conjunct, &outputs));
            source.conjuncts.extend(over_source.collect::<Result<Vec<_>>>().ok()?);
            let kept = match filter.projection() {
                Some(places) => places.iter().map(|place| outputs.get(*place).cloned()).collect::<Option<_>>()?,
                None => outputs,
            };
            return Some((source, kept));
        }
        let projection = plan.downcast_ref::<ProjectionExec>()?;
        if projection.expr().iter().any(|e| is_volatile(&e.expr)) {
            return None;
        }
        let (source, outputs) = Source::beneath(projection.input())?;
        let exprs = projection.expr().iter().map(|e| over(&e.expr, &outputs)).collect::<Result<_>>().ok()?;
        Some((source, exprs))
    }

    /// Returns the columns as expressions see them: symbols are texts.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the table.
    pub fn view(&self) -> &TableView {
        &self.view
    }

    /// Returns the ranges of the designated timestamp, in microseconds, that rows are in.
    pub fn ranges(&self) -> &[TimeRange] {
        &self.ranges
    }

    /// Returns what rows must meet beside the ranges of time, over the source's columns.
    pub fn conjuncts(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.conjuncts
    }

    /// Returns the column of that place as the table has it.
    pub fn column(&self, place: usize) -> &ColumnDef {
        &self.view.schema().columns[self.columns[place]]
    }

    /// Returns the place of the designated timestamp among the columns, if it is one of them.
    pub fn time(&self) -> Option<usize> {
        let designated = self.view.schema().designated_index();
        self.columns.iter().position(|c| Some(*c) == designated)
    }

    /// Returns whether the column is a symbol: a block has its codes.
    pub fn is_symbol(&self, place: usize) -> bool {
        self.column(place).column_type == ColumnType::Symbol
    }

    /// Returns the texts of a symbol's codes; None for other columns. Codes in rows are always below its length.
    pub fn dictionary(&self, place: usize) -> Result<Option<Arc<StringViewArray>>> {
        if !self.is_symbol(place) {
            return Ok(None);
        }
        let found = self.view.dictionary(self.column(place).id);
        found.map(Some).map_err(|e| SqlError::from_storage(&e).into_datafusion())
    }

    /// Returns the engine's own operators that read the same.
    ///
    /// # Errors
    /// Conjuncts that are no conditions.
    pub fn plain(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let (view, columns, ranges) = (self.view.clone(), self.columns.clone(), self.ranges.clone());
        let table = StoredTable::new(view.clone());
        let scan = Arc::new(StoredScan::new(ScanSpec { view, columns, ranges, limit: None }, &table.schema())?);
        if self.conjuncts.is_empty() {
            return Ok(scan);
        }
        Ok(Arc::new(FilterExec::try_new(conjunction(self.conjuncts.iter().cloned()), scan)?))
    }

    /// Returns the source over another view of its table.
    #[must_use]
    pub fn of_view(&self, view: TableView) -> Source {
        Source { view, ..self.clone() }
    }

    /// Returns the source with other rows to read: those in disjoint rising ranges of time, that meet conjuncts over its columns.
    #[must_use]
    pub fn meeting(self, ranges: Vec<TimeRange>, conjuncts: Vec<Arc<dyn PhysicalExpr>>) -> Source {
        Source { ranges, conjuncts, ..self }
    }

    /// Returns the source for somebody who can do with what is known of zones.
    #[must_use]
    pub fn by_zones(self) -> Source {
        Source { by_zones: true, ..self }
    }

    /// Returns the source with more ranges of time to meet.
    pub fn within(&self, ranges: &[TimeRange]) -> Source {
        let ranges = crate::interval::ranges::intersect(&self.ranges, ranges);
        Source { ranges, ..self.clone() }
    }

    /// Returns the source with the designated timestamp among its columns, and its place; None for a table without one.
    pub fn with_time(&self) -> Option<(Source, usize)> {
        let designated = self.view.schema().designated_index()?;
        if let Some(place) = self.time() {
            return Some((self.clone(), place));
        }
        let mut source = self.clone();
        source.columns.push(designated);
        let mut fields: Vec<_> = source.schema.fields().iter().cloned().collect();
        let column = self.view.schema().columns.get(designated)?;
        fields.push(Arc::new(crate::kind::Kind::from(column.column_type).field(&column.name).with_nullable(false)));
        source.schema = Arc::new(arrow::datatypes::Schema::new(fields));
        Some((source, self.columns.len()))
    }

    /// Returns whether rows are in ranges of time that have a beginning or an end.
    pub fn is_bounded(&self) -> bool {
        self.ranges[..] != [TimeRange::ALL]
    }

    /// Returns the runs that may have rows in the ranges of time, and perhaps others between those.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let (Some(first), Some(last)) = (self.ranges.first(), self.ranges.last()) else { return Ok(Vec::new()) };
        let whole = TimeRange { start_us: first.start_us, end_us: last.end_us };
        self.view.runs(whole).map_err(|e| SqlError::from_storage(&e).into_datafusion())
    }

    /// Returns whether whoever asks for rows may begin to read them: no file must be mapped or looked through first, there are few
    /// runs, and what a filter says of symbols is soon known.
    pub fn is_at_hand(&self) -> Result<bool> {
        let columns = || self.columns.iter().map(|place| self.view.schema().columns[*place].id);
        let are_few = |id| self.view.symbol_count(id).is_none_or(|texts| texts as usize <= FEW_ROWS);
        if !self.conjuncts.is_empty() && !columns().all(are_few) {
            return Ok(false);
        }
        let runs = self.runs()?;
        Ok(runs.len() <= FEW_RUNS && runs.iter().all(|run| run.is_at_hand(columns())))
    }

    /// Returns the stretches of rows to read. Maps segments and searches their times: call it on a blocking thread.
    pub fn work(&self, order: Order) -> Result<Work> {
        Work::of(self, order)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.view.name())
    }
}

/// As EXPLAIN shows it: `trades intervals: […] filter: price > 5`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.view.name())?;
        if self.is_bounded() {
            write!(f, " intervals: {}", crate::provider::shown_ranges(&self.ranges))?;
        }
        for (i, conjunct) in self.conjuncts.iter().enumerate() {
            write!(f, "{}{conjunct}", if i == 0 { " filter: " } else { " AND " })?;
        }
        Ok(())
    }
}

fn column(name: &str, place: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(name, place))
}

/// Returns an expression over a node's output as one over what that output is made of.
pub fn over(expr: &Arc<dyn PhysicalExpr>, outputs: &[Arc<dyn PhysicalExpr>]) -> Result<Arc<dyn PhysicalExpr>> {
    let put = |expr: Arc<dyn PhysicalExpr>| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        match outputs.get(column.index()) {
            Some(output) => {
                Ok(Transformed::new(output.clone(), true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
            }
            None => datafusion::common::internal_err!("column {column} is not in the plan's output"),
        }
    };
    expr.clone().transform_down(put).map(|done| done.data)
}
