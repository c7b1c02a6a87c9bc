//! DELETE FROM t WHERE …: ours, QuestDB has none. The rows are gone with one commit.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use storage::TableView;

use super::Session;
use super::rewrite::{Keep, table};
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::Delete;
use crate::planner::Planner;
use crate::planner::parameters::Param;
use crate::planner::relation::{Column, unqualified};
use crate::planner::scope::Scope;
use crate::provider::StoredTable;

impl Session {
    pub(super) async fn delete(&self, delete: Delete, params: &[Param]) -> Result<Outcome, SqlError> {
        let name = delete.table.clone();
        let plan = Box::new(move |planner: &Planner, view: &TableView| plan(planner, &delete, view));
        let rows = self.rewrite(&name, params, Keep::Unmatched, plan).await?;
        Ok(Outcome::Delete { rows })
    }
}

/// Finds the kinds of a DELETE's parameters.
pub fn describe(planner: &Planner, delete: &Delete) -> Result<(), SqlError> {
    let table = table(planner, &delete.table)?;
    plan(planner, delete, &table).map(drop)
}

/// Returns a plan of all columns, and behind them whether the row goes.
fn plan(planner: &Planner, delete: &Delete, view: &TableView) -> Result<LogicalPlan, SqlError> {
    let mut relation = planner.scan(Arc::new(StoredTable::new(view.clone())), delete.table.position)?;
    let alias = delete.alias.as_ref().map_or(unqualified(&delete.table.name), |a| &a.name);
    relation.columns.iter_mut().for_each(|c| c.table = Some(alias.to_owned()));
    let scope =
        Scope { columns: &relation.columns, time: view.schema().designated_index(), ..Scope::constants(planner) };
    let goes = match &delete.filter {
        Some(filter) => scope.condition(filter)?.is_true(),
        None => lit(true),
    };
    let exprs = relation.columns.iter().map(Column::expr).chain([goes.alias("matches")]);
    LogicalPlanBuilder::from(relation.plan.clone())
        .project(exprs)
        .and_then(|b| b.build())
        .map_err(|e| SqlError::from_datafusion(&e))
}
