//! A column of numbers compared with a constant: [`Compared`], one loop over the values that the compiler makes wide.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use storage::run::Known;

use crate::exec::direct::block::BlockZones;
use crate::functions::comparison::{Comparison, comparison_of_doubles, doubles};

/// A comparison with a constant that is not NULL.
pub struct Compared {
    pub place: usize,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    /// As the engine compares.
    Exact(Operator, Number),
    /// As QuestDB compares doubles, which differ when they are far enough apart.
    Near(Comparison, f64),
}

#[derive(Clone, Copy)]
enum Number {
    I32(i32),
    I64(i64),
    F64(f64),
}

impl Compared {
    /// Returns the comparison that an expression is, if the loops here compare as the engine does.
    pub fn of(expr: &dyn PhysicalExpr, column_type: impl Fn(usize) -> DataType) -> Option<Compared> {
        if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
            return Compared::near(call);
        }
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        let sides = (binary.left(), binary.right());
        let (column, literal, op) = match (sides.0.downcast_ref::<Column>(), sides.1.downcast_ref::<Literal>()) {
            (Some(column), Some(literal)) => (column, literal, *binary.op()),
            _ => (sides.1.downcast_ref::<Column>()?, sides.0.downcast_ref::<Literal>()?, binary.op().swap()?),
        };
        let known = matches!(
            op,
            Operator::Eq
                | Operator::NotEq
                | Operator::IsNotDistinctFrom
                | Operator::IsDistinctFrom
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
        );
        let value = literal.value();
        if !known || value.data_type() != column_type(column.index()) {
            return None;
        }
        let with = match value {
            ScalarValue::Int32(Some(value)) => Number::I32(*value),
            ScalarValue::Int64(Some(value))
            | ScalarValue::TimestampMillisecond(Some(value), None)
            | ScalarValue::TimestampMicrosecond(Some(value), None)
            | ScalarValue::TimestampNanosecond(Some(value), None) => Number::I64(*value),
            // the engine tells -0.0 and 0.0 apart
            ScalarValue::Float64(Some(value)) if !value.is_nan() && *value != 0.0 => Number::F64(*value),
            _ => return None,
        };
        Some(Compared { place: column.index(), how: How::Exact(op, with) })
    }

    fn near(call: &ScalarFunctionExpr) -> Option<Compared> {
        let op = comparison_of_doubles(call.fun().name())?;
        let [left, right] = call.args() else { return None };
        // not with sides exchanged: a NaN is greater than what it is compared with, on whichever side it stands
        let (column, literal) = (left.downcast_ref::<Column>()?, right.downcast_ref::<Literal>()?);
        match literal.value() {
            ScalarValue::Float64(Some(with)) if !with.is_nan() => {
                Some(Compared { place: column.index(), how: How::Near(op, *with) })
            }
            _ => None,
        }
    }

    /// Returns whether any of the values that this is known of may meet the comparison.
    pub fn may_be_met(&self, known: &Known) -> bool {
        let How::Exact(op, with) = self.how else { return true };
        let with = match with {
            Number::I32(with) => i64::from(with),
            Number::I64(with) => with,
            Number::F64(_) => return true,
        };
        known.min.zip(known.max).is_none_or(|(min, max)| may_meet(op, min, max, with))
    }

    /// Returns whether bounds of values can tell that none meets the comparison.
    pub fn has_bounds(&self) -> bool {
        match self.how {
            How::Exact(op, _) => !matches!(op, Operator::NotEq | Operator::IsDistinctFrom),
            How::Near(op, _) => op != Comparison::Ne,
        }
    }

    /// Returns the stretches of rows that may meet the comparison by what is known of their zones.
    pub fn left(&self, zones: &BlockZones) -> Vec<Range<usize>> {
        match self.how {
            How::Exact(op, Number::I64(with)) => zones.left(|_, _| true, |min, max| may_meet(op, min, max, with)),
            How::Exact(op, Number::F64(with)) => zones.left(|min, max| may_meet(op, min, max, with), |_, _| true),
            How::Exact(_, Number::I32(_)) => zones.left(|_, _| true, |_, _| true),
            How::Near(op, with) => zones.left(|min, max| may_meet_nearly(op, min, max, with), |_, _| true),
        }
    }

    /// Returns which values meet the comparison.
    pub fn mask(&self, values: &ArrayRef) -> Option<BooleanBuffer> {
        let (met, null_meets) = match self.how {
            How::Exact(op, with) => (exactly(op, with, values)?, op == Operator::IsDistinctFrom),
            How::Near(op, with) => {
                (nearly(op, values.as_primitive_opt::<Float64Type>()?.values(), with), op == Comparison::Ne)
            }
        };
        Some(with_nulls(met, values.nulls(), null_meets))
    }
}

/// Returns whether a value between two may meet a comparison; NULL is not asked about.
fn may_meet<T: PartialOrd>(op: Operator, min: T, max: T, with: T) -> bool {
    match op {
        Operator::Eq | Operator::IsNotDistinctFrom => min <= with && with <= max,
        Operator::Lt => min < with,
        Operator::LtEq => min <= with,
        Operator::Gt => max > with,
        Operator::GtEq => max >= with,
        _ => true,
    }
}

/// As [`may_meet`]: further up or down a value is no nearer.
fn may_meet_nearly(op: Comparison, min: f64, max: f64, with: f64) -> bool {
    use Comparison::*;
    let meets = |op, value| doubles(op, Some(value), Some(with));
    match op {
        Eq => meets(Le, min) && meets(Ge, max),
        Lt | Le => meets(op, min),
        Gt | Ge => meets(op, max),
        Ne => true,
    }
}

fn exactly(op: Operator, with: Number, values: &ArrayRef) -> Option<BooleanBuffer> {
    Some(match (with, values.data_type()) {
        (Number::I32(with), DataType::Int32) => over(op, values.as_primitive::<Int32Type>().values(), with),
        (Number::I64(with), DataType::Int64) => over(op, values.as_primitive::<Int64Type>().values(), with),
        (Number::I64(with), DataType::Timestamp(TimeUnit::Millisecond, _)) => {
            over(op, values.as_primitive::<TimestampMillisecondType>().values(), with)
        }
        (Number::I64(with), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            over(op, values.as_primitive::<TimestampMicrosecondType>().values(), with)
        }
        (Number::I64(with), DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            over(op, values.as_primitive::<TimestampNanosecondType>().values(), with)
        }
        (Number::F64(with), DataType::Float64) => over_doubles(op, values.as_primitive::<Float64Type>().values(), with),
        _ => return None,
    })
}

/// One loop an operator, so that none chooses among them in each turn.
fn nearly(op: Comparison, values: &[f64], with: f64) -> BooleanBuffer {
    use Comparison::*;
    match op {
        Eq => mask_where(values, |value| doubles(Eq, Some(value), Some(with))),
        Ne => mask_where(values, |value| doubles(Ne, Some(value), Some(with))),
        Lt => mask_where(values, |value| doubles(Lt, Some(value), Some(with))),
        Le => mask_where(values, |value| doubles(Le, Some(value), Some(with))),
        Gt => mask_where(values, |value| doubles(Gt, Some(value), Some(with))),
        Ge => mask_where(values, |value| doubles(Ge, Some(value), Some(with))),
    }
}

fn over<T: Copy + PartialOrd>(op: Operator, values: &[T], with: T) -> BooleanBuffer {
    match op {
        Operator::Lt => mask_where(values, |value| value < with),
        Operator::LtEq => mask_where(values, |value| value <= with),
        Operator::Gt => mask_where(values, |value| value > with),
        Operator::GtEq => mask_where(values, |value| value >= with),
        Operator::NotEq | Operator::IsDistinctFrom => mask_where(values, |value| value != with),
        _ => mask_where(values, |value| value == with),
    }
}

/// In the engine's order NaN stands at the ends: after all numbers, with a sign before them.
fn over_doubles(op: Operator, values: &[f64], with: f64) -> BooleanBuffer {
    let one = |value: f64| match op {
        Operator::Lt => value < with,
        Operator::LtEq => value <= with,
        Operator::Gt => value > with,
        _ => value >= with,
    };
    let has_nan = || values.iter().any(|value| value.is_nan());
    match op {
        Operator::Lt | Operator::LtEq if has_nan() => {
            mask_where(values, |value| if value.is_nan() { value.is_sign_negative() } else { one(value) })
        }
        Operator::Gt | Operator::GtEq if has_nan() => {
            mask_where(values, |value| if value.is_nan() { value.is_sign_positive() } else { one(value) })
        }
        _ => over(op, values, with),
    }
}

/// Returns a mask with NULL's answer where there is no value.
pub fn with_nulls(met: BooleanBuffer, valid: Option<&NullBuffer>, null_meets: bool) -> BooleanBuffer {
    match valid {
        None => met,
        Some(valid) if null_meets => &(&met & valid.inner()) | &!valid.inner(),
        Some(valid) => &met & valid.inner(),
    }
}

/// Returns which values meet a test. A byte a value first: that loop becomes a wide one.
pub fn mask_where<T: Copy>(values: &[T], meets: impl Fn(T) -> bool) -> BooleanBuffer {
    let mut words: Vec<u64> = Vec::with_capacity(values.len().div_ceil(64));
    for chunk in values.chunks(64) {
        let mut flags = [0u8; 64];
        for (flag, value) in flags.iter_mut().zip(chunk) {
            *flag = u8::from(meets(*value));
        }
        words.push(packed(&flags));
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

/// Returns 64 flags of 0 or 1 as bits, the first the lowest.
fn packed(flags: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (place, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // the product's highest byte has the lowest bit of each byte
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= bits << (8 * place);
    }
    word
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch};
    use datafusion::physical_expr::expressions::{binary, col, lit};

    use super::*;

    /// Compares as the engine does, whatever the values.
    fn check(values: ArrayRef, with: ScalarValue) {
        let batch = RecordBatch::try_from_iter_with_nullable([("x", values.clone(), true)]).expect("one column");
        use Operator::*;
        for op in [Eq, NotEq, IsNotDistinctFrom, IsDistinctFrom, Lt, LtEq, Gt, GtEq] {
            let x = col("x", &batch.schema()).expect("it is there");
            let expr = binary(x, op, lit(with.clone()), &batch.schema()).expect("comparable");
            let Some(compared) = Compared::of(expr.as_ref(), |_| values.data_type().clone()) else {
                panic!("{expr} is not known")
            };
            let engine = expr.evaluate(&batch).and_then(|met| met.into_array(values.len())).expect("it runs");
            let engine: Vec<bool> = engine.as_boolean().iter().map(|met| met == Some(true)).collect();
            let own = compared.mask(&values).expect("its type");
            assert_eq!(BooleanArray::new(own, None).values().iter().collect::<Vec<_>>(), engine, "{expr}");
        }
    }

    #[test]
    fn comparisons_are_the_engines() {
        let longs = (0..200).map(|n| match n % 7 {
            0 => None,
            1 => Some(i64::MAX),
            2 => Some(-i64::MAX),
            _ => Some(n),
        });
        let longs: ArrayRef = Arc::new(longs.collect::<Int64Array>());
        for with in [5, 100, i64::MAX, -i64::MAX] {
            check(longs.clone(), ScalarValue::Int64(Some(with)));
            check(longs.slice(3, 130), ScalarValue::Int64(Some(with)));
        }
        let doubles = (0..200).map(|n| match n % 9 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(-f64::NAN),
            3 => Some(-0.0),
            4 => Some(f64::INFINITY),
            5 => Some(0.0),
            _ => Some(f64::from(n) - 50.0),
        });
        let doubles: ArrayRef = Arc::new(doubles.collect::<Float64Array>());
        for with in [5.0, -7.5, f64::INFINITY, f64::MIN] {
            check(doubles.clone(), ScalarValue::Float64(Some(with)));
            check(doubles.slice(5, 66), ScalarValue::Float64(Some(with)));
        }
    }

    #[test]
    fn doubles_near_each_other_are_equal_as_everywhere() {
        let near = [0.3, 0.1 + 0.2, 0.3 + 9e-11, 0.3 + 2e-10, -0.0, 0.0, f64::NAN, f64::INFINITY, f64::MIN, 1e300];
        let values = near.iter().map(|value| Some(*value)).chain([None]).cycle().take(150);
        let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
        use Comparison::*;
        for op in [Eq, Ne, Lt, Le, Gt, Ge] {
            for with in [0.3, 0.0, -0.0, f64::INFINITY, 1e300] {
                let compared = Compared { place: 0, how: How::Near(op, with) };
                let own = compared.mask(&values).expect("its type");
                let wanted = values.as_primitive::<Float64Type>().iter().map(|value| doubles(op, value, Some(with)));
                assert_eq!(own.iter().collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{} {with}", op.symbol());
            }
        }
    }
}
