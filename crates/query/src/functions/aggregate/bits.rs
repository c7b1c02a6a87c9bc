//! bool_and, bool_or, bit_and, bit_or, bit_xor.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;

use super::super::cast::implicit;
use super::super::typed::{Call, Typed};
use super::fold::{self, Fold};
use crate::error::SqlError;
use crate::kind::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bit {
    And,
    Or,
    Xor,
}

/// Binds bool_and or bool_or; of no rows both are false.
pub fn of_booleans(name: &str, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    if arg.kind != Kind::Boolean {
        return Err(call.no_match());
    }
    let bit = if name == "bool_and" { Bit::And } else { Bit::Or };
    Ok(fold::call(name, Flags(bit), vec![arg.clone()], Kind::Boolean, call.position))
}

/// Binds a bit aggregate over whole numbers, in the argument's own type.
pub fn of_integers(name: &str, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    if !arg.kind.is_integer() {
        return Err(call.no_match());
    }
    let bit = match name {
        "bit_and" => Bit::And,
        "bit_or" => Bit::Or,
        _ => Bit::Xor,
    };
    let args = vec![implicit(arg.clone(), Kind::Long)?];
    Ok(fold::call(name, Bits { bit, kind: arg.kind }, args, arg.kind, call.position))
}

struct Flags(Bit);

impl Flags {
    fn join(&self, state: &mut Option<bool>, value: bool) {
        *state = Some(match (*state, self.0) {
            (None, _) => value,
            (Some(kept), Bit::And) => kept && value,
            (Some(kept), _) => kept || value,
        });
    }
}

impl Fold for Flags {
    const ORDERED: bool = false;

    type State = Option<bool>;
    type Columns<'a> = &'a BooleanArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a BooleanArray {
        arrays[0].as_boolean()
    }

    fn add(&self, state: &mut Option<bool>, column: &&BooleanArray, row: usize) {
        self.join(state, column.is_valid(row) && column.value(row));
    }

    fn merge(&self, state: &mut Option<bool>, later: Option<bool>) {
        if let Some(value) = later {
            self.join(state, value);
        }
    }

    fn answers(&self, states: Vec<Option<bool>>) -> ArrayRef {
        Arc::new(states.into_iter().map(|s| Some(s.unwrap_or(false))).collect::<BooleanArray>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Boolean]
    }

    fn save(&self, state: &Option<bool>) -> Vec<ScalarValue> {
        vec![ScalarValue::Boolean(*state)]
    }

    fn load(&self, saved: &[ScalarValue]) -> Option<bool> {
        if let [ScalarValue::Boolean(value)] = saved { *value } else { None }
    }
}

struct Bits {
    bit: Bit,
    kind: Kind,
}

impl Bits {
    fn join(&self, state: &mut Option<i64>, value: i64) {
        *state = Some(match (*state, self.bit) {
            (None, _) => value,
            (Some(kept), Bit::And) => kept & value,
            (Some(kept), Bit::Or) => kept | value,
            (Some(kept), Bit::Xor) => kept ^ value,
        });
    }
}

impl Fold for Bits {
    const ORDERED: bool = false;

    type State = Option<i64>;
    type Columns<'a> = &'a Int64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Int64Array {
        arrays[0].as_primitive::<Int64Type>()
    }

    fn add(&self, state: &mut Option<i64>, column: &&Int64Array, row: usize) {
        if column.is_valid(row) {
            self.join(state, column.value(row));
        }
    }

    fn merge(&self, state: &mut Option<i64>, later: Option<i64>) {
        if let Some(value) = later {
            self.join(state, value);
        }
    }

    fn answers(&self, states: Vec<Option<i64>>) -> ArrayRef {
        let none = if self.kind.is_nullable() { None } else { Some(0) };
        let longs: Int64Array = states.into_iter().map(|s| s.or(none)).collect();
        cast(&longs, &self.kind.arrow()).expect("bits of narrow numbers fit them again")
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn save(&self, state: &Option<i64>) -> Vec<ScalarValue> {
        vec![ScalarValue::Int64(*state)]
    }

    fn load(&self, saved: &[ScalarValue]) -> Option<i64> {
        if let [ScalarValue::Int64(value)] = saved { *value } else { None }
    }
}
