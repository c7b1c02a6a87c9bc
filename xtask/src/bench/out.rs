//! Many rows out: JSON, CSV and Parquet over HTTP, PostgreSQL's protocol in text and in binary.
//!
//! The client only counts what comes. The first thousand rows of a format are compared between the servers, and the
//! number of rows each time.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use super::options::Part;
use super::peers::{Peers, Running, System};
use super::process::Memory;
use super::table::{Cell, Row, Table};
use super::{Bench, report};
use crate::Result;
use crate::http::encode;

const MOST_ROWS: u64 = 10_000_000;
const ROUNDS: u64 = 3;
/// Memory of the server is looked at after so many bytes.
const LOOK_BYTES: u64 = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Parquet,
    PgText,
    PgBinary,
}

const FORMATS: [(Format, &str); 5] = [
    (Format::Json, "JSON"),
    (Format::Csv, "CSV"),
    (Format::Parquet, "Parquet"),
    (Format::PgText, "PGWire, text"),
    (Format::PgBinary, "PGWire, binary"),
];

/// What one answer was.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    ms: f64,
    cpu_ms: f64,
    bytes: u64,
    own_mb: u64,
}

/// Sends the rows in every format, the peers in turns.
pub fn run(bench: &mut Bench, rows: u64) -> Result<()> {
    let rows = rows.min(MOST_ROWS);
    let title = format!("{} rows out", report::figure(rows as f64));
    let mut table = Table::new(title, "ms", rows, bench.peers.systems());
    for (format, name) in FORMATS {
        let (row, note) = compare(format, name, rows, &mut bench.peers)?;
        table.push(row);
        table.notes.push(note);
    }
    if let Some((format, file)) = duck_copies(bench, rows)? {
        table.notes.push(format!("DuckDB writes {format} to a file with COPY: {file}."));
    }
    bench.found.push((Part::Out, table));
    Ok(())
}

fn compare(format: Format, name: &str, rows: u64, peers: &mut Peers) -> Result<(Row, String)> {
    let mut row = Row::new(name);
    if let Some(reason) = differing(format, peers)? {
        row.cells.insert(System::Stillpoint, Cell::Wrong(reason));
    }
    let mut sent: BTreeMap<System, Result<Vec<Sent>>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for server in &mut peers.servers {
            let Ok(sent) = sent.entry(server.system).or_insert(Ok(Vec::new())) else { continue };
            // One row less each round: no two statements are alike.
            match send(format, server, rows - round) {
                Ok(answer) => sent.push(answer),
                Err(error) => drop(row.cells.insert(server.system, Cell::Refused(error.to_string()))),
            }
        }
    }
    let mut notes = Vec::new();
    for (system, sent) in sent {
        let sent = sent?;
        let most = sent.iter().map(|sent| sent.own_mb).max().unwrap_or(0);
        let bytes = sent.iter().map(|sent| sent.bytes).max().unwrap_or(0);
        notes.push(format!("{} {} MB, {most} MB of its own memory at most", system.name(), bytes / 1_000_000));
        if !row.cells.contains_key(&system) {
            row.measured(system, sent.iter().map(|s| s.ms).collect(), sent.iter().map(|s| s.cpu_ms).collect());
        }
    }
    Ok((row, format!("{name}: {}.", notes.join("; "))))
}

/// Sends so many rows once.
fn send(format: Format, server: &mut Running, rows: u64) -> Result<Sent> {
    let sql = format!("select * from trades limit {rows}");
    let before = server.processor()?;
    let started = Instant::now();
    let mut sink = Sink::new(server.server.id());
    let count = match format {
        Format::PgText | Format::PgBinary => {
            let (count, bytes) = server.pg()?.count(&sql, format == Format::PgBinary)?;
            sink.bytes = bytes;
            count
        }
        _ => {
            let status = server.connect()?.stream(&path(format, &sql), &mut sink)?;
            if status != 200 {
                return Err(format!("{status}: {:.200}", String::from_utf8_lossy(&sink.last)).into());
            }
            sink.rows(format, rows)?
        }
    };
    sink.look();
    if count != rows {
        return Err(format!("{count} rows came, not {rows}").into());
    }
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let cpu_ms = server.processor()?.since(&before).as_secs_f64() * 1e3;
    Ok(Sent { ms, cpu_ms, bytes: sink.bytes, own_mb: sink.own_mb })
}

fn path(format: Format, sql: &str) -> String {
    match format {
        Format::Json => format!("/exec?query={}", encode(sql)),
        Format::Parquet => format!("/exp?fmt=parquet&query={}", encode(sql)),
        _ => format!("/exp?query={}", encode(sql)),
    }
}

/// Compares the first thousand rows of the text formats, and the size of PostgreSQL's binary ones; Parquet's are read by
/// DuckDB where it is there.
fn differing(format: Format, peers: &mut Peers) -> Result<Option<String>> {
    let sql = "select * from trades limit 1000";
    match format {
        Format::Json | Format::Csv => {
            let mut answers = Vec::new();
            for server in &peers.servers {
                let body = server.connect()?.get(&path(format, sql))?.body;
                answers.push(match format {
                    Format::Json => super::peers::rows_of(serde_json::from_str(&body)?)?,
                    _ => body.lines().map(|line| line.split(',').map(number_or_text).collect()).collect(),
                });
            }
            Ok(answers.iter().skip(1).find_map(|other| super::answers::difference(&answers[0], other)))
        }
        Format::Parquet => {
            let Some(duck) = &mut peers.duck else { return Ok(None) };
            let want =
                duck.ask("select sum(account), sum(price) from (select * from trades order by timestamp limit 1000)")?;
            let server = peers.servers.first().ok_or("no server runs")?;
            let file = server.root.with_extension("parquet");
            server.connect()?.stream(&path(format, sql), &mut std::fs::File::create(&file)?)?;
            let seen = duck.ask(&format!("select sum(account), sum(price) from read_parquet('{}')", file.display()));
            std::fs::remove_file(&file)?;
            Ok(super::answers::difference(&seen?.rows, &want.rows))
        }
        Format::PgText => {
            let mut answers = Vec::new();
            for server in &peers.servers {
                let answer = server.pg()?.query(sql)?.pop().ok_or("no answer")?;
                let row = |row: Vec<Option<String>>| {
                    row.into_iter().map(|text| text.map_or(Value::Null, |text| number_or_text(&text))).collect()
                };
                answers.push(answer.rows.into_iter().map(row).collect());
            }
            Ok(answers.iter().skip(1).find_map(|other| super::answers::difference(&answers[0], other)))
        }
        Format::PgBinary => {
            let counts =
                peers.servers.iter().map(|server| server.pg()?.count(sql, true)).collect::<Result<Vec<_>>>()?;
            let other = counts.iter().find(|count| **count != counts[0]);
            Ok(other.map(|other| format!("rows and bytes are {:?}, not {other:?}", counts[0])))
        }
    }
}

fn number_or_text(field: &str) -> Value {
    match field.parse::<f64>() {
        Ok(number) => json!(number),
        Err(_) => json!(field.trim_matches('"')),
    }
}

/// Returns how long DuckDB takes to write the same rows into a file of each format.
fn duck_copies(bench: &mut Bench, rows: u64) -> Result<Option<(&'static str, String)>> {
    let Some(duck) = &mut bench.peers.duck else { return Ok(None) };
    let file = bench.folder.join("duck-out");
    let mut said = Vec::new();
    for format in ["csv", "json", "parquet"] {
        let told =
            duck.run(&format!("copy (select * from trades limit {rows}) to '{}' (format {format})", file.display()))?;
        said.push(format!("{format} {} ms", report::figure(told.ms)));
        std::fs::remove_file(&file)?;
    }
    Ok(Some(("the same rows", said.join(", "))))
}

/// Counts what comes and looks at the sender's memory meanwhile.
struct Sink {
    process: u32,
    bytes: u64,
    lines: u64,
    /// The last bytes, where JSON says its count.
    last: Vec<u8>,
    own_mb: u64,
}

impl Sink {
    fn new(process: u32) -> Sink {
        let mut sink = Sink { process, bytes: 0, lines: 0, last: Vec::new(), own_mb: 0 };
        sink.look();
        sink
    }

    fn look(&mut self) {
        // A server that is gone is found by its answer, which ends early.
        if let Ok(memory) = Memory::of(self.process) {
            self.own_mb = self.own_mb.max(memory.own_mb);
        }
    }

    /// Returns how many rows the whole answer had; a Parquet file only shows that it is one.
    fn rows(&self, format: Format, asked: u64) -> Result<u64> {
        match format {
            Format::Json => {
                let text = String::from_utf8_lossy(&self.last);
                let count = text.rsplit_once("\"count\":").and_then(|(_, rest)| {
                    rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
                });
                Ok(count.ok_or_else(|| format!("no count at the end: {text:.200}"))?)
            }
            Format::Parquet if self.last.ends_with(b"PAR1") => Ok(asked),
            Format::Parquet => Err("the Parquet file has no end".into()),
            _ => Ok(self.lines.saturating_sub(1)),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes / LOOK_BYTES != (self.bytes + bytes.len() as u64) / LOOK_BYTES {
            self.look();
        }
        self.bytes += bytes.len() as u64;
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.last.extend(&bytes[bytes.len().saturating_sub(256)..]);
        self.last.drain(..self.last.len().saturating_sub(256));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(pieces: &[&str]) -> Sink {
        let mut sink = Sink::new(std::process::id());
        pieces.iter().for_each(|piece| sink.write_all(piece.as_bytes()).expect("a sink takes all"));
        sink
    }

    #[test]
    fn rows_are_counted_across_pieces() {
        assert_eq!(sink(&["a,b\r\n1,", "2\r\n3,4\r", "\n"]).rows(Format::Csv, 0).expect("lines"), 2);
        let json = sink(&["{\"dataset\":[[1]],\"cou", "nt\":12,\"timings\":{}}"]);
        assert_eq!(json.rows(Format::Json, 0).expect("a count"), 12);
        assert!(sink(&["{\"error\":\"x\"}"]).rows(Format::Json, 0).is_err());
    }

    #[test]
    fn a_parquet_file_without_its_end_is_found() {
        assert_eq!(sink(&["PAR1…", "PAR1"]).rows(Format::Parquet, 5).expect("whole"), 5);
        assert!(sink(&["PAR1…"]).rows(Format::Parquet, 5).is_err());
    }
}
