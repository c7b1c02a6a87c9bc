//! Rows as an aligned table on the terminal: numbers to the right, text to the left.

use serde_json::Value;

/// Returns the text of a value as people read it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.2}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// Returns the table, each line indented.
pub fn aligned(columns: &[String], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).chain(columns.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let numeric: Vec<bool> = (0..columns.len())
        .map(|at| rows.iter().filter_map(|row| row.get(at)).all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok()))
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| {
            let width = widths[at];
            if numeric[at] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("    {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned() + "\n"
    };
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let head = line(columns) + &line(&rule);
    rows.iter().fold(head, |table, row| table + &line(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_text_left() {
        let rows = [["JFK", "7.5"], ["Newark", "12"]].map(|row| row.map(str::to_owned).to_vec());
        let want = "    origin  delay\n    ──────  ─────\n    JFK       7.5\n    Newark     12\n";
        assert_eq!(aligned(&["origin".to_owned(), "delay".to_owned()], &rows), want);
    }

    #[test]
    fn a_double_has_two_places_and_null_is_empty() {
        assert_eq!(text(&serde_json::json!(1.23456)), "1.23");
        assert_eq!(text(&serde_json::json!(12)), "12");
        assert_eq!(text(&Value::Null), "");
    }
}
