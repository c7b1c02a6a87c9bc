//! An expression with its kind and its place in the statement, and a call by name.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::Expr;

use crate::error::SqlError;
use crate::kind::Kind;

/// A bound expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    pub expr: Expr,
    pub kind: Kind,
    /// Where its first token stands in the statement, in characters from 0.
    pub position: usize,
}

impl Typed {
    /// Returns an expression of that kind.
    pub fn new(expr: Expr, kind: Kind, position: usize) -> Typed {
        Typed { expr, kind, position }
    }

    /// Returns a constant; `value` is of the Arrow type of `kind`.
    pub fn literal(value: ScalarValue, kind: Kind, position: usize) -> Typed {
        debug_assert_eq!(value.data_type(), kind.arrow());
        Typed { expr: Expr::Literal(value, None), kind, position }
    }

    /// Returns the constant that a quoted text is: CHAR if it is one UTF-16 unit (but not a quote), else STRING.
    pub fn text(text: &str, position: usize) -> Typed {
        let kind = if text.encode_utf16().count() == 1 && text != "'" { Kind::Char } else { Kind::String };
        Typed::literal(ScalarValue::Utf8View(Some(text.to_owned())), kind, position)
    }

    /// Returns the constant INT.
    pub fn int(value: i32, position: usize) -> Typed {
        Typed::literal(ScalarValue::Int32(Some(value)), Kind::Int, position)
    }

    /// Returns the constant LONG.
    pub fn long(value: i64, position: usize) -> Typed {
        Typed::literal(ScalarValue::Int64(Some(value)), Kind::Long, position)
    }

    /// Returns the constant DOUBLE; NaN and infinities are its NULL.
    pub fn double(value: f64, position: usize) -> Typed {
        Typed::literal(ScalarValue::Float64(value.is_finite().then_some(value)), Kind::Double, position)
    }

    /// Returns the constant BOOLEAN.
    pub fn boolean(value: bool, position: usize) -> Typed {
        Typed::literal(ScalarValue::Boolean(Some(value)), Kind::Boolean, position)
    }

    /// Returns the bare NULL.
    pub fn null(position: usize) -> Typed {
        Typed::literal(ScalarValue::Utf8View(None), Kind::Null, position)
    }

    /// Returns a column of the input.
    pub fn column(column: Column, kind: Kind, position: usize) -> Typed {
        Typed { expr: Expr::Column(column), kind, position }
    }

    /// Returns the value if it is a constant.
    pub fn as_literal(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) => Some(value),
            Expr::Alias(alias) => match alias.expr.as_ref() {
                Expr::Literal(value, _) => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns whether it is a constant.
    pub fn is_literal(&self) -> bool {
        self.as_literal().is_some()
    }

    /// Returns whether it is a constant NULL (of any kind).
    pub fn is_null_literal(&self) -> bool {
        self.as_literal().is_some_and(ScalarValue::is_null)
    }

    /// Returns the text of a constant text.
    pub fn as_text(&self) -> Option<&str> {
        match self.as_literal() {
            Some(ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text))) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of a constant whole number.
    pub fn as_integer(&self) -> Option<i64> {
        match self.as_literal() {
            Some(ScalarValue::Int8(v)) => v.map(i64::from),
            Some(ScalarValue::Int16(v)) => v.map(i64::from),
            Some(ScalarValue::Int32(v)) => v.map(i64::from),
            Some(ScalarValue::Int64(v)) => *v,
            _ => None,
        }
    }

    /// Returns the same expression said to be of another kind with the same Arrow type.
    pub fn with_kind(self, kind: Kind) -> Typed {
        debug_assert_eq!(self.kind.arrow(), kind.arrow());
        Typed { kind, ..self }
    }

    /// Returns the same expression at another place.
    pub fn at(self, position: usize) -> Typed {
        Typed { position, ..self }
    }
}

/// A call of a function by name.
#[derive(Debug, Clone)]
pub struct Call {
    /// The name as written.
    pub name: String,
    /// Where the name stands.
    pub position: usize,
    pub args: Vec<Typed>,
}

impl Call {
    /// Returns a call.
    pub fn new(name: impl Into<String>, position: usize, args: Vec<Typed>) -> Call {
        Call { name: name.into(), position, args }
    }

    /// Returns the kinds of the arguments, as error texts list them.
    pub fn kinds(&self, separator: &str) -> String {
        self.args.iter().map(|a| a.kind.name()).collect::<Vec<_>>().join(separator)
    }

    /// Returns the error of a call that fits none of several forms.
    pub fn no_match(&self) -> SqlError {
        if self.args.is_empty() {
            return SqlError::new(self.position, format!("function `{}` requires arguments", self.name));
        }
        let message =
            format!("there is no matching function `{}` with the argument types: ({})", self.name, self.kinds(", "));
        SqlError::new(self.position, message)
    }

    /// Returns the error of a call with the wrong number of arguments for a function of one form.
    pub fn wrong_count(&self, expected: usize) -> SqlError {
        let (name, provided) = (&self.name, self.args.len());
        let message =
            format!("wrong number of arguments for function `{name}`; expected: {expected}, provided: {provided}");
        SqlError::new(self.position, message)
    }
}
