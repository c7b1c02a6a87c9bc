//! What psql 15 asks behind its backslash commands, word for word where the words are unusual.

use super::raw::{Client, assert_rows};
use super::server::served_with_trades;

#[track_caller]
fn check(client: &mut Client, sql: &str, rows: &[&str]) {
    let answer = client.query(sql);
    assert_rows(&answer, rows, sql);
    assert_eq!(answer.last().map(String::as_str), Some("Z I"));
}

#[test]
fn lists_of_relations_databases_roles_and_functions_are_answered() {
    let (_server, mut client) = served_with_trades();
    let relations = "SELECT n.nspname as \"Schema\", c.relname as \"Name\",
          CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'I' THEN 'partitioned index' END as \"Type\",
          pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"
        FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
          AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid)
        ORDER BY 1,2;";
    check(&mut client, relations, &["public|trades|table|public"]);
    let databases = "SELECT d.datname as \"Name\", pg_catalog.pg_encoding_to_char(d.encoding) as \"Encoding\",
          NULL as \"ICU Locale\", 'libc' AS \"Locale Provider\",
          pg_catalog.array_to_string(d.datacl, E'\\n') AS \"Access privileges\"
        FROM pg_catalog.pg_database d ORDER BY 1;";
    check(&mut client, databases, &["qdb|UTF8|NULL|libc|"]);
    let roles = "SELECT r.rolname, r.rolsuper, r.rolcanlogin,
          ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m
                JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) as memberof
        FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1;";
    check(&mut client, roles, &["admin|t|t|{}"]);
    let functions = "SELECT n.nspname as \"Schema\", p.proname as \"Name\",
          pg_catalog.pg_get_function_result(p.oid) as \"Result data type\",
          CASE p.prokind WHEN 'a' THEN 'agg' ELSE 'func' END as \"Type\"
        FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE pg_catalog.pg_function_is_visible(p.oid) AND n.nspname <> 'pg_catalog' ORDER BY 1, 2;";
    check(&mut client, functions, &[]);
}

#[test]
fn the_questions_about_one_table_are_answered() {
    let (_server, mut client) = served_with_trades();
    let find = "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname OPERATOR(pg_catalog.~) '^(trades)$' AND pg_catalog.pg_table_is_visible(c.oid)
        ORDER BY 2, 3;";
    let answer = client.query(find);
    let oid = answer[1].trim_start_matches("D ").split('|').next().unwrap().to_owned();
    let relation = format!(
        "SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasoids, c.relispartition, '', c.reltablespace,
          CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END,
          c.relpersistence, c.relreplident
        FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid)
        WHERE c.oid = '{oid}';"
    );
    check(&mut client, &relation, &["0|r|f|f|f||0||p|d"]);
    let columns = format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
          (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
          a.attnotnull,
          (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
           WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation,
          a.attidentity, ''::pg_catalog.char AS attgenerated
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = '{oid}' AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum;"
    );
    let rows = [
        "ts|timestamp without time zone|NULL|f|NULL|NULL|NULL",
        "sym|character varying|NULL|f|NULL|NULL|NULL",
        "price|double precision|NULL|f|NULL|NULL|NULL",
    ];
    check(&mut client, &columns, &rows);
    for nothing in NOTHING {
        check(&mut client, &nothing.replace("OID", &oid), &[]);
    }
}

/// Policies, statistics, publications, parents and children: none here, whatever is asked about them.
const NOTHING: [&str; 5] = [
    "SELECT pol.polname, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(
       array(select rolname from pg_catalog.pg_roles where oid = any (pol.polroles) order by 1),',') END,
       pg_catalog.pg_get_expr(pol.polqual, pol.polrelid),
       CASE pol.polcmd WHEN 'r' THEN 'SELECT' WHEN 'd' THEN 'DELETE' END AS cmd
     FROM pg_catalog.pg_policy pol WHERE pol.polrelid = 'OID' ORDER BY 1;",
    "SELECT oid, stxrelid::pg_catalog.regclass, stxnamespace::pg_catalog.regnamespace AS nsp, stxname,
       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname),', ') FROM pg_catalog.unnest(stxkeys) s(attnum)
        JOIN pg_catalog.pg_attribute a ON (stxrelid = a.attrelid AND a.attnum = s.attnum AND NOT attisdropped)) AS columns,
       'd' = any(stxkind) AS ndist_enabled, -1 AS stxstattarget
     FROM pg_catalog.pg_statistic_ext WHERE stxrelid = 'OID' ORDER BY 1;",
    "SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p
       JOIN pg_catalog.pg_publication_rel pr ON p.oid = pr.prpubid WHERE pr.prrelid = 'OID'
     UNION ALL SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p
       WHERE p.puballtables AND pg_catalog.pg_relation_is_publishable('OID') ORDER BY 1;",
    "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i
     WHERE c.oid = i.inhparent AND i.inhrelid = 'OID' AND c.relkind != 'p' AND c.relkind != 'I' ORDER BY inhseqno;",
    "SELECT c.oid::pg_catalog.regclass, c.relkind, false AS inhdetachpending, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
     FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE c.oid = i.inhrelid AND i.inhparent = 'OID'
     ORDER BY pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', c.oid::pg_catalog.regclass::pg_catalog.text;",
];

#[test]
fn relations_that_have_rows_are_not_taken_for_empty() {
    let (_server, mut client) = served_with_trades();
    check(&mut client, "select count() from pg_catalog.pg_policy", &["0"]);
    let answer = client.query("select nonsense(relname) from pg_catalog.pg_class");
    assert!(answer[0].starts_with("E ERROR 42883 unknown function name: nonsense"), "{answer:?}");
    client.query("create table pg_policy (x int)");
    let answer = client.query("select nonsense(x) from pg_policy");
    assert!(answer[0].starts_with("E ERROR 42883"), "{answer:?}");
}
