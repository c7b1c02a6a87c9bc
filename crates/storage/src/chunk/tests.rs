//! Sentinels, order and joining of chunks.

use arrow_array::types::{Int32Type, Int64Type};
use types::row_batch::{NULL_DECIMAL256, NULL_FIXED16, NULL_FIXED32};
use types::{ArrayColumn, BinaryColumn, ColumnDef, StrColumn, SymbolColumn};

use super::*;

const TS: ColumnId = ColumnId(1);

/// Returns a schema of `ts timestamp` (designated) and further columns with ids from 2 on.
fn schema(others: &[ColumnType]) -> Schema {
    let all = std::iter::once(&ColumnType::Timestamp).chain(others);
    let def =
        |(i, &column_type): (usize, &ColumnType)| ColumnDef::new(ColumnId(i as u32 + 1), format!("c{i}"), column_type);
    Schema::new(all.enumerate().map(def).collect(), Some(TS), PartitionBy::Day, true)
}

fn batch(times: &[i64], others: Vec<ResolvedColumn>) -> ResolvedBatch {
    let ts = ResolvedColumn { id: TS, column_type: ColumnType::Timestamp, data: ColumnData::I64(times.to_vec()) };
    ResolvedBatch { rows: times.len(), columns: std::iter::once(ts).chain(others).collect() }
}

fn column(id: u32, column_type: ColumnType, data: ColumnData) -> ResolvedColumn {
    ResolvedColumn { id: ColumnId(id), column_type, data }
}

fn ints(id: u32, values: &[i32]) -> ResolvedColumn {
    column(id, ColumnType::Int, ColumnData::I32(values.to_vec()))
}

fn chunk(seq: u64, times: &[i64], others: Vec<ResolvedColumn>) -> Chunk {
    Chunk::from_batch(&schema(&[]), batch(times, others), Seq(seq), 1).unwrap()
}

fn check_nulls(column_type: ColumnType, data: ColumnData, valid: &[bool]) {
    let times: Vec<i64> = (0..valid.len() as i64).collect();
    let chunk = chunk(1, &times, vec![column(2, column_type, data)]);
    let array = chunk.column(ColumnId(2)).unwrap();
    let got: Vec<bool> = (0..valid.len()).map(|row| array.is_valid(row)).collect();
    assert_eq!(got, valid, "{column_type}");
    assert_eq!(array.data_type(), &crate::arrow_type::arrow_type(column_type));
    array.to_data().validate_full().unwrap();
}

#[test]
fn sentinels_become_null() {
    check_nulls(ColumnType::Int, ColumnData::I32(vec![1, i32::MIN, i32::MAX]), &[true, false, true]);
    for t in [ColumnType::Long, ColumnType::Date, ColumnType::Timestamp] {
        check_nulls(t, ColumnData::I64(vec![1, i64::MIN, i64::MAX]), &[true, false, true]);
    }
    let other_nan = f64::from_bits(0xfff8_0000_dead_beef);
    let doubles = vec![1.5, f64::NAN, other_nan, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    check_nulls(ColumnType::Double, ColumnData::F64(doubles), &[true, false, false, false, false, true]);
    let mut symbols = SymbolColumn::default();
    symbols.codes = vec![0, SymbolColumn::NULL, 7];
    check_nulls(ColumnType::Symbol, ColumnData::Symbol(symbols), &[true, false, true]);
    check_nulls(ColumnType::Boolean, ColumnData::Boolean(vec![true, false]), &[true, true]);
    check_nulls(ColumnType::Short, ColumnData::I16(vec![0, i16::MIN]), &[true, true]);
    check_nulls(ColumnType::Byte, ColumnData::I8(vec![0, i8::MIN]), &[true, true]);
    check_nulls(ColumnType::Char, ColumnData::U16(vec![65, 0]), &[true, false]);
    check_nulls(ColumnType::Ipv4, ColumnData::U32(vec![u32::MAX, 0]), &[true, false]);
    check_nulls(ColumnType::Float, ColumnData::F32(vec![f32::MAX, f32::NAN, f32::INFINITY]), &[true, false, false]);
    check_nulls(ColumnType::TimestampNs, ColumnData::I64(vec![1, i64::MIN]), &[true, false]);
    check_nulls(ColumnType::Geohash(60), ColumnData::I64(vec![0, -1, i64::MIN]), &[true, false, false]);
    check_nulls(ColumnType::Uuid, ColumnData::Fixed16(vec![[0; 16], NULL_FIXED16]), &[true, false]);
    check_nulls(ColumnType::Long256, ColumnData::Fixed32(vec![[0x80; 32], NULL_FIXED32]), &[true, false]);
    let narrow = ColumnType::Decimal { precision: 5, scale: 2 };
    check_nulls(narrow, ColumnData::Decimal128(vec![-1, i128::MIN]), &[true, false]);
    let wide = ColumnType::Decimal { precision: 76, scale: 2 };
    check_nulls(wide, ColumnData::Decimal256(vec![[0xff; 32], NULL_DECIMAL256]), &[true, false]);
    let mut bytes = BinaryColumn::default();
    [None, Some(&[][..]), Some(&[0xff][..])].into_iter().for_each(|value| bytes.push(value));
    check_nulls(ColumnType::Binary, ColumnData::Binary(bytes), &[false, true, true]);
    let mut boxes = ArrayColumn::new(2);
    boxes.push_null();
    assert!(boxes.push(&[0, 0], &[]) && boxes.push(&[1, 2], &[1.0, f64::NAN]));
    check_nulls(ColumnType::Array(2), ColumnData::Array(boxes), &[false, true, true]);
}

/// Bounds and partitions of nanoseconds are those of the microseconds that they lie in.
#[test]
fn nanoseconds_are_sorted_and_bounded_in_microseconds() {
    let day_ns = 86_400_000_000_000;
    let data = ColumnData::I64(vec![day_ns - 1, day_ns + 2_001, day_ns + 1, 1_999]);
    let batch =
        ResolvedBatch { rows: 4, columns: vec![ResolvedColumn { id: TS, column_type: ColumnType::TimestampNs, data }] };
    let sorted = Chunk::from_batch(&schema(&[]), batch, Seq(1), 1).unwrap().sorted().unwrap();
    assert_eq!((sorted.ts_min, sorted.ts_max), (1, day_ns / 1_000 + 2));
    let parts: Vec<usize> =
        sorted.partitions(PartitionBy::Day).unwrap().into_iter().map(|(_, rows)| rows.len()).collect();
    assert_eq!(parts, [2, 2]);
    let (times, per_us) = sorted.times().unwrap().unwrap();
    assert_eq!((&times[..], per_us), (&[1_999, day_ns - 1, day_ns + 1, day_ns + 2_001][..], 1_000));
}

#[test]
fn text_keeps_null_apart_from_empty() {
    let mut text = StrColumn::default();
    [Some("a"), None, Some(""), Some("日本")].into_iter().for_each(|v| text.push(v));
    check_nulls(ColumnType::Varchar, ColumnData::Str(text.clone()), &[true, false, true, true]);
    let chunk = chunk(1, &[1, 2, 3, 4], vec![column(2, ColumnType::String, ColumnData::Str(text))]);
    let got: Vec<Option<&str>> = chunk.column(ColumnId(2)).unwrap().as_string::<i32>().iter().collect();
    assert_eq!(got, [Some("a"), None, Some(""), Some("日本")]);
}

#[test]
fn numbers_are_moved_not_copied() {
    let values = vec![5i64, 6, 7];
    let at = values.as_ptr();
    let chunk = chunk(1, &[1, 2, 3], vec![column(2, ColumnType::Long, ColumnData::I64(values))]);
    assert_eq!(chunk.column(ColumnId(2)).unwrap().as_primitive::<Int64Type>().values().as_ptr(), at);
}

#[test]
fn rows_without_a_designated_timestamp_are_refused() {
    let schema = schema(&[]);
    for bad in [batch(&[1, i64::MIN], vec![]), ResolvedBatch { rows: 1, columns: vec![ints(2, &[1])] }] {
        assert!(matches!(Chunk::from_batch(&schema, bad, Seq(1), 1), Err(Error::Invalid(_))));
    }
}

#[test]
fn sorting_keeps_the_order_of_equal_times() {
    let late = chunk(3, &[30, 10, 20, 10, 30], vec![ints(2, &[0, 1, 2, 3, 4])]);
    assert!(!late.sorted);
    assert_eq!((late.ts_min, late.ts_max), (10, 30));
    let sorted = late.sorted().unwrap();
    assert!(sorted.sorted);
    assert_eq!(sorted.times().unwrap().unwrap().0[..], [10, 10, 20, 30, 30]);
    assert_eq!(sorted.column(ColumnId(2)).unwrap().as_primitive::<Int32Type>().values(), &[1, 3, 2, 0, 4]);
}

#[test]
fn joining_fills_absent_columns() {
    let a = chunk(1, &[1, 2], vec![ints(2, &[10, 20])]);
    let b = chunk(2, &[3], vec![column(3, ColumnType::Boolean, ColumnData::Boolean(vec![true]))]);
    let joined = Chunk::concat(&[&a, &b]).unwrap();
    assert_eq!((joined.rows, joined.first_seq, joined.last_seq, joined.sorted), (3, Seq(1), Seq(2), true));
    assert_eq!((joined.ts_min, joined.ts_max), (1, 3));
    let ints: Vec<_> = joined.column(ColumnId(2)).unwrap().as_primitive::<Int32Type>().iter().collect();
    assert_eq!(ints, [Some(10), Some(20), None]);
    let flags: Vec<_> = joined.column(ColumnId(3)).unwrap().as_boolean().iter().collect();
    assert_eq!(flags, [Some(false), Some(false), Some(true)]);
    assert!(!Chunk::concat(&[&b, &a]).unwrap().sorted);
    assert!(Chunk::concat(&[]).is_err());
}

#[test]
fn partitions_split_sorted_rows() {
    let day = types::time::US_PER_DAY;
    let rows = chunk(1, &[5, 6, day, day + 1, 3 * day], vec![]);
    let parts = rows.partitions(PartitionBy::Day).unwrap();
    assert_eq!(parts, [(PartitionKey(0), 0..2), (PartitionKey(day), 2..4), (PartitionKey(3 * day), 4..5)]);
    let part = rows.slice(2..4).unwrap();
    assert_eq!((part.rows, part.ts_min, part.ts_max), (2, day, day + 1));
    assert_eq!(rows.partitions(PartitionBy::None).unwrap(), [(PartitionKey::WHOLE, 0..5)]);
}
