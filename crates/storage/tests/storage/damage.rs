//! What goes wrong with copies in life, each fault a test of its own: refused by the file's name with a remedy, nothing
//! changed, `_restore` kept; the copy mended restores to the cut. Or the fault is none, and the copy restores at once.
//!
//! The list with its sources is in `docs/proof.md`; every byte of a copy is damaged in `crates/sim/tests/sim/damage.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::env::sim_fs::{CopyMode, SimFs};
use storage::{Database, Env, Error};

use crate::support::*;

mod base;
mod log;
mod pin;
mod root;
mod tables;
mod trigger;

const GOOD: &str = "/good";
const COPY: &str = "/copy";

/// A copy of a root of two timelines, its tables in segments, with dead rows, symbols and rows in three log files, two
/// bases, and what it must become.
struct Copy {
    fs: Arc<SimFs>,
    env: Env,
    cut: Vec<String>,
}

impl Copy {
    fn new() -> Copy {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        let t = create(&db, "t");
        let u = create(&db, "u");
        db.set_dedup(u, Some(&["ts", "sym"])).unwrap();
        insert(&db, "t", &[(DAY_US, Some("a"), 1, Some("one")), (2 * DAY_US, Some("b"), 2, Some("two"))]);
        insert(&db, "u", &[(DAY_US, Some("x"), 1, None), (DAY_US + 1, Some("y"), 2, None)]);
        db.flush_table(t).unwrap();
        db.flush_table(u).unwrap();
        insert(&db, "u", &[(DAY_US, Some("x"), 3, None)]);
        db.flush_table(u).unwrap();
        // A restore in place begins the second timeline.
        db.prepare_snapshot("default").unwrap();
        drop(db);
        fs.write_file(&Path::new(ROOT).join("_restore"), b"");
        let fs = fs.kill();
        let db = open(&on(&env, fs.clone())).unwrap();
        db.write_base().unwrap();
        for day in 3..6 {
            insert(&db, "t", &[(day * DAY_US, Some("c"), day, None)]);
            let ends_a_log_file = format!("day{day}");
            db.prepare_snapshot(&ends_a_log_file).unwrap();
            db.complete_snapshot(&ends_a_log_file).unwrap();
            if day == 3 {
                // Its rows of day 3 stay in the log, which this base therefore needs from there on.
                db.write_base().unwrap();
            }
        }
        insert(&db, "u", &[(2 * DAY_US, Some("z"), 4, None)]);
        db.prepare_snapshot("default").unwrap();
        let cut = contents(&db);
        fs.copy_tree(Path::new(ROOT), Path::new(GOOD), CopyMode::Copy, &["db/_live", "log"], 1).finish();
        fs.copy_tree(Path::new(GOOD), Path::new(COPY), CopyMode::Copy, &[], 1).finish();
        drop(db);
        let copy = Copy { fs: Arc::new(fs.kill()), env, cut };
        copy.ask("");
        copy
    }

    fn ask(&self, trigger: &str) {
        self.fs.write_file(&Path::new(COPY).join("_restore"), trigger.as_bytes());
    }

    /// The files of the copy whose path contains a text, sorted.
    fn files(&self, containing: &str) -> Vec<PathBuf> {
        let files = self.fs.files_below(Path::new(COPY)).into_iter();
        let files = files.filter(|file| file.to_str().is_some_and(|path| path.contains(containing)));
        files.map(|file| Path::new(COPY).join(file)).collect()
    }

    /// The one file whose path contains a text.
    fn file(&self, containing: &str) -> PathBuf {
        match &self.files(containing)[..] {
            [one] => one.clone(),
            found => panic!("{containing}: {found:?}"),
        }
    }

    fn pin(&self) -> PathBuf {
        self.file("snapshot/default.")
    }

    /// The older and the newer base.
    fn bases(&self) -> [PathBuf; 2] {
        self.files("db/_base/").try_into().unwrap()
    }

    /// The log files that the snapshot needs: first, middle, last.
    fn logs(&self) -> [PathBuf; 3] {
        let all = self.files("db/_log/2-");
        all[all.len() - 3..].to_vec().try_into().unwrap()
    }

    /// The dead rows of table `u`.
    fn dead(&self) -> PathBuf {
        self.file(".dead")
    }

    /// A symbol file of a table.
    fn symbols(&self, table: &str) -> PathBuf {
        self.files(&format!("db/{table}~"))
            .into_iter()
            .find(|path| path.to_str().unwrap().contains("_symbols/"))
            .unwrap()
    }

    fn read(&self, file: &Path) -> Vec<u8> {
        self.fs.peek(file).unwrap()
    }

    fn write(&self, file: &Path, bytes: &[u8]) {
        self.fs.write_file(file, bytes);
    }

    fn remove(&self, file: &Path) {
        self.fs.remove(file);
    }

    fn cut_short(&self, file: &Path) {
        self.fs.truncate_file(file, self.read(file).len() as u64 - 1);
    }

    fn lengthen(&self, file: &Path) {
        let mut bytes = self.read(file);
        bytes.push(0);
        self.write(file, &bytes);
    }

    fn fill_with_zeros(&self, file: &Path) {
        self.write(file, &vec![0; self.read(file).len()]);
    }

    fn flip(&self, file: &Path, byte: usize) {
        self.fs.flip_bit(file, byte as u64, 3);
    }

    fn swap(&self, a: &Path, b: &Path) {
        let (of_a, of_b) = (self.read(a), self.read(b));
        self.write(a, &of_b);
        self.write(b, &of_a);
    }

    fn open(&self) -> storage::Result<Database> {
        open_at(&on_arc(&self.env, Arc::new(self.fs.another_process())), COPY)
    }

    /// The start is refused in one sentence with these words, and nothing whatever is changed.
    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        let before = self.fs.tree_digest(Path::new(COPY));
        let error = self.open().map(drop).expect_err("a damaged copy was served");
        assert!(matches!(error, Error::Refused(_) | Error::Corrupt { .. }), "{error:?}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} lacks {word:?}");
        }
        assert!(!text.contains('\n'), "{text}");
        assert_eq!(self.fs.tree_digest(Path::new(COPY)), before, "the refusal changed something: {text}");
        assert!(before.contains_key(Path::new("_restore")), "_restore is kept");
    }

    /// As [`Copy::is_refused`], by the name of a file and with the remedy for copies; mended, the copy restores.
    #[track_caller]
    fn is_refused_until_mended(&self, file: &Path, fault: &str) {
        let name = file.file_name().unwrap().to_str().unwrap();
        self.is_refused(&[name, fault, "another copy"]);
        self.mend();
        self.restores();
    }

    /// Copies everything once more over what is there, as an operator would.
    fn mend(&self) {
        self.fs.copy_tree(Path::new(GOOD), Path::new(COPY), CopyMode::Copy, &[], 1).finish();
    }

    /// The start restores to the cut.
    #[track_caller]
    fn restores(&self) {
        let db = self.open().expect("a good copy was refused");
        assert_eq!(contents(&db), self.cut);
        assert!(db.snapshots().is_empty(), "no snapshot is open after a restore");
        assert_eq!(self.fs.peek(&Path::new(COPY).join("_restore")), None, "the trigger is gone");
    }
}

/// All tables with all rows, as text.
fn contents(db: &Database) -> Vec<String> {
    let mut tables = db.view().tables();
    tables.sort_by_key(|table| table.name().as_str().to_owned());
    tables.iter().flat_map(|table| [vec![table.name().as_str().to_owned()], rows_of(table)]).flatten().collect()
}

/// A document with one member changed and its checksum made right: what a hostile or foreign hand writes.
fn rewritten(document: &[u8], member: &str, value: serde_json::Value) -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_slice(document).unwrap();
    let body_members = body.as_object_mut().unwrap();
    body_members.remove("crc32c");
    assert!(body_members.insert(member.to_owned(), value).is_some(), "there is no {member}");
    let mut bytes = serde_json::to_vec(&body).unwrap();
    bytes.pop();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(format!(",\"crc32c\":\"{crc:08x}\"}}\n").as_bytes());
    bytes
}

#[test]
fn an_undamaged_copy_restores_to_the_cut() {
    let copy = Copy::new();
    assert_eq!(copy.cut.len(), 2 + 5 + 3, "{:?}", copy.cut);
    copy.restores();
}
