//! ALTER TABLE.

use super::ast::{Alter, AlterAction, ColumnDef, Ident, PartitionAction, Partitions, Statement, TableParameters};
use super::create::{check_column_name, column, definition, index_capacity, symbol_capacity};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::select::{name, names};
use super::source::table_name;
use super::table_options::{Parsed, parameter, ttl, upsert_keys};
use super::view;
use crate::error::SqlError;

const EXPECTED: &str =
    "'add', 'alter', 'attach', 'detach', 'drop', 'convert', 'resume', 'rename', 'set' or 'squash' expected";

/// Parses ALTER …, the first word taken.
pub fn alter(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.is_word("view") {
        return view::alter(cursor);
    }
    if cursor.is_word("materialized") {
        return Err(cursor.error("materialized views are not supported yet"));
    }
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
            Ok(AlterAction::Upkeep)
        }
        "resume" => resume(cursor),
        "attach" => partitions(cursor, PartitionAction::Attach),
        "detach" => partitions(cursor, PartitionAction::Detach),
        "force" => {
            // A plain DROP: a missing file is always an error here, and a partition without it can be dropped.
            cursor.next();
            if !cursor.is_word("drop") {
                return Err(cursor.error("'drop' expected"));
            }
            partitions(cursor, PartitionAction::Drop)
        }
        "convert" => partitions(cursor, PartitionAction::ToParquet),
        "dedup" => dedup(cursor),
        "suspend" if cursor.peek_at(1).is_word("wal") => {
            Ok(refused(cursor, "Cannot suspend table, database is not in dev mode", 0))
        }
        "rebase" if cursor.peek_at(1).is_word("wal") => {
            let position = cursor.peek().position;
            Ok(refused(cursor, "REBASE WAL requires the table to be suspended first", position))
        }
        _ => Err(cursor.error(EXPECTED)),
    }
}

/// Takes the rest of a statement that is answered with an error once its table is found.
fn refused(cursor: &mut Cursor, message: &str, position: usize) -> AlterAction {
    while !cursor.at_end() {
        cursor.next();
    }
    AlterAction::Refused { message: message.to_owned(), position }
}

/// Parses DEDUP ENABLE UPSERT KEYS(…) and DEDUP DISABLE.
fn dedup(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    if cursor.take_word("disable") {
        return Ok(AlterAction::Dedup(None));
    }
    if !cursor.take_word("enable") {
        return Err(cursor.error("'dedup columns' expected"));
    }
    Ok(AlterAction::Dedup(Some(upsert_keys(cursor)?)))
}

/// Parses PARTITION LIST … or WHERE … behind DROP, DETACH, ATTACH, CONVERT.
fn partitions(cursor: &mut Cursor, action: PartitionAction) -> Result<AlterAction, SqlError> {
    cursor.next();
    let position = cursor.peek().position;
    if !cursor.take_word("partition") {
        return Err(cursor.error("'partition' expected"));
    }
    let action = if action == PartitionAction::ToParquet { converted_to(cursor)? } else { action };
    let chosen = chosen(cursor, action, position)?;
    Ok(AlterAction::Partitions { action, chosen, position })
}

fn converted_to(cursor: &mut Cursor) -> Result<PartitionAction, SqlError> {
    if !cursor.take_word("to") {
        return Err(cursor.error("'to' expected"));
    }
    if cursor.take_word("parquet") {
        return Ok(PartitionAction::ToParquet);
    }
    if cursor.take_word("native") {
        return Ok(PartitionAction::ToNative);
    }
    Err(cursor.error("'parquet' or 'native' expected"))
}

fn chosen(cursor: &mut Cursor, action: PartitionAction, position: usize) -> Result<Partitions, SqlError> {
    if cursor.take_word("where") {
        if action == PartitionAction::Attach {
            let message =
                "WHERE clause can only be used with command DROP PARTITION, DETACH PARTITION or CONVERT PARTITION";
            return Err(SqlError::new(position, message));
        }
        return Ok(Partitions::Where(expression(cursor)?));
    }
    if !cursor.take_word("list") {
        return Err(cursor.error("'list' or 'where' expected"));
    }
    let mut list = Vec::new();
    loop {
        let token = cursor.peek();
        if token.kind != TokenKind::Text {
            return Err(cursor.error("partition name missing"));
        }
        cursor.next();
        list.push(Ident { name: token.text.clone(), position: token.position });
        if !cursor.take_sign(",") {
            return Ok(Partitions::List(list));
        }
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
    let chosen = chosen(cursor, PartitionAction::Drop, position)?;
    Ok(AlterAction::Partitions { action: PartitionAction::Drop, chosen, position })
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
    if cursor.take_word("type") {
        let definition = definition(cursor, column.clone())?;
        return Ok(AlterAction::ColumnType { column, definition });
    }
    if cursor.is_word("set") {
        return Err(cursor.error("ALTER COLUMN … SET is not supported yet"));
    }
    if cursor.take_words(&["add", "index"]) {
        return Ok(AlterAction::Index { column, on: true, capacity: index_capacity(cursor)? });
    }
    if cursor.take_words(&["drop", "index"]) {
        return Ok(AlterAction::Index { column, on: false, capacity: None });
    }
    if cursor.take_word("cache") {
        return Ok(AlterAction::Cache { column, on: true });
    }
    if cursor.take_word("nocache") {
        return Ok(AlterAction::Cache { column, on: false });
    }
    if !cursor.take_word("symbol") {
        return Err(cursor.error("'add index' or 'drop index' or 'type' or 'cache' or 'nocache' or 'symbol' expected"));
    }
    if !cursor.take_word("capacity") {
        return Err(cursor.error("'capacity' expected"));
    }
    if cursor.peek().text.parse::<u32>().is_err() {
        return Err(cursor.error("numeric capacity expected"));
    }
    Ok(AlterAction::SymbolCapacity { column, capacity: symbol_capacity(cursor)? })
}

fn set(cursor: &mut Cursor) -> Result<AlterAction, SqlError> {
    cursor.next();
    if cursor.take_word("param") {
        let mut parameters = TableParameters::default();
        let position = cursor.peek().position;
        return match parameter(cursor, &mut parameters)? {
            Parsed::Known => Ok(AlterAction::Parameter(parameters)),
            Parsed::Unknown(name) => Err(SqlError::new(position, format!("unknown parameter '{name}'"))),
            Parsed::BadRows { value, position } => {
                let message = format!("invalid value [value={value},parameter=maxUncommittedRows]");
                Err(SqlError::new(position, message))
            }
            Parsed::BadLag { value, position } => {
                Err(SqlError::new(position + value.len(), format!("expected interval qualifier in {value}")))
            }
        };
    }
    if cursor.take_word("type") {
        let bypass = cursor.take_word("bypass");
        cursor.expect_word("wal")?;
        return Ok(AlterAction::WalType(!bypass));
    }
    if cursor.take_word("ttl") {
        return Ok(AlterAction::Ttl(ttl(cursor)?));
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
    Ok(AlterAction::Upkeep)
}
