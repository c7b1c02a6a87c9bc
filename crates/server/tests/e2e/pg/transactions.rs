//! What becomes one commit: BEGIN … COMMIT, a text of several INSERTs, a pipeline up to its Sync.

use super::raw::{Client, bind, execute, parse, sync};
use super::server::Server;

const ROW: &str = "insert into t values (1)";
const BAD: &str = "insert into t values ('x')";

fn served() -> (Server, Client) {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    assert_eq!(client.query("create table t (x int)")[0], "C OK");
    (server, client)
}

#[track_caller]
fn check_rows(server: &Server, rows: usize) {
    let answer = Client::connect(server.address).query("select count() from t");
    assert_eq!(answer[1], format!("D {rows}"));
}

#[test]
fn rows_of_a_transaction_come_with_its_commit() {
    let (server, mut client) = served();
    assert_eq!(client.query("begin"), ["C BEGIN", "Z T"]);
    assert_eq!(client.query(ROW), ["C INSERT 0 1", "Z T"]);
    check_rows(&server, 0);
    assert_eq!(client.query(ROW), ["C INSERT 0 1", "Z T"]);
    assert_eq!(client.query("commit"), ["C COMMIT", "Z I"]);
    check_rows(&server, 2);
    assert_eq!(client.query(&format!("begin; {ROW}; rollback")), ["C BEGIN", "C INSERT 0 1", "C ROLLBACK", "Z I"]);
    check_rows(&server, 2);
}

#[test]
fn a_failed_transaction_refuses_everything_but_its_end() {
    let (server, mut client) = served();
    assert_eq!(client.query(&format!("begin; {ROW}")), ["C BEGIN", "C INSERT 0 1", "Z T"]);
    assert_eq!(client.query("select * from nope")[1], "Z E");
    let refused = "E ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(client.query("select 1"), [refused, "Z E"]);
    assert_eq!(client.query("begin"), [refused, "Z E"]);
    assert_eq!(client.extended(&[parse("", "select 1", &[]), sync()]), [refused, "Z E"]);
    assert_eq!(client.query("commit"), ["C ROLLBACK", "Z I"]);
    check_rows(&server, 0);
}

#[test]
fn a_transaction_goes_back_to_a_savepoint_also_after_an_error() {
    let (server, mut client) = served();
    assert_eq!(client.query("savepoint a")[1..], ["Z I"]);
    assert_eq!(client.query(&format!("begin; {ROW}; savepoint a")), ["C BEGIN", "C INSERT 0 1", "C SAVEPOINT", "Z T"]);
    assert_eq!(client.query(&format!("{ROW}; {ROW}")), ["C INSERT 0 1", "C INSERT 0 1", "Z T"]);
    assert_eq!(client.query(BAD)[1], "Z E");
    assert_eq!(client.query("rollback to savepoint a"), ["C ROLLBACK", "Z T"]);
    assert_eq!(client.query(ROW), ["C INSERT 0 1", "Z T"]);
    assert_eq!(client.query("release savepoint a"), ["C RELEASE", "Z T"]);
    assert_eq!(client.query("rollback to a"), ["E ERROR 3B001 savepoint \"a\" does not exist", "Z E"]);
    assert_eq!(client.query("commit"), ["C ROLLBACK", "Z I"]);
    check_rows(&server, 0);
    let kept = format!("begin; {ROW}; savepoint a; {ROW}; rollback to a; {ROW}; commit");
    assert_eq!(client.query(&kept).last().map(String::as_str), Some("Z I"));
    check_rows(&server, 2);
}

#[test]
fn a_transaction_of_a_lost_client_never_happened() {
    let (server, mut client) = served();
    client.query(&format!("begin; {ROW}"));
    drop(client);
    check_rows(&server, 0);
}

#[test]
fn inserts_of_one_text_are_all_or_nothing() {
    let (server, mut client) = served();
    let answer = client.query(&format!("{ROW}; {BAD}; {ROW}"));
    assert_eq!(answer[0], "C INSERT 0 1");
    assert!(answer[1].starts_with("E ERROR") && answer[2] == "Z I", "{answer:?}");
    check_rows(&server, 0);
    assert_eq!(client.query(&format!("{ROW}; {ROW}")), ["C INSERT 0 1", "C INSERT 0 1", "Z I"]);
    check_rows(&server, 2);
}

#[test]
fn a_select_sees_the_inserts_before_it_in_the_same_text() {
    let (_server, mut client) = served();
    let answer = client.query(&format!("{ROW}; select count() from t; {ROW}"));
    assert_eq!(answer, ["C INSERT 0 1", "T count():20:0", "D 1", "C SELECT 1", "C INSERT 0 1", "Z I"]);
}

#[test]
fn inserts_of_one_pipeline_are_all_or_nothing() {
    let (server, mut client) = served();
    let row = [parse("", "insert into t values ($1)", &[]), bind("", "", &[Some("1")]), execute("", 0)].concat();
    let bad = [bind("", "", &[Some("x")]), execute("", 0)].concat();
    let answer = client.extended(&[row.clone(), bad, sync()]);
    assert_eq!(answer[..3], ["1", "2", "C INSERT 0 1"]);
    assert!(answer[3].starts_with("E ERROR 22P02") && answer[4] == "Z I", "{answer:?}");
    check_rows(&server, 0);
    let again = [bind("", "", &[Some("2")]), execute("", 0)].concat();
    assert_eq!(client.extended(&[row, again, sync()])[4], "C INSERT 0 1");
    check_rows(&server, 2);
}
