//! `$1`, `$2`, …: their values, or while a statement is only described the kinds that they are found to need.

use std::cell::RefCell;

use datafusion::common::ScalarValue;

use crate::error::SqlError;
use crate::functions::Typed;
use crate::kind::Kind;

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
    Text(String),
    TimestampUs(i64),
}

/// The parameters of one statement.
#[derive(Debug, Default)]
pub struct Parameters {
    /// Absent while the statement is described.
    values: Option<Vec<Param>>,
    hints: Vec<Option<Kind>>,
    found: RefCell<Vec<Option<Kind>>>,
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
            Param::Float(value) => Typed::double(*value, position),
            Param::Text(text) => Typed::literal(ScalarValue::Utf8View(Some(text.clone())), Kind::String, position),
            Param::TimestampUs(us) => {
                let value = ScalarValue::TimestampMicrosecond(Some(*us), None);
                Typed::literal(value, Kind::Timestamp, position)
            }
        })
    }

    fn describe(&self, place: usize, wanted: Option<Kind>, position: usize) -> Typed {
        let mut found = self.found.borrow_mut();
        if found.len() <= place {
            found.resize(place + 1, None);
        }
        let hint = self.hints.get(place).copied().flatten();
        let wanted = wanted.filter(|kind| *kind != Kind::Null);
        let kind = hint.or(found[place]).or(wanted);
        found[place] = kind;
        null_of(kind.unwrap_or(Kind::Null), position)
    }
}

fn undefined(number: usize, position: usize) -> SqlError {
    SqlError::new(position, format!("undefined bind variable: ${number}"))
}

/// Returns the NULL of a kind.
pub fn null_of(kind: Kind, position: usize) -> Typed {
    let value = ScalarValue::try_from(&kind.arrow()).expect("every kind has a scalar");
    Typed::literal(value, kind, position)
}
