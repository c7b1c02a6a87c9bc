//! Records to columns: [`Gathered`].

use storage::Target;
use types::{Column, ColumnData, RowBatch};
use wire::import::field;
use wire::import::records::Record;

use super::plan::{Placed, Plan};
use super::{Atomicity, ImportError, Options, Report, input};

/// Rows that wait for their commit.
pub struct Gathered {
    columns: Vec<(Placed, ColumnData)>,
    designated: Option<usize>,
    fields: usize,
    rows: usize,
    atomicity: Atomicity,
    skip_extra: bool,
}

impl Gathered {
    /// Returns no rows of the plan's table.
    pub fn new(plan: &Plan, options: &Options) -> Gathered {
        Gathered {
            columns: plan.columns.iter().map(|c| (c.clone(), ColumnData::new(c.column_type))).collect(),
            designated: plan.designated,
            fields: plan.fields,
            rows: 0,
            atomicity: options.atomicity,
            skip_extra: options.skip_extra,
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a record, or counts why not.
    ///
    /// # Errors
    /// A field that is no value of its column, where the import is to end there.
    pub fn add(&mut self, record: &Record, bytes: &[u8], report: &mut Report) -> Result<(), ImportError> {
        report.handled += 1;
        let extra = (self.fields..record.len()).any(|i| record.field(i, bytes).is_some());
        let mut taken = !(extra && self.skip_extra);
        for (i, (column, data)) in self.columns.iter_mut().enumerate() {
            let field = column.field.and_then(|at| record.field(at, bytes));
            let fits = match &field {
                None => {
                    data.push_null();
                    true
                }
                Some(raw) => match std::str::from_utf8(raw) {
                    Ok(text) => field::push(data, column.column_type, &column.format, text),
                    Err(_) => false,
                },
            };
            let fits = fits && (self.designated != Some(i) || is_moment(data));
            if fits {
                continue;
            }
            report.columns[i].errors += 1;
            if self.atomicity == Atomicity::Abort {
                return Err(input(format!("bad syntax [line={}, col={i}]", report.handled)));
            }
            if self.atomicity == Atomicity::SkipRow || self.designated == Some(i) {
                taken = false;
            }
            if data.len() == self.rows {
                data.push_null();
            }
        }
        if taken {
            self.rows += 1;
            report.imported += 1;
        } else {
            self.columns.iter_mut().for_each(|(_, data)| data.truncate(self.rows));
        }
        Ok(())
    }

    /// Returns the rows for their table; they stay here until [`Gathered::clear`].
    ///
    /// # Errors
    /// A column that the table has lost.
    pub fn batch(&self, target: &Target, plan: &Plan) -> Result<RowBatch, ImportError> {
        let ids = target.new_ids();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (i, (column, data)) in self.columns.iter().enumerate() {
            let id = match target {
                Target::Table { schema, .. } => schema.column(&column.name).map(|c| c.id),
                _ => ids.get(i).copied(),
            };
            let lost = || input(format!("column not found [table={}, columnName={}]", plan.name, column.name));
            columns.push(Column { id: id.ok_or_else(lost)?, data: data.clone() });
        }
        RowBatch::new(self.rows, columns).map_err(|e| input(e.to_string()))
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.rows = 0;
        for (column, data) in &mut self.columns {
            *data = ColumnData::new(column.column_type);
        }
    }
}

/// Returns whether the last value can be a designated timestamp.
fn is_moment(data: &ColumnData) -> bool {
    matches!(data, ColumnData::I64(times) if times.last().is_some_and(|&t| t >= 0))
}
