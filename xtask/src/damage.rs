//! `cargo xtask damage`: each file of a copy missing, cut short, and with one bit flipped; then a restore from it.
//!
//! The restore is refused with exit code 55, names the file, keeps `_restore` and changes nothing; or the file is none that the
//! snapshot needs, and then the database is whole. Nothing third may happen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::cargo::build_server;
use crate::content::{TableContent, differences, of_tables};
use crate::scratch::{Scratch, copy, files, put_back};
use crate::server::Server;

const TABLES: [&str; 2] = ["small", "wide"];
/// A refusal is at most so many lines: people read it in a hurry.
const MOST_LINES: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Missing,
    Short,
    Flipped,
}

/// Builds the server and damages.
pub fn run() -> Result<()> {
    run_with(&build_server()?)
}

/// Damages copies with a server that is already built.
pub fn run_with(binary: &Path) -> Result<()> {
    let scratch = Scratch::new("damage")?;
    let (root, good) = (scratch.path("root"), scratch.path("good"));
    let want = make(binary, &root, &good)?;
    let (mut refused, mut harmless, mut problems) = (0, 0, Vec::new());
    for file in read_by_a_restore(&good)? {
        for fault in [Fault::Missing, Fault::Short, Fault::Flipped] {
            match try_one(binary, &scratch, &good, &file, fault, &want) {
                Ok(was_refused) => *(if was_refused { &mut refused } else { &mut harmless }) += 1,
                Err(error) => problems.push(format!("damage: {} {fault:?}: {error}", file.display())),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems.join("\n").into());
    }
    if refused == 0 {
        return Err("damage: nothing was refused; does the restore look at the copy at all?".into());
    }
    println!(
        "damage: {refused} faults refused by name with nothing changed, {harmless} in files that the snapshot does not need"
    );
    Ok(())
}

/// Makes a database with segments and unflushed rows, and a copy of it; returns its content.
fn make(binary: &Path, root: &Path, good: &Path) -> Result<BTreeMap<String, TableContent>> {
    let server = Server::start(binary, root)?;
    let mut http = server.http()?;
    http.exec("create table small (ts timestamp, s symbol, n long) timestamp(ts) partition by day")?;
    http.exec("create table wide (ts timestamp, a boolean, b short, c int, d double, e string, f varchar, g date) timestamp(ts) partition by month")?;
    http.exec("insert into small select timestamp_sequence('2024-01-01', 60000000L), 's' || x % 7, x from long_sequence(3000)")?;
    http.exec("insert into wide values ('2024-02-01', true, 1, 2, 3.5, 'four', 'five', '2024-01-01'), ('2024-03-01', false, 0, null, null, null, null, null)")?;
    http.exec("update small set n = n + 1")?; // writes the partitions as segments
    server.stop()?;
    let server = Server::start(binary, root)?;
    let mut http = server.http()?;
    http.exec("insert into small values ('2024-01-02T00:00:30', 'late', -1)")?;
    http.exec("SNAPSHOT PREPARE")?;
    copy(root, good)?;
    http.exec("SNAPSHOT COMPLETE")?;
    let content = of_tables(&mut http, &TABLES)?;
    server.stop()?;
    Ok(content)
}

/// Restores a copy with one fault; returns whether it was refused.
fn try_one(
    binary: &Path,
    scratch: &Scratch,
    good: &Path,
    file: &Path,
    fault: Fault,
    want: &BTreeMap<String, TableContent>,
) -> Result<bool> {
    let root = scratch.path("damaged");
    if root.exists() {
        std::fs::remove_dir_all(&root)?; // what a fault before left behind
    }
    put_back(good, &root)?;
    spoil(&root.join(file), fault)?;
    let before = state(&root)?;
    let refused = match Server::start_or_end(binary, &root)? {
        Ok(server) => {
            let seen = of_tables(&mut server.http()?, &TABLES)?;
            let differences = differences(want, &seen);
            if !differences.is_empty() {
                return Err(format!("served with a difference: {}", differences.join("; ")).into());
            }
            server.stop()?;
            false
        }
        Err((status, said)) => {
            judge(file, status.code(), &said)?;
            if state(&root)? != before {
                return Err("refused, but something in the root was changed".into());
            }
            true
        }
    };
    std::fs::remove_dir_all(&root)?;
    Ok(refused)
}

fn judge(file: &Path, code: Option<i32>, said: &str) -> Result<()> {
    // A pin's name ends in its ULID; a missing pin can only be named without it.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let named = said.contains(&*name) || (file.starts_with("snapshot") && said.contains("snapshot/default"));
    if code != Some(55) {
        return Err(format!("ended with {code:?}, not 55: {said}").into());
    }
    if !named {
        return Err(format!("the refusal does not name the file: {said}").into());
    }
    if said.lines().count() > MOST_LINES {
        return Err(format!("the refusal is longer than {MOST_LINES} lines: {said}").into());
    }
    Ok(())
}

fn spoil(path: &Path, fault: Fault) -> Result<()> {
    let mut bytes = std::fs::read(path)?;
    match fault {
        Fault::Missing => return Ok(std::fs::remove_file(path)?),
        Fault::Short => drop(bytes.pop()),
        Fault::Flipped => {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
        }
    }
    Ok(std::fs::write(path, bytes)?)
}

/// Returns the files that a restore may read; paths are relative to the root.
fn read_by_a_restore(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for part in ["db", "snapshot"] {
        for file in files(&root.join(part))? {
            found.push(file.strip_prefix(root)?.to_owned());
        }
    }
    Ok(found)
}

/// Returns every file below the root with its bytes.
fn state(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    files(root)?.into_iter().map(|file| Ok((file.clone(), std::fs::read(file)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: i32, said: &str, want: &str) {
        let judged = judge(Path::new("db/_base/1-5.json"), Some(code), said);
        let text = judged.map_or_else(|error| error.to_string(), |()| "good".to_owned());
        assert!(text.contains(want), "{text}");
    }

    #[test]
    fn a_refusal_has_its_code_names_the_file_and_is_short() {
        check(55, "db/_base/1-5.json: checksum differs", "good");
        check(1, "db/_base/1-5.json: checksum differs", "not 55");
        check(55, "something is wrong", "does not name the file");
        check(55, &format!("1-5.json{}", "\nat".repeat(6)), "longer than 6 lines");
    }
}
