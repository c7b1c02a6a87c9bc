//! R5: a copy that is not whole is refused with the name of the file, or the fault is harmless.
//!
//! Every file of a small copy is taken away, cut, and changed in every byte; a stray file is put beside each. The
//! restore must refuse and change nothing, or give exactly the cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use storage::env::SimFs;
use storage::env::sim_fs::CopyMode;

use crate::compare::compare_tables;
use crate::generate::Generator;
use crate::machine::{Machine, options};
use crate::model::Model;
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
    pub fn new(seed: u64) -> Copy {
        let mut machine = Machine::new(seed);
        let options = options("/a");
        let db = machine.open(&options).expect("an empty root opens");
        let mut generator = Generator::new(seed, false);
        let mut model = Model::default();
        let mut run = |db: &storage::Database, step: Step| {
            step.run(db, &model).unwrap_or_else(|e| panic!("{step:?}: {e}"));
            step.apply_to(&mut model);
            model.clone()
        };
        let mut current = Model::default();
        for round in 0..3 {
            while current.tables.len() < 2 {
                let step = generator.next(&current);
                if matches!(step, Step::Create(_)) {
                    current = run(&db, step);
                }
            }
            for _ in 0..4 {
                let step = generator.append(&current);
                current = run(&db, step);
            }
            match round {
                // The third round stays in the log.
                2 => {}
                _ => {
                    for table in current.clone().tables.keys() {
                        run(&db, Step::FlushTable(table.clone()));
                    }
                    current = run(&db, Step::WriteBase);
                }
            }
        }
        run(&db, Step::Prepare("default".to_owned()));
        let root = PathBuf::from("/copy");
        machine.fs.copy_tree(&options.root, &root, CopyMode::Copy, &["db/_live", "log"], seed).finish();
        machine.fs.remove(&options.root);
        drop(db);
        let fs = machine.fs.kill();
        fs.write_file(&root.join("_restore"), b"");
        Copy { fs, root, cut: current, seed }
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
        match machine.open(&options(&self.root)) {
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
