//! Scans over overlapping runs, against a plain stable sort of all rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{Array, BooleanArray};
use roaring::RoaringBitmap;
use types::{ColumnData, ColumnDef, PartitionBy, PartitionKey, Schema, Seq, StrColumn};

use super::*;
use crate::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use crate::env::rng::SeededRng;
use crate::run::SortedChunk;

const TS: ColumnId = ColumnId(1);
const NUMBER: ColumnId = ColumnId(2);
const TEXT: ColumnId = ColumnId(3);
const FLAG: ColumnId = ColumnId(4);
const COLUMNS: [(ColumnId, ColumnType); 4] =
    [(FLAG, ColumnType::Boolean), (TS, ColumnType::Timestamp), (TEXT, ColumnType::Varchar), (NUMBER, ColumnType::Long)];

/// A row as the scan should give it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    ts: i64,
    number: i64,
    text: Option<String>,
    flag: bool,
}

fn schema(designated: bool) -> Schema {
    let def = |(id, column_type)| ColumnDef::new(id, format!("c{id}"), column_type);
    Schema::new(COLUMNS.map(def).to_vec(), designated.then_some(TS), PartitionBy::None, true)
}

/// Returns a run of the rows; without `wide` its text and flag columns are absent.
fn run(rows: &[Row], wide: bool, seq: u64, designated: bool) -> Run {
    let mut text = StrColumn::default();
    rows.iter().for_each(|r| text.push(r.text.as_deref()));
    let column = |id, column_type, data| ResolvedColumn { id, column_type, data };
    let mut columns = vec![
        column(TS, ColumnType::Timestamp, ColumnData::I64(rows.iter().map(|r| r.ts).collect())),
        column(NUMBER, ColumnType::Long, ColumnData::I64(rows.iter().map(|r| r.number).collect())),
    ];
    if wide {
        columns.push(column(TEXT, ColumnType::Varchar, ColumnData::Str(text)));
        columns.push(column(FLAG, ColumnType::Boolean, ColumnData::Boolean(rows.iter().map(|r| r.flag).collect())));
    }
    let batch = ResolvedBatch { rows: rows.len(), columns };
    let chunk = Chunk::from_batch(&schema(designated), batch, Seq(seq), 1).unwrap();
    Run::of_chunk(PartitionKey::WHOLE, Arc::new(SortedChunk::new(chunk.sorted().unwrap())))
}

fn collect(scan: TableScan, chunk_rows: usize) -> (Vec<Row>, Vec<usize>) {
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    for chunk in scan {
        let chunk = chunk.unwrap();
        let len = chunk[0].len();
        assert!((1..=chunk_rows).contains(&len) && chunk.iter().all(|c| c.len() == len));
        chunk.iter().for_each(|c| c.to_data().validate_full().unwrap());
        sizes.push(len);
        let (flag, ts) = (chunk[0].as_boolean(), chunk[1].as_primitive::<TimestampMicrosecondType>());
        let (text, number) = (chunk[2].as_string::<i32>(), chunk[3].as_primitive::<Int64Type>());
        rows.extend((0..len).map(|i| Row {
            ts: ts.value(i),
            number: number.value(i),
            text: text.is_valid(i).then(|| text.value(i).to_owned()),
            flag: flag.value(i),
        }));
    }
    (rows, sizes)
}

/// Returns random runs and their rows in the order of arrival, each already sorted within its run.
fn random_runs(rng: &SeededRng, designated: bool) -> (Vec<Run>, Vec<Row>) {
    let (mut runs, mut all) = (Vec::new(), Vec::new());
    let (spread, steps) = (1 + rng.below(400) as i64, rng.below(3));
    for seq in 0..rng.below(8) {
        let wide = rng.below(3) > 0;
        // From all runs overlapping to runs that follow each other with a few late rows.
        let base = seq as i64 * steps as i64 * spread;
        let mut rows: Vec<Row> = (0..1 + rng.below(120))
            .map(|i| Row {
                ts: (base + rng.below(spread as u64) as i64 - spread / 8).max(0),
                number: (seq * 1000 + i) as i64,
                text: (wide && rng.below(4) > 0).then(|| format!("日{}", rng.below(1000))),
                flag: wide && rng.below(2) > 0,
            })
            .collect();
        let run = run(&rows, wide, seq + 1, designated);
        if designated {
            rows.sort_by_key(|r| r.ts);
        }
        let dead: RoaringBitmap = match rng.below(3) {
            0 => (0..rows.len() as u32).filter(|_| rng.below(3) > 0).collect(),
            _ => RoaringBitmap::new(),
        };
        all.extend(rows.into_iter().enumerate().filter(|(row, _)| !dead.contains(*row as u32)).map(|(_, row)| row));
        runs.push(run.with_dead(Arc::new(dead)));
    }
    (runs, all)
}

fn random_ranges(rng: &SeededRng) -> Vec<TimeRange> {
    let mut at = rng.below(200) as i64;
    let mut ranges = Vec::new();
    for _ in 0..rng.below(5) {
        let end_us = at + rng.below(300) as i64;
        ranges.push(TimeRange { start_us: at, end_us });
        at = end_us + rng.below(100) as i64;
    }
    ranges
}

#[test]
fn scans_equal_a_stable_sort() {
    for seed in 0..2_000 {
        let rng = SeededRng::new(seed);
        let (runs, mut rows) = random_runs(&rng, true);
        let ranges = if rng.below(2) == 0 { vec![TimeRange::ALL] } else { random_ranges(&rng) };
        let chunk_rows = 1 + rng.below(100) as usize;
        rows.sort_by_key(|r| r.ts);
        rows.retain(|r| ranges.iter().any(|range| range.contains(r.ts)));
        let scan = TableScan::new(runs, Some((TS, ColumnType::Timestamp)), COLUMNS.to_vec(), ranges, chunk_rows);
        assert_eq!(collect(scan, chunk_rows).0, rows, "seed {seed}");
    }
}

#[test]
fn without_a_designated_timestamp_rows_come_as_they_arrived() {
    for seed in 0..500 {
        let rng = SeededRng::new(seed);
        let (runs, rows) = random_runs(&rng, false);
        let chunk_rows = 1 + rng.below(100) as usize;
        let scan = TableScan::new(runs, None, COLUMNS.to_vec(), vec![TimeRange::ALL], chunk_rows);
        assert_eq!(collect(scan, chunk_rows).0, rows, "seed {seed}");
    }
}

/// Runs whose rows lie within one microsecond of each other are put in the order of nanoseconds.
#[test]
fn nanoseconds_are_merged_by_nanoseconds() {
    let run = |seq: u64, times: &[i64]| {
        let data = ColumnData::I64(times.to_vec());
        let ts = ResolvedColumn { id: TS, column_type: ColumnType::TimestampNs, data };
        let batch = ResolvedBatch { rows: times.len(), columns: vec![ts] };
        let chunk = Chunk::from_batch(&schema(true), batch, Seq(seq), 1).unwrap().sorted().unwrap();
        Run::of_chunk(PartitionKey::WHOLE, Arc::new(SortedChunk::new(chunk)))
    };
    let runs = || vec![run(1, &[1_001, 1_005, 9_999]), run(2, &[1_003]), run(3, &[1_000, 1_005, 12_000])];
    let times = |ranges: Vec<TimeRange>| {
        let column = (TS, ColumnType::TimestampNs);
        let scan = TableScan::new(runs(), Some(column), vec![column], ranges, 100);
        let times =
            scan.flat_map(|chunk| chunk.unwrap()[0].as_primitive::<TimestampNanosecondType>().values().to_vec());
        times.collect::<Vec<i64>>()
    };
    assert_eq!(times(vec![TimeRange::ALL]), [1_000, 1_001, 1_003, 1_005, 1_005, 9_999, 12_000]);
    assert_eq!(times(vec![TimeRange { start_us: 2, end_us: 12 }]), [9_999]);
    assert_eq!(times(vec![TimeRange { start_us: 1, end_us: 2 }]), [1_000, 1_001, 1_003, 1_005, 1_005]);
}

fn plain(range: std::ops::Range<i64>) -> Vec<Row> {
    range.map(|ts| Row { ts, number: ts, text: None, flag: false }).collect()
}

fn sizes(runs: &[&[Row]], chunk_rows: usize) -> Vec<usize> {
    let runs = runs.iter().enumerate().map(|(i, rows)| run(rows, true, i as u64 + 1, true)).collect();
    collect(
        TableScan::new(runs, Some((TS, ColumnType::Timestamp)), COLUMNS.to_vec(), vec![TimeRange::ALL], chunk_rows),
        chunk_rows,
    )
    .1
}

#[test]
fn disjoint_runs_are_handed_out_whole() {
    assert_eq!(sizes(&[&plain(0..100), &plain(100..200)], 100), [100, 100]);
    assert_eq!(sizes(&[&plain(200..300), &plain(0..150)], 100), [100, 50, 100]);
}

#[test]
fn single_rows_are_joined_to_chunks() {
    let rows = plain(0..1000);
    let runs: Vec<&[Row]> = rows.chunks(1).collect();
    assert_eq!(sizes(&runs, 400), [400, 400, 200]);
    // A late row in a long run takes some of its neighbours along, the rest is not copied.
    let late = [Row { ts: 500, number: -1, text: None, flag: false }];
    assert_eq!(sizes(&[&rows, &late], 400), [400, 101, 100, 400]);
}

#[test]
fn a_scan_without_rows_ends_at_once() {
    assert!(
        TableScan::new(vec![], Some((TS, ColumnType::Timestamp)), COLUMNS.to_vec(), vec![TimeRange::ALL], 10)
            .next()
            .is_none()
    );
    let runs = vec![run(&plain(0..5), true, 1, true)];
    assert!(TableScan::new(runs, Some((TS, ColumnType::Timestamp)), COLUMNS.to_vec(), vec![], 10).next().is_none());
}

#[test]
fn a_column_that_is_nowhere_is_null() {
    let runs = vec![run(&plain(0..5), true, 1, true), run(&plain(3..9), true, 2, true)];
    let columns = vec![(ColumnId(8), ColumnType::Double), (ColumnId(9), ColumnType::Boolean)];
    let chunk = TableScan::new(runs, Some((TS, ColumnType::Timestamp)), columns, vec![TimeRange::ALL], 100)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(chunk[0].null_count(), 11);
    assert_eq!(chunk[1].as_boolean(), &BooleanArray::from(vec![false; 11]));
}

/// Rows that stand alone are gathered one by one, and the one missing value of a run stands for all its rows.
#[test]
fn many_runs_that_alternate_row_by_row_are_put_together() {
    let all: Vec<Row> = (0..5_000i64)
        .map(|i| Row { ts: i, number: i, text: (i % 2 == 0).then(|| format!("t{i}")), flag: i % 50 == 8 && i % 2 == 0 })
        .collect();
    let of = |n: i64| all.iter().filter(|r| r.ts % 50 == n).cloned().collect::<Vec<_>>();
    let runs: Vec<Run> = (0..50).map(|n| run(&of(n), n % 2 == 0, n as u64 + 1, true)).collect();
    let scan = TableScan::new(runs, Some((TS, ColumnType::Timestamp)), COLUMNS.to_vec(), vec![TimeRange::ALL], 700);
    let (rows, sizes) = collect(scan, 700);
    assert_eq!(rows, all);
    assert_eq!(sizes.len(), 8);
}
