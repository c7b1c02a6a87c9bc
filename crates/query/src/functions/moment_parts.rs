//! Parts of a moment: year, hour, day of the week, EXTRACT.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Int32Type, Int64Type};
use datafusion::logical_expr::Volatility;
use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::kernel::{Args, Function, boolean_column, column};
use super::moment::{day_of_us, day_of_year, days_in_month, is_leap, iso_weekday, iso_year_week};
use super::overload::{Param, convert, form};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// Returns the binding of a function that takes a moment apart.
pub fn find(name: &str) -> Option<Binding> {
    use Param::Timestamp;
    Some(Binding::Forms(match name {
        "year" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| day_of_us(us).year))] },
        "month" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| day_of_us(us).month))] },
        "day" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| day_of_us(us).day))] },
        "hour" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, hour))] },
        "minute" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, minute))] },
        "second" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, second))] },
        "millis" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| us.rem_euclid(US_PER_SECOND) / 1_000))] },
        "micros" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| us.rem_euclid(1_000)))] },
        "nanos" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |_| 0))] },
        "day_of_week" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, iso_weekday))] },
        "day_of_week_sunday_first" => {
            const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| iso_weekday(us) % 7 + 1))] }
        }
        "days_in_month" => {
            const {
                &[form(&[Timestamp], Kind::Int, |a| {
                    part(a, |us| {
                        let day = day_of_us(us);
                        days_in_month(day.year, day.month)
                    })
                })]
            }
        }
        "week_of_year" => const { &[form(&[Timestamp], Kind::Int, |a| part(a, |us| iso_year_week(us).1))] },
        "is_leap_year" => const { &[form(&[Timestamp], Kind::Boolean, leap_years)] },
        "extract" => return Some(Binding::Own(extract)),
        _ => return None,
    }))
}

fn part(args: &Args, f: impl Fn(i64) -> i64) -> Result<ArrayRef, SqlError> {
    let moments = args.timestamps(0);
    Ok(column::<Int32Type>(args.rows(), |row| moments.get(row).map(|us| f(us) as i32)))
}

fn hour(us: i64) -> i64 {
    us.rem_euclid(US_PER_DAY) / US_PER_HOUR
}

fn minute(us: i64) -> i64 {
    us.rem_euclid(US_PER_HOUR) / US_PER_MINUTE
}

fn second(us: i64) -> i64 {
    us.rem_euclid(US_PER_MINUTE) / US_PER_SECOND
}

fn leap_years(args: &Args) -> Result<ArrayRef, SqlError> {
    let moments = args.timestamps(0);
    Ok(boolean_column(args.rows(), |row| moments.get(row).is_some_and(|us| is_leap(day_of_us(us).year))))
}

/// Returns what EXTRACT takes for a field name in any case; None for others.
fn field(name: &str) -> Option<fn(i64) -> i64> {
    let year = |us: i64| day_of_us(us).year;
    Some(match name.to_ascii_lowercase().as_str() {
        "millennium" => |us| (day_of_us(us).year + 999).div_euclid(1_000),
        "century" => |us| (day_of_us(us).year + 99).div_euclid(100),
        "decade" => |us| day_of_us(us).year.div_euclid(10),
        "year" => year,
        "isoyear" => |us| iso_year_week(us).0,
        "doy" => day_of_year,
        "quarter" => |us| (day_of_us(us).month + 2) / 3,
        "month" => |us| day_of_us(us).month,
        "week" => |us| iso_year_week(us).1,
        "dow" => |us| iso_weekday(us) % 7,
        "isodow" => iso_weekday,
        "day" => |us| day_of_us(us).day,
        "hour" => hour,
        "minute" => minute,
        "second" => second,
        "milliseconds" => |us| us.rem_euclid(US_PER_SECOND) / 1_000,
        "microseconds" => |us| us.rem_euclid(US_PER_SECOND),
        "nanoseconds" => |us| us.rem_euclid(US_PER_SECOND) * 1_000,
        _ => return None,
    })
}

/// Binds EXTRACT(field FROM moment), given as a text and a moment.
fn extract(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [name, moment] = call.args.as_slice() else { return Err(call.no_match()) };
    let Some(text) = name.as_text().map(str::to_owned) else { return Err(call.no_match()) };
    let args = vec![name.clone(), convert(moment.clone(), Kind::Timestamp)?];
    if text.eq_ignore_ascii_case("epoch") {
        let kernel = Arc::new(|args: &Args| {
            let moments = args.timestamps(1);
            Ok(column::<Int64Type>(args.rows(), |row| moments.get(row).map(|us| us / US_PER_SECOND)))
        });
        let function = Function::new("extract", 2, Kind::Long, Volatility::Immutable, kernel);
        return function.call(args, Kind::Long, call.position);
    }
    let Some(field) = field(&text) else {
        return Err(SqlError::new(name.position, format!("unsupported timestamp part: {text}")));
    };
    let kernel = Arc::new(move |args: &Args| {
        let moments = args.timestamps(1);
        Ok(column::<Int32Type>(args.rows(), |row| moments.get(row).map(|us| field(us) as i32)))
    });
    Function::new("extract", 2, Kind::Int, Volatility::Immutable, kernel).call(args, Kind::Int, call.position)
}
