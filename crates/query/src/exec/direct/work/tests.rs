//! Morsels of runs that lie apart, that overlap, and that have dead rows.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use storage::env::{Env, SimFs};
use storage::{Database, Options};

use super::super::{Order, Source};
use super::*;
use crate::{Session, Settings};

/// Runs statements on an empty database (`flush` writes rows into segments) and returns the source of the last, a query.
fn source(statements: &[&str]) -> Source {
    let env = Env { fs: Arc::new(SimFs::new(1)), ..Env::os() };
    env.fs.create_dir(Path::new("/spill")).expect("an empty disk");
    let database = Arc::new(Database::open(env.clone(), Options::new("/root")).expect("an empty root opens"));
    let mut settings = Settings::new(env);
    settings.plain = true;
    let settings = settings.shared();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let (query, before) = statements.split_last().expect("a query");
    for sql in before {
        if *sql == "flush" {
            let view = database.view();
            view.tables().iter().for_each(|t| database.flush_table(t.id()).expect("rows can be written"));
            continue;
        }
        let mut session = Session::new(database.clone(), settings.clone());
        let done = runtime.block_on(session.execute(sql, &[]));
        done.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
    let session = Session::new(database, settings);
    let plan = runtime.block_on(session.physical_plan(query)).expect("it plans");
    Source::beneath(&plan).unwrap_or_else(|| panic!("no source beneath {plan:?}")).0
}

/// Returns the times in seconds, morsel by morsel, of the rows that count; the source's first column is the time.
fn seconds(source: &Source, order: Order) -> Vec<Vec<i64>> {
    let work = source.work(order).expect("it opens");
    let morsel = |morsel: &Morsel| {
        let times = morsel.read().and_then(|block| block.selected(0)).expect("rows");
        times.as_primitive::<TimestampMicrosecondType>().values().iter().map(|us| us / 1_000_000).collect()
    };
    work.morsels().iter().map(morsel).collect()
}

const TABLE: &str = "create table t (ts timestamp, s symbol, v long) timestamp(ts) partition by day wal";
const EVEN: &str = "insert into t select (x * 2000000)::timestamp, 's' || (x % 3), x from long_sequence(300)";
const ODD: &str = "insert into t select (x * 2000000 - 1000000)::timestamp, 'r' || (x % 3), x from long_sequence(300)";

#[test]
fn runs_that_follow_each_other_are_read_as_they_lie() {
    let later = "insert into t select (600000000 + x * 1000000)::timestamp, 's', x from long_sequence(100)";
    let source = source(&[TABLE, EVEN, "flush", later, "flush", "select ts, s from t"]);
    for order in [Order::Any, Order::Time] {
        let work = source.work(order).expect("it opens");
        assert_eq!(work.morsels().iter().map(Morsel::rows).collect::<Vec<_>>(), [144, 156, 100]);
        let block = work.morsels()[1].read().expect("rows");
        assert_eq!((block.selection(), block.column(1).data_type()), (&Selection::All, &DataType::Int32));
    }
    assert!(seconds(&source, Order::Time).concat().is_sorted());
}

#[test]
fn overlapping_runs_are_merged_where_time_counts_and_only_there() {
    let statements = [TABLE, EVEN, "flush", ODD, "flush", "select ts, s from t where ts < '1970-01-01T00:09:00'"];
    let source = source(&statements);
    let merged = seconds(&source, Order::Time);
    assert_eq!(merged.concat(), (1..540).collect::<Vec<i64>>());
    assert!(merged.len() > 1 && merged.iter().all(|morsel| morsel.len() < 400), "pieces of time");
    let mut any = seconds(&source, Order::Any);
    assert!(any.iter().all(|morsel| morsel.windows(2).all(|w| w[1] - w[0] == 2)), "of one run each");
    any.sort();
    let mut all = any.concat();
    all.sort_unstable();
    assert_eq!(all, (1..540).collect::<Vec<i64>>());
}

#[test]
fn dead_rows_do_not_count() {
    let keyed = TABLE.replace("wal", "wal dedup upsert keys(ts)");
    let again = "insert into t select (x * 4000000)::timestamp, 'again', -x from long_sequence(100)";
    let source = source(&[&keyed, EVEN, "flush", again, "flush", "select ts, v from t"]);
    for order in [Order::Any, Order::Time] {
        let mut found = seconds(&source, order).concat();
        assert_eq!(found.len(), 300);
        assert!(order == Order::Any || found.is_sorted());
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 300, "each moment once");
    }
}

#[test]
fn conjuncts_over_a_symbol_hold_by_code_and_others_by_value() {
    let nulls = "insert into t select (x * 1000000)::timestamp, null, x from long_sequence(50)";
    let count = |filter: &str| {
        let query = format!("select ts, s, v from t where {filter}");
        let source = source(&[TABLE, EVEN, "flush", ODD, nulls, &query]);
        let of = |order| seconds(&source, order).concat().len();
        assert_eq!(of(Order::Any), of(Order::Time), "{filter}");
        of(Order::Any)
    };
    assert_eq!(count("s = 's1'"), 100);
    assert_eq!(count("s != 's1'"), 550);
    assert_eq!(count("s is null"), 50);
    assert_eq!(count("s in ('r0', 'r1') and v > 10 and v <= 20"), 6);
    assert_eq!(count("length(s) = 2 and s > 's0'"), 200);
    assert_eq!(count("s = 'nowhere'"), 0);
    assert_eq!(count("v % 7 = 0 and s is null"), 7);
}

#[test]
fn a_source_sees_through_sub_queries_and_its_expressions_are_over_its_columns() {
    let query = "select a * 2 b, q from (select v + 1 a, s q, ts from t where v > 3) where q = 's1' and a < 100";
    let source = source(&[TABLE, EVEN, query]);
    assert_eq!(source.conjuncts().len(), 3, "{source}");
    let rows: usize = source
        .work(Order::Any)
        .expect("it opens")
        .morsels()
        .iter()
        .map(|m| m.read().expect("rows").selected_rows())
        .sum();
    assert_eq!(rows, (4..99).filter(|x| x % 3 == 1).count());
}

#[test]
fn codes_are_at_hand_with_their_texts() {
    let source = source(&[TABLE, ODD, EVEN, "select s from t"]);
    let texts = source.dictionary(0).expect("it reads").expect("a symbol");
    let work = source.work(Order::Time).expect("it opens");
    let block = work.morsels()[0].read().expect("rows");
    let first = block.column(0).as_primitive::<Int32Type>().value(0);
    assert_eq!((texts.value(first as usize), block.shown(0).expect("texts").as_string_view().value(0)), ("r1", "r1"));
}

#[test]
fn segments_without_a_wanted_number_are_not_opened() {
    let higher = "insert into t select (900000000 + x * 1000000)::timestamp, 's', x + 1000 from long_sequence(100)";
    let morsels = |filter: &str| {
        let query = format!("select ts, v from t where {filter}");
        let source = source(&[TABLE, EVEN, "flush", higher, "flush", &query]);
        let found = seconds(&source, Order::Time);
        (found.len(), found.concat().len())
    };
    assert_eq!(morsels("v = 1050"), (1, 1));
    assert_eq!(morsels("v > 300"), (1, 100));
    assert_eq!(morsels("v <= 300"), (2, 300));
    assert_eq!(morsels("v < 1 or v >= 1100"), (3, 1));
    assert_eq!(morsels("v != 300"), (3, 399));
    assert_eq!(morsels("300 <= v and v < 1002"), (3, 2));
}

#[test]
fn segments_without_a_wanted_symbol_are_not_opened() {
    let query = "select ts, s, v from t where s = 'r1'";
    let one = source(&[TABLE, EVEN, "flush", ODD, "flush", query]);
    let morsels = |source: &Source, order| source.work(order).expect("it opens").morsels().len();
    let everything = source(&[TABLE, EVEN, "flush", ODD, "flush", "select ts, s, v from t"]);
    assert_eq!((morsels(&one, Order::Any), morsels(&everything, Order::Any)), (2, 4));
    assert_eq!(seconds(&one, Order::Time).concat().len(), 100);
}
