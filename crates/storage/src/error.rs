//! What can go wrong in storage, by what the caller can do about it: [`Error`].

use std::io;
use std::path::{Path, PathBuf};

/// A failure of storage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table, column or partition that is not there.
    #[error("{0}")]
    NotFound(String),
    /// A name that is taken.
    #[error("{0}")]
    Exists(String),
    /// Something changed meanwhile, or is busy: looking again and retrying may succeed.
    #[error("{0}")]
    Conflict(String),
    /// Input that breaks a rule; nothing of it was stored.
    #[error("{0}")]
    Invalid(String),
    /// Writing has stopped (disk full, failed sync); reads go on. The text says what to do.
    #[error("{0}")]
    Unavailable(String),
    /// The start or the restore was refused and nothing was modified (exit code 55).
    #[error("{0}")]
    Refused(String),
    /// Bytes on disk are not what was written.
    #[error("{}: {detail}", file.display())]
    Corrupt { file: PathBuf, detail: String },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns a function that adds the path to an error of the operating system. A full disk is a state that ends, so
    /// it says what ends it.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Unavailable(format!(
                "disk full: {} cannot be written; reads go on, free space on its disk, then retry",
                path.display()
            )),
            _ => Error::Io { path: path.to_owned(), source },
        }
    }

    /// Returns an error about the bytes of a file.
    pub fn corrupt(file: &Path, detail: impl Into<String>) -> Error {
        Error::Corrupt { file: file.to_owned(), detail: detail.into() }
    }

    /// Returns whether another try may find what this one did not: what is missing or damaged stays so.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Error::Io { source, .. } => source.kind() != io::ErrorKind::NotFound,
            Error::Unavailable(_) => true,
            _ => false,
        }
    }

    /// Returns the error as it is told of a copy: what mends a running database, a restore, does not mend the copy that is
    /// restored.
    #[must_use]
    pub fn of_copy(self) -> Error {
        let (file, detail) = match self {
            Error::Corrupt { file, detail } => (file, detail),
            Error::Io { path, source } if source.kind() == io::ErrorKind::NotFound => (path, "is missing".to_owned()),
            Error::Io { path, source } if source.kind() == io::ErrorKind::NotADirectory => {
                (path, "cannot be there: a file stands in the place of a folder on the way to it".to_owned())
            }
            other => return other,
        };
        let fault = detail.split_once("; ").map_or(detail.as_str(), |(fault, _)| fault);
        Error::Corrupt { detail: format!("{fault}; copy it again or use another copy"), file }
    }
}
