//! Time over rows as an SVG: a panel for each question, both axes logarithmic, a line for each system.
//!
//! A cost that grows with the rows is a straight line upwards, one that does not grow is level. Colours and text follow
//! the reader's light or dark page.

use std::fmt::Write;

use super::peers::System;
use super::report::figure;
use super::table::{Cell, Table};

const COLUMNS: usize = 4;
const PANEL: (f64, f64) = (250.0, 190.0);
/// Room for the axes' numbers and the title: left, top, right, bottom.
const MARGIN: [f64; 4] = [44.0, 26.0, 18.0, 26.0];
const HEAD: f64 = 34.0;

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#333}.t{font-weight:600}.g{stroke:#8884;stroke-width:1}\
.l{fill:none;stroke-width:2}.a{stroke:#d9480f}.b{stroke:#1c7ed6}.c{stroke:#7a8a00}\
.fa{fill:#d9480f}.fb{fill:#1c7ed6}.fc{fill:#7a8a00}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.a{stroke:#ff8c5a}.b{stroke:#6cb8ff}.c{stroke:#d4d450}\
.fa{fill:#ff8c5a}.fb{fill:#6cb8ff}.fc{fill:#d4d450}}";

/// One panel: medians of each system by number of rows.
#[derive(Debug, PartialEq)]
pub struct Panel {
    pub title: String,
    pub unit: &'static str,
    pub lines: Vec<(System, Vec<(f64, f64)>)>,
}

/// Returns a panel for each row name that was measured at more than one size.
pub fn panels(tables: &[&Table]) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for table in tables.iter().filter(|table| table.size > 0) {
        for row in table.rows.iter().filter(|row| row.ratio.is_none()) {
            let at = panels.iter().position(|panel| panel.title == row.name).unwrap_or_else(|| {
                panels.push(Panel { title: row.name.clone(), unit: table.unit, lines: Vec::new() });
                panels.len() - 1
            });
            for (system, cell) in &row.cells {
                let Cell::Measured { wall, .. } = cell else { continue };
                let lines = &mut panels[at].lines;
                let line = lines.iter().position(|(other, _)| other == system).unwrap_or_else(|| {
                    lines.push((*system, Vec::new()));
                    lines.len() - 1
                });
                lines[line].1.push((table.size as f64, wall.median()));
            }
        }
    }
    panels.retain(|panel| panel.lines.iter().any(|(_, points)| points.iter().any(|point| point.0 != points[0].0)));
    panels
}

/// Returns the picture of some panels, none where there is none.
pub fn svg(title: &str, panels: &[Panel]) -> Option<String> {
    if panels.is_empty() {
        return None;
    }
    let columns = panels.len().min(COLUMNS);
    let (width, height) = (PANEL.0 * columns as f64, PANEL.1 * panels.len().div_ceil(COLUMNS) as f64 + HEAD);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}</style>\n"
    );
    let mut x = 8.0;
    for system in [System::Stillpoint, System::QuestDb, System::DuckDb] {
        if panels.iter().any(|panel| panel.lines.iter().any(|(other, _)| *other == system)) {
            let (class, name) = (class(system), system.name());
            let _ = write!(
                out,
                "<path class=\"l {class}\" d=\"M{x} 16h20\"/><text x=\"{}\" y=\"20\">{name}</text>",
                x + 26.0
            );
            x += 100.0;
        }
    }
    let _ = writeln!(out, "<text x=\"{x}\" y=\"20\">{}: {} over rows</text>", escaped(title), panels[0].unit);
    for (at, panel) in panels.iter().enumerate() {
        let (left, top) = ((at % COLUMNS) as f64 * PANEL.0, (at / COLUMNS) as f64 * PANEL.1 + HEAD);
        draw(&mut out, panel, left, top);
    }
    out.push_str("</svg>\n");
    Some(out)
}

fn class(system: System) -> &'static str {
    match system {
        System::Stillpoint => "a",
        System::QuestDb => "b",
        System::DuckDb => "c",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn draw(out: &mut String, panel: &Panel, left: f64, top: f64) {
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let across = Scale::over(points().map(|point| point.0), left + MARGIN[0] + 12.0, left + PANEL.0 - MARGIN[2]);
    let up = Scale::decades_over(points().map(|point| point.1), top + PANEL.1 - MARGIN[3], top + MARGIN[1]);
    let _ =
        write!(out, "<g><text class=\"t\" x=\"{}\" y=\"{}\">{}</text>", left + 8.0, top + 14.0, escaped(&panel.title));
    for tick in up.decades() {
        let y = up.at(tick);
        let _ = write!(out, "<path class=\"g\" d=\"M{:.1} {y:.1}H{:.1}\"/>", across.from - 12.0, across.to);
        let _ = write!(
            out,
            "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            across.from - 16.0,
            y + 4.0,
            short(tick)
        );
    }
    let mut sizes: Vec<f64> = points().map(|point| point.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    for size in sizes {
        let x = across.at(size);
        let _ = write!(out, "<path class=\"g\" d=\"M{x:.1} {:.1}V{:.1}\"/>", up.from, up.to);
        let label = short(size / 1e6);
        let _ = write!(out, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label} M</text>", up.from + 15.0);
    }
    for (system, points) in &panel.lines {
        let class = class(*system);
        let path: Vec<String> =
            points.iter().map(|(rows, time)| format!("{:.1} {:.1}", across.at(*rows), up.at(*time))).collect();
        let _ = write!(out, "<path class=\"l {class}\" d=\"M{}\"/>", path.join("L"));
        for (rows, time) in points {
            let (x, y) = (across.at(*rows), up.at(*time));
            let _ = write!(
                out,
                "<circle class=\"f{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{} {} {}</title></circle>",
                system.name(),
                figure(*time),
                panel.unit
            );
        }
    }
    out.push_str("</g>\n");
}

fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A logarithmic axis: whole decades around the values for time, the values themselves at the ends for rows.
struct Scale {
    least: f64,
    greatest: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Spans whole decades.
    fn decades_over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let scale = Scale::over(values, from, to);
        let (least, greatest) = (scale.least.floor(), scale.greatest.ceil());
        Scale { least, greatest: greatest.max(least + 1.0), from, to }
    }

    /// Spans from the least to the greatest value.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let logs: Vec<f64> = values.map(|value| value.max(1e-6).log10()).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Scale { least, greatest: greatest.max(least + 0.1), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(1e-6).log10() - self.least) / (self.greatest - self.least);
        self.from + share * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.least as i32..=self.greatest as i32).map(|decade| 10f64.powi(decade))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Row;
    use super::*;

    fn table(size: u64, name: &str, ours: f64) -> Table {
        let mut table = Table::new("t", "ms", size, vec![System::Stillpoint, System::QuestDb]);
        let mut row = Row::new(name);
        row.measured(System::Stillpoint, vec![ours], vec![]);
        row.measured(System::QuestDb, vec![ours * 10.0], vec![]);
        table.rows.push(row);
        table
    }

    #[test]
    fn a_panel_joins_the_sizes_of_a_row() {
        let (small, large, other) = (table(1, "a", 2.0), table(100, "a", 30.0), table(100, "once", 1.0));
        let twice = table(100, "once", 1.0);
        let seen = panels(&[&small, &large, &other, &twice, &table(0, "a", 1.0)]);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].lines[0], (System::Stillpoint, vec![(1.0, 2.0), (100.0, 30.0)]));
    }

    #[test]
    fn decades_are_equal_steps_and_time_goes_up() {
        let scale = Scale::decades_over([2.0, 300.0].into_iter(), 100.0, 10.0);
        assert_eq!(scale.decades().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!([1.0, 10.0, 1000.0].map(|value| scale.at(value)), [100.0, 70.0, 10.0]);
        let tight = Scale::over([2.0, 200.0, 20.0].into_iter(), 0.0, 10.0);
        assert_eq!([2.0, 20.0, 200.0].map(|value| tight.at(value).round()), [0.0, 5.0, 10.0]);
        assert!(Scale::over([5.0].into_iter(), 0.0, 1.0).at(5.0).is_finite());
    }

    #[test]
    fn the_picture_is_well_formed_and_names_its_systems() {
        let (small, large) = (table(1_000_000, "a < b & c", 2.0), table(20_000_000, "a < b & c", 30.0));
        let text = svg("Queries", &panels(&[&small, &large])).expect("a panel");
        for wanted in
            ["a &lt; b &amp; c<", "Queries: ms over rows", "Stillpoint", "QuestDB", "20 M", "prefers-color-scheme:dark"]
        {
            assert!(text.contains(wanted), "{wanted} not in {text}");
        }
        assert!(!text.contains("DuckDB") && !text.contains("NaN"));
        for name in ["svg", "g", "text", "title", "circle", "style"] {
            let opened = text.matches(&format!("<{name} ")).count() + text.matches(&format!("<{name}>")).count();
            assert_eq!(opened, text.matches(&format!("</{name}>")).count(), "{name}");
        }
        assert_eq!(svg("Queries", &[]), None);
    }
}
