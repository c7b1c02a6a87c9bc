//! CREATE TABLE … AS: few rows come with the table in one commit, many are written while the query goes on.

use futures::{Stream, StreamExt, future};
use storage::{Database, NewTable};
use tokio::sync::mpsc;
use types::{ColumnDef, RowBatch, TableName};

use super::Session;
use super::create::{cast_columns, stored_column, table_of_query};
use super::rows::row_batch;
use super::run::{ordered, stream};
use crate::error::SqlError;
use crate::parser::ast::{ColumnDef as NewColumnDef, CreateTable, Query};
use crate::planner::Ctes;
use crate::planner::parameters::{Param, Parameters};

/// Rows of at most about so many bytes come by a commit. Tests reach it with few rows.
const COMMIT_BYTES: usize = if cfg!(test) { 128 << 10 } else { 8 << 20 };
/// How many batches the query may be ahead of those that are written.
const BATCHES_AHEAD: usize = 8;

impl Session {
    /// Makes the table of a query and returns the number of its rows.
    pub(super) async fn create_as(
        &self,
        create: &CreateTable,
        name: TableName,
        query: &Query,
        casts: &[NewColumnDef],
        params: &[Param],
    ) -> Result<u64, SqlError> {
        let moment = self.moment();
        let (relation, new) = {
            let planner = self.planner(&moment, Parameters::bound(params));
            let relation = ordered(planner.query(query, Ctes::NONE)?)?;
            let relation = cast_columns(relation, casts)?;
            let new = table_of_query(create, name, &relation, casts)?;
            (relation, new)
        };
        let targets: Vec<ColumnDef> = new.columns.iter().enumerate().map(stored_column).collect();
        let stream = stream(&self.state, &relation.plan, &self.stopper).await?;
        let mut query = stream.map(move |batch| {
            let targets: Vec<&ColumnDef> = targets.iter().collect();
            row_batch(&batch.map_err(|e| SqlError::from_datafusion(&e))?, &targets)
        });
        // Which of two rows with equal keys counts is decided within one commit.
        let most_bytes = if new.dedup_keys.is_empty() { COMMIT_BYTES } else { usize::MAX };
        let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while bytes < most_bytes {
            let Some(batch) = query.next().await.transpose()? else {
                let make = move |database: &Database| database.create_table_with_rows(new, |_| Ok(batches)).map(drop);
                return self.make(create, make).await.map(|()| rows);
            };
            rows += batch.rows() as u64;
            bytes += batch.size_bytes();
            batches.push(batch);
        }
        self.load(create, new, batches, query).await.map(|more| rows + more)
    }

    /// Makes a table of the first rows and those that follow, and returns the number of the latter.
    async fn load(
        &self,
        create: &CreateTable,
        new: NewTable,
        first: Vec<RowBatch>,
        mut following: impl Stream<Item = Result<RowBatch, SqlError>> + Unpin,
    ) -> Result<u64, SqlError> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let loading = self.make(create, move |database| load(database, &new, first, receiver));
        let feeding = async move {
            let mut rows = 0;
            while let Some(batch) = following.next().await.transpose()? {
                rows += batch.rows() as u64;
                if sender.send(Next::Rows(batch)).await.is_err() {
                    // The other side has ended with an error, which is told below.
                    return Ok(rows);
                }
            }
            sender.send(Next::End).await.ok();
            Ok(rows)
        };
        let (fed, loaded) = future::join(feeding, loading).await;
        let rows = fed?;
        loaded.map(|()| rows)
    }
}

/// What the side that asks the query tells the side that writes. One that ends without `End` has failed or was cancelled.
enum Next {
    Rows(RowBatch),
    End,
}

/// Writes rows as they come; nothing is left of the table when they do not come to their end.
fn load(
    database: &Database,
    new: &NewTable,
    first: Vec<RowBatch>,
    mut following: mpsc::Receiver<Next>,
) -> storage::Result<()> {
    let mut load = database.begin_load(new)?;
    first.into_iter().try_for_each(|batch| load.append(batch))?;
    while let Some(next) = following.blocking_recv() {
        match next {
            Next::Rows(batch) => load.append(batch)?,
            Next::End => return load.finish(new).map(drop),
        }
    }
    Ok(())
}
