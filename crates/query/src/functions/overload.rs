//! Which form of a function a call means.
//!
//! A function has one or more forms; each names what it takes and gives. The form whose parameters are nearest to the
//! arguments wins, and every argument is converted to the parameter's type before the kernel sees it.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::logical_expr::Volatility;

use super::kernel::{Args, Function};
use super::typed::{Call, Typed};
use super::{KernelFn, cast};
use crate::error::SqlError;
use crate::kind::Kind;

/// What a form takes at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Char,
    /// Any text; the kernel cannot tell the three kinds apart.
    Text,
    /// VARCHAR only.
    Varchar,
    Date,
    /// A moment: TIMESTAMP, DATE, or text that holds one.
    Timestamp,
}

/// What a form gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Kind(Kind),
    /// VARCHAR if the first argument is, else STRING.
    TextOfFirst,
}

/// One form of a function.
pub struct Overload {
    pub params: &'static [Param],
    pub returns: Returns,
    pub volatility: Volatility,
    pub kernel: fn(&Args) -> Result<ArrayRef, SqlError>,
}

/// Returns a form whose answer hangs on its arguments alone.
pub const fn form(
    params: &'static [Param],
    returns: Kind,
    kernel: fn(&Args) -> Result<ArrayRef, SqlError>,
) -> Overload {
    Overload { params, returns: Returns::Kind(returns), volatility: Volatility::Immutable, kernel }
}

/// Returns a form over text that gives VARCHAR for VARCHAR and STRING for other text.
pub const fn text_form(params: &'static [Param], kernel: fn(&Args) -> Result<ArrayRef, SqlError>) -> Overload {
    Overload { params, returns: Returns::TextOfFirst, volatility: Volatility::Immutable, kernel }
}

impl Param {
    /// Returns the kind that the kernel sees.
    pub fn kind(self) -> Kind {
        match self {
            Param::Boolean => Kind::Boolean,
            Param::Byte => Kind::Byte,
            Param::Short => Kind::Short,
            Param::Int => Kind::Int,
            Param::Long => Kind::Long,
            Param::Float => Kind::Float,
            Param::Double => Kind::Double,
            Param::Char => Kind::Char,
            Param::Text => Kind::String,
            Param::Varchar => Kind::Varchar,
            Param::Date => Kind::Date,
            Param::Timestamp => Kind::Timestamp,
        }
    }

    /// Returns how far an argument is from the parameter; None if it does not convert by itself.
    fn distance(self, kind: Kind) -> Option<u32> {
        use Kind::*;
        let target = self.kind();
        if kind == target || kind == Null {
            return Some(0);
        }
        Some(match (self, kind) {
            (Param::Text, String | Symbol | Varchar) => 0,
            (Param::Text, Char) => 1,
            (Param::Text, Uuid) => 5,
            (Param::Varchar, String | Symbol | Char) => 1,
            (Param::Short, Byte) => 1,
            (Param::Int, Byte | Short) => 2,
            (Param::Long, Byte | Short | Int) => 3 - (kind == Int) as u32,
            (Param::Long, Timestamp | Date) => 6,
            (Param::Float, Byte | Short | Int) => 5,
            (Param::Double, Float) => 1,
            (Param::Double, Byte | Short | Int | Long) => 6,
            (Param::Double, Timestamp | Date) => 8,
            (Param::Timestamp, Date | TimestampNs) => 1,
            (Param::Long, TimestampNs) => 6,
            (Param::Double, TimestampNs) => 8,
            (Param::Date, Timestamp) => 2,
            (Param::Timestamp | Param::Date, String | Symbol | Varchar) => 10,
            (Param::Timestamp, Int | Long) => 15,
            (Param::Int | Param::Long, String | Varchar | Char) => 20,
            (Param::Double, String | Varchar | Char) => 12,
            _ => return None,
        })
    }
}

impl Overload {
    fn distance(&self, args: &[Typed]) -> Option<u32> {
        self.distance_of(&args.iter().map(|arg| Some(arg.kind)).collect::<Vec<_>>())
    }

    /// Returns how far arguments of these kinds are from what the form takes, those of any kind 0; None if they do not fit.
    pub fn distance_of(&self, kinds: &[Option<Kind>]) -> Option<u32> {
        if self.params.len() != kinds.len() {
            return None;
        }
        let far = |(param, kind): (&Param, &Option<Kind>)| kind.map_or(Some(0), |kind| param.distance(kind));
        self.params.iter().zip(kinds).map(far).sum()
    }

    /// Returns the call of this form with its arguments converted.
    fn call(&self, call: &Call) -> Result<Typed, SqlError> {
        let args = self
            .params
            .iter()
            .zip(&call.args)
            .map(|(param, arg)| convert(arg.clone(), param.kind()))
            .collect::<Result<Vec<_>, _>>()?;
        let kind = match self.returns {
            Returns::Kind(kind) => kind,
            Returns::TextOfFirst if call.args.first().is_some_and(|a| a.kind == Kind::Varchar) => Kind::Varchar,
            Returns::TextOfFirst => Kind::String,
        };
        let kernel: Arc<KernelFn> = Arc::new(self.kernel);
        let name = call.name.to_ascii_lowercase();
        Function::new(&name, args.len(), kind, self.volatility, kernel).call(args, kind, call.position)
    }
}

/// Binds a call to the nearest of `forms`.
pub fn bind(call: &Call, forms: &[Overload]) -> Result<Typed, SqlError> {
    let nearest = forms.iter().filter_map(|f| f.distance(&call.args).map(|d| (d, f))).min_by_key(|(d, _)| *d);
    match nearest {
        Some((_, form)) => form.call(call),
        None => Err(refusal(call, forms)),
    }
}

/// Returns why a call fits no form.
fn refusal(call: &Call, forms: &[Overload]) -> SqlError {
    let [only] = forms else { return call.no_match() };
    if call.args.is_empty() {
        let kinds = only.params.iter().map(|p| p.kind().name()).collect::<Vec<_>>().join(", ");
        let message = format!("function `{}` requires arguments: {}({kinds})", call.name, call.name);
        return SqlError::new(call.position, message);
    }
    if only.params.len() != call.args.len() {
        return call.wrong_count(only.params.len());
    }
    let misfit = only.params.iter().zip(&call.args).enumerate().find(|(_, (p, a))| p.distance(a.kind).is_none());
    let Some((i, (param, arg))) = misfit else { return call.no_match() };
    if matches!(param, Param::Text) {
        return call.no_match();
    }
    let message = format!(
        "argument type mismatch for function `{}` at #{} expected: {}, actual: {}",
        call.name,
        i + 1,
        param.kind(),
        arg.kind
    );
    SqlError::new(arg.position, message)
}

/// Converts an argument to the kind that a parameter asks for; text that does not hold such a value is an error.
pub fn convert(arg: Typed, to: Kind) -> Result<Typed, SqlError> {
    if arg.kind == to || (to == Kind::String && arg.kind.arrow() == to.arrow()) {
        return Ok(arg);
    }
    cast::implicit(arg, to)
}
