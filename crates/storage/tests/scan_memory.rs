//! What a scan of mapped segments allocates. A binary of its own, because it counts every allocation of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::Array;
use storage::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use storage::segment::{SegmentHandle, SegmentOrigin, write_segment};
use storage::{Env, Run, TableScan};
use types::{
    ColumnData, ColumnDef, ColumnId, ColumnType, PartitionBy, PartitionKey, Schema, Seq, SymbolColumn, TableId,
    TimeRange, TimelineId,
};

struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

// SAFETY: all calls go to the system's allocator as they come.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COLUMNS: [(ColumnId, ColumnType); 3] =
    [(ColumnId(1), ColumnType::Timestamp), (ColumnId(2), ColumnType::Double), (ColumnId(3), ColumnType::Symbol)];
/// Bytes of a row in the three columns.
const ROW_BYTES: u64 = 8 + 8 + 4;

fn schema() -> Schema {
    let def = |(id, column_type): (ColumnId, ColumnType)| ColumnDef::new(id, column_type.to_string(), column_type);
    Schema::new(COLUMNS.map(def).to_vec(), Some(ColumnId(1)), PartitionBy::None, true)
}

fn rows(first_ts: i64, count: usize) -> Chunk {
    let mut symbols = SymbolColumn::default();
    symbols.codes = (0..count as i32).map(|i| i % 1000).collect();
    let data = [
        ColumnData::I64((0..count as i64).map(|i| first_ts + i).collect()),
        ColumnData::F64((0..count).map(|i| if i % 5 == 0 { f64::NAN } else { i as f64 }).collect()),
        ColumnData::Symbol(symbols),
    ];
    let columns =
        COLUMNS.into_iter().zip(data).map(|((id, column_type), data)| ResolvedColumn { id, column_type, data });
    Chunk::from_batch(&schema(), ResolvedBatch { rows: count, columns: columns.collect() }, Seq(1), 1).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own folder on the real machine")]
fn a_full_scan_of_three_columns_allocates_at_most_a_hundredth_of_their_bytes() {
    let dir = std::env::temp_dir().join(format!("stillpoint-scan-memory-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (env, count, segments) = (Env::os(), 250_000usize, 4usize);
    let origin = SegmentOrigin { table: TableId(1), schema: &schema(), timeline: TimelineId { number: 1, tag: 1 } };
    let mut runs = Vec::new();
    for i in 0..segments {
        let file = format!("{i}.arrow");
        let meta = write_segment(&env, Path::new(&dir), &file, origin, &rows((i * count) as i64, count)).unwrap();
        let handle = SegmentHandle::new(&env, &dir, Arc::new(meta), true);
        runs.push(Run::of_segment(PartitionKey::WHOLE, Arc::new(handle)));
    }

    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut seen = 0;
    for chunk in
        TableScan::new(runs, Some((ColumnId(1), ColumnType::Timestamp)), COLUMNS.to_vec(), vec![TimeRange::ALL], 16_384)
    {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.len(), COLUMNS.len());
        seen += chunk[0].len();
    }
    let allocated = ALLOCATED.load(Ordering::Relaxed) - before;

    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(seen, segments * count);
    let bytes = seen as u64 * ROW_BYTES;
    assert!(allocated * 100 <= bytes, "{allocated} bytes allocated for {bytes}");
}
