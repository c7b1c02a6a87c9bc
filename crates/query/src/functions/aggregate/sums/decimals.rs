//! sum and avg of decimals: exact, NULL when the answer does not fit.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, i256};
use datafusion::common::ScalarValue;
use types::ColumnType;

use crate::functions::aggregate::fold::Fold;
use crate::functions::cell::{Cell, read};
use crate::functions::decimal::{divide_half_even, fits, literal};
use crate::kind::Kind;

/// The sum of decimals, or their mean rounded half to even; `kind` is that of the answer.
pub struct Sum {
    pub mean: bool,
    pub kind: Kind,
}

const WIDE: DataType = DataType::Decimal256(ColumnType::MAX_PRECISION, 0);

impl Fold for Sum {
    const ORDERED: bool = false;

    /// Sum and number of values.
    type State = (i256, i64);
    type Columns<'a> = &'a ArrayRef;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a ArrayRef {
        &arrays[0]
    }

    fn add(&self, state: &mut (i256, i64), column: &&ArrayRef, row: usize) {
        if column.is_valid(row)
            && let Cell::Decimal(value) = read(column, row)
        {
            *state = (state.0.wrapping_add(value), state.1 + 1);
        }
    }

    fn merge(&self, state: &mut (i256, i64), later: (i256, i64)) {
        *state = (state.0.wrapping_add(later.0), state.1 + later.1);
    }

    fn answers(&self, states: Vec<(i256, i64)>) -> ArrayRef {
        let Kind::Decimal(precision, scale) = self.kind else { unreachable!("sums of decimals are decimals") };
        let answer = |(sum, count): (i256, i64)| {
            let value = match (count, self.mean) {
                (0, _) => None,
                (count, true) => divide_half_even(sum, i256::from(count)),
                _ => Some(sum),
            };
            value.filter(|v| fits(*v, precision)).map_or_else(|| self.kind.null(), |v| literal(v, precision, scale))
        };
        super::super::ends::column(states.into_iter().map(answer), self.kind)
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![WIDE, DataType::Int64]
    }

    fn save(&self, state: &(i256, i64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Decimal256(Some(state.0), ColumnType::MAX_PRECISION, 0), ScalarValue::Int64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (i256, i64) {
        match saved {
            [ScalarValue::Decimal256(Some(sum), ..), ScalarValue::Int64(Some(count))] => (*sum, *count),
            _ => (i256::ZERO, 0),
        }
    }
}
