//! Random values and running timestamps: rnd_*, timestamp_sequence.
//!
//! Every call in a statement has a generator of its own, made from the statement's seeds and the call's place in it: with
//! `long_sequence(n, seed, seed)` a statement repeats itself. Nothing here is fit for secrets.

use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray};
use arrow::datatypes::{
    Float32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    UInt32Type,
};
use datafusion::logical_expr::Volatility;

use super::kernel::{Args, Function, boolean_column, column, double_column, text_column};
use super::overload::convert;
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

mod choices;
mod generator;

use generator::Generator;

/// Returns the binding of a function that answers anew for every row.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "rnd_boolean" => |call, env| plain(call, env, Kind::Boolean),
        "rnd_char" => |call, env| plain(call, env, Kind::Char),
        "rnd_byte" => |call, env| small(call, env, Kind::Byte),
        "rnd_short" => |call, env| small(call, env, Kind::Short),
        "rnd_int" => |call, env| whole(call, env, Kind::Int),
        "rnd_long" => |call, env| whole(call, env, Kind::Long),
        "rnd_float" => |call, env| real(call, env, Kind::Float),
        "rnd_double" => |call, env| real(call, env, Kind::Double),
        "rnd_uuid4" | "rnd_uuid" => |call, env| plain(call, env, Kind::Uuid),
        "rnd_long256" => |call, env| plain(call, env, Kind::Long256),
        "rnd_ipv4" => |call, env| if call.args.is_empty() { plain(call, env, Kind::Ipv4) } else { of_net(call, env) },
        "rnd_bin" => bytes,
        "rnd_geohash" => |call, env| match call.args.as_slice() {
            [bits] => match u8::try_from(constant(bits)?).ok().filter(|n| (1..=60).contains(n)) {
                Some(size) => plain(&Call { args: Vec::new(), ..call.clone() }, env, Kind::Geohash(size)),
                None => Err(SqlError::new(bits.position, "precision must be in [1..60] range")),
            },
            _ => Err(call.no_match()),
        },
        "rnd_timestamp" => |call, env| moment(call, env, Kind::Timestamp),
        "rnd_date" => |call, env| moment(call, env, Kind::Date),
        "rnd_str" => |call, env| texts(call, env, Kind::String),
        "rnd_varchar" => |call, env| texts(call, env, Kind::Varchar),
        "rnd_symbol" => |call, env| texts(call, env, Kind::Symbol),
        "rnd_symbol_weighted" => choices::weighted,
        "rnd_symbol_zipf" => choices::zipf,
        "timestamp_sequence" => timestamp_sequence,
        _ => return None,
    }))
}

/// Returns a volatile call without arguments whose values `draw` makes, a column at a time.
fn volatile(
    call: &Call,
    environment: &Environment,
    kind: Kind,
    draw: impl Fn(&mut Generator, usize) -> ArrayRef + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    let generator = Mutex::new(Generator::new(environment.ask().seeds.get(), call.position as u64));
    let kernel = Arc::new(move |args: &Args| {
        let mut generator = generator.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(draw(&mut generator, args.rows()))
    });
    // The place makes two calls in one statement two functions.
    let name = format!("{}#{}", call.name.to_ascii_lowercase(), call.position);
    Function::new(&name, 0, kind, Volatility::Volatile, kernel).call(Vec::new(), kind, call.position)
}

/// Returns the value of a constant whole argument.
fn constant(arg: &Typed) -> Result<i64, SqlError> {
    let long = super::cast::implicit(arg.clone(), Kind::Long)?;
    long.as_integer().ok_or_else(|| SqlError::new(arg.position, "constant expected"))
}

/// Returns the share of NULLs that an argument asks for: none at 0, all at 1, else one in so many.
fn null_rate(arg: &Typed) -> Result<u64, SqlError> {
    let rate = constant(arg)?;
    u64::try_from(rate).map_err(|_| SqlError::new(arg.position, "invalid NaN rate"))
}

/// Returns the bounds and the NULL rate of `f(low, high, rate)`.
fn range(call: &Call) -> Result<(i64, i64, u64), SqlError> {
    let [low, high, rate] = call.args.as_slice() else { return Err(call.no_match()) };
    let (low, high) = (constant(low)?, constant(high)?);
    if low >= high {
        return Err(SqlError::new(call.position, "invalid range"));
    }
    Ok((low, high, null_rate(rate)?))
}

fn plain(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    if !call.args.is_empty() {
        return Err(call.wrong_count(0));
    }
    volatile(call, environment, kind, move |g, rows| match kind {
        Kind::Boolean => boolean_column(rows, |_| g.boolean()),
        Kind::Ipv4 => column::<UInt32Type>(rows, |_| Some((g.next() as u32).max(1))),
        Kind::Geohash(size) => column::<Int64Type>(rows, |_| Some((g.next() & ((1 << size) - 1)) as i64)),
        Kind::Uuid => fixed(rows, 16, |bytes| {
            fill(g, bytes);
            // Version 4, variant 1.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
        }),
        Kind::Long256 => fixed(rows, 32, |bytes| fill(g, bytes)),
        _ => text_column(rows, |_| Some(g.letter().to_string())),
    })
}

/// Binds rnd_ipv4(net, rate): addresses of one net.
fn of_net(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    let [net, rate] = call.args.as_slice() else { return Err(call.no_match()) };
    let text = net.as_text().ok_or_else(|| call.no_match())?;
    let invalid = || SqlError::new(net.position, format!("invalid argument: {text}"));
    let (address, mask) = types::ipv4::parse_net(text).ok_or_else(invalid)?;
    let rate = null_rate(rate)?;
    volatile(call, environment, Kind::Ipv4, move |g, rows| {
        column::<UInt32Type>(rows, |_| g.unless_null(rate, |g| (address & mask | g.next() as u32 & !mask).max(1)))
    })
}

/// Binds rnd_bin() or rnd_bin(shortest, longest, rate).
fn bytes(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    let (shortest, longest, rate) = match call.args.as_slice() {
        [] => (32, 32, 0),
        [shortest, longest, rate] => {
            let (low, high) = (constant(shortest)?, constant(longest)?);
            if low > high || high > 1_000_000 {
                return Err(SqlError::new(call.position, "invalid range"));
            }
            if low < 1 {
                return Err(SqlError::new(shortest.position, "the least length must be greater than 0"));
            }
            let invalid = |_| SqlError::new(rate.position, "invalid null rate");
            (low, high, u64::try_from(constant(rate)?).map_err(invalid)?)
        }
        _ => return Err(call.no_match()),
    };
    let draw = move |g: &mut Generator| {
        let mut bytes = vec![0; g.between(shortest, longest) as usize];
        bytes.chunks_mut(8).for_each(|word| word.copy_from_slice(&g.next().to_be_bytes()[..word.len()]));
        bytes
    };
    volatile(call, environment, Kind::Binary, move |g, rows| {
        let values: BinaryArray = (0..rows).map(|_| g.unless_null(rate, draw)).collect();
        Arc::new(values)
    })
}

fn fill(generator: &mut Generator, bytes: &mut [u8]) {
    bytes.chunks_mut(8).for_each(|word| word.copy_from_slice(&generator.next().to_be_bytes()));
}

fn fixed(rows: usize, width: usize, mut draw: impl FnMut(&mut [u8])) -> ArrayRef {
    let mut bytes = vec![0; rows * width];
    bytes.chunks_mut(width).for_each(&mut draw);
    Arc::new(FixedSizeBinaryArray::new(width as i32, bytes.into(), None))
}

fn small(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    let (low, high) = match (call.args.as_slice(), kind) {
        ([], Kind::Byte) => (0, 127),
        ([], _) => (i64::from(i16::MIN), i64::from(i16::MAX)),
        ([low, high], _) => (constant(low)?, constant(high)?),
        _ => return Err(call.no_match()),
    };
    if low >= high {
        return Err(SqlError::new(call.position, "invalid range"));
    }
    volatile(call, environment, kind, move |g, rows| match kind {
        Kind::Byte => column::<Int8Type>(rows, |_| Some(g.between(low, high) as i8)),
        _ => column::<Int16Type>(rows, |_| Some(g.between(low, high) as i16)),
    })
}

fn whole(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    if call.args.is_empty() {
        return volatile(call, environment, kind, move |g, rows| match kind {
            Kind::Int => column::<Int32Type>(rows, |_| Some(g.next() as i32).filter(|v| *v != i32::MIN)),
            _ => column::<Int64Type>(rows, |_| Some(g.next() as i64).filter(|v| *v != i64::MIN)),
        });
    }
    let (low, high, rate) = range(call)?;
    volatile(call, environment, kind, move |g, rows| match kind {
        Kind::Int => column::<Int32Type>(rows, |_| g.unless_null(rate, |g| g.between(low, high) as i32)),
        _ => column::<Int64Type>(rows, |_| g.unless_null(rate, |g| g.between(low, high))),
    })
}

fn real(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    let rate = match call.args.as_slice() {
        [] => 0,
        [rate] => null_rate(rate)?,
        _ => return Err(call.no_match()),
    };
    volatile(call, environment, kind, move |g, rows| match kind {
        Kind::Float => column::<Float32Type>(rows, |_| g.unless_null(rate, |g| g.unit() as f32)),
        _ => double_column(rows, |_| g.unless_null(rate, Generator::unit)),
    })
}

fn moment(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    let [low, high, rate] = call.args.as_slice() else { return Err(call.no_match()) };
    let raw = |arg: &Typed| -> Result<Typed, SqlError> {
        let arg =
            if arg.kind.is_integer() { super::cast::explicit(arg.clone(), kind, arg.position)? } else { arg.clone() };
        super::cast::explicit(convert(arg, kind)?, Kind::Long, call.position)
    };
    let call_of_longs = Call::new(call.name.clone(), call.position, vec![raw(low)?, raw(high)?, rate.clone()]);
    let (low, high, rate) = range(&call_of_longs)?;
    volatile(call, environment, kind, move |g, rows| match kind {
        Kind::Date => column::<TimestampMillisecondType>(rows, |_| g.unless_null(rate, |g| g.between(low, high))),
        _ => column::<TimestampMicrosecondType>(rows, |_| g.unless_null(rate, |g| g.between(low, high))),
    })
}

/// Binds a random text: one of a list, one of a given length, or one of so many distinct ones.
fn texts(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    if call.args.is_empty() {
        return Err(SqlError::new(call.position, "no arguments provided"));
    }
    let textual = |a: &Typed| a.kind.is_text() || matches!(a.kind, Kind::Char | Kind::Null);
    if call.args.iter().all(textual) {
        return one_of(call, environment, kind);
    }
    let numbers = || call.args.iter().map(constant).collect::<Result<Vec<i64>, _>>();
    let (count, shortest, longest, rate) = match (numbers()?.as_slice(), kind) {
        ([shortest, longest, _], Kind::String | Kind::Varchar) => (None, *shortest, *longest, &call.args[2]),
        ([count, shortest, longest, _], Kind::String | Kind::Symbol) => {
            (Some(*count), *shortest, *longest, &call.args[3])
        }
        _ => return Err(call.no_match()),
    };
    if shortest < 1 || longest < shortest || longest > 1_000_000 || count.is_some_and(|n| !(1..=1_000_000).contains(&n))
    {
        return Err(SqlError::new(call.position, "invalid range"));
    }
    let rate = null_rate(rate)?;
    let make = move |g: &mut Generator| g.text(shortest, longest, kind == Kind::Varchar);
    let Some(count) = count else {
        return volatile(call, environment, kind, move |g, rows| text_column(rows, |_| g.unless_null(rate, make)));
    };
    let mut first = Generator::new(environment.ask().seeds.get(), call.position as u64 + 1);
    let stock: Vec<String> = (0..count).map(|_| make(&mut first)).collect();
    volatile(call, environment, kind, move |g, rows| {
        text_column(rows, |_| g.unless_null(rate, |g| stock[g.below(stock.len())].as_str()))
    })
}

fn one_of(call: &Call, environment: &Environment, kind: Kind) -> Result<Typed, SqlError> {
    let choices: Vec<Option<String>> = call
        .args
        .iter()
        .map(|a| if a.is_literal() { Ok(a.as_text().map(str::to_owned)) } else { Err(a.position) })
        .collect::<Result<_, _>>()
        .map_err(|position| SqlError::new(position, "constant expected"))?;
    volatile(call, environment, kind, move |g, rows| text_column(rows, |_| choices[g.below(choices.len())].as_deref()))
}

/// Binds timestamp_sequence(start, step): the first row is `start`, each later one lies `step` of the row before further.
fn timestamp_sequence(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [start, step] = call.args.as_slice() else { return Err(call.wrong_count(2)) };
    if !step.kind.is_integer() && step.kind != Kind::Null {
        return Err(call.no_match());
    }
    let start = if start.kind.is_integer() {
        super::cast::explicit(start.clone(), Kind::Timestamp, start.position)?
    } else {
        convert(start.clone(), Kind::Timestamp)?
    };
    let next: Mutex<Option<i64>> = Mutex::new(None);
    let kernel = Arc::new(move |args: &Args| {
        let (starts, steps) = (args.timestamps(0), args.longs(1));
        let mut next = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(column::<TimestampMicrosecondType>(args.rows(), |row| {
            let us = match *next {
                Some(us) => us,
                None => starts.get(row)?,
            };
            *next = Some(us.wrapping_add(steps.get(row).unwrap_or(0)));
            Some(us)
        }))
    });
    let name = format!("timestamp_sequence#{}", call.position);
    let args = vec![start, super::cast::implicit(step.clone(), Kind::Long)?];
    Function::new(&name, 2, Kind::Timestamp, Volatility::Volatile, kernel).call(args, Kind::Timestamp, call.position)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use datafusion::common::config::ConfigOptions;
    use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs};

    use super::*;
    use crate::functions::{environment, scalar};

    /// Returns a batch of a bound volatile call.
    fn batch(typed: &Typed, rows: usize) -> ArrayRef {
        let Expr::ScalarFunction(call) = &typed.expr else { panic!("a volatile call is not folded") };
        let args = call
            .args
            .iter()
            .map(|a| match a {
                Expr::Literal(value, _) => ColumnarValue::Scalar(value.clone()),
                other => panic!("{other} is no constant"),
            })
            .collect();
        let return_field = Arc::new(typed.kind.field("c"));
        let config_options = Arc::new(ConfigOptions::default());
        let args = ScalarFunctionArgs { args, arg_fields: vec![], number_rows: rows, return_field, config_options };
        match call.func.invoke_with_args(args).expect("random functions do not fail") {
            ColumnarValue::Array(array) => array,
            ColumnarValue::Scalar(_) => panic!("a volatile call answers every row"),
        }
    }

    fn bound(name: &str, args: Vec<Typed>) -> Typed {
        scalar(&Call::new(name, 7, args), &environment::fixed()).expect(name)
    }

    #[test]
    fn seeds_repeat_a_statement() {
        let draw = || batch(&bound("rnd_int", vec![]), 10);
        assert_eq!(&draw(), &draw());
    }

    #[test]
    fn ranges_and_null_rates_are_kept() {
        let args = |rate: i32| vec![Typed::int(1, 0), Typed::int(3, 0), Typed::int(rate, 0)];
        let values = batch(&bound("rnd_int", args(0)), 1_000);
        let values = values.as_primitive::<Int32Type>();
        assert_eq!(values.null_count(), 0);
        assert!(values.iter().all(|v| v.is_some_and(|v| (1..=3).contains(&v))));
        assert_eq!(batch(&bound("rnd_int", args(1)), 100).null_count(), 100);
        let some = batch(&bound("rnd_int", args(4)), 1_000).null_count();
        assert!((150..350).contains(&some), "{some} of 1,000");
        let error = scalar(&Call::new("rnd_int", 7, args(-1)), &environment::fixed()).expect_err("no such rate");
        assert_eq!(error.message, "invalid NaN rate");
    }

    #[test]
    fn texts_come_from_a_list_or_have_a_length() {
        let list = vec![Typed::text("a", 0), Typed::text("b", 0)];
        let values = batch(&bound("rnd_symbol", list), 100);
        assert!(values.as_string_view().iter().all(|v| matches!(v, Some("a" | "b"))));
        let lengths = vec![Typed::int(3, 0), Typed::int(5, 0), Typed::int(0, 0)];
        let values = batch(&bound("rnd_str", lengths), 100);
        assert!(values.as_string_view().iter().all(|v| v.is_some_and(|v| (3..=5).contains(&v.len()))));
    }

    #[test]
    fn addresses_come_from_a_net_and_bytes_have_a_length() {
        let net = vec![Typed::text("10.0.0.9/24", 0), Typed::int(0, 0)];
        let values = batch(&bound("rnd_ipv4", net), 100);
        assert!(values.as_primitive::<UInt32Type>().iter().all(|v| v.is_some_and(|v| v >> 8 == 0x0a_00_00)));
        let lengths = vec![Typed::int(3, 0), Typed::int(5, 0), Typed::int(2, 0)];
        let values = batch(&bound("rnd_bin", lengths), 100);
        assert!((20..80).contains(&values.null_count()), "{}", values.null_count());
        assert!(values.as_binary::<i32>().iter().flatten().all(|v| (3..=5).contains(&v.len())));
        assert!(
            batch(&bound("rnd_bin", vec![]), 9).as_binary::<i32>().iter().all(|v| v.is_some_and(|v| v.len() == 32))
        );
    }

    #[test]
    fn symbols_come_as_often_as_they_weigh() {
        let count = |values: &ArrayRef, of: &str| values.as_string_view().iter().filter(|v| *v == Some(of)).count();
        let pairs = vec![Typed::text("a", 0), Typed::int(1, 0), Typed::text("b", 0), Typed::double(3.0, 0)];
        let values = batch(&bound("rnd_symbol_weighted", pairs), 10_000);
        assert!((2_200..2_800).contains(&count(&values, "a")), "{}", count(&values, "a"));
        assert_eq!(count(&values, "a") + count(&values, "b"), 10_000);
        let values = batch(&bound("rnd_symbol_zipf", vec![Typed::int(3, 0), Typed::double(2.0, 0)]), 10_000);
        for (name, share) in [("sym0", 7_347), ("sym1", 1_837), ("sym2", 816)] {
            assert!(count(&values, name).abs_diff(share) < 300, "{name}: {}", count(&values, name));
        }
        let of =
            |args| scalar(&Call::new("rnd_symbol_zipf", 7, args), &environment::fixed()).expect_err("refused").message;
        assert_eq!(of(vec![Typed::int(3, 0)]), "expected at least 2 arguments: symbol list and alpha parameter");
        assert_eq!(of(vec![Typed::int(3, 0), Typed::double(-1.0, 0)]), "alpha must be positive");
        assert_eq!(of(vec![Typed::int(0, 0), Typed::double(1.0, 0)]), "symbol count must be positive");
    }

    #[test]
    fn sequences_run_on_from_batch_to_batch() {
        let start = Typed::text("2024-01-01", 0);
        let typed = bound("timestamp_sequence", vec![start, Typed::long(1_000, 0)]);
        let first = batch(&typed, 2);
        let second = batch(&typed, 1);
        let values = second.as_primitive::<TimestampMicrosecondType>();
        let begin = first.as_primitive::<TimestampMicrosecondType>().value(0);
        assert_eq!(values.value(0), begin + 2_000);
    }
}
