//! `stillpoint snapshot copy`, beside a server and without one.
#![expect(clippy::disallowed_methods, reason = "the tests lay out and read roots as an operator does")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use server::Server;
use storage::Env;
use tokio::runtime::Runtime;

use crate::http::client::{Running, binary, config, new_root};

fn copy(root: &Path, arguments: &[&str]) -> Output {
    binary().args(["snapshot", "copy", "--from"]).arg(root).args(arguments).output().unwrap()
}

/// Returns what the copy says as JSON.
fn copied(root: &Path, arguments: &[&str]) -> serde_json::Value {
    let done = copy(root, &[arguments, &["--json"]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn refused(root: &Path, arguments: &[&str], part: &str) {
    let done = copy(root, arguments);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(55) && said.contains(part), "{:?}: {said}", done.status);
}

/// Starts a server on a copy, with `_restore`, and returns how many rows of each pair of tables it has.
fn restored(copy: &Path) -> (u64, u64) {
    std::fs::write(copy.join("_restore"), "").unwrap();
    let server = Running::with(copy, &[]);
    let count = |table: &str| {
        server.rows(&format!("select count() from {table}")).trim_matches(['[', ']']).parse::<u64>().unwrap()
    };
    (count("a"), count("b"))
}

#[test]
fn a_copy_beside_a_server_that_is_written_to_is_a_cut_across_tables() {
    let server = Running::start();
    let (to, untarred) = (new_root(), new_root());
    let url = format!("http://{}", server.http);
    assert_eq!(server.write("a v=1 1000000000\n").status, 204);
    assert_eq!(server.write("b v=1 1000000000\n").status, 204);
    let stop = AtomicBool::new(false);
    let target = to.to_str().unwrap();
    let archive = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // One row of `a`, then one of `b`: a cut has as many of both, or one more of `a`.
            let mut n = 1u64;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                assert_eq!(server.write(&format!("a v={n} {n}000000000\n")).status, 204);
                assert_eq!(server.write(&format!("b v={n} {n}000000000\n")).status, 204);
            }
        });
        // Joined also where it panicked: the writer must end for the scope to do so.
        let copies = scope.spawn(|| {
            let first = copied(&server.root, &["--to", target, "--server", &url]);
            assert_eq!(first["new_files"], first["files"]);
            let second = copied(&server.root, &["--to", target, "--server", &url, "--prune"]);
            assert!(second["new_bytes"].as_u64() < second["bytes"].as_u64(), "{second}");
            copy(&server.root, &["--tar", "-", "--server", &url])
        });
        let archive = copies.join();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        archive.unwrap()
    });
    assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
    assert_eq!(server.rows("select count() from snapshots()"), "[[0]]", "every snapshot was completed");

    let whole = binary().arg("verify").arg(&to).output().unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    std::fs::create_dir(&untarred).unwrap();
    let file = untarred.with_extension("tar");
    std::fs::write(&file, &archive.stdout).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&untarred).status().unwrap().success());
    std::fs::remove_file(file).unwrap();
    for copy in [&to, &untarred] {
        let (a, b) = restored(copy);
        assert!(b > 0 && (a == b || a == b + 1), "{a} and {b} rows");
    }
}

#[test]
fn a_root_without_a_server_is_copied_and_a_server_of_another_root_is_found_out() {
    let root = new_root();
    let mut server = Running::with(&root, &[]);
    assert_eq!(server.write("a v=1 1000000000\nb v=1 1000000000\n").status, 204);
    let (to, other) = (new_root(), Running::start());
    let target = to.to_str().unwrap();
    refused(&root, &["--to", target, "--server", &format!("http://{}", other.http)], "it is another root's");
    assert_eq!(other.rows("select count() from snapshots()"), "[[0]]");
    refused(&root, &["--to", target, "--server", "http://127.0.0.1:1"], "--server");
    refused(&root, &["--to", target, "--snapshot", "none"], "there is no snapshot/none");
    assert_eq!(server.exec("SNAPSHOT PREPARE 'mine'").status, 200);
    assert_eq!(copied(&root, &["--to", target, "--snapshot", "mine"])["snapshot"], "mine");
    assert_eq!(server.exec("SNAPSHOT COMPLETE 'mine'").status, 200);
    server.stop();
    std::fs::remove_dir_all(&to).unwrap();
    assert_eq!(copied(&root, &["--to", target])["tables"], 2);
    refused(&root, &["--to", &format!("{}/inside", root.display())], "within each other");
    assert_eq!(restored(&to), (1, 1));
    std::fs::create_dir(&to).unwrap();
    refused(&to, &["--to", &format!("{target}-more")], "there is no database in");
    std::fs::remove_dir(&to).unwrap();
    let again = Running::with(&root, &[]);
    assert_eq!(again.rows("select count() from snapshots()"), "[[0]]");
}

/// Returns the files of a root, with their lengths and times.
fn listed(root: &Path) -> Vec<String> {
    let found = Command::new("find").arg(root).args(["-type", "f", "-printf", "%P %s %T@\n"]).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_target_that_cannot_take_a_copy_is_refused_before_the_source_is_touched() {
    let root = new_root();
    let mut server = Running::with(&root, &[]);
    assert_eq!(server.write("a v=1 1000000000\n").status, 204);
    server.stop();
    let [file, other, to] = ["file", "other", "to"].map(|name| root.with_extension(name));
    std::fs::write(&file, "mine").unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("photo.jpg"), "mine").unwrap();
    let before = listed(&root);
    for (option, target, part) in [
        ("--to", file.clone(), "is not a directory: name one that is empty or missing"),
        ("--to", root.join("inside"), "lie within each other"),
        ("--to", other.clone(), "is not empty (photo.jpg)"),
        ("--to", root.with_extension("nowhere").join("at"), "make that directory first"),
        ("--tar", file.clone(), "is there already: remove it, or name another file"),
        ("--tar", root.join("a.tar"), "lies in the root that is copied"),
    ] {
        refused(&root, &[option, target.to_str().unwrap()], part);
        assert_eq!(listed(&root), before, "{part}");
    }
    for server in ["ftp://127.0.0.1:9000", "127.0.0.1:9000", "http://127.0.0.1:99999"] {
        refused(&root, &["--to", to.to_str().unwrap(), "--server", server], "name the root's server as http://");
    }
    assert_eq!(listed(&root), before);
    assert!(!to.exists());
    copied(&root, &["--to", to.to_str().unwrap()]);
    for directory in [other, to] {
        std::fs::remove_dir_all(directory).unwrap();
    }
    std::fs::remove_file(file).unwrap();
}

/// The copy says of which server it is, as one that is made beside a server does.
#[test]
fn a_copy_of_a_stopped_root_is_restored_by_a_start_under_another_instance_id() {
    const KEY: &str = "cairo.snapshot.instance.id";
    let (root, to) = (new_root(), new_root());
    std::fs::create_dir_all(root.join("conf")).unwrap();
    std::fs::write(root.join("conf/server.conf"), format!("{KEY}=first\n")).unwrap();
    let mut server = Running::with(&root, &[(KEY, "first")]);
    assert_eq!(server.write("a v=1 1000000000\n").status, 204);
    server.stop();
    copied(&root, &["--to", to.to_str().unwrap()]);
    let start = |id: &str| {
        let config = config(&to, &[(KEY, id)]);
        Runtime::new().unwrap().block_on(Server::start(config, Env::os(), Vec::new(), Box::new(|_| {}))).err()
    };
    let why = start("first").expect("the same id asks for no restore").to_string();
    assert!(why.contains("is a copy of a running database"), "{why}");
    let server = Running::with(&to, &[(KEY, "second")]);
    assert_eq!(server.rows("select count() from a"), "[[1]]");
}

#[test]
fn a_copy_that_is_told_to_stop_completes_its_snapshot_and_goes_on_later() {
    let server = Running::start();
    assert_eq!(server.exec("create table a (ts timestamp, v long) timestamp(ts) partition by day").status, 200);
    let fill = "insert into a select timestamp_sequence('2024-01-01', 100000000L), x from long_sequence(200000)";
    assert_eq!(server.exec(fill).status, 200);
    let to = new_root();
    let url = format!("http://{}", server.http);
    let mut copying = binary();
    copying.args(["snapshot", "copy", "--from"]).arg(&server.root).arg("--tar").arg("-").args(["--server", &url]);
    // Nobody reads the archive, so the copy stands still in its middle.
    let mut copying = copying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let open = || server.rows("select count() from snapshots()") == "[[1]]";
    while !open() {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    let told = Command::new("kill").arg("-TERM").arg(copying.id().to_string()).status().unwrap();
    assert!(told.success());
    let mut archive = Vec::new();
    std::io::Read::read_to_end(&mut copying.stdout.take().unwrap(), &mut archive).unwrap();
    let ended = copying.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("the copy was stopped"));
    assert!(!open(), "its snapshot was completed");
    copied(&server.root, &["--to", to.to_str().unwrap(), "--server", &url]);
    std::fs::remove_dir_all(to).unwrap();
}
