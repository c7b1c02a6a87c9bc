//! Records round trip, and damaged ones are errors.

use types::row_batch::{NULL_DECIMAL256, NULL_FIXED16, NULL_FIXED32};
use types::{ArrayColumn, BinaryColumn, ColumnData, ColumnType, StrColumn, SymbolColumn};

use super::*;
use crate::chunk::ResolvedColumn;

fn sample() -> Rows {
    let mut text = StrColumn::default();
    for value in [Some("a"), None, Some("")] {
        text.push(value);
    }
    let column = |id, column_type, data| ResolvedColumn { id: ColumnId(id), column_type, data };
    let codes = SymbolColumn::of_codes(vec![0, -1, 5]);
    let mut bytes = BinaryColumn::default();
    [Some(&b"\0\xff"[..]), None, Some(&[][..])].into_iter().for_each(|value| bytes.push(value));
    let mut boxes = ArrayColumn::new(2);
    assert!(boxes.push(&[1, 2], &[0.5, f64::NAN]) && boxes.push(&[0, 0], &[]));
    boxes.push_null();
    let decimal = |precision| ColumnType::Decimal { precision, scale: 2 };
    Rows {
        table: TableId(9),
        new_symbols: vec![NewSymbols { column: ColumnId(6), first_code: 5, texts: vec!["ä".into()] }],
        batch: ResolvedBatch {
            rows: 3,
            columns: vec![
                column(1, ColumnType::Boolean, ColumnData::Boolean(vec![true, false, true])),
                column(2, ColumnType::Short, ColumnData::I16(vec![1, -2, 3])),
                column(3, ColumnType::Int, ColumnData::I32(vec![1, i32::MIN, 3])),
                column(4, ColumnType::Timestamp, ColumnData::I64(vec![1, 2, i64::MIN])),
                column(5, ColumnType::Double, ColumnData::F64(vec![0.5, -0.0, 1e300])),
                column(6, ColumnType::Symbol, ColumnData::Symbol(codes)),
                column(7, ColumnType::Varchar, ColumnData::Str(text)),
                column(8, ColumnType::Byte, ColumnData::I8(vec![1, -2, 127])),
                column(9, ColumnType::Char, ColumnData::U16(vec![65, 0, 0xd800])),
                column(10, ColumnType::Ipv4, ColumnData::U32(vec![1, 0, u32::MAX])),
                column(11, ColumnType::Float, ColumnData::F32(vec![0.5, -0.0, 1e30])),
                column(12, ColumnType::Uuid, ColumnData::Fixed16(vec![[1; 16], NULL_FIXED16, [255; 16]])),
                column(13, ColumnType::Long256, ColumnData::Fixed32(vec![[1; 32], NULL_FIXED32, [255; 32]])),
                column(14, decimal(38), ColumnData::Decimal128(vec![-1, i128::MIN, i128::MAX])),
                column(15, decimal(76), ColumnData::Decimal256(vec![[1; 32], NULL_DECIMAL256, [255; 32]])),
                column(16, ColumnType::Geohash(23), ColumnData::I64(vec![0, -1, (1 << 23) - 1])),
                column(17, ColumnType::TimestampNs, ColumnData::I64(vec![1, 2, i64::MIN])),
                column(18, ColumnType::Binary, ColumnData::Binary(bytes)),
                column(19, ColumnType::Array(2), ColumnData::Array(boxes)),
            ],
        },
    }
}

#[test]
fn records_round_trip() {
    let drop = CatalogChange::Drop { table: TableId(9) };
    let payload = encode(&[Record::Rows(sample()), Record::Catalog(drop.clone())]);
    let records = decode(&payload).unwrap();
    let [Record::Rows(rows), Record::Catalog(change)] = &records[..] else { panic!("{records:?}") };
    assert_eq!(change, &drop);
    assert_eq!(rows.new_symbols, sample().new_symbols);
    for (read, written) in rows.batch.columns.iter().zip(&sample().batch.columns) {
        assert_eq!((read.id, read.column_type, &read.data), (written.id, written.column_type, &written.data));
    }
}

#[test]
fn damaged_records_are_errors_not_panics() {
    let payload = encode(&[Record::Rows(sample())]);
    for cut in 1..payload.len() {
        assert!(decode(&payload[..cut]).is_err() && decode_without_values(&payload[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 0x81;
        assert_eq!(decode(&damaged).is_err(), decode_without_values(&damaged).is_err(), "byte {at}");
    }
}
