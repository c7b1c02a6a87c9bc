//! Statements against a real database in a temporary root, with the answers that QuestDB 9.3.4 gave.
//!
//! (`right.jsonl`: the answers that are right where that server's are not, `ours.jsonl`: statements that it lacks,
//! `over_postgres.jsonl`: those that only clients of PostgreSQL's protocol may say; see COMPAT.md.) The statement `restart` writes all rows into segments and starts anew.
//! Each file of `tests/sql` is one history: a statement a line, as JSON with its recorded answer (columns, rows,
//! designated timestamp, or error and position). `SQL_SCORE='a.jsonl b.jsonl'` scores other recordings instead and prints
//! what differs. Queries are said with other literals first, and again afterwards: what is kept of them answers the same.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes as arrow_types;
use futures::StreamExt;
use query::{Outcome, Session, Settings, SqlError};
use serde_json::{Value, json};
use storage::{Engine, Env, Options};

/// A root that is removed at the end.
struct TempRoot(PathBuf);

impl TempRoot {
    #[expect(clippy::disallowed_methods, reason = "the test lays out the folder itself")]
    fn new(name: &str) -> TempRoot {
        let path = std::env::temp_dir().join(format!("stillpoint-sql-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        TempRoot(path)
    }
}

impl Drop for TempRoot {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_stack_size(8 << 20).enable_all().build().expect("a runtime")
}

fn cell(batch: &RecordBatch, column: usize, row: usize, kind: &str) -> Value {
    let array = batch.column(column);
    if array.is_null(row) {
        return match kind {
            "CHAR" | "LONG256" => json!(""),
            "BINARY" => json!([]),
            _ => Value::Null,
        };
    }
    let kind = query::kind::Kind::of_name(kind).expect("a kind of ours");
    if let Some(column_type @ types::ColumnType::Array(_)) = kind.column_type() {
        let query::Cell::Array(shape, values) = query::read_cell(array, row) else { panic!("a {column_type}") };
        let mut text = String::new();
        let put = &mut |out: &mut String, text: &str| out.push_str(text);
        let mut number = |out: &mut String, v: Option<f64>| out.push_str(&json!(v).to_string());
        types::array_text::write(&mut text, &shape, &values, put, ("[", "]"), &mut number);
        return serde_json::from_str(&text).expect("lists of numbers");
    }
    if matches!(kind, query::kind::Kind::Geohash(_)) {
        return json!(query::cell_text(&query::read_cell(array, row), kind));
    }
    match array.data_type() {
        arrow_types::DataType::Boolean => json!(array.as_boolean().value(row)),
        arrow_types::DataType::Int8 => json!(array.as_primitive::<arrow_types::Int8Type>().value(row)),
        arrow_types::DataType::Int16 => json!(array.as_primitive::<arrow_types::Int16Type>().value(row)),
        arrow_types::DataType::Int32 => json!(array.as_primitive::<arrow_types::Int32Type>().value(row)),
        arrow_types::DataType::Int64 => json!(array.as_primitive::<arrow_types::Int64Type>().value(row)),
        arrow_types::DataType::Float32 => {
            let value = array.as_primitive::<arrow_types::Float32Type>().value(row);
            json!(value.to_string().parse::<f64>().expect("a float's text is a number"))
        }
        arrow_types::DataType::Float64 => json!(array.as_primitive::<arrow_types::Float64Type>().value(row)),
        arrow_types::DataType::Utf8View => json!(array.as_string_view().value(row)),
        arrow_types::DataType::Timestamp(arrow_types::TimeUnit::Microsecond, _) => {
            let us = array.as_primitive::<arrow_types::TimestampMicrosecondType>().value(row);
            json!(types::TimestampUs(us).to_string())
        }
        arrow_types::DataType::Timestamp(arrow_types::TimeUnit::Millisecond, _) => {
            let ms = array.as_primitive::<arrow_types::TimestampMillisecondType>().value(row);
            let text = types::TimestampUs(ms * 1000).to_string();
            json!(text.replace("000Z", "Z"))
        }
        arrow_types::DataType::Timestamp(arrow_types::TimeUnit::Nanosecond, _) => {
            let ns = array.as_primitive::<arrow_types::TimestampNanosecondType>().value(row);
            let micros = types::TimestampUs(ns.div_euclid(1_000)).to_string();
            json!(format!("{}{:03}Z", micros.trim_end_matches('Z'), ns.rem_euclid(1_000)))
        }
        arrow_types::DataType::Binary => json!([]),
        _ => json!(query::cell_text(&query::read_cell(array, row), kind)),
    }
}

async fn answer(mut session: Session, sql: &str) -> Value {
    let outcome = match session.execute(sql, &[]).await {
        Ok(outcome) => outcome,
        Err(error) => return failed(&error),
    };
    let rows = match outcome {
        Outcome::Rows(rows) => rows,
        Outcome::Insert { .. } => return json!({"ok": "dml"}),
        Outcome::Update { rows } | Outcome::Delete { rows } => return json!({"ok": "dml", "changed": rows}),
        Outcome::Empty => return json!({"error": "empty query", "position": "0"}),
        _ => return json!({"ok": "ddl"}),
    };
    let columns: Vec<Value> = rows.columns.iter().map(|c| json!([c.name, shown_kind(&c.kind.name())])).collect();
    let kinds: Vec<String> = rows.columns.iter().map(|c| c.kind.name()).collect();
    let timestamp = rows.timestamp_index.map_or(-1, |i| i as i64);
    let (mut stream, mut list) = (rows.stream, Vec::new());
    while let Some(batch) = stream.next().await {
        match batch {
            Ok(batch) => {
                list.extend((0..batch.num_rows()).map(|row| {
                    Value::Array((0..batch.num_columns()).map(|c| cell(&batch, c, row, &kinds[c])).collect())
                }))
            }
            Err(error) => return failed(&SqlError::from_datafusion(&error)),
        }
    }
    json!({"columns": columns, "timestamp": timestamp, "rows": list})
}

/// The recordings were made over PostgreSQL's protocol, where arrays have another name.
fn shown_kind(name: &str) -> String {
    match name.matches("[]").count() {
        0 if name == "NULL" => "STRING".to_owned(),
        0 => name.to_owned(),
        dims => format!("ARRAY:DOUBLE[{dims}]"),
    }
}

fn failed(error: &SqlError) -> Value {
    json!({"error": error.message, "position": error.position})
}

fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) || (a - b).abs() <= 1e-14
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        _ => a == b,
    }
}

fn rows_match(sql: &str, got: &Value, want: &Value) -> bool {
    if close(got, want) {
        return true;
    }
    let lower = sql.to_lowercase();
    if ["order", "sample", "latest", "limit", "over"].iter().any(|w| lower.contains(w)) {
        return false;
    }
    let sorted = |rows: &Value| {
        let mut rows = rows.as_array().cloned().unwrap_or_default();
        rows.sort_by_key(|r| r.to_string());
        Value::Array(rows)
    };
    close(&sorted(got), &sorted(want))
}

/// Returns whether an answer is exactly the recorded one, and whether it has the same values.
fn judge(sql: &str, got: &Value, want: &Value) -> (bool, bool) {
    if let Some(error) = want.get("error") {
        let same_place = want["position"].is_null() || got.get("position") == Some(&want["position"]);
        return (got.get("error") == Some(error) && same_place, got.get("error").is_some());
    }
    if let Some(rows) = want.get("rows") {
        let values = got.get("rows").is_some_and(|r| rows_match(sql, r, rows));
        return (values && got["columns"] == want["columns"] && got["timestamp"] == want["timestamp"], values);
    }
    // `changed` is ours: the reference counts a WAL table's transactions instead of its rows.
    let counted = want.get("changed").is_none_or(|rows| got.get("changed") == Some(rows));
    (got.get("ok") == want.get("ok") && counted, got.get("ok").is_some())
}

/// Writes all rows into segments and starts anew over the same root.
fn restarted(engine: Engine, root: &Path) -> Engine {
    let view = engine.database().view();
    view.tables().iter().for_each(|table| engine.database().flush_table(table.id()).expect("rows can be written"));
    drop(view);
    engine.shutdown().expect("a clean stop");
    Engine::open(Env::os(), Options::new(root)).expect("its own root opens")
}

/// Returns a query with other literals in its conditions: then it is not the first of its shape, and not planned as a whole.
fn with_other_digits(sql: &str, by: u8) -> Option<String> {
    let lower = sql.to_ascii_lowercase();
    let start = lower.starts_with("select").then(|| lower.find(" where "))??;
    let end = [" latest ", " order ", " limit "].iter().filter_map(|word| lower[start..].find(word)).min();
    let end = end.map_or(sql.len(), |end| start + end);
    let other = |c: char| c.to_digit(10).map_or(c, |digit| char::from(b'0' + (digit as u8 + by) % 10));
    let conditions: String = sql[start..end].chars().map(other).collect();
    (conditions != sql[start..end]).then(|| [&sql[..start], &conditions, &sql[end..]].concat())
}

struct Score {
    exact: usize,
    values: usize,
    of: usize,
    wrong: Vec<String>,
}

fn play(path: &Path) -> Score {
    let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
    let root = TempRoot::new(&name);
    let mut engine = Engine::open(Env::os(), Options::new(&root.0)).expect("a fresh root opens");
    let settings = Settings::new(Env::os()).shared();
    let runtime = runtime();
    let mut score = Score { exact: 0, values: 0, of: 0, wrong: Vec::new() };
    let text = std::fs::read_to_string(path).expect("a recording");
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let want: Value = serde_json::from_str(line).expect("a line of JSON");
        let sql = want["sql"].as_str().expect("a statement").to_owned();
        if sql == "restart" {
            engine = restarted(engine, &root.0);
            continue;
        }
        let session = || {
            let session = Session::new(engine.database().clone(), settings.clone());
            if name == "over_postgres" { session.over_postgres() } else { session }
        };
        let said = || {
            let (session, text) = (session(), sql.clone());
            let task = runtime.spawn(async move { answer(session, &text).await });
            runtime.block_on(task).unwrap_or_else(|e| json!({"error": format!("panicked: {e}"), "position": -1}))
        };
        for other in [1, 2].into_iter().filter_map(|by| with_other_digits(&sql, by)) {
            runtime.block_on(answer(session(), &other));
        }
        let got = said();
        if want.get("volatile").is_some() || want.get("failed").is_some() {
            continue;
        }
        let (exact, values) = judge(&sql, &got, &want);
        score.of += 1;
        score.exact += usize::from(exact);
        score.values += usize::from(values);
        if !exact {
            let mut want = want.clone();
            want.as_object_mut().expect("an object").retain(|k, _| k != "sql" && k != "note");
            let cut = |v: &Value| v.to_string().chars().take(400).collect::<String>();
            let mark = if values { "~" } else { "x" };
            score.wrong.push(format!("{mark} {sql}\n    want {}\n    got  {}", cut(&want), cut(&got)));
        } else if got.get("rows").is_some() && !sql.contains("long_sequence") {
            // a query is kept when it is said again, and its plan used from then on, unless it is over rows made up
            let again = [said(), said()];
            if let Some(other) = again.iter().find(|again| !judge(&sql, again, &want).0) {
                score.exact -= 1;
                score.wrong.push(format!("x {sql}\n    said again it gives {other}"));
            }
        }
    }
    drop(runtime);
    engine.shutdown().expect("a clean stop");
    score
}

#[test]
fn answers_are_those_of_the_reference_server() {
    if let Ok(files) = std::env::var("SQL_SCORE") {
        for file in files.split_whitespace() {
            let score = play(Path::new(file));
            println!("{}", score.wrong.join("\n"));
            println!("SCORE {file} exact {}/{} values {}/{}", score.exact, score.of, score.values, score.of);
        }
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("tests/sql").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let score = play(&file);
        assert_eq!(score.exact, score.of, "{}\n{}", file.display(), score.wrong.join("\n"));
    }
}
