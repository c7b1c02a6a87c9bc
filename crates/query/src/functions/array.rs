//! Arrays of doubles: `ARRAY[…]`, elements and slices, and the functions over whole arrays.
//!
//! An element that is NULL is NaN in here. Counts and places begin at 1; negative ones count from the end.

use std::sync::Arc;

use datafusion::logical_expr::Volatility;

use super::cast;
use super::cell::{self, Cell};
use super::kernel::{Args, Function};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

mod select;
mod whole;

pub use select::{Selector, index};

/// Returns the binding of a function over arrays.
pub fn find(name: &str) -> Option<Binding> {
    if name == "array" {
        return Some(Binding::Own(make));
    }
    whole::find(name)
}

/// Binds `ARRAY[…]` of numbers, or of arrays of one shape.
fn make(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let dims = call.args.iter().find_map(|a| if let Kind::Array(dims) = a.kind { Some(dims) } else { None });
    let mut args = Vec::new();
    for arg in &call.args {
        args.push(match (arg.kind, dims) {
            (Kind::Array(own), Some(dims)) if own == dims => arg.clone(),
            (kind, None) if kind.is_number() || kind == Kind::Null => cast::implicit(arg.clone(), Kind::Double)?,
            (kind, None) => {
                return Err(SqlError::new(arg.position, format!("unsupported array element type [type={kind}]")));
            }
            _ => return Err(SqlError::new(arg.position, "mixed array and non-array elements")),
        });
    }
    let kind = Kind::Array(dims.unwrap_or(0) + 1);
    let positions: Vec<usize> = call.args.iter().map(|a| a.position).collect();
    let count = args.len();
    let name = format!("ARRAY {kind} {count}");
    over(&name, args, kind, call.position, move |cells| {
        let (mut shape, mut all) = (None, Vec::new());
        for (cell, position) in cells.iter().zip(&positions) {
            match cell {
                Cell::Double(value) => all.push(*value),
                Cell::Array(own, values) => {
                    if shape.get_or_insert_with(|| own.clone()) != own {
                        return Err(SqlError::new(*position, "array shapes don't match"));
                    }
                    all.extend(values);
                }
                _ if dims.is_some() => return Ok(Cell::Null),
                _ => all.push(f64::NAN),
            }
        }
        let mut shape = shape.unwrap_or_default();
        shape.insert(0, cells.len() as u32);
        Ok(Cell::Array(shape, all))
    })
}

/// Returns a function that makes a value of the values of its arguments, row by row.
pub(super) fn over(
    name: &str,
    args: Vec<Typed>,
    kind: Kind,
    position: usize,
    f: impl Fn(&[Cell]) -> Result<Cell, SqlError> + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let readers: Vec<_> = (0..args.len()).map(|i| cell::reader(args, i)).collect();
        cell::build(kind, args.rows(), |row| f(&readers.iter().map(|r| r(row)).collect::<Vec<_>>()))
    });
    let kinds: Vec<String> = args.iter().map(|a| a.kind.name()).collect();
    let name = format!("{name} {}", kinds.join(" "));
    Function::new(&name, args.len(), kind, Volatility::Immutable, kernel).call(args, kind, position)
}
