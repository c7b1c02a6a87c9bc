//! Zones in a segment's file: [`encode`] and [`of_column`]. The bytes: `docs/format/segment.md`, "Zones".
//!
//! They are for what is not in memory: sums and bounds of a whole column are read in a 256th of its bytes. Small segments, which are
//! read as fast, have none.

use std::ops::Range;

use arrow_array::ArrayRef;
use types::{ColumnId, ColumnType};

use super::{Number, Zone, Zones, ZonesOf};

/// Rows of a zone that is stored.
pub const STORED_ROWS: usize = 1024;
/// Segments of fewer rows have no zones stored.
const WORTH_ROWS: usize = 16 * STORED_ROWS;
const HEAD_BYTES: usize = 8;
const ZONE_BYTES: usize = 32;
const DOUBLES: u32 = 0;
const WHOLES: u32 = 1;
const HAS_NULL: u32 = 1;
const IS_KNOWN: u32 = 2;

/// Returns what a segment says of its columns' zones; nothing where that is not worth it.
pub fn encode(rows: usize, columns: &[(ColumnId, ColumnType, ArrayRef)]) -> Vec<u8> {
    if rows < WORTH_ROWS {
        return Vec::new();
    }
    let zones = |(id, _, array): &(ColumnId, ColumnType, ArrayRef)| Some((*id, Zones::of(array, STORED_ROWS)?));
    let columns: Vec<(ColumnId, Zones)> = columns.iter().filter_map(zones).collect();
    let mut bytes =
        Vec::with_capacity(HEAD_BYTES + columns.len() * (HEAD_BYTES + rows.div_ceil(STORED_ROWS) * ZONE_BYTES));
    put(&mut bytes, STORED_ROWS as u32);
    put(&mut bytes, columns.len() as u32);
    for (id, zones) in columns {
        put(&mut bytes, id.0);
        match zones {
            Zones::Doubles(zones) => {
                put(&mut bytes, DOUBLES);
                encode_column(&zones, &mut bytes, |value| value.to_bits());
            }
            Zones::Wholes(zones) => {
                put(&mut bytes, WHOLES);
                encode_column(&zones, &mut bytes, |value| value as u64);
            }
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn encode_column<T: Number>(zones: &ZonesOf<T>, bytes: &mut Vec<u8>, bits: impl Fn(T) -> u64) {
    for row in (0..zones.rows).step_by(STORED_ROWS) {
        let (zone, _) = zones.at(row);
        for value in [zone.min, zone.max, zone.sum] {
            bytes.extend_from_slice(&bits(value).to_le_bytes());
        }
        put(bytes, zone.valid);
        put(bytes, HAS_NULL * u32::from(zone.has_null) + IS_KNOWN * u32::from(zone.is_known));
    }
}

/// Returns the zones of a column of so many rows; None when the bytes say nothing of it.
///
/// # Errors
/// A sentence about bytes that [`encode`] does not make.
pub fn of_column(bytes: &[u8], rows: usize, id: ColumnId) -> Result<Option<Zones>, String> {
    let damaged = || "its zones are damaged".to_owned();
    let mut left = bytes;
    let mut take = |len: usize| left.split_off(..len).ok_or_else(damaged);
    let head = take(HEAD_BYTES)?;
    let (zone_rows, columns) = (number(head, 0), number(head, 4));
    if zone_rows as usize != STORED_ROWS {
        // Of a later version: it can do without.
        return Ok(None);
    }
    let column_bytes = rows.div_ceil(STORED_ROWS) * ZONE_BYTES;
    for _ in 0..columns {
        let head = take(HEAD_BYTES)?;
        let zones = take(column_bytes)?;
        if number(head, 0) == id.0 {
            return match number(head, 4) {
                DOUBLES => Ok(Some(Zones::Doubles(ZonesOf::known(rows, STORED_ROWS, decode(zones, f64::from_bits))))),
                WHOLES => Ok(Some(Zones::Wholes(ZonesOf::known(rows, STORED_ROWS, decode(zones, |bits| bits as i64))))),
                _ => Err(damaged()),
            };
        }
    }
    Ok(None)
}

fn decode<T: Number>(bytes: &[u8], value: impl Fn(u64) -> T) -> Vec<Zone<T>> {
    let zone = |bytes: &[u8; ZONE_BYTES]| {
        let value = |at: usize| value(u64::from(number(bytes, at)) | u64::from(number(bytes, at + 4)) << 32);
        let flags = number(bytes, 28);
        Zone {
            min: value(0),
            max: value(8),
            sum: value(16),
            valid: number(bytes, 24),
            has_null: flags & HAS_NULL != 0,
            is_known: flags & IS_KNOWN != 0,
        }
    };
    bytes.as_chunks::<ZONE_BYTES>().0.iter().map(zone).collect()
}

/// Returns the number at an offset that lies within the bytes.
fn number(bytes: &[u8], at: usize) -> u32 {
    let Range { start, end } = at..at + 4;
    bytes[start..end].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    const ROWS: usize = WORTH_ROWS + 700;

    fn columns() -> Vec<(ColumnId, ColumnType, ArrayRef)> {
        let double = |row: usize| match row {
            2_000 => Some(f64::NAN),
            5_000 => Some(f64::INFINITY),
            row if row.is_multiple_of(7) || (8_192..9_216).contains(&row) => None,
            row => Some((row * 7919 % 1000) as f64 - 500.25),
        };
        let long = |row: usize| match row {
            3_000 => Some(i64::MAX),
            3_001 => Some(i64::MAX - 5),
            row => (!row.is_multiple_of(11)).then_some(row as i64 - 4_000),
        };
        let times = (0..ROWS).map(|row| 1_700_000_000_000_000 + row as i64);
        vec![
            (ColumnId(0), ColumnType::Timestamp, Arc::new(TimestampMicrosecondArray::from_iter_values(times))),
            (ColumnId(3), ColumnType::Varchar, Arc::new(StringArray::from(vec!["a"; ROWS]))),
            (ColumnId(4), ColumnType::Double, Arc::new((0..ROWS).map(double).collect::<Float64Array>())),
            (ColumnId(9), ColumnType::Long, Arc::new((0..ROWS).map(long).collect::<Int64Array>())),
        ]
    }

    #[test]
    fn stored_zones_are_those_that_would_be_measured() {
        let columns = columns();
        let bytes = encode(ROWS, &columns);
        for (id, _, array) in &columns {
            let stored = of_column(&bytes, ROWS, *id).unwrap();
            match (stored, Zones::of(array, STORED_ROWS)) {
                (Some(Zones::Doubles(stored)), Some(Zones::Doubles(measured))) => same(&stored, &measured),
                (Some(Zones::Wholes(stored)), Some(Zones::Wholes(measured))) => same(&stored, &measured),
                (None, None) => assert_eq!(id.0, 3, "texts have none"),
                _ => panic!("zones of column {id} are of another kind"),
            }
        }
        assert!(of_column(&bytes, ROWS, ColumnId(7)).unwrap().is_none());
    }

    fn same<T: Number + std::fmt::Debug + PartialEq>(stored: &ZonesOf<T>, measured: &ZonesOf<T>) {
        let mut zones = 0;
        assert!(stored.each_measured(0..ROWS, |zone, rows| {
            let (of_rows, expected) = measured.at(rows.start);
            assert_eq!((rows.clone(), format!("{zone:?}")), (expected, format!("{of_rows:?}")));
            zones += 1;
        }));
        assert_eq!(zones, 17);
        measured.measure(0..ROWS);
        let mut pieces = Vec::new();
        measured.each_piece_measured(0..ROWS, |piece, rows| pieces.push((format!("{piece:?}"), rows)));
        let mut next = pieces.into_iter();
        assert!(stored.each_piece_measured(0..ROWS, |piece, rows| {
            assert_eq!(next.next(), Some((format!("{piece:?}"), rows)));
        }));
    }

    #[test]
    fn small_segments_have_none_and_other_bytes_are_refused() {
        let columns = columns();
        assert!(encode(WORTH_ROWS - 1, &columns).is_empty());
        let bytes = encode(ROWS, &columns);
        let last = ColumnId(9);
        for len in 0..bytes.len() {
            assert!(of_column(&bytes[..len], ROWS, last).is_err(), "{len} of {} bytes", bytes.len());
        }
        assert!(of_column(&bytes, ROWS + STORED_ROWS, last).is_err());
        let mut other = bytes.clone();
        other[12] = 7;
        assert!(of_column(&other, ROWS, ColumnId(0)).is_err(), "an unknown kind");
        other[1] = 1;
        assert!(of_column(&other, ROWS, ColumnId(0)).unwrap().is_none(), "zones of another length are left alone");
    }
}
