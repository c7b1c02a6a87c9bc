//! COPY … TO STDOUT and FROM STDIN, as psql, ADBC, connectorx and the Python drivers say it.

use super::raw::{Client, assert_rows, bind, check, describe, execute, message, parse, sync};
use super::server::served;

#[test]
fn copy_to_stdout_sends_rows_as_text_csv_and_binary() {
    let (_server, mut client) = served();
    check(
        &mut client,
        "create table t (x int, s varchar); insert into t values (1, 'a,b'), (null, null)",
        &["C OK", "C INSERT 0 2", "Z I"],
    );
    check(&mut client, "copy t to stdout", &["H 0:2", "d 1\\ta,b\\n", "d \\\\N\\t\\\\N\\n", "c", "C COPY 2", "Z I"]);
    let csv = ["H 0:2", "d x,s\\n", "d 1,\\\"a,b\\\"\\n", "d ,\\n", "c", "C COPY 2", "Z I"];
    check(&mut client, "copy (select * from t) to stdout with csv header", &csv);
    let copy = "copy (select x from t) to stdout (format binary)";
    let signature = "PGCOPY\\n\\xff\\r\\n\\0\\0\\0\\0\\0\\0\\0\\0\\0";
    let first = format!("d {signature}\\0\\x01\\0\\0\\0\\x04\\0\\0\\0\\x01");
    let rows = ["H 1:1", &first, "d \\0\\x01\\xff\\xff\\xff\\xff", "d \\xff\\xff", "c", "C COPY 2", "Z I"];
    check(&mut client, copy, &rows);
    let empty = format!("d {signature}\\xff\\xff");
    check(
        &mut client,
        "copy (select x from t where x = 7) to stdout binary",
        &["H 1:1", &empty, "c", "C COPY 0", "Z I"],
    );
}

#[test]
fn copy_to_stdout_is_described_as_without_rows_and_fails_in_its_place() {
    let (_server, mut client) = served();
    let copied = [
        parse("", "copy (select x from long_sequence(1)) to stdout", &[]),
        describe('S', ""),
        bind("", "", &[]),
        describe('P', ""),
        execute("", 0),
        sync(),
    ];
    let expected = ["1", "t ", "n", "2", "n", "H 0:1", "d 1\\n", "c", "C COPY 1", "Z I"];
    assert_eq!(client.extended(&copied), expected);
    let missing = "E ERROR 42P01 table does not exist [table=nope] @21";
    check(&mut client, "copy (select * from nope) to stdout", &[missing, "Z I"]);
    check(&mut client, "copy nope to stdout", &["E ERROR 42P01 table does not exist [table=nope]", "Z I"]);
    check(&mut client, "copy t to stdout (colour 'red')", &["E ERROR 42601 COPY option is not known @19", "Z I"]);
    // what a client sends after an error does no harm
    client.send('c', b"");
    check(&mut client, "select 1", &["T 1:23:0", "D 1", "C SELECT 1", "Z I"]);
}

fn served_with_moments() -> (super::server::Server, Client) {
    let (server, mut client) = served();
    client.query("create table m (ts timestamp, s symbol, x int, d double) timestamp(ts) partition by day wal");
    (server, client)
}

/// Says a text that has a COPY in it and sends its data in the given pieces.
fn copied(client: &mut Client, sql: &str, data: &[&[u8]]) -> Vec<String> {
    let pieces = data.iter().map(|piece| message('d', piece));
    let query = message('Q', format!("{sql}\0").as_bytes());
    let messages: Vec<Vec<u8>> = [query].into_iter().chain(pieces).chain([message('c', b"")]).collect();
    client.extended(&messages)
}

#[test]
fn copy_from_stdin_stores_text_and_csv_in_one_commit() {
    let (_server, mut client) = served_with_moments();
    let data: [&[u8]; 2] = [b"2024-01-01 00:00:00\ta\\tb\t1\t0.5\n2024-01-", b"02T00:00:00Z\t\\N\t\\N\tNaN\n\\.\n"];
    assert_eq!(copied(&mut client, "copy m from stdin", &data), ["G 0:4", "C COPY 2", "Z I"]);
    // a text with a tab shows as hex
    let rows = ["2024-01-01 00:00:00.000000|610962|1|0.5", "2024-01-02 00:00:00.000000|NULL|NULL|NULL"];
    assert_rows(&client.query("select * from m"), &rows, "text");
    let csv: [&[u8]; 1] = [b"d,ts\r\n1.5,2024-01-03\r\n,2024-01-04"];
    let sql = "copy public.m (d, ts) from stdin with (format csv, header match); select count() from m; select x from m where 1 = 2";
    let answer = copied(&mut client, sql, &csv);
    let expected = ["G 0:2", "C COPY 2", "T count():20:0", "D 4", "C SELECT 1", "T x:23:0", "C SELECT 0", "Z I"];
    assert_eq!(answer, expected);
    assert_eq!(copied(&mut client, "copy m from stdin csv", &[]), ["G 0:4", "C COPY 0", "Z I"]);
    let seen = client.query("select count(), count(d) from m where d is not null or ts >= '2024-01-03'");
    assert_rows(&seen, &["3|2"], "CSV");
}

#[test]
fn copy_from_stdin_in_binary_form_is_begun_by_either_protocol() {
    let (_server, mut client) = served_with_moments();
    let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let row = [&b"\0\x02\0\0\0\x08"[..], &86_400_000_000i64.to_be_bytes(), b"\0\0\0\x04\0\0\0\x07"].concat();
    let data = [&head[..], &row, b"\0\x02\0\0\0\x08", &0i64.to_be_bytes(), b"\xff\xff\xff\xff\xff\xff"].concat();
    let (begin, end) = data.split_at(30);
    let messages = [
        parse("", "copy m (ts, x) from stdin binary", &[]),
        describe('S', ""),
        bind("", "", &[]),
        execute("", 0),
        sync(),
        message('d', begin),
        message('d', end),
        message('c', b""),
        sync(),
    ];
    assert_eq!(client.extended(&messages), ["1", "t ", "n", "2", "G 1:2", "C COPY 2", "Z I"]);
    let rows = ["2000-01-01 00:00:00.000000|NULL", "2000-01-02 00:00:00.000000|7"];
    assert_rows(&client.query("select ts, x from m"), &rows, "binary");
    let error = "E ERROR 22P03 incorrect binary data format, column x (COPY m, line 1)";
    let bad = [&head[..], b"\0\x02\0\0\0\x08", &0i64.to_be_bytes(), b"\0\0\0\x01a"].concat();
    let messages = [
        parse("", "copy m (ts, x) from stdin binary", &[]),
        bind("", "", &[]),
        execute("", 0),
        message('d', &bad),
        message('c', b""),
        sync(),
    ];
    assert_eq!(client.extended(&messages), ["1", "2", "G 1:2", error, "Z I"]);
    check(&mut client, "select 1", &["T 1:23:0", "D 1", "C SELECT 1", "Z I"]);
}

#[test]
fn nothing_is_kept_of_a_copy_that_fails() {
    let (_server, mut client) = served_with_moments();
    let good = b"2024-01-01\ta\t1\t0.5\n";
    for (data, error) in [
        (&b"2024-01-01\ta\tx\t1\n"[..], "22P02 inconvertible value: `x` [STRING -> INT], column x"),
        (b"2024-01-01\ta\t\t1\n", "22P02 inconvertible value: `` [STRING -> INT], column x"),
        (b"2024-01-01\ta\t1\n", "22P04 missing data for column \"d\""),
        (b"2024-01-01\ta\t1\t1\t1\n", "22P04 extra data after last expected column"),
        (b"\\N\ta\t1\t1\n", "22008 designated timestamp column cannot be NULL"),
        (b"1969-01-01\ta\t1\t1\n", "22008 designated timestamp before 1970-01-01 is not allowed"),
        (b"2024-01-01\t\xff\t1\t1\n", "22021 invalid byte sequence for encoding \"UTF8\", column s"),
    ] {
        let error = format!("E ERROR {error} (COPY m, line 2)");
        assert_eq!(copied(&mut client, "copy m from stdin; select 1", &[good, data]), ["G 0:4", &error, "Z I"]);
    }
    let gone = [message('Q', b"copy m from stdin\0"), message('d', good), message('f', b"enough\0")];
    let error = "E ERROR 57014 COPY from stdin failed: enough";
    assert_eq!(client.extended(&gone), ["G 0:4", error, "Z I"]);
    let other = [message('Q', b"copy m from stdin\0"), message('d', good), message('Q', b"select 1\0")];
    let error = "E ERROR 08P01 unexpected message during COPY from stdin";
    assert_eq!(client.extended(&other), ["G 0:4", error, "Z I"]);
    check(&mut client, "copy nope from stdin", &["E ERROR 42P01 table does not exist [table=nope] @6", "Z I"]);
    check(&mut client, "copy m (ts, y) from stdin", &["E ERROR 42703 Invalid column: y @13", "Z I"]);
    let error = "E ERROR 42601 insert statement must populate timestamp @6";
    check(&mut client, "copy m (x) from stdin", &[error, "Z I"]);
    assert_rows(&client.query("select count() from m"), &["0"], "nothing came in");
}

#[test]
fn a_copy_is_part_of_its_transaction() {
    let (_server, mut client) = served_with_moments();
    let row: &[u8] = b"2024-01-01\ta\t1\t0.5\n";
    client.query("begin");
    assert_eq!(copied(&mut client, "copy m from stdin", &[row]), ["G 0:4", "C COPY 1", "Z T"]);
    assert_rows(&client.query("rollback; select count() from m"), &["0"], "taken back");
    client.query("begin; insert into m values (0, 'b', 2, 0)");
    assert_eq!(copied(&mut client, "copy m from stdin", &[row]), ["G 0:4", "C COPY 1", "Z T"]);
    assert_rows(&client.query("commit; select count() from m"), &["2"], "stored together");
    // a text of several statements is one transaction, too
    let sql = "copy m from stdin; insert into m values ('x', 'b', 2, 0)";
    let answer = copied(&mut client, sql, &[row]);
    assert_eq!((answer[1].as_str(), answer[2].starts_with("E ERROR"), answer.len()), ("C COPY 1", true, 4));
    assert_rows(&client.query("select count() from m"), &["2"], "the second statement failed");
}
