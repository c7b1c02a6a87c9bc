//! Which rows are looked at first, and which not at all, by what is known of zones: [`Pieces`].
//!
//! The zone with the best bound most likely has the best row. So the zones are looked at in the order of their bounds until no
//! other can have a row that is wanted, which is soon. What is left then is read in the order in which it lies. Bounds of dozens of
//! neighbours are looked at first: most zones are never looked at by themselves.

use std::ops::Range;

use datafusion::common::Result;

use super::rank::Key;
use crate::exec::direct::block::{BlockZones, ZONE_ROWS};
use crate::exec::direct::{Block, Morsel, Work};

/// Zones that are looked at by themselves, beside those that so many wanted rows would fill.
const FIRST_ZONES: usize = 64;
/// Dozens of zones among which the first ones are looked for.
const FIRST_PIECES: usize = 16;
/// Rows that are read with those on both sides of them rather than passed over.
const GAP_ROWS: u32 = if cfg!(test) { 32 } else { 4 << 10 };

/// All rows of a source that may be wanted.
pub struct Pieces {
    key: Key,
    /// By morsel; None where nothing is known.
    zones: Vec<Option<BlockZones>>,
    /// Dozens of zones, or whole morsels of whose zones nothing is known, in the order of morsels and of rows.
    all: Vec<Piece>,
    /// Numbers of those zones that were taken.
    taken: Vec<u32>,
}

/// A zone, dozens of them, or a whole morsel.
#[derive(Clone, Copy)]
struct Piece {
    /// No row's rank comes before it.
    least: u64,
    /// Of its first zone.
    number: u32,
    morsel: u32,
    start: u32,
    len: u32,
}

/// Rows that follow each other in one morsel.
pub struct Stretch {
    /// Rises with the order of the rows.
    pub number: u32,
    /// No row's rank comes before it.
    pub least: u64,
    morsel: u32,
    rows: Range<u32>,
}

impl Pieces {
    /// Returns all rows, by zones where these have been computed. Maps segments: call it on a blocking thread.
    pub fn of(work: &Work, key: &Key) -> Result<Pieces> {
        let (mut all, mut known, mut number): (Vec<Piece>, _, u32) = (Vec::new(), Vec::new(), 0);
        for (place, morsel) in work.morsels().iter().enumerate() {
            let mut add = |least: u64, rows: Range<usize>, zones: usize| {
                let (start, len) = (rows.start as u32, rows.len() as u32);
                all.push(Piece { least, number, morsel: place as u32, start, len });
                number += zones as u32;
            };
            let zones = morsel.zones(key.place)?.filter(|zones| {
                zones.each_piece_measured(|bounds, rows, zones| add(key.least_of(&bounds), rows, zones))
            });
            if zones.is_none() {
                add(0, 0..morsel.rows(), 1);
            }
            known.push(zones);
        }
        Ok(Pieces { key: key.clone(), zones: known, all, taken: Vec::new() })
    }

    /// Returns the bytes that are held.
    pub fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Piece>() + self.zones.capacity() * size_of::<Option<BlockZones>>()
    }

    /// Takes those zones, a few, whose rows may come before all others', the best first.
    pub fn take_best(&self, wanted: usize) -> Vec<Stretch> {
        // of bounds that say nothing none is best
        let may_be_best = |piece: &Piece| piece.least > 0;
        let dozens: Vec<Piece> = self.all.iter().copied().filter(may_be_best).collect();
        let dozens = best_of(dozens, FIRST_PIECES + wanted / ZONE_ROWS);
        let mut zones = Vec::new();
        for piece in &dozens {
            self.each_zone(piece, |zone| zones.push(zone));
        }
        zones.retain(may_be_best);
        best_of(zones, FIRST_ZONES + wanted / ZONE_ROWS).iter().map(Piece::stretch).collect()
    }

    /// Calls `each` with the zones of a piece, or with a whole morsel, in the order of the rows.
    fn each_zone(&self, piece: &Piece, mut each: impl FnMut(Piece)) {
        let Some(zones) = &self.zones[piece.morsel as usize] else { return each(*piece) };
        let mut number = piece.number;
        let rows = piece.start as usize..(piece.start + piece.len) as usize;
        zones.each_measured(rows, |bounds, rows| {
            let (start, len) = (rows.start as u32, rows.len() as u32);
            each(Piece { least: self.key.least_of(&bounds), number, start, len, ..*piece });
            number += 1;
        });
    }

    /// Notes that a stretch of one piece was looked at.
    pub fn is_done(&mut self, stretch: &Stretch) {
        self.taken.push(stretch.number);
    }

    /// Returns what is left of the rows of which some may come before or with the rank `bar`.
    pub fn left(mut self, bar: u64) -> Vec<Stretch> {
        self.taken.sort_unstable();
        let mut left: Vec<(Stretch, u32)> = Vec::new();
        for dozens in self.all.iter().filter(|piece| piece.least <= bar) {
            self.each_zone(dozens, |piece| {
                if piece.least > bar || self.taken.binary_search(&piece.number).is_ok() {
                    return;
                }
                match left.last_mut() {
                    Some((last, next)) if last.morsel == piece.morsel && self.can_join(last, *next, &piece) => {
                        last.rows.end = piece.start + piece.len;
                        last.least = last.least.min(piece.least);
                        *next = piece.number + 1;
                    }
                    _ => left.push((piece.stretch(), piece.number + 1)),
                }
            });
        }
        left.into_iter().map(|(stretch, _)| stretch).collect()
    }

    /// Returns whether a piece is near enough to a stretch that ends before the piece `next`, and none between was taken.
    fn can_join(&self, stretch: &Stretch, next: u32, piece: &Piece) -> bool {
        let first_taken = self.taken.partition_point(|taken| *taken < next);
        let none_between = self.taken.get(first_taken).is_none_or(|taken| *taken > piece.number);
        piece.start - stretch.rows.end <= GAP_ROWS && none_between
    }
}

/// Returns so many of the pieces, those with the best bounds, the best first.
fn best_of(mut pieces: Vec<Piece>, most: usize) -> Vec<Piece> {
    let by = |piece: &Piece| (piece.least, piece.number);
    if pieces.len() > most {
        pieces.select_nth_unstable_by_key(most, by);
        pieces.truncate(most);
    }
    pieces.sort_unstable_by_key(by);
    pieces
}

impl Piece {
    fn stretch(&self) -> Stretch {
        let rows = self.start..self.start + self.len;
        Stretch { number: self.number, least: self.least, morsel: self.morsel, rows }
    }
}

impl Stretch {
    /// Returns the number of rows, those that do not count among them.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the rows.
    ///
    /// # Errors
    /// As [`Morsel::read`].
    pub fn read(&self, work: &Work) -> Result<Block> {
        let morsel: &Morsel = &work.morsels()[self.morsel as usize];
        if self.rows() == morsel.rows() {
            return morsel.read();
        }
        morsel.part(self.rows.start as usize..self.rows.end as usize)?.read()
    }
}
