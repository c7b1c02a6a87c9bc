//! What is dropped by mistake, and a database that goes back to a snapshot, over a restart of the server.

use crate::http::client::{Running, new_root};

fn done(server: &Running, sql: &str) {
    let answer = server.exec(sql);
    assert!(answer.status == 200 && answer.body.contains(r#""ddl":"OK""#), "{sql}: {} {}", answer.status, answer.body);
}

fn refused(server: &Running, sql: &str, why: &str, position: usize) {
    let answer = server.exec(sql);
    let is_there = answer.body.contains(why) && answer.body.contains(&format!("\"position\":{position}"));
    assert!(answer.status == 400 && is_there, "{sql}: {} {}", answer.status, answer.body);
}

#[test]
fn dropped_tables_and_the_whole_database_come_back_over_restarts() {
    let root = new_root();
    let mut server = Running::with(&root, &[]);
    assert_eq!(server.write("a v=1 1000000000\na v=2 2000000000\nb v=1 1000000000\n").status, 204);
    done(&server, "SNAPSHOT PREPARE 'noon' KEEP");
    done(&server, "drop table a");
    done(&server, "drop table b");
    assert_eq!(server.write("a v=9 9000000000\n").status, 204);
    assert_eq!(server.rows("select name, rows, bytes >= 0 from dropped_tables()"), r#"[["b",1,true],["a",2,true]]"#);
    refused(&server, "undrop table a", "table already exists: a; UNDROP it AS another name", 13);
    server.stop();

    let mut server = Running::with(&root, &[]);
    done(&server, "undrop table a as former");
    assert_eq!(server.rows("select v from former"), "[[1.0],[2.0]]");
    refused(&server, "undrop table a", "there is no dropped table a", 13);
    let told = "1 tables change (a from 1 to 2 rows), 1 go (former with 2 rows), 1 come back (b with 1 rows), 0 stay";
    refused(&server, "RESTORE DATABASE FROM SNAPSHOT 'noon'", told, 37);
    done(&server, "RESTORE DATABASE FROM SNAPSHOT 'noon' CONFIRM 'noon'");
    assert_eq!(server.rows("show tables"), r#"[["a"],["b"]]"#);
    assert_eq!(server.write("a v=3 3000000000\n").status, 204);
    server.stop();

    let server = Running::with(&root, &[("drop.grace", "0")]);
    assert_eq!(server.rows("select v from a"), "[[1.0],[2.0],[3.0]]");
    assert_eq!(server.rows("select name, owner from snapshots()"), r#"[["before-restore","admin"],["noon","admin"]]"#);
    done(&server, "RESTORE DATABASE FROM SNAPSHOT 'before-restore' CONFIRM 'before-restore'");
    assert_eq!(server.rows("select v from a"), "[[9.0]]");
    assert_eq!(server.rows("select v from former"), "[[1.0],[2.0]]");
    // Without a grace a table is gone at once.
    done(&server, "drop table former");
    refused(&server, "undrop table former", "there is no dropped table former", 13);
}
