//! json_extract: a value out of a JSON document by a constant path.
//!
//! Without a cast the answer is VARCHAR: the raw text of a number, an object or a list, the unescaped text of a string. A
//! cast around the call reads the JSON value itself, so that `true` becomes 1 and an object NULL.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType};
use datafusion::logical_expr::{Expr, Volatility};

use super::kernel::{Args, Function, boolean_column, column, double_column, text_column};
use super::moment::parse_timestamp;
use super::overload::convert;
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

mod path;

use path::{Found, Path};

/// The name by which a cast recognises the call.
const NAME: &str = "json_extract";

/// Returns the binding of a JSON function.
pub fn find(name: &str) -> Option<Binding> {
    (name == NAME).then_some(Binding::Own(json_extract))
}

fn json_extract(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [document, path] = call.args.as_slice() else { return Err(call.no_match()) };
    let textual = |arg: &Typed| arg.kind.is_text() || matches!(arg.kind, Kind::Char | Kind::Null);
    if !textual(document) || !textual(path) {
        return Err(call.no_match());
    }
    if !path.is_literal() {
        return Err(SqlError::new(path.position, "constant or bind variable expected"));
    }
    let args = vec![convert(document.clone(), Kind::Varchar)?, convert(path.clone(), Kind::Varchar)?];
    bound(args, Kind::Varchar, call.position)
}

/// Returns the call for an answer of one kind.
///
/// It is said to be stable, not immutable, so that a call with constants is not folded before a cast around it is seen.
fn bound(args: Vec<Typed>, kind: Kind, position: usize) -> Result<Typed, SqlError> {
    let path = args[1].as_text().and_then(Path::parse);
    let kernel = Arc::new(move |args: &Args| Ok(extracted(args, path.as_ref(), kind)));
    let name = if kind == Kind::Varchar { NAME.to_owned() } else { format!("{NAME} {kind}") };
    Function::new(&name, 2, kind, Volatility::Stable, kernel).call(args, kind, position)
}

/// Returns the call that reads the JSON value as `to`, if `arg` is a json_extract and `to` has rules of its own.
pub fn cast(arg: &Typed, to: Kind, position: usize) -> Option<Result<Typed, SqlError>> {
    let Expr::ScalarFunction(call) = &arg.expr else { return None };
    let own_rules = match to {
        Kind::Float => Kind::Double,
        Kind::Boolean | Kind::Short | Kind::Int | Kind::Long | Kind::Double | Kind::Date | Kind::Timestamp => to,
        _ => return None,
    };
    if call.func.name() != NAME {
        return None;
    }
    let args = call.args.iter().map(|a| Typed::new(a.clone(), Kind::Varchar, position)).collect();
    Some(bound(args, own_rules, position))
}

fn extracted(args: &Args, path: Option<&Path>, kind: Kind) -> ArrayRef {
    let (documents, rows) = (args.texts(0), args.rows());
    let at = |row: usize| path.zip(documents.get(row)).and_then(|(path, document)| path.find(document));
    match kind {
        Kind::Boolean => boolean_column(rows, |row| matches!(at(row), Some(Found::Bool(true)))),
        Kind::Short => column::<Int16Type>(rows, |row| {
            Some(at(row).and_then(|v| whole(&v)).and_then(|v| i16::try_from(v).ok()).unwrap_or(0))
        }),
        Kind::Int => column::<Int32Type>(rows, |row| {
            whole(&at(row)?).and_then(|v| i32::try_from(v).ok()).filter(|v| *v != i32::MIN)
        }),
        Kind::Long => column::<Int64Type>(rows, |row| whole(&at(row)?).filter(|v| *v != i64::MIN)),
        Kind::Double => double_column(rows, |row| real(&at(row)?)),
        Kind::Timestamp => column::<TimestampMicrosecondType>(rows, |row| moment(&at(row)?, 1)),
        Kind::Date => column::<TimestampMillisecondType>(rows, |row| moment(&at(row)?, 1_000)),
        _ => text_column(rows, |row| at(row).map(text)),
    }
}

fn text(found: Found) -> String {
    match found {
        Found::Null => String::new(),
        Found::Bool(value) => value.to_string(),
        Found::Text(text) => text,
        Found::Number(raw) | Found::Other(raw) => raw,
    }
}

/// Returns a whole number: the fraction is cut off.
fn whole(found: &Found) -> Option<i64> {
    match found {
        Found::Bool(value) => Some(i64::from(*value)),
        Found::Number(raw) | Found::Text(raw) => raw.parse::<i64>().ok().or_else(|| {
            let value = raw.parse::<f64>().ok()?;
            (value.abs() < i64::MAX as f64).then_some(value as i64)
        }),
        _ => None,
    }
}

fn real(found: &Found) -> Option<f64> {
    match found {
        Found::Bool(value) => Some(f64::from(u8::from(*value))),
        Found::Number(raw) | Found::Text(raw) => raw.parse().ok(),
        _ => None,
    }
}

/// Returns a moment: ISO text, or a number in units of `unit_us` microseconds.
fn moment(found: &Found, unit_us: i64) -> Option<i64> {
    match found {
        Found::Text(text) => parse_timestamp(text).map(|us| us.div_euclid(unit_us)),
        Found::Number(_) => whole(found),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, path: &str, expected: Option<&str>) {
        let found = Path::parse(path).and_then(|p| p.find(document)).map(text);
        assert_eq!(found.as_deref(), expected, "{path} of {document}");
    }

    #[test]
    fn paths_lead_to_values() {
        let document =
            r#"{"color":"black","dim":{"w":440,"h": 130},"tags":["usb","iso"],"k":[[1,2],[3,{"z":"deep"}]]}"#;
        check(document, ".color", Some("black"));
        check(document, "$.dim.h", Some("130"));
        check(document, ".dim", Some(r#"{"w":440,"h": 130}"#));
        check(document, ".tags[1]", Some("iso"));
        check(document, ".k[1][1].z", Some("deep"));
        check(document, ".tags[7]", None);
        check(document, "color", None);
        check(r#"{"note":"he said \"ok\"\n\u00e9"}"#, ".note", Some("he said \"ok\"\né"));
    }

    #[test]
    fn odd_documents_have_odd_answers() {
        check(r#"{"a":null}"#, ".a", Some(""));
        check(r#"{"a":1}"#, "$", Some(r#"{"a":1}"#));
        check("oops", ".a", None);
        check("not json", ".a", Some(""));
        check(r#"{"a":1"#, ".a", None);
        check("true", ".a", Some("true"));
        check(r#""x""#, "$", Some("x"));
        check("", ".a", None);
    }

    #[test]
    fn casts_read_the_value_itself() {
        assert_eq!(whole(&Found::Bool(true)), Some(1));
        assert_eq!(whole(&Found::Number("-12.75".to_owned())), Some(-12));
        assert_eq!(whole(&Found::Other("[1,2]".to_owned())), None);
        assert_eq!(real(&Found::Text("45.50".to_owned())), Some(45.5));
        assert_eq!(moment(&Found::Number("5".to_owned()), 1_000), Some(5));
    }
}
