//! Moments of the past with `log.retention`: RESTORE TABLE … TO, SHOW RESTORE WINDOW, and `_restore` with a moment.
#![expect(clippy::disallowed_methods, reason = "the tests lay out roots as an operator does")]

use std::process::Stdio;

use crate::http::client::{Running, binary, new_root};

/// Returns the only value that a query gives.
fn value(server: &Running, sql: &str) -> String {
    server.rows(sql).trim_matches(['[', ']', '"']).to_owned()
}

#[test]
fn a_table_and_the_whole_database_go_back_to_a_moment() {
    let root = new_root();
    let mut server = Running::with(&root, &[("log.retention", "7d")]);
    let done = |server: &Running, sql: &str| {
        let answer = server.exec(sql);
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
    };
    let refused = |server: &Running, sql: &str, why: &str, position: usize| {
        let body = server.exec(sql).body;
        assert!(
            body.contains(why) && body.trim_end().ends_with(&format!("\"position\":{position}}}")),
            "{sql}: {body}"
        );
    };
    done(&server, "create table prices (ts timestamp, k symbol, v double) timestamp(ts) partition by day");
    done(&server, "insert into prices values ('2026-03-01', 'a', 1), ('2026-03-02', 'b', 2)");
    let seq = value(&server, "select to_seq from restore_window()");
    let time = value(&server, "select to_time from restore_window()");
    // What comes next has another time.
    assert_eq!(value(&server, &format!("select now() > '{time}'")), "true");
    done(&server, "update prices set v = 0");
    done(&server, "drop table prices");
    done(&server, &format!("RESTORE TABLE prices TO SEQ {seq}"));
    done(&server, &format!("restore table Prices as former to timestamp '{time}'"));
    for table in ["prices", "former"] {
        assert_eq!(server.rows(&format!("select k, v from {table}")), r#"[["a",1.0],["b",2.0]]"#);
    }
    let window = "the restorable window begins at ";
    refused(&server, "restore table prices as x to seq 999999", &format!("seq 999999 is not there yet: {window}"), 33);
    refused(&server, "restore table prices as x to timestamp '2999-01-01'", window, 39);
    refused(&server, "restore table prices as x to timestamp '1999-01-01'", "is not kept: the restorable window", 39);
    refused(&server, &format!("restore table prices to seq {seq}"), "table already exists: prices", 14);
    refused(&server, &format!("restore table nope as x to seq {seq}"), "table does not exist [table=nope]", 14);
    assert_eq!(
        server.rows("select state, from_seq < to_seq, bytes >= 0 from restore_window()"),
        r#"[["restorable",true,true]]"#
    );
    server.stop();

    std::fs::write(root.join("_restore"), format!("timestamp={time}\n")).unwrap();
    let mut server = Running::with(&root, &[("log.retention", "7d")]);
    assert_eq!(server.rows("select k, v from prices"), r#"[["a",1.0],["b",2.0]]"#);
    assert_eq!(server.rows("show tables"), r#"[["prices"]]"#);
    assert_eq!(server.rows("select state from restore_window()"), r#"[["restorable"],["gap"],["restorable"]]"#);
    server.stop();

    // A moment that is not there: exit code 55, nothing changes, the next start without it is as before.
    std::fs::write(root.join("_restore"), "seq=999999").unwrap();
    for (retention, why) in [("7d", window), ("0", "log.retention is 0, so no moment is kept")] {
        let mut start = binary();
        start.env("QDB_LOG_RETENTION", retention).arg("-d").arg(&root).stdin(Stdio::null());
        let start = start.output().unwrap();
        let said = String::from_utf8_lossy(&start.stderr).into_owned();
        assert!(start.status.code() == Some(55) && said.contains(why) && said.contains("seq=999999"), "{said}");
    }
    std::fs::remove_file(root.join("_restore")).unwrap();
    let server = Running::with(&root, &[]);
    assert_eq!(server.rows("select k, v from prices"), r#"[["a",1.0],["b",2.0]]"#);
    assert_eq!(server.rows("select count() from restore_window()"), "[[0]]");
}
