//! COPY … FROM: files of the server's own into tables, one at a time, in the background ([`Files`]).
//!
//! Only files below the root of imports are read. What becomes of an import is told in the table `sys.text_import_log`, as
//! in the peer. Read next: [`crate::import`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use query::{Copies, CopyErrors, CopyFrom, SqlError};
use storage::env::Env;
use storage::{Database, NewColumn, NewTable, Target, Write};
use tokio::runtime::Handle;
use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, StrColumn, SymbolColumn, TableName};

use crate::import::{self, Atomicity, ImportError, Options, Report};

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;
const LOG_TABLE: &str = "sys.text_import_log";

/// An import under way.
struct Running {
    id: String,
    cancelled: Arc<AtomicBool>,
}

/// Carries COPY out.
pub struct Files {
    database: Arc<Database>,
    env: Env,
    /// `cairo.sql.copy.root`; `None`: COPY is switched off.
    root: Option<PathBuf>,
    threads: Handle,
    running: Arc<Mutex<Option<Running>>>,
}

impl Files {
    /// Returns who imports files below a root.
    pub fn new(database: Arc<Database>, env: Env, root: Option<PathBuf>, threads: Handle) -> Files {
        Files { database, env, root, threads, running: Arc::default() }
    }

    fn path(&self, copy: &CopyFrom) -> Result<PathBuf, SqlError> {
        let wrong = |why: &str| SqlError::new(copy.file_position, why);
        let root = self.root.as_ref().ok_or_else(|| wrong("COPY is disabled ['cairo.sql.copy.root' is not set?]"))?;
        let file = Path::new(&copy.file);
        if copy.file.split('/').any(|part| part == "..") {
            return Err(wrong("'.' is not allowed"));
        }
        if file.is_absolute() {
            return Err(wrong("the file must be named relative to the root of imports [cairo.sql.copy.root]"));
        }
        Ok(root.join(file))
    }
}

impl Copies for Files {
    fn start(&self, copy: CopyFrom) -> Result<String, SqlError> {
        let path = self.path(&copy)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = running.as_ref() {
            let why = format!(
                "unable to process the import request - another import may be in progress [activeImportId={}]",
                other.id
            );
            return Err(SqlError::new(0, why));
        }
        let id = format!("{:016x}", self.env.rng.next_u64());
        let cancelled = Arc::new(AtomicBool::new(false));
        *running = Some(Running { id: id.clone(), cancelled: cancelled.clone() });
        drop(running);
        let work = Work {
            database: self.database.clone(),
            env: self.env.clone(),
            root: self.root.clone().unwrap_or_default(),
            path,
            id: id.clone(),
            copy,
            cancelled,
        };
        let running = self.running.clone();
        self.threads.spawn_blocking(move || {
            // also when the work panics
            let _done = Done(running);
            work.run();
        });
        Ok(id)
    }

    fn cancel(&self, id: &str) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let found = running.as_ref().filter(|running| running.id == id);
        found.map(|running| running.cancelled.store(true, Ordering::Relaxed)).is_some()
    }
}

/// Lets the next import begin.
struct Done(Arc<Mutex<Option<Running>>>);

impl Drop for Done {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One import.
struct Work {
    database: Arc<Database>,
    env: Env,
    root: PathBuf,
    path: PathBuf,
    id: String,
    copy: CopyFrom,
    cancelled: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) {
        self.tell("started", None, None);
        match self.import() {
            Ok(report) => self.tell("finished", None, Some(&report)),
            Err(_) if self.cancelled.load(Ordering::Relaxed) => {
                self.tell("cancelled", Some("import was cancelled"), None)
            }
            Err(error) => self.tell("failed", Some(&error.to_string()), None),
        }
    }

    fn import(&self) -> Result<Report, ImportError> {
        let fs = self.env.fs.as_ref();
        let unreadable =
            |e: std::io::Error| ImportError::Input(format!("could not open read-only [file={}]: {e}", self.copy.file));
        // a link must not lead out of the root
        let inside = self.path.canonicalize().map_err(unreadable)?;
        if !inside.starts_with(self.root.canonicalize().map_err(unreadable)?) {
            return Err(ImportError::Input(format!(
                "the file lies outside the root of imports [file={}]",
                self.copy.file
            )));
        }
        self.refuse_to_import_twice()?;
        let file = fs.open(&inside).map_err(unreadable)?;
        let length = file.len_bytes().map_err(unreadable)?;
        let mut at = 0;
        let mut source = || {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(ImportError::Gone);
            }
            let mut bytes = vec![0; READ_BYTES.min((length - at) as usize)];
            let read = file.read_at(at, &mut bytes).map_err(unreadable)?;
            bytes.truncate(read);
            at += read as u64;
            Ok((read > 0).then_some(bytes))
        };
        import::load(&self.database, &self.options(), &mut source, &mut |_| Ok(()))
    }

    /// Who sends a COPY again, since no answer came, must not have all rows twice.
    fn refuse_to_import_twice(&self) -> Result<(), ImportError> {
        let Some(table) = self.database.view().table(&self.copy.table) else { return Ok(()) };
        let is_partitioned = table.schema().partition_by != PartitionBy::None;
        let rows = if is_partitioned { table.row_count().map_err(ImportError::Storage)? } else { 0 };
        match rows {
            0 => Ok(()),
            _ => Err(ImportError::Input(format!("target table must be empty [table={}]", self.copy.table))),
        }
    }

    fn options(&self) -> Options {
        let copy = &self.copy;
        Options {
            table: copy.table.clone(),
            delimiter: copy.delimiter,
            force_header: copy.header,
            atomicity: match copy.on_error {
                CopyErrors::SkipColumn => Atomicity::SkipColumn,
                CopyErrors::SkipRow => Atomicity::SkipRow,
                CopyErrors::Abort => Atomicity::Abort,
            },
            partition_by: copy.partition_by,
            timestamp: copy.timestamp.clone(),
            timestamp_format: copy.format.clone(),
            ..Options::default()
        }
    }

    /// Adds a line to the log of imports.
    fn tell(&self, status: &str, message: Option<&str>, report: Option<&Report>) {
        tracing::info!(id = self.id, file = self.copy.file, status, message, "copy");
        if let Err(error) = self.log(status, message, report) {
            tracing::error!(id = self.id, %error, "copy: cannot write {LOG_TABLE}");
        }
    }

    fn log(&self, status: &str, message: Option<&str>, report: Option<&Report>) -> storage::Result<()> {
        let symbol = |text: Option<&str>| {
            let mut column = SymbolColumn::default();
            column.push(text);
            ColumnData::Symbol(column)
        };
        let text = |text: Option<&str>| {
            let mut column = StrColumn::default();
            column.push(text);
            ColumnData::Str(column)
        };
        let count = |count: Option<u64>| ColumnData::I64(vec![count.map_or(i64::MIN, |n| n as i64)]);
        let errors = report.map_or(0, |r| r.columns.iter().map(|c| c.errors).sum());
        let columns = [
            ("ts", ColumnType::Timestamp, ColumnData::I64(vec![self.env.clock.now_us()])),
            ("id", ColumnType::Varchar, text(Some(&self.id))),
            ("table_name", ColumnType::Symbol, symbol(Some(&self.copy.table))),
            ("file", ColumnType::Symbol, symbol(Some(&self.copy.file))),
            ("phase", ColumnType::Symbol, symbol(None)),
            ("status", ColumnType::Symbol, symbol(Some(status))),
            ("message", ColumnType::Varchar, text(message)),
            ("rows_handled", ColumnType::Long, count(report.map(|r| r.handled))),
            ("rows_imported", ColumnType::Long, count(report.map(|r| r.imported))),
            ("errors", ColumnType::Long, count(Some(errors))),
        ];
        let name = TableName::new(LOG_TABLE).map_err(|e| storage::Error::Invalid(e.to_string()))?;
        let target = match self.database.view().table(LOG_TABLE) {
            Some(table) => {
                let schema = table.schema().clone();
                Target::Table { id: table.id(), name, schema, new_columns: Vec::new() }
            }
            None => {
                let new = columns.iter().map(|(name, column_type, _)| NewColumn::new(name, *column_type)).collect();
                Target::New(NewTable::new(name, new, Some(0), PartitionBy::Day))
            }
        };
        let ids = target.new_ids();
        let mut batch = Vec::with_capacity(columns.len());
        for (i, (name, _, data)) in columns.into_iter().enumerate() {
            let id = match &target {
                Target::Table { schema, .. } => schema.column(name).map(|c| c.id),
                _ => ids.get(i).copied(),
            };
            let lost = || storage::Error::Invalid(format!("{LOG_TABLE} has no column {name}"));
            batch.push(Column { id: id.ok_or_else(lost)?, data });
        }
        let batch = RowBatch::new(1, batch).map_err(|e| storage::Error::Invalid(e.to_string()))?;
        self.database.write(vec![Write { target, batch }]).map(drop)
    }
}
