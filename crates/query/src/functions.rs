//! SQL functions and operators with the types and null rules of QuestDB.
//!
//! The planner binds expressions bottom-up and calls this module with typed arguments: [`operators`] for operators, CASE
//! and casts, [`scalar`], [`aggregate`] and [`table`] for calls by name. What comes back is a DataFusion expression whose
//! arguments already have exact types, so that DataFusion's own coercion and null rules never have a say.
//!
//! Reading order: [`typed`], [`kernel`] (how a function sees its columns), [`overload`] (which form of a function a
//! call means), then the families. NULL is Arrow validity; NaN and infinities never occur in a batch.

use std::sync::Arc;

use crate::error::SqlError;
use crate::kind::Kind;

pub mod aggregate;
pub mod arithmetic;
pub mod array;
pub mod cast;
pub mod catalog;
pub mod cell;
pub mod comparison;
pub mod conditional;
pub mod decimal;
pub mod digest;
pub mod environment;
pub mod finance;
pub mod geo;
#[cfg(test)]
mod golden;
pub mod json;
pub mod kernel;
pub mod matching;
pub mod maths;
pub mod moment;
pub mod moment_format;
pub mod moment_parts;
pub mod moment_units;
pub mod nanos;
pub mod numbers;
pub mod operators;
pub mod overload;
pub mod place;
pub mod random;
pub mod server_info;
pub mod table;
pub mod text;
pub mod typed;
pub mod wanted;

pub use environment::Environment;
pub use typed::{Call, Typed};

use overload::Overload;

/// How a function by name is bound.
#[derive(Clone, Copy)]
pub enum Binding {
    /// One of these forms, chosen by the types of the arguments.
    Forms(&'static [Overload]),
    /// A function that looks at its arguments itself: constants, any number of them, the types of all.
    Own(fn(&Call, &Environment) -> Result<Typed, SqlError>),
}

/// Returns the binding of a scalar function, by its name in any case.
pub fn find(name: &str) -> Option<Binding> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    [
        place::find,
        array::find,
        text::find,
        maths::find,
        moment::find,
        conditional::find,
        random::find,
        server_info::find,
        json::find,
        finance::find,
        geo::find,
        digest::find,
    ]
    .iter()
    .find_map(|family| family(name))
}

/// Returns whether a scalar function of that name exists.
pub fn is_scalar(name: &str) -> bool {
    find(name).is_some()
}

/// Binds a call of a scalar function.
///
/// Unknown names, wrong numbers of arguments and wrong types are errors in the peer's words, at the call's position.
pub fn scalar(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    match find(&call.name) {
        Some(_) if call.name.eq_ignore_ascii_case("length") && call.args.iter().any(|a| a.kind == Kind::Binary) => {
            place::byte_count(call)
        }
        _ if decimal::rounding::takes(call) => decimal::rounding::bind(call),
        Some(Binding::Forms(_)) if nanos::takes(call) => nanos::bind(call, environment),
        Some(Binding::Forms(forms)) => overload::bind(call, forms),
        Some(Binding::Own(_)) if nanos::takes(call) => nanos::bind(call, environment),
        Some(Binding::Own(bind)) => bind(call, environment),
        None => {
            let message = format!("unknown function name: {}({})", call.name, call.kinds(","));
            Err(SqlError::new(call.position, message))
        }
    }
}

/// A shared scalar kernel: whole columns in, one column out.
pub(crate) type KernelFn = dyn Fn(&kernel::Args) -> Result<arrow::array::ArrayRef, SqlError> + Send + Sync;
pub(crate) type SharedKernel = Arc<KernelFn>;
