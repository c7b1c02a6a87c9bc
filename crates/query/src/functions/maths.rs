//! Functions on numbers.

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

use super::Binding;
use super::kernel::{Args, column, double_column, text_column};
use super::overload::{Overload, Param, form};
use crate::error::SqlError;
use crate::kind::Kind;

mod rounding;

/// Returns the binding of a mathematical function.
pub fn find(name: &str) -> Option<Binding> {
    use Param::*;
    Some(Binding::Forms(match name {
        "abs" => {
            const {
                &[
                    form(&[Double], Kind::Double, |a| Ok(same::<Float64Type>(a, f64::abs))),
                    form(&[Short], Kind::Short, |a| Ok(same::<Int16Type>(a, i16::wrapping_abs))),
                    form(&[Int], Kind::Int, |a| Ok(same::<Int32Type>(a, i32::wrapping_abs))),
                    form(&[Long], Kind::Long, |a| Ok(same::<Int64Type>(a, i64::wrapping_abs))),
                ]
            }
        }
        "sign" => {
            const {
                &[
                    form(&[Double], Kind::Double, |a| Ok(same::<Float64Type>(a, sign))),
                    form(&[Byte], Kind::Byte, |a| Ok(same::<Int8Type>(a, i8::signum))),
                    form(&[Short], Kind::Short, |a| Ok(same::<Int16Type>(a, i16::signum))),
                    form(&[Int], Kind::Int, |a| Ok(same::<Int32Type>(a, i32::signum))),
                    form(&[Long], Kind::Long, |a| Ok(same::<Int64Type>(a, i64::signum))),
                    form(&[Float], Kind::Float, |a| Ok(same::<Float32Type>(a, |v| sign(f64::from(v)) as f32))),
                ]
            }
        }
        "ceil" | "ceiling" => {
            const {
                &[
                    form(&[Double], Kind::Double, |a| Ok(same::<Float64Type>(a, f64::ceil))),
                    form(&[Float], Kind::Float, |a| Ok(same::<Float32Type>(a, f32::ceil))),
                ]
            }
        }
        "floor" => {
            const {
                &[
                    form(&[Double], Kind::Double, |a| Ok(same::<Float64Type>(a, f64::floor))),
                    form(&[Float], Kind::Float, |a| Ok(same::<Float32Type>(a, f32::floor))),
                ]
            }
        }
        "round" => {
            const {
                &[
                    form(&[Double], Kind::Double, |a| of_double(a, rounding::half_up)),
                    form(&[Double, Int], Kind::Double, |a| scaled(a, rounding::half_away)),
                ]
            }
        }
        "round_half_even" => const { &[form(&[Double, Int], Kind::Double, |a| scaled(a, rounding::half_even)), NEVER] },
        "round_down" => const { &[form(&[Double, Int], Kind::Double, |a| scaled(a, rounding::down)), NEVER] },
        "round_up" => const { &[form(&[Double, Int], Kind::Double, |a| scaled(a, rounding::up)), NEVER] },
        "exp" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::exp))] },
        "ln" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::ln))] },
        "log" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::log10))] },
        "sqrt" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::sqrt))] },
        "power" => const { &[form(&[Double, Double], Kind::Double, |a| of_doubles(a, f64::powf))] },
        "sin" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::sin))] },
        "cos" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::cos))] },
        "tan" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::tan))] },
        "cot" => const { &[form(&[Double], Kind::Double, |a| of_double(a, |v| 1.0 / v.tan()))] },
        "asin" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::asin))] },
        "acos" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::acos))] },
        "atan" => const { &[form(&[Double], Kind::Double, |a| of_double(a, f64::atan))] },
        "atan2" => const { &[form(&[Double, Double], Kind::Double, |a| of_doubles(a, f64::atan2))] },
        "degrees" => {
            const { &[form(&[Double], Kind::Double, |a| of_double(a, |v| v * (180.0 / std::f64::consts::PI)))] }
        }
        "radians" => {
            const { &[form(&[Double], Kind::Double, |a| of_double(a, |v| v * (std::f64::consts::PI / 180.0)))] }
        }
        "pi" => const { &[form(&[], Kind::Double, |a| Ok(double_column(a.rows(), |_| Some(std::f64::consts::PI))))] },
        "mid" => const { &[form(&[Double, Double], Kind::Double, |a| of_doubles(a, |bid, ask| (bid + ask) / 2.0))] },
        "spread_bps" => {
            const {
                &[form(&[Double, Double], Kind::Double, |a| {
                    of_doubles(a, |bid, ask| (ask - bid) / ((bid + ask) / 2.0) * 10_000.0)
                })]
            }
        }
        "size_pretty" => const { &[form(&[Long], Kind::String, size_pretty)] },
        _ => return None,
    }))
}

/// A second form that no call fits: the peer has one for DECIMAL, and words its refusals accordingly.
const NEVER: Overload = form(&[Param::Boolean, Param::Boolean, Param::Boolean, Param::Boolean], Kind::Double, |a| {
    Ok(double_column(a.rows(), |_| None))
});

fn same<T: ArrowPrimitiveType>(args: &Args, f: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let values = args.numbers::<T>(0);
    column::<T>(args.rows(), |row| values.get(row).map(&f))
}

fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

fn of_double(args: &Args, f: impl Fn(f64) -> f64) -> Result<ArrayRef, SqlError> {
    let values = args.doubles(0);
    Ok(double_column(args.rows(), |row| values.get(row).map(&f)))
}

fn of_doubles(args: &Args, f: impl Fn(f64, f64) -> f64) -> Result<ArrayRef, SqlError> {
    let (left, right) = (args.doubles(0), args.doubles(1));
    Ok(double_column(args.rows(), |row| Some(f(left.get(row)?, right.get(row)?))))
}

fn scaled(args: &Args, f: impl Fn(f64, i32) -> Option<f64>) -> Result<ArrayRef, SqlError> {
    let (values, scales) = (args.doubles(0), args.ints(1));
    Ok(double_column(args.rows(), |row| f(values.get(row)?, scales.get(row)?)))
}

fn size_pretty(args: &Args) -> Result<ArrayRef, SqlError> {
    let sizes = args.longs(0);
    Ok(text_column(args.rows(), |row| sizes.get(row).map(size_text)))
}

/// Returns a number of bytes in the largest unit that leaves at least one: `390.6 KiB`.
pub fn size_text(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 0 {
        return "-0.0 EiB".to_owned();
    }
    let unit = if bytes == 0 { 0 } else { bytes.ilog2() as usize / 10 };
    format!("{:.1} {}", bytes as f64 / 1024_f64.powi(unit as i32), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::super::typed::{Call, Typed};
    use super::super::{cast, environment, scalar};
    use super::*;

    fn check(name: &str, args: Vec<Typed>, expected: &str) {
        let shown = match scalar(&Call::new(name, 7, args.clone()), &environment::fixed()) {
            Ok(t) => cast::value_text(t.as_literal().expect("constants fold"), t.kind).unwrap_or("null".to_owned()),
            Err(e) => format!("{} at {}", e.message, e.position),
        };
        assert_eq!(shown, expected, "{name} {args:?}");
    }

    #[test]
    fn rounding_goes_up_without_a_scale_and_away_from_zero_with_one() {
        let round = |value: f64, expected: &str| check("round", vec![Typed::double(value, 0)], expected);
        round(2.5, "3.0");
        round(-2.5, "-2.0");
        round(-0.5, "0.0");
        round(2.4, "2.0");
        let scaled = |name: &str, value: f64, scale: i32, expected: &str| {
            check(name, vec![Typed::double(value, 0), Typed::int(scale, 0)], expected);
        };
        scaled("round", 2.675, 2, "2.68");
        scaled("round", 1.005, 2, "1.01");
        scaled("round", -1.25, 1, "-1.3");
        scaled("round", 12345.0, -2, "12300.0");
        scaled("round", std::f64::consts::PI, 5, "3.1415900000000003");
        scaled("round", -5.0028, -1, "-10.0");
        scaled("round", 2.5, 16, "null");
        scaled("round", 2.5, -18, "null");
        scaled("round_half_even", 2.5, 0, "2.0");
        scaled("round_half_even", 0.125, 2, "0.12");
        scaled("round_down", -7.999, 1, "-7.9");
        scaled("round_up", 7.001, 1, "7.1000000000000005");
        scaled("round_up", -0.004, 0, "-1.0");
    }

    #[test]
    fn what_is_no_number_is_null() {
        check("sqrt", vec![Typed::int(-4, 0)], "null");
        check("ln", vec![Typed::int(0, 0)], "null");
        check("asin", vec![Typed::double(1.5, 0)], "null");
        check("power", vec![Typed::int(2, 0), Typed::int(-2, 0)], "0.25");
        check("abs", vec![Typed::text("55", 0)], "55.0");
        check("abs", vec![Typed::text("abc", 0)], "inconvertible value: `abc` [STRING -> DOUBLE] at 0");
        let wrong = "wrong number of arguments for function `power`; expected: 2, provided: 1 at 7";
        check("power", vec![Typed::double(1.0, 0)], wrong);
        let scale = "there is no matching function `round` with the argument types: (DOUBLE, DOUBLE) at 7";
        check("round", vec![Typed::double(1.0, 0), Typed::double(1.5, 0)], scale);
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(size_text(0), "0.0 B");
        assert_eq!(size_text(512), "512.0 B");
        assert_eq!(size_text(400_000), "390.6 KiB");
        assert_eq!(size_text(5_368_709_120), "5.0 GiB");
        assert_eq!(size_text(-1), "-0.0 EiB");
    }
}
