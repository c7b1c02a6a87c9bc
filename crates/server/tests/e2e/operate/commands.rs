//! The binary's commands: start, status, stop, --check-config.
#![expect(clippy::disallowed_methods, reason = "the tests lay out roots as an operator does")]

use std::path::Path;

use crate::http::client::{Running, binary, new_root};

/// Runs the binary and returns its exit code and what it printed.
fn run(root: &Path, arguments: &[&str]) -> (i32, String) {
    let done = binary().args(arguments).arg("-d").arg(root).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn check(root: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let (got, text) = run(root, arguments);
    assert_eq!(got, code, "{arguments:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: {text:?} lacks {part:?}");
    }
}

#[test]
fn a_server_in_the_background_is_started_found_and_stopped() {
    let root = new_root();
    check(&root, &["status"], 1, &["not running on"]);
    check(&root, &["stop"], 0, &["not running on"]);
    check(&root, &["start"], 0, &["started on", "process"]);
    let (code, running) = run(&root, &["status"]);
    let (again, refused) = run(&root, &["start"]);
    check(&root, &["stop"], 0, &["stopped process"]);
    assert!(code == 0 && running.contains("running on"), "{code} {running}");
    assert!(again == 55 && refused.contains("runs on"), "{again} {refused}");
    check(&root, &["status"], 1, &["not running on"]);
    check(&root, &["stop"], 0, &["not running on"]);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_configuration_is_checked_without_a_start() {
    let root = new_root();
    std::fs::create_dir_all(root.join("conf")).unwrap();
    let configure = |text: &str| std::fs::write(root.join("conf/server.conf"), text).unwrap();
    configure("cairo.sql.jit.mode=off\n");
    let advice = "note: accepted without effect: cairo.sql.jit.mode";
    check(&root, &["--check-config"], 0, &[advice, "is in order"]);
    configure("\npg.pasword=x\n");
    check(&root, &["--check-config"], 1, &["warning: server.conf line 2", "pg.password"]);
    configure("pg.enabled=maybe\n");
    check(&root, &["--check-config"], 1, &["refused: server.conf line 1", "true or false"]);
    check(&root, &["start"], 55, &["server.conf line 1", "true or false"]);
    assert!(!root.join("db").exists(), "nothing was started");
    std::fs::remove_dir_all(root).unwrap();
}

/// A full disk under a log, or a pipe whose reader has gone.
#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_ends_no_command() {
    let root = new_root();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [&["--check-config"] as &[&str], &["start"], &["status"], &["stop"]] {
        let done = binary().args(arguments).arg("-d").arg(&root).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(done.code(), Some(0), "{arguments:?}");
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// Runs the binary and returns its exit code and the one JSON object that it printed in one line.
fn json(root: &Path, arguments: &[&str]) -> (i32, serde_json::Value) {
    let (code, text) = run(root, &[arguments, &["--json"]].concat());
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    (code, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}")))
}

#[test]
fn a_refusal_is_one_json_object_with_file_fault_and_remedy_when_asked_for() {
    let server = Running::start();
    assert_eq!(server.write("a v=1 1000000000\n").status, 204);
    assert_eq!(server.exec("SNAPSHOT PREPARE 'night'").status, 200);
    let root = server.root.to_str().unwrap();
    let (code, whole) = json(&new_root(), &["verify", root]);
    let found = &whole["snapshots"][0];
    assert!(code == 0 && whole["whole"] == true && found["snapshot"] == "night" && found["rows"] == 1, "{whole}");

    let (code, refused) = json(&new_root(), &["verify", root, "--snapshot", "none"]);
    assert!(code == 55 && refused["refused"] == true && refused["exit_code"] == 55, "{refused}");
    let (code, refused) = json(&server.root, &[]);
    assert!(code == 55 && refused["message"].as_str().is_some_and(|why| why.contains("in use")), "{refused}");

    let empty = new_root();
    std::fs::create_dir_all(empty.join("conf")).unwrap();
    std::fs::write(empty.join("_restore"), "").unwrap();
    let (code, refused) = json(&empty, &[]);
    assert_eq!((code, refused["file"].as_str()), (55, empty.join("_restore").to_str()), "{refused}");
    assert!(refused["fault"].as_str().is_some_and(|fault| fault.contains("no snapshot/default")), "{refused}");
    assert!(refused["remedy"].as_str().is_some_and(|remedy| remedy.starts_with("put a whole copy")), "{refused}");
    std::fs::write(empty.join("conf/server.conf"), "pg.enabled=maybe\n").unwrap();
    for arguments in [&["start"][..], &[]] {
        let (code, refused) = json(&empty, arguments);
        assert!(code == 55 && refused["fault"].as_str().is_some_and(|fault| fault.contains("line 1")), "{refused}");
    }
    let (code, checked) = json(&empty, &["--check-config"]);
    assert!(code == 1 && checked["in_order"] == false && checked["refused"].is_array(), "{checked}");
    std::fs::remove_dir_all(empty).unwrap();
}

/// Where the text log cannot be, the start ends before anything is restored: its refusal says that nothing was.
#[test]
fn a_root_whose_log_cannot_be_written_is_refused_before_a_restore() {
    let mut server = Running::start();
    assert_eq!(server.write("a v=1 1000000000\n").status, 204);
    assert_eq!(server.exec("SNAPSHOT PREPARE 'night' KEEP").status, 200);
    server.stop();
    let log = server.root.join("log");
    let _ = std::fs::remove_dir_all(&log);
    std::fs::write(&log, "").unwrap();
    std::fs::write(server.root.join("_restore"), "snapshot=night\n").unwrap();
    let timelines = || std::fs::read_dir(server.root.join("db/_timeline")).unwrap().count();
    let before = timelines();
    let (code, refused) = json(&server.root, &[]);
    assert_eq!((code, refused["file"].as_str()), (55, log.to_str()), "{refused}");
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("is not a directory: move it away")),
        "{refused}"
    );
    assert!(server.root.join("_restore").exists() && timelines() == before);
}
