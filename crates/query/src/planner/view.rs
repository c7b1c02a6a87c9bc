//! Views: their texts are planned where a query names them, as sub-queries.
//!
//! Nothing of a view is kept but its text, so it always follows the tables that it stands on, and operators see through it. What
//! a query says with DECLARE reaches the variables that a view lets override, through views that stand between, too.
//! [`Named`] remembers which views a plan was made with: it is right as long as those have the same texts.

use std::cell::RefCell;
use std::sync::Arc;

use storage::{ReadView, SqlView, TableView};
use types::{ColumnDef, ColumnId, ColumnType, PartitionBy, Schema, Seq, SymbolOptions, TableId};

use super::relation::{Relation, unqualified};
use super::{Ctes, Planner};
use crate::error::SqlError;
use crate::parser::ast::{Declared, Ident, Query};
use crate::parser::query_of;

/// Most views that stand on each other.
const MAX_DEPTH: usize = 32;

/// What DECLAREs around a place say, from the innermost outwards.
#[derive(Clone, Copy)]
pub struct Declarations<'c> {
    pub list: &'c [Declared],
    pub outer: Option<&'c Declarations<'c>>,
}

/// A name that was looked up among the views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedView {
    pub name: String,
    /// The view, and the Seq of its text; None: there is no view of that name.
    pub view: Option<(TableId, Seq)>,
    /// How many views stand above it in the query.
    pub depth: usize,
}

/// The views of a plan in the making.
#[derive(Default)]
pub struct Named {
    /// In the order of their planning: what a view stands on follows it.
    all: RefCell<Vec<NamedView>>,
    /// Those whose texts are being planned.
    open: RefCell<Vec<(TableId, Seq)>>,
    /// Nobody will read the rows of what is planned.
    only_columns: bool,
}

impl Named {
    /// Returns what a planner of a part of the query begins with.
    fn within(&self) -> Named {
        Named { all: RefCell::default(), open: self.open.clone(), only_columns: self.only_columns }
    }
}

impl Planner<'_> {
    /// Returns the view of that name, to be planned.
    pub(super) fn sql_view(&self, name: &str) -> Option<Arc<SqlView>> {
        let name = unqualified(name);
        let view = self.view.sql_view(name).cloned();
        self.note(name, view.as_deref());
        view
    }

    fn note(&self, name: &str, view: Option<&SqlView>) {
        let depth = self.views.open.borrow().len();
        let view = view.map(|view| (view.id, view.seq));
        self.views.all.borrow_mut().push(NamedView { name: name.to_lowercase(), view, depth });
    }

    /// Returns the names that were looked up among the views.
    pub fn named_views(&self) -> Vec<NamedView> {
        self.views.all.borrow().clone()
    }

    /// Returns the relation of a view; `position` is where the query names it.
    pub(super) fn of_view(&self, view: &SqlView, ctes: Ctes, position: usize) -> Result<Relation, SqlError> {
        let own = (view.id, view.seq);
        if self.views.open.borrow().contains(&own) {
            let message = format!("circular dependency detected: view '{}' stands on itself", view.name);
            return Err(SqlError::new(position, message));
        }
        if self.views.open.borrow().len() >= MAX_DEPTH {
            return Err(SqlError::new(position, "SQL model is too complex to evaluate"));
        }
        let mut outside = Vec::new();
        let mut around = ctes.declared;
        while let Some(Declarations { list, outer }) = around {
            outside.extend(list.iter().rev().cloned());
            around = *outer;
        }
        let query = query_of(&view.text, outside)?;
        self.views.open.borrow_mut().push(own);
        let relation = self.query(&query, Ctes { innermost: None, ..ctes });
        self.views.open.borrow_mut().pop();
        relation
    }

    /// Returns the query of a view that was planned before.
    pub(super) fn whole_view(&self, name: &Ident) -> Option<Query> {
        let view = self.view.sql_view(unqualified(&name.name))?;
        query_of(&view.text, Vec::new()).ok()
    }

    /// Returns the relation of a text that is to be a view's, without hidden columns.
    ///
    /// # Errors
    /// What is wrong with it, at places within the text.
    pub fn of_view_text(&self, text: &str) -> Result<Relation, SqlError> {
        self.query(&query_of(text, Vec::new())?, Ctes::NONE)?.shown()
    }

    /// Returns a view as a table without rows.
    ///
    /// # Errors
    /// What is wrong with the view.
    pub fn shell(&self, view: &SqlView) -> Result<TableView, SqlError> {
        let mut planner = self.over(self.view);
        planner.views.only_columns = true;
        let relation = planner.of_view(view, Ctes::NONE, 0)?.shown()?;
        let symbol = SymbolOptions { nocache: true, capacity: Some(0), index_capacity: Some(0) };
        let column = |(i, column): (usize, &super::relation::Column)| {
            let column_type = column.kind.column_type().unwrap_or(ColumnType::String);
            let plain = ColumnDef::new(ColumnId(i as u32), &column.name, column_type);
            if column_type == ColumnType::Symbol { ColumnDef { symbol, ..plain } } else { plain }
        };
        let columns: Vec<ColumnDef> = relation.columns.iter().enumerate().map(column).collect();
        let designated = relation.time.map(|place| columns[place].id);
        Ok(self.view.shell_of(view, Schema::new(columns, designated, PartitionBy::None, true)))
    }

    /// Returns the views that are to be listed with what is wrong with them or how they look; none while only columns are
    /// looked for: those of a list do not depend on them, and a view may list itself.
    pub fn listed_views(&self) -> Vec<(Arc<SqlView>, Result<TableView, SqlError>)> {
        self.looked.set(true);
        if self.views.only_columns {
            return Vec::new();
        }
        self.view.sql_views().map(|view| (view.clone(), self.shell(view))).collect()
    }

    /// Returns all tables, and the views as tables without rows, in the order of their ids. A view whose text is not right any
    /// more has no columns.
    pub fn tables_and_shells(&self) -> Vec<TableView> {
        let mut all = self.view.tables();
        let empty = |view: &SqlView| self.view.shell_of(view, Schema::new(Vec::new(), None, PartitionBy::None, true));
        all.extend(self.listed_views().into_iter().map(|(view, shell)| shell.unwrap_or_else(|_| empty(&view))));
        all.sort_by_key(TableView::id);
        all
    }

    /// Returns the error for a name that no table has.
    pub fn no_table(&self, name: &Ident) -> SqlError {
        no_table(self.view, name)
    }

    /// Returns whether a table is a view without rows.
    pub fn is_view(&self, table: &TableView) -> bool {
        self.view.sql_view(table.name().as_str()).is_some_and(|view| view.id == table.id())
    }

    /// Returns what a plan over another read view needs; its field names go on from this one's.
    pub(super) fn over<'v>(&'v self, view: &'v ReadView) -> Planner<'v> {
        let planner = Planner::new(self.database, view, self.environment, self.settings, Default::default());
        planner.fields.set(self.fields.get());
        Planner { views: self.views.within(), ..planner }
    }
}

/// Returns the error for a name that no table has: it may be that of a view.
pub fn no_table(view: &ReadView, name: &Ident) -> SqlError {
    match view.sql_view(unqualified(&name.name)) {
        Some(view) => SqlError::new(name.position, format!("cannot modify view [view={}]", view.name)),
        None => super::relation::missing_table(name),
    }
}
