//! INSERT: constants of VALUES or the rows of a query, converted as the peer converts them.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use futures::StreamExt;
use storage::TableView;
use types::{Column, ColumnData, ColumnDef, RowBatch};

use super::rows::{push, row_batch};
use super::run::{ordered, stream};
use super::{Moment, Session};
use crate::error::SqlError;
use crate::functions::{self, Typed};
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::{Expr as Tree, ExprKind, Insert, InsertSource, Query, Tuple};
use crate::parser::expression_text;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{Relation, missing_table};
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner};

/// Bytes of a query's rows that are gathered into one commit, unless the statement says ATOMIC.
const COMMIT_BYTES: usize = 64 << 20;

impl Session {
    pub(super) async fn insert(&mut self, sql: &str, insert: &Insert, params: &[Param]) -> Result<Outcome, SqlError> {
        let moment = self.moment();
        match &insert.source {
            InsertSource::Values(tuples) => {
                let (table, batch) = {
                    let planner = self.planner(&moment, Parameters::bound(params));
                    let target = Target::new(&planner, insert)?;
                    let batch = target.values(&planner, &self.state, sql, tuples)?;
                    (target.table.id(), batch)
                };
                let rows = batch.rows() as u64;
                self.append_or_buffer(vec![(table, batch)]).await?;
                Ok(Outcome::Insert { rows, select: false })
            }
            InsertSource::Query(query) => {
                let rows = self.insert_query(&moment, insert, query, params).await?;
                Ok(Outcome::Insert { rows, select: true })
            }
        }
    }

    async fn insert_query(
        &mut self,
        moment: &Moment,
        insert: &Insert,
        query: &Query,
        params: &[Param],
    ) -> Result<u64, SqlError> {
        let (target, relation) = {
            let planner = self.planner(moment, Parameters::bound(params));
            let target = Target::new(&planner, insert)?;
            let relation = target.selected(&planner, insert, query)?;
            (target, relation)
        };
        let columns: Vec<&ColumnDef> = target.columns.iter().map(|place| target.column(*place)).collect();
        let mut stream = self.stopper.stoppable(stream(&self.state, &relation.plan).await?);
        let (mut total, mut pending, mut waiting) = (0u64, 0usize, Vec::new());
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| SqlError::from_datafusion(&e))?;
            let batch = row_batch(&batch, &columns)?;
            total += batch.rows() as u64;
            pending += batch.columns().iter().map(|column| column.data.size_bytes()).sum::<usize>();
            waiting.push((target.table.id(), batch));
            if pending >= COMMIT_BYTES && !insert.atomic {
                self.append_or_buffer(std::mem::take(&mut waiting)).await?;
                pending = 0;
            }
        }
        self.append_or_buffer(waiting).await?;
        Ok(total)
    }
}

/// Finds the kinds of an INSERT's parameters.
pub fn describe(planner: &Planner, _sql: &str, insert: &Insert) -> Result<(), SqlError> {
    let target = Target::new(planner, insert)?;
    match &insert.source {
        InsertSource::Query(query) => target.selected(planner, insert, query).map(drop),
        InsertSource::Values(tuples) => {
            let scope = Scope::constants(planner);
            for (place, tree) in tuples.iter().flat_map(|t| target.columns.iter().zip(&t.values)) {
                scope.bind_wanted(tree, Kind::from(target.column(*place).column_type))?;
            }
            Ok(())
        }
    }
}

/// The table of an INSERT and the columns that it names.
struct Target {
    table: TableView,
    /// Places in the table's schema, in the order of the values.
    columns: Vec<usize>,
}

impl Target {
    fn new(planner: &Planner, insert: &Insert) -> Result<Target, SqlError> {
        let table = planner.table(&insert.table.name).ok_or_else(|| missing_table(&insert.table))?;
        let schema = table.schema();
        let columns = match insert.columns.is_empty() {
            true => (0..schema.columns.len()).collect(),
            false => {
                let find = |name: &crate::parser::ast::Ident| {
                    let message = || format!("Invalid column: {}", name.name);
                    schema.index_of(&name.name).ok_or_else(|| SqlError::new(name.position, message()))
                };
                insert.columns.iter().map(find).collect::<Result<Vec<_>, _>>()?
            }
        };
        Ok(Target { table, columns })
    }

    fn column(&self, place: usize) -> &ColumnDef {
        &self.table.schema().columns[place]
    }

    fn is_designated(&self, place: usize) -> bool {
        self.table.schema().designated_index() == Some(place)
    }

    fn populates_time(&self) -> bool {
        self.table.schema().designated_index().is_none_or(|time| self.columns.contains(&time))
    }

    /// Returns the batch of VALUES.
    fn values(
        &self,
        planner: &Planner,
        state: &SessionState,
        sql: &str,
        tuples: &[Tuple],
    ) -> Result<RowBatch, SqlError> {
        let _ = sql;
        if let Some((i, tuple)) = tuples.iter().enumerate().find(|(_, t)| t.values.len() != self.columns.len()) {
            let (expected, actual) = (self.columns.len(), tuple.values.len());
            let message = format!(
                "row value count does not match column count [expected={expected}, actual={actual}, tuple={}]",
                i + 1
            );
            return Err(SqlError::new(tuple.close, message));
        }
        if !self.populates_time() {
            return Err(SqlError::new(0, "insert statement must populate timestamp"));
        }
        let scope = Scope::constants(planner);
        let mut data: Vec<ColumnData> =
            self.columns.iter().map(|place| ColumnData::new(self.column(*place).column_type)).collect();
        for (row, tuple) in tuples.iter().enumerate() {
            for ((place, tree), column) in self.columns.iter().zip(&tuple.values).zip(&mut data) {
                let value = self.value(&scope, state, *place, tree, row)?;
                push(column, &value)?;
            }
        }
        let columns = self.columns.iter().zip(data).map(|(place, data)| Column { id: self.column(*place).id, data });
        RowBatch::new(tuples.len(), columns.collect()).map_err(|e| SqlError::internal(e.to_string()))
    }

    fn value(
        &self,
        scope: &Scope,
        state: &SessionState,
        place: usize,
        tree: &Tree,
        row: usize,
    ) -> Result<ScalarValue, SqlError> {
        let column = self.column(place);
        let kind = Kind::from(column.column_type);
        let designated = self.is_designated(place);
        let bound = scope.bind_wanted(tree, kind)?;
        let converted = functions::cast::assign(bound, kind, &first_token(tree), &column.name)
            .and_then(|typed| constant(state, typed))
            .map_err(|error| match designated && error.message.starts_with("inconvertible value") {
                true => SqlError { message: format!("{} tuple: {row}", error.message), ..error },
                false => error,
            })?;
        if designated {
            let place = leftmost(tree).position;
            match &converted {
                ScalarValue::TimestampMicrosecond(Some(t), _) | ScalarValue::TimestampNanosecond(Some(t), _)
                    if *t < 0 =>
                {
                    return Err(SqlError::new(place, "designated timestamp before 1970-01-01 is not allowed"));
                }
                value if value.is_null() => {
                    return Err(SqlError::new(place, "designated timestamp column cannot be NULL"));
                }
                _ => {}
            }
        }
        Ok(converted)
    }

    /// Returns the rows of a query, converted to the columns' types.
    fn selected(&self, planner: &Planner, insert: &Insert, query: &Query) -> Result<Relation, SqlError> {
        let relation = ordered(planner.query(query, Ctes::NONE)?)?;
        if relation.columns.len() != self.columns.len() {
            let fewer = relation.columns.len() < self.columns.len();
            return Err(match fewer {
                true => SqlError::new(query.position, "not enough columns selected"),
                false => SqlError::new(insert.table.position, "column count mismatch"),
            });
        }
        if !self.populates_time() {
            return Err(SqlError::new(insert.table.position, "select clause must provide timestamp column"));
        }
        let mut exprs = Vec::new();
        let mut columns = relation.columns.clone();
        for (place, column) in self.columns.iter().zip(&mut columns) {
            let target = self.column(*place);
            let kind = Kind::from(target.column_type);
            let is_moment = column.kind.is_time() || matches!(column.kind, Kind::String | Kind::Varchar);
            if self.is_designated(*place) && !is_moment {
                let message = format!("expected timestamp column but type is {}", column.kind);
                return Err(SqlError::new(insert.table.position, message));
            }
            let typed = functions::cast::assign(column.typed(query.position), kind, &column.name, &target.name)?;
            column.field = planner.new_field(&target.name);
            column.kind = kind;
            exprs.push(typed.expr.alias(&column.field));
        }
        let plan = datafusion::logical_expr::LogicalPlanBuilder::from(relation.plan.clone())
            .project(exprs)
            .and_then(|b| b.build())
            .map_err(|e| SqlError::from_datafusion(&e))?;
        Ok(Relation { plan, columns, ..relation })
    }
}

/// Returns the value of an expression without columns.
pub fn constant(state: &SessionState, typed: Typed) -> Result<ScalarValue, SqlError> {
    if let Some(value) = typed.as_literal() {
        return Ok(value.clone());
    }
    let evaluate = || {
        let schema = DFSchema::empty();
        let physical = state.create_physical_expr(typed.expr.clone(), &schema)?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        let one = arrow::array::RecordBatch::try_new_with_options(schema.inner().clone(), Vec::new(), &options)?;
        match physical.evaluate(&one)? {
            datafusion::logical_expr::ColumnarValue::Scalar(value) => Ok(value),
            datafusion::logical_expr::ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
        }
    };
    evaluate().map_err(|e| SqlError::from_datafusion(&e))
}

fn leftmost(tree: &Tree) -> &Tree {
    match &tree.kind {
        ExprKind::Binary { left, .. } => leftmost(left),
        ExprKind::Cast { arg, .. } => leftmost(arg),
        _ => tree,
    }
}

/// Returns the first token of an expression, which error texts call its source.
fn first_token(tree: &Tree) -> String {
    match &leftmost(tree).kind {
        ExprKind::Call { name, .. } => name.clone(),
        ExprKind::Unary { .. } => "-".to_owned(),
        _ => expression_text(leftmost(tree)),
    }
}
