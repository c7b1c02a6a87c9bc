//! Delimited text into a table, by whatever door it comes: [`load`].
//!
//! A sample from the beginning says what the file is; then records are converted and stored in commits of bounded size. A
//! file that fits into one commit makes its table and its rows at once or not at all; of a larger one a failure leaves
//! the commits before it. Reading order: this file, [`schema`] (what the user says about columns), [`plan`] (file columns
//! to table columns), [`rows`] (records to batches).

use std::sync::Arc;

use query::MomentPattern;
use storage::{Database, Target, Write};
use types::{PartitionBy, TableName};
use wire::import::delimiter::{self, Evenness, Unclear};
use wire::import::field::Moments;
use wire::import::records::{Record, Scanner, Step};
use wire::import::sample;

mod plan;
mod rows;
pub mod schema;

use plan::Plan;
use rows::Gathered;
use schema::SchemaColumn;

/// Bytes of a file that are looked at before anything is decided.
const SAMPLE_BYTES: usize = 1 << 20;
/// Longest record: `http.text.roll.buffer.limit`.
const MAX_RECORD_BYTES: usize = 4 << 20;
/// Bytes of a file in one commit, at most.
const COMMIT_BYTES: usize = 32 << 20;
/// Rows in one commit, where the table does not say: `cairo.max.uncommitted.rows`.
const COMMIT_ROWS: usize = 500_000;
/// How often a commit is tried again because others changed the table.
const ATTEMPTS: usize = 5;

/// What happens to a row with a field that is no value of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Atomicity {
    /// The field is NULL.
    #[default]
    SkipColumn,
    SkipRow,
    /// The import ends with an error.
    Abort,
}

/// What is imported, and how.
#[derive(Clone, Default)]
pub struct Options {
    pub table: String,
    /// The table is dropped and made anew, in the commit of the first rows.
    pub overwrite: bool,
    /// A table that does not exist is not made.
    pub no_create: bool,
    pub delimiter: Option<u8>,
    pub force_header: bool,
    /// A row with more fields than there are columns is rejected; else they are ignored.
    pub skip_extra: bool,
    pub atomicity: Atomicity,
    pub partition_by: Option<PartitionBy>,
    pub timestamp: Option<String>,
    /// Pattern of the designated timestamp, and of what else is not read without one.
    pub timestamp_format: Option<String>,
    pub o3_max_lag_us: Option<i64>,
    pub max_uncommitted_rows: Option<u32>,
    pub schema: Vec<SchemaColumn>,
}

/// What became of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnReport {
    pub name: String,
    pub column_type: types::ColumnType,
    /// Fields that were no value of it.
    pub errors: u64,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub table: String,
    pub header: bool,
    pub handled: u64,
    pub imported: u64,
    pub partition_by: Option<PartitionBy>,
    pub timestamp: Option<String>,
    pub warnings: Vec<&'static str>,
    pub columns: Vec<ColumnReport>,
}

/// Why nothing (more) was imported.
#[derive(Debug)]
pub enum ImportError {
    /// The file, or what was said about it.
    Input(String),
    /// The bytes ended before the file did.
    Gone,
    Storage(storage::Error),
}

impl From<storage::Error> for ImportError {
    fn from(error: storage::Error) -> ImportError {
        ImportError::Storage(error)
    }
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportError::Input(why) => f.write_str(why),
            ImportError::Gone => f.write_str("the file ended before its end"),
            ImportError::Storage(error) => error.fmt(f),
        }
    }
}

fn input(why: impl Into<String>) -> ImportError {
    ImportError::Input(why.into())
}

/// A pattern that moments are written in.
struct Written(MomentPattern);

impl Moments for Written {
    fn read_ns(&self, text: &str) -> Option<i128> {
        self.0.read_fine(text).map(|(us, nanos)| i128::from(us) * 1_000 + i128::from(nanos))
    }
}

fn moments(pattern: &str) -> Arc<dyn Moments> {
    Arc::new(Written(MomentPattern::parse(pattern)))
}

/// Returns more of the file, nothing at its end.
pub type Source<'a> = dyn FnMut() -> Result<Option<Vec<u8>>, ImportError> + 'a;

/// Bytes that have come, and whether more do.
struct File<'a> {
    source: &'a mut Source<'a>,
    bytes: Vec<u8>,
    last: bool,
}

impl File<'_> {
    /// Waits for more; returns false at the end.
    fn more(&mut self) -> Result<bool, ImportError> {
        if self.last {
            return Ok(false);
        }
        match (self.source)()? {
            Some(chunk) => self.bytes.extend_from_slice(&chunk),
            None => self.last = true,
        }
        Ok(true)
    }
}

/// Imports a file. Blocks. `heard` is told of the progress: rows handled and imported so far.
///
/// # Errors
/// What is wrong with the file or its table, or what storage refuses.
pub fn load<'a>(
    database: &Database,
    options: &Options,
    source: &'a mut Source<'a>,
    heard: &mut dyn FnMut(&Report) -> Result<(), ImportError>,
) -> Result<Report, ImportError> {
    let name =
        TableName::new(&options.table).map_err(|_| input(format!("invalid table name [table={}]", options.table)))?;
    let mut file = File { source, bytes: Vec::new(), last: false };
    while file.bytes.len() < SAMPLE_BYTES && file.more()? {}
    if file.bytes.starts_with("\u{feff}".as_bytes()) {
        file.bytes.drain(..3);
    }
    if file.last && file.bytes.iter().all(|b| matches!(b, b'\n' | b'\r')) {
        return Ok(Report { table: options.table.clone(), ..Report::default() });
    }
    let delimiter = find_delimiter(options, &file)?;
    let records = sample_records(&file, delimiter);
    if records.len() < 2 && options.force_header {
        return Err(input(format!("not enough lines [table={name}]")));
    }
    let mut plan = Plan::new(database, options, name, &records)?;
    let scanner = Scanner { delimiter };
    let mut report = plan.report(options);
    let mut gathered = Gathered::new(&plan, options);
    let (mut record, mut at, mut committed) = (Record::default(), 0, 0);
    let mut skip = usize::from(plan.header);
    loop {
        match scanner.next(&file.bytes[at..], file.last, &mut record) {
            Step::Record(length) => {
                let bytes = &file.bytes[at..];
                at += length;
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                gathered.add(&record, bytes, &mut report)?;
            }
            Step::Unclosed(length) => {
                at += length;
                report.handled += 1;
                if options.atomicity == Atomicity::Abort {
                    return Err(input(format!("quotes are not closed [line={}]", report.handled)));
                }
            }
            Step::More => {
                file.bytes.drain(..at);
                committed += std::mem::take(&mut at);
                if file.bytes.len() > MAX_RECORD_BYTES + SAMPLE_BYTES {
                    return Err(input(format!("a line is longer than {MAX_RECORD_BYTES} bytes [table={}]", plan.name)));
                }
                if !file.more()? {
                    break;
                }
            }
        }
        if gathered.rows() >= plan.commit_rows || committed + at >= COMMIT_BYTES {
            commit(database, &mut plan, &mut gathered)?;
            heard(&report)?;
            file.bytes.drain(..at);
            (at, committed) = (0, 0);
        }
    }
    commit(database, &mut plan, &mut gathered)?;
    heard(&report)?;
    Ok(report)
}

fn find_delimiter(options: &Options, file: &File<'_>) -> Result<u8, ImportError> {
    if let Some(delimiter) = options.delimiter {
        return Ok(delimiter);
    }
    let evenness = Evenness::default();
    delimiter::detect(&file.bytes, file.last, evenness).map_err(|unclear| match unclear {
        Unclear::TooShort => input(format!("not enough lines [table={}]", options.table)),
        Unclear::Uneven { delimiters, line_lengths, lines } => input(format!(
            "min deviation is too high [delimiterStdDev={delimiters}, delimiterMaxStdDev={}, \
             lineLengthStdDev={line_lengths}, lineLengthMaxStdDev={}, lineCountLimit={}, lineCount={lines}]",
            evenness.delimiters, evenness.line_lengths, evenness.lines
        )),
    })
}

/// Returns the first records as text.
fn sample_records(file: &File<'_>, delimiter: u8) -> Vec<Vec<Option<String>>> {
    let scanner = Scanner { delimiter };
    let (mut record, mut at, mut records) = (Record::default(), 0, Vec::new());
    while records.len() < Evenness::default().lines {
        let Step::Record(length) = scanner.next(&file.bytes[at..], file.last, &mut record) else { break };
        let bytes = &file.bytes[at..];
        let text = |i| record.field(i, bytes).map(|f| String::from_utf8_lossy(&f).into_owned());
        records.push((0..record.len()).map(text).collect());
        at += length;
    }
    records
}

/// Stores what was gathered; the first time the table is made with it, if it has to be.
fn commit(database: &Database, plan: &mut Plan, gathered: &mut Gathered) -> Result<(), ImportError> {
    for attempt in 1.. {
        let target = plan.target();
        if gathered.rows() == 0 && matches!(target, Target::Table { .. }) {
            return Ok(());
        }
        let batch = gathered.batch(&target, plan)?;
        match database.write(vec![Write { target, batch }]) {
            Ok(_) => break,
            Err(storage::Error::Conflict(_)) if attempt < ATTEMPTS => plan.look_again(database)?,
            Err(error) => return Err(error.into()),
        }
    }
    gathered.clear();
    plan.look_again(database)
}

/// Returns the guess about a sample; a file for a table that is there has a header where it names the table's columns.
fn guess(records: &[Vec<Option<String>>], forced: bool, table: Option<&types::Schema>) -> sample::Guessed {
    let names = |schema: &types::Schema| {
        let head = records.first().map(Vec::as_slice).unwrap_or_default();
        let named = |field: &Option<String>| field.as_ref().is_some_and(|text| schema.column(text).is_some());
        !head.is_empty() && head.iter().all(named)
    };
    sample::guess(records, forced || table.is_some_and(names))
}
