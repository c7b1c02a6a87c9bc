//! The tables of a run: a row is one measurement of every system, a cell its series or the reason why there is none.

use std::collections::BTreeMap;

use super::peers::System;
use super::statistics::{Series, geometric_mean};
use crate::Result;

/// What one system gave.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Measured in rounds; `cpu` is the server's processor time in the same unit, where it was taken.
    Measured { wall: Series, cpu: Option<Series> },
    /// Answered, but not what the others answered: no time counts.
    Wrong(String),
    /// Not done: an error of the system.
    Refused(String),
}

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub cells: BTreeMap<System, Cell>,
    /// Stands in the place of the ratio where there is no peer to compare with.
    pub ratio: Option<f64>,
}

/// A table of measurements at one number of rows.
#[derive(Clone, Debug)]
pub struct Table {
    pub title: String,
    pub unit: &'static str,
    /// Rows of the data; 0 where the rows of the table are not about them.
    pub size: u64,
    pub systems: Vec<System>,
    pub rows: Vec<Row>,
    /// Sentences below the table.
    pub notes: Vec<String>,
}

impl Row {
    /// Returns a row that has no cells yet.
    pub fn new(name: impl Into<String>) -> Row {
        Row { name: name.into(), cells: BTreeMap::new(), ratio: None }
    }

    /// Adds what a system took; nothing measured is said as such.
    pub fn measured(&mut self, system: System, wall: Vec<f64>, cpu: Vec<f64>) {
        let cell = match Series::new(wall) {
            Some(wall) => Cell::Measured { wall, cpu: Series::new(cpu) },
            None => Cell::Refused("not measured".to_owned()),
        };
        self.cells.insert(system, cell);
    }

    /// Returns how many times as long the better peer takes, and whether that is by processor time: below a
    /// millisecond the wall clock shows the connection, not the database.
    pub fn ratio(&self, unit: &str) -> Option<(f64, bool)> {
        if let Some(ratio) = self.ratio {
            return Some((ratio, false));
        }
        let (ours, best) = self.medians(|wall, _| Some(wall.median()))?;
        let short = unit == "ms" && ours < 1.0 && best < 1.0;
        match self.cpu_ratio().filter(|_| short) {
            Some(ratio) => Some((ratio, true)),
            None => (ours > 0.0).then_some((best / ours, false)),
        }
    }

    /// Returns how many times as much processor time the thriftier peer takes, where all of them were watched.
    pub fn cpu_ratio(&self) -> Option<f64> {
        let (ours, best) = self.medians(|_, cpu| Some(cpu?.median()))?;
        (ours > 0.0).then_some(best / ours)
    }

    /// Returns Stillpoint's median and the least of the peers'.
    fn medians(&self, of: impl Fn(&Series, Option<&Series>) -> Option<f64>) -> Option<(f64, f64)> {
        let (mut ours, mut best) = (None, None);
        for (system, cell) in &self.cells {
            let Cell::Measured { wall, cpu } = cell else { continue };
            let median = of(wall, cpu.as_ref())?;
            match system {
                System::Stillpoint => ours = Some(median),
                _ => best = Some(best.map_or(median, |best: f64| best.min(median))),
            }
        }
        Some((ours?, best?))
    }
}

impl Table {
    /// Returns a table without rows.
    pub fn new(title: impl Into<String>, unit: &'static str, size: u64, systems: Vec<System>) -> Table {
        Table { title: title.into(), unit, size, systems, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row and shows it on the terminal at once.
    pub fn push(&mut self, row: Row) {
        println!("  {}", super::report::line(&row, &self.systems, self.unit));
        self.rows.push(row);
    }

    /// Returns the geometric means of the ratios and of those by processor time, and of how many rows; a table of unlike
    /// things has none.
    pub fn means(&self) -> Option<(f64, f64, usize)> {
        if self.size == 0 {
            return None;
        }
        let compared = || self.rows.iter().filter(|row| row.ratio.is_none());
        let ratios: Vec<f64> = compared().filter_map(|row| row.ratio(self.unit)).map(|(ratio, _)| ratio).collect();
        let cpus: Vec<f64> = compared().filter_map(Row::cpu_ratio).collect();
        Some((geometric_mean(&ratios)?, geometric_mean(&cpus)?, ratios.len()))
    }

    /// Returns the names of the rows that have no time of Stillpoint's, with the reason.
    pub fn failures(&self) -> Vec<String> {
        let failed = |row: &Row| match row.cells.get(&System::Stillpoint) {
            Some(Cell::Wrong(reason)) => Some(format!("{}: wrong: {reason}", row.name)),
            Some(Cell::Refused(reason)) => Some(format!("{}: refused: {reason}", row.name)),
            _ => None,
        };
        self.rows.iter().filter_map(failed).collect()
    }
}

/// Returns the row that shows the noise: two series of Stillpoint taken in turns, and the second over the first.
pub fn noise_row(name: &str, first: Vec<f64>, second: Vec<f64>, cpus: Vec<f64>) -> Result<Row> {
    let median = |series: &[f64]| Series::new(series.to_vec()).map(|series| series.median()).ok_or("no round was run");
    let mut row = Row::new(name);
    row.ratio = Some(median(&second)? / median(&first)?);
    row.measured(System::Stillpoint, first.into_iter().chain(second).collect(), cpus);
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(times: &[(System, f64, f64)]) -> Row {
        let mut row = Row::new("a");
        for (system, wall, cpu) in times {
            row.measured(*system, vec![*wall], vec![*cpu]);
        }
        row
    }

    #[test]
    fn the_ratio_is_to_the_better_peer() {
        let all = row(&[(System::Stillpoint, 2.0, 3.0), (System::QuestDb, 10.0, 9.0), (System::DuckDb, 4.0, 8.0)]);
        assert_eq!(all.ratio("ms"), Some((2.0, false)));
        assert_eq!(all.cpu_ratio(), Some(8.0 / 3.0));
        assert_eq!(row(&[(System::Stillpoint, 2.0, 3.0)]).ratio("ms"), None);
        assert_eq!(row(&[(System::QuestDb, 2.0, 3.0)]).ratio("ms"), None);
    }

    #[test]
    fn below_a_millisecond_processor_time_is_compared() {
        let short = row(&[(System::Stillpoint, 0.5, 0.25), (System::QuestDb, 0.4, 0.5)]);
        assert_eq!(short.ratio("ms"), Some((2.0, true)));
        assert_eq!(short.ratio("s"), Some((0.8, false)));
        let one_long = row(&[(System::Stillpoint, 0.5, 0.2), (System::QuestDb, 4.0, 0.3)]);
        assert_eq!(one_long.ratio("ms"), Some((8.0, false)));
    }

    #[test]
    fn a_wrong_answer_has_no_ratio_and_is_named() {
        let mut wrong = row(&[(System::QuestDb, 4.0, 1.0)]);
        wrong.cells.insert(System::Stillpoint, Cell::Wrong("1 rows, not 2".to_owned()));
        assert_eq!(wrong.ratio("ms"), None);
        let mut table = Table::new("t", "ms", 0, vec![]);
        table.rows.push(wrong);
        assert_eq!(table.failures(), ["a: wrong: 1 rows, not 2"]);
        assert_eq!(table.means(), None);
    }
}
