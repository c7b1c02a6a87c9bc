//! Lines to columns: [`Rows`] gathers the rows of a request per table and converts each value to its column's type.
//!
//! Nothing is created here. A table or column that does not exist yet is listed in [`TableRows::new_columns`]; the
//! server makes it once the whole request has proved good, and then asks for the batch with [`TableRows::into_batch`].

use std::collections::HashMap;
use std::sync::Arc;

use types::{ColumnType, PartitionBy, Schema, TableName};

use super::LineError;
use super::line::{Line, Parser};
use super::shape::Shape;
use super::value::Unit;

mod table;

pub use table::{NewColumn, TableRows};

/// Name of the designated timestamp of a table that a line brings into being.
const DESIGNATED_NAME: &str = "timestamp";

/// What the server's configuration says about lines.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// `line.auto.create.new.tables`.
    pub create_tables: bool,
    /// `line.auto.create.new.columns`.
    pub create_columns: bool,
    /// Types of the columns that values bring into being: VARCHAR or STRING for a quoted string, DOUBLE or FLOAT for a
    /// number, LONG, INT, SHORT or BYTE for an integer, TIMESTAMP or TIMESTAMP_NS for the designated timestamp.
    pub text_type: ColumnType,
    pub float_type: ColumnType,
    pub integer_type: ColumnType,
    pub timestamp_type: ColumnType,
    /// `line.default.partition.by`: for whoever creates the tables.
    pub partition_by: PartitionBy,
    /// Tables without WAL are refused, as HTTP's lines are there.
    pub wal_only: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create_tables: true,
            create_columns: true,
            text_type: ColumnType::Varchar,
            float_type: ColumnType::Double,
            integer_type: ColumnType::Long,
            timestamp_type: ColumnType::Timestamp,
            partition_by: PartitionBy::Day,
            wal_only: true,
        }
    }
}

/// The rows of one request, per table in order of appearance.
pub struct Rows<F> {
    options: Options,
    now_us: i64,
    find_table: F,
    tables: Vec<TableRows>,
    by_name: HashMap<String, usize>,
    last: usize,
    shapes: Vec<KnownShape>,
    /// The shape of the last line that had one.
    previous: usize,
    /// How many shapes may still be learned: each line that had one adds to it.
    learning: usize,
}

/// The shape of lines of a table.
struct KnownShape {
    shape: Shape,
    table: usize,
    /// Columns that the table had when the shape was learned.
    columns: usize,
    /// Those of them that lines of the shape have no value for.
    absent: Vec<usize>,
    /// The shape that came after it the last time.
    next: usize,
}

/// Lines look like one of so many shapes, or are read word by word.
const MAX_SHAPES: usize = 16;

/// Reads a whole request.
///
/// `find_table` returns an existing table's name and schema; `now_us` stands in for missing timestamps.
///
/// # Errors
/// The first line that cannot be taken; then nothing of the request counts.
pub fn read_request<F>(
    body: &[u8],
    unit: Unit,
    now_us: i64,
    options: Options,
    find_table: F,
) -> Result<Vec<TableRows>, LineError>
where
    F: Fn(&str) -> Option<(TableName, Arc<Schema>)>,
{
    let mut rows = Rows::new(options, now_us, find_table);
    let mut parser = Parser::new(body, unit);
    let mut line = Line::default();
    loop {
        if rows.add_alike(&mut parser) {
            continue;
        }
        if !parser.next_line(&mut line)? {
            return Ok(rows.into_tables());
        }
        rows.add(&line)?;
    }
}

/// What the first bytes of a stream hold.
#[derive(Debug)]
pub struct Stream {
    pub tables: Vec<TableRows>,
    /// Bytes that are done with; what is behind them is the beginning of a line.
    pub consumed: usize,
    /// Lines that cannot be taken. The rows of the others are in `tables`.
    pub errors: Vec<LineError>,
    /// Reading stopped at the last of `errors`, or within it: its end has not come yet.
    pub stopped: bool,
    pub in_bad_line: bool,
}

/// Reads the whole lines at the beginning of a stream. A line that cannot be taken leaves nothing behind and ends the
/// reading if `stop_at_error`; else it is passed over.
pub fn read_stream<F>(
    bytes: &[u8],
    unit: Unit,
    now_us: i64,
    options: Options,
    stop_at_error: bool,
    find_table: F,
) -> Stream
where
    F: Fn(&str) -> Option<(TableName, Arc<Schema>)>,
{
    let mut rows = Rows::new(options, now_us, find_table);
    let mut parser = Parser::of_stream(bytes, unit);
    let mut line = Line::default();
    let mut errors = Vec::new();
    let (mut stopped, mut in_bad_line) = (false, false);
    loop {
        if rows.add_alike(&mut parser) {
            continue;
        }
        let error = match parser.next_line(&mut line) {
            Ok(false) => break,
            Ok(true) => rows.add(&line).err(),
            Err(error) => Some(error),
        };
        let Some(error) = error else { continue };
        errors.push(error);
        if stop_at_error {
            stopped = true;
            break;
        }
        if !parser.skip_line() {
            in_bad_line = true;
            break;
        }
    }
    Stream { tables: rows.into_tables(), consumed: parser.consumed(), errors, stopped, in_bad_line }
}

impl<F> Rows<F>
where
    F: Fn(&str) -> Option<(TableName, Arc<Schema>)>,
{
    /// Returns an empty collection.
    pub fn new(options: Options, now_us: i64, find_table: F) -> Rows<F> {
        Rows {
            options,
            now_us,
            find_table,
            tables: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
            shapes: Vec::new(),
            previous: 0,
            learning: 2 * MAX_SHAPES,
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A name that cannot be, a value that does not fit its column. The row then leaves nothing behind.
    pub fn add(&mut self, line: &Line<'_>) -> Result<(), LineError> {
        self.add_row(line).map_err(|message| LineError { line: line.number, message })
    }

    /// Returns the tables that have rows, in order of appearance.
    pub fn into_tables(mut self) -> Vec<TableRows> {
        self.tables.retain(|table| table.rows > 0);
        self.tables
    }

    fn add_row(&mut self, line: &Line<'_>) -> Result<(), String> {
        let index = self.table_index(&line.table)?;
        let (options, now_us) = (self.options, self.now_us);
        self.tables[index].add_row(line, options, now_us)?;
        self.learn(index, line);
        Ok(())
    }

    /// Adds the next line if it looks like one before it; returns whether it did.
    fn add_alike(&mut self, parser: &mut Parser<'_>) -> bool {
        let expected = self.shapes.get(self.previous).map_or(0, |known| known.next);
        for step in 0..self.shapes.len() {
            let at = (expected + step) % self.shapes.len();
            let known = &self.shapes[at];
            let Some(end) = self.tables[known.table].add_alike(known, parser, self.now_us) else { continue };
            parser.pass_line(end);
            self.last = known.table;
            self.learning = (self.learning + 1).min(2 * MAX_SHAPES);
            self.follow(at);
            return true;
        }
        false
    }

    /// Learns the shape of a line that was added to a table.
    fn learn(&mut self, table: usize, line: &Line<'_>) {
        if self.learning == 0 {
            return;
        }
        self.learning -= 1;
        let of = &self.tables[table];
        let Some(shape) = of.columns_of(line).and_then(|columns| Shape::of(line, &columns)) else { return };
        let columns = of.columns.len();
        let absent = (0..columns).filter(|column| !shape.columns().any(|c| c == *column)).collect();
        // what no line fits any more makes room
        let stale = |known: &KnownShape| known.columns != self.tables[known.table].columns.len();
        let at = match self.shapes.iter().position(stale) {
            Some(at) => at,
            None if self.shapes.len() < MAX_SHAPES => self.shapes.len(),
            None => (self.previous + 1) % MAX_SHAPES,
        };
        let known = KnownShape { shape, table, columns, absent, next: at };
        if at < self.shapes.len() {
            self.shapes[at] = known
        } else {
            self.shapes.push(known)
        }
        self.follow(at);
    }

    /// Notes that a line of that shape came.
    fn follow(&mut self, at: usize) {
        self.shapes[self.previous].next = at;
        self.previous = at;
    }

    fn table_index(&mut self, name: &str) -> Result<usize, String> {
        if self.tables.get(self.last).is_some_and(|t| t.name.as_str() == name) {
            return Ok(self.last);
        }
        let folded = name.to_lowercase();
        if let Some(&index) = self.by_name.get(&folded) {
            self.last = index;
            return Ok(index);
        }
        let table = self.open_table(name)?;
        self.last = self.tables.len();
        self.tables.push(table);
        self.by_name.insert(folded, self.last);
        Ok(self.last)
    }

    fn open_table(&self, name: &str) -> Result<TableRows, String> {
        let new_name = TableName::new(name).map_err(|_| format!("table: {name}; invalid table name"))?;
        match (self.find_table)(name) {
            Some((name, schema)) => {
                if self.options.wal_only && !(schema.wal && schema.designated.is_some()) {
                    return Err(format!("table: {name}; cannot insert in non-WAL table"));
                }
                let designated = schema.designated_index().map(|at| schema.columns[at].clone());
                let designated_type = designated.as_ref().map_or(ColumnType::Timestamp, |c| c.column_type);
                Ok(TableRows::new(name, Some(schema), designated.map(|c| c.name), designated_type))
            }
            None if self.options.create_tables => {
                Ok(TableRows::new(new_name, None, Some(DESIGNATED_NAME.to_owned()), self.options.timestamp_type))
            }
            None => Err(format!(
                "table: {name}; table does not exist, creating new tables is disabled [line.auto.create.new.tables]"
            )),
        }
    }
}
