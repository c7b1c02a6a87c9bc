//! COPY … TO STDOUT, as psql, ADBC, connectorx and `copy_to` of the Python drivers say it.

use super::raw::{bind, check, describe, execute, parse, sync};
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
