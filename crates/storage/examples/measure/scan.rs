//! Scans over many small segments, beside the same rows in one segment: interleaved row by row, and 10 % late.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::Array;
use storage::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use storage::segment::{SegmentHandle, SegmentOrigin, write_segment};
use storage::{Env, Run, TableScan};
use types::{
    ColumnData, ColumnDef, ColumnId, ColumnType, PartitionBy, PartitionKey, Schema, Seq, StrColumn, TableId, TimeRange,
    TimelineId,
};

const COLUMNS: [(ColumnId, ColumnType); 4] = [
    (ColumnId(1), ColumnType::Timestamp),
    (ColumnId(2), ColumnType::Double),
    (ColumnId(3), ColumnType::Long),
    (ColumnId(4), ColumnType::Varchar),
];
const SEGMENTS: usize = 1_000;
const ROWS: usize = 1_000;

pub fn run() {
    let env = Env::os();
    let dir = std::env::temp_dir().join(format!("stillpoint-measure-{}", std::process::id()));
    env.fs.create_dir(&dir).expect("the folder is new");
    let total = SEGMENTS * ROWS;
    let whole: Vec<i64> = (0..total as i64).collect();
    measure(&env, &dir, "one segment", vec![whole]);
    let apart = (0..SEGMENTS).map(|s| (0..ROWS).map(|r| (s * ROWS + r) as i64).collect()).collect();
    measure(&env, &dir, "1,000 segments, apart", apart);
    let interleaved = (0..SEGMENTS).map(|s| (0..ROWS).map(|r| (r * SEGMENTS + s) as i64).collect()).collect();
    measure(&env, &dir, "1,000 segments, interleaved", interleaved);
    measure(&env, &dir, "1,000 segments, 10 % late", late());
    remove(&dir);
}

/// Each segment has 900 rows of its own time and 100 from anywhere before.
fn late() -> Vec<Vec<i64>> {
    let mut random = 88_172_645_463_325_252u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as i64
    };
    let segment = |s: usize| {
        let own = s * ROWS;
        let mut times: Vec<i64> = (0..ROWS * 9 / 10).map(|r| (own + r) as i64).collect();
        times.extend((0..ROWS / 10).map(|_| next(own + ROWS)));
        times.sort();
        times
    };
    (0..SEGMENTS).map(segment).collect()
}

fn measure(env: &Env, dir: &Path, what: &str, times: Vec<Vec<i64>>) {
    let (count, files) = (times.len(), what.replace([' ', ',', '%'], "_"));
    let runs: Vec<Run> = times.into_iter().enumerate().map(|(i, t)| segment(env, dir, &files, i, t)).collect();
    for (name, columns) in [("4 columns", &COLUMNS[..]), ("1 column", &COLUMNS[1..2])] {
        let mut took = Vec::new();
        for _ in 0..5 {
            let start = env.clock.now_us();
            let scan = TableScan::new(
                runs.clone(),
                Some((ColumnId(1), ColumnType::Timestamp)),
                columns.to_vec(),
                vec![TimeRange::ALL],
                8_192,
            );
            let rows: usize = scan.map(|chunk| chunk.expect("the scan reads")[0].len()).sum();
            assert_eq!(rows, SEGMENTS * ROWS);
            took.push((env.clock.now_us() - start) as f64 / 1e3);
        }
        let first = took[0];
        took.sort_by(f64::total_cmp);
        println!("{what} ({count}), {name}: median {:.1} ms, first {first:.1} ms", took[2]);
    }
}

fn segment(env: &Env, dir: &Path, files: &str, number: usize, times: Vec<i64>) -> Run {
    let mut text = StrColumn::default();
    times.iter().for_each(|t| text.push(Some(&format!("order {t}"))));
    let data = [
        ColumnData::I64(times.clone()),
        ColumnData::F64(times.iter().map(|t| *t as f64).collect()),
        ColumnData::I64(times.clone()),
        ColumnData::Str(text),
    ];
    let columns = COLUMNS.into_iter().zip(data);
    let columns = columns.map(|((id, column_type), data)| ResolvedColumn { id, column_type, data }).collect();
    let schema = schema();
    let batch = ResolvedBatch { rows: times.len(), columns };
    let chunk = Chunk::from_batch(&schema, batch, Seq(number as u64 + 1), 1).expect("the rows are in order");
    let file = format!("{files}-{number}.arrow");
    let origin = SegmentOrigin { table: TableId(1), schema: &schema, timeline: TimelineId { number: 1, tag: 1 } };
    let meta = write_segment(env, dir, &file, origin, &chunk).expect("the segment is written");
    Run::of_segment(PartitionKey::WHOLE, Arc::new(SegmentHandle::new(env, dir, Arc::new(meta), true)))
}

fn schema() -> Schema {
    let def = |(id, column_type): (ColumnId, ColumnType)| ColumnDef::new(id, format!("c{id}"), column_type);
    Schema::new(COLUMNS.map(def).to_vec(), Some(ColumnId(1)), PartitionBy::None, true)
}

fn remove(dir: &PathBuf) {
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}
