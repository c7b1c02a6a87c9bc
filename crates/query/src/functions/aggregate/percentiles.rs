//! approx_percentile and approx_median, exactly: the least value that so large a part of the values does not exceed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, Float64Type, UInt64Type};
use datafusion::common::ScalarValue;

use super::super::typed::{Call, Typed};
use super::as_double;
use super::fold::{self, Fold, doubles};
use crate::error::SqlError;
use crate::kind::Kind;

/// Binds a percentile: the value, its part unless it is the median, and perhaps how many digits must be right.
pub fn bind(name: &str, call: &Call) -> Result<Typed, SqlError> {
    let is_median = name == "approx_median";
    let (value, rest) = call.args.split_first().ok_or_else(|| call.no_match())?;
    let (part, digits) = match (is_median, rest) {
        (true, rest) => (None, rest),
        (false, [part, rest @ ..]) => (Some(part), rest),
        (false, []) => return Err(call.no_match()),
    };
    let double = as_double(value).ok_or_else(|| call.no_match())??;
    let part = match part {
        None => 0.5,
        Some(part) => constant_part(call, part)?,
    };
    match digits {
        [] => {}
        [digits] if digits.is_null_literal() => return Err(bad_precision(digits)),
        [digits] => match digits.as_integer() {
            // every digit is right
            Some(0..=5) => {}
            Some(_) => return Err(bad_precision(digits)),
            None => return Err(call.no_match()),
        },
        _ => return Err(call.no_match()),
    }
    Ok(fold::call(&format!("{name} {part}"), Percentile { part }, vec![double], Kind::Double, call.position))
}

fn bad_precision(digits: &Typed) -> SqlError {
    SqlError::new(digits.position, "precision must be between 0 and 5")
}

fn constant_part(call: &Call, part: &Typed) -> Result<f64, SqlError> {
    let range = || SqlError::new(call.position, "percentile must be between 0.0 and 1.0");
    if part.is_null_literal() {
        return Err(range());
    }
    let constant = || SqlError::new(part.position, "percentile must be a constant or runtime constant");
    let double = as_double(part).ok_or_else(|| call.no_match())??;
    match double.as_literal() {
        Some(ScalarValue::Float64(Some(part))) if (0.0..=1.0).contains(part) => Ok(*part),
        Some(_) => Err(range()),
        None => Err(constant()),
    }
}

struct Percentile {
    part: f64,
}

/// How often each value occurred, by its bits.
#[derive(Default)]
struct Counts {
    of: HashMap<u64, u64>,
}

impl Counts {
    fn add(&mut self, value: f64, times: u64) {
        // -0.0 and 0.0 are one value
        *self.of.entry((value + 0.0).to_bits()).or_insert(0) += times;
    }

    fn sorted(&self) -> Vec<(f64, u64)> {
        let mut values: Vec<_> = self.of.iter().map(|(bits, count)| (f64::from_bits(*bits), *count)).collect();
        values.sort_by(|left, right| left.0.total_cmp(&right.0));
        values
    }
}

impl Fold for Percentile {
    const ON_HEAP: bool = true;
    const ORDERED: bool = false;

    type State = Counts;
    type Columns<'a> = &'a Float64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Float64Array {
        doubles(&arrays[0])
    }

    fn add(&self, state: &mut Counts, column: &&Float64Array, row: usize) {
        if column.is_valid(row) {
            state.add(column.value(row), 1);
        }
    }

    fn merge(&self, state: &mut Counts, later: Counts) {
        later.of.into_iter().for_each(|(bits, count)| state.add(f64::from_bits(bits), count));
    }

    fn answers(&self, states: Vec<Counts>) -> ArrayRef {
        let answer = |state: &Counts| {
            let total: u64 = state.of.values().sum();
            let place = ((self.part * total as f64).ceil() as u64).max(1);
            let mut seen = 0;
            state.sorted().into_iter().find_map(|(value, count)| {
                seen += count;
                (seen >= place).then_some(value)
            })
        };
        Arc::new(states.iter().map(answer).collect::<Float64Array>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        vec![list(DataType::Float64), list(DataType::UInt64)]
    }

    fn save(&self, state: &Counts) -> Vec<ScalarValue> {
        let (values, counts): (Vec<_>, Vec<_>) = state
            .sorted()
            .into_iter()
            .map(|(value, count)| (ScalarValue::Float64(Some(value)), ScalarValue::UInt64(Some(count))))
            .unzip();
        vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64)),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::UInt64)),
        ]
    }

    fn load(&self, saved: &[ScalarValue]) -> Counts {
        let mut state = Counts::default();
        if let [ScalarValue::List(values), ScalarValue::List(counts)] = saved {
            let (values, counts) = (values.value(0), counts.value(0));
            let (values, counts) = (values.as_primitive::<Float64Type>(), counts.as_primitive::<UInt64Type>());
            values.values().iter().zip(counts.values()).for_each(|(value, count)| state.add(*value, *count));
        }
        state
    }

    fn heap_bytes(&self, state: &Counts) -> usize {
        state.of.capacity() * size_of::<(u64, u64)>()
    }
}
