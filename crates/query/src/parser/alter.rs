//! ALTER TABLE.

use super::ast::{Alter, AlterAction, ColumnDef, Ident, Statement};
use super::create::{check_column_name, column, parameter};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::select::{name, names};
use super::source::table_name;
use crate::error::SqlError;

const EXPECTED: &str =
    "'add', 'alter', 'attach', 'detach', 'drop', 'convert', 'resume', 'rename', 'set' or 'squash' expected";

/// Parses ALTER …, the first word taken.
pub fn alter(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_word("table") {
        return Err(cursor.error("'table' or 'materialized' or 'view' expected"));
    }
    let table = table_name(cursor)?;
    let action = action(cursor)?;
    Ok(Statement::Alter(Alter { table, action }))
}

fn action(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    let word = cursor.peek().text.to_ascii_lowercase();
    match word.as_str() {
        "add" => add(cursor),
        "drop" => drop(cursor),
        "rename" => rename(cursor),
        "alter" => alter_column(cursor),
        "set" => set(cursor),
        "squash" => {
            cursor.next();
            cursor.expect_word("partitions")?;
            Ok(AlterAction::TuneTable)
        }
        "resume" => resume(cursor),
        "attach" | "detach" | "convert" | "dedup" | "force" | "suspend" => {
            Err(cursor.error(format!("ALTER TABLE … {} is not supported yet", word.to_uppercase())))
        }
        _ => Err(cursor.error(EXPECTED)),
    }
}

fn add(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    cursor.take_word("column");
    let if_not_exists = cursor.take_words(&["if", "not", "exists"]);
    let mut columns: Vec<ColumnDef> = Vec::new();
    loop {
        let column = column(cursor)?;
        check_column_name(&column.name)?;
        columns.push(column);
        if cursor.at_end() {
            return Ok(AlterAction::AddColumns { columns, if_not_exists });
        }
        if !cursor.take_sign(",") {
            return Err(cursor.error("',' expected"));
        }
    }
}

fn drop(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    if cursor.take_word("column") {
        return Ok(AlterAction::DropColumns(names(cursor)?));
    }
    let position = cursor.peek().position;
    if !cursor.take_word("partition") {
        return Err(cursor.error("'column' or 'partition' expected"));
    }
    if cursor.take_word("list") {
        let mut list = Vec::new();
        loop {
            let token = cursor.peek();
            if token.kind != TokenKind::Text {
                return Err(cursor.error("partition name missing"));
            }
            cursor.next();
            list.push(Ident { name: token.text.clone(), position: token.position });
            if !cursor.take_sign(",") {
                return Ok(AlterAction::DropPartitionList { names: list, position });
            }
        }
    }
    if cursor.take_word("where") {
        return Ok(AlterAction::DropPartitionWhere { filter: expression(cursor)?, position });
    }
    Err(cursor.error("'list' or 'where' expected"))
}

fn rename(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    cursor.expect_word("column")?;
    let mut list = Vec::new();
    loop {
        let from = name(cursor)?;
        cursor.expect_word("to")?;
        let to = name(cursor)?;
        check_column_name(&to)?;
        list.push((from, to));
        if !cursor.take_sign(",") {
            return Ok(AlterAction::RenameColumns(list));
        }
    }
}

fn alter_column(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    cursor.expect_word("column")?;
    let column = name(cursor)?;
    let forms: [&[&str]; 5] =
        [&["add", "index"], &["drop", "index"], &["cache"], &["nocache"], &["symbol", "capacity"]];
    if cursor.is_word("type") || cursor.is_word("set") {
        return Err(cursor.error(format!("ALTER COLUMN … {} is not supported yet", cursor.raw().to_uppercase())));
    }
    let Some(form) = forms.iter().find(|form| cursor.take_words(form)) else {
        return Err(cursor.error("'add index' or 'drop index' or 'type' or 'cache' or 'nocache' or 'symbol' expected"));
    };
    let has_capacity = form[0] == "symbol" || (form[0] == "add" && cursor.take_word("capacity"));
    if has_capacity {
        let token = cursor.next();
        if token.text.parse::<u32>().is_err() {
            return Err(SqlError::new(token.position, "numeric capacity expected"));
        }
    }
    Ok(AlterAction::TuneColumn(column))
}

fn set(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    if cursor.take_word("param") {
        parameter(cursor)?;
        return Ok(AlterAction::TuneTable);
    }
    if cursor.take_word("type") {
        cursor.take_word("bypass");
        cursor.expect_word("wal")?;
        return Ok(AlterAction::TuneTable);
    }
    if cursor.is_word("ttl") {
        return Err(cursor.error("TTL is not supported yet"));
    }
    Err(cursor.error("'param', 'ttl' or 'type' expected"))
}

fn resume(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    cursor.expect_word("wal")?;
    if cursor.take_word("from") {
        if !(cursor.take_word("txn") || cursor.take_word("transaction")) {
            return Err(cursor.error("'transaction' or 'txn' expected"));
        }
        cursor.next();
    }
    Ok(AlterAction::TuneTable)
}
