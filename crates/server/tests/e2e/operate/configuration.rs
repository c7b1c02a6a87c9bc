//! Doors that only read, and a configuration that changes under a running server.
#![expect(clippy::disallowed_methods, reason = "the tests write server.conf as an operator does")]

use crate::http::client::{Running, new_root};

#[test]
fn a_read_only_door_refuses_what_changes_something() {
    let root = new_root();
    let server = Running::with(&root, &[("http.security.readonly", "true")]);
    for sql in ["create table t (a int)", "snapshot prepare", "drop all tables", "explain insert into t values (1)"] {
        let answer = server.exec(sql);
        assert_eq!(answer.status, 403, "{sql}: {}", answer.body);
        assert!(answer.body.contains("\"error\":\"Write permission denied\",\"position\":0"), "{}", answer.body);
    }
    assert_eq!(server.rows("select 1 a"), "[[1]]");
    let refused = server.write("t a=1 0\n");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("Write permission denied"), "{}", refused.body);
}

#[test]
fn show_parameters_says_what_holds_and_why() {
    let root = new_root();
    let server = Running::with(&root, &[("http.security.readonly", "true"), ("cairo.sql.jit.mode", "off")]);
    let all = server.rows("show parameters");
    for row in [
        r#"["http.security.readonly","QDB_HTTP_SECURITY_READONLY","true","conf",false,true]"#,
        r#"["cairo.sql.jit.mode","QDB_CAIRO_SQL_JIT_MODE","off","conf",false,false]"#,
        r#"["http.bind.to","QDB_HTTP_BIND_TO","127.0.0.1:0","env",false,false]"#,
        r#"["pg.password","QDB_PG_PASSWORD","****","default",true,true]"#,
        r#"["storage.flush.bytes","QDB_STORAGE_FLUSH_BYTES","64m","default",false,false]"#,
    ] {
        assert!(all.contains(row), "{row} is missing");
    }
    let one = "select value from (show parameters) where property_path = 'query.timeout'";
    assert_eq!(server.rows(one), r#"[["60s"]]"#);
}

#[test]
fn a_reload_takes_over_what_it_can() {
    let root = new_root();
    let server = Running::with(&root, &[("http.user", "u"), ("http.password", "p")]);
    let configure = |text: &str| {
        std::fs::create_dir_all(root.join("conf")).unwrap();
        std::fs::write(root.join("conf/server.conf"), text).unwrap();
    };
    // u:p and u:q
    let ask = |who: &str, sql: &str| {
        let query = crate::http::client::encode(sql);
        server.ask(&format!("GET /exec?nm=true&query={query} HTTP/1.0\r\nAuthorization: Basic {who}\r\n\r\n"))
    };
    let reload = |who: &str, answer: &str| {
        let got = ask(who, "select reload_config()");
        assert!(got.status == 200 && got.body.contains(answer), "{} {}", got.status, got.body);
    };
    configure("http.user=u\nhttp.password=q\nhttp.security.readonly=true\n");
    reload("dTpw", "[[true]]");
    assert_eq!(ask("dTpw", "select 1").status, 401, "the old password");
    assert_eq!(ask("dTpx", "create table t (a int)").status, 403);
    reload("dTpx", "[[false]]");
    let shown = ask("dTpx", "select value from (show parameters) where property_path = 'http.security.readonly'");
    assert!(shown.body.contains("[[\"true\"]]"), "{}", shown.body);

    configure("http.user=u\nhttp.password=p\npg.enabled=perhaps\n");
    reload("dTpx", "[[false]]");
}
