//! UPDATE, with FROM or without. Next: [`super::rewrite`].

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use storage::TableView;
use types::ColumnDef;

use super::Session;
use super::alter::column_place;
use super::rewrite::{Keep, Look, matching_times, table, target};
use crate::error::SqlError;
use crate::functions;
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::{From, Update};
use crate::planner::parameters::Param;
use crate::planner::relation::{Column, Relation};
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner, conjuncts, join, order};

impl Session {
    pub(super) async fn update(&self, update: Update, params: &[Param]) -> Result<Outcome, SqlError> {
        let name = update.table.clone();
        if self.is_view(&name) {
            return self.table(&name).map(|_| Outcome::Ddl).map_err(|error| SqlError { position: 0, ..error });
        }
        let plan = Box::new(move |planner: &Planner, view: &TableView, look: Look| plan(planner, &update, view, look));
        let rows = self.rewrite(&name, params, Keep::All, plan).await?;
        Ok(Outcome::Update { rows })
    }
}

/// Finds the kinds of an UPDATE's parameters.
pub fn describe(planner: &Planner, update: &Update) -> Result<(), SqlError> {
    let table = table(planner, &update.table)?;
    plan(planner, update, &table, Look::Rows(&[])).map(drop)
}

fn plan(planner: &Planner, update: &Update, view: &TableView, look: Look) -> Result<Option<LogicalPlan>, SqlError> {
    let ranges = if let Look::Rows(ranges) = look { ranges } else { &[] };
    let relation = target(planner, &update.table, update.alias.as_ref(), view, ranges)?;
    let (relation, matches, number) = match &update.from {
        // Looking for partners twice costs more than reading the table once.
        Some(_) if matches!(look, Look::Matches) => return Ok(None),
        Some(from) => partnered(planner, update, from, relation)?,
        None => {
            let (relation, matches) = conjuncts::met(planner, relation, update.filter.as_ref())?;
            if let Look::Matches = look {
                return matching_times(&relation, matches);
            }
            (relation, matches.map_or(lit(true), Expr::is_true), None)
        }
    };
    let mut exprs = values(planner, update, view, &relation, &matches)?;
    exprs.push(matches.alias("matches"));
    exprs.extend(number);
    let plan = LogicalPlanBuilder::from(relation.plan).project(exprs).and_then(|b| b.build());
    plan.map(Some).map_err(|e| SqlError::from_datafusion(&e))
}

/// Joins each row with its partners of FROM. The first partner in FROM's own order comes first.
fn partnered(
    planner: &Planner,
    update: &Update,
    from: &From,
    target: Relation,
) -> Result<(Relation, Expr, Option<Expr>), SqlError> {
    let (target, row) = order::numbered(planner, target)?;
    let others = join::from(planner, from, &mut Vec::new(), Ctes::NONE)?;
    let (others, partner) = order::numbered(planner, others)?;
    let joined = join::left(planner, target, others, update.filter.as_ref())?;
    let sort = [row.clone().sort(true, true), partner.clone().sort(true, true)];
    let plan = LogicalPlanBuilder::from(joined.plan.clone()).sort(sort).and_then(|b| b.build());
    let plan = plan.map_err(|e| SqlError::from_datafusion(&e))?;
    Ok((joined.with_plan(plan), partner.is_not_null(), Some(row)))
}

/// Returns the table's columns, new values where a row matches.
fn values(
    planner: &Planner,
    update: &Update,
    view: &TableView,
    relation: &Relation,
    matches: &Expr,
) -> Result<Vec<Expr>, SqlError> {
    let schema = view.schema();
    let columns = &relation.columns;
    let scope = Scope { columns, time: relation.time, ..Scope::constants(planner) };
    let mut exprs: Vec<Expr> = columns[..schema.columns.len()].iter().map(Column::expr).collect();
    for (name, tree) in &update.set {
        let place = column_place(view, name)?;
        if schema.designated_index() == Some(place) {
            return Err(SqlError::new(name.position, "Designated timestamp column cannot be updated"));
        }
        let kind = Kind::from(schema.columns[place].column_type);
        let value = scope.bind_wanted(tree, kind)?;
        check_update(value.kind, kind, tree.position, &schema.columns[place])?;
        let value = functions::cast::assign(value, kind, "", &schema.columns[place].name)?;
        let case = when(matches.clone(), value.expr).otherwise(columns[place].expr());
        exprs[place] = case.map_err(|e| SqlError::from_datafusion(&e))?.alias(&columns[place].field);
    }
    Ok(exprs)
}

/// Refuses what UPDATE does not narrow although INSERT does.
fn check_update(from: Kind, to: Kind, position: usize, column: &ColumnDef) -> Result<(), SqlError> {
    let rank = |kind: Kind| match kind {
        Kind::Byte => Some(1),
        Kind::Short => Some(2),
        Kind::Int => Some(3),
        Kind::Long => Some(4),
        Kind::Float => Some(5),
        Kind::Double => Some(6),
        _ => None,
    };
    match (rank(from), rank(to)) {
        (Some(a), Some(b)) if a > b => {
            let message = format!("inconvertible types: {from} -> {to} [from=, to={}]", column.name);
            Err(SqlError::new(position, message))
        }
        _ => Ok(()),
    }
}
