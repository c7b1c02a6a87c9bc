//! InfluxDB line protocol, text form (version 1): from the bytes of a request to rows per table.
//!
//! ```text
//! table[,tag=value…] field=value[,…] [timestamp]\n
//! ```
//! A backslash outside quotes takes the next character literally (a newline too); strings stand in double quotes, where
//! a backslash does the same. What is refused, and in which words, follows QuestDB 9.3.4, since clients show those texts.
//!
//! Owns the grammar, the meaning of values and their conversion into columns; never opens a socket, asks a clock or
//! creates a table. Reading order: [`line`] (grammar), [`value`] (numbers, booleans, timestamps), [`rows`] (columns per
//! table).

mod convert;
pub mod line;
pub mod names;
pub mod rows;
pub mod value;

#[cfg(test)]
mod tests;

pub use line::{Field, Line, Parser};
pub use rows::{NewColumn, Options, Rows, TableRows, read_request};
pub use value::{Moment, Unit, Value};

/// Why a request is refused: the number of the line (1 is the first one that is not empty) and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error in line {line}: {message}")]
pub struct LineError {
    pub line: usize,
    pub message: String,
}
