//! The binary's commands: start, status, stop, --check-config.
#![expect(clippy::disallowed_methods, reason = "the tests lay out roots as an operator does")]

use std::path::Path;
use std::process::Command;

use crate::http::client::new_root;

/// Runs the binary and returns its exit code and what it printed.
fn run(root: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    command.args(arguments).arg("-d").arg(root);
    for key in ["QDB_HTTP_BIND_TO", "QDB_PG_NET_BIND_TO", "QDB_HTTP_MIN_NET_BIND_TO", "QDB_LINE_TCP_NET_BIND_TO"] {
        command.env(key, "127.0.0.1:0");
    }
    let done = command.output().unwrap();
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
