//! Which moments a filter on the designated timestamp lets through.
//!
//! The timestamp is never NULL, so NOT is the complement and IS TRUE changes nothing.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use types::TimeRange;

use crate::interval::ranges::{complement, intersect, union};

/// Returns the moments that meet the filter, or `None` when it speaks of anything but the column `time` and constants.
pub fn ranges_of(filter: &Expr, time: &str) -> Option<Vec<TimeRange>> {
    match filter {
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Some(vec![TimeRange::ALL]),
        Expr::Literal(ScalarValue::Boolean(_), _) => Some(Vec::new()),
        Expr::BinaryExpr(binary) => binary_ranges(binary, time),
        Expr::Not(inner) | Expr::IsFalse(inner) | Expr::IsNotTrue(inner) => Some(complement(&ranges_of(inner, time)?)),
        Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => ranges_of(inner, time),
        Expr::IsNotNull(inner) if is_time(inner, time) => Some(vec![TimeRange::ALL]),
        Expr::IsNull(inner) if is_time(inner, time) => Some(Vec::new()),
        Expr::Between(between) if is_time(&between.expr, time) => {
            let (low, high) = (moment(&between.low)?, moment(&between.high)?);
            let found = clipped(low, after(high));
            Some(if between.negated { complement(&found) } else { found })
        }
        Expr::InList(list) if is_time(&list.expr, time) => {
            let moments = list.list.iter().map(moment).collect::<Option<Vec<_>>>()?;
            let found = union(moments.into_iter().flat_map(|us| clipped(us, after(us))));
            Some(if list.negated { complement(&found) } else { found })
        }
        _ => None,
    }
}

/// Returns the ranges of microseconds in which ranges of a finer unit lie.
pub fn in_microseconds(ranges: Vec<TimeRange>, per_us: i64) -> Vec<TimeRange> {
    if per_us == 1 {
        return ranges;
    }
    let edge = |value: i64, up: bool| match value {
        i64::MIN | i64::MAX => value,
        value => value.div_euclid(per_us) + i64::from(up && value.rem_euclid(per_us) > 0),
    };
    let outer = |r: &TimeRange| TimeRange { start_us: edge(r.start_us, false), end_us: edge(r.end_us, true) };
    union(ranges.iter().map(outer))
}

fn binary_ranges(binary: &BinaryExpr, time: &str) -> Option<Vec<TimeRange>> {
    let (left, right) = (&*binary.left, &*binary.right);
    match binary.op {
        Operator::And => Some(intersect(&ranges_of(left, time)?, &ranges_of(right, time)?)),
        Operator::Or => Some(union(ranges_of(left, time)?.into_iter().chain(ranges_of(right, time)?))),
        op => {
            let (op, us) = match (is_time(left, time), is_time(right, time)) {
                (true, false) => (op, moment(right)?),
                (false, true) => (op.swap()?, moment(left)?),
                _ => return None,
            };
            comparison(op, us)
        }
    }
}

fn comparison(op: Operator, us: i64) -> Option<Vec<TimeRange>> {
    Some(match op {
        Operator::Eq | Operator::IsNotDistinctFrom => clipped(us, after(us)),
        Operator::NotEq | Operator::IsDistinctFrom => complement(&clipped(us, after(us))),
        Operator::Lt => clipped(i64::MIN, us),
        Operator::LtEq => clipped(i64::MIN, after(us)),
        Operator::Gt => clipped(after(us), i64::MAX),
        Operator::GtEq => clipped(us, i64::MAX),
        _ => return None,
    })
}

fn after(us: i64) -> i64 {
    us.saturating_add(1)
}

fn clipped(start_us: i64, end_us: i64) -> Vec<TimeRange> {
    let range = TimeRange { start_us, end_us };
    if range.is_empty() { Vec::new() } else { vec![range] }
}

fn is_time(expr: &Expr, time: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == time)
}

fn moment(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), None), _) => Some(*us),
        // Beside a column of nanoseconds; the ranges are of its unit then.
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(ns), None), _) => Some(*ns),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{ident, lit};

    fn ts(us: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(us), None))
    }

    fn check(filter: Expr, expected: Option<&[(i64, i64)]>) {
        let got = ranges_of(&filter, "ts").map(|r| r.iter().map(|r| (r.start_us, r.end_us)).collect::<Vec<_>>());
        assert_eq!(got.as_deref(), expected, "{filter}");
    }

    #[test]
    fn comparisons_become_half_open_ranges() {
        check(ident("ts").gt_eq(ts(5)).and(ident("ts").lt(ts(9))), Some(&[(5, 9)]));
        check(ident("ts").gt(ts(5)), Some(&[(6, i64::MAX)]));
        check(ts(5).gt(ident("ts")), Some(&[(i64::MIN, 5)]));
        check(ident("ts").eq(ts(5)).or(ident("ts").eq(ts(7))), Some(&[(5, 6), (7, 8)]));
        check(!ident("ts").eq(ts(5)), Some(&[(i64::MIN, 5), (6, i64::MAX)]));
        check(ident("ts").between(ts(1), ts(3)), Some(&[(1, 4)]));
        check(ident("ts").gt(ts(9)).and(ident("ts").lt(ts(5))), Some(&[]));
    }

    #[test]
    fn ranges_of_nanoseconds_lie_within_those_of_microseconds() {
        let ranges = [(i64::MIN, 1_999), (3_000, 3_001), (5_001, i64::MAX)];
        let ranges = ranges.map(|(start_us, end_us)| TimeRange { start_us, end_us }).to_vec();
        let outer: Vec<_> = in_microseconds(ranges, 1_000).iter().map(|r| (r.start_us, r.end_us)).collect();
        assert_eq!(outer, [(i64::MIN, 2), (3, 4), (5, i64::MAX)]);
    }

    #[test]
    fn other_columns_are_left_to_the_engine() {
        check(ident("x").eq(ts(5)), None);
        check(ident("ts").eq(ts(5)).or(ident("x").eq(lit(1))), None);
        check(ident("ts").eq(ident("x")), None);
    }
}
