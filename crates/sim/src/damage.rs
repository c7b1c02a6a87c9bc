//! A copy that is not whole is refused with the name of the file, or the fault is harmless.
//!
//! Every file of a small copy is taken away, cut, and changed in every byte; a stray file is put beside each. The
//! restore must refuse and change nothing, or give exactly the cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use storage::Options;
use storage::env::SimFs;
use storage::env::sim_fs::CopyMode;
use storage::planted::Planted;

use crate::compare::compare_tables;
use crate::generate::Generator;
use crate::history::History;
use crate::machine::{Machine, options};
use crate::model::Model;
use crate::snapshot_cycle::EXCLUDED;
use crate::step::Step;

/// What became of the faults in one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub refused: u64,
    pub harmless: u64,
}

/// A small copy that waits to be restored, and what it must become.
pub struct Copy {
    pub fs: SimFs,
    pub root: PathBuf,
    pub cut: Model,
    seed: u64,
    planted: Option<Planted>,
}

/// A change of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Missing,
    Cut {
        len_bytes: u64,
    },
    Flip {
        byte: u64,
        bit: u8,
    },
    /// All bytes zero, as a killed restore leaves a file.
    Zeros,
    /// Another file of the same kind beside it.
    Extra,
}

impl Copy {
    /// Makes a copy of a small database whose rows lie in segments, in the sealed log, and in both.
    pub fn new(seed: u64, planted: Option<Planted>) -> Result<Copy, String> {
        let options = Options { planted, ..options("/a") };
        let mut history = History::new(seed, options, Generator::new(seed, false));
        history.start()?;
        while history.model.tables.len() < 2 {
            let step = history.generator.next(&history.model);
            if matches!(step, Step::Create(_)) {
                history.step(step)?;
            }
        }
        for round in 0..3 {
            for _ in 0..4 {
                let step = history.generator.append(&history.model);
                history.step(step)?;
            }
            // The rows of the third round stay in the log.
            if round < 2 {
                for table in history.model.clone().tables.keys() {
                    history.step(Step::FlushTable(table.clone()))?;
                }
                history.step(Step::WriteBase)?;
            }
        }
        let cut = history.model.clone();
        history.step(Step::Prepare("default".to_owned()))?;
        let (root, fs) = (PathBuf::from("/copy"), history.machine.fs.clone());
        fs.copy_tree(Path::new("/a"), &root, CopyMode::Copy, &EXCLUDED, seed).finish();
        fs.remove(Path::new("/a"));
        history.kill();
        let fs = history.machine.fs.clone();
        fs.write_file(&root.join("_restore"), b"");
        Ok(Copy { fs, root, cut, seed, planted })
    }

    /// Restores the copy with a fault in one file.
    ///
    /// # Errors
    /// A sentence when the fault was served, the error does not name the file, or the refusal changed something.
    pub fn check(&self, file: &Path, damage: Damage) -> Result<Outcome, String> {
        let fs = self.fs.fork();
        let path = self.root.join(file);
        match damage {
            Damage::Missing => fs.remove(&path),
            Damage::Cut { len_bytes } => fs.truncate_file(&path, len_bytes),
            Damage::Flip { byte, bit } => fs.flip_bit(&path, byte, bit),
            Damage::Zeros => {
                let zeros = vec![0; fs.peek(&path).expect("the file exists").len()];
                fs.write_file(&path, &zeros);
            }
            Damage::Extra => {
                let bytes = fs.peek(&path).expect("the file exists");
                let mut name = path.file_name().expect("a file has a name").to_owned();
                name.push(".partial");
                fs.write_file(&path.with_file_name(name), &bytes[..bytes.len() / 2]);
            }
        }
        self.restore(fs, file).map_err(|e| format!("seed {}, {}, {damage:?}: {e}", self.seed, file.display()))
    }

    fn restore(&self, fs: SimFs, file: &Path) -> Result<Outcome, String> {
        let before = fs.tree_digest(&self.root);
        let mut machine = Machine::on(fs, self.seed);
        match machine.open(&Options { planted: self.planted, ..options(&self.root) }) {
            Ok(db) => {
                compare_tables(&self.cut, &db).map_err(|e| format!("the fault was served: {e}"))?;
                Ok(Outcome { refused: 0, harmless: 1 })
            }
            Err(error) => {
                let text = error.to_string();
                let name = file.file_name().expect("a file has a name").to_string_lossy();
                // Of a missing snapshot file nothing is known but what it is called in statements.
                let is_named =
                    text.contains(&*name) || file.starts_with("snapshot") && text.contains("snapshot/default");
                if !is_named {
                    return Err(format!("the error does not name the file: {text}"));
                }
                if text.lines().count() > 6 {
                    return Err(format!("the error is longer than six lines: {text}"));
                }
                if machine.fs.tree_digest(&self.root) != before {
                    return Err(format!("the refusal changed something: {text}"));
                }
                Ok(Outcome { refused: 1, harmless: 0 })
            }
        }
    }

    /// Returns the files of the copy and their lengths, without the trigger.
    pub fn files(&self) -> BTreeMap<PathBuf, u64> {
        let tree = self.fs.tree_digest(&self.root);
        let files: BTreeSet<PathBuf> = self.fs.files_below(&self.root).into_iter().collect();
        let of_copy = tree.into_iter().filter(|(path, _)| files.contains(path) && path != Path::new("_restore"));
        of_copy.map(|(path, entry)| (path, entry.len_bytes)).collect()
    }
}

/// Damages each file of a copy in a few ways, and the log of a stopped server.
///
/// # Errors
/// As [`Copy::check`].
pub fn spot_check(seed: u64, planted: Option<Planted>) -> Result<(), String> {
    let copy = Copy::new(seed, planted)?;
    for (file, len_bytes) in copy.files() {
        let flips = (1..8).map(|n| Damage::Flip { byte: len_bytes * n / 8, bit: n as u8 });
        for damage in flips.chain([Damage::Missing, Damage::Zeros, Damage::Cut { len_bytes: len_bytes / 2 }]) {
            copy.check(&file, damage)?;
        }
    }
    damaged_log(seed, planted)
}

/// Flips a bit in the first frames of a log that was stopped cleanly: the start must be refused.
fn damaged_log(seed: u64, planted: Option<Planted>) -> Result<(), String> {
    let options = Options { planted, ..options("/a") };
    let mut history = History::new(seed, options, Generator::new(seed, false));
    history.start()?;
    history.append_rows(50)?;
    history.stop()?;
    let live = Path::new("/a/db/_live");
    for file in history.machine.fs.files_below(live) {
        // Frames begin behind the two copies of the header.
        let frame = history.machine.fs.peek(&live.join(&file)).and_then(|bytes| bytes.get(8_192).copied());
        if frame.is_some_and(|byte| byte != 0) {
            history.machine.fs.flip_bit(&live.join(&file), 8_192 + 9, 0);
            let why = history.start_refused().map_err(|e| format!("seed {seed}, a damaged log: {e}"))?;
            let name = file.display().to_string();
            return if why.contains(&name) { Ok(()) } else { Err(format!("{why} does not name {name}")) };
        }
    }
    Err(format!("seed {seed}: no log file holds a frame"))
}
