//! Functions over whole arrays: sums, order, shape, products.

use super::over;
use crate::error::SqlError;
use crate::functions::cast;
use crate::functions::cell::Cell;
use crate::functions::typed::{Call, Typed};
use crate::functions::{Binding, Environment};
use crate::kind::Kind;

/// Returns the binding of such a function.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "array_sum" => |call, _| number(call, |v| Some(v.iter().sum())),
        "array_avg" => |call, _| number(call, |v| Some(v.iter().sum::<f64>() / v.len() as f64)),
        "array_min" => |call, _| number(call, |v| v.iter().copied().reduce(f64::min)),
        "array_max" => |call, _| number(call, |v| v.iter().copied().reduce(f64::max)),
        "array_stddev" | "array_stddev_samp" => |call, _| number(call, |v| spread(v, 1)),
        "array_stddev_pop" => |call, _| number(call, |v| spread(v, 0)),
        "array_count" => count,
        "dim_length" => dim_length,
        "array_sort" => sort,
        "array_reverse" => |call, _| along(call, |list| list.iter().rev().copied().collect()),
        "array_cum_sum" => cum_sum,
        "array_position" => place,
        "insertion_point" => insertion_point,
        "shift" => shift,
        "flatten" => flatten,
        "transpose" => transpose,
        "matmul" => matmul,
        "dot_product" => dot_product,
        "array_build" => build,
        _ => return None,
    }))
}

/// Returns the array that is argument 0, and its dimensions.
fn array(call: &Call) -> Result<(Typed, u8), SqlError> {
    match call.args.first() {
        Some(arg) => match arg.kind {
            Kind::Array(dims) => Ok((arg.clone(), dims)),
            _ => Err(call.no_match()),
        },
        None => Err(call.no_match()),
    }
}

/// Binds `f(array)` over the values that are not NULL; no values are NULL.
fn number(call: &Call, f: fn(&[f64]) -> Option<f64>) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    if call.args.len() != 1 {
        return Err(call.no_match());
    }
    over(&call.name, vec![arg], Kind::Double, call.position, move |cells| {
        let Cell::Array(_, values) = &cells[0] else { return Ok(Cell::Null) };
        let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let answer = if values.is_empty() { None } else { f(&values) };
        Ok(answer.filter(|v| v.is_finite()).map_or(Cell::Null, Cell::Double))
    })
}

fn spread(values: &[f64], less: usize) -> Option<f64> {
    let count = values.len().checked_sub(less).filter(|n| *n > 0)?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Some((values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count as f64).sqrt())
}

fn count(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    over(&call.name, vec![arg], Kind::Int, call.position, |cells| {
        let Cell::Array(_, values) = &cells[0] else { return Ok(Cell::Whole(0)) };
        Ok(Cell::Whole(values.iter().filter(|v| v.is_finite()).count() as i64))
    })
}

fn dim_length(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, dims) = array(call)?;
    let [_, dim] = call.args.as_slice() else { return Err(call.no_match()) };
    let dim = cast::implicit(dim.clone(), Kind::Long)?;
    if let Some(n) = dim.as_integer()
        && !(1..=i64::from(dims)).contains(&n)
    {
        let message = format!("array dimension out of bounds [dim={n}, nDims={dims}]");
        return Err(SqlError::new(dim.position, message));
    }
    over(&call.name, vec![arg, dim], Kind::Int, call.position, |cells| match cells {
        [Cell::Array(shape, _), Cell::Whole(dim)] => {
            let len = usize::try_from(dim - 1).ok().and_then(|dim| shape.get(dim));
            Ok(len.map_or(Cell::Null, |len| Cell::Whole(i64::from(*len))))
        }
        [Cell::Null, Cell::Whole(_)] => Ok(Cell::Whole(0)),
        _ => Ok(Cell::Null),
    })
}

/// Binds a function that makes each innermost list anew, of the same length.
fn along(call: &Call, f: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    let kind = arg.kind;
    over(&call.name, vec![arg], kind, call.position, move |cells| {
        let Cell::Array(shape, values) = &cells[0] else { return Ok(Cell::Null) };
        let len = shape.last().map_or(0, |len| *len as usize);
        let lists = values.chunks(len.max(1)).flat_map(&f);
        Ok(Cell::Array(shape.clone(), lists.collect()))
    })
}

fn flag(arg: Option<&Typed>) -> Result<bool, SqlError> {
    let Some(arg) = arg else { return Ok(false) };
    match arg.as_literal() {
        Some(datafusion::common::ScalarValue::Boolean(value)) => Ok(value.unwrap_or(false)),
        _ => Err(SqlError::new(arg.position, "constant expected")),
    }
}

/// Binds array_sort(a, descending, nulls first); NULL is last in rising order and first in falling order.
fn sort(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let descending = flag(call.args.get(1))?;
    let nulls_first = if call.args.len() > 2 { flag(call.args.get(2))? } else { descending };
    let call = Call { name: format!("{} {descending} {nulls_first}", call.name), ..call.clone() };
    along(&call, move |list| {
        let mut values: Vec<f64> = list.iter().copied().filter(|v| v.is_finite()).collect();
        values.sort_by(|a, b| if descending { b.total_cmp(a) } else { a.total_cmp(b) });
        let nulls = vec![f64::NAN; list.len() - values.len()];
        if nulls_first { [nulls, values].concat() } else { [values, nulls].concat() }
    })
}

fn cum_sum(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    over(&call.name, vec![arg], Kind::Array(1), call.position, |cells| {
        let Cell::Array(_, values) = &cells[0] else { return Ok(Cell::Null) };
        if values.is_empty() {
            return Ok(Cell::Null);
        }
        let sums = values.iter().scan(0.0, |sum, v| {
            *sum += if v.is_finite() { *v } else { 0.0 };
            Some(*sum)
        });
        Ok(Cell::Array(vec![values.len() as u32], sums.collect()))
    })
}

fn with_number(call: &Call) -> Result<Vec<Typed>, SqlError> {
    let (arg, dims) = array(call)?;
    match call.args.as_slice() {
        [_, number] if dims == 1 => Ok(vec![arg, cast::implicit(number.clone(), Kind::Double)?]),
        _ => Err(call.no_match()),
    }
}

fn place(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    over(&call.name, with_number(call)?, Kind::Int, call.position, |cells| {
        let Cell::Array(_, values) = &cells[0] else { return Ok(Cell::Null) };
        let wanted = if let Cell::Double(x) = cells[1] { x } else { f64::NAN };
        let same = |v: &f64| if wanted.is_nan() { v.is_nan() } else { (*v - wanted).abs() <= 1e-10 };
        Ok(values.iter().position(same).map_or(Cell::Null, |i| Cell::Whole(i as i64 + 1)))
    })
}

/// Binds insertion_point: the place behind the values that stand before a number in a sorted array, equal ones included
/// unless `ahead` is true.
fn insertion_point(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let args = match call.args.as_slice() {
        [list, number, ahead] => {
            let two = Call::new(call.name.clone(), call.position, vec![list.clone(), number.clone()]);
            let ahead = if ahead.kind == Kind::Null { Typed::boolean(false, ahead.position) } else { ahead.clone() };
            if ahead.kind != Kind::Boolean {
                return Err(call.no_match());
            }
            with_number(&two)?.into_iter().chain([ahead]).collect()
        }
        _ => with_number(call)?.into_iter().chain([Typed::boolean(false, call.position)]).collect(),
    };
    over(&call.name, args, Kind::Int, call.position, |cells| match cells {
        [Cell::Array(_, values), Cell::Double(x), ahead] => {
            let (falls, ahead) = (values.first() > values.last(), matches!(ahead, Cell::Boolean(true)));
            let before = values.partition_point(|v| match (v == x, falls) {
                (true, _) => !ahead,
                (false, true) => v > x,
                (false, false) => v < x,
            });
            Ok(Cell::Whole(before as i64 + 1))
        }
        _ => Ok(Cell::Null),
    })
}

fn shift(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    let kind = arg.kind;
    let mut args = vec![arg];
    match &call.args[1..] {
        [by] => args.push(cast::implicit(by.clone(), Kind::Long)?),
        [by, fill] => {
            args.push(cast::implicit(by.clone(), Kind::Long)?);
            args.push(cast::implicit(fill.clone(), Kind::Double)?);
        }
        _ => return Err(call.no_match()),
    }
    over(&call.name, args, kind, call.position, |cells| {
        let (Cell::Array(shape, values), Cell::Whole(by)) = (&cells[0], &cells[1]) else { return Ok(Cell::Null) };
        let fill = if let Some(Cell::Double(x)) = cells.get(2) { *x } else { f64::NAN };
        let len = shape.last().map_or(0, |len| *len as usize);
        let moved = values.chunks(len.max(1)).flat_map(|list| {
            let from = |i: usize| usize::try_from(i as i64 - by).ok().and_then(|i| list.get(i).copied());
            (0..list.len()).map(move |i| from(i).unwrap_or(fill)).collect::<Vec<_>>()
        });
        Ok(Cell::Array(shape.clone(), moved.collect()))
    })
}

fn flatten(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    over(&call.name, vec![arg], Kind::Array(1), call.position, |cells| {
        let Cell::Array(_, values) = &cells[0] else { return Ok(Cell::Null) };
        Ok(Cell::Array(vec![values.len() as u32], values.clone()))
    })
}

fn transpose(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (arg, _) = array(call)?;
    let kind = arg.kind;
    over(&call.name, vec![arg], kind, call.position, |cells| {
        let Cell::Array(shape, values) = &cells[0] else { return Ok(Cell::Null) };
        let turned: Vec<u32> = shape.iter().rev().copied().collect();
        let place = |mut at: usize| {
            let mut index = Vec::new();
            for len in turned.iter().rev() {
                index.push(at % *len as usize);
                at /= *len as usize;
            }
            // The last index of the turned array is the first of the old one.
            index.iter().zip(shape).fold(0, |place, (i, len)| place * *len as usize + i)
        };
        let moved = (0..values.len()).map(|at| values[place(at)]).collect();
        Ok(Cell::Array(turned, moved))
    })
}

fn two(call: &Call) -> Result<Vec<Typed>, SqlError> {
    match call.args.as_slice() {
        [a, b] if matches!((a.kind, b.kind), (Kind::Array(_), Kind::Array(_))) => Ok(vec![a.clone(), b.clone()]),
        _ => Err(call.no_match()),
    }
}

fn matmul(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let args = two(call)?;
    if args.iter().any(|a| a.kind != Kind::Array(2)) {
        return Err(call.no_match());
    }
    let position = call.position;
    over(&call.name, args, Kind::Array(2), position, move |cells| {
        let (Cell::Array(s, v), Cell::Array(t, w)) = (&cells[0], &cells[1]) else { return Ok(Cell::Null) };
        if s[1] != t[0] {
            let message = format!(
                "left array row length doesn't match right array column length [leftRowLen={}, rightColLen={}]",
                s[1], t[0]
            );
            return Err(SqlError::new(position, message));
        }
        let (rows, inner, columns) = (s[0] as usize, s[1] as usize, t[1] as usize);
        let sum = |row: usize, column: usize| (0..inner).map(|k| v[row * inner + k] * w[k * columns + column]).sum();
        let product = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        Ok(Cell::Array(vec![s[0], t[1]], product.map(|(row, column)| sum(row, column)).collect()))
    })
}

/// Binds array_build(n, length, filler, …): n rows of one length, each of a number or of an array, cut or filled up.
fn build(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [count, length, fillers @ ..] = call.args.as_slice() else { return Err(call.no_match()) };
    let rows = count.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let rows = rows.ok_or_else(|| SqlError::new(count.position, "nArrays must be a positive integer"))?;
    if fillers.len() != rows {
        return Err(call.no_match());
    }
    let value = |arg: &Typed, number: Kind| match arg.kind {
        Kind::Array(1) => Ok(arg.clone()),
        _ => cast::implicit(arg.clone(), number),
    };
    let mut args = vec![value(length, Kind::Long)?];
    for filler in fillers {
        args.push(value(filler, Kind::Double)?);
    }
    let kind = Kind::Array(if rows == 1 { 1 } else { 2 });
    over(&format!("array_build {rows}"), args, kind, call.position, move |cells| {
        let len = match &cells[0] {
            Cell::Whole(n) => usize::try_from(*n).unwrap_or(0).min(10_000_000),
            Cell::Array(_, values) => values.len(),
            _ => return Ok(Cell::Null),
        };
        let row = |cell: &Cell| match cell {
            Cell::Double(x) => vec![*x; len],
            Cell::Array(_, values) => (0..len).map(|i| values.get(i).copied().unwrap_or(f64::NAN)).collect(),
            _ => vec![f64::NAN; len],
        };
        let values: Vec<f64> = cells[1..].iter().flat_map(row).collect();
        let shape = if rows == 1 { vec![len as u32] } else { vec![rows as u32, len as u32] };
        Ok(Cell::Array(shape, values))
    })
}

fn dot_product(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let position = call.position;
    if let [one, other] = &call.args[..]
        && let (Kind::Array(_), number) | (number, Kind::Array(_)) = (one.kind, other.kind)
        && number.is_number()
    {
        let (list, factor) = if number == other.kind { (one, other) } else { (other, one) };
        let args = vec![list.clone(), cast::implicit(factor.clone(), Kind::Double)?];
        return over(&call.name, args, Kind::Double, position, |cells| match cells {
            [Cell::Array(_, values), Cell::Double(factor)] => {
                let products = values.iter().map(|value| value * factor).filter(|p| p.is_finite());
                Ok(Cell::Double(products.sum()))
            }
            _ => Ok(Cell::Null),
        });
    }
    over(&call.name, two(call)?, Kind::Double, position, move |cells| {
        let (Cell::Array(s, v), Cell::Array(t, w)) = (&cells[0], &cells[1]) else { return Ok(Cell::Null) };
        if s != t {
            return Err(SqlError::new(position, "arrays have different shapes"));
        }
        let products = v.iter().zip(w).map(|(a, b)| a * b).filter(|p| p.is_finite());
        Ok(Cell::Double(products.sum()))
    })
}
