//! The text of a run: tables in Markdown, with the command, the machine and the versions that they belong to.
//!
//! Each part has its place in `docs/benchmarks.md` between two markers; a run replaces the places of the parts that it
//! ran and leaves everything else as it stands.

use std::fmt::Write;

use super::peers::System;
use super::statistics::Series;
use super::table::{Cell, Row, Table};
use crate::Result;

/// Returns a number with as many digits as mean something.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => thousands(value.round() as i64),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

fn ranged(series: &Series) -> String {
    format!("{} ({}–{})", figure(series.median()), figure(series.least()), figure(series.greatest()))
}

fn cell(row: &Row, system: System) -> String {
    match row.cells.get(&system) {
        Some(Cell::Measured { wall, cpu: Some(cpu) }) => format!("{} · {}", ranged(wall), figure(cpu.median())),
        Some(Cell::Measured { wall, cpu: None }) => ranged(wall),
        Some(Cell::Wrong(_)) => "wrong".to_owned(),
        Some(Cell::Refused(_)) => "refused".to_owned(),
        None => "–".to_owned(),
    }
}

fn ratio(row: &Row, unit: &str) -> String {
    match row.ratio(unit) {
        Some((ratio, by_cpu)) => format!("{ratio:.2}{}", if by_cpu { " by CPU" } else { "" }),
        None => "–".to_owned(),
    }
}

fn cpu_ratio(row: &Row) -> String {
    row.cpu_ratio().map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// Returns a row as it is shown while the run goes on.
pub fn line(row: &Row, systems: &[System], unit: &str) -> String {
    let mut text = format!("{:40}", row.name);
    for system in systems {
        let _ = write!(text, "  {:34}", format!("{} {}", system.name(), cell(row, *system)));
    }
    for (system, cell) in &row.cells {
        if let Cell::Wrong(reason) | Cell::Refused(reason) = cell {
            let _ = write!(text, " [{}: {reason}]", system.name());
        }
    }
    format!("{text}  × {}, CPU {}", ratio(row, unit), cpu_ratio(row))
}

/// Returns a table in Markdown, with its mean and notes.
pub fn markdown(table: &Table) -> String {
    let mut text = format!("### {}\n\n| {} |", table.title, table.unit);
    for system in &table.systems {
        let _ = write!(text, " {} |", system.name());
    }
    text.push_str(" × | × CPU |\n|---|");
    text.push_str(&"---:|".repeat(table.systems.len() + 2));
    text.push('\n');
    for row in &table.rows {
        let _ = write!(text, "| {} |", row.name);
        for system in &table.systems {
            let _ = write!(text, " {} |", cell(row, *system));
        }
        let _ = writeln!(text, " {} | {} |", ratio(row, table.unit), cpu_ratio(row));
    }
    if let Some((mean, cpu, rows)) = table.means() {
        let _ = writeln!(text, "\nGeometric mean of × over {rows} rows: **{mean:.2}**, by processor time {cpu:.2}.");
    }
    for row in &table.rows {
        for (system, cell) in &row.cells {
            if let Cell::Wrong(reason) | Cell::Refused(reason) = cell {
                let reason = reason.lines().next().unwrap_or_default();
                let _ = writeln!(text, "\n{}, {}: {reason:.200}", row.name, system.name());
            }
        }
    }
    for note in &table.notes {
        let _ = writeln!(text, "\n{note}");
    }
    text
}

/// Puts the text of a part between its markers; a part without markers comes behind everything else.
pub fn replace(document: &str, part: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench {part} -->"), format!("<!-- end of bench {part} -->"));
    let inner = format!("{begin}\n{}\n{end}", text.trim());
    match (document.find(&begin), document.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            Ok(format!("{}{inner}{}", &document[..from], &document[to + end.len()..]))
        }
        (None, None) => Ok(format!("{}\n\n{inner}\n", document.trim_end())),
        _ => Err(format!("the markers of {part} are not a pair: {begin} … {end}; mend the document").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Queries, 1 M rows", "ms", 1_000_000, vec![System::Stillpoint, System::QuestDb]);
        let mut row = Row::new("count");
        row.measured(System::Stillpoint, vec![2.0, 1.0, 3.0], vec![1.5, 1.5, 1.5]);
        row.measured(System::QuestDb, vec![8.0, 9.0, 7.0], vec![3.0, 3.0, 3.0]);
        table.rows.push(row);
        table
    }

    #[test]
    fn a_number_has_the_digits_that_mean_something() {
        assert_eq!([0.1234, 1.234, 12.34, 123.4, 1234567.0].map(figure), ["0.123", "1.23", "12.3", "123", "1,234,567"]);
        assert_eq!([0.9999, 9.999, 99.99].map(figure), ["1.00", "10.0", "100"]);
        assert_eq!(thousands(-1_000), "-1,000");
    }

    #[test]
    fn a_table_says_median_range_processor_time_and_ratio() {
        let text = markdown(&table());
        assert!(text.contains("| ms | Stillpoint | QuestDB | × | × CPU |\n|---|---:|---:|---:|---:|\n"), "{text}");
        assert!(
            text.contains("| count | 2.00 (1.00–3.00) · 1.50 | 8.00 (7.00–9.00) · 3.00 | 4.00 | 2.00 |\n"),
            "{text}"
        );
        assert!(text.contains("mean of × over 1 rows: **4.00**, by processor time 2.00"), "{text}");
    }

    #[test]
    fn a_wrong_answer_says_why_and_has_no_time() {
        let mut wrong = table();
        wrong.rows[0].cells.insert(System::Stillpoint, Cell::Wrong("1 rows, not 2".to_owned()));
        let text = markdown(&wrong);
        assert!(text.contains("| count | wrong | 8.00 (7.00–9.00) · 3.00 | – | – |"), "{text}");
        assert!(text.contains("count, Stillpoint: 1 rows, not 2"), "{text}");
    }

    #[test]
    fn only_the_place_of_the_part_changes() {
        let document = "# Head\n\n<!-- bench joins -->\nold\n<!-- end of bench joins -->\n\nbehind\n";
        let seen = replace(document, "joins", "new\n").expect("a pair");
        assert_eq!(seen, "# Head\n\n<!-- bench joins -->\nnew\n<!-- end of bench joins -->\n\nbehind\n");
        let more = replace(&seen, "out", "more").expect("none yet");
        assert_eq!(more, format!("{}\n\n<!-- bench out -->\nmore\n<!-- end of bench out -->\n", seen.trim_end()));
        assert!(replace("<!-- bench out -->", "out", "x").is_err());
    }
}
