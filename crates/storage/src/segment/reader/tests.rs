//! Segments written, read back, and damaged byte by byte.

use arrow_array::cast::AsArray;
use types::{
    ColumnData, ColumnDef, ColumnType, PartitionBy, Schema, Seq, StrColumn, SymbolColumn, TableId, TimelineId,
};

use super::super::{SegmentOrigin, write_segment};
use super::*;
use crate::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use crate::env::clock::ManualClock;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::{Fault, FaultPlan, SimFs, Survive};

pub const DIR: &str = "/table";
const FILE: &str = "day.arrow";

pub fn sim() -> Env {
    let env = Env::in_turn(Arc::new(SimFs::new(1)), Arc::new(ManualClock::new(0)), Arc::new(SeededRng::new(1)));
    env.fs.create_dir(Path::new(DIR)).unwrap();
    env
}

/// Returns a schema with one column of each type, ids from 1 on; the TIMESTAMP column is designated.
fn schema() -> Schema {
    let columns: Vec<ColumnDef> = ColumnType::ALL
        .into_iter()
        .enumerate()
        .map(|(i, column_type)| {
            ColumnDef::new(ColumnId(i as u32 + 1), column_type.to_string().to_lowercase(), column_type)
        })
        .collect();
    let designated = columns.iter().find(|c| c.column_type == ColumnType::Timestamp).map(|c| c.id);
    Schema { version: 3, ..Schema::new(columns, designated, PartitionBy::Day, true) }
}

/// Returns rows with a NULL in every third place where the type has one.
pub fn rows(count: usize) -> Chunk {
    let schema = schema();
    let mut columns = Vec::new();
    for def in &schema.columns {
        let mut data = ColumnData::new(def.column_type);
        for row in 0..count {
            let null = row % 3 == 1 && schema.designated != Some(def.id);
            match &mut data {
                data if null => data.push_null(),
                ColumnData::Boolean(v) => v.push(row % 2 == 0),
                ColumnData::I8(v) => v.push(row as i8),
                ColumnData::U16(v) => v.push(row as u16 % 1_000 + 65),
                ColumnData::U32(v) => v.push(row as u32 + 1),
                ColumnData::F32(v) => v.push(row as f32 / 2.0),
                ColumnData::Fixed16(v) => v.push([row as u8; 16]),
                ColumnData::Fixed32(v) => v.push([row as u8; 32]),
                ColumnData::Decimal128(v) => v.push(row as i128 - 5),
                ColumnData::Decimal256(v) => v.push([row as u8; 32]),
                ColumnData::Binary(v) => v.push(Some(&[0xff, row as u8][..row % 3])),
                ColumnData::Array(v) => {
                    let mut shape = vec![1; v.dims()];
                    shape[0] = row as u32 % 3;
                    assert!(v.push(&shape, &vec![row as f64; row % 3]));
                }
                ColumnData::I16(v) => v.push(row as i16),
                ColumnData::I32(v) => v.push(row as i32 - 5),
                ColumnData::I64(v) => v.push(row as i64 * 1_000),
                ColumnData::F64(v) => v.push(row as f64 / 2.0),
                ColumnData::Str(v) => v.push(Some(&format!("text {row} 日本"))),
                ColumnData::Symbol(v) => v.codes.push(row as i32 % 4),
            }
        }
        columns.push(ResolvedColumn { id: def.id, column_type: def.column_type, data });
    }
    Chunk::from_batch(&schema, ResolvedBatch { rows: count, columns }, Seq(9), 1).unwrap()
}

pub fn write(env: &Env, rows: &Chunk) -> Result<SegmentMeta> {
    let origin =
        SegmentOrigin { table: TableId(7), schema: &schema(), timeline: TimelineId { number: 1, tag: 0xabcd } };
    write_segment(env, Path::new(DIR), FILE, origin, rows)
}

fn path() -> PathBuf {
    Path::new(DIR).join(FILE)
}

fn open(env: &Env, meta: &SegmentMeta) -> Result<Arc<Segment>> {
    Segment::open(env, &path(), Arc::new(meta.clone()), true)
}

/// Puts other bytes in the place of the segment file.
fn replace(env: &Env, bytes: &[u8]) {
    env.fs.unlink(&path()).unwrap();
    crate::ipc::write_file(env, &path(), bytes).unwrap();
}

#[test]
fn zones_of_a_large_segment_are_known_without_its_columns() {
    const ROWS: usize = 20_000;
    let (env, rows) = (sim(), rows(ROWS));
    let meta = write(&env, &rows).unwrap();
    let segment = open(&env, &meta).unwrap();
    let mut zoned = Vec::new();
    for (id, column_type, array) in &rows.columns {
        let stored = segment.zones(*id, STORED_ROWS).unwrap();
        let known = Zones::of(array, STORED_ROWS);
        assert_eq!((stored.is_some(), segment.has_zones(*id, STORED_ROWS)), (known.is_some(), known.is_some()));
        let (Some(stored), Some(known)) = (stored, known) else { continue };
        assert!(!segment.is_checked(*id), "{column_type} was read");
        zoned.push(*column_type);
        match (&*stored, &known) {
            (Zones::Doubles(stored), Zones::Doubles(known)) => {
                (0..ROWS).step_by(777).for_each(|row| assert_eq!(stored.at(row), known.at(row)));
            }
            (Zones::Wholes(stored), Zones::Wholes(known)) => {
                (0..ROWS).step_by(777).for_each(|row| assert_eq!(stored.at(row), known.at(row)));
            }
            _ => panic!("{column_type} has zones of another type"),
        }
    }
    assert!(zoned.contains(&ColumnType::Double) && zoned.contains(&ColumnType::Timestamp), "{zoned:?}");
    // Zones of other lengths are measured.
    let (double, ..) = rows.columns.iter().find(|(_, t, _)| *t == ColumnType::Double).unwrap();
    let other = open(&env, &meta).unwrap();
    assert!(
        !other.has_zones(*double, 512) && other.zones(*double, 512).unwrap().is_some() && other.is_checked(*double)
    );
}

#[test]
fn a_damaged_byte_of_the_zones_is_found_when_a_segment_is_opened() {
    let env = sim();
    let meta = write(&env, &rows(20_000)).unwrap();
    let bytes = env.fs.read(&path()).unwrap();
    let zones = IpcFile::parse(&bytes).unwrap().beside;
    assert!(zones.len() > 20 * 32 * 4);
    for at in zones.step_by(1_001) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        replace(&env, &damaged);
        assert!(matches!(open(&env, &meta), Err(Error::Corrupt { .. })), "byte {at}");
    }
}

#[test]
fn rows_come_back_as_written() {
    for count in [1, 2, 7, 8, 9, 1000] {
        let (env, rows) = (sim(), rows(count));
        let meta = write(&env, &rows).unwrap();
        assert_eq!((meta.rows, meta.first_seq, meta.schema_version), (count as u64, Seq(9), 3));
        assert_eq!((meta.ts_min_us, meta.ts_max_us), (rows.ts_min, rows.ts_max));
        let segment = open(&env, &meta).unwrap();
        for (id, column_type, array) in &rows.columns {
            let got = segment.column(*id).unwrap().unwrap();
            assert_eq!(&got, array, "{column_type}");
            got.to_data().validate_full().unwrap();
            let (offset, len) = (count / 3, count / 2);
            let part = segment.chunked(*id, offset, len).unwrap().unwrap();
            assert_eq!(&part, &array.slice(offset, len), "{column_type}");
        }
        assert!(segment.column(ColumnId(99)).unwrap().is_none());
        verify_whole(&env, &path(), &meta).unwrap();
    }
}

#[test]
fn meta_survives_json_and_knows_bounds() {
    let env = sim();
    let meta = write(&env, &rows(10)).unwrap();
    let json = serde_json::to_string(&meta).unwrap();
    assert_eq!(serde_json::from_str::<SegmentMeta>(&json).unwrap(), meta);
    let int = meta.columns.iter().find(|c| c.column_type == ColumnType::Int).unwrap();
    assert_eq!((int.min, int.max, int.null_count), (Some(-5), Some(4), 3));
    let double = meta.columns.iter().find(|c| c.column_type == ColumnType::Double).unwrap();
    assert_eq!((double.min, double.max), (None, None));
}

/// A scan of all columns, in chunks or whole, points into the map; only offsets of text ranges are copied.
#[test]
fn columns_are_views_of_the_map() {
    let (env, count) = (sim(), 10_000);
    let segment = open(&env, &write(&env, &rows(count)).unwrap()).unwrap();
    let map = segment.map.as_slice().as_ptr_range();
    for column in &segment.columns {
        let whole = segment.column(column.place.id).unwrap().unwrap();
        let part = segment.chunked(column.place.id, 4096, 4096).unwrap().unwrap();
        let has_offsets = matches!(whole.data_type(), DataType::Utf8 | DataType::Binary | DataType::List(_));
        for (array, copied) in [(whole, 0), (part, usize::from(has_offsets))] {
            let data = array.to_data();
            let bitmap = data.nulls().map(|n| n.buffer().clone());
            let buffers = data.buffers()[copied..].iter().cloned().chain(bitmap);
            for buffer in buffers {
                assert!(map.contains(&buffer.as_ptr()), "{} was copied", column.place.column_type);
            }
        }
    }
}

#[test]
fn every_changed_byte_is_found() {
    let env = sim();
    let meta = write(&env, &rows(20)).unwrap();
    let good = env.fs.read(&path()).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        replace(&env, &bad);
        let damaged = open(&env, &meta)
            .and_then(|segment| meta.columns.iter().try_for_each(|c| segment.column(c.id).map(|_| ())));
        assert!(matches!(damaged, Err(Error::Corrupt { .. })), "byte {at}: {damaged:?}");
        assert!(matches!(verify_whole(&env, &path(), &meta), Err(Error::Corrupt { .. })), "byte {at}");
    }
}

#[test]
fn a_damaged_column_leaves_the_others_readable() {
    let env = sim();
    let meta = write(&env, &rows(20)).unwrap();
    let mut bytes = env.fs.read(&path()).unwrap();
    let double = meta.columns.iter().find(|c| c.column_type == ColumnType::Double).unwrap();
    bytes[double.start as usize] ^= 1;
    replace(&env, &bytes);
    let segment = open(&env, &meta).unwrap();
    for column in &meta.columns {
        let got = segment.column(column.id);
        assert_eq!(got.is_err(), column.id == double.id, "{}", column.column_type);
    }
    let error = segment.column(double.id).unwrap_err().to_string();
    let expected =
        "/table/day.arrow: column double (7): checksum differs; restore from a snapshot; other tables are unaffected";
    assert_eq!(error, expected);
}

/// Bytes whose checksums are right but that no writer of ours made: an error, not a panic and no wild read.
#[test]
fn damaged_text_with_a_matching_checksum_is_refused() {
    let env = sim();
    let mut meta = write(&env, &rows(20)).unwrap();
    let good = env.fs.read(&path()).unwrap();
    let layout = IpcFile::parse(&good).unwrap();
    let (i, place) = layout.columns.iter().enumerate().find(|(_, c)| c.column_type == ColumnType::String).unwrap();
    let (offsets, text) = (place.buffers[1].start, place.buffers[2].start);
    for (at, byte) in [(offsets, 1), (offsets + 3, 0xff), (offsets + 4, 0xff), (offsets + 80, 0xff), (text, 0xff)] {
        let mut bad = good.clone();
        bad[at] = byte;
        meta.columns[i].crc32c = crc32c::crc32c(&bad[place.bytes.clone()]);
        replace(&env, &bad);
        let damaged = open(&env, &meta).unwrap().column(place.id);
        assert!(matches!(damaged, Err(Error::Corrupt { .. })), "byte {at}: {damaged:?}");
    }
}

#[test]
fn files_of_another_length_are_refused() {
    let env = sim();
    let meta = write(&env, &rows(20)).unwrap();
    let good = env.fs.read(&path()).unwrap();
    for len in [0, 1, 10, 63, good.len() - 1] {
        replace(&env, &good[..len]);
        assert!(matches!(open(&env, &meta), Err(Error::Corrupt { .. })), "{len}");
        assert!(IpcFile::parse(&good[..len]).is_err(), "{len}");
    }
    env.fs.unlink(&path()).unwrap();
    assert!(matches!(open(&env, &meta), Err(Error::Io { .. })));
}

#[test]
fn what_this_version_does_not_know_is_refused() {
    let env = sim();
    let meta = write(&env, &rows(20)).unwrap();
    let parquet = SegmentMeta { format: "orc".to_owned(), ..meta.clone() };
    assert!(matches!(open(&env, &parquet), Err(Error::Corrupt { .. })));
    let mut bytes = env.fs.read(&path()).unwrap();
    // The footer's copy of the schema is the one that counts.
    let layout = IpcFile::parse(&bytes).unwrap();
    for at in layout.body().end..bytes.len() {
        if bytes[at] != b'1' {
            continue;
        }
        bytes[at] = b'2';
        if IpcFile::parse(&bytes).is_ok_and(|f| f.metadata[SEGMENT_VERSION_KEY] == "2") {
            let newer =
                SegmentMeta { envelope_crc32c: super::super::writer::envelope_crc32c(&bytes, &layout), ..meta.clone() };
            replace(&env, &bytes);
            let error = open(&env, &newer).err().expect("a newer version is refused").to_string();
            assert!(error.contains("version 2, this server reads 1"), "{error}");
            return;
        }
        bytes[at] = b'1';
    }
    panic!("the version stands in the footer");
}

#[test]
fn a_segment_is_one_synced_file_and_never_overwritten() {
    let env = sim();
    let before = env.fs.counts();
    let rows = rows(200_000);
    let meta = write(&env, &rows).unwrap();
    let after = env.fs.counts();
    assert_eq!(after.syncs - before.syncs, 1);
    assert_eq!(after.written_bytes - before.written_bytes, meta.len_bytes);
    assert!(after.writes - before.writes >= meta.len_bytes >> 20, "pieces of at most 1 MiB");
    assert!(matches!(write(&env, &rows), Err(Error::Io { .. })));
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Writes the fixture anew; only for a new version of the format, under that version's name.
#[test]
#[ignore = "makes the fixture"]
#[expect(clippy::disallowed_methods, reason = "a fixture is a file of the source tree")]
fn make_fixture() {
    let env = sim();
    let meta = write(&env, &rows(10)).unwrap();
    std::fs::write(fixtures().join("segment-v1.arrow"), env.fs.read(&path()).unwrap()).unwrap();
    std::fs::write(fixtures().join("segment-v1.json"), serde_json::to_string_pretty(&meta).unwrap() + "\n").unwrap();
}

#[test]
fn a_segment_of_version_1_opens() {
    let json = std::fs::read_to_string(fixtures().join("segment-v1.json")).unwrap();
    let meta: SegmentMeta = serde_json::from_str(&json).unwrap();
    let file = fixtures().join("segment-v1.arrow");
    let segment = Segment::open(&Env::os(), &file, Arc::new(meta.clone()), true).unwrap();
    verify_whole(&Env::os(), &file, &meta).unwrap();
    assert_eq!(meta.columns.len(), 10, "the types that version 1 had at first");
    for (id, column_type, array) in &rows(10).columns[..10] {
        assert_eq!(&segment.column(*id).unwrap().unwrap(), array, "{column_type}");
    }
}

/// Each call of the writer goes wrong once: a failure is an error of the system and never a segment, a short or interrupted
/// call changes nothing.
#[test]
fn every_failing_call_of_the_writer_is_an_error() {
    let rows = rows(40_000);
    let expected = write(&sim(), &rows).unwrap();
    assert!(expected.len_bytes > 2 << 20, "several pieces are written");
    let mut calls = 0;
    for errno in [Fault::EIO, Fault::ENOSPC, Fault::EINTR] {
        calls =
            check_each_call(&rows, &expected, |at_op| Fault::Fail { at_op, errno, times: 1 }, errno != Fault::EINTR);
    }
    assert!(calls >= 6, "create, three writes, sync, map: {calls}");
    check_each_call(&rows, &expected, |at_op| Fault::Short { at_op }, false);
}

/// Returns the number of calls that were tried.
fn check_each_call(rows: &Chunk, expected: &SegmentMeta, fault: impl Fn(u64) -> Fault, fatal: bool) -> u64 {
    for call in 1.. {
        let fs = Arc::new(SimFs::new(1));
        let env = Env { fs: fs.clone(), ..sim() };
        env.fs.create_dir(Path::new(DIR)).unwrap();
        let at_op = fs.op_count() + call;
        fs.set_faults(FaultPlan::one(fault(at_op)));
        let written = write(&env, rows);
        if fs.op_count() < at_op {
            return call - 1;
        }
        match written {
            Ok(meta) => assert!(!fatal && meta == *expected, "{:?}", fault(call)),
            Err(e) => assert!(matches!(e, Error::Io { .. } | Error::Unavailable(_)), "{:?}: {e}", fault(call)),
        }
    }
    unreachable!("the writer ends")
}

#[test]
fn a_written_segment_outlives_a_power_cut_once_its_directory_is_synced() {
    let rows = rows(1000);
    let seeded = (0..10).flat_map(|seed| [Survive::Subset(seed), Survive::TornTail(seed), Survive::EntriesLost(seed)]);
    for survive in seeded.chain([Survive::Nothing, Survive::NamesOnly]) {
        let fs = Arc::new(SimFs::new(1));
        let env = Env { fs: fs.clone(), ..sim() };
        env.fs.create_dir(Path::new(DIR)).unwrap();
        let meta = write(&env, &rows).unwrap();
        env.fs.sync_dir(Path::new(DIR)).unwrap();
        env.fs.sync_dir(Path::new("/")).unwrap();
        fs.power_cut(survive);
        let env = Env { fs: Arc::new(fs.power_up()), ..sim() };
        verify_whole(&env, &path(), &meta).unwrap();
        let segment = open(&env, &meta).unwrap();
        assert!(meta.columns.iter().all(|c| segment.column(c.id).is_ok()));
    }
}

#[test]
fn unsorted_rows_are_refused() {
    let env = sim();
    let mut rows = rows(2);
    rows.sorted = false;
    assert!(matches!(write(&env, &rows), Err(Error::Invalid(_))));
    assert!(!env.fs.exists(&path()).unwrap());
}

#[test]
fn symbols_are_stored_as_codes() {
    let env = sim();
    let mut codes = SymbolColumn::default();
    codes.codes = vec![3, -1, 0];
    let mut text = StrColumn::default();
    [Some("x"), None, Some("")].into_iter().for_each(|v| text.push(v));
    let column = |id, column_type, data| ResolvedColumn { id: ColumnId(id), column_type, data };
    let columns = vec![
        column(6, ColumnType::Timestamp, ColumnData::I64(vec![1, 2, 3])),
        column(9, ColumnType::Symbol, ColumnData::Symbol(codes)),
        column(8, ColumnType::String, ColumnData::Str(text)),
    ];
    let rows = Chunk::from_batch(&schema(), ResolvedBatch { rows: 3, columns }, Seq(1), 1).unwrap();
    let meta = write(&env, &rows).unwrap();
    assert_eq!(meta.column(ColumnId(9)).map(|c| (c.min, c.max)), Some((Some(0), Some(3))));
    let segment = open(&env, &meta).unwrap();
    let codes = segment.column(ColumnId(9)).unwrap().unwrap();
    assert_eq!(
        codes.as_primitive::<arrow_array::types::Int32Type>().iter().collect::<Vec<_>>(),
        [Some(3), None, Some(0)]
    );
    let text = segment.column(ColumnId(8)).unwrap().unwrap();
    assert_eq!(text.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("x"), None, Some("")]);
}
