//! COPY: hands the file's name to who reads files, and answers the id under which its progress is found.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::Schema;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::Session;
use crate::error::SqlError;
use crate::kind::Kind;
use crate::outcome::{Outcome, OutputColumn, Rows};
use crate::parser::ast::Copy;
use crate::planner::relation::unqualified;

impl Session {
    pub(super) async fn copy(&self, copy: Copy) -> Result<Outcome, SqlError> {
        if let Copy::From(from) = &copy
            && let Some(view) = self.database.view().sql_view(unqualified(&from.table))
        {
            return Err(SqlError::new(from.table_position, format!("cannot modify view [view={}]", view.name)));
        }
        let copies = self.settings.copies.clone();
        let copies = copies.ok_or_else(|| SqlError::new(0, "COPY is not available here"))?;
        let columns = columns(&copy);
        let values = match copy {
            Copy::From(from) => vec![copies.start(from)?],
            Copy::Cancel(id) => {
                let status = if copies.cancel(&id) { "cancelled" } else { "unknown" };
                vec![id, status.to_owned()]
            }
        };
        let fields: Vec<_> = columns.iter().map(|column| column.kind.field(&column.name)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = values.iter().map(|text| Arc::new(StringViewArray::from_iter_values([text])) as ArrayRef);
        let batch = RecordBatch::try_new(schema.clone(), arrays.collect());
        let batch = batch.map_err(|e| SqlError::internal(e.to_string()))?;
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])));
        Ok(Outcome::Rows(Rows { columns, timestamp_index: None, stream, is_prompt: false }))
    }
}

/// Returns what a COPY answers.
pub(super) fn columns(copy: &Copy) -> Vec<OutputColumn> {
    let names: &[&str] = match copy {
        Copy::From(_) => &["id"],
        Copy::Cancel(_) => &["id", "status"],
    };
    names.iter().map(|name| OutputColumn { name: (*name).to_owned(), kind: Kind::String }).collect()
}
