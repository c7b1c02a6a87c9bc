//! What a statement answers.

use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use crate::error::SqlError;
use crate::kind::Kind;

/// The type of a result column.
pub type OutputType = Kind;

/// A result column. Batches carry the columns in this order; their field names mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub kind: OutputType,
}

/// The rows of a query.
pub struct Rows {
    pub columns: Vec<OutputColumn>,
    /// The column that rows are ordered by as the designated timestamp.
    pub timestamp_index: Option<usize>,
    /// Errors in it are read by [`crate::error::SqlError::from_datafusion`].
    pub stream: SendableRecordBatchStream,
    /// Whether each batch is soon there or waited for: nothing is computed for long by whoever asks for it.
    pub is_prompt: bool,
}

impl Rows {
    /// Returns the next batch, or `None` after the last.
    ///
    /// # Errors
    /// What ended the statement.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        self.stream.next().await.transpose().map_err(|e| SqlError::from_datafusion(&e))
    }
}

/// The answer of a statement.
pub enum Outcome {
    Rows(Rows),
    /// Done, nothing to say: DDL, SNAPSHOT, VACUUM.
    Ddl,
    /// Done as [`Outcome::Ddl`], and the client should know this.
    Noticed(String),
    /// The database went back to a snapshot; the way forward again is one of that name, where one is kept.
    WentBack {
        way_back: Option<String>,
    },
    Insert {
        rows: u64,
        select: bool,
    },
    CreateAs {
        rows: u64,
    },
    Update {
        rows: u64,
    },
    Delete {
        rows: u64,
    },
    Begin,
    Commit,
    Rollback,
    /// SET, RESET and their kin.
    Set,
    /// Nothing but blanks and comments.
    Empty,
}

/// What a statement that is not yet run takes and gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The kinds of `$1` … `$n`.
    pub params: Vec<OutputType>,
    /// Those that are lists, by their places from 0, with the kinds of their elements.
    pub lists: Vec<(usize, OutputType)>,
    /// `None` for a statement without rows.
    pub columns: Option<Vec<OutputColumn>>,
}
