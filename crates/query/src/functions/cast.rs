//! Conversions between kinds: those that a user writes, those that an operator or argument needs, those of INSERT.
//!
//! The three differ in what they refuse. An explicit cast never fails but for CHAR: what does not fit is NULL, or 0 where
//! there is none. An implicit one widens; text must hold a value of the type asked for. An assignment also narrows, if
//! the value fits. Next: [`kernels`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::logical_expr::Volatility;

use super::kernel::Function;
use super::typed::Typed;
use super::{json, moment};
use crate::error::SqlError;
use crate::kind::Kind;

mod cells;
mod kernels;

pub use cells::text as cell_text;
pub use kernels::{char_text, value_text};

/// What a conversion does with a value that the target cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misfit {
    /// NULL, or 0 or false where the target has none; whole numbers keep their low bits.
    Null,
    /// The error `inconvertible value: …`.
    Refuse,
}

/// Converts as CAST and `::` do.
pub fn explicit(arg: Typed, to: Kind, position: usize) -> Result<Typed, SqlError> {
    if arg.kind == Kind::Null {
        return Ok(Typed::literal(to.null(), to, position));
    }
    if let Some(read) = json::cast(&arg, to, position) {
        return read;
    }
    if arg.kind == to || (arg.kind.is_text() && to.is_text()) {
        return Ok(arg.with_kind(to).at(position));
    }
    if (cells::is_own(arg.kind) || cells::is_own(to)) && !cells::casts(arg.kind, to) {
        return Err(no_cast(&arg, to, position));
    }
    if let (Kind::Geohash(from), Kind::Geohash(bits)) = (arg.kind, to)
        && bits > from
    {
        let message = format!("CAST cannot narrow values from {} to {to}", arg.kind);
        return Err(SqlError::new(position, message));
    }
    if let (Kind::Array(from), Kind::Array(dims)) = (arg.kind, to)
        && dims < from
    {
        return Err(no_cast(&arg, to, position));
    }
    if let (Some(text), Kind::Uuid | Kind::Ipv4) = (arg.as_text(), to)
        && !text.is_empty()
    {
        let (valid, name) = match to {
            Kind::Uuid => (types::uuid::parse(text).is_some(), "UUID"),
            _ => (types::ipv4::parse(text).is_some(), "IPv4"),
        };
        if !valid {
            return Err(SqlError::new(arg.position, format!("invalid {name} constant")));
        }
    }
    if let (Some(text), Kind::Geohash(bits)) = (arg.as_text(), to)
        && !text.is_empty()
        && text.len() * 5 < usize::from(bits)
    {
        let len = text.len();
        let message = format!("string is too short to cast to chosen GEOHASH precision [len={len}, precision={bits}]");
        return Err(SqlError::new(arg.position, message));
    }
    let value_position = if matches!(to, Kind::Decimal(..)) && arg.is_literal() { arg.position } else { 0 };
    let converted = convert(arg, to, Misfit::Null).map(|t| t.at(position));
    converted.map_err(|e| SqlError { position: e.position.max(value_position), ..e })
}

fn no_cast(arg: &Typed, to: Kind, position: usize) -> SqlError {
    let message = format!("there is no matching function `cast` with the argument types: ({}, {to})", arg.kind);
    SqlError::new(position, message)
}

/// Converts an operand or argument whose kind `to` accepts; text must hold such a value.
///
/// A constant text that stands for a moment is read at once and refused at its own place.
pub fn implicit(arg: Typed, to: Kind) -> Result<Typed, SqlError> {
    let position = arg.position;
    if arg.kind == Kind::Null {
        return Ok(Typed::literal(to.null(), to, position));
    }
    if arg.kind == to || (arg.kind.is_text() && to.is_text()) {
        return Ok(arg.with_kind(to));
    }
    if to.is_time()
        && arg.kind.is_text()
        && let Some(text) = arg.as_text()
    {
        return constant_moment(text, to, position);
    }
    convert(arg, to, Misfit::Refuse)
}

/// Converts text that an aggregate adds up, row by row; the error says that it was met there.
pub fn reduced(arg: Typed, to: Kind) -> Result<Typed, SqlError> {
    let (from, position) = (arg.kind, arg.position);
    let kernel = Arc::new(move |args: &super::kernel::Args| {
        kernels::run(args, from, to, Misfit::Refuse)
            .map_err(|e| SqlError { message: format!("unexpected reduce error: {}", e.message), ..e })
    });
    let name = format!("reduce {from} {to}");
    Function::new(&name, 1, to, Volatility::Immutable, kernel).call(vec![arg], to, position)
}

/// Reads a constant text that stands for a moment.
fn constant_moment(text: &str, to: Kind, position: usize) -> Result<Typed, SqlError> {
    let invalid = || SqlError::new(position, format!("Invalid date [str={text}]"));
    if to == Kind::TimestampNs {
        let ns = moment::parse_timestamp_ns(text).ok_or_else(invalid)?;
        let value = datafusion::common::ScalarValue::TimestampNanosecond(Some(ns), None);
        return Ok(Typed::literal(value, Kind::TimestampNs, position));
    }
    let us = moment::parse_timestamp(text).ok_or_else(invalid)?;
    let timestamp = Typed::literal(
        datafusion::common::ScalarValue::TimestampMicrosecond(Some(us), None),
        Kind::Timestamp,
        position,
    );
    if to == Kind::Timestamp { Ok(timestamp) } else { convert(timestamp, to, Misfit::Null) }
}

/// Converts a value that INSERT or UPDATE stores in column `column`; `source` is its first token.
pub fn assign(arg: Typed, to: Kind, source: &str, column: &str) -> Result<Typed, SqlError> {
    if arg.kind == to || arg.kind == Kind::Null || (arg.kind.is_text() && to.is_text()) {
        return implicit(arg, to);
    }
    if !assigns(arg.kind, to) {
        let message = format!("inconvertible types: {} -> {to} [from={source}, to={column}]", arg.kind);
        return Err(SqlError::new(arg.position, message));
    }
    convert(arg, to, Misfit::Refuse)
}

/// Returns whether INSERT takes values of one kind for a column of another.
fn assigns(from: Kind, to: Kind) -> bool {
    use Kind::*;
    match (from, to) {
        (Char, String | Symbol | Varchar | Short | Byte | Int | Long | Float | Double) => true,
        (Char, Date | Timestamp | TimestampNs | Decimal(..)) => true,
        (Char, Geohash(bits)) => bits <= 5,
        (String | Symbol | Varchar, Boolean | Binary) => false,
        (String | Symbol | Varchar, _) => true,
        (Byte, Boolean) | (Boolean, Byte) => true,
        (_, Boolean) | (Boolean, _) => false,
        (Uuid | Ipv4, String | Varchar | Symbol) => true,
        (_, Char | String | Symbol | Varchar) => false,
        (Float | Double, Date | Timestamp | TimestampNs) => false,
        (Geohash(from), Geohash(to)) => from >= to,
        (Array(from), Array(to)) => from == to,
        (Decimal(..), Decimal(..)) => true,
        (Byte | Short | Int | Long, Decimal(..)) => true,
        (from, to) => !cells::is_own(from) && !cells::is_own(to),
    }
}

/// Returns whether ALTER COLUMN TYPE converts a column of one kind to another.
pub fn alters(from: Kind, to: Kind) -> bool {
    use Kind::*;
    let plain = |kind: Kind| kind.is_number() || kind.is_time() || kind == Boolean;
    match (from, to) {
        (String | Varchar | Symbol, Char | Uuid) => true,
        (String | Varchar, Ipv4) => true,
        (String | Varchar | Symbol, to) => plain(to) || to.is_text(),
        (Ipv4 | Char | Uuid, to) => to.is_text(),
        (from, Decimal(..)) => from.is_integer() || matches!(from, Decimal(..)),
        (Decimal(..), Byte | Short | Int | Long) => true,
        (from, to) => plain(from) && (plain(to) || to.is_text()),
    }
}

/// Returns the values of a column as ALTER COLUMN TYPE converts them.
///
/// # Errors
/// A value that TIMESTAMP_NS or a DECIMAL cannot hold, or a DECIMAL that does not fit the whole number.
pub fn altered(array: &ArrayRef, from: Kind, to: Kind) -> Result<ArrayRef, SqlError> {
    if from.is_text() && to.is_text() {
        return Ok(array.clone());
    }
    // A moment as SYMBOL is its text here, its number in a cast.
    let to = if to == Kind::Symbol { Kind::String } else { to };
    let values = [datafusion::logical_expr::ColumnarValue::Array(array.clone())];
    let args = super::kernel::Args::new(&values, array.len());
    match cells::is_own(from) || cells::is_own(to) {
        true => cells::run(&args, from, to, Misfit::Null),
        false => kernels::run(&args, from, to, Misfit::Null),
    }
}

/// Returns the call that converts, evaluated at once for a constant.
fn convert(arg: Typed, to: Kind, misfit: Misfit) -> Result<Typed, SqlError> {
    let as_it_is = arg.kind.arrow() == datafusion::arrow::datatypes::DataType::Utf8View && to != Kind::Char;
    if arg.kind.arrow() == to.arrow() && as_it_is && (arg.kind, to) != (Kind::Char, Kind::Null) {
        return Ok(arg.with_kind(to));
    }
    let from = arg.kind;
    let name = format!("cast {from} {to} {misfit:?}");
    let position = arg.position;
    let kernel = Arc::new(move |args: &super::kernel::Args| match cells::is_own(from) || cells::is_own(to) {
        true => cells::run(args, from, to, misfit),
        false => kernels::run(args, from, to, misfit),
    });
    Function::new(&name, 1, to, Volatility::Immutable, kernel).call(vec![arg], to, position)
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::*;

    fn shown(result: Result<Typed, SqlError>) -> String {
        match result {
            Ok(typed) => kernels::scalar_text(typed.as_literal().expect("constants fold"), typed.kind),
            Err(e) => e.message,
        }
    }

    fn check(value: Typed, to: Kind, expected: &str) {
        assert_eq!(shown(explicit(value.clone(), to, 0)), expected, "{value:?} to {to}");
    }

    #[test]
    fn whole_numbers_keep_their_low_bits() {
        check(Typed::int(300, 0), Kind::Byte, "44");
        check(Typed::int(128, 0), Kind::Byte, "-128");
        check(Typed::int(70000, 0), Kind::Short, "4464");
        check(Typed::long(4294967297, 0), Kind::Int, "1");
        check(Typed::long(2147483648, 0), Kind::Int, "null");
        check(Typed::literal(ScalarValue::Int32(None), Kind::Int, 0), Kind::Short, "0");
        check(Typed::literal(ScalarValue::Int32(None), Kind::Int, 0), Kind::Long, "null");
    }

    #[test]
    fn floats_are_cut_and_refuse_what_is_out_of_range() {
        check(Typed::double(1e10, 0), Kind::Int, "null");
        check(Typed::double(1e19, 0), Kind::Long, "null");
        check(Typed::double(3.99, 0), Kind::Long, "3");
        check(Typed::double(300.7, 0), Kind::Byte, "0");
        check(Typed::double(1e40, 0), Kind::Float, "null");
        check(Typed::double(1e15, 0), Kind::Timestamp, "2001-09-09T01:46:40.000000Z");
    }

    #[test]
    fn text_that_is_no_number_is_null() {
        check(Typed::text("12", 0), Kind::Int, "12");
        check(Typed::text(" 5", 0), Kind::Int, "null");
        check(Typed::text("1.5", 0), Kind::Int, "null");
        check(Typed::text("1e3", 0), Kind::Double, "1000.0");
        check(Typed::text("300", 0), Kind::Byte, "44");
        check(Typed::text("12L", 0), Kind::Long, "12");
        check(Typed::text("abc", 0), Kind::Short, "0");
        check(Typed::text("TRUE", 0), Kind::Boolean, "true");
        check(Typed::text("yes", 0), Kind::Boolean, "false");
        check(Typed::text("abc", 0), Kind::Char, "a");
        check(Typed::text("2024-02-29T24:00", 0), Kind::Timestamp, "null");
        check(Typed::text("2024", 0), Kind::Timestamp, "2024-01-01T00:00:00.000000Z");
        check(Typed::text("20240229", 0), Kind::Timestamp, "null");
        check(Typed::text("2024-02", 0), Kind::Timestamp, "2024-02-01T00:00:00.000000Z");
    }

    #[test]
    fn chars_are_digits_or_an_error() {
        check(Typed::text("7", 0), Kind::Int, "7");
        check(Typed::text("a", 0), Kind::Int, "inconvertible value: a [CHAR -> INT]");
        check(Typed::text("t", 0), Kind::Boolean, "true");
        check(Typed::int(65, 0), Kind::Char, "A");
        check(Typed::boolean(true, 0), Kind::Char, "T");
    }

    #[test]
    fn moments_print_as_text_and_as_numbers_in_symbols() {
        let us = Typed::literal(ScalarValue::TimestampMicrosecond(Some(-1), None), Kind::Timestamp, 0);
        check(us.clone(), Kind::String, "1969-12-31T23:59:59.999999Z");
        check(us.clone(), Kind::Symbol, "-1");
        check(us.clone(), Kind::Date, "1970-01-01T00:00:00.000Z");
        check(us, Kind::Long, "-1");
        check(Typed::double(1e21, 0), Kind::Varchar, "1.0E21");
    }

    #[test]
    fn arguments_refuse_text_that_does_not_hold_a_value() {
        let check =
            |text: &str, to: Kind, expected: &str| assert_eq!(shown(implicit(Typed::text(text, 3), to)), expected);
        check("5", Kind::Double, "5.0");
        check("abc", Kind::Double, "inconvertible value: `abc` [STRING -> DOUBLE]");
        check("x", Kind::Int, "inconvertible value: x [CHAR -> INT]");
        check("soon", Kind::Timestamp, "Invalid date [str=soon]");
        check("2024", Kind::Timestamp, "2024-01-01T00:00:00.000000Z");
    }

    #[test]
    fn inserts_narrow_when_the_value_fits() {
        let check = |value: Typed, to: Kind, expected: &str| assert_eq!(shown(assign(value, to, "5", "c")), expected);
        check(Typed::int(300, 0), Kind::Byte, "inconvertible value: 300 [INT -> BYTE]");
        check(Typed::long(12, 0), Kind::Short, "12");
        check(Typed::double(21.9, 0), Kind::Int, "21");
        check(Typed::text("1.5", 0), Kind::Long, "inconvertible value: `1.5` [STRING -> LONG]");
        check(Typed::int(5, 0), Kind::Varchar, "inconvertible types: INT -> VARCHAR [from=5, to=c]");
        check(Typed::double(1.5, 0), Kind::Timestamp, "inconvertible types: DOUBLE -> TIMESTAMP [from=5, to=c]");
        check(Typed::text("1704067200000000", 0), Kind::Timestamp, "2024-01-01T00:00:00.000000Z");
    }
}
