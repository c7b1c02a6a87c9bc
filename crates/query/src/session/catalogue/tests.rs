//! What the peer's grammar has no words for, over the catalogue.

use super::super::tests::{Server, on_a_servers_stack};
use crate::kind::Kind;
use crate::{Outcome, Param};

async fn served() -> Server {
    let server = Server::new(64 << 20, 1 << 20);
    server
        .run("create table trades (ts timestamp, sym symbol, price double, amount decimal(18,3)) timestamp(ts)")
        .await;
    server.run("create table plain (x int)").await;
    server
}

#[track_caller]
fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Checks the rows of queries, each cell as a text.
#[track_caller]
fn check(cases: &[(&str, &[&str])]) {
    block(async {
        let server = served().await;
        for (sql, expected) in cases {
            let rows = server.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let rows: Vec<String> = rows.iter().map(|row| row.join("|")).collect();
            assert_eq!(rows, *expected, "{sql}");
        }
    });
}

#[test]
fn sub_queries_look_outwards() {
    check(&[
        (
            "select a.attname, (select t.typname from pg_catalog.pg_type t where t.oid = a.atttypid) \
             from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid \
             where c.relname = 'trades' order by a.attnum",
            &["ts|timestamp", "sym|varchar", "price|float8", "amount|numeric"],
        ),
        (
            "select c.relname from pg_class c where exists (select 1 from pg_attribute a where a.attrelid = c.oid \
             and a.attname = 'price')",
            &["trades"],
        ),
        (
            "select c.relname, exists (select 1 from pg_index i where i.indrelid = c.oid) from pg_class c \
             where c.relname = 'plain'",
            &["plain|false"],
        ),
        (
            "select nspname from pg_namespace where oid = (select relnamespace from pg_class where relname = 'plain')",
            &["public"],
        ),
    ]);
}

#[test]
fn lists_are_texts_and_what_does_not_exist_has_no_elements() {
    check(&[
        (
            "select relname from pg_class where relkind = any (array['r','p']) and relname <> all ('{plain,pg_class}')",
            &["trades"],
        ),
        (
            "select array_agg(c.relname order by c.relname) from pg_class c where c.relnamespace = 'public'::regnamespace",
            &["{plain,trades}"],
        ),
        ("select array(select attname from pg_attribute where attrelid = 'plain'::regclass)", &["{x}"]),
        (
            "select con.conname, a.attname from pg_constraint con cross join lateral unnest(con.conkey) with ordinality \
             as k(attnum, ord) join pg_attribute a on a.attnum = k.attnum",
            &[],
        ),
        ("select s.nspname from unnest(current_schemas(true)) as s(nspname) join pg_namespace n using (nspname)", {
            &["pg_catalog", "public"]
        }),
    ]);
}

#[test]
fn the_schema_may_stand_before_every_column() {
    check(&[
        (
            "SELECT pg_catalog.pg_namespace.nspname FROM pg_catalog.pg_namespace \
             WHERE (pg_catalog.pg_namespace.nspname NOT LIKE 'pg/_' || '%' ESCAPE '/') ORDER BY 1",
            &["public"],
        ),
        (
            "select c.relname collate \"C\" from pg_catalog.pg_class c where c.relname operator(pg_catalog.~) '^(tra.*)$'",
            &["trades"],
        ),
    ]);
}

#[test]
fn the_information_schema_tells_all_of_a_column() {
    check(&[
        (
            "select column_name, udt_name, numeric_precision, numeric_scale, is_generated from \
             information_schema.columns where table_name = 'trades' order by ordinal_position",
            &["ts|timestamp|||NEVER", "sym|varchar|||NEVER", "price|float8|53||NEVER", { "amount|numeric|18|3|NEVER" }],
        ),
        // what the peer has as it has it
        ("select count() from (select * from information_schema.columns where table_name = 'plain')", &["1"]),
    ]);
}

#[test]
fn grafana_finds_the_tables_of_the_search_path() {
    check(&[(
        "select quote_ident(table_name) as \"table\" from information_schema.tables where quote_ident(table_schema) not \
         in ('information_schema', 'pg_catalog') and table_schema in (select case when trim(s[i]) = '\"$user\"' then \
         user else trim(s[i]) end from generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), \
         array_upper(string_to_array(current_setting('search_path'),','),1)) as i, \
         string_to_array(current_setting('search_path'),',') s) order by 1",
        &["plain", "trades"],
    )]);
}

#[test]
fn the_name_of_a_function_is_no_number_and_no_error() {
    // as Npgsql reads the types when it connects
    check(&[(
        "select t.typname, t.elem from (select typ.oid, typ.typname, elemtyp.typname as elem, \
         case when elemproc.proname = 'array_recv' then 'a' else elemtyp.typtype end as elemtyptype \
         from (select typ.oid, typname, typrelid, case when proc.proname = 'array_recv' then typ.typelem \
         when typ.typtype = 'r' then rngsubtype end as elemtypoid \
         from pg_type as typ left join pg_class as cls on (cls.oid = typ.typrelid) \
         left join pg_proc as proc on proc.oid = typ.typreceive \
         left join pg_range on (pg_range.rngtypid = typ.oid)) as typ \
         left join pg_type as elemtyp on elemtyp.oid = elemtypoid \
         left join pg_proc as elemproc on elemproc.oid = elemtyp.typreceive) as t \
         where t.oid in (23, 1022, 1043) order by case when t.typname = 'int4' then 0 when elemtyptype <> 'a' then 4 else 5 end",
        &["int4|", "_float8|float8", "varchar|"],
    )]);
}

#[test]
fn the_functions_of_types_are_joined_by_name() {
    check(&[
        // as Ruby's pg reads how to decode
        (
            "SELECT t.oid, t.typname, ti.proname AS typinput FROM pg_type t JOIN pg_proc ti ON ti.oid = t.typinput \
             WHERE t.oid IN (23, 1022, 1114) ORDER BY t.oid",
            &["23|int4|int4in", "1022|_float8|array_in", "1114|timestamp|timestamp_in"],
        ),
        // tools that list functions find none of their own
        (
            "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'",
            &[],
        ),
    ]);
}

#[test]
fn a_list_of_texts_gives_its_elements() {
    check(&[
        ("select * from unnest(current_schemas(true))", &["public"]),
        ("select s.value from unnest('{b,a,NULL}'::text[]) s", &["b", "a", ""]),
        ("select count() from unnest('{}')", &["0"]),
    ]);
}

#[test]
fn what_belongs_together_becomes_one_json_object() {
    check(&[
        (
            "select json_build_object('a', c.relname, 'b', 7, 'c', c.relname = 'x', 'd', null) from pg_class c \
             where exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'x')",
            &[r#"{"a":"plain","b":7,"c":false,"d":null}"#],
        ),
        (
            "select case when a.attidentity != '' then (select json_build_object('start', s.seqstart) from pg_sequence s \
             where s.seqrelid = a.attrelid) end from pg_attribute a where a.attname = 'x'",
            &[""],
        ),
    ]);
}

#[test]
fn what_a_relation_without_rows_would_tell_of_a_column_is_null() {
    check(&[(
        "select a.attname, case when a.atthasdef then (select pg_catalog.pg_get_expr(d.adbin, d.adrelid) from \
         pg_catalog.pg_attrdef d where a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum) end, \
         case when (a.attcollation != 0 and (select t.typcollation from pg_type t where t.oid = a.atttypid) != \
         a.attcollation) then (select json_build_object('name', o.collname, 'schema', n.nspname) from \
         pg_catalog.pg_collation o join pg_catalog.pg_namespace n on n.oid = o.collnamespace \
         where o.oid = a.attcollation) end from pg_catalog.pg_attribute a where a.attname = 'x'",
        &["x||"],
    )]);
}

#[test]
fn groups_of_one_relation_take_their_columns_in_an_order() {
    check(&[(
        "select attr.conrelid, array_agg(cast(attr.attname as text) order by attr.ord), attr.conname from \
         (select con.conrelid, con.conname, con.ord, a.attname from pg_attribute a join \
         (select c.conrelid, c.conname, unnest(i.indkey) as attnum, generate_subscripts(i.indkey, 1) as ord \
         from pg_constraint c join pg_index i on c.conindid = i.indexrelid where c.contype = 'p' and c.conrelid in (1)) \
         as con on a.attnum = con.attnum and a.attrelid = con.conrelid where con.conrelid in (1)) as attr \
         group by attr.conrelid, attr.conname order by attr.conrelid, attr.conname",
        &[],
    )]);
}

#[test]
fn parameters_are_described_and_bound() {
    block(async {
        let server = served().await;
        let sql = "select c.relname from pg_class c where c.oid = $1 and c.relname = any ($2) and \
                   exists (select 1 from pg_attribute a where a.attrelid = c.oid)";
        let described = server.session().describe(sql, &[]).unwrap();
        assert_eq!(described.params, [Kind::Int, Kind::Varchar]);
        assert_eq!(described.columns.unwrap()[0].name, "relname");
        let oid = server.rows("select oid::text from pg_class where relname = 'plain'").await.unwrap()[0][0].clone();
        let params = [Param::Int(oid.parse().unwrap()), Param::Text("{a,plain}".into())];
        let Outcome::Rows(mut rows) = server.session().execute(sql, &params).await.unwrap() else { panic!() };
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 1);
    });
}

#[test]
fn results_have_the_names_of_postgresql() {
    block(async {
        let server = served().await;
        let sql = "select exists (select 1 from pg_class), case when true then 1 end, 'a', 'b', pg_catalog.lower(c.relname), \
                   c.oid::regclass, c.oid from pg_class c";
        let columns = server.session().describe(sql, &[]).unwrap().columns.unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["exists", "case", "?column?", "?column?", "lower", "oid", "oid"]);
    });
}

#[test]
fn stored_tables_speak_the_peers_dialect_alone() {
    block(async {
        let server = served().await;
        for (sql, error) in [
            ("select pg_nope()", "unknown function name: pg_nope()"),
            ("select x from plain p where exists (select 1 from pg_class)", "unknown function name: exists(CURSOR)"),
            ("select relname from pg_class where oid = (select nope from pg_type)", ""),
            ("select relname from pg_class where relname = $1 and exists (select 1)", ""),
        ] {
            let (_, found) = server.rows(sql).await.expect_err(sql);
            assert!(found.starts_with(error), "{sql}: {found}");
        }
    });
}

#[test]
fn the_longest_chain_of_operators_fits_the_stack() {
    let chain = "1=2or ".repeat(3_900);
    let sql = format!(
        "select count(*) from pg_namespace n where {chain} exists (select 1 from pg_class c where c.oid = n.oid)"
    );
    assert!(crate::postgres::may_concern(&sql));
    assert_eq!(on_a_servers_stack(sql), Ok(vec![0]));
}
