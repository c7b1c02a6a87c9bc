//! Whether a statement could be carried out, without doing so.

use super::Session;
use crate::error::SqlError;
use crate::outcome::OutputColumn;
use crate::parser;
use crate::parser::ast::{Statement, TableSource, Transaction, ViewStatement};
use crate::planner::Ctes;
use crate::planner::parameters::Parameters;

/// What a statement that is in order would do.
pub enum Validity {
    /// Nothing: blanks and comments.
    Empty,
    /// Answer rows, perhaps in the order of their designated timestamp.
    Rows { columns: Vec<OutputColumn>, timestamp_index: Option<usize> },
    /// Something else, by its name.
    Other(&'static str),
}

impl Session {
    /// Checks a statement as far as that is done before it runs.
    ///
    /// # Errors
    /// The error that the statement would end with, if it is found by then.
    pub fn validate(&self, sql: &str) -> Result<Validity, SqlError> {
        if parser::is_blank(sql)? {
            return Ok(Validity::Empty);
        }
        let described = self.describe(sql, &[])?;
        let statement = parser::parse(sql);
        if let Ok(Statement::Explain(inner)) = &statement {
            let moment = self.moment();
            if let Statement::Query(query) = &**inner {
                self.planner(&moment, Parameters::described(&[])).query(query, Ctes::NONE)?;
            }
            return Ok(Validity::Other("EXPLAIN"));
        }
        let timestamp_index = match &statement {
            Ok(Statement::Query(query)) => {
                let moment = self.moment();
                let relation = self.planner(&moment, Parameters::described(&[])).query(query, Ctes::NONE);
                // a question about the catalogue in PostgreSQL's own SQL has no such order
                relation.and_then(|relation| relation.shown()).ok().and_then(|relation| relation.time)
            }
            Ok(other) if described.columns.is_none() => return Ok(Validity::Other(name(other))),
            _ => None,
        };
        Ok(Validity::Rows { columns: described.columns.unwrap_or_default(), timestamp_index })
    }
}

fn name(statement: &Statement) -> &'static str {
    match statement {
        Statement::CreateTable(create) => match create.source {
            TableSource::Query { .. } => "CREATE AS SELECT",
            _ => "CREATE TABLE",
        },
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::Insert(insert) => match insert.source {
            parser::ast::InsertSource::Query(_) => "INSERT AS SELECT",
            parser::ast::InsertSource::Values(_) => "INSERT",
        },
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::DropTable { .. } | Statement::DropAll => "DROP",
        Statement::Truncate { .. } => "TRUNCATE",
        Statement::Rename { .. } => "RENAME TABLE",
        Statement::Alter(_) => "ALTER TABLE",
        Statement::View(ViewStatement::Create { .. }) => "CREATE VIEW",
        Statement::View(ViewStatement::Alter { .. }) => "ALTER VIEW",
        Statement::View(ViewStatement::Drop { .. }) => "DROP",
        Statement::View(ViewStatement::Compile(_)) => "COMPILE VIEW",
        Statement::Snapshot(_) => "CHECKPOINT",
        Statement::RestoreTable(_) | Statement::RestoreDatabase(_) => "RESTORE",
        Statement::Undrop(_) => "UNDROP",
        Statement::Purge(_) => "PURGE",
        Statement::Transaction(Transaction::Begin) => "BEGIN",
        Statement::Transaction(Transaction::Commit) => "COMMIT",
        Statement::Transaction(Transaction::Rollback) => "ROLLBACK",
        Statement::Accepted => "SET",
        Statement::Maintain(_) => "VACUUM",
        Statement::Copy(_) => "COPY",
        Statement::CancelQuery(_) => "CANCEL QUERY",
        Statement::Query(_) | Statement::Explain(_) | Statement::Check(_) => "SELECT",
    }
}
