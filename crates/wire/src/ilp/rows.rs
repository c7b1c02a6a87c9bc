//! Lines to columns: [`Rows`] gathers the rows of a request per table and converts each value to its column's type.
//!
//! Nothing is created here. A table or column that does not exist yet is listed in [`TableRows::new_columns`]; the
//! server makes it once the whole request has proved good, and then asks for the batch with [`TableRows::into_batch`].

use std::collections::HashMap;
use std::sync::Arc;

use types::{Column, ColumnData, ColumnId, ColumnType, Invalid, PartitionBy, RowBatch, Schema, TableName};

use super::line::{Field, Line, Parser};
use super::names::is_column_name;
use super::shape::{self, Shape};
use super::value::{Moment, Unit, Value};
use super::{LineError, convert};

/// The last microsecond of the year 9999: no designated timestamp may be later.
const MAX_DESIGNATED_US: i64 = 253_402_300_799_999_999;
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

/// A column that has to be made first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    pub name: String,
    pub column_type: ColumnType,
}

/// Where a gathered column goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Existing(ColumnId),
    /// Position in [`TableRows::new_columns`].
    New(usize),
}

#[derive(Debug)]
struct Gathered {
    /// As the last line spelled it.
    spelling: String,
    target: Target,
    column_type: ColumnType,
    data: ColumnData,
}

/// The rows of one table.
#[derive(Debug)]
pub struct TableRows {
    /// The existing table's spelling, or that of the first line.
    pub name: TableName,
    /// `None`: there is no such table yet.
    pub schema: Option<Arc<Schema>>,
    /// Columns to be made, in order: those that the table lacks, or all of them for a new table.
    pub new_columns: Vec<NewColumn>,
    /// Where the designated timestamp stands in `new_columns`, for a new table.
    pub new_designated: Option<usize>,
    rows: usize,
    columns: Vec<Gathered>,
    by_name: HashMap<String, usize>,
    /// Which column the i-th field of the last line was: the next line is likely to look alike.
    order: Vec<usize>,
    /// `None`: an existing table without a designated timestamp.
    designated_name: Option<String>,
    /// In the unit of its type.
    designated: Vec<i64>,
    /// TIMESTAMP or TIMESTAMP_NS.
    designated_type: ColumnType,
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

impl shape::Columns for Vec<Gathered> {
    fn column(&mut self, index: usize) -> (ColumnType, &mut ColumnData) {
        let column = &mut self[index];
        (column.column_type, &mut column.data)
    }
}

impl TableRows {
    fn new(
        name: TableName,
        schema: Option<Arc<Schema>>,
        designated_name: Option<String>,
        designated_type: ColumnType,
    ) -> TableRows {
        TableRows {
            name,
            schema,
            new_columns: Vec::new(),
            new_designated: None,
            rows: 0,
            columns: Vec::new(),
            by_name: HashMap::new(),
            order: Vec::new(),
            designated_name,
            designated: Vec::new(),
            designated_type,
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the rows as a batch, given the ids of `new_columns` in their order.
    ///
    /// # Errors
    /// Fewer ids than new columns, or one id twice.
    pub fn into_batch(self, new_ids: &[ColumnId]) -> Result<RowBatch, Invalid> {
        let name = &self.name;
        let new_id = |position: usize| {
            let missing = || Invalid(format!("table {name}: new column {position} has no id"));
            new_ids.get(position).copied().ok_or_else(missing)
        };
        let designated_id = match (&self.schema, self.new_designated) {
            (None, Some(position)) => Some(new_id(position)?),
            (Some(schema), _) => schema.designated,
            (None, None) => return Err(Invalid(format!("table {name}: no rows"))),
        };
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        columns.extend(designated_id.map(|id| Column { id, data: ColumnData::I64(self.designated) }));
        for gathered in self.columns {
            let id = match gathered.target {
                Target::Existing(id) => id,
                Target::New(position) => new_id(position)?,
            };
            columns.push(Column { id, data: gathered.data });
        }
        RowBatch::new(self.rows, columns)
    }

    fn add_row(&mut self, line: &Line<'_>, options: Options, now_us: i64) -> Result<(), String> {
        let (columns, new_columns, new_designated) = (self.columns.len(), self.new_columns.len(), self.new_designated);
        let read = self.read_row(line, options, now_us);
        if read.is_err() {
            if self.columns.len() > columns {
                self.columns.truncate(columns);
                self.by_name.retain(|_, index| *index < columns);
            }
            self.new_columns.truncate(new_columns);
            self.new_designated = new_designated;
            for column in &mut self.columns {
                column.data.truncate(self.rows);
            }
        }
        read
    }

    fn read_row(&mut self, line: &Line<'_>, options: Options, now_us: i64) -> Result<(), String> {
        let row = self.rows;
        let mut designated = None;
        for (i, field) in line.fields.iter().enumerate() {
            let index = match self.expected(i, field) {
                Some(index) => index,
                None if self.designated_name.as_ref().is_some_and(|name| field.name.eq_ignore_ascii_case(name)) => {
                    let count = self.designated_field(field)?;
                    designated.get_or_insert(count);
                    continue;
                }
                None => self.column_index(i, field, options)?,
            };
            let column = &mut self.columns[index];
            // the first of two values with one name counts
            if column.data.len() == row {
                convert::push(&mut column.data, column.column_type, field)
                    .map_err(|why| format!("table: {}, column: {}; {why}", self.name, field.name))?;
            }
        }
        if self.schema.is_none() && self.new_designated.is_none() {
            if line.says_nanos {
                self.designated_type = ColumnType::TimestampNs;
            }
            self.add_new_designated(DESIGNATED_NAME);
        }
        let count = match (designated, line.timestamp) {
            (Some(count), _) => count,
            (None, Some(moment)) => self.check_designated(moment)?,
            (None, None) => self.check_designated(Moment { count: now_us, unit: Unit::Micros })?,
        };
        self.designated.push(count);
        self.rows += 1;
        for column in &mut self.columns {
            column.data.pad(self.rows);
        }
        Ok(())
    }

    /// Returns the columns that the fields of the line that was added last went to; `None` when one was the designated
    /// timestamp.
    fn columns_of(&self, line: &Line<'_>) -> Option<Vec<usize>> {
        line.fields.iter().enumerate().map(|(i, field)| self.expected(i, field)).collect()
    }

    /// Adds the next line if it has the shape; returns where it ends.
    fn add_alike(&mut self, known: &KnownShape, parser: &Parser<'_>, now_us: i64) -> Option<usize> {
        if known.columns != self.columns.len() {
            return None;
        }
        let read = known.shape.read(parser, &mut self.columns).and_then(|(moment, end)| {
            let moment = moment.unwrap_or(Moment { count: now_us, unit: Unit::Micros });
            self.check_designated(moment).ok().map(|count| (count, end))
        });
        let Some((count, end)) = read else {
            for column in known.shape.columns() {
                self.columns[column].data.truncate(self.rows);
            }
            return None;
        };
        self.designated.push(count);
        self.rows += 1;
        for &column in &known.absent {
            self.columns[column].data.push_null();
        }
        Some(end)
    }

    /// Returns the column that the field was in the last line, if it has the same name.
    fn expected(&self, i: usize, field: &Field<'_>) -> Option<usize> {
        let index = *self.order.get(i)?;
        self.columns.get(index).is_some_and(|c| c.spelling == field.name).then_some(index)
    }

    fn column_index(&mut self, i: usize, field: &Field<'_>, options: Options) -> Result<usize, String> {
        let folded = field.name.to_lowercase();
        let index = match self.by_name.get(&folded) {
            Some(&index) => {
                field.name.as_ref().clone_into(&mut self.columns[index].spelling);
                index
            }
            None => {
                let (target, column_type) = self.resolve(field, options)?;
                let mut data = ColumnData::new(column_type);
                data.pad(self.rows);
                self.columns.push(Gathered { spelling: field.name.to_string(), target, column_type, data });
                self.by_name.insert(folded, self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        if self.order.len() <= i {
            self.order.resize(i + 1, usize::MAX);
        }
        self.order[i] = index;
        Ok(index)
    }

    /// Finds the field's column in the schema, or lists it as a new one.
    fn resolve(&mut self, field: &Field<'_>, options: Options) -> Result<(Target, ColumnType), String> {
        if let Some(column) = self.schema.as_ref().and_then(|s| s.column(&field.name)) {
            return Ok((Target::Existing(column.id), column.column_type));
        }
        let (table, name) = (&self.name, &field.name);
        if !is_column_name(name) {
            return Err(format!("table: {table}; invalid column name: {name}"));
        }
        if self.schema.is_some() && !options.create_columns {
            return Err(format!(
                "table: {table}, column: {name}; column does not exist, creating new columns is disabled \
                 [line.auto.create.new.columns]"
            ));
        }
        let column_type = match field.value {
            Value::Tag => ColumnType::Symbol,
            Value::Boolean(_) => ColumnType::Boolean,
            Value::Integer(_) => options.integer_type,
            Value::Float(_) => options.float_type,
            Value::Text => options.text_type,
            Value::Timestamp(Moment { unit: Unit::Nanos, .. }) => ColumnType::TimestampNs,
            Value::Timestamp(_) => ColumnType::Timestamp,
            Value::Null => return Err(format!("table: {table}; invalid column type: {name}")),
            Value::Long256 => ColumnType::Long256,
            Value::Decimal | Value::BinaryDecimal { .. } => {
                return Err(format!("table: {table}; decimal columns must be created manually: {name}"));
            }
            Value::Array { dimensions } => ColumnType::Array(dimensions),
        };
        self.new_columns.push(NewColumn { name: name.to_string(), column_type });
        Ok((Target::New(self.new_columns.len() - 1), column_type))
    }

    /// Returns the moment that a field with the designated timestamp's name holds; it wins over the trailing one.
    fn designated_field(&mut self, field: &Field<'_>) -> Result<i64, String> {
        let Value::Timestamp(moment) = field.value else {
            return Err(format!(
                "table: {}, column: {}; cast error from protocol type: {} to column type: {}",
                self.name,
                field.name,
                field.value.kind(),
                self.designated_type
            ));
        };
        if self.schema.is_none() && self.new_designated.is_none() {
            self.add_new_designated(&field.name);
        }
        self.check_designated(moment)
    }

    fn add_new_designated(&mut self, name: &str) {
        self.new_designated = Some(self.new_columns.len());
        self.new_columns.push(NewColumn { name: name.to_owned(), column_type: self.designated_type });
    }

    /// Returns a designated timestamp in the column's unit.
    fn check_designated(&self, moment: Moment) -> Result<i64, String> {
        let us = moment.micros();
        let count = match self.designated_type {
            ColumnType::TimestampNs => moment.nanos(),
            _ => us,
        };
        let rule = match (us, count) {
            (Some(us), Some(count)) if (0..=MAX_DESIGNATED_US).contains(&us) => return Ok(count),
            (Some(us), _) if us < 0 => "designated timestamp before 1970-01-01 is not allowed",
            (None, _) if moment.count < 0 => "designated timestamp before 1970-01-01 is not allowed",
            (Some(us), None) if us <= MAX_DESIGNATED_US => "designated timestamp does not fit TIMESTAMP_NS",
            _ => "designated timestamp beyond 9999-12-31 is not allowed",
        };
        Err(format!("table: {}, timestamp: {}; {rule}", self.name, moment.count))
    }
}
