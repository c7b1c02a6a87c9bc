//! DELETE FROM t WHERE …: ours, QuestDB has none. The rows are gone with one commit.

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use storage::TableView;

use super::Session;
use super::rewrite::{Keep, Look, matching_times, table, target};
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::Delete;
use crate::planner::parameters::Param;
use crate::planner::relation::Column;
use crate::planner::{Planner, conjuncts};

impl Session {
    pub(super) async fn delete(&self, delete: Delete, params: &[Param]) -> Result<Outcome, SqlError> {
        let name = delete.table.clone();
        let plan = Box::new(move |planner: &Planner, view: &TableView, look: Look| plan(planner, &delete, view, look));
        let rows = self.rewrite(&name, params, Keep::Unmatched, plan).await?;
        Ok(Outcome::Delete { rows })
    }
}

/// Finds the kinds of a DELETE's parameters.
pub fn describe(planner: &Planner, delete: &Delete) -> Result<(), SqlError> {
    let table = table(planner, &delete.table)?;
    plan(planner, delete, &table, Look::Rows(&[])).map(drop)
}

fn plan(planner: &Planner, delete: &Delete, view: &TableView, look: Look) -> Result<Option<LogicalPlan>, SqlError> {
    let ranges = if let Look::Rows(ranges) = look { ranges } else { &[] };
    let relation = target(planner, &delete.table, delete.alias.as_ref(), view, ranges)?;
    let (relation, goes) = conjuncts::met(planner, relation, delete.filter.as_ref())?;
    if let Look::Matches = look {
        return matching_times(&relation, goes);
    }
    let goes = goes.map_or(lit(true), Expr::is_true);
    let exprs = relation.columns.iter().map(Column::expr).chain([goes.alias("matches")]);
    let plan = LogicalPlanBuilder::from(relation.plan.clone()).project(exprs).and_then(|b| b.build());
    plan.map(Some).map_err(|e| SqlError::from_datafusion(&e))
}
