//! `$1`, `$2`, …: their values, or while a statement is only described the kinds that they are found to need.

use std::cell::RefCell;

use datafusion::common::ScalarValue;

use crate::error::SqlError;
use crate::functions::Typed;
use crate::functions::cell::{self, Cell};
use crate::kind::Kind;
use crate::planner::{lists, numbers};

/// A value that a client bound to a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Null,
    Bool(bool),
    /// INT if it fits, else LONG.
    Int(i64),
    /// LONG, however small.
    Long(i64),
    Float(f64),
    /// DECIMAL where one is wanted, else DOUBLE.
    Decimal(String),
    Text(String),
    TimestampUs(i64),
    /// BINARY.
    Bytes(Vec<u8>),
    /// DOUBLE[]: lengths and values in row-major order; NaN is NULL.
    Array(Vec<u32>, Vec<f64>),
}

/// The parameters of one statement.
#[derive(Debug, Default)]
pub struct Parameters {
    /// Absent while the statement is described.
    values: Option<Vec<Param>>,
    hints: Vec<Option<Kind>>,
    found: RefCell<Vec<Option<Kind>>>,
    /// Those that are lists, with the kinds of their elements.
    lists: RefCell<Vec<(usize, Kind)>>,
}

impl Parameters {
    /// Returns parameters with values.
    pub fn bound(values: &[Param]) -> Parameters {
        Parameters { values: Some(values.to_vec()), ..Parameters::default() }
    }

    /// Returns parameters whose kinds are looked for; the client said some of them.
    pub fn described(hints: &[Option<Kind>]) -> Parameters {
        Parameters { hints: hints.to_vec(), ..Parameters::default() }
    }

    /// Returns the kinds of `$1` … `$n`; what nothing tells is text.
    pub fn kinds(&self) -> Vec<Kind> {
        let found = self.found.borrow();
        found.iter().map(|kind| kind.unwrap_or(Kind::Varchar)).collect()
    }

    /// Returns the places of the parameters that are lists, with the kinds of their elements.
    pub fn lists(&self) -> Vec<(usize, Kind)> {
        self.lists.borrow().clone()
    }

    /// Returns whether a parameter's kind is looked for.
    pub fn is_described(&self) -> bool {
        self.values.is_none()
    }

    /// Returns the constant that stands for `$number`; `wanted` is the kind that the place asks for.
    ///
    /// # Errors
    /// A number beyond the values that the client bound.
    pub fn bind(&self, number: usize, wanted: Option<Kind>, position: usize) -> Result<Typed, SqlError> {
        let place = number.checked_sub(1).ok_or_else(|| undefined(number, position))?;
        let Some(values) = &self.values else { return Ok(self.describe(place, wanted, position)) };
        let value = values.get(place).ok_or_else(|| undefined(number, position))?;
        Ok(match value {
            Param::Null => Typed::null(position),
            Param::Bool(value) => Typed::boolean(*value, position),
            Param::Int(value) => match i32::try_from(*value) {
                Ok(small) if wanted != Some(Kind::Long) => Typed::int(small, position),
                _ => Typed::long(*value, position),
            },
            Param::Long(value) => Typed::long(*value, position),
            Param::Float(value) => match wanted {
                Some(Kind::Decimal(..)) if value.is_finite() => exact(&value.to_string(), position)?,
                _ => Typed::double(*value, position),
            },
            Param::Decimal(digits) => match wanted {
                Some(kind) if kind.is_number() => match digits.parse() {
                    Ok(value) => Typed::double(value, position),
                    Err(_) => exact(digits, position)?,
                },
                _ => exact(digits, position)?,
            },
            Param::Bytes(bytes) => Typed::literal(ScalarValue::Binary(Some(bytes.clone())), Kind::Binary, position),
            Param::Array(shape, values) => {
                let shape = match wanted {
                    // an empty array does not tell its dimensions
                    Some(Kind::Array(dims)) if values.is_empty() => vec![0; usize::from(dims)],
                    _ => shape.clone(),
                };
                let kind = Kind::Array(u8::try_from(shape.len()).unwrap_or(u8::MAX));
                let cell = || Ok(Cell::Array(shape.clone(), values.clone()));
                let array = cell::build(kind, 1, |_| cell())?;
                let value = ScalarValue::try_from_array(&array, 0).map_err(|e| SqlError::from_datafusion(&e))?;
                Typed::literal(value, kind, position)
            }
            Param::Text(text) if wanted == Some(Kind::Char) => Typed::text(text, position),
            Param::Text(text) => Typed::literal(ScalarValue::Utf8View(Some(text.clone())), Kind::String, position),
            Param::TimestampUs(us) => {
                // A DATE has milliseconds: one that was stored from this very moment must equal it.
                let us = if wanted == Some(Kind::Date) { us.div_euclid(1_000) * 1_000 } else { *us };
                let value = ScalarValue::TimestampMicrosecond(Some(us), None);
                Typed::literal(value, Kind::Timestamp, position)
            }
        })
    }

    /// Returns the elements of the list of a kind that a client bound to `$number`, None for NULL ones; None while the
    /// statement is only described, and then the parameter is such a list or else a text.
    ///
    /// # Errors
    /// A value that is no list.
    pub fn list(&self, number: usize, kind: Kind, position: usize) -> Result<Option<Vec<Option<String>>>, SqlError> {
        let place = number.checked_sub(1).ok_or_else(|| undefined(number, position))?;
        let Some(values) = &self.values else {
            self.describe(place, Some(Kind::Varchar), position);
            self.lists.borrow_mut().push((place, kind));
            return Ok(None);
        };
        let elements = match values.get(place).ok_or_else(|| undefined(number, position))? {
            Param::Null => Some(vec![None]),
            Param::Text(text) => lists::elements(text),
            Param::Array(shape, values) if shape.len() == 1 => values.iter().map(|value| whole(*value)).collect(),
            _ => None,
        };
        let wrong = || SqlError::new(position, format!("a list such as {{a,b}} is expected in ${number}"));
        elements.map(Some).ok_or_else(wrong)
    }

    fn describe(&self, place: usize, wanted: Option<Kind>, position: usize) -> Typed {
        let mut found = self.found.borrow_mut();
        if found.len() <= place {
            found.resize(place + 1, None);
        }
        let hint = self.hints.get(place).copied().flatten();
        let wanted = wanted.filter(|kind| *kind != Kind::Null);
        let kind = match hint.or(found[place]) {
            // a driver says of a unit such as 'd' that it is a text
            Some(kind) if kind.is_text() && wanted == Some(Kind::Char) => Some(Kind::Char),
            known => known.or(wanted),
        };
        found[place] = kind;
        sample_of(kind.unwrap_or(Kind::Null), position)
    }
}

/// Returns the text of an element, None of which is NULL; none at all for a number too large to be told from its neighbours.
fn whole(value: f64) -> Option<Option<String>> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        return Some(None);
    }
    (value.abs() < EXACT).then(|| Some(value.to_string()))
}

/// Returns the DECIMAL of some digits.
fn exact(digits: &str, position: usize) -> Result<Typed, SqlError> {
    let wrong = || SqlError::new(position, format!("inconvertible value: `{digits}` [STRING -> DECIMAL]"));
    numbers::decimal(digits, position).ok_or_else(wrong)
}

fn undefined(number: usize, position: usize) -> SqlError {
    SqlError::new(position, format!("undefined bind variable: ${number}"))
}

/// Returns what stands for a parameter of a kind while its statement is described: a value that functions take which
/// need a constant, else NULL.
fn sample_of(kind: Kind, position: usize) -> Typed {
    let literal = |value| Typed::literal(value, kind, position);
    match kind {
        Kind::Byte => literal(ScalarValue::Int8(Some(1))),
        Kind::Short => literal(ScalarValue::Int16(Some(1))),
        Kind::Int => Typed::int(1, position),
        Kind::Long => Typed::long(1, position),
        Kind::Float => literal(ScalarValue::Float32(Some(0.5))),
        Kind::Double => Typed::double(0.5, position),
        Kind::Char => Typed::text("d", position),
        Kind::Timestamp => literal(ScalarValue::TimestampMicrosecond(Some(0), None)),
        kind => null_of(kind, position),
    }
}

/// Returns the NULL of a kind.
pub fn null_of(kind: Kind, position: usize) -> Typed {
    let value = ScalarValue::try_from(&kind.arrow()).expect("every kind has a scalar");
    Typed::literal(value, kind, position)
}
