//! What drivers and tools ask of the catalogue, and how they write lists, arrays and days.

use super::raw::{Client, assert_rows, bind, bind_binary, describe, execute, parse, sync};
use super::server::served_with_trades;

#[track_caller]
fn check(client: &mut Client, sql: &str, rows: &[&str]) {
    let answer = client.query(sql);
    assert_rows(&answer, rows, sql);
}

#[track_caller]
fn check_bound(client: &mut Client, sql: &str, values: &[&str], rows: &[&str]) {
    let values: Vec<Option<&str>> = values.iter().copied().map(Some).collect();
    let answer = client.extended(&[parse("", sql, &[]), bind("", "", &values), execute("", 0), sync()]);
    assert_rows(&answer, rows, &format!("{sql} {values:?}"));
}

#[test]
fn sqlalchemy_finds_tables() {
    let (_server, mut client) = served_with_trades();
    let has_table = "SELECT pg_catalog.pg_class.relname
        FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace
          ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
        WHERE pg_catalog.pg_class.relname = 'trades' AND pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm'])
          AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog'";
    check(&mut client, has_table, &["trades"]);
    check(&mut client, &has_table.replace("'trades'", "'nope'"), &[]);
    // psycopg's dialect looks for hstore
    let hstore =
        "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter
        FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid";
    check_bound(&mut client, hstore, &["hstore"], &[]);
    check_bound(&mut client, "select typname, oid from pg_type where oid = to_regtype($1)", &["bigint"], &["int8|20"]);
}

#[test]
fn what_nothing_keeps_to_is_noticed() {
    let (_server, mut client) = served_with_trades();
    let notice = "N NOTICE 00000 PRIMARY KEY, UNIQUE: known, not kept to; rows that break it are stored \
                  (DEDUP UPSERT KEYS replaces rows with equal keys)";
    let made = "create table made (id int not null, v varchar(10), primary key (id), unique (v))";
    super::raw::check(&mut client, made, &[notice, "C OK", "Z I"]);
    let index = "create index ix_made_id on made (id)";
    let bound = [parse("", index, &[]), bind("", "", &[]), execute("", 0), sync()];
    let none = "N NOTICE 00000 no index is made: none is needed to find rows";
    assert_eq!(client.extended(&bound), ["1", "2", none, "C OK", "Z I"]);
    super::raw::check(&mut client, "insert into made values (1, 'a'), (1, 'a')", &["C INSERT 0 2", "Z I"]);
}

#[test]
fn adbc_learns_how_types_are_received() {
    let (_server, mut client) = served_with_trades();
    let types = "SELECT oid, typname, typreceive, typbasetype, typrelid, typarray FROM pg_catalog.pg_type
        WHERE (typreceive != 0 OR typsend != 0) AND typtype != 'r' AND typreceive::TEXT != 'array_recv'";
    check(
        &mut client,
        &format!("{types} AND typname IN ('int8', 'bool') ORDER BY oid"),
        &["16|bool|boolrecv|0|0|1000", "20|int8|int8recv|0|0|1016"],
    );
    check(&mut client, "select count() from pg_type where typreceive = 0", &["0"]);
}

#[test]
fn pgjdbc_finds_schemas_keys_and_keywords() {
    let (_server, mut client) = served_with_trades();
    let schemas = "SELECT nspname AS TABLE_SCHEM FROM pg_catalog.pg_namespace
        WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1])
          AND (nspname !~ '^pg_toast_temp_'
               OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_'))
        ORDER BY TABLE_SCHEM";
    check(&mut client, schemas, &["pg_catalog", "public"]);
    check(
        &mut client,
        "select current_schemas(false), current_schemas(true)[1], current_schemas(true)[2]",
        &["{public}|public|NULL"],
    );
    let keys = "SELECT result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ FROM (
          SELECT ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
            (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ,
            information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
          FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
            JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
            JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
            JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
          WHERE true AND ct.relname = 'trades' AND i.indisprimary
        ) result where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.KEY_SEQ";
    check(&mut client, keys, &[]);
    let words = "select count() from pg_catalog.pg_get_keywords() where word = ANY ('{add,abs,\"select\"}'::text[])";
    check(&mut client, words, &["2"]);
    check(&mut client, &words.replace("= ANY", "<> ALL").replace("count()", "count() > 50"), &["t"]);
    check(&mut client, "select tablename from pg_catalog.pg_tables where schemaname = 'public'", &["trades"]);
    check(&mut client, "select * from information_schema.table_constraints", &[]);
    check(&mut client, "select * from information_schema.key_column_usage", &[]);
}

#[test]
fn lists_are_compared_element_by_element() {
    let (_server, mut client) = served_with_trades();
    client.query("insert into trades values (0, 'a', 1), (1, 'b', 2.5), (2, null, -3)");
    let count = |condition: &str| format!("select count() from trades where {condition}");
    check_bound(&mut client, &count("sym = any($1)"), &["{\"a\",\"b\"}"], &["2"]);
    check_bound(&mut client, &count("sym = any($1::text[])"), &["{b}"], &["1"]);
    check_bound(&mut client, &count("sym = any($1)"), &["{}"], &["0"]);
    check_bound(&mut client, &count("sym <> all($1)"), &["{a,c}"], &["2"]);
    check_bound(&mut client, &count("price = any($1)"), &["{1,-3}"], &["2"]);
    check_bound(&mut client, &count("price > all($1)"), &["{1,2}"], &["1"]);
    check_bound(&mut client, &count("price < some($1)"), &["{2,NULL}"], &["2"]);
    check(&mut client, &count("price = any(array[1, 2.5])"), &["2"]);
    check(&mut client, &count("sym = any('{a}')"), &["1"]);
    // as postgres_fdw writes LIKE
    check(&mut client, &count("(sym ~~ 'a%') or sym !~~ 'b%' and price = 7"), &["1"]);
    let wrong = client.extended(&[
        parse("", &count("sym = any($1)"), &[]),
        bind("", "", &[Some("a,b")]),
        execute("", 0),
        sync(),
    ]);
    assert!(wrong.iter().any(|line| line.contains("a list such as {a,b} is expected in $1")), "{wrong:?}");
    // drivers that write by the described type must know that it is a list
    for (column, list) in [("sym", 1009), ("price", 1022)] {
        let sql = count(&format!("{column} = any($1)"));
        let told = client.extended(&[parse("", &sql, &[]), describe('S', ""), sync()]);
        assert_eq!(told[1], format!("t {list}"));
    }
    let word = |n: i32| n.to_be_bytes();
    let list = [1, 0, 25, 2, 1].map(word).concat();
    let list = [&list[..], &word(1), b"a", &word(1), b"b"].concat();
    let sql = count("sym = any($1)");
    let found = client.extended(&[parse("", &sql, &[]), bind_binary("", "", &[Some(&list)]), execute("", 0), sync()]);
    assert_eq!(found[2], "D 0000000000000002");
}

#[test]
fn types_may_have_the_names_that_sqlalchemy_and_fdw_use() {
    let (_server, mut client) = served_with_trades();
    client
        .query("create table n (t timestamp without time zone, v character varying, f float(53), r FLOAT(24), u uuid)");
    let types = "select format_type(atttypid, atttypmod) from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relname = 'n' order by attnum";
    let names = ["timestamp without time zone", "character varying", "double precision", "real", "uuid"];
    check(&mut client, types, &names);
    let cast = "select $1::TIMESTAMP WITHOUT TIME ZONE, $2::CHARACTER VARYING";
    check_bound(&mut client, cast, &["2024-01-01", "x"], &["2024-01-01 00:00:00.000000|x"]);
    let wrong = client.query("create table w (f float(54))");
    assert!(wrong[0].contains("FLOAT has 1 to 53 binary digits"), "{wrong:?}");
}

#[test]
fn arrays_and_days_are_read_as_drivers_write_them() {
    let (_server, mut client) = served_with_trades();
    client.query("create table a (ts timestamp, dt date, da double[], d2 double[][])");
    let insert = "insert into a values ($1, $2, $3, $4)";
    // node-postgres puts the elements in quotes, pgJDBC's setDate gives the offset of its zone
    let values = ["2024-05-01 +02", "2024-05-01 -04", "{\"1.5\",\"2\",NULL}", "{{\"1\",\"2\"},{\"3\",\"4\"}}"];
    check_bound(&mut client, insert, &values, &[]);
    let row = "2024-04-30 22:00:00.000000|2024-05-01 04:00:00.000|{1.5,2.0,NULL}|{{1.0,2.0},{3.0,4.0}}";
    check(&mut client, "select * from a", &[row]);
    check(&mut client, "select '{\"1\", \"2\"}'::double[]", &["{1.0,2.0}"]);
    // A DATE has milliseconds.
    client.query("insert into a(dt) values ('2024-03-31T01:30:00.123456Z')");
    check_bound(&mut client, "select count() from a where dt = $1", &["2024-03-31T01:30:00.123456Z"], &["1"]);
    // no text, however deep its brackets are, ends the server
    let deep = "{".repeat(500_000);
    check_bound(&mut client, "select $1::varchar::double[]", &[&deep], &["NULL"]);
}

#[test]
fn functions_without_arguments_need_no_brackets() {
    let (_server, mut client) = served_with_trades();
    let build = client.query("select build");
    assert!(build[1].starts_with("D Build Information: Stillpoint"), "{build:?}");
    check(&mut client, "select now = now(), systimestamp is null from trades", &[]);
    for setting in ["transaction_read_only|off", "client_encoding|UTF8", "server_encoding|UTF8", "timezone|UTC"] {
        let (name, value) = setting.split_once('|').unwrap();
        check(&mut client, &format!("show {name}"), &[value]);
    }
}
