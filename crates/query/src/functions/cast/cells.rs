//! Conversions from and to the kinds that are no plain numbers, texts or moments, a value at a time.

use arrow::array::ArrayRef;
use arrow::datatypes::i256;
use types::{array_text, decimal, geohash, ipv4, long256, uuid};

use super::{Misfit, kernels};
use crate::error::SqlError;
use crate::functions::cell::{self, Cell};
use crate::functions::decimal::{power_of_ten, rescale};
use crate::functions::kernel::Args;
use crate::functions::numbers::{double_text, float_text};
use crate::kind::Kind;

/// Returns whether a kind is converted here, to or from any other.
pub fn is_own(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, Uuid | Ipv4 | Long256 | Binary | Geohash(_) | Array(_) | Decimal(..))
}

/// Returns whether an explicit cast between two kinds exists, one of which is converted here.
pub fn casts(from: Kind, to: Kind) -> bool {
    use Kind::*;
    let number = |kind: Kind| kind.is_number() || kind == Boolean || kind == Char || kind.is_time();
    match (from, to) {
        (Binary, _) | (_, Binary) => from == to,
        (String | Symbol | Varchar, _) => true,
        (Null, _) => true,
        (Uuid, String | Varchar | Symbol) | (Ipv4, String | Varchar | Int) => true,
        (Long256, String | Varchar | Symbol) => true,
        (Long256, to) => number(to) || to == Long256,
        (Geohash(_), Geohash(_) | String | Varchar) => true,
        (Array(_), Array(_) | String | Varchar) => true,
        (Decimal(..), Decimal(..) | String | Varchar | Symbol) => true,
        (Decimal(..), to) => to.is_number(),
        (from, Long256) => number(from),
        (Byte | Short | Int, Ipv4) => true,
        (Char, Geohash(bits)) => bits <= 5,
        (from, Geohash(_)) => from.is_integer() || from.is_time(),
        (from, Array(_)) => from.is_number() || from.is_time(),
        (from, Decimal(..)) => from.is_number() || from == Char,
        (from, to) => from == to,
    }
}

/// Converts argument 0.
pub fn run(args: &Args, from: Kind, to: Kind, misfit: Misfit) -> Result<ArrayRef, SqlError> {
    let value = cell::reader(args, 0);
    cell::build(to, args.rows(), |row| match value(row) {
        // The text of a GEOHASH that is NULL is empty.
        Cell::Null if matches!(from, Kind::Geohash(_)) && to.is_text() => Ok(Cell::Text(String::new())),
        Cell::Null => Ok(Cell::Null),
        value => convert(value, from, to, misfit),
    })
}

/// Converts a value that is not NULL.
fn convert(value: Cell, from: Kind, to: Kind, misfit: Misfit) -> Result<Cell, SqlError> {
    if matches!(to, Kind::String | Kind::Symbol | Kind::Varchar) {
        return Ok(text(&value, from).map_or(Cell::Null, Cell::Text));
    }
    if let (Cell::Text(text), true) = (&value, from.is_text() || from == Kind::Char) {
        return of_text(text, from, to, misfit);
    }
    Ok(match (value, to) {
        (Cell::Array(mut shape, values), Kind::Array(dims)) => {
            while shape.len() < usize::from(dims) {
                shape.insert(0, 1);
            }
            Cell::Array(shape, values)
        }
        (value, Kind::Array(dims)) => Cell::Array(vec![1; usize::from(dims)], vec![real(&value)]),
        (Cell::Decimal(number), Kind::Decimal(precision, scale)) => {
            let Kind::Decimal(_, own) = from else { return Err(SqlError::internal("a decimal has no scale")) };
            let unfit = || inconvertible(&decimal::text(&number.to_string(), own), from, to);
            Cell::Decimal(rescale(number, own, precision, scale).ok_or_else(unfit)?)
        }
        (Cell::Decimal(number), _) => of_decimal(number, from, to)?,
        (Cell::Whole(n), Kind::Decimal(precision, scale)) => {
            let unfit = || inconvertible(&n.to_string(), from, to);
            Cell::Decimal(rescale(i256::from(n), 0, precision, scale).ok_or_else(unfit)?)
        }
        (value @ (Cell::Float(_) | Cell::Double(_)), Kind::Decimal(precision, scale)) => {
            let text = text(&value, from).unwrap_or_default();
            Cell::Decimal(decimal_of(&text, precision, scale)?)
        }
        (Cell::Whole(hash), Kind::Geohash(bits)) => match from {
            Kind::Geohash(own) => Cell::Whole(hash >> own.saturating_sub(bits)),
            _ => Cell::Whole(hash & ((1 << bits) - 1)),
        },
        (Cell::Whole(n), Kind::Ipv4) => Cell::Ipv4(n as u32),
        (Cell::Ipv4(address), _) => whole_to(i64::from(address as i32), from, to),
        (Cell::Long256(bytes), _) => {
            let low = bytes[24..].try_into().map_or(0, i64::from_be_bytes);
            whole_to(low, Kind::Long, to)
        }
        (Cell::Boolean(value), Kind::Long256) => Cell::Long256(wide(i64::from(value))),
        (Cell::Whole(n), Kind::Long256) => Cell::Long256(wide(n)),
        (value, Kind::Long256) => match real(&value) {
            x if x.is_nan() || x.abs() >= i64::MAX as f64 => Cell::Null,
            x => Cell::Long256(wide(x as i64)),
        },
        (value, _) => value,
    })
}

/// Returns a whole number as 256 bits; a negative one keeps its sign's bits in the low word only.
fn wide(n: i64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn real(value: &Cell) -> f64 {
    match value {
        Cell::Whole(n) => *n as f64,
        Cell::Float(x) => f64::from(*x),
        Cell::Double(x) => *x,
        _ => f64::NAN,
    }
}

/// Returns the low bits of a whole number as a value of the kind.
fn whole_to(n: i64, from: Kind, to: Kind) -> Cell {
    match to {
        Kind::Boolean => Cell::Boolean(n != 0),
        Kind::Byte => Cell::Whole((n as i8).into()),
        Kind::Short => Cell::Whole((n as i16).into()),
        Kind::Int => Cell::Whole((n as i32).into()),
        Kind::Float => Cell::Float(n as f32),
        Kind::Double => Cell::Double(n as f64),
        Kind::Char => kernels::char_text(n as u16).map_or(Cell::Null, Cell::Text),
        _ if to.is_time() || to == Kind::Long => Cell::Whole(n),
        _ => {
            debug_assert_eq!(from, to, "casts() allows it");
            Cell::Null
        }
    }
}

fn of_decimal(number: i256, from: Kind, to: Kind) -> Result<Cell, SqlError> {
    let Kind::Decimal(_, scale) = from else { return Err(SqlError::internal("a decimal has no scale")) };
    let text = || decimal::text(&number.to_string(), scale);
    if matches!(to, Kind::Float | Kind::Double) {
        let value: f64 = text().parse().unwrap_or(f64::NAN);
        return Ok(if to == Kind::Float { Cell::Float(value as f32) } else { Cell::Double(value) });
    }
    let (low, high) = match to {
        Kind::Byte => (i8::MIN.into(), i8::MAX.into()),
        Kind::Short => (i16::MIN.into(), i16::MAX.into()),
        Kind::Int => (i64::from(i32::MIN) + 1, i32::MAX.into()),
        _ => (i64::MIN + 1, i64::MAX),
    };
    let whole = number / power_of_ten(scale);
    let fits = whole.to_i128().and_then(|n| i64::try_from(n).ok()).filter(|n| (low..=high).contains(n));
    fits.map(Cell::Whole).ok_or_else(|| inconvertible(&text(), from, to))
}

/// Reads a text as a decimal, as the explicit cast does: what does not fit is an error.
pub fn decimal_of(text: &str, precision: u8, scale: u8) -> Result<i256, SqlError> {
    let error = |message: String| SqlError::new(0, message);
    let invalid = || error(format!("invalid decimal: '{text}'"));
    let plain = text.trim().trim_end_matches(['m', 'M']);
    let (digits, own) = decimal::parse(plain).ok_or_else(invalid)?;
    let significant = digits.trim_end_matches('0').len();
    let zeros = (digits.len() - significant) as u16;
    if own.saturating_sub(zeros) > u16::from(scale) {
        let message = format!("decimal '{text}' has {own} decimal places but scale is limited to {scale}");
        return Err(error(message));
    }
    let cut = own.saturating_sub(scale.into()).min(zeros);
    let digits = &digits[..digits.len() - usize::from(cut)];
    let number = i256::from_string(digits).ok_or_else(invalid)?;
    let grown = u8::try_from(u16::from(scale) - (own - cut)).map_err(|_| invalid())?;
    let too_large = || {
        error(format!(
            "decimal '{text}' requires precision of {} but is limited to {precision}",
            digits.trim_start_matches(['-', '0']).len()
        ))
    };
    rescale(number, 0, precision, grown).ok_or_else(too_large)
}

/// Reads 1 to 64 hex digits behind `0x` or alone, as an inserted text has them.
fn loose_long256(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    match digits.len() % 2 {
        0 => long256::parse_digits(digits),
        _ => long256::parse_digits(&format!("0{digits}")),
    }
}

fn of_text(text: &str, from: Kind, to: Kind, misfit: Misfit) -> Result<Cell, SqlError> {
    let read = match to {
        Kind::Uuid => uuid::parse(text).map(Cell::Uuid),
        Kind::Ipv4 => ipv4::parse(text).map(Cell::Ipv4),
        Kind::Long256 if misfit == Misfit::Refuse => loose_long256(text).map(Cell::Long256),
        Kind::Long256 => long256::parse(text).map(Cell::Long256),
        Kind::Geohash(bits) => geohash::parse(text, bits).map(Cell::Whole),
        Kind::Array(dims) => array_text::parse(text).and_then(|(shape, values)| {
            let fits = shape.len() == usize::from(dims) || values.is_empty();
            fits.then_some(Cell::Array(shape, values))
        }),
        Kind::Decimal(precision, scale) if misfit == Misfit::Null => {
            let unfit = |_| inconvertible(&format!("`{text}`"), from.shown(), to);
            return decimal_of(text, precision, scale).map(Cell::Decimal).map_err(unfit);
        }
        Kind::Decimal(precision, scale) => decimal_of(text, precision, scale).ok().map(Cell::Decimal),
        _ => None,
    };
    match read {
        Some(cell) => Ok(cell),
        None if misfit == Misfit::Null
            || (text.is_empty() && matches!(to, Kind::Uuid | Kind::Ipv4 | Kind::Decimal(..))) =>
        {
            Ok(Cell::Null)
        }
        None if from == Kind::Char => Err(inconvertible(text, from, to)),
        None => Err(inconvertible(&format!("`{text}`"), from.shown(), to)),
    }
}

fn inconvertible(value: &str, from: Kind, to: Kind) -> SqlError {
    SqlError::new(0, format!("inconvertible value: {value} [{from} -> {to}]"))
}

/// Returns the text of a value of a kind that has one; None for NULL.
pub fn text(value: &Cell, kind: Kind) -> Option<String> {
    Some(match value {
        Cell::Null | Cell::Binary(_) => return None,
        Cell::Boolean(value) => value.to_string(),
        Cell::Whole(hash) => match kind {
            Kind::Geohash(bits) => geohash::text(*hash, bits),
            _ => hash.to_string(),
        },
        Cell::Float(x) => float_text(*x),
        Cell::Double(x) => double_text(*x),
        Cell::Text(text) => text.clone(),
        Cell::Uuid(bytes) => uuid::text(bytes),
        Cell::Ipv4(address) => ipv4::text(*address),
        Cell::Long256(bytes) => long256::text(bytes),
        Cell::Array(shape, values) => {
            let mut out = String::new();
            let put = &mut |out: &mut String, text: &str| out.push_str(text);
            let mut number = |out: &mut String, v: Option<f64>| match v {
                Some(v) => out.push_str(&double_text(v)),
                None => out.push_str("null"),
            };
            array_text::write(&mut out, shape, values, put, ("[", "]"), &mut number);
            out
        }
        Cell::Decimal(number) => match kind {
            Kind::Decimal(_, scale) => decimal::text(&number.to_string(), scale),
            _ => number.to_string(),
        },
    })
}
