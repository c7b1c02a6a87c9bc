//! Which field of a record goes to which column of which table: [`Plan`].

use std::sync::Arc;

use storage::{Database, NewColumn, NewTable, Target};
use types::{ColumnDef, ColumnType, PartitionBy, Schema, TableId, TableName};
use wire::import::field::Format;
use wire::import::sample::Guess;

use super::{COMMIT_ROWS, ColumnReport, ImportError, Options, Report, guess, input, moments};

/// One column of the table.
#[derive(Clone)]
pub struct Placed {
    pub name: String,
    pub column_type: ColumnType,
    pub format: Format,
    /// Position of its field; `None`: the file does not have it.
    pub field: Option<usize>,
}

/// Where the rows of a file go.
pub struct Plan {
    pub name: TableName,
    pub header: bool,
    /// Fields of a record that mean something.
    pub fields: usize,
    pub columns: Vec<Placed>,
    /// Position in `columns`.
    pub designated: Option<usize>,
    pub commit_rows: usize,
    /// `None` until the table is made.
    table: Option<(TableId, Arc<Schema>)>,
    /// The table that goes when this one is made.
    replaced: Option<TableId>,
    new: Option<NewTable>,
}

impl Plan {
    /// Decides on a sample.
    ///
    /// # Errors
    /// What does not fit: the file and its table, or the file and what was said about it.
    pub fn new(
        database: &Database,
        options: &Options,
        name: TableName,
        records: &[Vec<Option<String>>],
    ) -> Result<Plan, ImportError> {
        let view = database.view();
        let known = view.table(name.as_str());
        if known.is_none() && options.no_create {
            return Err(input(format!("table does not exist [table={name}] and create param was set to false.")));
        }
        match known {
            Some(table) if !options.overwrite => {
                let (id, schema) = (table.id(), table.schema().clone());
                Plan::for_table(options, table.name().clone(), id, schema, records)
            }
            known => Plan::for_new_table(options, name, known.map(|table| table.id()), records),
        }
    }

    fn for_table(
        options: &Options,
        name: TableName,
        id: TableId,
        schema: Arc<Schema>,
        records: &[Vec<Option<String>>],
    ) -> Result<Plan, ImportError> {
        let guessed = guess(records, options.force_header, Some(&schema));
        let (in_file, in_table) = (guessed.columns.len(), schema.columns.len());
        if in_file > in_table {
            return Err(input(format!(
                "column count mismatch [textColumnCount={in_file}, tableColumnCount={in_table}, table={name}]"
            )));
        }
        let head = records.first().map(Vec::as_slice).unwrap_or_default();
        let mut columns: Vec<Placed> = schema.columns.iter().map(|c| placed(options, c)).collect::<Result<_, _>>()?;
        for (i, guess) in guessed.columns.iter().enumerate() {
            let at = match guessed.header {
                true => {
                    let text = head.get(i).and_then(Option::as_deref).unwrap_or("");
                    let found = schema.index_of(text.trim_start_matches('\u{feff}'));
                    found
                        .or_else(|| schema.index_of(&guess.name))
                        .ok_or_else(|| input(format!("column not found [table={name}, columnName={text}]")))?
                }
                false => i,
            };
            if columns[at].column_type == ColumnType::Binary {
                return Err(input(format!("cannot import text into BINARY column [index={i}]")));
            }
            columns[at].field = Some(i);
            columns[at].format.day_first |= guess.day_first;
        }
        let designated = schema.designated_index();
        if designated.is_some_and(|at| columns[at].field.is_none()) {
            let column = designated.map_or("", |at| columns[at].name.as_str());
            return Err(input(format!("the file has no column for the designated timestamp '{column}'")));
        }
        let commit_rows = schema.max_uncommitted_rows.map_or(COMMIT_ROWS, |rows| rows.max(1) as usize);
        Ok(Plan {
            name,
            header: guessed.header,
            fields: in_file,
            columns,
            designated,
            commit_rows,
            table: Some((id, schema)),
            replaced: None,
            new: None,
        })
    }

    fn for_new_table(
        options: &Options,
        name: TableName,
        replaced: Option<TableId>,
        records: &[Vec<Option<String>>],
    ) -> Result<Plan, ImportError> {
        if records.len() < 2 {
            return Err(input(format!("not enough lines [table={name}]")));
        }
        let guessed = guess(records, options.force_header, None);
        let mut columns = Vec::with_capacity(guessed.columns.len());
        for (i, guess) in guessed.columns.iter().enumerate() {
            columns.push(column_of_guess(options, i, guess));
            let earlier = columns[..i].iter().any(|c: &Placed| c.name.eq_ignore_ascii_case(&guess.name));
            if earlier {
                return Err(input(format!("duplicate column name found [no={i},name={}]", guess.name)));
            }
        }
        let designated = match &options.timestamp {
            None => None,
            Some(wanted) => {
                let at = columns.iter().position(|c| c.name.eq_ignore_ascii_case(wanted));
                let at = at.ok_or_else(|| input(format!("invalid timestamp column '{wanted}'")))?;
                let column = &mut columns[at];
                let said = options.schema.iter().any(|s| s.name.eq_ignore_ascii_case(wanted));
                if let Some(format) = options.timestamp_format.as_ref().filter(|_| !said) {
                    column.column_type = ColumnType::Timestamp;
                    column.format.moments = Some(moments(format));
                } else if column.column_type == ColumnType::Date && !said {
                    // a whole day is a moment too
                    column.column_type = ColumnType::Timestamp;
                }
                if !matches!(column.column_type, ColumnType::Timestamp | ColumnType::TimestampNs) {
                    return Err(input(format!("not a timestamp '{wanted}'")));
                }
                Some(at)
            }
        };
        let new_columns = columns.iter().map(|c| NewColumn::new(&c.name, c.column_type)).collect();
        let partition_by = options.partition_by.unwrap_or(PartitionBy::None);
        let new = NewTable {
            max_uncommitted_rows: options.max_uncommitted_rows,
            o3_max_lag_us: options.o3_max_lag_us,
            wal: partition_by != PartitionBy::None,
            ..NewTable::new(name.clone(), new_columns, designated, partition_by)
        };
        let commit_rows = options.max_uncommitted_rows.map_or(COMMIT_ROWS, |rows| rows.max(1) as usize);
        Ok(Plan {
            name,
            header: guessed.header,
            fields: columns.len(),
            columns,
            designated,
            commit_rows,
            table: None,
            replaced,
            new: Some(new),
        })
    }

    /// Returns a report of nothing yet.
    pub fn report(&self, options: &Options) -> Report {
        let (partition_by, timestamp) = match (&self.table, &self.new) {
            (Some((_, schema)), _) => {
                (schema.partition_by, schema.designated_index().map(|at| schema.columns[at].name.clone()))
            }
            (None, Some(new)) => (new.partition_by, new.designated.map(|at| new.columns[at].name.clone())),
            (None, None) => (PartitionBy::None, None),
        };
        let mut warnings = Vec::new();
        if self.table.is_some() {
            let asked = options.timestamp.as_deref();
            if asked.is_some_and(|a| !timestamp.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(a))) {
                warnings.push("Existing table timestamp column is used");
            }
            if options.partition_by.is_some_and(|asked| asked != partition_by) {
                warnings.push("Existing table PartitionBy is used");
            }
        }
        let columns = self.columns.iter();
        Report {
            table: self.name.to_string(),
            header: self.header,
            partition_by: Some(partition_by),
            timestamp,
            warnings,
            columns: columns
                .map(|c| ColumnReport { name: c.name.clone(), column_type: c.column_type, errors: 0 })
                .collect(),
            ..Report::default()
        }
    }

    /// Returns where the next rows are written.
    pub fn target(&self) -> Target {
        match (&self.table, &self.new) {
            (Some((id, schema)), _) => {
                Target::Table { id: *id, name: self.name.clone(), schema: schema.clone(), new_columns: Vec::new() }
            }
            (None, Some(new)) => match self.replaced {
                Some(id) => Target::Instead { id, new: new.clone() },
                None => Target::New(new.clone()),
            },
            (None, None) => unreachable!("a plan has a table or makes one"),
        }
    }

    /// Takes the table as it is now.
    ///
    /// # Errors
    /// It is gone, or a column of the file is.
    pub fn look_again(&mut self, database: &Database) -> Result<(), ImportError> {
        let gone = || input(format!("table was changed while its file was imported [table={}]", self.name));
        let Some(table) = database.view().table(self.name.as_str()) else {
            return if self.table.is_none() { Ok(()) } else { Err(gone()) };
        };
        let schema = table.schema().clone();
        let same = |column: &Placed| schema.column(&column.name).is_some_and(|c| c.column_type == column.column_type);
        if !self.columns.iter().all(same) {
            return Err(gone());
        }
        self.table = Some((table.id(), schema));
        Ok(())
    }
}

/// Returns the place of a column of a table that is there; its field is found later.
fn placed(options: &Options, column: &ColumnDef) -> Result<Placed, ImportError> {
    let mut format = Format::default();
    if let Some(said) = options.schema.iter().find(|s| s.name.eq_ignore_ascii_case(&column.name)) {
        format.moments = said.pattern.as_deref().map(moments);
    } else if let Some(pattern) = options.timestamp_format.as_ref()
        && options.timestamp.as_ref().is_some_and(|t| t.eq_ignore_ascii_case(&column.name))
    {
        format.moments = Some(moments(pattern));
    }
    Ok(Placed { name: column.name.clone(), column_type: column.column_type, format, field: None })
}

fn column_of_guess(options: &Options, field: usize, guess: &Guess) -> Placed {
    let said = options.schema.iter().find(|s| s.name.eq_ignore_ascii_case(&guess.name));
    let format = Format {
        moments: said.and_then(|s| s.pattern.as_deref()).map(moments),
        day_first: guess.day_first && said.is_none(),
    };
    let column_type = said.map_or(guess.column_type, |s| s.column_type);
    Placed { name: guess.name.clone(), column_type, format, field: Some(field) }
}
