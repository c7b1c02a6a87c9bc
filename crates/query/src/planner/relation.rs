//! What a query reads: a plan with named, typed columns and a designated timestamp.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use storage::{ReadView, TableView};

use super::{Ctes, Planner, build, plan_error};
use crate::error::SqlError;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, ExprKind, Ident, RelationRef, Source};
use crate::provider::StoredTable;

/// One column of a relation.
#[derive(Debug, Clone)]
pub struct Column {
    /// The alias by which the column can be qualified.
    pub table: Option<String>,
    /// The name that a query calls it by.
    pub name: String,
    pub kind: Kind,
    /// The field of the plan that holds it.
    pub field: String,
    /// Whether names and stars reach it; a hidden column only carries the designated timestamp along.
    pub visible: bool,
}

impl Column {
    /// Returns the expression that reads the column.
    pub fn expr(&self) -> Expr {
        Expr::Column(PlanColumn::new_unqualified(&self.field))
    }

    /// Returns the column as a bound expression.
    pub fn typed(&self, position: usize) -> Typed {
        Typed::new(self.expr(), self.kind, position)
    }
}

/// A plan and what its fields mean.
#[derive(Debug, Clone)]
pub struct Relation {
    pub plan: LogicalPlan,
    pub columns: Vec<Column>,
    /// The designated timestamp, as a place in `columns`.
    pub time: Option<usize>,
    /// Whether rows come in ascending order of `time`.
    pub ascending: bool,
    /// Whether the relation is a stored table itself, or one behind a filter.
    pub is_table: bool,
    /// Whether ORDER BY ended it, so that first() and last() over it follow that order.
    pub is_sorted: bool,
}

impl Relation {
    /// Returns the columns that names and stars reach.
    pub fn visible(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.visible)
    }

    /// Returns the relation with another plan of the same fields.
    pub fn with_plan(self, plan: LogicalPlan) -> Relation {
        Relation { plan, ..self }
    }

    /// Returns the relation filtered.
    pub fn filtered(self, predicate: Expr) -> Result<Relation, SqlError> {
        let plan = build(|b| b.filter(predicate), self.plan.clone())?;
        Ok(self.with_plan(plan))
    }

    /// Returns the relation without its hidden columns.
    pub fn shown(self) -> Result<Relation, SqlError> {
        if self.columns.iter().all(|c| c.visible) {
            return Ok(self);
        }
        let time = self.time.filter(|i| self.columns[*i].visible);
        let time = time.map(|i| self.columns[..i].iter().filter(|c| c.visible).count());
        let kept: Vec<Expr> = self.visible().map(Column::expr).collect();
        let plan = build(|b| b.project(kept), self.plan)?;
        let columns = self.columns.into_iter().filter(|c| c.visible).collect();
        Ok(Relation {
            plan,
            columns,
            time,
            ascending: self.ascending && time.is_some(),
            is_table: false,
            is_sorted: self.is_sorted,
        })
    }
}

impl Planner<'_> {
    /// Returns the relation that a source of FROM names.
    pub fn source(&self, source: &Source, ctes: Ctes) -> Result<Relation, SqlError> {
        let mut relation = match &source.relation {
            RelationRef::Table(name) => self.named(name, ctes)?,
            RelationRef::TableAt { table, snapshot } => self.named_at(table, snapshot)?,
            RelationRef::Query(query) => self.query(query, ctes)?,
            RelationRef::Function(call) => self.table_function(call)?,
        };
        let alias = match (&source.alias, &source.relation) {
            (Some(alias), _) => Some(alias.name.clone()),
            (None, RelationRef::Table(name) | RelationRef::TableAt { table: name, .. }) => {
                Some(unqualified(&name.name).to_owned())
            }
            (None, RelationRef::Function(Tree { kind: ExprKind::Call { name, .. }, .. })) => Some(name.clone()),
            (None, _) => None,
        };
        for column in &mut relation.columns {
            column.table = alias.clone();
        }
        if let Some(name) = &source.timestamp {
            designate(&mut relation, name)?;
        }
        Ok(relation)
    }

    fn named(&self, name: &Ident, ctes: Ctes) -> Result<Relation, SqlError> {
        if let Some(cte) = ctes.find(&name.name.to_lowercase()) {
            // a view of that name wins
            return match self.sql_view(&name.name) {
                Some(view) => self.of_view(&view, ctes, name.position),
                None => self.query(cte.query, cte.outer),
            };
        }
        if let Some(view) = self.table(&name.name) {
            return self.stored(view, name.position);
        }
        if let Some(view) = self.sql_view(&name.name) {
            return self.of_view(&view, ctes, name.position);
        }
        let (schema, table) = name.name.split_once('.').unwrap_or(("", &name.name));
        match functions::catalog::relation(schema, table, &self.tables()) {
            Some(provider) => self.scan(provider, name.position),
            None => Err(missing_table(name)),
        }
    }

    fn named_at(&self, name: &Ident, snapshot: &Ident) -> Result<Relation, SqlError> {
        let then = self.view_at(snapshot)?;
        if let Some(table) = then.table(unqualified(&name.name)) {
            return self.stored(table, name.position);
        }
        let view = then.sql_view(unqualified(&name.name)).ok_or_else(|| missing_table(name))?;
        let planner = self.over(&then);
        let relation = planner.of_view(view, Ctes::NONE, name.position);
        self.fields.set(planner.fields.get());
        relation
    }

    /// Returns all tables at the cut of a snapshot.
    pub fn view_at(&self, snapshot: &Ident) -> Result<ReadView, SqlError> {
        // a snapshot's name may mean another cut next time
        self.looked.set(true);
        let at = |e: storage::Error| SqlError { position: snapshot.position, ..SqlError::from_storage(&e) };
        self.database.view_at(&snapshot.name).map_err(at)
    }

    fn stored(&self, view: TableView, position: usize) -> Result<Relation, SqlError> {
        let table = Arc::new(StoredTable::new(view));
        let time = table.designated();
        let mut relation = self.scan(table, position)?;
        relation.time = time;
        relation.ascending = time.is_some();
        relation.is_table = true;
        Ok(relation)
    }

    fn table_function(&self, call: &Tree) -> Result<Relation, SqlError> {
        let ExprKind::Call { name, args, .. } = &call.kind else {
            return Err(SqlError::new(call.position, "table name or sub-query expected"));
        };
        let scope = super::scope::Scope::constants(self);
        let args = scope.arguments(&name.to_ascii_lowercase(), args.iter())?;
        let is_series = name.eq_ignore_ascii_case("generate_series");
        let call = Call::new(name.clone(), call.position, args);
        let provider = functions::table::bind(&call, &self.tables())?;
        let mut relation = self.scan(provider, call.position)?;
        if is_series && relation.columns.first().is_some_and(|c| c.kind == Kind::Timestamp) {
            relation.time = Some(0);
            relation.ascending = true;
        }
        Ok(relation)
    }

    /// Returns the relation that reads every column of a provider.
    pub fn scan(&self, provider: Arc<dyn TableProvider>, position: usize) -> Result<Relation, SqlError> {
        let schema = provider.schema();
        let name = TableReference::bare(self.field("scan"));
        let plan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(provider), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|e| SqlError { position, ..plan_error(e) })?;
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for field in schema.fields() {
            let kind = Kind::of_field(field);
            let own = self.field(field.name());
            let read = Expr::Column(PlanColumn::new(Some(name.clone()), field.name()));
            exprs.push(read.alias(&own));
            columns.push(Column { table: None, name: field.name().clone(), kind, field: own, visible: true });
        }
        let plan = build(|b| b.project(exprs), plan)?;
        Ok(Relation { plan, columns, time: None, ascending: false, is_table: false, is_sorted: false })
    }
}

/// Returns a table name without the schema `public`.
pub fn unqualified(name: &str) -> &str {
    match name.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("public.") => &name[7..],
        _ => name,
    }
}

/// Returns the error for a table that is not there.
pub fn missing_table(name: &Ident) -> SqlError {
    SqlError::new(name.position, format!("table does not exist [table={}]", name.name))
}

/// Makes `timestamp(name)` the designated timestamp, in the order that rows have.
fn designate(relation: &mut Relation, name: &Ident) -> Result<(), SqlError> {
    let folded = name.name.to_lowercase();
    let found = relation.columns.iter().position(|c| c.visible && c.name.to_lowercase() == folded);
    let place = found.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {}", name.name)))?;
    if !relation.columns[place].kind.is_timestamp() {
        return Err(SqlError::new(name.position, "not a TIMESTAMP"));
    }
    relation.time = Some(place);
    relation.ascending = true;
    Ok(())
}
