//! InfluxDB line protocol, versions 1 (text), 2 (binary doubles and arrays) and 3 (decimals): from bytes to rows per
//! table.
//!
//! ```text
//! table[,tag=value…] field=value[,…] [timestamp]\n
//! ```
//! A backslash outside quotes takes the next character literally (a newline too); strings stand in double quotes, where
//! a backslash does the same. What is refused, and in which words, follows QuestDB 9.3.4, since clients show those texts.
//!
//! Owns the grammar, the meaning of values and their conversion into columns; never opens a socket, asks a clock or
//! creates a table. Reading order: [`line`] (grammar), [`value`] (numbers, booleans, timestamps), [`binary`], [`rows`]
//! (columns per table), [`shape`] with [`words`] (lines that look like the one before).

pub mod binary;
mod convert;
pub mod line;
pub mod names;
pub mod rows;
mod shape;
pub mod value;
mod words;

#[cfg(test)]
mod tests;

pub use line::{Field, Line, Parser};
pub use rows::{NewColumn, Options, Rows, Stream, TableRows, read_request, read_stream};
pub use value::{Moment, Unit, Value};

/// Why a request is refused: the number of the line (1 is the first one that is not empty) and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error in line {line}: {message}")]
pub struct LineError {
    pub line: usize,
    pub message: String,
}
