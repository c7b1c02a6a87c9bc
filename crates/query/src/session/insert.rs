//! INSERT: constants of VALUES or the rows of a query, converted as the peer converts them.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use futures::{StreamExt, future};
use storage::TableView;
use types::{Column, ColumnData, ColumnDef, RowBatch};

use super::alter::column_place;
use super::rows::{push, row_batch};
use super::run::{ordered, stream};
use super::{Lot, Moment, Session};
use crate::error::{SqlError, SqlErrorKind};
use crate::functions::moment::parse_timestamp;
use crate::functions::{self, Typed};
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::{Expr as Tree, ExprKind, Insert, InsertSource, Query, Tuple};
use crate::parser::expression_text;
use crate::planner::moments::moment;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::Relation;
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner};

/// Bytes of a query's rows that are gathered into one commit, unless the statement says ATOMIC. Tests have several of few rows.
const COMMIT_BYTES: usize = if cfg!(test) { 128 << 10 } else { 64 << 20 };
/// How often a statement is begun because of what others do to its table.
const ATTEMPTS: usize = 10;

impl Session {
    /// Inserts rows. When the table is another one by then (RESTORE DATABASE, a change of its columns) they go into what has its
    /// name now, as long as none of them is stored.
    pub(super) async fn insert(&mut self, sql: &str, insert: &Insert, params: &[Param]) -> Result<Outcome, SqlError> {
        for _ in 1..ATTEMPTS {
            match self.insert_once(sql, insert, params).await {
                Err(error) if error.kind == SqlErrorKind::Overtaken => {}
                done => return done,
            }
        }
        self.insert_once(sql, insert, params).await
    }

    async fn insert_once(&mut self, sql: &str, insert: &Insert, params: &[Param]) -> Result<Outcome, SqlError> {
        let moment = self.moment();
        match &insert.source {
            InsertSource::Values(tuples) => {
                let lot = {
                    let planner = self.planner(&moment, Parameters::bound(params));
                    let target = Target::new(&planner, insert)?;
                    let batch = target.values(&planner, &self.state, sql, tuples)?;
                    target.lot(batch)
                };
                let rows = lot.batch.rows() as u64;
                self.append_or_buffer(vec![lot]).await?;
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
        let mut stream = stream(&self.state, &relation.plan, &self.stopper).await?;
        let is_one = insert.atomic || self.transaction.is_some();
        let most_bytes = if is_one { usize::MAX } else { COMMIT_BYTES };
        let (mut stored, mut gathered) = (0, target.gathered(&mut stream, &columns, most_bytes).await?);
        let mut total = gathered.rows;
        // the next rows are gathered while those before are committed
        while gathered.more_follow {
            let committed = self.append(std::mem::take(&mut gathered.lots));
            let (committed, next) = future::join(committed, target.gathered(&mut stream, &columns, most_bytes)).await;
            committed.map_err(|error| behind(error, stored))?;
            stored = total;
            gathered = next?;
            total += gathered.rows;
        }
        self.append_or_buffer(gathered.lots).await.map_err(|error| behind(error, stored))?;
        Ok(total)
    }
}

/// Rows of a query for one commit.
struct Gathered {
    lots: Vec<Lot>,
    rows: u64,
    /// Whether there may be more.
    more_follow: bool,
}

/// Returns the error of a commit behind others of the statement, which are not taken back and must not come twice.
fn behind(error: SqlError, stored: u64) -> SqlError {
    if stored == 0 || error.kind != SqlErrorKind::Overtaken {
        return error;
    }
    let message = format!("{}; the first {stored} rows were stored before", error.message);
    SqlError { message, kind: SqlErrorKind::Statement, ..error }
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
        let table = planner.table(&insert.table.name).ok_or_else(|| planner.no_table(&insert.table))?;
        let schema = table.schema();
        let columns = match insert.columns.is_empty() {
            true => (0..schema.columns.len()).collect(),
            false => insert.columns.iter().map(|name| column_place(&table, name)).collect::<Result<Vec<_>, _>>()?,
        };
        Ok(Target { table, columns })
    }

    fn lot(&self, batch: RowBatch) -> Lot {
        Lot { table: self.table.id(), name: self.table.name().clone(), batch }
    }

    /// Returns the next rows of a query, of about so many bytes.
    async fn gathered(
        &self,
        stream: &mut SendableRecordBatchStream,
        columns: &[&ColumnDef],
        most_bytes: usize,
    ) -> Result<Gathered, SqlError> {
        let (mut lots, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while bytes < most_bytes {
            let Some(batch) = stream.next().await else { return Ok(Gathered { lots, rows, more_follow: false }) };
            let batch = row_batch(&batch.map_err(|e| SqlError::from_datafusion(&e))?, columns)?;
            rows += batch.rows() as u64;
            bytes += batch.size_bytes();
            lots.push(self.lot(batch));
        }
        Ok(Gathered { lots, rows, more_follow: true })
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
        let bound = if designated { no_number(bound, kind) } else { Ok(bound) };
        let converted = bound
            .and_then(|bound| functions::cast::assign(bound, kind, &first_token(tree), &column.name))
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

/// Returns what is to become a designated timestamp: of a text of digits alone only a year is one.
fn no_number(value: Typed, kind: Kind) -> Result<Typed, SqlError> {
    match value.as_text() {
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let year = parse_timestamp(text).filter(|_| text.len() == 4);
            year.map(|us| moment(us, value.position)).ok_or_else(|| {
                SqlError::new(value.position, format!("inconvertible value: `{text}` [STRING -> {kind}]"))
            })
        }
        _ => Ok(value),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::tests::Server;
    use super::*;

    const KEEP: &str = "snapshot prepare 'good' keep";
    const BACK: &str = "restore database from snapshot 'good' confirm 'good'";

    /// Each row that was acknowledged is in the table, or in what the restores took away.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_insert_goes_into_the_table_that_came_while_it_was_on_its_way() {
        let server = Server::new(256 << 20, 1 << 30);
        server.run("create table t (x long)").await;
        server.run(KEEP).await;
        let done = AtomicBool::new(false);
        let writer = async {
            let (mut values, mut queries) = (server.session(), server.session());
            let mut stored = 0;
            while !done.load(Ordering::Relaxed) {
                values.execute("insert into t values (1)", &[]).await.expect("a row gets in");
                queries.execute("insert into t select x from long_sequence(2)", &[]).await.expect("rows get in");
                stored += 3;
            }
            stored
        };
        let operator = async {
            let mut session = server.session();
            let mut ways_back = Vec::new();
            while ways_back.len() < 20 {
                match session.execute(BACK, &[]).await.expect("it goes back") {
                    Outcome::WentBack { way_back: Some(name) } => ways_back.push(name),
                    _ => panic!("the way back is not named"),
                }
            }
            done.store(true, Ordering::Relaxed);
            ways_back
        };
        let (stored, ways_back) = tokio::join!(writer, operator);
        assert_eq!((&*ways_back[0], &*ways_back[19]), ("before-restore", "before-restore-20"));
        let mut found = server.longs("select count() from t").await.unwrap()[0];
        for name in ways_back {
            found += server.longs(&format!("select count() from t at snapshot '{name}'")).await.unwrap()[0];
        }
        assert_eq!(found, stored);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_of_a_query_that_take_several_commits_are_all_stored_once_in_their_order() {
        let server = Server::new(256 << 20, 1 << 30);
        server.run("create table t (x long)").await;
        let mut session = server.session();
        let mut expected: Vec<i64> = Vec::new();
        for (insert, commits) in [("insert into t", 7), ("insert atomic into t", 1)] {
            let before = session.database.view().seq().0;
            let sql = format!("{insert} select x from long_sequence(100000)");
            let inserted = session.execute(&sql, &[]).await.expect("the rows get in");
            assert!(matches!(inserted, Outcome::Insert { rows: 100_000, select: true }), "{insert}");
            assert_eq!(session.database.view().seq().0 - before, commits, "{insert}");
            expected.extend(1..=100_000);
            assert_eq!(server.longs("select x from t").await.as_ref(), Ok(&expected), "{insert}");
        }
    }

    #[tokio::test]
    async fn a_commit_of_rows_for_a_table_that_is_another_one_names_it_and_stores_nothing() {
        let server = Server::new(256 << 20, 1 << 30);
        server.run("create table t (x long)").await;
        server.run("create table other (x long)").await;
        server.run(KEEP).await;
        server.run("insert into t values (7)").await;
        let mut session = server.session();
        for sql in ["begin", "insert into other values (1)", "insert into t values (1)"] {
            session.execute(sql, &[]).await.expect(sql);
        }
        server.run(BACK).await;
        let error = session.execute("commit", &[]).await.err().expect("the table is another one");
        assert!(error.message.starts_with("table t was dropped, or another one is in its place"), "{error}");
        assert_eq!(error.kind, SqlErrorKind::Overtaken);
        assert_eq!(server.longs("select count() from t").await, Ok(vec![0]));
        assert_eq!(server.longs("select count() from other").await, Ok(vec![0]));
        session.execute("insert into t values (2)", &[]).await.expect("the transaction is over");
        assert_eq!(server.longs("select x from t").await, Ok(vec![2]));
    }
}
