//! The command line of the bench, and the document that a run writes into.

use std::path::PathBuf;

use super::peers::System;
use crate::Result;
use crate::cargo::root;

/// What can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Ingest,
    Queries,
    Joins,
    Small,
    Out,
    Cold,
    Snapshot,
}

impl Part {
    pub const ALL: [Part; 7] =
        [Part::Ingest, Part::Queries, Part::Joins, Part::Small, Part::Out, Part::Cold, Part::Snapshot];

    /// Returns the word of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Part::Ingest => "ingest",
            Part::Queries => "queries",
            Part::Joins => "joins",
            Part::Cold => "cold",
            Part::Small => "small",
            Part::Out => "out",
            Part::Snapshot => "snapshot",
        }
    }

    /// Returns the heading of its section.
    pub fn title(self) -> &'static str {
        match self {
            Part::Ingest => "Rows in",
            Part::Queries => "Queries",
            Part::Joins => "Joins and windows",
            Part::Cold => "Cold queries",
            Part::Small => "Small statements, start and memory",
            Part::Out => "Rows out",
            Part::Snapshot => "Snapshots, restarts and restores",
        }
    }
}

/// What a run does.
pub struct Options {
    /// As it was typed.
    pub command: String,
    parts: Vec<Part>,
    rows: Vec<u64>,
    pub rounds: u64,
    pub ingest_rounds: u64,
    pub tables: Vec<u64>,
    pub commit_mode: String,
    without: Vec<String>,
    document: Option<PathBuf>,
}

pub const USAGE: &str = "usage: cargo xtask bench [ingest|queries|joins|cold|small|out|snapshot …]
  --rows 1,5,20        millions of rows, each a run of its own
  --rounds 5           of queries; --ingest-rounds 3 of loads
  --tables 1,100,1000  tables beside the data, for snapshots
  --commit-mode nosync cairo.commit.mode of both servers (async, sync)
  --without questdb,duckdb
  --out FILE           the document to write into, else docs/benchmarks.md; --print writes none
       cargo xtask bench --compare REV [--dev] [--base BINARY] [--allow PERCENT]
       cargo xtask bench --kept [1000]
TMPDIR is where data and roots go: about 400 bytes a row for ingest, else 250.";

impl Options {
    /// Reads the arguments behind `bench`.
    pub fn read(args: &[String]) -> Result<Options> {
        let mut options = Options {
            command: format!("cargo xtask bench {}", args.join(" ")).trim().to_owned(),
            parts: Vec::new(),
            rows: vec![1_000_000, 5_000_000, 20_000_000],
            rounds: 5,
            ingest_rounds: 3,
            tables: vec![1, 100, 1000],
            commit_mode: "nosync".to_owned(),
            without: Vec::new(),
            document: Some(root().join("docs/benchmarks.md")),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if let Some(part) = Part::ALL.into_iter().find(|part| part.name() == arg) {
                options.parts.push(part);
                continue;
            }
            if arg == "--print" {
                options.document = None;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{arg} is no part and has no value\n{USAGE}"))?;
            match arg.as_str() {
                "--rows" => options.rows = value.split(',').map(millions).collect::<Result<_>>()?,
                "--rounds" => options.rounds = value.parse::<u64>()?.max(1),
                "--ingest-rounds" => options.ingest_rounds = value.parse::<u64>()?.max(1),
                "--tables" => options.tables = value.split(',').map(|n| Ok(n.parse()?)).collect::<Result<_>>()?,
                "--commit-mode" => options.commit_mode = value.clone(),
                "--without" => options.without = value.split(',').map(str::to_owned).collect(),
                "--out" => options.document = Some(std::path::absolute(value)?),
                _ => return Err(format!("{arg} is unknown\n{USAGE}").into()),
            }
        }
        options.rows.sort_unstable();
        if options.parts.is_empty() {
            options.parts = Part::ALL.to_vec();
        }
        Ok(options)
    }

    /// Tells whether a part is run.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Returns the sizes to run, ascending; parts that use one size only do not load the others.
    pub fn sizes(&self) -> Vec<u64> {
        if [Part::Ingest, Part::Queries, Part::Joins].iter().any(|part| self.has(*part)) {
            self.rows.clone()
        } else if self.has(Part::Out) || self.has(Part::Cold) {
            self.rows[self.rows.len() - 1..].to_vec()
        } else {
            self.rows[..1].to_vec()
        }
    }

    /// Returns the largest size.
    pub fn largest(&self) -> u64 {
        self.sizes().last().copied().unwrap_or(0)
    }

    /// Tells whether a peer is wanted; an error is the reason why it is not.
    pub fn wants(&self, system: System) -> Result<()> {
        if self.without.iter().any(|name| name.eq_ignore_ascii_case(system.name())) {
            return Err("--without says so".into());
        }
        Ok(())
    }

    /// Returns the document as it is, empty where there is none yet.
    pub fn document(&self) -> Result<String> {
        match &self.document {
            Some(path) if path.exists() => {
                Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
            _ => Ok(String::new()),
        }
    }

    /// Writes the document.
    pub fn write_document(&self, text: &str) -> Result<()> {
        let Some(path) = &self.document else { return Ok(()) };
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("bench: written: {}", path.display());
        Ok(())
    }

    /// Writes the picture of a part into the folder beside the document.
    pub fn write_picture(&self, part: Part, picture: &str) -> Result<()> {
        let Some(folder) = self.document.as_ref().and_then(|path| path.parent()) else { return Ok(()) };
        let path = folder.join("benchmarks").join(format!("{}.svg", part.name()));
        std::fs::create_dir_all(folder.join("benchmarks"))?;
        Ok(std::fs::write(&path, picture).map_err(|error| format!("{}: {error}", path.display()))?)
    }
}

fn millions(text: &str) -> Result<u64> {
    let rows = text.parse::<f64>().map_err(|error| format!("--rows {text}: {error}"))? * 1e6;
    if (1_000.0..=1e10).contains(&rows) {
        Ok(rows.round() as u64)
    } else {
        Err(format!("--rows {text}: 0.001 to 10000").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Result<Options> {
        Options::read(&args.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_arguments_everything_runs_at_three_sizes() {
        let options = read("").expect("the defaults");
        assert!(Part::ALL.iter().all(|part| options.has(*part)));
        assert_eq!(options.sizes(), [1_000_000, 5_000_000, 20_000_000]);
        assert_eq!(options.command, "cargo xtask bench");
    }

    #[test]
    fn parts_and_sizes_are_chosen() {
        let options = read("queries --rows 5,0.2 --without duckdb --print").expect("options");
        assert!(options.has(Part::Queries) && !options.has(Part::Out));
        assert_eq!(options.sizes(), [200_000, 5_000_000]);
        assert!(options.wants(System::DuckDb).is_err() && options.wants(System::QuestDb).is_ok());
        assert_eq!(read("snapshot").expect("options").sizes(), [1_000_000]);
        assert_eq!(read("out").expect("options").sizes(), [20_000_000]);
    }

    #[test]
    fn what_is_unknown_or_has_no_value_is_refused() {
        for wrong in ["--rows", "--rows x", "--rows 0", "nonsense", "--nonsense 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
