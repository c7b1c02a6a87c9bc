//! Views of SQL: names for the texts of queries. [`SqlView`] is one, as the state, bases and snapshots hold it.
//!
//! A view has no rows and no files. What its text means is the query crate's; here it is a name among those of the tables, and
//! a text that one frame makes, replaces or drops. Not to be taken for a [`crate::ReadView`], which sees all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{Seq, TableId, TableName};

use crate::catalog::DbState;
use crate::database::Database;
use crate::layout::table_dir;
use crate::log::writer::Urgency;
use crate::record::{Record, ViewChange};
use crate::{Error, Result};

/// A view at one Seq.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlView {
    /// From the same numbers as those of tables; stays while the text changes.
    pub id: TableId,
    pub name: TableName,
    /// The query, as it was written.
    pub text: String,
    /// Seq of the frame that made it, or gave it this text.
    pub seq: Seq,
    /// Commit time of that frame.
    pub changed_us: i64,
}

impl SqlView {
    /// Returns what the directory of a table of this name and number would be called.
    pub fn directory(&self) -> String {
        table_dir(&self.name, self.id)
    }
}

/// What a new text does to a view of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// There must be none.
    Never,
    Always,
    /// There must be one.
    Only,
}

impl Database {
    /// Makes a view, or gives it another text. Visible on return, durable as the commit mode says.
    ///
    /// # Errors
    /// [`Error::Exists`] when a table has the name, or a view that may not be replaced; [`Error::NotFound`] when there is none
    /// to replace.
    pub fn set_view(&self, name: &TableName, text: &str, replace: Replace) -> Result<TableId> {
        self.commit_view(name, text, replace, "").map(|(id, _)| id)
    }

    /// As [`Database::set_view`]; an error that the name is taken goes on with what can be done.
    pub(crate) fn commit_view(
        &self,
        name: &TableName,
        text: &str,
        replace: Replace,
        remedy: &str,
    ) -> Result<(TableId, Seq)> {
        let mut id = TableId(0);
        let seq = self.commit(Urgency::Ordinary, 256 + name.as_str().len() + 6 * text.len(), |state| {
            let known = state.sql_view_named(&name.folded());
            id = match (known, replace) {
                (Some(view), Replace::Always | Replace::Only) => view.id,
                (None, Replace::Only) => return Err(missing(name)),
                _ => {
                    state.check_free_or(name, remedy)?;
                    TableId(state.next_table)
                }
            };
            let name = known.map_or(name, |view| &view.name).clone();
            Ok(vec![Record::View(ViewChange::Set { view: id, name, text: text.to_owned() })])
        })?;
        Ok((id, seq))
    }

    /// Drops a view. What stands on it finds nothing there any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no view of that name.
    pub fn drop_view(&self, name: &TableName) -> Result<()> {
        self.commit(Urgency::Urgent, 256, |state| {
            let view = state.sql_view_named(&name.folded()).ok_or_else(|| missing(name))?.id;
            Ok(vec![Record::View(ViewChange::Drop { view })])
        })?;
        Ok(())
    }
}

/// Returns the records that make the views of one state those of another: those that take views away, and those that bring
/// them. Where nothing differs there are none.
pub(crate) fn changes(from: &DbState, to: &DbState) -> (Vec<Record>, Vec<Record>) {
    let gone = lacking(from, to).map(|view| Record::View(ViewChange::Drop { view: view.id }));
    let set = |view: &SqlView| {
        let SqlView { id, name, text, .. } = view.clone();
        Record::View(ViewChange::Set { view: id, name, text })
    };
    (gone.collect(), lacking(to, from).map(set).collect())
}

/// Returns the names of the views that two states do not have alike.
pub(crate) fn differing(one: &DbState, other: &DbState) -> Vec<TableName> {
    let both = lacking(one, other).chain(lacking(other, one));
    let by_name: BTreeMap<String, &TableName> = both.map(|view| (view.name.folded(), &view.name)).collect();
    by_name.into_values().cloned().collect()
}

/// Returns the views of a state that another one lacks, by name and text.
fn lacking<'a>(of: &'a DbState, other: &'a DbState) -> impl Iterator<Item = &'a SqlView> {
    let is_there = |view: &SqlView| {
        let same = other.sql_view_named(&view.name.folded());
        same.is_some_and(|same| (&same.name, &same.text) == (&view.name, &view.text))
    };
    of.sql_views.values().map(|view| &**view).filter(move |view| !is_there(view))
}

fn missing(name: &TableName) -> Error {
    Error::NotFound(format!("view does not exist: {name}"))
}
