//! Aggregates over small batches, with the answers that the reference gives.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::common::{Column, ScalarValue};
use datafusion::prelude::SessionContext;

use super::*;
use crate::functions::cast::value_text;

/// Answers an aggregate over a column of values, split into batches of two rows.
fn answer(name: &str, columns: &[(Kind, Vec<ScalarValue>)], extra: Vec<Typed>) -> String {
    let schema = Arc::new(Schema::new(
        columns.iter().enumerate().map(|(i, (kind, _))| kind.field(&format!("c{i}"))).collect::<Vec<_>>(),
    ));
    let rows = columns[0].1.len();
    let batches: Vec<RecordBatch> = (0..rows.max(1))
        .step_by(2)
        .map(|from| {
            let array = |(kind, values): &(Kind, Vec<ScalarValue>)| -> ArrayRef {
                let values = values[from..(from + 2).min(rows)].to_vec();
                if values.is_empty() {
                    return arrow::array::new_empty_array(&kind.arrow());
                }
                ScalarValue::iter_to_array(values).expect("one kind")
            };
            RecordBatch::try_new(schema.clone(), columns.iter().map(array).collect()).expect("columns fit")
        })
        .collect();
    let mut args: Vec<Typed> = columns
        .iter()
        .enumerate()
        .map(|(i, (kind, _))| Typed::column(Column::new_unqualified(format!("c{i}")), *kind, 10))
        .collect();
    args.extend(extra);
    let bound = match bind(&Call::new(name, 7, args), false) {
        Ok(bound) => bound,
        Err(e) => return format!("{} at {}", e.message, e.position),
    };
    let context = SessionContext::new();
    let table = datafusion::datasource::MemTable::try_new(schema, vec![batches]).expect("batches fit");
    let plan = context.read_table(Arc::new(table)).expect("a table reads").aggregate(vec![], vec![bound.expr.clone()]);
    let runtime = tokio_runtime();
    let batches = runtime.block_on(plan.expect("aggregates plan").collect()).expect("aggregates run");
    let value = ScalarValue::try_from_array(batches[0].column(0), 0).expect("one row");
    format!("{} {}", bound.kind, value_text(&value, bound.kind).unwrap_or_else(|| "null".to_owned()))
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts")
}

fn ints(values: &[Option<i32>]) -> (Kind, Vec<ScalarValue>) {
    (Kind::Int, values.iter().map(|v| ScalarValue::Int32(*v)).collect())
}

fn longs(values: &[i64]) -> (Kind, Vec<ScalarValue>) {
    (Kind::Long, values.iter().map(|v| ScalarValue::Int64(Some(*v))).collect())
}

fn doubles(values: &[f64]) -> (Kind, Vec<ScalarValue>) {
    (Kind::Double, values.iter().map(|v| ScalarValue::Float64(v.is_finite().then_some(*v))).collect())
}

fn texts(kind: Kind, values: &[Option<&str>]) -> (Kind, Vec<ScalarValue>) {
    (kind, values.iter().map(|v| ScalarValue::Utf8View(v.map(str::to_owned))).collect())
}

fn check(name: &str, column: (Kind, Vec<ScalarValue>), expected: &str) {
    assert_eq!(answer(name, &[column], vec![]), expected, "{name}");
}

#[test]
fn sums_wrap_and_are_null_without_values() {
    check("sum", ints(&[Some(2), None, Some(5)]), "LONG 7");
    check("sum", longs(&[i64::MAX, 1]), "LONG null");
    check("sum", longs(&[]), "LONG null");
    check("sum", doubles(&[0.1, 0.2, f64::NAN]), "DOUBLE 0.30000000000000004");
    check("sum", texts(Kind::String, &[Some("7"), None, Some("-3")]), "DOUBLE 4.0");
    check("avg", longs(&[i64::MAX, 1, i64::MAX, -i64::MAX]), "DOUBLE 2.305843009213694E18");
    let booleans = [true, false].map(|b| ScalarValue::Boolean(Some(b))).to_vec();
    check("avg", (Kind::Boolean, booleans.clone()), "DOUBLE 0.5");
    let refused = "there is no matching function `sum` with the argument types: (BOOLEAN) at 7";
    check("sum", (Kind::Boolean, booleans), refused);
}

#[test]
fn compensated_sums_keep_small_parts() {
    check("ksum", doubles(&[1.0, 1e-16, 1e-16, 1e-16, 1e-16]), "DOUBLE 1.0000000000000004");
    check("nsum", doubles(&[1.0, 1e100, 1.0, -1e100]), "DOUBLE 2.0");
}

#[test]
fn extremes_change_narrow_types() {
    let shorts = (Kind::Short, [3, -7].map(|v| ScalarValue::Int16(Some(v))).to_vec());
    check("min", shorts, "INT -7");
    check("max", texts(Kind::Symbol, &[Some(""), None, Some("XETR"), Some("TSE")]), "STRING XETR");
    check("max", doubles(&[f64::NAN, -1.5, 2.5]), "DOUBLE 2.5");
    check("min", doubles(&[]), "DOUBLE null");
    let booleans = [true, false].map(|b| ScalarValue::Boolean(Some(b))).to_vec();
    check("max", (Kind::Boolean, booleans), "DOUBLE 1.0");
}

#[test]
fn ends_follow_the_order_of_rows() {
    let column = || ints(&[None, Some(2), Some(3), None]);
    check("first", column(), "INT null");
    check("last", column(), "INT null");
    check("first_not_null", column(), "INT 2");
    check("last_not_null", column(), "INT 3");
    check("last", texts(Kind::Symbol, &[Some("a"), Some("b")]), "SYMBOL b");
    check("first", (Kind::Boolean, vec![]), "BOOLEAN false");
}

#[test]
fn spreads_of_one_value_have_no_sample() {
    check("stddev", doubles(&[5.0]), "DOUBLE null");
    check("stddev_pop", doubles(&[5.0]), "DOUBLE 0.0");
    check("variance", doubles(&[1.0, 2.0, 3.0, 10.0]), "DOUBLE 16.666666666666668");
    check("stddev_samp", doubles(&[3.0, 5.0, 7.0, 21.0, 100.0]), "DOUBLE 41.30617387267913");
}

#[test]
fn pairs_skip_null() {
    let pairs = |name: &str| {
        let (y, x) = (doubles(&[1.0, -1.0, 1.5, f64::NAN]), doubles(&[0.0, 1.0, 2.0, 3.0]));
        answer(name, &[y, x], vec![])
    };
    assert_eq!(pairs("covar_pop"), "DOUBLE 0.16666666666666666");
    assert_eq!(pairs("covar_samp"), "DOUBLE 0.25");
    assert_eq!(pairs("corr"), "DOUBLE 0.1889822365046136");
    assert_eq!(pairs("regr_slope"), "DOUBLE 0.25");
}

#[test]
fn texts_are_joined_in_order() {
    let join = |name: &str, kind: Kind| {
        let column = texts(kind, &[Some("b"), None, Some(""), Some("b"), Some("a")]);
        answer(name, &[column], vec![Typed::text("|", 20)])
    };
    assert_eq!(join("string_agg", Kind::Varchar), "VARCHAR b||b|a");
    assert_eq!(join("string_distinct_agg", Kind::Symbol), "STRING b||a");
    let refused = answer("string_agg", &[texts(Kind::Varchar, &[])], vec![Typed::text(", ", 20)]);
    assert_eq!(refused, "there is no matching function `string_agg` with the argument types: (VARCHAR, STRING) at 7");
}

#[test]
fn tallies_and_orders() {
    check("mode", texts(Kind::Symbol, &[Some("a"), Some("b"), Some("b")]), "SYMBOL b");
    check("mode", ints(&[Some(1), Some(1), None, None, None]), "LONG 1");
    check("isOrdered", longs(&[1, 2, 2]), "BOOLEAN true");
    check("isOrdered", longs(&[1, 2, 1]), "BOOLEAN false");
    check("bit_xor", longs(&[5, 3]), "LONG 6");
    assert_eq!(answer("arg_max", &[longs(&[10, 20, 30]), doubles(&[1.0, 3.0, 2.0])], vec![]), "LONG 20");
}
