//! COPY … FROM: files of the server's own.
#![expect(clippy::disallowed_methods, reason = "files that an operator puts below the root")]

use std::time::{Duration, Instant};

use super::client::{Running, new_root};

fn start(files: &[(&str, &str)]) -> Running {
    let root = new_root();
    std::fs::create_dir_all(root.join("import")).unwrap();
    for (name, text) in files {
        std::fs::write(root.join("import").join(name), text).unwrap();
    }
    Running::with(&root, &[])
}

/// Runs a COPY and returns the status, message and counts that the log ends with.
fn copy(server: &Running, sql: &str) -> String {
    let id = server.rows(sql).trim_matches(['[', ']', '"']).to_owned();
    assert_eq!(id.len(), 16, "{id}");
    let ended = format!(
        "select status, message, rows_handled, rows_imported, errors from sys.text_import_log \
         where id = '{id}' and status <> 'started'"
    );
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if server.exec(&ended).status == 200 && server.rows(&ended) != "[]" {
            return server.rows(&ended);
        }
        std::thread::yield_now();
    }
    panic!("{sql} did not end");
}

#[test]
fn files_below_the_root_become_tables() {
    let csv = "ts,s,v\n2024-01-01T00:00:00.000000Z,a,1\n2024-01-02T00:00:00.000000Z,b,2\nbad,c,3\n";
    let server = start(&[("f.csv", csv), ("g.csv", "31.01.2024;x\n01.02.2024;y\n")]);
    let all = "COPY t FROM 'f.csv' WITH HEADER true FORMAT 'yyyy-MM-ddTHH:mm:ss.SSSUUUZ' TIMESTAMP 'ts' PARTITION BY DAY ON ERROR SKIP_ROW";
    assert_eq!(copy(&server, all), "[[\"finished\",null,3,2,1]]");
    assert_eq!(server.rows("select s, v from t"), "[[\"a\",1],[\"b\",2]]");
    assert!(server.rows("select partitionBy from tables() where table_name = 't'").contains("DAY"));
    assert!(copy(&server, all).contains("\"failed\",\"target table must be empty [table=t]\""), "sent again");
    assert_eq!(server.rows("select count() from t"), "[[2]]");
    let other = "copy u from 'g.csv' with delimiter ';' timestamp 'f0' format 'dd.MM.yyyy'";
    assert_eq!(copy(&server, other), "[[\"finished\",null,2,2,0]]");
    assert_eq!(server.rows("select f1, f0 from u limit 1"), "[[\"x\",\"2024-01-31T00:00:00.000000Z\"]]");
    assert!(copy(&server, "COPY v FROM 'nope.csv'").contains("could not open read-only [file=nope.csv]"));
    assert_eq!(server.rows("COPY '0000000000000000' CANCEL"), "[[\"0000000000000000\",\"unknown\"]]");
}

#[test]
fn nothing_outside_the_root_is_read() {
    let server = start(&[]);
    std::fs::write(server.root.join("secret.csv"), "a,b\n1,2\n3,4\n").unwrap();
    std::os::unix::fs::symlink(server.root.join("secret.csv"), server.root.join("import/link.csv")).unwrap();
    for (sql, why) in [
        ("COPY t FROM '../secret.csv'", "'.' is not allowed\",\"position\":12"),
        ("COPY t FROM '/etc/passwd'", "cairo.sql.copy.root"),
        ("COPY t FROM 'f.csv' WITH FOO true", "unexpected option\",\"position\":25"),
        ("COPY t FROM 'f.csv' WITH PARTITION BY DAY", "without a designated timestamp"),
        ("COPY t TO 'x' WITH FORMAT PARQUET", "not supported yet"),
    ] {
        let answer = server.exec(sql);
        assert!(answer.status == 400 && answer.body.contains(why), "{sql}: {}", answer.body);
    }
    assert!(copy(&server, "COPY t FROM 'link.csv'").contains("outside the root of imports"));
    assert_eq!(server.exec("select * from t").status, 400);
    let exported = server.get("/exp?query=COPY%20t%20FROM%20%27f.csv%27");
    assert_eq!(exported.status, 400);
}
