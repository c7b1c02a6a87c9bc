//! Every operator and cast over pairs of types and values, against answers recorded from the real server.
//!
//! `golden/operators.tsv` holds one line for each operator and pair of types; its head names the values.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use datafusion::prelude::SessionContext;

use super::arithmetic::Arithmetic;
use super::cast;
use super::comparison::Comparison;
use super::moment::parse_timestamp;
use super::operators::{BinaryOp, UnaryOp, binary, unary};
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

const ROWS: usize = 5;

/// Returns the five values of a type that the recording used.
fn values(kind: Kind) -> Vec<ScalarValue> {
    let int = |v: [Option<i64>; ROWS]| v.to_vec();
    let whole = |v: [Option<i64>; ROWS], make: fn(Option<i64>) -> ScalarValue| int(v).into_iter().map(make).collect();
    match kind {
        Kind::Boolean => [true, false, true, false, false].map(|b| ScalarValue::Boolean(Some(b))).to_vec(),
        Kind::Short => [7, 0, -32768, 32767, 0].map(|v| ScalarValue::Int16(Some(v))).to_vec(),
        Kind::Int => [Some(7), None, Some(-2147483647), Some(2147483647), Some(0)].map(ScalarValue::Int32).to_vec(),
        Kind::Long => whole([Some(7), None, Some(-i64::MAX), Some(i64::MAX), Some(0)], ScalarValue::Int64),
        Kind::Double => [Some(2.5), None, Some(-1.5e300), Some(1.7e308), Some(0.0)].map(ScalarValue::Float64).to_vec(),
        Kind::Date | Kind::Timestamp => {
            let texts = match kind {
                Kind::Date => ["2024-01-31", "", "1969-12-31T23:59:59.999", "2200-01-01", "1970-01-01"],
                _ => [
                    "2024-02-29T12:30:45.123456",
                    "",
                    "1969-12-31T23:59:59.999999",
                    "2261-12-31T23:59:59.999999",
                    "1970-01-01",
                ],
            };
            let moment = |text: &str| {
                let us = parse_timestamp(text);
                match kind {
                    Kind::Date => ScalarValue::TimestampMillisecond(us.map(|us| us.div_euclid(1_000)), None),
                    _ => ScalarValue::TimestampMicrosecond(us, None),
                }
            };
            texts.map(moment).to_vec()
        }
        _ => [Some("7"), None, Some("-3"), Some("100"), Some("0")]
            .map(|t| ScalarValue::Utf8View(t.map(str::to_owned)))
            .to_vec(),
    }
}

fn kind_of(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|k| k.name() == name).expect(name)
}

fn column(name: &str, kind: Kind) -> Typed {
    Typed::column(Column::new_unqualified(name), kind, 0)
}

fn operator(symbol: &str) -> BinaryOp {
    match symbol {
        "+" => BinaryOp::Arithmetic(Arithmetic::Add),
        "-" => BinaryOp::Arithmetic(Arithmetic::Sub),
        "*" => BinaryOp::Arithmetic(Arithmetic::Mul),
        "/" => BinaryOp::Arithmetic(Arithmetic::Div),
        "%" => BinaryOp::Arithmetic(Arithmetic::Mod),
        "&" => BinaryOp::Arithmetic(Arithmetic::BitAnd),
        "|" => BinaryOp::Arithmetic(Arithmetic::BitOr),
        "^" => BinaryOp::Arithmetic(Arithmetic::BitXor),
        "=" => BinaryOp::Comparison(Comparison::Eq),
        "!=" => BinaryOp::Comparison(Comparison::Ne),
        "<" => BinaryOp::Comparison(Comparison::Lt),
        "<=" => BinaryOp::Comparison(Comparison::Le),
        ">" => BinaryOp::Comparison(Comparison::Gt),
        _ => BinaryOp::Comparison(Comparison::Ge),
    }
}

/// Evaluates an expression over every left value and, for each, every right one.
fn evaluate(typed: &Typed, left: Kind, right: Kind, pairs: bool) -> Result<ArrayRef, SqlError> {
    let (l, r) = (values(left), values(right));
    let rows = if pairs { ROWS * ROWS } else { ROWS };
    let lefts = (0..rows).map(|i| l[if pairs { i / ROWS } else { i }].clone());
    let rights = (0..rows).map(|i| r[i % ROWS].clone());
    let arrays = vec![
        ScalarValue::iter_to_array(lefts).expect("one type"),
        ScalarValue::iter_to_array(rights).expect("one type"),
    ];
    let schema = Arc::new(Schema::new(vec![left.field("l"), right.field("r")]));
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("columns fit");
    let schema = DFSchema::try_from(schema.as_ref().clone()).expect("names differ");
    let physical = SessionContext::new()
        .create_physical_expr(typed.expr.clone(), &schema)
        .map_err(|e| SqlError::from_datafusion(&e))?;
    match physical.evaluate(&batch).map_err(|e| SqlError::from_datafusion(&e))? {
        ColumnarValue::Array(array) => Ok(array),
        scalar => Ok(scalar.to_array(rows).expect("constants have arrays")),
    }
}

/// Returns values as the recording has them: JSON, a NULL CHAR is "".
fn shown(array: &ArrayRef, kind: Kind) -> Vec<String> {
    (0..array.len())
        .map(|row| {
            let value = ScalarValue::try_from_array(array, row).expect("in range");
            match cast::value_text(&value, kind) {
                None if kind == Kind::Char => "\"\"".to_owned(),
                None => "null".to_owned(),
                Some(text) if kind.is_text() || kind.is_time() || kind == Kind::Char => {
                    serde_json::to_string(&text).expect("text is JSON")
                }
                Some(text) => text,
            }
        })
        .collect()
}

/// Returns recorded answers one by one; numbers as they stand there.
fn recorded(answers: &str, kind: Kind) -> Vec<String> {
    if kind.is_number() {
        return answers.split(' ').map(str::to_owned).collect();
    }
    let values = serde_json::Deserializer::from_str(answers).into_iter::<serde_json::Value>();
    values.map(|v| v.map_or_else(|e| e.to_string(), |v| v.to_string())).collect()
}

/// Compares a text of ours with one of the recording; doubles by value.
fn same(ours: &str, theirs: &str, kind: Kind) -> bool {
    let close = |l: f64, r: f64| l == r || ((l - r) / r).abs() < 1e-6;
    match (kind, ours.parse::<f64>(), theirs.parse::<f64>()) {
        (Kind::Double, Ok(l), Ok(r)) => l == r,
        (Kind::Float, Ok(l), Ok(r)) => close(l, r),
        // The real server loses months in years before 0.
        (Kind::Date | Kind::Timestamp, ..) if ours.starts_with("\"-") => theirs.starts_with("\"-"),
        _ => ours == theirs,
    }
}

/// Returns whether the recording shows a quirk that we do not copy: text beside a moment or a SHORT changes the type of
/// an answer without a pattern, and a text with a number in it is no LONG.
fn is_quirk(operator: &str, left: Kind, right: Kind) -> bool {
    let pair = |l: fn(Kind) -> bool, r: fn(Kind) -> bool| l(left) && r(right) || l(right) && r(left);
    let arithmetic = !matches!(operator, "=" | "!=" | "<" | "<=" | ">" | ">=" | "cast");
    arithmetic && pair(Kind::is_text, |k| k.is_time() || k.is_text())
        || !arithmetic && operator != "cast" && pair(Kind::is_text, |k| k.is_number() || k.is_time())
}

#[test]
fn operators_and_casts_answer_as_the_real_server() {
    let mut failures = Vec::new();
    let mut checked = 0;
    for line in include_str!("golden/operators.tsv").lines().filter(|l| !l.starts_with('#')) {
        let parts: Vec<&str> = line.split('\t').collect();
        let [op, left, right, answer_kind, answers] = parts[..] else { panic!("{line}") };
        let left = kind_of(left);
        let right = if right.is_empty() { Kind::Int } else { kind_of(right) };
        if is_quirk(op, left, right) {
            continue;
        }
        let bound = match op {
            "cast" => cast::explicit(column("l", left), right, 0),
            "u-" => unary(UnaryOp::Minus, column("l", left), 0),
            "u~" => unary(UnaryOp::BitNot, column("l", left), 0),
            op => binary(operator(op), column("l", left), column("r", right), 0),
        };
        let pairs = op != "cast" && !op.starts_with('u');
        let outcome =
            bound.and_then(|typed| Ok((evaluate(&typed, left, if pairs { right } else { left }, pairs)?, typed.kind)));
        checked += 1;
        match outcome {
            Err(error) if answer_kind == "ERROR" && error.message == answers => {}
            Err(error) => failures.push(format!("{op} {left} {right}: {error}, not {answer_kind} {answers}")),
            Ok((array, kind)) => {
                let ours = shown(&array, kind);
                let theirs = recorded(answers, kind);
                let fits = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(o, t)| same(o, t, kind));
                if kind.name() != answer_kind || !fits {
                    failures
                        .push(format!("{op} {left} {right}: {kind} {}, not {answer_kind} {answers}", ours.join(" ")));
                }
            }
        }
    }
    assert!(checked > 500, "only {checked} lines");
    assert!(failures.is_empty(), "{} of {checked}:\n{}", failures.len(), failures.join("\n"));
}
