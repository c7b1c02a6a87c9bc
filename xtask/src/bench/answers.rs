//! When two systems gave the same answer: rows in order, texts equal, numbers within a millionth.
//!
//! Sums of doubles differ in the last digits by the order of adding; nothing else may differ.

use serde_json::Value;

/// The rows of an answer.
pub type Rows = Vec<Vec<Value>>;

/// Returns where two answers differ, none where they are the same.
pub fn difference(mine: &Rows, other: &Rows) -> Option<String> {
    if mine.len() != other.len() {
        return Some(format!("{} rows, not {}", mine.len(), other.len()));
    }
    for (at, (mine, other)) in mine.iter().zip(other).enumerate() {
        if mine.len() != other.len() {
            return Some(format!("row {at} has {} columns, not {}", mine.len(), other.len()));
        }
        if let Some((mine, other)) = mine.iter().zip(other).find(|(mine, other)| !same(mine, other)) {
            return Some(format!("row {at}: {mine}, not {other}"));
        }
    }
    None
}

fn same(mine: &Value, other: &Value) -> bool {
    match (mine.as_f64(), other.as_f64()) {
        (Some(mine), Some(other)) => (mine - other).abs() <= 1e-6 * mine.abs().max(other.abs()),
        _ => mine == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(mine: Value, other: Value, want: Option<&str>) {
        let rows = |value| serde_json::from_value::<Rows>(value).expect("rows");
        assert_eq!(difference(&rows(mine), &rows(other)).as_deref(), want);
    }

    #[test]
    fn sums_in_another_order_are_the_same() {
        check(json!([["a", 1.0, null, 0]]), json!([["a", 1.000_000_1, null, 0.0]]), None);
        check(json!([]), json!([]), None);
    }

    #[test]
    fn other_numbers_texts_and_lengths_are_found() {
        check(json!([[1], [2]]), json!([[1], [2.1]]), Some("row 1: 2, not 2.1"));
        check(json!([["a"]]), json!([["b"]]), Some("row 0: \"a\", not \"b\""));
        check(json!([[null]]), json!([[0]]), Some("row 0: null, not 0"));
        check(json!([[0]]), json!([[1e-9]]), Some("row 0: 0, not 1e-9"));
        check(json!([[1]]), json!([[1], [2]]), Some("1 rows, not 2"));
        check(json!([[1]]), json!([[1, 2]]), Some("row 0 has 1 columns, not 2"));
    }
}
