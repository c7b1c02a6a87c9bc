//! Table functions and the catalogue over a small database.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use storage::env::Env;
use storage::{Database, NewColumn, NewTable, Options};
use types::{ColumnType, PartitionBy, TableName};

use super::super::cast::value_text;
use super::super::environment;
use super::super::typed::Typed;
use super::*;
use crate::kind::Kind;
use crate::planner::parameters::Parameters;
use crate::settings::Settings;

/// Returns a database with one empty table `trades`.
fn database() -> Arc<Database> {
    let env = Env::in_turn(
        Arc::new(storage::env::sim_fs::SimFs::new(1)),
        Arc::new(storage::env::clock::ManualClock::new(1_700_000_000_000_000)),
        Env::os().rng,
    );
    let database = Database::open(env, Options::new("/root")).expect("an empty root opens");
    let column = |name: &str, column_type, indexed| NewColumn { indexed, ..NewColumn::new(name, column_type) };
    let name = TableName::new("trades").expect("a good name");
    let columns = vec![column("ts", ColumnType::Timestamp, false), column("sym", ColumnType::Symbol, true)];
    let new = NewTable::new(name, columns, Some(0), PartitionBy::Day);
    database.create_table(new).expect("the name is free");
    Arc::new(database)
}

/// Returns the rows of a table as text, a line each.
fn shown(database: &Arc<Database>, make: impl Fn(&Tables) -> Result<Arc<dyn TableProvider>, SqlError>) -> String {
    let (view, environment) = (database.view(), environment::fixed());
    let settings = Settings::new(Env::os());
    let planner = Planner::new(database, &view, &environment, &settings, Parameters::default());
    let tables = Tables { planner: &planner, database, view: &view, environment: &environment };
    let table = match make(&tables) {
        Ok(table) => table,
        Err(e) => return format!("{} at {}", e.message, e.position),
    };
    let plan = SessionContext::new().read_table(table).expect("a table reads");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let batches = runtime.block_on(plan.collect()).expect("tables run");
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let value = |i: usize| {
                let value = datafusion::common::ScalarValue::try_from_array(batch.column(i), row).expect("in range");
                value_text(&value, Kind::of_field(batch.schema().field(i))).unwrap_or_else(|| "null".to_owned())
            };
            lines.push((0..batch.num_columns()).map(value).collect::<Vec<_>>().join(" "));
        }
    }
    lines.join("\n")
}

fn check(name: &str, args: Vec<Typed>, expected: &str) {
    assert_eq!(shown(&database(), |tables| bind(&Call::new(name, 14, args.clone()), tables)), expected, "{name}");
}

#[test]
fn sequences_count_to_their_end() {
    check("long_sequence", vec![Typed::int(3, 28)], "1\n2\n3");
    check("long_sequence", vec![Typed::int(0, 28)], "");
    check("long_sequence", vec![Typed::double(2.5, 28)], "argument type DOUBLE is not supported at 14");
    check("long_sequence", vec![], "invalid arguments at 14");
}

#[test]
fn series_include_both_ends() {
    let ints = |values: &[i32]| values.iter().map(|v| Typed::int(*v, 30)).collect::<Vec<_>>();
    check("generate_series", ints(&[1, 3]), "1\n2\n3");
    check("generate_series", ints(&[3, 1]), "1\n2\n3");
    check("generate_series", ints(&[5, 1, -2]), "5\n3\n1");
    check("generate_series", ints(&[1, 3, 0]), "step cannot be zero at 30");
    let texts = |values: [&str; 3]| values.iter().map(|v| Typed::text(v, 30)).collect::<Vec<_>>();
    let months = "2024-01-31T00:00:00.000000Z\n2024-02-29T00:00:00.000000Z\n2024-03-29T00:00:00.000000Z";
    check("generate_series", texts(["2024-01-31", "2024-03-30", "1M"]), months);
    check("generate_series", texts(["2024-01-31", "2024-03-30", "1x"]), "invalid period [period=1x] at 30");
}

#[test]
fn tables_and_columns_are_listed() {
    check("all_tables", vec![], "trades");
    let columns = "ts TIMESTAMP false 0 false 0 0 true false\nsym SYMBOL true 256 true 256 0 false false";
    check("table_columns", vec![Typed::text("TRADES", 28)], columns);
    check("table_columns", vec![Typed::text("nope", 28)], "table does not exist [table=nope] at 28");
    check("table_partitions", vec![Typed::text("trades", 28)], "");
    check("checkpoint_status", vec![], "false null");
}

#[test]
fn clients_find_tables_in_the_catalogue() {
    let relation = |schema: &str, name: &str| {
        shown(&database(), |tables| {
            catalog::relation(schema, name, tables).ok_or_else(|| SqlError::new(0, "no such relation"))
        })
    };
    let columns = "qdb public trades ts 0 null yes timestamp without time zone\n\
                   qdb public trades sym 1 null yes character varying";
    assert_eq!(relation("information_schema", "columns"), columns);
    assert_eq!(relation("pg_catalog", "pg_namespace"), "pg_catalog 11 0 1\npublic 2200 0 1");
    assert_eq!(relation("", "pg_class").lines().count(), 2);
    assert_eq!(relation("pg_catalog", "pg_type").lines().count(), 21);
    assert_eq!(relation("pg_catalog", "pg_database").lines().count(), 1);
    assert_eq!(relation("pg_catalog", "pg_policy"), "");
    assert_eq!(relation("public", "pg_class"), "no such relation at 0");
}
