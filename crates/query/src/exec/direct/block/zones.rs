//! What is known of stretches of a block's column without reading them: [`BlockZones`].

use std::any::{Any, TypeId};
use std::ops::Range;
use std::sync::Arc;

use storage::segment::zones::stored::STORED_ROWS;
use storage::segment::zones::{Number, Part, Zone, Zones, ZonesOf};

/// Rows of a zone: what is known of them takes a small part of what they take, and most of it is of use where few rows
/// are wanted. Tests have several in a morsel.
pub const ZONE_ROWS: usize = if cfg!(test) { 16 } else { STORED_ROWS };

/// The zones of a block's column, over the block's rows.
pub struct BlockZones {
    zones: Arc<Zones>,
    /// The column's row that is the block's first one.
    start: usize,
    rows: usize,
}

impl BlockZones {
    pub fn new(zones: Arc<Zones>, start: usize, rows: usize) -> BlockZones {
        BlockZones { zones, start, rows }
    }

    /// Returns whether the values are of this type.
    pub fn are_of<N: 'static>(&self) -> bool {
        let of = match &*self.zones {
            Zones::Doubles(_) => TypeId::of::<f64>(),
            Zones::Wholes(_) => TypeId::of::<i64>(),
        };
        of == TypeId::of::<N>()
    }

    /// Returns whether the block's rows are zones of which something is known, and no others.
    pub fn are_known(&self) -> bool {
        fn are<N: Number>(zones: &ZonesOf<N>, rows: Range<usize>) -> bool {
            let mut known = true;
            zones.parts(rows, |part| known &= matches!(part, Part::Zone(_)));
            known
        }
        let rows = self.start..self.start + self.rows;
        match &*self.zones {
            Zones::Doubles(zones) => are(zones, rows),
            Zones::Wholes(zones) => are(zones, rows),
        }
    }

    /// Returns how many of some rows are not NULL, where all zones of these are known.
    pub fn valid(&self, rows: Range<usize>) -> usize {
        fn valid<N: Number>(zones: &ZonesOf<N>, rows: Range<usize>) -> usize {
            let mut valid = 0;
            zones.parts(rows, |part| {
                if let Part::Zone(zone) = part {
                    valid += zone.valid as usize;
                }
            });
            valid
        }
        let rows = self.start + rows.start..self.start + rows.end;
        match &*self.zones {
            Zones::Doubles(zones) => valid(zones, rows),
            Zones::Wholes(zones) => valid(zones, rows),
        }
    }

    /// Calls `each` with the parts of a stretch of the block's rows, in their order, when values are of this type; else
    /// it is called with the rows alone.
    pub fn parts<N: Number>(&self, rows: Range<usize>, mut each: impl FnMut(Part<N>)) {
        let zones: &dyn Any = match &*self.zones {
            Zones::Doubles(zones) => zones,
            Zones::Wholes(zones) => zones,
        };
        let Some(zones) = zones.downcast_ref::<ZonesOf<N>>() else { return each(Part::Rows(rows)) };
        zones.parts(self.start + rows.start..self.start + rows.end, |part| match part {
            Part::Rows(rows) => each(Part::Rows(rows.start - self.start..rows.end - self.start)),
            zone @ Part::Zone(_) => each(zone),
        });
    }

    /// Returns the stretches of the block's rows that a test of the bounds leaves, neighbours as one. A zone whose bounds
    /// are not known is left.
    pub fn left(&self, doubles: impl Fn(f64, f64) -> bool, wholes: impl Fn(i64, i64) -> bool) -> Vec<Range<usize>> {
        match &*self.zones {
            Zones::Doubles(zones) => self.left_of(zones, doubles),
            Zones::Wholes(zones) => self.left_of(zones, wholes),
        }
    }

    fn left_of<N: Number>(&self, zones: &ZonesOf<N>, may_meet: impl Fn(N, N) -> bool) -> Vec<Range<usize>> {
        let mut left: Vec<Range<usize>> = Vec::new();
        let mut next = 0;
        while next < self.rows {
            let (zone, of_zone) = zones.at(self.start + next);
            let end = (of_zone.end - self.start).min(self.rows);
            if !zone.is_known || may_meet(zone.min, zone.max) {
                match left.last_mut() {
                    Some(last) if last.end == next => last.end = end,
                    _ => left.push(next..end),
                }
            }
            next = end;
        }
        left
    }

    /// Returns what is known of the zone of a row, and the row after the zone's in the block.
    pub fn at(&self, row: usize) -> (Bounds, usize) {
        let (bounds, end) = match &*self.zones {
            Zones::Doubles(zones) => {
                let (zone, rows) = zones.at(self.start + row);
                (Bounds::of(zone, Values::Doubles), rows.end)
            }
            Zones::Wholes(zones) => {
                let (zone, rows) = zones.at(self.start + row);
                (Bounds::of(zone, Values::Wholes), rows.end)
            }
        };
        (bounds, (end - self.start).min(self.rows))
    }

    /// Computes what is not known yet.
    pub fn measure(&self) {
        let rows = self.start..self.start + self.rows;
        match &*self.zones {
            Zones::Doubles(zones) => zones.measure(rows),
            Zones::Wholes(zones) => zones.measure(rows),
        }
    }

    /// Calls `each` with what is known of the zones of some of the block's rows and with the rows in each, in their order, when
    /// nothing is still to be computed; returns whether nothing is.
    pub fn each_measured(&self, rows: Range<usize>, mut each: impl FnMut(Bounds, Range<usize>)) -> bool {
        let (rows, start) = (self.start + rows.start..self.start + rows.end, self.start);
        match &*self.zones {
            Zones::Doubles(zones) => zones.each_measured(rows, |zone, rows| {
                each(Bounds::of(zone, Values::Doubles), rows.start - start..rows.end - start);
            }),
            Zones::Wholes(zones) => zones.each_measured(rows, |zone, rows| {
                each(Bounds::of(zone, Values::Wholes), rows.start - start..rows.end - start);
            }),
        }
    }

    /// As [`BlockZones::each_measured`] of all rows, with what is known of dozens of zones at a time, and with how many of them have
    /// some of the rows.
    pub fn each_piece_measured(&self, mut each: impl FnMut(Bounds, Range<usize>, usize)) -> bool {
        let (rows, start) = (self.start..self.start + self.rows, self.start);
        match &*self.zones {
            Zones::Doubles(zones) => zones.each_piece_measured(rows, |piece, rows| {
                let of_block = rows.start - start..rows.end - start;
                each(Bounds::of(piece, Values::Doubles), of_block, zones.count(rows));
            }),
            Zones::Wholes(zones) => zones.each_piece_measured(rows, |piece, rows| {
                let of_block = rows.start - start..rows.end - start;
                each(Bounds::of(piece, Values::Wholes), of_block, zones.count(rows));
            }),
        }
    }
}

/// What is known of the values of a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub values: Values,
    /// False when none is NULL.
    pub may_be_null: bool,
}

/// The least and the greatest value of a zone that are not NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    Unknown,
    /// There are none.
    None,
    Doubles(f64, f64),
    Wholes(i64, i64),
}

impl Bounds {
    fn of<N: Number>(zone: &Zone<N>, values: fn(N, N) -> Values) -> Bounds {
        let values = match (zone.is_known, zone.valid) {
            (false, _) => Values::Unknown,
            (true, 0) => Values::None,
            (true, _) => values(zone.min, zone.max),
        };
        Bounds { values, may_be_null: zone.has_null }
    }
}
