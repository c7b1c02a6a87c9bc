//! Which rows are looked at first, and which not at all, by what is known of zones: [`Pieces`].
//!
//! The zone with the best bound most likely has the best row. So the zones are looked at in the order of their bounds until no
//! other can have a row that is wanted, which is soon. What is left then is read in the order in which it lies.

use std::ops::Range;

use datafusion::common::Result;

use super::rank::Key;
use crate::exec::direct::{Block, Morsel, Work};

/// Zones that are looked at by themselves, beside those that so many wanted rows would fill.
const FIRST_ZONES: usize = 64;
/// Rows that are read with those on both sides of them rather than passed over.
const GAP_ROWS: u32 = if cfg!(test) { 32 } else { 4 << 10 };

/// All rows of a source that may be wanted.
pub struct Pieces {
    /// In the order of morsels and of rows.
    all: Vec<Piece>,
    /// Numbers of those that were taken.
    taken: Vec<u32>,
}

/// A zone, or a whole morsel of whose zones nothing is known.
#[derive(Clone, Copy)]
struct Piece {
    /// No row's rank comes before it.
    least: u64,
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
        let mut all: Vec<Piece> = Vec::new();
        for (place, morsel) in work.morsels().iter().enumerate() {
            let (rows, before) = (morsel.rows() as u32, all.len());
            let piece = |number: usize, least: u64, start: u32, len: u32| Piece {
                least,
                number: number as u32,
                morsel: place as u32,
                start,
                len,
            };
            let measured = morsel.zones(key.place)?.is_some_and(|zones| {
                zones.each_measured(|bounds, rows| {
                    all.push(piece(all.len(), key.least_of(&bounds), rows.start as u32, rows.len() as u32));
                })
            });
            debug_assert!(measured || before == all.len(), "zones are told all or none");
            if !measured {
                all.push(piece(all.len(), 0, 0, rows));
            }
        }
        Ok(Pieces { all, taken: Vec::new() })
    }

    /// Returns the bytes that are held.
    pub fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Piece>()
    }

    /// Takes those zones, a few, whose rows may come before all others', the best first.
    pub fn take_best(&mut self, wanted: usize) -> Vec<Stretch> {
        let most = FIRST_ZONES + wanted / self.all.first().map_or(1, |piece| piece.len.max(1)) as usize;
        // of bounds that say nothing none is best
        let mut best: Vec<&Piece> = self.all.iter().filter(|piece| piece.least > 0).collect();
        if best.len() > most {
            best.select_nth_unstable_by_key(most, |piece| (piece.least, piece.number));
            best.truncate(most);
        }
        best.sort_unstable_by_key(|piece| (piece.least, piece.number));
        best.into_iter().map(Piece::stretch).collect()
    }

    /// Notes that a stretch of one piece was looked at.
    pub fn is_done(&mut self, stretch: &Stretch) {
        self.taken.push(stretch.number);
    }

    /// Returns what is left of the rows of which some may come before or with the rank `bar`.
    pub fn left(mut self, bar: u64) -> Vec<Stretch> {
        self.taken.sort_unstable();
        let mut left: Vec<(Stretch, u32)> = Vec::new();
        for piece in self.all.iter().filter(|piece| piece.least <= bar) {
            if self.taken.binary_search(&piece.number).is_ok() {
                continue;
            }
            match left.last_mut() {
                Some((last, next)) if last.morsel == piece.morsel && self.can_join(last, *next, piece) => {
                    last.rows.end = piece.start + piece.len;
                    last.least = last.least.min(piece.least);
                    *next = piece.number + 1;
                }
                _ => left.push((piece.stretch(), piece.number + 1)),
            }
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
