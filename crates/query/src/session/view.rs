//! CREATE, ALTER, DROP and COMPILE VIEW. What a view is when a query names it: [`crate::planner::view`].

use storage::{Error, Replace, SqlView, TableView};
use types::TableName;

use super::Session;
use super::create::table_name;
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::{Ident, ViewStatement, ViewText};
use crate::parser::is_column_name;
use crate::planner::Planner;
use crate::planner::parameters::Parameters;
use crate::planner::relation::{missing_table, unqualified};
use crate::planner::view::NamedView;

/// Why a statement about a table is refused that names a view.
pub(super) const NO_TABLE: &str = "table name expected, got view or materialized view name";

impl Session {
    pub(super) async fn change_view(&self, statement: ViewStatement) -> Result<Outcome, SqlError> {
        match statement {
            ViewStatement::Create { name, if_not_exists, or_replace, text } => {
                let replace = if or_replace { Replace::Always } else { Replace::Never };
                self.create_view(&name, if_not_exists, replace, text).await?;
            }
            ViewStatement::Alter { name, text } => {
                self.view_named(&name, "view name expected")?;
                self.set_view(&name, Replace::Only, text).await?;
            }
            ViewStatement::Drop { name, if_exists } => self.drop_view(&name, if_exists).await?,
            ViewStatement::Compile(name) => {
                let view = self.view_named(&name, "view expected, got table")?;
                let moment = self.moment();
                let wrong = |error: SqlError| SqlError { position: name.position, ..error };
                self.planner(&moment, Parameters::bound(&[])).shell(&view).map_err(wrong)?;
            }
        }
        Ok(Outcome::Ddl)
    }

    async fn create_view(
        &self,
        name: &Ident,
        if_not_exists: bool,
        replace: Replace,
        text: ViewText,
    ) -> Result<(), SqlError> {
        let view = self.database.view();
        if view.table(unqualified(&name.name)).is_some() {
            let message = "table or materialized view with the requested name already exists";
            return Err(SqlError::new(name.position, message));
        }
        let is_there = view.sql_view(unqualified(&name.name)).is_some();
        match (is_there, if_not_exists, replace) {
            (true, true, _) => Ok(()),
            (true, false, Replace::Never) => Err(SqlError::new(name.position, "view already exists")),
            _ => self.set_view(name, replace, text).await,
        }
    }

    /// Makes a view of a text that can be planned, or gives it to one.
    async fn set_view(&self, name: &Ident, replace: Replace, text: ViewText) -> Result<(), SqlError> {
        let new_name = table_name(name)?;
        self.check_text(name, &new_name, &text)?;
        let set = self.blocking(move |database| match database.set_view(&new_name, &text.text, replace) {
            Err(Error::Exists(why) | Error::NotFound(why)) => Ok(Err(why)),
            other => other.map(|_| Ok(())),
        });
        // Somebody else was first.
        set.await?.map_err(|why| SqlError::new(name.position, why))
    }

    fn check_text(&self, name: &Ident, new_name: &TableName, text: &ViewText) -> Result<(), SqlError> {
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::bound(&[]));
        let planned = planner.of_view_text(&text.text);
        check_circle(&planner, new_name, text.position.saturating_sub(1))?;
        let within = |error: SqlError| SqlError { position: text.position + error.position, ..error };
        let relation = planned.map_err(within)?;
        match relation.columns.iter().find(|column| !is_column_name(&column.name)) {
            Some(column) => {
                let message = format!("invalid column name [name={}, position=0]", column.name);
                Err(SqlError::new(name.position, message))
            }
            None => Ok(()),
        }
    }

    async fn drop_view(&self, name: &Ident, if_exists: bool) -> Result<(), SqlError> {
        let view = match self.view_named(name, "view name expected, got table or materialized view name") {
            Err(_) if if_exists && self.database.view().table(unqualified(&name.name)).is_none() => return Ok(()),
            found => found?,
        };
        let gone = self.blocking(move |database| match database.drop_view(&view.name) {
            Err(Error::NotFound(_)) => Ok(()),
            other => other,
        });
        gone.await
    }

    /// Returns the view of that name; `of_table` is the error where a table has it.
    fn view_named(&self, name: &Ident, of_table: &str) -> Result<SqlView, SqlError> {
        let view = self.database.view();
        let named = unqualified(&name.name);
        match (view.sql_view(named), view.table(named)) {
            (Some(view), _) => Ok(SqlView::clone(view)),
            (None, Some(_)) => Err(SqlError::new(name.position, of_table)),
            (None, None) => Err(SqlError::new(name.position, format!("view does not exist [view={}]", name.name))),
        }
    }

    pub(super) fn is_view(&self, name: &Ident) -> bool {
        self.database.view().sql_view(unqualified(&name.name)).is_some()
    }

    /// Returns the table of that name, or the view as a table without rows.
    pub(super) fn table_or_shell(&self, name: &Ident) -> Result<TableView, SqlError> {
        let moment = self.moment();
        let named = unqualified(&name.name);
        match (moment.view.table(named), moment.view.sql_view(named)) {
            (Some(table), _) => Ok(table),
            (None, Some(view)) => self.planner(&moment, Parameters::bound(&[])).shell(view),
            (None, None) => Err(missing_table(name)),
        }
    }
}

/// Refuses a text of the view `new` that stands on that view; `position` is that of the parenthesis before it.
fn check_circle(planner: &Planner, new: &TableName, position: usize) -> Result<(), SqlError> {
    let named = planner.named_views();
    let Some(at) = named.iter().position(|view| view.view.is_some() && view.name == new.folded()) else {
        return Ok(());
    };
    let direct = named[..=at].iter().rev().find(|view: &&NamedView| view.depth == 0 && view.view.is_some());
    let message = match direct {
        Some(direct) if direct.name != new.folded() => format!(
            "circular dependency detected: '{new}' cannot depend on '{other}' because '{other}' already depends on '{new}'",
            other = direct.name
        ),
        _ => format!("circular dependency detected: view '{new}' cannot reference itself"),
    };
    Err(SqlError::new(position, message))
}
