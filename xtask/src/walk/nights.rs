//! The README's night script, taken from there and run through three nights, its exit codes and a restore: [`walk`].

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::write_script;
use crate::Result;
use crate::cargo::root;
use crate::http::Http;
use crate::scratch::{Scratch, put_back};
use crate::server::Server;

/// Rows of one night.
const ROWS: u64 = 2000;

/// Runs all of it.
pub fn walk(binary: &Path) -> Result<()> {
    let scratch = Scratch::new("nights")?;
    let data = scratch.path("root");
    let server = Server::start(binary, &data)?;
    let mut http = server.http()?;
    let script = Script {
        path: scratch.path("bin/nightly-backup"),
        data,
        target: scratch.path("backup"),
        url: format!("http://127.0.0.1:{}", server.http_port),
    };
    write_script(&script.path, &night_script()?)?;

    let shared = good_nights(&script, &mut http)?;
    failures_are_told(&script, &mut http, &scratch)?;

    // The restore, as the README says.
    server.stop()?;
    std::fs::rename(&script.data, scratch.path("broken-root"))?;
    put_back(&script.target.join("latest/"), &script.data)?;
    let server = Server::start(binary, &script.data)?;
    let rows = server.http()?.number("select count() from t")?;
    if rows != 3 * ROWS {
        return Err(format!("night script: {rows} rows after the restore, not {}", 3 * ROWS).into());
    }
    server.stop()?;
    println!(
        "walk: the night script: exit codes 0, 1, 2 as described, {shared} files shared between nights, the last night restored"
    );
    Ok(())
}

/// Returns the night script as the README has it.
fn night_script() -> Result<String> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let block = readme.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(block.ok_or("README.md has no block marked bash")?.to_owned())
}

/// The script, and what it is called with.
struct Script {
    path: PathBuf,
    data: PathBuf,
    target: PathBuf,
    url: String,
}

impl Script {
    /// Runs it once; programs in `first` come before those of the machine.
    fn expect(&self, what: &str, wanted: i32, first: Option<&Path>) -> Result<()> {
        let mut command = Command::new("bash");
        command.arg(&self.path).arg(&self.data).arg(&self.target);
        command.env("STILLPOINT_URL", &self.url).env("KEEP_NIGHTS", "2");
        if let Some(first) = first {
            let all = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{all}", first.display()));
        }
        let done = command.output()?;
        let (code, errors) = (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr));
        if code == wanted {
            Ok(())
        } else {
            Err(format!("night script, {what}: exit code {code}, not {wanted}: {errors}").into())
        }
    }
}

/// Three nights with new rows before each, of which two are kept; returns how many files those share.
fn good_nights(script: &Script, http: &mut Http) -> Result<usize> {
    http.exec("create table t (ts timestamp, s symbol, n long) timestamp(ts) partition by day")?;
    for night in 0..3 {
        let times = format!("timestamp_sequence(dateadd('d', {night}, '2024-01-01T00:00:00Z'::timestamp), 1000000L)");
        http.exec(&format!("insert into t select {times}, 'a' || x % 5, x from long_sequence({ROWS})"))?;
        script.expect("a good night", 0, None)?;
        std::thread::sleep(std::time::Duration::from_millis(1100)); // a night is named by the second
    }
    let nights = folders(&script.target)?;
    if nights.len() != 2 {
        return Err(format!("night script: {} nights are kept, not 2", nights.len()).into());
    }
    match shared_files(&nights[0], &nights[1])? {
        0 => Err("night script: two nights share no file".into()),
        shared => Ok(shared),
    }
}

/// A copy that fails is told by the exit code, and the snapshot is completed all the same.
fn failures_are_told(script: &Script, http: &mut Http, scratch: &Scratch) -> Result<()> {
    write_script(&scratch.path("broken/rsync"), "#!/bin/bash\nexit 23\n")?;
    script.expect("rsync fails", 2, Some(&scratch.path("broken")))?;
    if http.number("select count() from snapshots()")? != 0 {
        return Err("night script: the snapshot is still open after a copy that failed".into());
    }
    http.exec("SNAPSHOT PREPARE")?;
    script.expect("a snapshot is open already", 1, None)?;
    http.exec("SNAPSHOT COMPLETE")?;
    Ok(())
}

/// Returns the folders of the nights, oldest first.
fn folders(target: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(target)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> = entries
        .into_iter()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("20"))
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(".part"))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    Ok(folders)
}

/// Returns the number of files below `one` that are the same inode below `other`.
fn shared_files(one: &Path, other: &Path) -> Result<usize> {
    let mut shared = 0;
    for entry in std::fs::read_dir(one)? {
        let entry = entry?;
        let twin = other.join(entry.file_name());
        if entry.file_type()?.is_dir() && twin.is_dir() {
            shared += shared_files(&entry.path(), &twin)?;
        } else if let (Ok(a), Ok(b)) = (entry.metadata(), twin.metadata()) {
            shared += usize::from(a.is_file() && a.ino() == b.ino());
        }
    }
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_night_script() {
        let script = night_script().expect("README.md");
        for part in ["SNAPSHOT PREPARE", "SNAPSHOT COMPLETE", "trap", "--link-dest"] {
            assert!(script.contains(part), "{part}");
        }
    }
}
