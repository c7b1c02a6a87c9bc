//! The ledger of campaigns: `docs/campaign.jsonl`, a line for each run of a part, and its sums in `docs/proof.md`.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::counts_of;
use crate::Result;
use crate::cargo::output;

const BEGIN: &str = "<!-- campaign: made by cargo xtask campaign -->\n";
const END: &str = "<!-- end of campaign -->\n";

/// What a run of a part did.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub commit: String,
    pub part: String,
    pub seed_from: u64,
    pub seed_to: u64,
    /// In the unit of the part.
    pub count: u64,
    pub hours: f64,
    pub findings: Vec<String>,
}

/// The ledger's file, and the lines of this run, which grow until its end. Several campaigns may run at once.
pub struct Ledger {
    path: PathBuf,
    document: PathBuf,
    date: String,
    own: Vec<Entry>,
}

impl Ledger {
    /// Opens the ledger of a repository.
    pub fn open(root: &Path) -> Result<Ledger> {
        let date = output(std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?.trim().to_owned();
        Ok(Ledger {
            path: root.join("docs/campaign.jsonl"),
            document: root.join("docs/proof.md"),
            date,
            own: Vec::new(),
        })
    }

    /// Adds a portion to the line of its part, and writes ledger and sums.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        match self.own.iter_mut().find(|line| line.part == entry.part) {
            Some(line) => {
                line.seed_to = entry.seed_to;
                line.count += entry.count;
                line.hours += entry.hours;
                line.findings.extend(entry.findings);
            }
            None => self.own.push(entry),
        }
        let file = File::options().create(true).read(true).append(true).open(&self.path)?;
        file.lock()?;
        let lines = self.lines()?;
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&self.path, text)?;
        let document = std::fs::read_to_string(&self.document)?;
        Ok(std::fs::write(&self.document, placed(&document, &summary(&lines))?)?)
    }

    /// Returns the lines of all other runs, as they stand, and those of this one.
    fn lines(&self) -> Result<Vec<Value>> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| format!("{}: {error}", self.path.display()))?,
        };
        let mut lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
        let own: Vec<Value> = self.own.iter().map(|entry| entry.line(&self.date)).collect();
        let same = |a: &Value, b: &Value| {
            ["date", "part"].iter().all(|key| a[key] == b[key]) && a["seeds"][0] == b["seeds"][0]
        };
        lines.retain(|line| !own.iter().any(|own| same(own, line)));
        lines.extend(own);
        Ok(lines)
    }

    /// Returns the sums over all campaigns as a table.
    pub fn summary(&self) -> Result<String> {
        Ok(summary(&self.lines()?))
    }
}

impl Entry {
    fn line(&self, date: &str) -> Value {
        json!({
            "date": date, "commit": self.commit, "part": self.part, "seeds": [self.seed_from, self.seed_to],
            "count": self.count, "hours": (self.hours * 1000.0).round() / 1000.0, "findings": self.findings,
        })
    }
}

fn summary(lines: &[Value]) -> String {
    let mut parts: Vec<&str> = lines.iter().filter_map(|line| line["part"].as_str()).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut table = "| what | how many | hours | findings |\n|---|---:|---:|---:|\n".to_owned();
    for part in parts {
        let of_part = || lines.iter().filter(|line| line["part"] == part);
        let count: u64 = of_part().filter_map(|line| line["count"].as_u64()).sum();
        let hours: f64 = of_part().filter_map(|line| line["hours"].as_f64()).sum();
        let findings: usize = of_part().filter_map(|line| line["findings"].as_array()).map(Vec::len).sum();
        table.push_str(&format!("| {} | {count} | {hours:.2} | {findings} |\n", counts_of(part)));
    }
    table
}

/// Returns the document with the table in its place.
fn placed(document: &str, table: &str) -> Result<String> {
    let places = document.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = places.ok_or("docs/proof.md has no place for the campaign's table")?;
    Ok(format!("{head}{BEGIN}{table}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_go_over_all_runs_of_a_part() {
        let line =
            |count: u64, finding: &[&str]| json!({"part": "cuts", "count": count, "hours": 0.5, "findings": finding});
        let table = summary(&[line(5, &[]), line(7, &["seed 3"])]);
        assert!(table.ends_with("| simulated power cuts and kills | 12 | 1.00 | 1 |\n"), "{table}");
    }

    #[test]
    fn the_table_takes_the_place_of_the_one_before() {
        let document = format!("head\n{BEGIN}old\n{END}tail\n");
        assert_eq!(placed(&document, "new\n").unwrap(), format!("head\n{BEGIN}new\n{END}tail\n"));
        assert!(placed("head", "new").is_err());
    }
}
