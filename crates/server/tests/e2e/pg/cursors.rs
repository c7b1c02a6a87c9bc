//! DECLARE, FETCH, MOVE and CLOSE, as drivers with server-side cursors and `postgres_fdw` say them.

use super::raw::{bind, check, describe, execute, parse, sync};
use super::server::served;

#[test]
fn a_cursor_gives_its_rows_a_few_at_a_time() {
    let (_server, mut client) = served();
    check(&mut client, "start transaction isolation level repeatable read", &["C BEGIN", "Z T"]);
    let declared = ["C DECLARE CURSOR", "Z T"];
    check(&mut client, "DECLARE \"c 1\" NO SCROLL CURSOR FOR select x from long_sequence(7) FOR READ ONLY ", &declared);
    check(&mut client, "FETCH FORWARD 2 FROM \"c 1\"", &["T x:20:0", "D 1", "D 2", "C FETCH 2", "Z T"]);
    check(&mut client, "MOVE 2 FROM \"c 1\"", &["C MOVE 2", "Z T"]);
    check(&mut client, "fetch \"c 1\"", &["T x:20:0", "D 5", "C FETCH 1", "Z T"]);
    check(&mut client, "FETCH ALL IN \"c 1\";", &["T x:20:0", "D 6", "D 7", "C FETCH 2", "Z T"]);
    check(&mut client, "FETCH 10 FROM \"c 1\"", &["T x:20:0", "C FETCH 0", "Z T"]);
    check(&mut client, "CLOSE \"c 1\"", &["C CLOSE CURSOR", "Z T"]);
    check(&mut client, "commit", &["C COMMIT", "Z I"]);
}

#[test]
fn a_cursor_ends_with_its_transaction_unless_it_is_held() {
    let (_server, mut client) = served();
    let outside = client.query("declare c cursor for select 1");
    assert!(outside[0].starts_with("E ERROR 25P01 DECLARE CURSOR can only be used"), "{outside:?}");
    client.query("create table t (i int)");
    client.query("insert into t values (1), (2)");
    client.query("begin; declare c cursor for select i from t; declare h cursor with hold for select i from t");
    client.query("declare c cursor for select 2");
    client.query("rollback");
    client.query("begin; declare c cursor for select i from t; commit");
    let ended = client.query("fetch c");
    assert!(ended[0].starts_with("E ERROR 34000 cursor \"c\" does not exist"), "{ended:?}");
    client.query("insert into t values (3)");
    check(&mut client, "fetch all h", &["T i:23:0", "D 1", "D 2", "C FETCH 2", "Z I"]);
    check(&mut client, "close all", &["C CLOSE CURSOR ALL", "Z I"]);
    let wrong = client.query("declare w cursor with hold for select nope from t");
    assert!(wrong[0].starts_with("E ERROR 42703 Invalid column: nope"), "{wrong:?}");
    let back = client.query("fetch backward 1 from h");
    assert!(back[0].starts_with("E ERROR 0A000 cursor can only scan forward"), "{back:?}");
}

#[test]
fn a_cursor_takes_parameters_and_is_fetched_by_statements() {
    let (_server, mut client) = served();
    client.query("begin");
    let declare = "DECLARE c CURSOR FOR select x, 'a' s from long_sequence(9) where x > $1";
    let told = client.extended(&[
        parse("", declare, &[20]),
        bind("", "", &[Some("6")]),
        execute("", 0),
        describe('P', "c"),
        sync(),
    ]);
    assert_eq!(told, ["1", "2", "C DECLARE CURSOR", "T x:20:0,s:1042:0", "Z T"]);
    let fetch = [parse("f", "FETCH 2 FROM c", &[]), describe('S', "f"), bind("", "f", &[]), execute("", 0), sync()];
    assert_eq!(client.extended(&fetch), ["1", "t ", "T x:20:0,s:1042:0", "2", "D 7|a", "D 8|a", "C FETCH 2", "Z T"]);
    let again = [bind("", "f", &[]), describe('P', ""), execute("", 0), sync()];
    assert_eq!(client.extended(&again), ["2", "T x:20:0,s:1042:0", "D 9|a", "C FETCH 1", "Z T"]);
}
