//! From syntax trees to DataFusion logical plans and own nodes.
//!
//! Names are resolved here, not by DataFusion: every relation carries its columns' names and kinds beside a plan whose
//! fields have names that no one else uses, so that duplicates, case and qualifiers never reach the engine. Expressions
//! are bound bottom-up with the peer's types by [`crate::functions`].
//!
//! Reading order: [`relation`] (FROM), [`view`], [`scope`] (names and expressions), `select`, `group`, `window`, `sample`, `join`, `window_join`,
//! `order`, `set_operation`, `outputs` (names of results).

mod catalogue;
pub mod conjuncts;
mod group;
mod intervals;
pub mod join;
mod latest;
pub mod lists;
pub mod moments;
mod numbers;
pub mod order;
mod outputs;
pub mod parameters;
pub mod relation;
mod sample;
pub mod scope;
mod select;
mod set_operation;
mod show;
mod unnest;
pub mod view;
mod window;
mod window_join;

use std::cell::Cell;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use storage::{Database, ReadView, TableView};

use crate::error::SqlError;
use crate::functions::{self, Environment};
use crate::parser::ast::{Body, OrderItem, Query, Select};
use crate::settings::Settings;

use parameters::Parameters;
use relation::{Relation, unqualified};
use view::{Declarations, Named};

/// Most columns that the parts of a plan may have together.
const MAX_FIELDS: usize = 100_000;

/// Most columns that the parts of a plan may have together for it to be kept.
const MAX_KEPT_FIELDS: usize = 1_000;

/// Plans the statements of one text over one read view.
pub struct Planner<'a> {
    pub database: &'a Arc<Database>,
    view: &'a ReadView,
    pub environment: &'a Environment,
    pub settings: &'a Settings,
    pub parameters: Parameters,
    fields: Cell<usize>,
    /// Something of the read view went into the plan that is not a table to be scanned.
    looked: Cell<bool>,
    views: Named,
}

/// The common table expressions that a query sees: a list from the innermost outwards; and what is declared around it.
#[derive(Clone, Copy)]
pub struct Ctes<'c> {
    innermost: Option<&'c Cte<'c>>,
    declared: Option<&'c Declarations<'c>>,
}

struct Cte<'c> {
    name: String,
    query: &'c Query,
    outer: Ctes<'c>,
}

impl<'c> Ctes<'c> {
    /// No common table expressions.
    pub const NONE: Ctes<'static> = Ctes { innermost: None, declared: None };

    fn find(&self, name: &str) -> Option<&'c Cte<'c>> {
        let mut at = self.innermost;
        while let Some(cte) = at {
            if cte.name == name {
                return Some(cte);
            }
            at = cte.outer.innermost;
        }
        None
    }
}

impl<'a> Planner<'a> {
    /// Returns a planner over a read view.
    pub fn new(
        database: &'a Arc<Database>,
        view: &'a ReadView,
        environment: &'a Environment,
        settings: &'a Settings,
        parameters: Parameters,
    ) -> Planner<'a> {
        let (fields, looked, views) = Default::default();
        Planner { database, view, environment, settings, parameters, fields, looked, views }
    }

    /// Returns the plan of a whole query; its visible columns are the answer's.
    pub fn query(&self, query: &Query, ctes: Ctes) -> Result<Relation, SqlError> {
        // a common table expression is planned where it is named: a few that name each other twice grow without end
        if self.fields.get() > MAX_FIELDS {
            return Err(SqlError::new(query.position, "SQL model is too complex to evaluate"));
        }
        let here = Declarations { list: &query.declared, outer: ctes.declared };
        let declared = if query.declared.is_empty() { ctes.declared } else { Some(&here) };
        self.with(query, Ctes { declared, ..ctes }, &query.with)
    }

    fn with(
        &self,
        query: &Query,
        ctes: Ctes,
        rest: &[(crate::parser::ast::Ident, Query)],
    ) -> Result<Relation, SqlError> {
        let Some(((name, body), rest)) = rest.split_first() else { return self.body(query, ctes) };
        let cte = Cte { name: name.name.to_lowercase(), query: body, outer: ctes };
        self.with(query, Ctes { innermost: Some(&cte), ..ctes }, rest)
    }

    fn body(&self, query: &Query, ctes: Ctes) -> Result<Relation, SqlError> {
        let relation = match &query.body {
            Body::Select(select) => self.select(select, &query.order_by, ctes)?,
            other => {
                let relation = self.branch(other, ctes)?;
                order::by_outputs(self, relation, &query.order_by, ctes)?
            }
        };
        order::limit(self, relation, query.limit.as_ref())
    }

    fn select(&self, select: &Select, order_by: &[OrderItem], ctes: Ctes) -> Result<Relation, SqlError> {
        select::select(self, select, order_by, ctes).or_else(|error| {
            let nothing = self.select_never_has_rows(select, ctes).then(|| self.without_rows(select)).flatten();
            nothing.unwrap_or(Err(error))
        })
    }

    /// Returns the plan of one branch of a set operation.
    fn branch(&self, body: &Body, ctes: Ctes) -> Result<Relation, SqlError> {
        match body {
            Body::Select(select) => self.select(select, &[], ctes),
            Body::Nested(query) => self.query(query, ctes),
            Body::Show(show) => show::relation(self, show),
            Body::Set { op, all, left, right, position } => {
                let left = self.branch(left, ctes)?;
                let right = self.branch(right, ctes)?;
                set_operation::combine(self, *op, *all, left, right, *position)
            }
        }
    }

    /// Returns a field name that nothing else in the statement has.
    pub fn new_field(&self, name: &str) -> String {
        self.field(name)
    }

    /// Returns the stored table of that name, to be scanned or written.
    pub fn table(&self, name: &str) -> Option<TableView> {
        self.view.table(unqualified(name))
    }

    /// Returns the read view, for plans that depend on more of it than the columns of their tables.
    fn view(&self) -> &ReadView {
        self.looked.set(true);
        self.view
    }

    /// Returns whether the same text makes the same plan again as long as its tables have the same columns.
    pub fn is_repeatable(&self) -> bool {
        !self.looked.get() && !self.environment.was_asked() && self.fields.get() <= MAX_KEPT_FIELDS
    }

    /// Returns what the table functions may look at.
    fn tables(&self) -> functions::table::Tables<'_> {
        functions::table::Tables {
            planner: self,
            database: self.database,
            view: self.view(),
            environment: self.environment,
        }
    }

    fn field(&self, name: &str) -> String {
        let number = self.fields.get();
        self.fields.set(number + 1);
        format!("{name}:{number}")
    }
}

/// Returns our error for one that the plan builder gave.
fn plan_error(error: DataFusionError) -> SqlError {
    SqlError::from_datafusion(&error)
}

/// Runs the plan builder and turns its error into ours.
fn build(
    make: impl FnOnce(LogicalPlanBuilder) -> datafusion::error::Result<LogicalPlanBuilder>,
    input: LogicalPlan,
) -> Result<LogicalPlan, SqlError> {
    make(LogicalPlanBuilder::from(input)).and_then(LogicalPlanBuilder::build).map_err(plan_error)
}
