//! Delimited text (CSV) on its way into a table: from the bytes of a file to rows.
//!
//! Owns the cutting into fields, what is guessed from a sample (delimiter, header, types) and the conversion of fields;
//! never knows where the bytes come from or what table there is. Reading order: [`records`] (bytes to fields),
//! [`delimiter`], [`sample`] (header and types), [`field`] (one field to one value).

pub mod delimiter;
pub mod field;
pub mod records;
pub mod sample;

#[cfg(test)]
mod tests;
