//! The one error of a statement: what is wrong and where in its text.
//!
//! Texts are those that the peer's clients already know; positions count characters from 0. An error while rows flow
//! travels inside DataFusion's and is found again by [`SqlError::from_datafusion`].

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Who can do something about an error: it decides the HTTP status and the SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The statement is wrong: its author can mend it.
    Statement,
    /// Others changed the table in the middle of the statement, which did nothing: it may go well when it is tried again.
    Overtaken,
    /// The statement was stopped: by its client or a time limit.
    Stopped,
    /// The statement needed more memory or spill space than there is.
    Memory,
    /// Whoever says it may only read.
    Denied,
    /// The server cannot do it now: storage refuses, a disk is full.
    Unavailable,
    /// A defect of ours or damaged data.
    Internal,
}

/// A statement's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    pub message: String,
    /// Characters before the place in the statement's text, from 0.
    pub position: usize,
    pub kind: SqlErrorKind,
}

impl SqlError {
    /// Returns the error of a wrong statement.
    pub fn new(position: usize, message: impl Into<String>) -> SqlError {
        SqlError { message: message.into(), position, kind: SqlErrorKind::Statement }
    }

    /// Returns this error as one that travels through a running plan.
    pub fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }

    /// Returns the error of a statement that its client, or another one, stopped.
    pub fn cancelled() -> SqlError {
        SqlError { message: "cancelled by user".to_owned(), position: 0, kind: SqlErrorKind::Stopped }
    }

    /// Returns an error of storage as the statement's, without a place.
    pub fn from_storage(error: &storage::Error) -> SqlError {
        let kind = match error {
            storage::Error::Unavailable(_) => SqlErrorKind::Unavailable,
            storage::Error::Conflict(_) => SqlErrorKind::Overtaken,
            storage::Error::Corrupt { .. } | storage::Error::Io { .. } | storage::Error::Refused(_) => {
                SqlErrorKind::Internal
            }
            _ => SqlErrorKind::Statement,
        };
        SqlError { message: error.to_string(), position: 0, kind }
    }

    /// Returns a failure that is not the statement's fault.
    pub fn internal(message: impl Into<String>) -> SqlError {
        SqlError { message: message.into(), position: 0, kind: SqlErrorKind::Internal }
    }

    fn spilling(error: &dyn std::fmt::Display) -> SqlError {
        SqlError { message: format!("spilling failed: {error}"), position: 0, kind: SqlErrorKind::Memory }
    }

    /// Returns our own error inside `error`, or one that shows the root of it.
    pub fn from_datafusion(error: &DataFusionError) -> SqlError {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<SqlError>() {
                Some(own) => own.clone(),
                None => SqlError { message: inner.to_string(), position: 0, kind: SqlErrorKind::Internal },
            },
            DataFusionError::ResourcesExhausted(message) => {
                SqlError { message: message.clone(), position: 0, kind: SqlErrorKind::Memory }
            }
            // spilling is the only I/O of the engine's own
            DataFusionError::IoError(error) => SqlError::spilling(error),
            DataFusionError::ArrowError(error, _) if matches!(error.as_ref(), ArrowError::IoError(..)) => {
                SqlError::spilling(error)
            }
            root => SqlError { message: root.strip_backtrace(), position: 0, kind: SqlErrorKind::Internal },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_running_plan() {
        let own = SqlError::new(7, "boolean expression expected");
        let wrapped = own.clone().into_datafusion().context("somewhere deep");
        assert_eq!(SqlError::from_datafusion(&wrapped), own);
    }
}
