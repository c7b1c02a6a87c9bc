//! One table from the old server to the new one: [`list`], [`bring`].

use ring::digest;
use serde_json::Value as Json;
use wire::csv;
use wire::exec_rows::{Reader, Value};

use super::http::Http;
use super::state::{Progress, State};

/// Rows of a page, about.
const PAGE_ROWS: u64 = 20_000;

/// A table of the old server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    designated: Option<String>,
}

/// Where the designated timestamps of a page lie: from the first to before the second, in the unit of the column.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

/// Returns the tables that hold a user's data.
pub async fn list(source: &Http) -> Result<Vec<Table>, String> {
    let answer = source.json("select table_name, designatedTimestamp from tables()").await?;
    let rows = answer["dataset"].as_array().ok_or("the list of tables has no rows")?;
    let mut tables = Vec::new();
    for row in rows {
        let name = row[0].as_str().unwrap_or("").to_owned();
        if name.is_empty()
            || name.starts_with("sys.")
            || name.starts_with("telemetry")
            || name.starts_with("_query_trace")
        {
            continue;
        }
        let designated = row[1].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        tables.push(Table { name, designated });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// Brings a table over, from where an earlier run left it, and compares both sides. Returns a line about it.
///
/// # Errors
/// What failed or differs.
pub async fn bring(table: &Table, source: &Http, target: &Http, state: &mut State) -> Result<String, String> {
    let mut progress = state.of(&table.name);
    if progress.done {
        return Ok(format!("{} rows, done by an earlier run", progress.rows));
    }
    let columns = columns(table, source).await?;
    if let Some(column) = columns.iter().find(|c| c.column_type == "BINARY") {
        return Err(format!("column {} is BINARY, which no answer over HTTP holds", column.name));
    }
    let range = range(table, source).await?;
    if progress.next.is_none() {
        make(table, source, target).await?;
        progress.next = Some(range.from);
        state.keep(&table.name, progress)?;
    }
    let total = count(source, table, None).await?;
    let mut first = true;
    let mut width = (range.to - range.from).max(1);
    while let Some(from) = progress.next.filter(|&from| from < range.to) {
        let span = page(table, source, from, range.to, &mut width).await?;
        let rows = Rows::read(table, source, &columns, span).await?;
        // a run that was cut off may have stored the page without writing it down
        let there = if first { count(target, table, Some(span)).await? } else { 0 };
        first = false;
        if there == 0 && rows.count > 0 {
            let taken = target.import(&table.name, rows.csv).await?;
            if taken != rows.count {
                return Err(format!("{taken} of {} rows of a page were taken", rows.count));
            }
        } else if there != rows.count {
            return Err(format!(
                "the target holds {there} of {} rows of a page: drop its table and the state file",
                rows.count
            ));
        }
        progress.next = Some(span.to);
        progress.rows += rows.count;
        progress.fingerprint = progress.fingerprint.wrapping_add(rows.fingerprint);
        state.keep(&table.name, progress)?;
        if rows.count > 0 {
            errln!("{}: {} of {total} rows", table.name, progress.rows);
        }
    }
    compare(table, target, &columns, range, &mut progress).await?;
    progress.done = true;
    state.keep(&table.name, progress)?;
    Ok(format!("{} rows, fingerprint {:032x} on both sides", progress.rows, progress.fingerprint))
}

/// Reads the rows back and compares them with those that were read from the source.
async fn compare(
    table: &Table,
    target: &Http,
    columns: &[Column],
    range: Span,
    progress: &mut Progress,
) -> Result<(), String> {
    let (mut rows, mut fingerprint) = (0, 0u128);
    let (mut from, mut width) = (range.from, (range.to - range.from).max(1));
    while from < range.to {
        let span = page(table, target, from, range.to, &mut width).await?;
        let read = Rows::read(table, target, columns, span).await?;
        rows += read.count;
        fingerprint = fingerprint.wrapping_add(read.fingerprint);
        from = span.to;
    }
    let all = count(target, table, None).await?;
    if rows != progress.rows || all != progress.rows {
        return Err(format!("the source gave {} rows, the target holds {all}", progress.rows));
    }
    if fingerprint != progress.fingerprint {
        return Err(format!(
            "the {rows} rows differ: fingerprint {:032x} in the source, {fingerprint:032x} in the target",
            progress.fingerprint
        ));
    }
    Ok(())
}

/// Makes the table as the source shows it.
async fn make(table: &Table, source: &Http, target: &Http) -> Result<(), String> {
    let shown = source.json(&format!("show create table {}", quoted(&table.name))).await?;
    let ddl = shown["dataset"][0][0].as_str().ok_or("the source does not show how the table is made")?;
    target.exec(ddl).await.map(drop)
}

/// A column as the source names it.
struct Column {
    name: String,
    column_type: String,
}

async fn columns(table: &Table, source: &Http) -> Result<Vec<Column>, String> {
    let answer = source.json(&format!("show columns from {}", quoted(&table.name))).await?;
    let rows = answer["dataset"].as_array().ok_or("the list of columns has no rows")?;
    let text = |value: &Json| value.as_str().unwrap_or("").to_owned();
    Ok(rows.iter().map(|row| Column { name: text(&row[0]), column_type: text(&row[1]) }).collect())
}

/// Returns first and last (excluded) designated timestamp, or row number.
async fn range(table: &Table, source: &Http) -> Result<Span, String> {
    let Some(designated) = &table.designated else {
        let rows = count(source, table, None).await?;
        return Ok(Span { from: 0, to: rows as i64 });
    };
    let column = quoted(designated);
    let sql = format!("select min({column})::long, max({column})::long from {}", quoted(&table.name));
    let answer = source.json(&sql).await?;
    let row = &answer["dataset"][0];
    match (row[0].as_i64(), row[1].as_i64()) {
        (Some(from), Some(to)) => Ok(Span { from, to: to.saturating_add(1) }),
        _ => Ok(Span { from: 0, to: 0 }),
    }
}

fn condition(table: &Table, span: Option<Span>) -> String {
    match (&table.designated, span) {
        (Some(designated), Some(Span { from, to })) => {
            let column = quoted(designated);
            format!(" where {column} >= {from} and {column} < {to}")
        }
        _ => String::new(),
    }
}

async fn count(server: &Http, table: &Table, span: Option<Span>) -> Result<u64, String> {
    let sql = format!("select count() from {}{}", quoted(&table.name), condition(table, span));
    let answer = server.json(&sql).await?;
    let rows = answer["dataset"][0][0].as_u64().ok_or("a count has no number")?;
    Ok(match (&table.designated, span) {
        // without a designated timestamp a span counts rows
        (None, Some(Span { from, to })) => rows.min(to as u64).saturating_sub(from as u64),
        _ => rows,
    })
}

/// Returns the next page: about [`PAGE_ROWS`] rows, all of one moment together.
async fn page(table: &Table, server: &Http, from: i64, end: i64, width: &mut i64) -> Result<Span, String> {
    if table.designated.is_none() {
        return Ok(Span { from, to: end.min(from + PAGE_ROWS as i64) });
    }
    loop {
        let to = from.saturating_add(*width).min(end);
        let rows = count(server, table, Some(Span { from, to })).await?;
        if rows > PAGE_ROWS && *width > 1 {
            // aims at three quarters of a page
            let share = PAGE_ROWS as f64 * 0.75 / rows as f64;
            *width = ((to - from) as f64 * share).max(1.0) as i64;
            continue;
        }
        if rows < PAGE_ROWS / 2 {
            *width = width.saturating_mul(2).max(1);
        }
        return Ok(Span { from, to });
    }
}

/// The rows of a page.
struct Rows {
    csv: Vec<u8>,
    count: u64,
    fingerprint: u128,
}

impl Rows {
    async fn read(table: &Table, server: &Http, columns: &[Column], span: Span) -> Result<Rows, String> {
        let limit = match table.designated {
            Some(_) => String::new(),
            None => format!(" limit {}, {}", span.from, span.to),
        };
        let names: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
        let sql =
            format!("select {} from {}{}{limit}", names.join(", "), quoted(&table.name), condition(table, Some(span)));
        let answer = server.exec(&sql).await?;
        let mut reader = Reader::new(&answer).ok_or("an answer has no rows")?;
        let mut rows = Rows { csv: Vec::new(), count: 0, fingerprint: 0 };
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                rows.csv.push(b',');
            }
            csv::string(&mut rows.csv, &column.name);
        }
        rows.csv.extend_from_slice(csv::LINE_END);
        let (mut row, mut canonical) = (Vec::new(), Vec::new());
        while reader.next_row(&mut row).map_err(|at| format!("an answer cannot be read at byte {at}"))? {
            if row.len() != columns.len() {
                return Err(format!("a row has {} values instead of {}", row.len(), columns.len()));
            }
            rows.add(&row, columns, &mut canonical);
        }
        Ok(rows)
    }

    fn add(&mut self, row: &[Value<'_>], columns: &[Column], canonical: &mut Vec<u8>) {
        canonical.clear();
        for (i, (value, column)) in row.iter().zip(columns).enumerate() {
            if i > 0 {
                self.csv.push(b',');
            }
            field(&mut self.csv, value);
            canonical_field(canonical, value, &column.column_type);
        }
        self.csv.extend_from_slice(csv::LINE_END);
        self.count += 1;
        let digest = digest::digest(&digest::SHA256, canonical);
        let bytes = digest.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes");
        // a sum: rows of one moment may come back in another order
        self.fingerprint = self.fingerprint.wrapping_add(u128::from_be_bytes(bytes));
    }
}

fn field(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => {}
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Text(text) => csv::string(out, text),
        Value::Array(text) => csv::string(out, text),
    }
}

/// Appends what does not depend on how a server writes a value.
fn canonical_field(out: &mut Vec<u8>, value: &Value<'_>, column_type: &str) {
    match value {
        Value::Null => out.push(0),
        Value::Boolean(value) => out.extend_from_slice(&[1, u8::from(*value)]),
        Value::Number(digits) if matches!(column_type, "DOUBLE" | "FLOAT") => {
            out.push(2);
            out.extend_from_slice(&digits.parse::<f64>().unwrap_or(f64::NAN).to_bits().to_be_bytes());
        }
        Value::Number(text) | Value::Array(text) => {
            out.push(3);
            out.extend_from_slice(text.as_bytes());
            out.push(0xff);
        }
        // CHAR and LONG256 have no null of their own in JSON
        Value::Text(text) if text.is_empty() && matches!(column_type, "CHAR" | "LONG256") => out.push(0),
        Value::Text(text) => {
            out.push(4);
            out.extend_from_slice(text.as_bytes());
            // stands in no UTF-8
            out.push(0xff);
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
