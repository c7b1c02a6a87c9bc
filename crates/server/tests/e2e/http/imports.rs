//! `/imp`: files of delimited text, whole, bad and broken off.

use std::io::Write;

use super::client::{Answer, Running, connect, encode};

/// Posts a file as `curl -F data=@rows.csv` does.
fn upload(server: &Running, parameters: &str, schema: Option<&str>, data: &[u8]) -> Answer {
    let mut body = Vec::new();
    if let Some(schema) = schema {
        body.extend_from_slice(b"--bnd\r\nContent-Disposition: form-data; name=\"schema\"\r\n\r\n");
        body.extend_from_slice(schema.as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(
        b"--bnd\r\nContent-Disposition: form-data; name=\"data\"; filename=\"rows.csv\"\r\nContent-Type: text/csv\r\n\r\n",
    );
    body.extend_from_slice(data);
    body.extend_from_slice(b"\r\n--bnd--\r\n");
    server.post(&format!("/imp?{parameters}"), "Content-Type: multipart/form-data; boundary=bnd\r\n", &body)
}

const TRADES: &[u8] = b"ts,sym,price,qty,note\n\
    2024-01-01T00:00:00.000000Z,BTC,1.5,10,\"hello, \"\"world\"\"\"\n\
    2024-01-01T01:00:00.000000Z,ETH,,20,\n\
    2024-01-01T02:00:00.000000Z,SOL,3.25,bad,x\n";

#[test]
fn a_file_makes_its_table() {
    let server = Running::start();
    let answer = upload(&server, "name=imp2&fmt=json", None, TRADES);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "{\"status\":\"OK\",\"location\":\"imp2\",\"rowsRejected\":0,\"rowsImported\":3,\"header\":true,\
         \"partitionBy\":\"NONE\",\"columns\":[\
         {\"name\":\"ts\",\"type\":\"TIMESTAMP\",\"size\":8,\"errors\":0},\
         {\"name\":\"sym\",\"type\":\"VARCHAR\",\"size\":0,\"errors\":0},\
         {\"name\":\"price\",\"type\":\"DOUBLE\",\"size\":8,\"errors\":0},\
         {\"name\":\"qty\",\"type\":\"VARCHAR\",\"size\":0,\"errors\":0},\
         {\"name\":\"note\",\"type\":\"VARCHAR\",\"size\":0,\"errors\":0}]}"
    );
    assert_eq!(
        server.rows("imp2"),
        "[[\"2024-01-01T00:00:00.000000Z\",\"BTC\",1.5,\"10\",\"hello, \\\"world\\\"\"],\
         [\"2024-01-01T01:00:00.000000Z\",\"ETH\",null,\"20\",null],\
         [\"2024-01-01T02:00:00.000000Z\",\"SOL\",3.25,\"bad\",\"x\"]]"
    );
    // the file's name is the table's where none is given, and people get a table of bars
    let text = upload(&server, "", None, TRADES).body;
    assert!(text.starts_with(&format!("+{}+\r\n|      Location:  |", "-".repeat(113))), "{text}");
    assert!(text.lines().all(|line| line.len() == 115), "{text}");
    assert!(text.contains("  rows.csv  |        Pattern  | Locale  |      Errors  |"), "{text}");
    assert!(text.contains("|              2  |                                             price  |                   DOUBLE  |           0  |"));
    assert_eq!(server.rows("select count() from \"rows.csv\""), "[[3]]");
}

#[test]
fn parameters_and_schema_say_what_the_table_is() {
    let server = Running::start();
    let named = "name=t&fmt=json&timestamp=ts&partitionBy=DAY";
    assert!(upload(&server, named, None, TRADES).body.contains("\"partitionBy\":\"DAY\",\"timestamp\":\"ts\","));
    assert!(
        server
            .rows("select designatedTimestamp, partitionBy from tables() where table_name = 't'")
            .contains("\"ts\",\"DAY\"")
    );
    // again: the rows are added; with other ideas about the table: it stays as it is, with a warning
    let again = upload(&server, "name=t&fmt=json&timestamp=sym&partitionBy=MONTH", None, TRADES).body;
    assert!(
        again.contains(
            "\"warnings\":[\"Existing table timestamp column is used\",\"Existing table PartitionBy is used\"]"
        ),
        "{again}"
    );
    assert_eq!(server.rows("select count() from t"), "[[6]]");
    assert_eq!(upload(&server, "name=t&overwrite=true", None, TRADES).status, 200);
    assert_eq!(server.rows("select count() from t"), "[[3]]");
    let schema = r#"[{"name":"d","type":"DATE","pattern":"dd/MM/yyyy"},{"name":"t","type":"TIMESTAMP","pattern":"dd.MM.yyyy HH:mm"},{"name":"u","type":"SYMBOL"}]"#;
    let moments = b"d,t,u\n01/02/2024,02.01.2024 10:11,x\n03/04/2024,04.03.2024 01:02,y\n";
    assert_eq!(upload(&server, "name=m&timestamp=t", Some(schema), moments).status, 200);
    assert_eq!(
        server.rows("m"),
        "[[\"2024-02-01T00:00:00.000Z\",\"2024-01-02T10:11:00.000000Z\",\"x\"],\
         [\"2024-04-03T00:00:00.000Z\",\"2024-03-04T01:02:00.000000Z\",\"y\"]]"
    );
    assert_eq!(upload(&server, "name=s&delimiter=%3B&skipLev=true", None, b"a;b\n1;2\n3;4;5\n").status, 200);
    assert_eq!(server.rows("select count() from s"), "[[1]]");
}

#[test]
fn bad_fields_are_counted_and_bad_rows_rejected() {
    let server = Running::start();
    server.exec("create table t (v int, w varchar, ts timestamp) timestamp(ts) partition by day");
    let rows = b"ts,v,w\n2024-01-01,1,a\n2024-01-02,bad,b\nnever,3,c\n2024-01-04,4,d\n";
    let answer = upload(&server, "name=t&fmt=json", None, rows).body;
    assert!(answer.contains("\"rowsRejected\":1,\"rowsImported\":3"), "{answer}");
    assert!(answer.contains("{\"name\":\"v\",\"type\":\"INT\",\"size\":4,\"errors\":1}"), "{answer}");
    assert_eq!(server.rows("select v, w from t"), "[[1,\"a\"],[null,\"b\"],[4,\"d\"]]");
    let answer = upload(&server, "name=t&fmt=json&atomicity=skipRow", None, rows).body;
    assert!(answer.contains("\"rowsRejected\":2,\"rowsImported\":2"), "{answer}");
    let answer = upload(&server, "name=t&fmt=json&atomicity=abort", None, rows).body;
    assert_eq!(answer, "{\"status\":\"bad syntax [line=2, col=0]\"}");
    assert_eq!(server.rows("select count() from t"), "[[5]]");
}

#[test]
fn what_cannot_be_imported_is_refused_and_makes_nothing() {
    let server = Running::start();
    let refused = |parameters: &str, schema: Option<&str>, data: &[u8]| {
        let answer = upload(&server, &format!("fmt=json&name=x&{parameters}"), schema, data);
        assert_eq!(answer.status, 200);
        serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()["status"].as_str().unwrap().to_owned()
    };
    let ab = b"a,b\n1,2\n";
    for (parameters, schema, data, why) in [
        ("timestamp=nope", None, TRADES, "invalid timestamp column 'nope'"),
        ("timestamp=sym", None, TRADES, "not a timestamp 'sym'"),
        ("partitionBy=DAY", None, TRADES, "when specifying partitionBy you must also specify timestamp"),
        ("partitionBy=FOO&timestamp=ts", None, TRADES, "invalid partitionBy"),
        ("o3MaxLag=x", None, TRADES, "invalid o3MaxLag value, must be a long"),
        ("maxUncommittedRows=x", None, TRADES, "invalid maxUncommittedRows, must be an int"),
        ("create=false", None, TRADES, "table does not exist [table=x] and create param was set to false."),
        ("", None, b"a,b\n", "not enough lines [table=x]"),
        ("", None, b"a,a\n1,2\n", "duplicate column name found [no=1,name=a]"),
        ("", Some("{}"), ab, "Unexpected object"),
        ("", Some(r#"[{"name":"a","type":"FOO"}]"#), ab, "Invalid type"),
    ] {
        assert_eq!(refused(parameters, schema, data), why);
    }
    assert!(
        refused("", None, b"a,b,c\n1,2,3\n4,5\n6,7,8\n").starts_with("min deviation is too high [delimiterStdDev=0.43")
    );
    assert_eq!(server.exec("select * from x").status, 400);
    server.exec("create table x (a int)");
    assert_eq!(
        refused("", None, b"a,b\n1,2\n"),
        "column count mismatch [textColumnCount=2, tableColumnCount=1, table=x]"
    );
    let plain = server.post("/imp?name=x", "", b"a,b\n1,2\n");
    assert_eq!((plain.status, plain.body.as_str()), (400, "Non-multipart POST not supported\r\n"));
    assert_eq!(server.get("/imp").status, 405);
    let empty = upload(&server, "name=none", None, b"");
    assert!(empty.body.contains("|   Rows handled  |"), "{}", empty.body);
    assert_eq!(server.exec("select * from none").status, 400);
}

#[test]
fn a_file_that_breaks_off_leaves_nothing() {
    let server = Running::start();
    let mut socket = connect(server.http);
    write!(
        socket,
        "POST /imp?name=half HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"data\"; filename=\"f\"\r\n\r\na,b\n1,2\n3,4\n"
    )
    .unwrap();
    drop(socket);
    assert_eq!(server.write("t a=1 0\n").status, 204);
    assert_eq!(server.exec("select * from half").status, 400);
}

#[test]
fn a_large_file_comes_in_whole() {
    let server = Running::start();
    let mut csv = String::from("ts,i,s\n");
    for i in 0..30_000 {
        csv += &format!("{},{i},\"text {i}\"\n", 1_704_067_200_000_000i64 + i);
    }
    let schema = r#"[{"name":"ts","type":"TIMESTAMP","pattern":"x"}]"#;
    let refused = upload(&server, "name=big&fmt=json&timestamp=ts", Some(schema), csv.as_bytes());
    assert!(refused.body.contains("\"rowsRejected\":30000"), "{}", refused.body);
    server.exec("drop table big");
    // it comes in three commits
    let table = "create table big (ts timestamp, i long, s varchar) timestamp(ts) partition by day with maxUncommittedRows=10000";
    assert_eq!(server.exec(table).status, 200);
    let answer = upload(&server, "name=big&fmt=json", None, csv.as_bytes());
    assert!(answer.body.contains("\"rowsRejected\":0,\"rowsImported\":30000"), "{}", answer.body);
    assert_eq!(server.rows("select count(), min(i), max(i), sum(i) from big"), "[[30000,0,29999,449985000]]");
}

#[test]
fn what_exp_writes_imp_reads_back() {
    let server = Running::start();
    server.exec("create table a (s varchar, c symbol, d double, ts timestamp) timestamp(ts) partition by day");
    let texts = [
        "{\"f\":1}",
        "say \"hi\"",
        "a,b;c",
        "two\nlines",
        "cr\r\nlf",
        "tab\there",
        "",
        "007",
        "back\\slash",
        "grüße 😀",
        " x ",
        "\"",
        ",",
    ];
    for (i, text) in texts.iter().enumerate() {
        let literal = text.replace('\'', "''");
        let insert = format!("insert into a values ('{literal}', '{literal}', {i} / 3.0, {i})");
        assert_eq!(server.exec(&insert).status, 200, "{insert}");
    }
    let exported = server.get(&format!("/exp?query={}", encode("select * from a")));
    server.exec("create table b (s varchar, c symbol, d double, ts timestamp) timestamp(ts) partition by day");
    let answer = upload(&server, "name=b&fmt=json&forceHeader=true", None, exported.body.as_bytes());
    assert!(answer.body.contains("\"rowsRejected\":0"), "{}", answer.body);
    assert_eq!(server.rows("b"), server.rows("a"));
}
