//! `stillpoint restore`, and it and `snapshot copy` killed in their middle.
#![expect(clippy::disallowed_methods, reason = "the tests lay out and read roots as an operator does")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::http::client::{Running, binary, new_root};

fn restore(from: &Path, to: &Path, more: &[&str]) -> Output {
    binary().arg("restore").arg("--from").arg(from).arg("--to").arg(to).args(more).arg("--json").output().unwrap()
}

fn restored(from: &Path, to: &Path, more: &[&str]) -> Value {
    let done = restore(from, to, more);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn refused(from: &Path, to: &Path, more: &[&str], part: &str) {
    let done = restore(from, to, more);
    let said: Value = serde_json::from_slice(&done.stderr).unwrap();
    assert_eq!((done.status.code(), &said["exit_code"]), (Some(55), &Value::from(55)), "{said}");
    assert!(said["message"].as_str().is_some_and(|why| why.contains(part)), "{part}: {said}");
    assert!(said["remedy"].is_string(), "{said}");
}

/// A server with a table of that many partitions, each of them on disk.
fn filled(days: u32) -> Running {
    let server = Running::start();
    for sql in [
        "create table a (ts timestamp, v long) timestamp(ts) partition by day",
        &format!(
            "insert into a select timestamp_sequence('2024-01-01', 43200000000L), x from long_sequence({})",
            days * 2
        ),
        "update a set v = v + 1",
    ] {
        let answer = server.exec(sql);
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
    }
    server
}

fn content(server: &Running) -> String {
    server.rows("select count(), sum(v), min(ts), max(ts) from a")
}

fn files_below(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let count = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        _ => 1,
    };
    entries.filter_map(Result::ok).map(count).sum()
}

/// Kills a command when so many files are there; returns whether it was in its middle.
fn kill_at(command: &mut Command, dir: &Path, files: usize) -> bool {
    let mut running: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        if let Some(ended) = running.try_wait().unwrap() {
            assert!(ended.success());
            return false;
        }
        if files_below(dir) >= files {
            running.kill().unwrap();
            running.wait().unwrap();
            return true;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_restore_that_is_killed_in_its_middle_goes_on_and_the_root_starts_as_it_was() {
    let mut server = filled(300);
    let copy = new_root();
    assert_eq!(server.exec("SNAPSHOT PREPARE").status, 200);
    let cut = content(&server);
    assert!(Command::new("cp").arg("-a").arg(&server.root).arg(&copy).status().unwrap().success());
    assert_eq!(server.exec("SNAPSHOT COMPLETE").status, 200);
    server.stop();

    let to = new_root();
    let planned = restored(&copy, &to, &["--dry-run"]);
    assert!(planned["root"] == "empty" && planned["rows"] == 600 && planned["restored"] == false, "{planned}");
    assert!(!to.exists(), "a dry run makes nothing");
    let mut killed = 0;
    for files in [1, 60, 200] {
        let mut command = binary();
        command.arg("restore").arg("--from").arg(&copy).arg("--to").arg(&to);
        if kill_at(&mut command, &to, files) {
            killed += 1;
            // Whatever is there, no server serves half of it.
            if !copied_whole(&copy, &to) {
                let start = binary().arg("-d").arg(&to).output().unwrap();
                assert_eq!(start.status.code(), Some(55), "{}", String::from_utf8_lossy(&start.stderr));
            }
        }
    }
    assert!(killed > 0, "no kill met it in its middle");
    let done = restored(&copy, &to, &[]);
    assert!(done["restored"] == true && done["new_files"].as_u64() < done["files"].as_u64(), "{done}");
    assert_eq!(restored(&copy, &to, &[])["restored"], false, "nothing is to be done");
    let server = Running::with(&to, &[]);
    assert_eq!(content(&server), cut);
    assert_eq!(server.rows("select count() from snapshots()"), "[[0]]");
    refused(&copy, &to, &[], "in use by a server");
    std::fs::remove_dir_all(copy).unwrap();
}

/// Whether the pin, which comes last, is there, or its restore has ended.
fn copied_whole(copy: &Path, to: &Path) -> bool {
    let pin = std::fs::read_dir(copy.join("snapshot")).unwrap().next().unwrap().unwrap().file_name();
    to.join("snapshot").join(pin).exists() || !to.join("_restore").exists()
}

#[test]
fn a_restore_over_a_root_goes_back_and_wrong_ones_are_refused() {
    let mut server = filled(3);
    let copy = new_root();
    let url = format!("http://{}", server.http);
    let copied = binary()
        .args(["snapshot", "copy", "--server", &url, "--from"])
        .arg(&server.root)
        .arg("--to")
        .arg(&copy)
        .output();
    assert!(copied.unwrap().status.success());
    let cut = content(&server);
    assert_eq!(server.exec("insert into a values ('2025-01-01', -1)").status, 200);
    let root = server.root.clone();
    let planned = restored(&copy, &root, &["--dry-run"]);
    assert!(planned["in_use"] == true && planned["left_behind"].is_string(), "{planned}");
    refused(&copy, &root, &[], "in use by a server");
    server.stop();
    refused(&copy, &root, &["--snapshot", "none"], "there is no snapshot/none");
    refused(&new_root(), &root, &[], "there is no database in");
    refused(&copy, &copy.join("inside"), &[], "within each other");
    #[cfg(target_os = "linux")]
    refused(&copy, Path::new("/proc/x"), &[], "/proc/x cannot be made, since /proc/x.partial cannot");
    refused(&root, &new_root(), &[], "there is no snapshot/default");
    let foreign = new_root();
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.txt"), "mine").unwrap();
    refused(&copy, &foreign, &[], "is not empty (thesis.txt)");
    assert_eq!(std::fs::read(foreign.join("thesis.txt")).unwrap(), b"mine");
    std::fs::remove_dir_all(foreign).unwrap();
    let other = filled(1);
    refused(&copy, &other.root, &["--dry-run"], "holds another database");
    let done = restored(&copy, &root, &["--verify", "fast"]);
    assert!(done["restored"] == true && done["root"] == "database", "{done}");
    let again = Running::with(&root, &[]);
    assert_eq!(content(&again), cut);
    std::fs::remove_dir_all(copy).unwrap();
}

#[test]
fn a_copy_that_is_killed_in_its_middle_goes_on_is_whole_and_restores_as_the_cut() {
    let server = filled(300);
    let copy = new_root();
    let url = format!("http://{}", server.http);
    let command = |more: &[&str]| {
        let mut command = binary();
        command
            .args(["snapshot", "copy", "--server", &url, "--from"])
            .arg(&server.root)
            .arg("--to")
            .arg(&copy)
            .args(more);
        command
    };
    let mut killed = 0;
    for files in [1, 80, 250] {
        if kill_at(&mut command(&[]), &copy, files) {
            killed += 1;
            let whole = binary().arg("verify").arg(&copy).arg("--json").output().unwrap();
            assert_eq!(whole.status.code(), Some(55), "half a copy has no snapshot");
            assert_eq!(server.exec(&format!("insert into a values ('2025-01-01', {files})")).status, 200);
        }
    }
    assert!(killed > 0, "no kill met it in its middle");
    let cut = content(&server);
    let done = command(&["--json"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(done["new_files"].as_u64() < done["files"].as_u64(), "{done}");
    assert_eq!(server.rows("select count() from snapshots()"), "[[0]]", "every snapshot was completed");
    let whole = binary().arg("verify").arg(&copy).output().unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let to = new_root();
    restored(&copy, &to, &[]);
    assert_eq!(content(&Running::with(&to, &[])), cut);
    std::fs::remove_dir_all(copy).unwrap();
}
