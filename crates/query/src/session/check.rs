//! CHECK TABLE: every file of a table read whole and compared, several at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::Schema;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use storage::check::FileCheck;

use super::Session;
use super::view::NO_TABLE;
use crate::error::SqlError;
use crate::kind::Kind;
use crate::outcome::{Outcome, OutputColumn, Rows};
use crate::parser::ast::Ident;

/// Files that are read at once, at most: more would only wait for the disk.
const AT_ONCE: usize = 8;

/// Returns the columns of the answer: a row for each file that is damaged, and a last one for the whole table.
pub fn columns() -> Vec<OutputColumn> {
    [("file", Kind::Varchar), ("bytes", Kind::Long), ("status", Kind::Varchar), ("detail", Kind::Varchar)]
        .map(|(name, kind)| OutputColumn { name: name.to_owned(), kind })
        .to_vec()
}

/// What one check found.
type Found = (String, Result<u64, String>);

impl Session {
    pub(super) async fn check(&self, table: &Ident) -> Result<Outcome, SqlError> {
        if self.is_view(table) {
            return Err(SqlError::new(table.position, NO_TABLE));
        }
        let view = self.table(table)?;
        let files = Arc::new(view.files_to_check());
        let next = Arc::new(AtomicUsize::new(0));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..processors.min(AT_ONCE).min(files.len()))
            .map(|_| {
                let (files, next) = (files.clone(), next.clone());
                tokio::task::spawn_blocking(move || work(&files, &next))
            })
            .collect();
        let mut found = Vec::with_capacity(files.len());
        for worker in workers {
            let done = worker.await.map_err(|e| SqlError::internal(format!("a check's thread ended: {e}")))?;
            found.extend(done);
        }
        answer(found)
    }
}

fn work(files: &[FileCheck], next: &AtomicUsize) -> Vec<Found> {
    let mut found = Vec::new();
    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let outcome = file.run().map_err(|error| {
            tracing::error!("check found damage: {error}");
            error.to_string()
        });
        found.push((file.name().to_owned(), outcome));
    }
    found
}

fn answer(mut found: Vec<Found>) -> Result<Outcome, SqlError> {
    found.sort();
    let count = found.len();
    let read: u64 = found.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).sum();
    let mut rows: Vec<(Option<String>, Option<i64>, &str, String)> =
        found.into_iter().filter_map(|(name, outcome)| Some((Some(name), None, "damaged", outcome.err()?))).collect();
    let detail = format!("{count} files read, {} damaged", rows.len());
    let status = if rows.is_empty() { "ok" } else { "damaged" };
    rows.push((None, Some(read as i64), status, detail));
    let columns = columns();
    let schema = Arc::new(Schema::new(columns.iter().map(|c| c.kind.field(&c.name)).collect::<Vec<_>>()));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| Some(row.3.as_str())).collect::<StringViewArray>()),
    ];
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| SqlError::internal(e.to_string()))?;
    let stream = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])));
    Ok(Outcome::Rows(Rows { columns, timestamp_index: None, stream, is_prompt: false }))
}
