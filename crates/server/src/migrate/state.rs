//! What an import has done, in files to which a line is added after each page: [`State`].
//!
//! Each run begins a file of its own (`FILE`, `FILE.1`, …) and reads those of the runs before it. A line that was cut
//! short by a crash is not counted; its page is recognised by its rows when it comes again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use storage::env::fs::write_all_at;
use storage::env::{Fs, FsFile};

/// What is done of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Where the next page begins: microseconds (nanoseconds) of the designated timestamp, or rows. `None`: the table is
    /// not made yet.
    pub next: Option<i64>,
    pub rows: u64,
    /// Sum of the fingerprints of all rows.
    pub fingerprint: u128,
    /// Compared at the end, and equal.
    pub done: bool,
}

/// The file.
pub struct State {
    path: PathBuf,
    source: String,
    file: Box<dyn FsFile>,
    length: u64,
    tables: HashMap<String, Progress>,
}

impl State {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// A file of another source, or one that cannot be read or made.
    pub fn open(fs: Arc<dyn Fs>, path: &Path, source: &str) -> Result<State, String> {
        let mut text = String::new();
        for run in 0.. {
            let path = match run {
                0 => path.to_owned(),
                run => PathBuf::from(format!("{}.{run}", path.display())),
            };
            let wrong = |e: io::Error| format!("cannot use {}: {e}", path.display());
            match fs.create_new(&path) {
                Ok(file) => return State::read(path, source, file, &text),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let bytes = fs.read(&path).map_err(wrong)?;
                    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
                    text.push_str(&String::from_utf8_lossy(&bytes[..whole]));
                }
                Err(error) => return Err(wrong(error)),
            }
        }
        unreachable!("some number is free")
    }

    /// Takes over what earlier runs have written.
    fn read(path: PathBuf, source: &str, file: Box<dyn FsFile>, text: &str) -> Result<State, String> {
        let mut tables = HashMap::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).map_err(|e| format!("{}: {e}", path.display()))?;
            if line["source"].as_str() != Some(source) {
                let other = &line["source"];
                return Err(format!(
                    "{} is the state of an import from {other}; choose another --state",
                    path.display()
                ));
            }
            let fingerprint = line["fingerprint"].as_str().and_then(|hex| u128::from_str_radix(hex, 16).ok());
            let progress = Progress {
                next: line["next"].as_i64(),
                rows: line["rows"].as_u64().unwrap_or(0),
                fingerprint: fingerprint.unwrap_or(0),
                done: line["done"].as_bool().unwrap_or(false),
            };
            tables.insert(line["table"].as_str().unwrap_or("").to_owned(), progress);
        }
        Ok(State { path, source: source.to_owned(), file, length: 0, tables })
    }

    /// Returns what is done of a table.
    pub fn of(&self, table: &str) -> Progress {
        self.tables.get(table).copied().unwrap_or_default()
    }

    /// Returns how many of some tables are done.
    pub fn done<'a>(&self, tables: impl Iterator<Item = &'a str>) -> usize {
        tables.filter(|table| self.of(table).done).count()
    }

    /// Keeps what is done of a table. Durable on return.
    pub fn keep(&mut self, table: &str, progress: Progress) -> Result<(), String> {
        let line = json!({
            "source": self.source,
            "table": table,
            "next": progress.next,
            "rows": progress.rows,
            "fingerprint": format!("{:x}", progress.fingerprint),
            "done": progress.done,
        });
        let line = format!("{line}\n");
        let written = write_all_at(self.file.as_ref(), self.length, line.as_bytes()).and_then(|()| self.file.sync());
        written.map_err(|e| format!("cannot write {}: {e}", self.path.display()))?;
        self.length += line.len() as u64;
        self.tables.insert(table.to_owned(), progress);
        Ok(())
    }
}
