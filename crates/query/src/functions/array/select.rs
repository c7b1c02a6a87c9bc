//! Elements and parts of arrays: `a[i]`, `a[i, lo:hi]`.

use super::over;
use crate::error::SqlError;
use crate::functions::cast;
use crate::functions::cell::Cell;
use crate::functions::typed::Typed;
use crate::kind::Kind;

/// What is taken of one dimension.
pub enum Selector {
    /// One place; the dimension goes.
    At(Typed),
    /// From the first place to the one before the second, or to the end.
    Range(Typed, Option<Typed>),
}

/// Binds `array[selectors]`; dimensions without one are taken whole.
pub fn index(array: Typed, selectors: Vec<Selector>, position: usize) -> Result<Typed, SqlError> {
    let Kind::Array(dims) = array.kind else {
        return Err(SqlError::new(
            position,
            format!("there is no matching operator `[]` with the argument types: {}", array.kind),
        ));
    };
    if selectors.len() > usize::from(dims) {
        let message = format!("too many array access arguments [nDims={dims}, nArgs={}]", selectors.len());
        return Err(SqlError::new(position, message));
    }
    let mut args = vec![array];
    // Per dimension the argument of its first number, whether it is a range, and whether that has an end.
    let mut plan = Vec::new();
    for (dim, selector) in selectors.into_iter().enumerate() {
        let place = args.len();
        match selector {
            Selector::At(at) => {
                let at = whole(at)?;
                if at.as_integer() == Some(0) {
                    let message = format!("array index must be non-zero [dim={}, index=0]", dim + 1);
                    return Err(SqlError::new(at.position, message));
                }
                args.push(at);
                plan.push((place, false, false));
            }
            Selector::Range(low, high) => {
                args.push(whole(low)?);
                let ends = high.is_some();
                if let Some(high) = high {
                    args.push(whole(high)?);
                }
                plan.push((place, true, ends));
            }
        }
    }
    let kept = dims - plan.iter().filter(|(_, is_range, _)| !is_range).count() as u8;
    let kind = if kept == 0 { Kind::Double } else { Kind::Array(kept) };
    let name = format!("[] {plan:?}");
    over(&name, args, kind, position, move |cells| {
        let Cell::Array(shape, values) = &cells[0] else { return Ok(Cell::Null) };
        let number = |i: usize| if let Cell::Whole(n) = cells[i] { Some(n) } else { None };
        let mut taken = Vec::with_capacity(shape.len());
        let mut is_missing = false;
        for (dim, &len) in shape.iter().enumerate() {
            let len = i64::from(len);
            let Some((place, is_range, ends)) = plan.get(dim).copied() else {
                taken.push((0..len, true));
                continue;
            };
            let Some(first) = number(place) else { return Ok(Cell::Null) };
            let from_start = |n: i64| if n < 0 { len + n } else { n - 1 };
            if is_range {
                let end = if ends { number(place + 1).map(from_start) } else { Some(len) };
                let Some(end) = end else { return Ok(Cell::Null) };
                let start = from_start(first).max(0);
                taken.push((start..end.clamp(start, len.max(start)), true));
            } else {
                let at = from_start(first);
                if first == 0 {
                    let message = format!("array index must be non-zero [dim={}, index=0]", dim + 1);
                    return Err(SqlError::new(0, message));
                }
                is_missing |= !(0..len).contains(&at);
                taken.push((at..at + 1, false));
            }
        }
        if is_missing {
            let empty = values.is_empty() && kept > 0;
            return Ok(if empty { Cell::Array(vec![0; usize::from(kept)], Vec::new()) } else { Cell::Null });
        }
        let mut found = Vec::new();
        gather(shape, values, &taken, &mut found);
        if kept == 0 {
            return Ok(found.first().filter(|v| v.is_finite()).map_or(Cell::Null, |v| Cell::Double(*v)));
        }
        let shape = taken.iter().filter(|(_, keeps)| *keeps).map(|(range, _)| (range.end - range.start) as u32);
        Ok(Cell::Array(shape.collect(), found))
    })
}

fn whole(number: Typed) -> Result<Typed, SqlError> {
    if !number.kind.is_integer() && number.kind != Kind::Null {
        return Err(SqlError::new(number.position, format!("invalid type for array access [type={}]", number.kind)));
    }
    cast::implicit(number, Kind::Long)
}

/// Collects the values of the places taken, in row-major order.
fn gather(shape: &[u32], values: &[f64], taken: &[(std::ops::Range<i64>, bool)], found: &mut Vec<f64>) {
    let (Some((range, _)), Some((len, inner))) = (taken.first(), shape.split_first()) else {
        found.extend(values);
        return;
    };
    let size = values.len().checked_div(*len as usize).unwrap_or(0);
    for at in range.clone() {
        let at = at as usize;
        if let Some(part) = values.get(at * size..(at + 1) * size) {
            gather(inner, part, &taken[1..], found);
        }
    }
}
