//! Measures what docs/benchmarks.md says of reading lines: `cargo run --release -p wire --example measure`. Times are
//! printed, never asserted.

#![allow(clippy::disallowed_methods)]

use std::fmt::Write;
use std::time::Instant;

use types::{ColumnDef, ColumnId, ColumnType, PartitionBy, Schema, TableName};
use wire::ilp::{Options, Unit, read_request};

/// Bytes of one request.
const REQUEST_BYTES: usize = 4 << 20;
const ROUNDS: usize = 21;

fn main() {
    measure("1,000 symbols, rising time", 1_000);
    measure("1,000,000 symbols, rising time", 1_000_000);
}

fn measure(what: &str, symbols: u64) {
    let schema = schema();
    let find = |_: &str| Some((TableName::new("trades").expect("it is a name"), schema.clone()));
    let body = lines(symbols);
    let mut took = Vec::new();
    let mut rows = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let tables =
            read_request(body.as_bytes(), Unit::Nanos, 0, Options::default(), find).expect("the lines are good");
        took.push(start.elapsed().as_secs_f64());
        rows = tables[0].rows();
    }
    took.sort_by(f64::total_cmp);
    let ns = |seconds: f64| seconds * 1e9 / rows as f64;
    println!("{what}: {:.0} ns a row (least {:.0}), {rows} rows a request", ns(took[ROUNDS / 2]), ns(took[0]));
}

fn schema() -> std::sync::Arc<Schema> {
    let columns = [
        ("symbol", ColumnType::Symbol),
        ("side", ColumnType::Symbol),
        ("price", ColumnType::Double),
        ("amount", ColumnType::Double),
        ("account", ColumnType::Long),
        ("timestamp", ColumnType::Timestamp),
    ];
    let defs = (0..).zip(columns).map(|(id, (name, column_type))| ColumnDef::new(ColumnId(id), name, column_type));
    std::sync::Arc::new(Schema::new(defs.collect(), Some(ColumnId(5)), PartitionBy::Day, true))
}

/// Returns lines of trades, about 90 bytes each.
fn lines(symbols: u64) -> String {
    let mut text = String::new();
    let (mut state, mut time) = (7u64, 1_704_067_200_000_000_000u64);
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    while text.len() < REQUEST_BYTES {
        let (symbol, side) = (random(symbols), ["buy", "sell"][random(2) as usize]);
        let price = 50.0 + random(6_000) as f64 / 100.0;
        let amount = random(50_000) as f64 / 10_000.0 + 0.0001;
        time += random(30_000) * 1_000;
        let account = random(1_000_000);
        writeln!(
            text,
            "trades,symbol=S{symbol:04},side={side} price={price},amount={amount},account={account}i {time}"
        )
        .expect("a text takes all");
    }
    text
}
