//! `/exec`, `/exp` and what stands beside them.

use super::client::{Running, encode, new_root, send};

#[test]
fn statements_answer_as_the_reference_does() {
    let server = Running::start();
    let check = |sql: &str, status: u16, body: &str| {
        let answer = server.exec(sql);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{sql}");
        assert!(answer.head.contains("content-type: application/json; charset=utf-8"), "{}", answer.head);
    };
    check("create table t (a int, b double, ts timestamp) timestamp(ts) partition by day", 200, "{\"ddl\":\"OK\"}");
    let empty = "{\"query\":\"select a from t\",\"columns\":[{\"name\":\"a\",\"type\":\"INT\"}],\"timestamp\":-1,\
                 \"dataset\":[],\"count\":0}";
    check("select a from t", 200, empty);
    check("insert into t values (1, 0.1, '2024-01-01'), (null, null, '2024-01-02')", 200, "{\"dml\":\"OK\"}");
    check(
        "select * from t",
        200,
        "{\"query\":\"select * from t\",\"columns\":[{\"name\":\"a\",\"type\":\"INT\"},{\"name\":\"b\",\"type\":\"DOUBLE\"},\
         {\"name\":\"ts\",\"type\":\"TIMESTAMP\"}],\"timestamp\":2,\"dataset\":[[1,0.1,\"2024-01-01T00:00:00.000000Z\"],\
         [null,null,\"2024-01-02T00:00:00.000000Z\"]],\"count\":2}",
    );
    check("update t set a = 5", 200, "{\"dml\":\"OK\",\"updated\":2}");
    let missing = "{\"query\":\"select * from nope\",\"error\":\"table does not exist [table=nope]\",\"position\":14}";
    check("select * from nope", 400, missing);
    check("", 200, "{\"error\":\"empty query\",\"query\":\"\",\"position\":\"0\"}");
    check("-- x", 200, "{\"error\":\"empty query\",\"query\":\"-- x\",\"position\":\"0\"}");
    check("drop table t", 200, "{\"ddl\":\"OK\"}");
}

#[test]
fn a_view_is_read_through_every_door_and_takes_no_rows() {
    let root = new_root();
    let mut server = Running::with(&root, &[]);
    server.exec("create table t (s symbol, x double, ts timestamp) timestamp(ts) partition by day");
    assert_eq!(server.exec("create view v as (select s, x from t where x > 1)").body, "{\"ddl\":\"OK\"}");
    server.exec("insert into t values ('a', 1, 1), ('b', 2, 2)");
    let check = |server: &Running| {
        assert_eq!(server.rows("select * from v"), "[[\"b\",2.0]]");
        assert_eq!(server.get("/exp?query=v").body, "\"s\",\"x\"\r\n\"b\",2.0\r\n");
        assert_eq!(server.get("/chk?j=v").body, "Exists\r\n");
    };
    check(&server);
    let refused = server.write("other x=1\nv,s=c x=3\n");
    assert!(refused.status == 400 && refused.body.contains("cannot modify view [view=v]"), "{}", refused.body);
    let body = b"--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\ns,x\nc,3\n\r\n--b--\r\n";
    let refused = server.post("/imp?name=v", "Content-Type: multipart/form-data; boundary=b\r\n", body);
    assert!(refused.body.contains("cannot modify view [view=v]"), "{}", refused.body);
    assert_eq!(server.rows("select table_name, table_type from tables()"), "[[\"t\",\"T\"],[\"v\",\"V\"]]");
    server.stop();
    check(&Running::with(&root, &[]));
}

#[test]
fn parameters_choose_rows_columns_and_extras() {
    let server = Running::start();
    let ten = format!("/exec?query={}", encode("select x, x + 1 y from long_sequence(10)"));
    let check = |parameters: &str, body: &str| {
        assert_eq!(server.get(&format!("{ten}&nm=true&{parameters}")).body, body, "{parameters}");
    };
    check("limit=2", "{\"dataset\":[[1,2],[2,3]],\"count\":2}");
    check("limit=9,20", "{\"dataset\":[[9,10],[10,11]],\"count\":10}");
    check("limit=2,3&count=true", "{\"dataset\":[[2,3],[3,4]],\"count\":10}");
    check("limit=20,30&count=true", "{\"dataset\":[],\"count\":0}");
    check("limit=1&cols=y,X", "{\"dataset\":[[2,1]],\"count\":1}");
    check("limit=1&quoteLargeNum=TRUE", "{\"dataset\":[[\"1\",\"2\"]],\"count\":1}");
    check("limit=1&explain=true", "{\"dataset\":[[1,2]],\"count\":1,\"explain\":{\"jitCompiled\":false}}");
    assert!(server.get(&format!("{ten}&cols=z")).body.ends_with("\"error\":\"column not found: 'z'\"}"));
    assert!(
        server.get(&format!("{ten}&timings=true")).body.contains("\"timings\":{\"authentication\":0,\"compiler\":")
    );
}

#[test]
fn the_consoles_questions_are_answered() {
    let server = Running::start();
    server.exec("create table t (a int)");
    let columns = "select table_name, column_name, data_type from information_schema.questdb_columns()";
    assert_eq!(server.rows(columns), "[[\"t\",\"a\",\"INT\"]]");
    assert!(server.exec("information_schema.columns()").body.contains("\"integer\"]]"));
    assert_eq!(server.rows("views()"), "[]");
    assert!(server.rows("select build").starts_with("[[\"Build Information: "));
}

#[test]
fn a_path_may_begin_with_two_slashes() {
    let server = Running::start();
    for path in ["//exec?query=select+1&nm=true", "///exec?query=select+1&nm=true"] {
        assert_eq!(server.get(path).body, "{\"dataset\":[[1]],\"count\":1}", "{path}");
    }
    assert_eq!(server.get("//ping").status, 204);
    assert_eq!(server.get("/x//exec?query=select+1").status, 404);
}

#[test]
fn long_results_arrive_whole() {
    let server = Running::start();
    let rows = server.rows("select x from long_sequence(100000)");
    assert!(rows.starts_with("[[1],[2],") && rows.ends_with(",[99999],[100000]]"));
    assert_eq!(rows.matches('[').count(), 100_001);
}

#[test]
fn a_statement_too_long_for_a_url_may_be_posted_as_a_form() {
    let server = Running::start();
    let padding = "x".repeat(100_000);
    let form = format!("nm=true&query={}", encode(&format!("select 1 a -- {padding}")));
    let form_type = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(server.post("/exec", form_type, form.as_bytes()).body, "{\"dataset\":[[1]],\"count\":1}");
    let refused = server.post("/exec", "", form.as_bytes());
    assert_eq!((refused.status, refused.body.as_str()), (405, "Method POST not supported\r\n"));
}

#[test]
fn a_statement_that_takes_too_long_is_stopped() {
    let server = Running::start();
    let sql = encode("select count() from long_sequence(100000) a cross join long_sequence(1000000000) b");
    let answer = server.ask(&format!("GET /exec?query={sql} HTTP/1.0\r\nStatement-Timeout: 200\r\n\r\n"));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("timeout, query aborted"), "{}", answer.body);
}

#[test]
fn csv_is_exported_and_only_from_queries() {
    let server = Running::start();
    let exp = |sql: &str, more: &str| server.get(&format!("/exp?query={}{more}", encode(sql)));
    let answer = exp("select x, 'a\"b' s, null::double d from long_sequence(3)", "&limit=1,3&filename=out");
    assert_eq!(answer.body, "\"x\",\"s\",\"d\"\r\n2,\"a\"\"b\",\r\n3,\"a\"\"b\",\r\n");
    assert!(answer.head.contains("content-disposition: attachment; filename=\"out.csv\""), "{}", answer.head);
    let refused = exp("create table z (a int)", "");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("/exp endpoint only accepts SELECT"));
    assert_eq!(server.exec("select * from z").status, 400);
    assert_eq!(exp("select x from long_sequence(1)", "&fmt=xml").status, 400);
}

#[test]
fn clients_find_what_they_ask_before_they_write() {
    let server = Running::start();
    let settings = server.get("/settings");
    assert!(settings.body.contains("\"line.proto.support.versions\":[1,2,3]"), "{}", settings.body);
    let ping = server.get("/ping");
    assert_eq!(ping.status, 204);
    assert!(ping.head.contains("x-influxdb-version: v2.7.4"));
    assert_eq!(server.get("/chk?j=t").body, "Does not exist\r\n");
    assert_eq!(server.get("/chk?f=json&j=t").body, "{\"status\":\"Does not exist\"}");
    assert_eq!(send(server.health(), b"GET /any/path HTTP/1.0\r\n\r\n").body, "Status: Healthy");
    assert_eq!(server.get("/write").body, "Method GET not supported\r\n");
    assert_eq!((server.get("/nope").status, server.get("/nope").body.as_str()), (404, "Not Found\r\n"));
    assert_eq!(server.post("/imp?name=t", "", b"a,b\n").status, 400);
}

#[test]
fn a_statement_is_validated_without_being_carried_out() {
    let server = Running::start();
    server.exec("create table v (ts timestamp, s symbol, a double[]) timestamp(ts) partition by day");
    let validate = |sql: &str| server.get(&format!("/api/v1/sql/validate?query={}", encode(sql)));
    let columns = "[{\"name\":\"s\",\"type\":\"SYMBOL\"},{\"name\":\"ts\",\"type\":\"TIMESTAMP\"}]";
    let text = "select s, ts from v";
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let expected = json(&format!("{{\"query\":\"{text}\",\"columns\":{columns},\"timestamp\":1}}"));
    assert_eq!(json(&validate(text).body), expected);
    let array = json("[{\"name\":\"a\",\"type\":\"ARRAY\",\"dim\":1,\"elemType\":\"DOUBLE\"}]");
    assert_eq!(json(&validate("select a from v").body)["columns"], array);
    for (sql, kind) in [
        ("create table w (a int)", "CREATE TABLE"),
        ("create table w as (select 1 x)", "CREATE AS SELECT"),
        ("insert into v (ts) values (1)", "INSERT"),
        ("drop table v", "DROP"),
        ("explain select 1", "EXPLAIN"),
        ("begin", "BEGIN"),
    ] {
        assert_eq!(validate(sql).body, format!("{{\"queryType\":\"{kind}\"}}"), "{sql}");
    }
    let refused = validate("select x from nope");
    assert_eq!(refused.status, 400);
    let error = "{\"query\":\"select x from nope\",\"error\":\"table does not exist [table=nope]\",\"position\":14}";
    assert_eq!(refused.body, error);
    assert_eq!(validate("").status, 200);
    assert!(server.exec("select count() from v").body.contains("[[0]]"), "nothing was inserted or dropped");
    assert_eq!(server.exec("select * from w").status, 400);
}

#[test]
fn with_credentials_set_only_settings_and_ping_are_open() {
    let root = new_root();
    let server = Running::with(&root, &[("http.user", "joe"), ("http.password", "pw")]);
    assert_eq!((server.get("/settings").status, server.get("/ping").status), (200, 204));
    let refused = server.exec("select 1");
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: basic"), "{}", refused.head);
    assert_eq!(server.write("t a=1 0\n").status, 401);
    assert_eq!(server.get("/").status, 401);
    let header = "Authorization: Basic am9lOnB3\r\n";
    assert_eq!(server.post("/write", header, b"t a=1 0\n").status, 204);
    assert_eq!(server.ask(&format!("GET /chk?j=t HTTP/1.0\r\n{header}\r\n")).body, "Exists\r\n");
}

#[test]
fn damaged_requests_are_refused_and_the_next_client_is_served() {
    let server = Running::start();
    assert_eq!(server.ask("GARBAGE\r\n\r\n").status, 400);
    assert_eq!(server.ask(&format!("GET /exec?query={} HTTP/1.0\r\n\r\n", "x".repeat(70_000))).status, 414);
    assert!(server.ask("GET /exec?query=select+%FF HTTP/1.0\r\n\r\n").body.contains("Bad UTF8 encoding in query text"));
    let headers: String = (0..600).map(|i| format!("h{i}: x\r\n")).collect();
    assert_eq!(server.ask(&format!("GET /ping HTTP/1.0\r\n{headers}\r\n")).status, 431);
    assert_eq!(server.get("/ping").status, 204);
}
