//! abs, sign and the roundings of decimals, which stay decimals.

use arrow::datatypes::i256;
use types::ColumnType;

use super::{divide_half_even, fits, power_of_ten};
use crate::error::SqlError;
use crate::functions::array::over;
use crate::functions::cell::Cell;
use crate::functions::typed::{Call, Typed};
use crate::kind::Kind;

/// Divides a number by a power of ten and rounds.
type Round = fn(i256, i256) -> Option<i256>;

/// Returns how a function rounds; None for others.
fn rounding(name: &str) -> Option<Round> {
    Some(match name {
        "round" => |n, unit| {
            let (quotient, rest) = (n / unit, (n % unit).wrapping_abs());
            let away = if n < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
            Some(if rest.wrapping_add(rest) >= unit { quotient.wrapping_add(away) } else { quotient })
        },
        "round_half_even" => divide_half_even,
        "round_up" => |n, unit| {
            Some(n / unit).map(|q| {
                if n % unit == i256::ZERO {
                    q
                } else {
                    q.wrapping_add(if n < i256::ZERO { i256::MINUS_ONE } else { i256::ONE })
                }
            })
        },
        "round_down" => |n, unit| Some(n / unit),
        "floor" => |n, unit| Some(if n % unit < i256::ZERO { n / unit - i256::ONE } else { n / unit }),
        "ceil" | "ceiling" => |n, unit| Some(if n % unit > i256::ZERO { n / unit + i256::ONE } else { n / unit }),
        _ => return None,
    })
}

/// Returns whether a call is one of these functions over a decimal.
pub fn takes(call: &Call) -> bool {
    let name = call.name.to_ascii_lowercase();
    let is_own = rounding(&name).is_some() || matches!(name.as_str(), "abs" | "sign");
    is_own && call.args.first().is_some_and(|a| matches!(a.kind, Kind::Decimal(..)))
}

/// Binds such a call.
pub fn bind(call: &Call) -> Result<Typed, SqlError> {
    let name = call.name.to_ascii_lowercase();
    let (Some(first), position) = (call.args.first(), call.position) else { return Err(call.no_match()) };
    let Kind::Decimal(precision, scale) = first.kind else { return Err(call.no_match()) };
    let arg = vec![first.clone()];
    if let Some(round) = rounding(&name) {
        let places = match &call.args[1..] {
            [] => 0,
            [places] => {
                let constant = || SqlError::new(places.position, "constant expected");
                places.as_integer().ok_or_else(constant)?.clamp(-76, i64::from(scale))
            }
            _ => return Err(call.no_match()),
        };
        let kept = u8::try_from(places).unwrap_or(0);
        let kind = Kind::Decimal((precision - scale + kept + 1).min(ColumnType::MAX_PRECISION), kept);
        return over(&format!("{name} {places}"), arg, kind, position, move |cells| {
            let Cell::Decimal(number) = cells[0] else { return Ok(Cell::Null) };
            let cut = i64::from(scale) - places;
            let unit = power_of_ten(u8::try_from(cut.min(76)).unwrap_or(0));
            let zeros = power_of_ten(u8::try_from(-places).unwrap_or(0));
            let rounded = round(number, unit).and_then(|n| n.checked_mul(zeros));
            Ok(rounded.filter(|n| fits(*n, ColumnType::MAX_PRECISION)).map_or(Cell::Null, Cell::Decimal))
        });
    }
    if call.args.len() != 1 {
        return Err(call.no_match());
    }
    let is_sign = name == "sign";
    let kind = if is_sign { Kind::Decimal(1, 0) } else { first.kind };
    over(&name, arg, kind, position, move |cells| {
        let Cell::Decimal(number) = cells[0] else { return Ok(Cell::Null) };
        Ok(Cell::Decimal(if is_sign { number.signum() } else { number.wrapping_abs() }))
    })
}
