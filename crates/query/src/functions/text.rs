//! Functions on text.
//!
//! STRING and SYMBOL count UTF-16 units, VARCHAR counts code points; where both are taken the form for VARCHAR comes
//! first. Most answers are STRING whatever comes in. Next: [`pieces`] for cutting by units.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::logical_expr::Volatility;

use super::cast;
use super::cell::{self, Cell};
use super::kernel::{Args, Function, boolean_column, column, text_column};
use super::matching;
use super::numbers::{double_text, float_text};
use super::overload::{Overload, Param, convert, form, text_form};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

mod pieces;

use pieces::Units;

/// Returns the binding of a text function.
pub fn find(name: &str) -> Option<Binding> {
    use Param::*;
    Some(match name {
        "upper" | "to_uppercase" => one_text(const { &[form(&[Text], Kind::String, upper)] }),
        "lower" | "to_lowercase" => one_text(const { &[form(&[Text], Kind::String, lower)] }),
        "trim" => one_text(const { &[text_form(&[Text], trim)] }),
        "ltrim" => one_text(const { &[text_form(&[Text], ltrim)] }),
        "rtrim" => one_text(const { &[text_form(&[Text], rtrim)] }),
        "length" => {
            one_text(const { &[form(&[Varchar], Kind::Int, length_points), form(&[Text], Kind::Int, length_units)] })
        }
        "length_bytes" => one_text(const { &[form(&[Text], Kind::Int, length_bytes)] }),
        "left" => {
            Binding::Forms(const { &[text_form(&[Varchar, Int], left_points), text_form(&[Text, Int], left_units)] })
        }
        "right" => {
            Binding::Forms(const { &[text_form(&[Varchar, Int], right_points), text_form(&[Text, Int], right_units)] })
        }
        "lpad" => Binding::Forms(
            const {
                &[
                    text_form(&[Varchar, Int], lpad_points),
                    text_form(&[Text, Int], lpad_units),
                    form(&[Text, Int, Text], Kind::String, lpad_units),
                ]
            },
        ),
        "rpad" => Binding::Forms(
            const {
                &[
                    text_form(&[Varchar, Int], rpad_points),
                    text_form(&[Text, Int], rpad_units),
                    form(&[Text, Int, Text], Kind::String, rpad_units),
                ]
            },
        ),
        "substring" => Binding::Own(substring),
        "replace" => Binding::Forms(const { &[form(&[Text, Text, Text], Kind::String, replace)] }),
        "starts_with" => Binding::Forms(const { &[form(&[Text, Text], Kind::Boolean, starts_with)] }),
        "strpos" | "position" => Binding::Forms(const { &[form(&[Text, Text], Kind::Int, strpos)] }),
        "quote_ident" => one_text(const { &[form(&[Text], Kind::String, quote_ident)] }),
        "split_part" => Binding::Own(split_part),
        "regexp_replace" => Binding::Own(regexp_replace),
        "concat" => Binding::Own(|call, _| {
            if call.args.is_empty() {
                return Err(SqlError::new(call.position, "no arguments provided"));
            }
            concat(call.args.clone(), call.position)
        }),
        _ => return None,
    })
}

fn one_text(forms: &'static [Overload]) -> Binding {
    Binding::Forms(forms)
}

/// Returns the upper-case letter of a letter that has exactly one.
pub fn simple_upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// Returns the lower-case letter of a letter that has exactly one.
pub fn simple_lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

fn map_text<S: AsRef<str>>(args: &Args, f: impl Fn(&str) -> S) -> Result<ArrayRef, SqlError> {
    let texts = args.texts(0);
    Ok(text_column(args.rows(), |row| texts.get(row).map(&f)))
}

fn upper(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| t.chars().map(simple_upper).collect::<String>())
}

fn lower(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| t.chars().map(simple_lower).collect::<String>())
}

fn trim(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| t.trim_matches(' ').to_owned())
}

fn ltrim(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| t.trim_start_matches(' ').to_owned())
}

fn rtrim(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| t.trim_end_matches(' ').to_owned())
}

/// Returns lengths by `count`; that of NULL is -1.
fn lengths(args: &Args, count: impl Fn(&str) -> usize) -> Result<ArrayRef, SqlError> {
    let texts = args.texts(0);
    Ok(column::<Int32Type>(args.rows(), |row| Some(texts.get(row).map_or(-1, |t| count(t) as i32))))
}

fn length_points(args: &Args) -> Result<ArrayRef, SqlError> {
    lengths(args, |t| t.chars().count())
}

fn length_units(args: &Args) -> Result<ArrayRef, SqlError> {
    lengths(args, |t| t.encode_utf16().count())
}

fn length_bytes(args: &Args) -> Result<ArrayRef, SqlError> {
    lengths(args, str::len)
}

/// Returns texts cut or filled by a count in argument 1.
fn by_count(args: &Args, f: impl Fn(&str, i32, usize) -> Option<String>) -> Result<ArrayRef, SqlError> {
    let (texts, counts) = (args.texts(0), args.ints(1));
    Ok(text_column(args.rows(), |row| f(texts.get(row)?, counts.get(row)?, row)))
}

fn left_points(args: &Args) -> Result<ArrayRef, SqlError> {
    by_count(args, |t, n, _| Some(Units::Points.left(t, n)))
}

fn left_units(args: &Args) -> Result<ArrayRef, SqlError> {
    by_count(args, |t, n, _| Some(Units::Utf16.left(t, n)))
}

fn right_points(args: &Args) -> Result<ArrayRef, SqlError> {
    by_count(args, |t, n, _| Some(Units::Points.right(t, n)))
}

fn right_units(args: &Args) -> Result<ArrayRef, SqlError> {
    by_count(args, |t, n, _| Some(Units::Utf16.right(t, n)))
}

fn lpad_points(args: &Args) -> Result<ArrayRef, SqlError> {
    pad(args, Units::Points, true)
}

fn lpad_units(args: &Args) -> Result<ArrayRef, SqlError> {
    pad(args, Units::Utf16, true)
}

fn rpad_points(args: &Args) -> Result<ArrayRef, SqlError> {
    pad(args, Units::Points, false)
}

fn rpad_units(args: &Args) -> Result<ArrayRef, SqlError> {
    pad(args, Units::Utf16, false)
}

/// The longest text that a padding function makes, in characters.
const MAX_PADDED: i32 = 1 << 20;

fn pad(args: &Args, units: Units, left: bool) -> Result<ArrayRef, SqlError> {
    let counts = args.ints(1);
    if let Some(long) = (0..args.rows()).filter_map(|row| counts.get(row)).find(|n| *n > MAX_PADDED) {
        return Err(SqlError::new(0, format!("padded text of {long} characters is over the limit of {MAX_PADDED}")));
    }
    let fills = (args.len() > 2).then(|| args.texts(2));
    by_count(args, |t, n, row| {
        let fill = match &fills {
            Some(fills) => fills.get(row)?,
            None => " ",
        };
        if n < 0 || fill.is_empty() {
            return None;
        }
        Some(if left { units.lpad(t, n as usize, fill) } else { units.rpad(t, n as usize, fill) })
    })
}

fn substring(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if let Some(length) = call.args.get(2).and_then(Typed::as_integer)
        && length < 0
    {
        return Err(SqlError::new(call.position, "negative substring length is not allowed"));
    }
    const FORMS: &[Overload] = &[
        form(&[Param::Text, Param::Int, Param::Int], Kind::String, substrings),
        form(&[Param::Char, Param::Int, Param::Int], Kind::String, substrings),
    ];
    super::overload::bind(call, FORMS)
}

fn substrings(args: &Args) -> Result<ArrayRef, SqlError> {
    let lengths = args.ints(2);
    if (0..args.rows()).any(|row| lengths.get(row).is_some_and(|n| n < 0)) {
        return Err(SqlError::new(0, "negative substring length is not allowed"));
    }
    by_count(args, |t, start, row| Units::Utf16.substring(t, start, lengths.get(row)?))
}

fn replace(args: &Args) -> Result<ArrayRef, SqlError> {
    let (texts, from, to) = (args.texts(0), args.texts(1), args.texts(2));
    Ok(text_column(args.rows(), |row| {
        let (text, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
        Some(if from.is_empty() { text.to_owned() } else { text.replace(from, to) })
    }))
}

fn starts_with(args: &Args) -> Result<ArrayRef, SqlError> {
    let (texts, prefixes) = (args.texts(0), args.texts(1));
    Ok(boolean_column(args.rows(), |row| {
        texts.get(row).zip(prefixes.get(row)).is_some_and(|(text, prefix)| text.starts_with(prefix))
    }))
}

fn strpos(args: &Args) -> Result<ArrayRef, SqlError> {
    let (texts, parts) = (args.texts(0), args.texts(1));
    Ok(column::<Int32Type>(args.rows(), |row| {
        let (text, part) = (texts.get(row)?, parts.get(row)?);
        Some(text.find(part).map_or(0, |at| text[..at].encode_utf16().count() as i32 + 1))
    }))
}

fn quote_ident(args: &Args) -> Result<ArrayRef, SqlError> {
    map_text(args, |t| {
        let plain = t.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain { t.to_owned() } else { format!("\"{}\"", t.replace('"', "\"\"")) }
    })
}

fn split_part(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if let Some(index) = call.args.get(2)
        && index.as_integer() == Some(0)
    {
        return Err(SqlError::new(index.position, "field position must not be zero"));
    }
    const FORMS: &[Overload] = &[
        form(&[Param::Text, Param::Text, Param::Int], Kind::String, parts),
        form(&[Param::Char, Param::Char, Param::Int], Kind::String, parts),
    ];
    super::overload::bind(call, FORMS)
}

fn parts(args: &Args) -> Result<ArrayRef, SqlError> {
    let (texts, delimiters, indexes) = (args.texts(0), args.texts(1), args.ints(2));
    Ok(text_column(args.rows(), |row| Some(pieces::part(texts.get(row)?, delimiters.get(row)?, indexes.get(row)?))))
}

fn regexp_replace(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let text = |arg: &Typed| arg.kind.is_text() || matches!(arg.kind, Kind::Char | Kind::Null);
    let [value, pattern, replacement] = call.args.as_slice() else { return Err(call.no_match()) };
    if !call.args.iter().all(text) {
        return Err(call.no_match());
    }
    if let Some(dynamic) = [pattern, replacement].into_iter().find(|a| !a.is_literal()) {
        let message = "not implemented: dynamic pattern would be very slow to execute";
        return Err(SqlError::new(dynamic.position, message));
    }
    let (Some(text), Some(with)) = (pattern.as_text(), replacement.as_text()) else {
        return Ok(Typed::literal(Kind::String.null(), Kind::String, call.position));
    };
    let regex = matching::regex(text, pattern.position)?;
    let with = pieces::replacement(with);
    let kernel = Arc::new(move |args: &Args| map_text(args, |t| regex.replace_all(t, with.as_str()).into_owned()));
    let function = Function::new("regexp_replace", 3, Kind::String, Volatility::Immutable, kernel);
    let args = vec![convert(value.clone(), Kind::String)?, pattern.clone(), replacement.clone()];
    function.call(args, Kind::String, call.position)
}

/// Binds the joining of values as text, as `||` does it too.
///
/// NULL text and moments add nothing; a NULL whole number adds `null`, a NULL DOUBLE `NaN`, a NULL CHAR the character 0.
/// A DATE adds its number. The answer is never NULL.
pub fn concat(args: Vec<Typed>, position: usize) -> Result<Typed, SqlError> {
    let kinds: Vec<Kind> = args.iter().map(|a| a.kind).collect();
    let name = format!("concat {}", kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(" "));
    let count = args.len();
    let kernel = Arc::new(move |args: &Args| {
        let columns = kinds.iter().enumerate().map(|(i, k)| joined(args, i, *k)).collect::<Result<Vec<_>, _>>()?;
        Ok(text_column(args.rows(), |row| {
            let mut text = String::new();
            for column in &columns {
                column(row, &mut text);
            }
            Some(text)
        }))
    });
    Function::new(&name, count, Kind::String, Volatility::Immutable, kernel).call(args, Kind::String, position)
}

type Writer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// Returns what writes argument `i` of a row.
fn joined<'a>(args: &'a Args, i: usize, kind: Kind) -> Result<Writer<'a>, SqlError> {
    Ok(match kind {
        Kind::Null | Kind::String | Kind::Symbol | Kind::Varchar => {
            let texts = args.texts(i);
            Box::new(move |row, out| out.push_str(texts.get(row).unwrap_or_default()))
        }
        Kind::Char => {
            let texts = args.texts(i);
            Box::new(move |row, out| out.push_str(texts.get(row).unwrap_or("\0")))
        }
        Kind::Boolean => {
            let values = args.booleans(i);
            Box::new(move |row, out| out.push_str(if values.get(row) { "true" } else { "false" }))
        }
        Kind::Double => {
            let values = args.doubles(i);
            Box::new(move |row, out| out.push_str(&double_text(values.get(row).unwrap_or(f64::NAN))))
        }
        Kind::Float => {
            let values = args.floats(i);
            Box::new(move |row, out| out.push_str(&float_text(values.get(row).unwrap_or(f32::NAN))))
        }
        Kind::Timestamp => {
            let values = args.timestamps(i);
            Box::new(move |row, out| {
                if let Some(us) = values.get(row) {
                    out.push_str(&super::moment::timestamp_text(us));
                }
            })
        }
        Kind::Byte | Kind::Short | Kind::Int | Kind::Long | Kind::Date => {
            let longs = arrow::compute::cast(&args.array(i), &DataType::Int64)
                .map_err(|e| SqlError::new(0, format!("concat of {kind}: {e}")))?;
            Box::new(move |row, out| {
                let longs = longs.as_primitive::<Int64Type>();
                if longs.is_valid(row) {
                    out.push_str(&longs.value(row).to_string());
                } else {
                    out.push_str("null");
                }
            })
        }
        Kind::Uuid | Kind::Ipv4 | Kind::Long256 | Kind::Decimal(..) | Kind::TimestampNs => {
            let value = cell::reader(args, i);
            let null = match kind {
                Kind::Ipv4 => "0.0.0.0",
                Kind::Decimal(..) => "null",
                _ => "",
            };
            Box::new(move |row, out| match value(row) {
                Cell::Whole(ns) => out.push_str(&super::moment::timestamp_ns_text(ns)),
                value => out.push_str(cast::cell_text(&value, kind).as_deref().unwrap_or(null)),
            })
        }
        other => return Err(SqlError::new(0, format!("unsupported type: {other}"))),
    })
}

#[cfg(test)]
mod tests;
