//! Queries of PostgreSQL's catalogue in PostgreSQL's own SQL, as drivers and tools write them.
//!
//! What the peer's grammar has no words for (sub-queries that look outwards, EXISTS, HAVING, aggregates with ORDER BY,
//! LATERAL, COLLATE, lists of texts) is planned by the engine's own SQL, over the relations of the catalogue alone: a
//! query that names a stored table never comes here, so nothing is said in two dialects.
//!
//! Reading order: [`plan`], `rewrite` (what the engine's SQL lacks of PostgreSQL's), `bridge` (functions).

mod bridge;
mod expressions;
mod parameters;
mod rewrite;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as PlanColumn, TableReference, plan_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DfResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, TryCast, WindowUDF,
    cast,
};
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::functions::table::Tables;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::outcome::OutputColumn;
use crate::planner::parameters::Param;

/// Stands between a name and what makes it unique where a result has the name twice.
const TWIN: char = '\u{1}';

/// Longest statement that is looked at: tools write a few kilobytes, and a chain of operators as long as this still fits
/// the stack.
const LONGEST_BYTES: usize = 24 << 10;

/// Returns whether a statement may be a query of the catalogue.
pub fn may_concern(sql: &str) -> bool {
    let found = |word: &[u8]| sql.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    sql.len() <= LONGEST_BYTES && (found(b"pg_") || found(b"information_schema"))
}

/// A planned query.
pub struct Planned {
    pub plan: LogicalPlan,
    pub columns: Vec<OutputColumn>,
    /// The kinds of `$1` … `$n`.
    pub params: Vec<Kind>,
}

/// What stands for the parameters of a query.
#[derive(Clone, Copy)]
pub enum Bound<'a> {
    Values(&'a [Param]),
    /// Only described: the kinds that the client gave.
    Hints(&'a [Option<Kind>]),
}

/// Returns the plan of a query of the catalogue; None for everything else, and for what the engine's SQL cannot say.
pub fn plan(sql: &str, bound: Bound, tables: &Tables, state: &SessionState) -> Option<Planned> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?;
    let mut statement = match statements.pop() {
        Some(Statement::Query(query)) if statements.is_empty() => Statement::Query(query),
        _ => return None,
    };
    let params = parameters::bind(&mut statement, bound)?;
    rewrite::rewrite(&mut statement, tables)?;
    let context = Context { tables, state };
    let options = ParserOptions::new().with_map_string_types_to_utf8view(true);
    let plan = SqlToRel::new_with_options(&context, options).sql_statement_to_plan(statement);
    let plan = plan.inspect_err(|error| tracing::debug!(%error, "a query of the catalogue cannot be planned")).ok()?;
    let (plan, columns) = shown(plan).and_then(|(plan, columns)| Ok((forgiving(plan, &context)?, columns))).ok()?;
    Some(Planned { plan, columns, params })
}

/// Returns a plan whose columns are of types that results have, and what they are called.
fn shown(plan: LogicalPlan) -> DfResult<(LogicalPlan, Vec<OutputColumn>)> {
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    for (i, (qualifier, field)) in plan.schema().iter().enumerate() {
        let kind = if *field.data_type() == DataType::Null { Kind::String } else { bridge::kind_of(field) };
        let read = Expr::Column(PlanColumn::from((qualifier, field)));
        let read = if kind.arrow() == *field.data_type() { read } else { cast(read, kind.arrow()) };
        exprs.push(read.alias(format!("{}:{i}", field.name())));
        let name = field.name().split(TWIN).next().unwrap_or_default().to_owned();
        columns.push(OutputColumn { name, kind });
    }
    Ok((LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns))
}

/// Returns the plan with NULL for a text that is no number where a number is compared with it.
///
/// In PostgreSQL the functions of a type are numbers with names, here they are names: `p.oid = t.typreceive`, as Npgsql
/// asks when it connects, would end with the first of them.
fn forgiving(plan: LogicalPlan, context: &Context) -> DfResult<LogicalPlan> {
    let plan = TypeCoercion::new().analyze(plan, context.options())?;
    let number = |expr: Expr| match expr {
        Expr::Cast(cast) if cast.field.data_type().is_integer() && !matches!(*cast.expr, Expr::Literal(..)) => {
            Ok(Transformed::yes(Expr::TryCast(TryCast::new_from_field(cast.expr, cast.field))))
        }
        expr => Ok(Transformed::no(expr)),
    };
    let node = |node: LogicalPlan| node.map_expressions(|expr| expr.transform_up(number));
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

/// What the engine's planner asks for.
struct Context<'a> {
    tables: &'a Tables<'a>,
    state: &'a SessionState,
}

impl Context<'_> {
    fn relation(&self, name: &TableReference) -> Option<Arc<dyn TableProvider>> {
        functions::catalog::wide_relation(name.schema().unwrap_or(""), name.table(), self.tables)
    }
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        let relation = self.relation(&name).ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))?;
        Ok(provider_as_source(relation))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> DfResult<Arc<dyn TableSource>> {
        let constant = |arg: Expr| match arg {
            Expr::Literal(value, _) => Some(Typed::literal(value.clone(), Kind::of_arrow(&value.data_type()), 0)),
            _ => None,
        };
        let args = args.into_iter().map(constant).collect::<Option<Vec<_>>>();
        let args = args.ok_or_else(|| plan_datafusion_err!("{name} takes constants"))?;
        let provider = functions::table::bind(&Call::new(name, 0, args), self.tables);
        provider.map(provider_as_source).map_err(crate::SqlError::into_datafusion)
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> DfResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let own = || bridge::function(name, self.tables.environment);
        if functions::server_info::find(name).is_some() {
            return own();
        }
        let lookup = || bridge::lookup(name, self.tables.view);
        self.state.scalar_functions().get(name).cloned().or_else(own).or_else(lookup).or_else(|| bridge::json(name))
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// The names of a statement's common table expressions.
type Ctes = HashSet<String>;
