//! A grid as a SQL function of one timestamp: what SAMPLE BY groups by.
//!
//! Beside the value it tells the optimizer two facts: it keeps the order of its argument, and `bucket(ts) = start` is
//! `ts` in a range, so that comparisons with bucket starts prune like bounds on the time itself.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::ExprProperties;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::Grid;

/// Returns the expression for the start of the bucket of `ts`, which must be a TIMESTAMP in microseconds.
pub fn bucket_expr(ts: Expr, grid: Grid) -> Expr {
    ScalarUDF::from(BucketFunction::new(grid)).call(vec![ts])
}

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

#[derive(Debug, PartialEq, Eq, Hash)]
struct BucketFunction {
    signature: Signature,
    name: String,
    grid: Grid,
}

impl BucketFunction {
    fn new(grid: Grid) -> BucketFunction {
        // Plans show the name, and expressions of one name are taken for one another: it must tell grids apart.
        let mut name = format!("__bucket_{}", grid.stride());
        if grid.start(0) != Grid::calendar(grid.stride()).start(0) {
            name.push_str(&format!("_from_{}us", grid.start(0)));
        }
        BucketFunction { signature: Signature::exact(vec![MICROS], Volatility::Immutable), name, grid }
    }
}

impl ScalarUDFImpl for BucketFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(MICROS)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        let metadata = [("type".to_owned(), "TIMESTAMP".to_owned())].into();
        Ok(Arc::new(Field::new(self.name(), MICROS, nullable).with_metadata(metadata)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(ts)] => {
                let ts = ts.as_primitive::<TimestampMicrosecondType>();
                let starts: TimestampMicrosecondArray = ts.unary(|ts_us| self.grid.floor(ts_us));
                Ok(ColumnarValue::Array(Arc::new(starts)))
            }
            [ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(ts, _))] => {
                let start = ts.map(|ts_us| self.grid.floor(ts_us));
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(start, None)))
            }
            other => exec_err!("{}: one timestamp in microseconds expected, found {other:?}", self.name),
        }
    }

    fn preserves_lex_ordering(&self, _inputs: &[ExprProperties]) -> Result<bool> {
        Ok(true)
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, _info: &SimplifyContext) -> Result<PreimageResult> {
        let ([ts], Some(ScalarValue::TimestampMicrosecond(Some(start_us), None))) = (args, literal.as_literal()) else {
            return Ok(PreimageResult::None);
        };
        let next_us = self.grid.next(*start_us);
        if self.grid.floor(*start_us) != *start_us || next_us == i64::MAX {
            return Ok(PreimageResult::None);
        }
        let bound = |us| ScalarValue::TimestampMicrosecond(Some(us), None);
        let interval = Box::new(Interval::try_new(bound(*start_us), bound(next_us))?);
        Ok(PreimageResult::Range { expr: ts.clone(), interval })
    }
}
