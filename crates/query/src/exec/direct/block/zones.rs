//! What is known of stretches of a block's column without reading them: [`BlockZones`].

use std::any::{Any, TypeId};
use std::ops::Range;
use std::sync::Arc;

use storage::segment::zones::{Number, Part, Zones, ZonesOf};

/// Rows of a zone: what is known of them takes a small part of what they take, and most of it is of use where few rows
/// are wanted. Tests have several in a morsel.
pub(super) const ZONE_ROWS: usize = if cfg!(test) { 16 } else { 1024 };

/// The zones of a block's column, over the block's rows.
pub struct BlockZones {
    zones: Arc<Zones>,
    /// The column's row that is the block's first one.
    start: usize,
    rows: usize,
}

impl BlockZones {
    pub(super) fn new(zones: Arc<Zones>, start: usize, rows: usize) -> BlockZones {
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

    /// Returns what is known of the zone of a row, where it is one of numbers like these and known, and the row after the
    /// zone's in the block.
    pub fn at(&self, row: usize) -> (Bounds, usize) {
        let (bounds, end) = match &*self.zones {
            Zones::Doubles(zones) => {
                let (zone, rows) = zones.at(self.start + row);
                let full = zone.is_known && zone.valid as usize == rows.len();
                (full.then_some(Bounds::Doubles(zone.min, zone.max)), rows.end)
            }
            Zones::Wholes(zones) => {
                let (zone, rows) = zones.at(self.start + row);
                let full = zone.is_known && zone.valid as usize == rows.len();
                (full.then_some(Bounds::Wholes(zone.min, zone.max)), rows.end)
            }
        };
        (bounds.unwrap_or(Bounds::Unknown), (end - self.start).min(self.rows))
    }
}

/// The least and the greatest value of a zone without NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bounds {
    Unknown,
    Doubles(f64, f64),
    Wholes(i64, i64),
}
