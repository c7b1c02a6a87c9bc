//! Windows over generated batches against every pair looked at by itself: ties, keys, NULL, both ends, conditions, memory.

use super::*;
use crate::exec::testing::{batch, long, run, run_within, table, text, ts};
use crate::functions::{Call, Typed, aggregate};
use crate::kind::Kind;
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

/// Time, key, id or distance, a value.
type Row = (Option<i64>, Option<&'static str>, Option<i64>, i64);

const KEYS: [Option<&str>; 4] = [None, Some(""), Some("a"), Some("b")];

fn generated(seed: u64, rows: usize, span: i64) -> Vec<Row> {
    let mut state = seed;
    let mut below = |limit: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % limit
    };
    let mut list: Vec<Row> = (0..rows)
        .map(|_| {
            let distance = match below(6) {
                0 => None,
                n => Some(n - 2),
            };
            (Some(below(span)), KEYS[below(4) as usize], distance, below(10))
        })
        .collect();
    list.sort_by_key(|row| row.0);
    list
}

/// Returns batches of seven rows; `id` is the number of the row among all.
fn batches(names: [&str; 5], rows: &[Row]) -> Vec<RecordBatch> {
    let ids: Vec<i64> = (0..rows.len() as i64).collect();
    let part = |(rows, ids): (&[Row], &[i64])| {
        let column = |get: fn(&Row) -> Option<i64>| rows.iter().map(get).collect::<Vec<_>>();
        let id_texts: Vec<String> = ids.iter().map(i64::to_string).collect();
        batch(vec![
            (names[0], ts(&column(|row| row.0))),
            (names[1], text(&rows.iter().map(|row| row.1).collect::<Vec<_>>())),
            (names[2], long(&column(|row| row.2))),
            (names[3], long(&column(|row| Some(row.3)))),
            (names[4], text(&id_texts.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>())),
        ])
    };
    if rows.is_empty() {
        return vec![part((rows, &ids))];
    }
    rows.chunks(7).zip(ids.chunks(7)).map(part).collect()
}

#[derive(Debug, Clone, Copy)]
struct Case {
    keyed: bool,
    prevailing: bool,
    /// The value of the right row is greater than that of the left one.
    filtered: bool,
    /// Microseconds; None: as far as the left row says.
    low_us: Option<i64>,
    high_us: i64,
}

impl Case {
    fn spec(self) -> WindowJoinSpec {
        let call = |name: &str, args: Vec<Typed>, field: &str| {
            let bound = aggregate::bind(&Call::new(name, 0, args), false).expect("an aggregate");
            (bound.expr, Arc::new(bound.kind.field(field)))
        };
        let ids = Typed::new(col("rid"), Kind::Varchar, 0);
        let product = Typed::new(col("rv") * col("lv"), Kind::Long, 0);
        WindowJoinSpec {
            times: (col("lt"), col("rt")),
            keys: if self.keyed { vec![(col("lk"), col("rk"))] } else { Vec::new() },
            low: match self.low_us {
                Some(us) => WindowEnd::Fixed { ns: i128::from(us) * 1_000 },
                None => WindowEnd::OfRow { count: col("ld"), unit_ns: -1_000 },
            },
            high: WindowEnd::Fixed { ns: i128::from(self.high_us) * 1_000 },
            prevailing: self.prevailing,
            filter: self.filtered.then(|| col("rv").gt(col("lv"))),
            aggregates: vec![
                call("string_agg", vec![ids, Typed::text("+", 0)], "ids"),
                call("count", Vec::new(), "n"),
                call("sum", vec![product], "product"),
            ],
        }
    }

    /// Returns what every pair looked at by itself gives.
    fn expected(self, left: &[Row], right: &[Row]) -> String {
        let row = |(id, l): (usize, &Row)| {
            let meets = |r: &Row| (!self.keyed || r.1 == l.1) && (!self.filtered || r.3 > l.3);
            let candidates: Vec<usize> = (0..right.len()).filter(|r| meets(&right[*r])).collect();
            let time = |r: usize| right[r].0.expect("a time");
            let low_us = self.low_us.or(l.2.map(|distance| -distance.max(0)));
            let met: Vec<usize> = match low_us {
                None => Vec::new(),
                Some(low_us) => {
                    let (low, high) = (l.0.expect("a time") + low_us, l.0.expect("a time") + self.high_us);
                    let at_low = candidates.iter().any(|r| time(*r) == low);
                    let before = candidates.iter().copied().rfind(|r| time(*r) < low);
                    let in_force = before.filter(|r| self.prevailing && !at_low && time(*r) <= high);
                    let within = candidates.iter().copied().filter(|r| (low..=high).contains(&time(*r)));
                    in_force.into_iter().chain(within).collect()
                }
            };
            let ids: Vec<String> = met.iter().map(usize::to_string).collect();
            let shown = |some: String| if met.is_empty() { "-".to_owned() } else { some };
            let product: i64 = met.iter().map(|r| right[*r].3 * l.3).sum();
            format!("{id} {} {} {}", shown(ids.join("+")), met.len(), shown(product.to_string()))
        };
        left.iter().enumerate().map(row).collect::<Vec<_>>().join(", ")
    }

    fn check(self, left: &[Row], right: &[Row]) {
        let tables = (
            table("l", batches(["lt", "lk", "ld", "lv", "lid"], left)),
            table("r", batches(["rt", "rk", "rd", "rv", "rid"], right)),
        );
        let join = window_join(tables.0, tables.1, self.spec()).expect("a plan");
        let shown = LogicalPlanBuilder::from(join).project([col("lid"), col("ids"), col("n"), col("product")]);
        let plan = shown.and_then(LogicalPlanBuilder::build).expect("a plan");
        assert_eq!(run(&plan), self.expected(left, right), "{self:?}");
    }
}

#[test]
fn every_left_row_takes_the_right_rows_of_its_window_in_their_order() {
    for seed in 0..60u64 {
        let span = [3, 12, 60][seed as usize % 3];
        let left = generated(seed, 23, span);
        let right = generated(seed + 1_000, [0, 1, 5, 40][seed as usize % 4], span);
        for (low_us, high_us) in [(Some(-2), 2), (Some(-5), -1), (Some(1), 4), (Some(0), 0), (None, 1), (None, -2)] {
            for flags in 0..8 {
                let (keyed, prevailing, filtered) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
                Case { keyed, prevailing, filtered, low_us, high_us }.check(&left, &right);
            }
        }
    }
}

#[test]
fn a_right_side_that_does_not_fit_into_memory_is_an_error() {
    let case = Case { keyed: true, prevailing: true, filtered: false, low_us: Some(-2), high_us: 2 };
    let rows = generated(7, 2_000, 500);
    let left = table("l", batches(["lt", "lk", "ld", "lv", "lid"], &rows[..5]));
    let right = table("r", batches(["rt", "rk", "rd", "rv", "rid"], &rows));
    let plan = window_join(left, right, case.spec()).expect("a plan");
    let error = run_within(&plan, 20_000).expect_err("little memory").to_string();
    assert!(error.contains("WindowJoinExec[0]"), "{error}");
}

#[test]
fn ends_beyond_the_numbers_are_as_far_as_numbers_reach() {
    let rows = generated(3, 9, 20);
    let mut spec = Case { keyed: false, prevailing: false, filtered: false, low_us: Some(0), high_us: 0 }.spec();
    (spec.low, spec.high) = (WindowEnd::Fixed { ns: i128::MIN / 2 }, WindowEnd::Fixed { ns: i128::MAX / 2 });
    spec.filter = Some(lit(true));
    let left = table("l", batches(["lt", "lk", "ld", "lv", "lid"], &rows[..2]));
    let right = table("r", batches(["rt", "rk", "rd", "rv", "rid"], &rows));
    let plan = LogicalPlanBuilder::from(window_join(left, right, spec).expect("a plan")).project([col("n")]);
    assert_eq!(run(&plan.and_then(LogicalPlanBuilder::build).expect("a plan")), "9, 9");
}
