//! What probes, Prometheus and CHECK TABLE tell.
#![expect(clippy::disallowed_methods, reason = "the tests damage roots as a bad disk does")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::client::{Answer, Running, new_root, send};

fn probe(server: &Running, path: &str) -> Answer {
    send(server.health(), format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
}

/// Asks until the answer is the wanted one: background steps take a moment.
fn until(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..200 {
        if look() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("{what} did not happen");
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

#[test]
fn a_background_step_that_fails_is_unhealthy_with_its_reason() {
    let root = new_root();
    let server = Running::with(&root, &[("storage.base.bytes", "1")]);
    let healthy = probe(&server, "/");
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "Status: Healthy"));
    assert_eq!(server.write("t a=1 0\n").status, 204);
    until("a base", || std::fs::read_dir(root.join("db/_base")).unwrap().count() > 0);

    std::fs::rename(root.join("db/_base"), root.join("db/.away")).unwrap();
    assert_eq!(server.write("t a=2 0\n").status, 204, "writes need no base");
    until("the base step's failure", || probe(&server, "/").body.contains("background base fails: "));
    let probed = probe(&server, "/");
    assert!(probed.status == 500 && probed.body.starts_with("Status: Unhealthy\n"), "{}", probed.body);
    assert!(probed.body.contains("db/_base"), "{}", probed.body);
    std::fs::rename(root.join("db/.away"), root.join("db/_base")).unwrap();
    until("the recovery", || probe(&server, "/").status == 200);
}

#[test]
fn metrics_count_what_happens() {
    let root = new_root();
    let off = Running::with(&root, &[]);
    assert_eq!((probe(&off, "/metrics").status, off.get("/metrics").status), (404, 404));
    drop(off);
    let server = Running::with(&root, &[("metrics.enabled", "true"), ("storage.flush.bytes", "1")]);
    assert_eq!(server.write("t a=1 0\nt a=2 1\n").status, 204);
    assert_eq!(server.exec("select * from nothing").status, 400);
    assert_eq!(server.rows("select count() from t"), "[[2]]");
    server.exec("snapshot prepare");
    let has = |text: &str, line: &str| text.lines().any(|l| l == line);
    until("the flush", || has(&probe(&server, "/metrics").body, "stillpoint_flushes_total 1"));
    let text = server.get("/metrics").body;
    for line in [
        "questdb_commits_total 1",
        "questdb_committed_rows_total 2",
        "questdb_physically_written_rows_total 2",
        "questdb_json_queries_total 3",
        "questdb_json_queries_completed_total 2",
        "stillpoint_json_query_errors_total 1",
        "stillpoint_query_seconds_count{protocol=\"http\"} 2",
        "stillpoint_tables 1",
        "stillpoint_segments 1",
        "stillpoint_memtable_rows 0",
        "stillpoint_snapshots 1",
        "stillpoint_healthy 1",
        "# TYPE stillpoint_disk_free_bytes gauge",
        "# TYPE stillpoint_log_bytes_total counter",
        "# TYPE stillpoint_file_syncs_total counter",
        "# TYPE stillpoint_snapshot_age_seconds gauge",
        "# TYPE questdb_memory_rss gauge",
    ] {
        assert!(has(&text, line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_damaged_segment_fails_the_query_that_needs_it_and_check_table_names_it() {
    let root = new_root();
    let mut server = Running::with(&root, &[("storage.flush.bytes", "1")]);
    let lines = "t,s=x a=1,b=2 1000000000\nt,s=y a=3,b=4 90000000000000\nother a=5 0\n";
    assert_eq!(server.write(lines).status, 204);
    let segments = || {
        let mut files = Vec::new();
        files_below(&root.join("db"), &mut files);
        files.retain(|file| file.to_string_lossy().contains("/1970-01-0"));
        files
    };
    until("the flush", || segments().len() == 3);
    let checked = server.rows("check table t");
    assert!(
        checked.ends_with(r#","ok","3 files read, 0 damaged"]]"#),
        "two segments, symbols of one column: {checked}"
    );
    server.stop();

    let victim =
        segments().into_iter().find(|f| f.to_string_lossy().contains("/t~") && f.to_string_lossy().contains("01-02"));
    let victim = victim.unwrap();
    let mut bytes = std::fs::read(&victim).unwrap();
    // the first value of the first column
    let at = bytes.windows(8).position(|w| w == 90_000_000_000i64.to_le_bytes()).expect("the row's time");
    bytes[at] ^= 1;
    std::fs::write(&victim, bytes).unwrap();

    let server = Running::with(&root, &[]);
    let name = victim.file_name().unwrap().to_string_lossy().into_owned();
    let failed = server.exec("select * from t");
    assert!(failed.body.contains(&name) && failed.body.contains("restore from a snapshot"), "{}", failed.body);
    assert_eq!(server.rows("select a from t where timestamp < '1970-01-02'"), "[[1.0]]", "others are served");
    assert_eq!(server.rows("select a from other"), "[[5.0]]");
    let checked = server.rows("check table t");
    assert!(checked.contains(&name) && checked.contains("3 files read, 1 damaged"), "{checked}");
    assert!(server.rows("check table other").contains("1 files read, 0 damaged"));
    assert_eq!(server.exec("check table nope").status, 400);
}
