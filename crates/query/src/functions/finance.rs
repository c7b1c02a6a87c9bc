//! Functions over quotes and order books; `mid` and `spread_bps` are with the numbers.

use super::array::over;
use super::cast;
use super::cell::Cell;
use super::kernel::double_column;
use super::overload::{Overload, Param, form};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// Returns the binding of such a function.
pub fn find(name: &str) -> Option<Binding> {
    Some(match name {
        "spread" => Binding::Forms(SPREAD),
        "wmid" => Binding::Forms(WMID),
        "l2price" => Binding::Own(l2price),
        _ => return None,
    })
}

const SPREAD: &[Overload] = &[form(&[Param::Double, Param::Double], Kind::Double, |args| {
    let (bid, ask) = (args.doubles(0), args.doubles(1));
    Ok(double_column(args.rows(), |row| Some(ask.get(row)? - bid.get(row)?)))
})];

/// The mid price of bid size, bid, ask, ask size: each side weighs as much as the other has on offer.
const WMID: &[Overload] =
    &[form(&[Param::Double, Param::Double, Param::Double, Param::Double], Kind::Double, |args| {
        let [bid_size, bid, ask, ask_size] = [0, 1, 2, 3].map(|i| args.doubles(i));
        Ok(double_column(args.rows(), |row| {
            let (bid_size, ask_size) = (bid_size.get(row)?, ask_size.get(row)?);
            let imbalance = bid_size / (bid_size + ask_size);
            Some(ask.get(row)? * imbalance + bid.get(row)? * (1.0 - imbalance))
        }))
    })];

/// Binds l2price: the mean price at which an amount trades against levels of size and price, which come in turn or as two arrays.
fn l2price(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if let [amount, sizes, prices] = call.args.as_slice()
        && matches!((sizes.kind, prices.kind), (Kind::Array(_), Kind::Array(_)))
    {
        return of_arrays(call, amount, sizes, prices);
    }
    if call.args.len() < 3 || call.args.iter().any(|arg| !(arg.kind.is_number() || arg.kind == Kind::Null)) {
        return Err(call.no_match());
    }
    if call.args.len().is_multiple_of(2) {
        let last = call.args.last().map_or(call.position, |arg| arg.position);
        return Err(SqlError::new(last, "l2price requires an odd number of arguments."));
    }
    let args = call.args.iter().map(|arg| cast::implicit(arg.clone(), Kind::Double)).collect::<Result<Vec<_>, _>>()?;
    over("l2price", args, Kind::Double, call.position, |cells| {
        let mut numbers = Vec::with_capacity(cells.len());
        for cell in cells {
            let Cell::Double(number) = cell else { return Ok(Cell::Null) };
            numbers.push(*number);
        }
        let (pairs, _) = numbers[1..].as_chunks::<2>();
        Ok(mean_price(numbers[0], pairs.iter().map(|[size, price]| (*size, *price))))
    })
}

fn of_arrays(call: &Call, amount: &Typed, sizes: &Typed, prices: &Typed) -> Result<Typed, SqlError> {
    for array in [sizes, prices] {
        if array.kind != Kind::Array(1) {
            return Err(SqlError::new(array.position, "not a one-dimensional array"));
        }
    }
    let args = vec![cast::implicit(amount.clone(), Kind::Double)?, sizes.clone(), prices.clone()];
    let position = sizes.position;
    over("l2price", args, Kind::Double, call.position, move |cells| match cells {
        [Cell::Double(amount), Cell::Array(_, sizes), Cell::Array(_, prices)] => {
            if sizes.len() != prices.len() {
                return Err(SqlError::new(position, "prices array length doesn't match sizes array length"));
            }
            Ok(mean_price(*amount, sizes.iter().copied().zip(prices.iter().copied())))
        }
        _ => Ok(Cell::Null),
    })
}

/// Returns the mean price of an amount that takes level after level; NULL where the levels hold less.
fn mean_price(amount: f64, levels: impl Iterator<Item = (f64, f64)>) -> Cell {
    let (mut left, mut paid) = (amount, 0.0);
    for (size, price) in levels {
        if left <= size {
            // the whole amount at this price: nothing to divide, and none may be asked for
            let mean = if left == amount { price } else { (paid + left * price) / amount };
            return if mean.is_finite() { Cell::Double(mean) } else { Cell::Null };
        }
        paid += size * price;
        left -= size;
    }
    Cell::Null
}
