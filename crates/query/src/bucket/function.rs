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
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::{Grid, Stride};

/// Returns the expression for the start of the bucket of `ts`, which must be a TIMESTAMP in microseconds.
pub fn bucket_expr(ts: Expr, grid: Grid) -> Expr {
    ScalarUDF::from(BucketFunction::new(grid)).call(vec![ts])
}

/// Returns the expression for the start of the bucket of `ts` where buckets are counted from `first`, the time of the
/// first row (ALIGN TO FIRST OBSERVATION); NULL where `first` is.
pub fn bucket_since_expr(ts: Expr, first: Expr, stride: Stride) -> Expr {
    ScalarUDF::from(SinceFunction::new(stride)).call(vec![ts, first])
}

/// Returns the grid and the argument of a call of the bucket function; None for any other expression.
pub fn bucket_of(expr: &Arc<dyn PhysicalExpr>) -> Option<(Grid, &Arc<dyn PhysicalExpr>)> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let bucket = call.fun().inner().downcast_ref::<BucketFunction>()?;
    Some((bucket.grid, call.args().first()?))
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
        let name = format!("__bucket {grid}");
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

#[derive(Debug, PartialEq, Eq, Hash)]
struct SinceFunction {
    signature: Signature,
    name: String,
    stride: Stride,
}

impl SinceFunction {
    fn new(stride: Stride) -> SinceFunction {
        let signature = Signature::exact(vec![MICROS, MICROS], Volatility::Immutable);
        SinceFunction { signature, name: format!("__bucket_since {stride}"), stride }
    }
}

impl ScalarUDFImpl for SinceFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(MICROS)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [ts, first] = args.args.as_slice() else {
            return exec_err!("{}: two timestamps expected, found {}", self.name, args.args.len());
        };
        let (ts, first) = (ts.to_array(rows)?, first.to_array(rows)?);
        let pairs =
            ts.as_primitive::<TimestampMicrosecondType>().iter().zip(first.as_primitive::<TimestampMicrosecondType>());
        let start =
            |(ts, first): (Option<i64>, Option<i64>)| Some(Grid::calendar(self.stride).with_origin(first?).floor(ts?));
        let starts: TimestampMicrosecondArray = pairs.map(start).collect();
        Ok(ColumnarValue::Array(Arc::new(starts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::testing::{batch, explained, long, run, table, ts};
    use datafusion::functions_aggregate::expr_fn::count;
    use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, ident, lit};

    const MINUTE: i64 = 60_000_000;

    fn every(stride: &str) -> Expr {
        bucket_expr(ident("ts"), Grid::calendar(Stride::from_floor(stride).expect("a stride")))
    }

    fn rows() -> LogicalPlanBuilder {
        let times = [Some(MINUTE), Some(59 * MINUTE), Some(60 * MINUTE), None, Some(150 * MINUTE), Some(-1)];
        let values: Vec<Option<i64>> = (1..=times.len() as i64).map(Some).collect();
        LogicalPlanBuilder::from(table("t", vec![batch(vec![("ts", ts(&times)), ("v", long(&values))])]))
    }

    fn filtered(by: Expr) -> LogicalPlan {
        rows().filter(by).and_then(|b| b.project([ident("v")])).and_then(|b| b.build()).expect("a plan")
    }

    fn at(minutes: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(minutes * MINUTE), None))
    }

    #[test]
    fn floors_values_and_keeps_nulls() {
        let plan = rows().project([every("1h")]).and_then(|b| b.build()).expect("a plan");
        assert_eq!(run(&plan), "00:00:00, 00:00:00, 01:00:00, -, 02:00:00, 23:00:00");
    }

    #[test]
    fn comparisons_with_bucket_starts_become_bounds_on_the_time() {
        for (by, expected) in [
            (every("1h").eq(at(0)), "1, 2"),
            (every("1h").gt_eq(at(60)), "3, 5"),
            (every("1h").gt(at(60)), "5"),
            (every("1h").lt_eq(at(60)), "1, 2, 3, 6"),
        ] {
            let plan = filtered(by);
            assert_eq!(run(&plan), expected);
            let shown = explained(&plan);
            assert!(!shown.contains("__bucket"), "{shown}");
        }
    }

    #[test]
    fn comparisons_with_other_moments_stay_as_written() {
        let plan = filtered(every("1h").eq(at(1)));
        assert_eq!(run(&plan), "");
        assert_eq!(run(&filtered(every("1h").gt_eq(at(1)))), "3, 5");
        assert_eq!(run(&filtered(every("1h").lt(at(1)))), "1, 2, 6");
    }

    #[test]
    fn buckets_since_a_moment_start_at_it() {
        let since = bucket_since_expr(ident("ts"), at(2), Stride::from_floor("1h").expect("a stride"));
        let plan = rows().project([since]).and_then(|b| b.build()).expect("a plan");
        assert_eq!(run(&plan), "23:02:00, 00:02:00, 00:02:00, -, 02:02:00, 23:02:00");
    }

    #[test]
    fn two_grids_in_one_statement_are_told_apart() {
        let plan = rows().project([every("1h"), every("2h")]).and_then(|b| b.build()).expect("a plan");
        assert!(run(&plan).ends_with("02:00:00 02:00:00, 23:00:00 22:00:00"));
        let moved = Grid::calendar(Stride::from_floor("1h").expect("a stride")).with_offset(MINUTE);
        let plan = rows().project([every("1h"), bucket_expr(ident("ts"), moved)]).and_then(|b| b.build());
        assert!(run(&plan.expect("a plan")).starts_with("00:00:00 00:01:00"));
    }

    #[test]
    fn grouping_an_ordered_input_by_buckets_needs_no_hash_of_all_groups() {
        let plan = rows()
            .sort([ident("ts").sort(true, true)])
            .and_then(|b| b.aggregate([every("1h")], [count(ident("v"))]))
            .and_then(|b| b.build())
            .expect("a plan");
        assert!(explained(&plan).contains("ordering_mode=Sorted"), "{}", explained(&plan));
        assert_eq!(run(&plan), "- 1, 23:00:00 1, 00:00:00 2, 01:00:00 1, 02:00:00 1");
    }
}
