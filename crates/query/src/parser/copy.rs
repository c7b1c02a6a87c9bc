//! COPY table FROM 'file' \[WITH …\] and COPY 'id' CANCEL.

use types::PartitionBy;

use super::ast::{Copy, Statement};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::source::table_name;
use crate::error::SqlError;
use crate::settings::{CopyErrors, CopyFrom};

/// Parses what stands behind COPY.
pub fn copy(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.is_sign("(") {
        return Err(cursor.error("COPY … TO is not supported yet; use /exp?fmt=parquet"));
    }
    if matches!(cursor.peek().kind, TokenKind::Text) && cursor.peek_at(1).text.eq_ignore_ascii_case("cancel") {
        let id = text(cursor)?;
        cursor.next();
        return Ok(Statement::Copy(Copy::Cancel(id)));
    }
    let table = table_name(cursor)?;
    if cursor.is_word("to") {
        return Err(cursor.error("COPY … TO is not supported yet; use /exp?fmt=parquet"));
    }
    if !cursor.take_word("from") {
        return Err(cursor.error("'from' expected"));
    }
    let file_position = cursor.peek().position;
    let file = text(cursor)?;
    let mut copy =
        CopyFrom { table: table.name, table_position: table.position, file, file_position, ..CopyFrom::default() };
    if cursor.take_word("with") {
        while !cursor.at_end() {
            option(cursor, &mut copy)?;
        }
    }
    if copy.timestamp.is_none() && (copy.format.is_some() || copy.partition_by.is_some()) {
        let why = "invalid option used for import without a designated timestamp (format or partition by)";
        return Err(SqlError::new(0, why));
    }
    Ok(Statement::Copy(Copy::From(copy)))
}

fn option(cursor: &mut Cursor, copy: &mut CopyFrom) -> Result<(), SqlError> {
    if cursor.take_word("header") {
        copy.header = cursor.take_word("true") || {
            if !cursor.take_word("false") {
                return Err(cursor.error("'true' or 'false' expected"));
            }
            false
        };
    } else if cursor.take_word("timestamp") {
        copy.timestamp = Some(text(cursor)?);
    } else if cursor.take_word("format") {
        copy.format = Some(text(cursor)?);
    } else if cursor.take_word("delimiter") {
        let delimiter = text(cursor)?;
        if delimiter.len() != 1 {
            return Err(cursor.error_at_last("delimiter is empty or contains more than 1 character"));
        }
        copy.delimiter = delimiter.bytes().next();
    } else if cursor.take_word("partition") {
        cursor.expect_word("by")?;
        let unit = PartitionBy::from_name(&cursor.next().text);
        let expected = "'NONE', 'HOUR', 'DAY', 'WEEK', 'MONTH' or 'YEAR' expected";
        copy.partition_by = Some(unit.ok_or_else(|| cursor.error_at_last(expected))?);
    } else if cursor.take_word("on") {
        cursor.expect_word("error")?;
        copy.on_error = if cursor.take_word("skip_row") {
            CopyErrors::SkipRow
        } else if cursor.take_word("skip_column") {
            CopyErrors::SkipColumn
        } else if cursor.take_word("abort") {
            CopyErrors::Abort
        } else {
            return Err(cursor.error("invalid 'on error' copy option found"));
        };
    } else {
        return Err(cursor.error("unexpected option"));
    }
    Ok(())
}

fn text(cursor: &mut Cursor) -> Result<String, SqlError> {
    let token = cursor.peek();
    if !matches!(token.kind, TokenKind::Text) {
        return Err(cursor.error("a text in quotes expected"));
    }
    Ok(cursor.next().text.to_string())
}
