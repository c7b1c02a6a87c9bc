//! Tables of every make: segments that follow each other and that overlap, rows in memory, dead rows, columns that old
//! segments lack, other kinds of time, none.

use std::sync::OnceLock;

use super::World;

/// Returns the worlds; the first is the ordinary one.
pub fn all() -> &'static [World] {
    static WORLDS: OnceLock<Vec<World>> = OnceLock::new();
    WORLDS.get_or_init(|| {
        vec![
            segments(),
            memory(),
            overlapping(),
            dedup(),
            deleted(),
            altered(),
            World::new("empty", &created(DAILY)),
            one_row(),
            ties(),
            nanoseconds(),
            without_time(),
            parquet(),
            unpartitioned(),
        ]
    })
}

const DAILY: &str = "timestamp(ts) partition by day";
const COLUMNS: &str =
    "s symbol, k symbol, b boolean, h short, c char, i int, l long, d double, f float, v varchar, dt date";
/// The night in which Europe's clocks change.
const FROM: &str = "2024-03-30T12:00:00";

fn created(suffix: &str) -> Vec<String> {
    ["t", "u"].map(|table| format!("create table {table} (ts timestamp, {COLUMNS}) {suffix}")).to_vec()
}

/// Which rows are inserted: `rows` of them, in threes of one moment, `step_s` seconds apart, each `by` rows further in time than
/// the one before.
#[derive(Clone, Copy)]
struct Rows {
    from: &'static str,
    rows: usize,
    by: usize,
    step_s: usize,
    salt: usize,
}

const IN_ORDER: Rows = Rows { from: FROM, rows: 900, by: 1, step_s: 300, salt: 0 };

fn inserted(table: &str, rows: Rows) -> String {
    let Rows { from, rows, by, step_s, salt } = rows;
    format!(
        "insert into {table} select ('{from}'::timestamp::long + (n * {by} % {rows}) / 3 * {step_s}000000)::timestamp, \
         case when x % 7 = 0 then null else 's' || (x * {} % 5 + {salt}) end, 'k' || (x * x % 97 + {salt}), x % 3 = 0, \
         (x % 100)::short, case when x % 4 = 0 then null when x % 4 = 1 then 'a' when x % 4 = 2 then 'é' else 'z' end::char, \
         case when x % 11 = 0 then null else (x * 31 % 1000)::int - 500 end, \
         case when x % 13 = 0 then null when x % 17 = 0 then 9223372036854775807 when x % 19 = 0 then -9223372036854775807 \
         else x * x end, case when x % 10 = 0 then null when x % 23 = 0 then -0.0 when x % 29 = 0 then 1e308 else x / 7.0 end, \
         case when x % 6 = 0 then null else (x * 0.25)::float end, case when x % 8 = 0 then null when x % 8 = 1 then '' \
         else 'text ' || (x % 40) end, case when x % 9 = 0 then null else (x * 86400000)::date end \
         from (select x - 1 n, x * 7 + {salt} x from long_sequence({rows}))",
        7 + salt
    )
}

/// Returns both tables with the same statements, `u` with fewer rows and other symbols.
fn both(rows: Rows) -> Vec<String> {
    let fewer =
        Rows { rows: rows.rows / 5, step_s: rows.step_s * 4, salt: rows.salt + 2, by: rows.by, from: rows.from };
    vec![inserted("t", rows), inserted("u", fewer)]
}

fn flush() -> Vec<String> {
    vec!["flush".to_owned()]
}

fn segments() -> World {
    let later = Rows { from: "2024-03-31T14:00:00", salt: 3, ..IN_ORDER };
    World::new("segments", &[created(DAILY), both(IN_ORDER), flush(), both(later), flush()].concat())
}

fn memory() -> World {
    let earlier = Rows { from: "2024-03-30T10:00:00", salt: 1, ..IN_ORDER };
    let later = Rows { from: "2024-04-01T14:00:00", salt: 2, ..IN_ORDER };
    World::new("memory", &[created(DAILY), both(IN_ORDER), both(earlier), both(later)].concat())
}

fn mixed() -> Vec<String> {
    let shuffled = Rows { by: 7, ..IN_ORDER };
    let second = Rows { from: "2024-03-30T13:00:00", by: 11, salt: 5, ..IN_ORDER };
    let third = Rows { from: "2024-03-31T00:00:00", by: 13, salt: 9, rows: 400, ..IN_ORDER };
    [both(shuffled), flush(), both(second), flush(), both(third)].concat()
}

fn overlapping() -> World {
    World::new("overlapping", &[created(DAILY), mixed()].concat())
}

fn dedup() -> World {
    let daily = created(&format!("{DAILY} wal dedup upsert keys(ts, s)"));
    let again = Rows { salt: 10, ..IN_ORDER };
    World::new("dedup", &[daily, mixed(), flush(), both(again), flush(), both(IN_ORDER)].concat())
}

fn deleted() -> World {
    let gone = ["t", "u"].map(|table| format!("delete from {table} where i % 3 = 0")).to_vec();
    World::new("deleted", &[created(DAILY), mixed(), flush(), gone, both(IN_ORDER)].concat())
}

fn altered() -> World {
    let mut statements = Vec::new();
    for table in ["t", "u"] {
        statements.push(format!("create table {table} (ts timestamp, s symbol) {DAILY}"));
        let old = "('2024-03-30T11:00:00'::timestamp::long + x * 61000000)::timestamp, 's' || (x % 4)";
        statements.push(format!("insert into {table} select {old} from long_sequence(300)"));
    }
    statements.extend(flush());
    for table in ["t", "u"] {
        for column in COLUMNS.split(", ").skip(1) {
            statements.push(format!("alter table {table} add column {column}"));
        }
    }
    World::new("altered", &[statements, both(IN_ORDER), flush(), both(Rows { by: 7, ..IN_ORDER })].concat())
}

fn one_row() -> World {
    World::new("one row", &[created(DAILY), both(Rows { rows: 5, ..IN_ORDER })].concat())
}

/// One moment for all rows, in several runs.
fn ties() -> World {
    let same = Rows { step_s: 0, ..IN_ORDER };
    World::new("ties", &[created(DAILY), both(same), flush(), both(Rows { salt: 4, ..same }), both(same)].concat())
}

fn nanoseconds() -> World {
    let create = ["t", "u"].map(|table| format!("create table {table} (ts timestamp_ns, {COLUMNS}) {DAILY}")).to_vec();
    World::new("nanoseconds", &[create, mixed()].concat())
}

fn without_time() -> World {
    World::new("without time", &[created(""), both(IN_ORDER), flush(), both(Rows { by: 7, ..IN_ORDER })].concat())
}

fn parquet() -> World {
    let convert = "alter table t convert partition to parquet where ts < '2024-03-31'".to_owned();
    World::new("parquet", &[created(DAILY), mixed(), flush(), vec![convert], both(IN_ORDER)].concat())
}

fn unpartitioned() -> World {
    World::new("unpartitioned", &[created("timestamp(ts)"), mixed()].concat())
}
