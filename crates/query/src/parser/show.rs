//! SHOW: what the catalogue knows, and the settings that PostgreSQL clients ask for.

use super::ast::{Setting, Show};
use super::cursor::Cursor;
use super::source::{at_snapshot, table_name};
use crate::error::SqlError;

const EXPECTED: &str = "expected 'TABLES', 'COLUMNS FROM <tab>', 'PARTITIONS FROM <tab>', \
    'TRANSACTION ISOLATION LEVEL', 'transaction_isolation', 'max_identifier_length', 'standard_conforming_strings', \
    'parameters', 'server_version', 'server_version_num', 'search_path', 'datestyle', or 'time zone'";

const SETTINGS: [(&[&str], Setting); 15] = [
    (&["server_version"], Setting::ServerVersion),
    (&["server_version_num"], Setting::ServerVersionNum),
    (&["transaction", "isolation", "level"], Setting::TransactionIsolation),
    (&["transaction_isolation"], Setting::TransactionIsolation),
    (&["max_identifier_length"], Setting::MaxIdentifierLength),
    (&["standard_conforming_strings"], Setting::StandardConformingStrings),
    (&["search_path"], Setting::SearchPath),
    (&["datestyle"], Setting::DateStyle),
    (&["time", "zone"], Setting::TimeZone),
    (&["timezone"], Setting::TimeZone),
    (&["default_transaction_read_only"], Setting::DefaultTransactionReadOnly),
    (&["transaction_read_only"], Setting::TransactionReadOnly),
    (&["client_encoding"], Setting::ClientEncoding),
    (&["server_encoding"], Setting::ServerEncoding),
    (&["integer_datetimes"], Setting::IntegerDatetimes),
];

/// Parses SHOW, the word included.
pub fn show(cursor: &mut Cursor) -> Result<Show, SqlError> {
    cursor.expect_word("show")?;
    if cursor.take_word("tables") {
        return Ok(match at_snapshot(cursor)? {
            Some(snapshot) => Show::TablesAt(snapshot),
            None => Show::Tables,
        });
    }
    if cursor.take_word("parameters") {
        return Ok(Show::Parameters);
    }
    if cursor.take_word("restore") {
        cursor.expect_word("window")?;
        return Ok(Show::RestoreWindow);
    }
    if cursor.take_word("columns") {
        cursor.expect_word("from")?;
        return Ok(Show::Columns(table_name(cursor)?));
    }
    if cursor.take_word("partitions") {
        cursor.expect_word("from")?;
        return Ok(Show::Partitions(table_name(cursor)?));
    }
    if cursor.take_word("create") {
        if cursor.take_word("view") {
            return Ok(Show::CreateView(table_name(cursor)?));
        }
        if cursor.is_word("materialized") {
            return Err(cursor.error("materialized views are not supported yet"));
        }
        if !cursor.take_word("table") {
            return Err(cursor.error("expected 'TABLE' or 'VIEW' or 'MATERIALIZED VIEW'"));
        }
        return Ok(Show::CreateTable(table_name(cursor)?));
    }
    match SETTINGS.iter().find(|(words, _)| cursor.take_words(words)) {
        Some((_, setting)) => Ok(Show::Setting(*setting)),
        None => {
            cursor.next();
            Err(cursor.error(EXPECTED))
        }
    }
}
