//! Start-up, simple queries, statements, portals, errors: message by message.

use super::raw::{Client, bind, bind_binary, check, describe, execute, message, parse, sync, untyped};
use super::server::{Server, served};

const TABLE: &str = "create table t (ts timestamp, v double, s symbol, l long, i int, b boolean, str string, vc varchar, \
                     sh short, d date) timestamp(ts) partition by day";

#[track_caller]
fn check_extended(client: &mut Client, messages: &[Vec<u8>], expected: &[&str]) {
    assert_eq!(client.extended(messages), expected);
}

#[test]
fn startup_sends_what_drivers_rely_on() {
    let (_server, client) = served();
    let expected = [
        "R 3",
        "R 0",
        "S TimeZone=GMT",
        "S application_name=QuestDB",
        "S server_version=11.3",
        "S integer_datetimes=on",
        "S client_encoding=UTF8",
        "S standard_conforming_strings=on",
        "S DateStyle=ISO, YMD",
        "S questdb_version=9.3.4",
        "Z I",
    ];
    assert_eq!(client.greeting, expected);
}

#[test]
fn a_wrong_password_is_refused_without_saying_what_is_wrong() {
    let server = Server::start();
    let client = Client::connect_as(server.address, "wrong", 0, &[]);
    assert_eq!(client.greeting, ["R 3", "E FATAL 28P01 invalid username/password", "closed"]);
    let client = Client::connect_as(server.address, "quest\0", 0, &[]);
    assert_eq!(client.greeting[1], "E FATAL 28P01 invalid username/password");
}

#[test]
fn newer_protocols_are_negotiated_and_older_ones_refused() {
    let server = Server::start();
    assert_eq!(Client::connect_as(server.address, "quest", 9999, &[]).greeting[..2], ["v", "R 3"]);
    assert_eq!(Client::connect_as(server.address, "quest", 2, &[]).greeting[0], "R 3");
    assert_eq!(Client::connect_as(server.address, "quest", 0, &[("_pq_.x", "1")]).greeting[..2], ["v", "R 3"]);
    let mut old = Client::open(server.address);
    old.send_bytes(&untyped(&(2u32 << 16).to_be_bytes()));
    let text = "E FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2";
    assert_eq!(old.until_ready(), [text, "closed"]);
}

#[test]
fn encryption_is_declined_and_a_tls_hello_is_hung_up_on() {
    let server = Server::start();
    for code in [5679u32, 5680] {
        let mut client = Client::open(server.address);
        client.send_bytes(&untyped(&((1234 << 16) | code).to_be_bytes()));
        assert_eq!(client.byte(), Some(b'N'));
    }
    let mut client = Client::open(server.address);
    client.send_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc");
    assert_eq!(client.byte(), None);
}

#[test]
fn values_are_texts_as_questdb_writes_them() {
    let (_server, mut client) = served();
    check(&mut client, TABLE, &["C OK", "Z I"]);
    let row =
        "'2024-01-01T00:00:00.123456Z', 1e7, 'sym', 7, -3, true, 'héllo \"q\"', 'v', 12, '2024-01-01T00:00:00.123Z'";
    check(&mut client, &format!("insert into t values ({row})"), &["C INSERT 0 1", "Z I"]);
    check(&mut client, "insert into t (ts) values ('2024-01-02')", &["C INSERT 0 1", "Z I"]);
    check(
        &mut client,
        "select * from t",
        &[
            "T ts:1114:0,v:701:0,s:1043:0,l:20:0,i:23:0,b:16:0,str:1043:0,vc:1043:0,sh:21:0,d:1114:0",
            "D 2024-01-01 00:00:00.123456|1.0E7|sym|7|-3|t|héllo \"q\"|v|12|2024-01-01 00:00:00.123",
            "D 2024-01-02 00:00:00.000000|NULL|NULL|NULL|NULL|f|NULL|NULL|0|NULL",
            "C SELECT 2",
            "Z I",
        ],
    );
}

#[test]
fn statements_have_the_peers_tags() {
    let (_server, mut client) = served();
    for (sql, tag) in [
        (TABLE, "C OK"),
        ("insert into t (ts, l) select x::timestamp, x from long_sequence(3)", "C INSERT 0 3"),
        ("update t set v = 1 where l = 1", "C UPDATE 1"),
        ("create table c as (select 1 x from long_sequence(3))", "C OK 3"),
        ("alter table c add column y int", "C OK"),
        ("truncate table c", "C OK"),
        ("drop table c", "C OK"),
        ("set x = 1", "C SET"),
        ("discard all", "C SET"),
        ("deallocate all", "C DEALLOCATE"),
        ("snapshot prepare", "C OK"),
        ("snapshot complete", "C OK"),
        ("checkpoint create", "C OK"),
        ("checkpoint release", "C OK"),
        ("begin", "C BEGIN"),
        ("rollback", "C ROLLBACK"),
        ("start transaction", "C BEGIN"),
        ("end", "C COMMIT"),
    ] {
        assert_eq!(client.query(sql)[0], tag, "{sql}");
    }
    for empty in ["", ";", " -- nothing\n"] {
        check(&mut client, empty, &["I", "Z I"]);
    }
}

#[test]
fn a_text_of_several_statements_stops_at_the_first_error() {
    let (_server, mut client) = served();
    check(
        &mut client,
        "select 1;; select x from long_sequence(1); select * from nopé; select 2",
        &[
            "T 1:23:0",
            "D 1",
            "C SELECT 1",
            "T x:20:0",
            "D 1",
            "C SELECT 1",
            "E ERROR 42P01 table does not exist [table=nopé] @58",
            "Z I",
        ],
    );
}

#[test]
fn a_connection_goes_on_after_errors_it_can_survive() {
    let (_server, mut client) = served();
    client.send('Q', b"select '\xff'\0");
    let text = "E ERROR 22021 invalid byte sequence for encoding \"UTF8\" in query";
    assert_eq!(client.until_ready(), [text, "Z I"]);
    client.send('F', b"\0\0\0\x01");
    assert_eq!(client.until_ready(), ["E ERROR 0A000 function calls are not supported", "Z I"]);
    let copy = "E ERROR 42P01 table does not exist [table=t] @6";
    check(&mut client, "copy t from stdin", &[copy, "Z I"]);
    // asyncpg sends its data all the same
    let late = [
        message('d', b"1\t2\n"),
        message('c', b""),
        parse("", "select 1", &[]),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    check_extended(&mut client, &late, &["1", "2", "D 1", "C SELECT 1", "Z I"]);
}

#[test]
fn a_portal_gives_rows_in_portions() {
    let (_server, mut client) = served();
    let select = |n| parse("", &format!("select x from long_sequence({n})"), &[]);
    check_extended(
        &mut client,
        &[
            select(5),
            bind("", "", &[]),
            describe('P', ""),
            execute("", 2),
            execute("", 2),
            execute("", 2),
            execute("", 2),
            sync(),
        ],
        &["1", "2", "T x:20:0", "D 1", "D 2", "s", "D 3", "D 4", "s", "D 5", "C SELECT 1", "C SELECT 0", "Z I"],
    );
    // a limit reached with the last row: only the next fetch finds the end
    check_extended(
        &mut client,
        &[select(2), bind("", "", &[]), execute("", 2), execute("", 0), sync()],
        &["1", "2", "D 1", "D 2", "s", "C SELECT 0", "Z I"],
    );
    // a named portal outlives Sync and other statements
    check_extended(
        &mut client,
        &[select(3), bind("p", "", &[]), execute("p", 2), sync()],
        &["1", "2", "D 1", "D 2", "s", "Z I"],
    );
    check(&mut client, "select 1", &["T 1:23:0", "D 1", "C SELECT 1", "Z I"]);
    check_extended(&mut client, &[execute("p", 2), sync()], &["D 3", "C SELECT 1", "Z I"]);
    check_extended(
        &mut client,
        &[message('C', b"Pp\0"), execute("p", 2), sync()],
        &["3", "E ERROR 34000 portal does not exist [name=p]", "Z I"],
    );
}

#[test]
fn what_is_missing_or_twice_is_named() {
    let (_server, mut client) = served();
    let no_statement = "E ERROR 26000 statement or portal does not exist [name=zz]";
    check_extended(&mut client, &[bind("", "zz", &[]), execute("", 0), sync()], &[no_statement, "Z I"]);
    check_extended(&mut client, &[describe('S', "zz"), sync()], &[no_statement, "Z I"]);
    let no_portal = "E ERROR 34000 portal does not exist [name=zz]";
    check_extended(&mut client, &[execute("zz", 0), sync()], &[no_portal, "Z I"]);
    check_extended(&mut client, &[parse("a", "select 1", &[]), sync()], &["1", "Z I"]);
    let twice = "E ERROR 42P05 duplicate statement [name=a]";
    check_extended(&mut client, &[parse("a", "select 1", &[]), sync()], &[twice, "Z I"]);
    check(&mut client, "deallocate a", &["C DEALLOCATE", "Z I"]);
    check_extended(&mut client, &[parse("a", "select 1", &[]), message('C', b"Sa\0"), sync()], &["1", "3", "Z I"]);
    let several = "E ERROR 42601 cannot insert multiple commands into a prepared statement @11";
    check_extended(&mut client, &[parse("", "select 1; select 2", &[]), sync()], &[several, "Z I"]);
}

#[test]
fn parameters_take_their_types_from_the_statement() {
    let (_server, mut client) = served();
    check(&mut client, TABLE, &["C OK", "Z I"]);
    let insert = parse("ins", "insert into t (ts, v, s, l, i, b, str) values ($1, $2, $3, $4, $5, $6, $7)", &[]);
    check_extended(
        &mut client,
        &[insert, describe('S', "ins"), sync()],
        &["1", "t 1114,701,1043,20,23,16,1043", "n", "Z I"],
    );
    let values = ["2024-02-01T00:00:00Z", "1.5", "q", "7", "8", "true", "w"].map(Some);
    check_extended(&mut client, &[bind("", "ins", &values), execute("", 0), sync()], &["2", "C INSERT 0 1", "Z I"]);
    let nulls = [Some("2024-02-02"), None, None, None, None, None, None];
    check_extended(&mut client, &[bind("", "ins", &nulls), execute("", 0), sync()], &["2", "C INSERT 0 1", "Z I"]);
    let bad = [Some("2024-02-01"), Some("abc"), None, None, None, None, None];
    let text = "E ERROR 22P02 inconvertible value: `abc` [STRING -> DOUBLE]";
    check_extended(&mut client, &[bind("", "ins", &bad), execute("", 0), sync()], &[text, "Z I"]);
    let few = "E ERROR 08P01 bind message supplies 1 parameters, but prepared statement \"ins\" requires 7";
    check_extended(&mut client, &[bind("", "ins", &[None]), sync()], &[few, "Z I"]);
    let select = parse("", "select v, s, l, i, b, str from t where s = $1 and ts > $2 and l = $3", &[]);
    check_extended(
        &mut client,
        &[select, describe('S', ""), bind("", "", &[Some("q"), Some("2024-01-01"), Some("7")]), execute("", 0), sync()],
        &[
            "1",
            "t 1043,1114,20",
            "T v:701:0,s:1043:0,l:20:0,i:23:0,b:16:0,str:1043:0",
            "2",
            "D 1.5|q|7|8|t|w",
            "C SELECT 1",
            "Z I",
        ],
    );
    check(&mut client, "select count() from t", &["T count():20:0", "D 2", "C SELECT 1", "Z I"]);
}

#[test]
fn a_time_in_an_open_parameter_may_be_an_interval() {
    let (_server, mut client) = served();
    check(&mut client, TABLE, &["C OK", "Z I"]);
    let rows = "insert into t (ts, l) select timestamp_sequence(0, 1000000), x from long_sequence(200)";
    check(&mut client, rows, &["C INSERT 0 200", "Z I"]);
    const VARCHAR: u32 = 1043;
    const TIMESTAMP: u32 = 1114;
    let minute = "1970-01-01T00:00";
    for (condition, hint, bound, count) in [
        ("ts in $1", 0, minute, 60),
        ("ts in ($1)", 0, minute, 60),
        ("ts not in $1", 0, minute, 140),
        ("ts in $1", VARCHAR, minute, 60),
        ("ts in $1", 0, "1970-01-01T00:00;10s;60s;2", 20),
        ("ts in $1", 0, "1970-01-01T00:00:05.000000Z", 1),
        // a client that says what it sends means a moment
        ("ts in $1", TIMESTAMP, minute, 1),
    ] {
        let told = if hint == TIMESTAMP { TIMESTAMP } else { VARCHAR };
        let sql = format!("select count() from t where {condition}");
        check_extended(
            &mut client,
            &[parse("", &sql, &[hint]), describe('S', ""), bind("", "", &[Some(bound)]), execute("", 0), sync()],
            &["1", &format!("t {told}"), "T count():20:0", "2", &format!("D {count}"), "C SELECT 1", "Z I"],
        );
    }
}

#[test]
fn a_parameter_is_of_the_type_that_its_function_takes() {
    let (_server, mut client) = served();
    check(&mut client, TABLE, &["C OK", "Z I"]);
    let rows = "insert into t (ts, v, l) values ('2026-01-01', 1.25, 1), ('2026-01-02T12:00', 2.5, 2)";
    check(&mut client, rows, &["C INSERT 0 2", "Z I"]);
    for (sql, told, bound, answer) in [
        ("select l from t where ts > dateadd('d', $1, $2)", "23,1114", &["-1", "2026-01-03"][..], &["2"][..]),
        ("select l from t where ts > dateadd('d', -$1, $2)", "23,1114", &["1", "2026-01-03"], &["2"]),
        ("select l from t where ts > dateadd('d', $1::int4, '2026-01-03'::timestamp)", "23", &["-1"], &["2"]),
        ("select dateadd($1, 1, ts) d from t limit 1", "1042", &["h"], &["2026-01-01 01:00:00.000000"]),
        ("select datediff($1, ts, $2) d from t", "1042,1114", &["d", "2026-01-03"], &["2", "0"]),
        ("select hour(to_timezone(ts, $1)) h from t", "1043", &["Asia/Tokyo"], &["9", "21"]),
        ("select timestamp_floor($1, ts) d from t limit 1", "1043", &["1M"], &["2026-01-01 00:00:00.000000"]),
        (
            "select count() c from t sample by 1d from $1 to $2 fill(0)",
            "1114,1114",
            &["2025-12-31", "2026-01-02"],
            &["0", "1"],
        ),
        ("select count() c from t sample by 1d align to calendar time zone $1", "1043", &["Asia/Tokyo"], &["1", "1"]),
        ("select approx_percentile(v, $1) p from t", "701", &["1"], &["2.5"]),
        ("select round(v, $1) r from t", "23", &["1"], &["1.3", "2.5"]),
        ("select sum(x)::long s from long_sequence($1)", "20", &["4"], &["10"]),
        ("select count() c from generate_series($1, $2)", "701,701", &["1", "3"], &["3"]),
        ("select count() c from generate_series(1, $1)", "23", &["3"], &["3"]),
    ] {
        let bound: Vec<Option<&str>> = bound.iter().copied().map(Some).collect();
        let shown =
            client.extended(&[parse("", sql, &[]), describe('S', ""), bind("", "", &bound), execute("", 0), sync()]);
        let rows: Vec<&str> = shown.iter().filter_map(|line| line.strip_prefix("D ")).collect();
        assert_eq!((shown[1].as_str(), &rows[..]), (format!("t {told}").as_str(), answer), "{sql}: {shown:?}");
    }
    let explain = parse("", "explain select l from t where s = $1", &[]);
    let shown = client.extended(&[explain, describe('S', ""), bind("", "", &[Some("a")]), execute("", 0), sync()]);
    assert_eq!((shown[1].as_str(), shown.last().map(String::as_str)), ("t 1043", Some("Z I")), "{shown:?}");
    assert!(shown.iter().any(|line| line.starts_with("C EXPLAIN")), "{shown:?}");
}

#[test]
fn the_type_of_a_result_does_not_depend_on_the_size_of_a_parameter() {
    let (_server, mut client) = served();
    let prepared = client.extended(&[parse("s", "select $1 x", &[20]), describe('S', "s"), sync()]);
    assert_eq!(prepared, ["1", "t 20", "T x:20:0", "Z I"]);
    for value in ["5", "5000000000"] {
        let row = format!("D {value}");
        check_extended(
            &mut client,
            &[bind("", "s", &[Some(value)]), execute("", 0), sync()],
            &["2", &row, "C SELECT 1", "Z I"],
        );
    }
}

#[test]
fn a_described_result_that_changes_makes_drivers_prepare_again() {
    let (_server, mut client) = served();
    check(&mut client, "create table a (x int)", &["C OK", "Z I"]);
    check_extended(
        &mut client,
        &[parse("s", "select * from a", &[]), describe('S', "s"), sync()],
        &["1", "t ", "T x:23:0", "Z I"],
    );
    check(&mut client, "alter table a add column y long", &["C OK", "Z I"]);
    let stale = "E ERROR 0A000 cached plan must not change result type";
    check_extended(&mut client, &[bind("", "s", &[]), execute("", 0), sync()], &["2", stale, "Z I"]);
}

#[test]
fn after_an_error_a_pipeline_is_skipped_up_to_sync() {
    let (_server, mut client) = served();
    check_extended(
        &mut client,
        &[parse("", "select * from nope", &[]), bind("", "", &[]), execute("", 0), parse("b", "select 1", &[]), sync()],
        &["E ERROR 42P01 table does not exist [table=nope] @15", "Z I"],
    );
    check_extended(
        &mut client,
        &[describe('S', "b"), sync()],
        &["E ERROR 26000 statement or portal does not exist [name=b]", "Z I"],
    );
}

#[test]
fn an_error_is_told_before_the_client_sends_sync() {
    let (_server, mut client) = served();
    client.send_bytes(&[parse("", "select * from nope", &[]), describe('S', ""), message('H', b"")].concat());
    assert_eq!(client.next(), "E ERROR 42P01 table does not exist [table=nope] @15");
    check_extended(&mut client, &[sync()], &["Z I"]);
    client.send_bytes(&[parse("", "select 1", &[]), describe('S', ""), message('H', b"")].concat());
    assert_eq!([client.next(), client.next(), client.next()], ["1", "t ", "T 1:23:0"]);
}

#[test]
fn binary_values_come_back_as_they_went_in() {
    let (_server, mut client) = served();
    check(&mut client, TABLE, &["C OK", "Z I"]);
    let since_2000 = 757_382_400_123_456i64; // 2024-01-01 00:00:00.123456
    let values: [&[u8]; 8] = [
        &since_2000.to_be_bytes(),
        &1.5f64.to_be_bytes(),
        b"sym",
        &7i64.to_be_bytes(),
        &(-3i32).to_be_bytes(),
        &[1],
        "héllo".as_bytes(),
        &12i16.to_be_bytes(),
    ];
    let insert = parse("", "insert into t (ts, v, s, l, i, b, str, sh) values ($1, $2, $3, $4, $5, $6, $7, $8)", &[]);
    check_extended(
        &mut client,
        &[insert, bind_binary("", "", &values.map(Some)), execute("", 0), sync()],
        &["1", "2", "C INSERT 0 1", "Z I"],
    );
    check_extended(
        &mut client,
        &[
            parse("", "select ts, v, s, l, i, b, str, sh, d from t where l = $1", &[]),
            bind_binary("", "", &[Some(&7i64.to_be_bytes())]),
            describe('P', ""),
            execute("", 0),
            sync(),
        ],
        &[
            "1",
            "2",
            "T ts:1114:1,v:701:1,s:1043:1,l:20:1,i:23:1,b:16:1,str:1043:1,sh:21:1,d:1114:1",
            "D 0002b0d5d4eb2240|3ff8000000000000|sym|0000000000000007|fffffffd|01|héllo|000c|NULL",
            "C SELECT 1",
            "Z I",
        ],
    );
    // a client that says another integer type than the column's
    check_extended(
        &mut client,
        &[
            parse("", "select l from t where l = $1", &[21]),
            bind_binary("", "", &[Some(&[0, 7])]),
            execute("", 0),
            sync(),
        ],
        &["1", "2", "D 0000000000000007", "C SELECT 1", "Z I"],
    );
}
