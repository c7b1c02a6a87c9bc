//! What is known of the values of short stretches of a column: [`Zones`].
//!
//! Bounds and sums of some thousand bytes at a time let a query pass over a stretch without reading it. A large segment's file
//! has them ([`stored`]). Of others a piece of them is computed when a query first asks for it, which then reads no more than
//! it would have read anyway. They are kept while the segment is mapped, in 32 bytes a zone.

use std::ops::Range;
use std::sync::OnceLock;

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

pub mod stored;

/// Zones that are computed together.
const PIECE_ZONES: usize = 64;

/// The zones of a column of numbers or moments.
pub enum Zones {
    Doubles(ZonesOf<f64>),
    /// LONG and moments, in the column's own unit.
    Wholes(ZonesOf<i64>),
}

/// The zones of a column, all of the same number of rows but the last one.
pub struct ZonesOf<T: Number> {
    rows: usize,
    /// What is measured; nothing where all pieces are known.
    values: ScalarBuffer<T>,
    nulls: Option<NullBuffer>,
    zone_rows: usize,
    pieces: Box<[OnceLock<Piece<T>>]>,
}

/// Neighbouring zones that are measured together.
struct Piece<T> {
    zones: Box<[Zone<T>]>,
    /// What is known of all of them.
    whole: Zone<T>,
}

/// What is known of the values of a zone that are not NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zone<T> {
    /// Without values the greatest there is.
    pub min: T,
    /// Without values the least there is.
    pub max: T,
    pub sum: T,
    /// How many values are not NULL.
    pub valid: u32,
    /// Whether any is NULL.
    pub has_null: bool,
    /// False when nothing else is known: the sum does not fit, or a value is no number.
    pub is_known: bool,
}

/// A part of a stretch of rows: a whole zone, or rows that must be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<T> {
    Zone(Zone<T>),
    Rows(Range<usize>),
}

/// A type whose values have zones.
pub trait Number: ArrowNativeType {
    const LEAST: Self;
    const GREATEST: Self;
    const ZERO: Self;
    /// Returns what is known of values, and adds their sum to `sum`; false when nothing is known.
    fn measure(values: &[Self], zone: &mut Zone<Self>) -> bool;
    /// Returns the sum of two sums; None where it is no number.
    fn plus(self, other: Self) -> Option<Self>;
}

impl<T: Number> Zone<T> {
    /// Returns what is known of no values.
    fn none() -> Zone<T> {
        Zone { min: T::GREATEST, max: T::LEAST, sum: T::ZERO, valid: 0, has_null: false, is_known: true }
    }

    /// Returns what is known of the values of both.
    fn and(self, other: &Zone<T>) -> Zone<T> {
        let sum = self.sum.plus(other.sum);
        Zone {
            min: if other.min < self.min { other.min } else { self.min },
            max: if other.max > self.max { other.max } else { self.max },
            sum: sum.unwrap_or(T::ZERO),
            valid: self.valid + other.valid,
            has_null: self.has_null || other.has_null,
            is_known: self.is_known && other.is_known && sum.is_some(),
        }
    }
}

impl<T: Number> Piece<T> {
    fn of(zones: Box<[Zone<T>]>) -> Piece<T> {
        let whole = zones.iter().fold(Zone::none(), |whole, zone| whole.and(zone));
        Piece { zones, whole }
    }
}

impl Zones {
    /// Returns the zones of a column, none of them computed; None for a type that has none.
    pub(super) fn of(array: &ArrayRef, zone_rows: usize) -> Option<Zones> {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let wholes = |values: &ScalarBuffer<i64>| Zones::Wholes(ZonesOf::new(values.clone(), nulls.clone(), zone_rows));
        Some(match array.data_type() {
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>().values().clone();
                Zones::Doubles(ZonesOf::new(values, nulls, zone_rows))
            }
            DataType::Int64 => wholes(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                wholes(array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                wholes(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                wholes(array.as_primitive::<TimestampNanosecondType>().values())
            }
            _ => return None,
        })
    }
}

impl<T: Number> ZonesOf<T> {
    fn new(values: ScalarBuffer<T>, nulls: Option<NullBuffer>, zone_rows: usize) -> ZonesOf<T> {
        let (rows, pieces) = (values.len(), values.len().div_ceil(zone_rows * PIECE_ZONES));
        ZonesOf { rows, values, nulls, zone_rows, pieces: (0..pieces).map(|_| OnceLock::new()).collect() }
    }

    /// Returns zones all of which are known.
    fn known(rows: usize, zone_rows: usize, zones: Vec<Zone<T>>) -> ZonesOf<T> {
        let pieces = zones.chunks(PIECE_ZONES).map(|zones| OnceLock::from(Piece::of(zones.into()))).collect();
        ZonesOf { rows, values: Vec::new().into(), nulls: None, zone_rows, pieces }
    }

    /// Returns what is known of the zone that the row is in, and the rows of that zone.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn at(&self, row: usize) -> (&Zone<T>, Range<usize>) {
        let zone = row / self.zone_rows;
        let start = zone * self.zone_rows;
        let rows = start..self.rows.min(start + self.zone_rows);
        (&self.piece(zone / PIECE_ZONES).zones[zone % PIECE_ZONES], rows)
    }

    /// Calls `each` with the parts of a stretch of rows, in their order.
    ///
    /// # Panics
    /// When a row is beyond the column's.
    pub fn parts(&self, rows: Range<usize>, mut each: impl FnMut(Part<T>)) {
        let mut next = rows.start;
        while next < rows.end {
            let (zone, of_zone) = self.at(next);
            let end = of_zone.end.min(rows.end);
            match zone.is_known && next == of_zone.start && end == of_zone.end {
                true => each(Part::Zone(*zone)),
                false => each(Part::Rows(next..end)),
            }
            next = end;
        }
    }

    /// Computes the zones of a stretch of rows, where nobody has.
    ///
    /// # Panics
    /// When a row is beyond the column's.
    pub fn measure(&self, rows: Range<usize>) {
        for piece in self.pieces_of(&rows) {
            self.piece(piece);
        }
    }

    /// Calls `each` with the zones that a stretch of rows is in and with the rows of the stretch in each, in their order, when all
    /// have been computed; returns whether they have.
    ///
    /// # Panics
    /// When a row is beyond the column's.
    pub fn each_measured(&self, rows: Range<usize>, mut each: impl FnMut(&Zone<T>, Range<usize>)) -> bool {
        let pieces = self.pieces_of(&rows);
        let first = pieces.start * PIECE_ZONES;
        let measured: Option<Vec<&Piece<T>>> = self.pieces[pieces].iter().map(OnceLock::get).collect();
        let Some(measured) = measured else { return false };
        let zones = measured.into_iter().flat_map(|piece| piece.zones.iter()).enumerate();
        for (place, zone) in zones.skip(rows.start / self.zone_rows - first) {
            let start = (first + place) * self.zone_rows;
            if start >= rows.end {
                break;
            }
            each(zone, start.max(rows.start)..(start + self.zone_rows).min(rows.end));
        }
        true
    }

    /// As [`ZonesOf::each_measured`], with what is known of dozens of neighbouring zones at a time.
    ///
    /// # Panics
    /// When a row is beyond the column's.
    pub fn each_piece_measured(&self, rows: Range<usize>, mut each: impl FnMut(&Zone<T>, Range<usize>)) -> bool {
        let (pieces, piece_rows) = (self.pieces_of(&rows), self.zone_rows * PIECE_ZONES);
        let measured: Option<Vec<&Piece<T>>> = self.pieces[pieces.clone()].iter().map(OnceLock::get).collect();
        let Some(measured) = measured else { return false };
        for (place, piece) in pieces.zip(measured) {
            let start = place * piece_rows;
            each(&piece.whole, start.max(rows.start)..(start + piece_rows).min(rows.end));
        }
        true
    }

    /// Returns how many zones have some of these rows.
    pub fn count(&self, rows: Range<usize>) -> usize {
        if rows.is_empty() { 0 } else { rows.end.div_ceil(self.zone_rows) - rows.start / self.zone_rows }
    }

    fn pieces_of(&self, rows: &Range<usize>) -> Range<usize> {
        let piece_rows = self.zone_rows * PIECE_ZONES;
        let first = rows.start / piece_rows;
        first..if rows.is_empty() { first } else { rows.end.div_ceil(piece_rows) }
    }

    fn piece(&self, piece: usize) -> &Piece<T> {
        self.pieces[piece].get_or_init(|| {
            let rows = piece * PIECE_ZONES * self.zone_rows;
            let end = self.rows.min(rows + PIECE_ZONES * self.zone_rows);
            let starts = (rows..end).step_by(self.zone_rows);
            Piece::of(starts.map(|start| self.measured(start..end.min(start + self.zone_rows))).collect())
        })
    }

    fn measured(&self, rows: Range<usize>) -> Zone<T> {
        let mut zone = Zone::none();
        let values = &self.values[rows.clone()];
        let mut add = |values: &[T]| {
            zone.valid += values.len() as u32;
            let known = T::measure(values, &mut zone);
            zone.is_known &= known;
        };
        match self.nulls.as_ref().map(|nulls| nulls.slice(rows.start, rows.len())).filter(|n| n.null_count() > 0) {
            None => add(values),
            Some(nulls) => nulls.valid_slices().for_each(|(start, end)| add(&values[start..end])),
        }
        zone.has_null = (zone.valid as usize) < rows.len();
        zone
    }
}

/// So many values are measured side by side.
const LANES: usize = 8;

impl Number for f64 {
    const LEAST: f64 = f64::NEG_INFINITY;
    const GREATEST: f64 = f64::INFINITY;
    const ZERO: f64 = 0.0;

    fn measure(values: &[f64], zone: &mut Zone<f64>) -> bool {
        let (mut min, mut max, mut sum) = ([zone.min; LANES], [zone.max; LANES], [0.0; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in chunk.iter().enumerate() {
                min[lane] = if *value < min[lane] { *value } else { min[lane] };
                max[lane] = if *value > max[lane] { *value } else { max[lane] };
                sum[lane] += value;
            }
        }
        for (lane, value) in rest.iter().enumerate() {
            min[lane] = if *value < min[lane] { *value } else { min[lane] };
            max[lane] = if *value > max[lane] { *value } else { max[lane] };
            sum[lane] += value;
        }
        zone.min = min.into_iter().fold(zone.min, |a, b| if b < a { b } else { a });
        zone.max = max.into_iter().fold(zone.max, |a, b| if b > a { b } else { a });
        zone.sum += sum.iter().sum::<f64>();
        // NaN is in no bounds, but in the sum; so are infinities of both signs
        zone.sum.is_finite()
    }

    fn plus(self, other: f64) -> Option<f64> {
        Some(self + other).filter(|sum| sum.is_finite())
    }
}

impl Number for i64 {
    const LEAST: i64 = i64::MIN;
    const GREATEST: i64 = i64::MAX;
    const ZERO: i64 = 0;

    fn measure(values: &[i64], zone: &mut Zone<i64>) -> bool {
        let (mut min, mut max, mut low, mut high) = (zone.min, zone.max, 0i64, 0i64);
        // halves of fewer than 2^31 values cannot overflow
        for value in values {
            (min, max) = (min.min(*value), max.max(*value));
            low += value & 0xffff_ffff;
            high += value >> 32;
        }
        (zone.min, zone.max) = (min, max);
        let sum = (i128::from(high) << 32) + i128::from(low) + i128::from(zone.sum);
        zone.sum = i64::try_from(sum).unwrap_or_default();
        i64::try_from(sum).is_ok()
    }

    fn plus(self, other: i64) -> Option<i64> {
        self.checked_add(other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn doubles(values: Vec<Option<f64>>, zone_rows: usize) -> ZonesOf<f64> {
        let array: ArrayRef = Arc::new(Float64Array::from(values));
        match Zones::of(&array, zone_rows) {
            Some(Zones::Doubles(zones)) => zones,
            _ => panic!("doubles have zones"),
        }
    }

    fn wholes(values: Vec<Option<i64>>) -> ZonesOf<i64> {
        let array: ArrayRef = Arc::new(Int64Array::from(values));
        match Zones::of(&array, 4) {
            Some(Zones::Wholes(zones)) => zones,
            _ => panic!("longs have zones"),
        }
    }

    #[test]
    fn a_zone_has_the_bounds_and_the_sum_of_its_values() {
        let value = |row: usize| (!row.is_multiple_of(3)).then(|| (row * 7919 % 1000) as f64 - 500.0);
        for rows in [1, 15, 16, 17, 5_000] {
            let zones = doubles((0..rows).map(value).collect(), 16);
            for row in 0..rows {
                let (zone, of_zone) = zones.at(row);
                assert!(of_zone.contains(&row) && of_zone.start % 16 == 0 && of_zone.end <= rows);
                let values: Vec<f64> = of_zone.filter_map(value).collect();
                let bounds = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
                assert_eq!((zone.min, zone.max), bounds);
                assert_eq!((zone.sum, zone.valid as usize), (values.iter().sum(), values.len()));
                assert_eq!(zone.has_null, values.len() < zones.at(row).1.len());
                assert!(zone.is_known);
            }
        }
    }

    #[test]
    fn nothing_is_known_of_values_that_are_no_numbers_and_of_sums_that_do_not_fit() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let zones = doubles(vec![Some(1.0), Some(odd), None, Some(3.0), Some(5.0)], 4);
            assert!(!zones.at(0).0.is_known);
            assert!(zones.at(4).0.is_known);
        }
        assert!(!doubles(vec![Some(f64::MAX), Some(f64::MAX)], 4).at(0).0.is_known);
        let zones = wholes(vec![Some(i64::MAX), Some(1), None, None, Some(i64::MIN), Some(i64::MAX)]);
        assert_eq!((zones.at(0).0.is_known, zones.at(0).0.valid), (false, 2));
        assert_eq!((zones.at(4).0.is_known, zones.at(4).0.sum, zones.at(5).0.min), (true, -1, i64::MIN));
    }

    #[test]
    fn the_parts_of_a_stretch_are_its_rows_once_and_in_order() {
        let zones = doubles((0..1_000).map(|row| Some(if row == 500 { f64::NAN } else { 1.0 })).collect(), 16);
        for (start, end) in [(0, 1_000), (0, 16), (3, 5), (15, 33), (480, 999), (7, 7)] {
            let (mut next, mut looked_at) = (start, 0);
            zones.parts(start..end, |part| match part {
                Part::Zone(zone) => next += zone.sum as usize,
                Part::Rows(rows) => {
                    assert_eq!(rows.start, next);
                    (next, looked_at) = (rows.end, looked_at + rows.len());
                }
            });
            assert_eq!(next, end.max(start));
            assert!(looked_at <= 48, "{looked_at} of {start}..{end}");
        }
    }

    #[test]
    fn the_zones_of_a_stretch_are_told_once_all_are_computed() {
        let zones = doubles((0..5_000).map(|row| Some(f64::from(row))).collect(), 16);
        assert!(!zones.each_measured(0..1, |_, _| panic!("none is computed")));
        zones.measure(3_000..3_001);
        assert!(!zones.each_measured(0..5_000, |_, _| panic!("some are not computed")));
        assert!(zones.each_measured(3_000..3_001, |zone, rows| assert_eq!((zone.min, rows), (2992.0, 3_000..3_001))));
        zones.measure(0..5_000);
        for (start, end) in [(0, 5_000), (0, 16), (15, 17), (1_023, 1_025), (2_048, 2_048), (4_999, 5_000)] {
            let mut next = start;
            let told = zones.each_measured(start..end, |zone, rows| {
                assert_eq!((rows.start, zone.min), (next, (next / 16 * 16) as f64));
                assert!(rows.end <= end && rows.len() <= 16 && zone.max >= (rows.end - 1) as f64);
                next = rows.end;
            });
            assert_eq!((told, next), (true, end));
        }
    }

    #[test]
    fn a_piece_tells_what_all_of_its_zones_do() {
        let value = |row: usize| (!row.is_multiple_of(7)).then(|| (row * 7919 % 1000) as f64 - 500.0);
        let zones = doubles((0..5_000).map(value).collect(), 16);
        assert!(!zones.each_piece_measured(0..1, |_, _| panic!("none is computed")));
        zones.measure(0..5_000);
        for (start, end) in [(0, 5_000), (0, 1_024), (1_023, 1_025), (2_048, 2_048), (30, 4_999)] {
            let (mut next, mut counted) = (start, 0);
            let told = zones.each_piece_measured(start..end, |piece, rows| {
                assert_eq!((rows.start, piece.is_known, piece.has_null), (next, true, true));
                assert!(rows.clone().filter_map(value).all(|value| piece.min <= value && value <= piece.max));
                (next, counted) = (rows.end, counted + zones.count(rows));
            });
            assert_eq!((told, next, counted), (true, end, zones.count(start..end)));
        }
        let odd = doubles((0..5_000).map(|row| Some(if row == 3_000 { f64::NAN } else { 1.0 })).collect(), 16);
        odd.measure(0..5_000);
        let mut known = Vec::new();
        odd.each_piece_measured(0..5_000, |piece, _| known.push(piece.is_known));
        assert_eq!(known, [true, true, false, true, true]);
        let large = wholes(vec![Some(i64::MAX / 2); 9]);
        large.measure(0..9);
        large.each_piece_measured(0..9, |piece, _| assert!(!piece.is_known, "the sum does not fit"));
    }

    #[test]
    fn texts_have_none() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(Zones::of(&array, 4).is_none());
        assert!(wholes(vec![None, None]).at(1).0.is_known);
    }
}
