//! The rows of one table as lines bring them: [`TableRows`] finds or lists the column of each field and converts its value.
//!
//! Knows one table only. Which table a line is for, and the shapes of lines, are for [`super::Rows`].

use std::collections::HashMap;
use std::sync::Arc;

use types::{Column, ColumnData, ColumnId, ColumnType, Invalid, RowBatch, Schema, TableName};

use super::{DESIGNATED_NAME, KnownShape, Options};
use crate::ilp::convert;
use crate::ilp::line::{Field, Line, Parser};
use crate::ilp::names::is_column_name;
use crate::ilp::shape;
use crate::ilp::value::{Moment, Unit, Value};

/// The last microsecond of the year 9999: no designated timestamp may be later.
const MAX_DESIGNATED_US: i64 = 253_402_300_799_999_999;

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
pub(super) struct Gathered {
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
    pub(super) rows: usize,
    pub(super) columns: Vec<Gathered>,
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

impl shape::Columns for Vec<Gathered> {
    fn column(&mut self, index: usize) -> (ColumnType, &mut ColumnData) {
        let column = &mut self[index];
        (column.column_type, &mut column.data)
    }
}

impl TableRows {
    pub(super) fn new(
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

    /// Adds a row; one that cannot be taken leaves nothing behind.
    pub(super) fn add_row(&mut self, line: &Line<'_>, options: Options, now_us: i64) -> Result<(), String> {
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
    pub(super) fn columns_of(&self, line: &Line<'_>) -> Option<Vec<usize>> {
        line.fields.iter().enumerate().map(|(i, field)| self.expected(i, field)).collect()
    }

    /// Adds the next line if it has the shape; returns where it ends.
    pub(super) fn add_alike(&mut self, known: &KnownShape, parser: &Parser<'_>, now_us: i64) -> Option<usize> {
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
