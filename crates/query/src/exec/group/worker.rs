//! What one thread knows of the groups: [`Worker`] takes block after block; [`Worker::take_over`] joins what two threads know.

use std::collections::BTreeMap;
use std::mem::{size_of, take};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::MemoryReservation;

use super::columns::Reader;
use super::numbering::{Keys, Numbering};
use super::shape::Shape;
use super::stretches::Stretches;
use super::whole::wholes;
use crate::exec::direct::{Block, Morsel, Selection};
use crate::functions::aggregate::dense::{self, Dense};
use crate::functions::aggregate::groups::Groups;

/// Rows that are looked at together for new groups.
const LOOK_ROWS: usize = 4 << 10;

/// The groups of one bucket; without buckets all are of one.
pub struct Section {
    pub bucket: i64,
    first: Range<u32>,
    /// Further ones, where rows of the bucket came after those of others.
    more: Vec<Range<u32>>,
}

impl Section {
    /// Returns its groups, in the order in which they appeared.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        std::iter::once(self.first.clone()).chain(self.more.iter().cloned())
    }

    fn append(&mut self, groups: Range<u32>) {
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        if last.end == groups.start {
            last.end = groups.end;
        } else if !groups.is_empty() {
            self.more.push(groups);
        }
    }
}

/// The groups that one thread has seen.
pub struct Worker {
    reader: Arc<Reader>,
    numbering: Numbering,
    sections: Vec<Section>,
    /// Sections by bucket; made when buckets first come out of their order.
    by_bucket: Option<BTreeMap<i64, usize>>,
    /// The section whose keys are at hand.
    current: Option<usize>,
    groups: u32,
    states: Vec<(Box<dyn Groups>, Vec<usize>)>,
    numbers: Vec<u32>,
    reservation: MemoryReservation,
}

impl Worker {
    /// Returns what knows nothing yet, for about so many rows.
    pub fn new(shape: &Shape, reader: Arc<Reader>, expected_rows: usize, reservation: MemoryReservation) -> Worker {
        let states = shape.aggregates.iter().map(|a| ((a.make)(), a.arguments.clone())).collect();
        Worker {
            numbering: reader.numbering(expected_rows),
            reader,
            sections: Vec::new(),
            by_bucket: None,
            current: None,
            groups: 0,
            states,
            numbers: Vec::new(),
            reservation,
        }
    }

    /// Returns for each aggregate the column of which zones must be known, to be added without reading rows; None when some must be
    /// read.
    pub fn zoned(&self) -> Option<Vec<Option<usize>>> {
        if self.reader.bucket.is_some() || !self.reader.is_one_group() {
            return None;
        }
        let column = |(state, arguments): &(Box<dyn Groups>, Vec<usize>)| match arguments[..] {
            [] => Some(None),
            [argument] if state.is_zoned() => self.reader.column_of(argument).map(Some),
            _ => None,
        };
        self.states.iter().map(column).collect()
    }

    /// Adds the rows of a morsel by what is known of their zones, if that is enough: nothing is read then. Returns whether it was.
    pub fn add_known(&mut self, morsel: &Morsel) -> Result<bool> {
        let Some(columns) = self.zoned() else { return Ok(false) };
        let Some(known) = morsel.known(&columns)? else { return Ok(false) };
        let (rows, group) = (0..morsel.rows(), self.only(0) as usize);
        for ((state, _), column) in self.states.iter_mut().zip(known) {
            state.grow(self.groups as usize);
            match column {
                Some(column) => state.add_zoned(&[column.none], &column.zones, rows.clone(), group)?,
                None => state.add_stretch(&[], rows.clone(), group)?,
            }
        }
        Ok(true)
    }

    /// Adds the rows of a block that count.
    pub fn add(&mut self, block: &Block) -> Result<()> {
        let rows = block.selected_rows();
        if rows == 0 {
            return Ok(());
        }
        if self.groups.checked_add(rows as u32).is_none() {
            return exec_err!("GROUP BY: more than {} groups; group by fewer columns or read fewer rows", u32::MAX);
        }
        let reader = self.reader.clone();
        let keys = reader.keys(block)?;
        let arguments = reader.arguments(block)?;
        let stretches: Vec<(i64, Range<usize>)> = match (reader.bucket, block.selection()) {
            (None, _) => vec![(0, 0..rows)],
            (Some((place, cut)), Selection::All) => Stretches::new(&wholes(block.column(place))?.values, cut).collect(),
            (Some((place, cut)), Selection::Rows(rows)) => {
                Stretches::of_rows(&wholes(block.column(place))?.values, rows, cut).collect()
            }
        };
        match reader.is_one_group() {
            true => self.add_whole(stretches, block, &arguments)?,
            false => self.add_stretches(&stretches, rows, &keys, &arguments)?,
        }
        self.charge()
    }

    /// Adds stretches of which each is of one group.
    fn add_whole(&mut self, stretches: Vec<(i64, Range<usize>)>, block: &Block, arguments: &[ArrayRef]) -> Result<()> {
        let stretches: Vec<(usize, Range<usize>)> =
            stretches.into_iter().map(|(bucket, rows)| (self.only(bucket) as usize, rows)).collect();
        let reader = self.reader.clone();
        self.each_state(arguments, |state, places, arguments| {
            let zones = match places {
                [place] if state.is_zoned() => reader.zones(block, *place)?,
                _ => None,
            };
            stretches.iter().try_for_each(|(group, rows)| match &zones {
                Some(zones) => state.add_zoned(arguments, zones, rows.clone(), *group),
                None => state.add_stretch(arguments, rows.clone(), *group),
            })
        })
    }

    fn add_stretches(
        &mut self,
        stretches: &[(i64, Range<usize>)],
        rows: usize,
        keys: &Keys,
        arguments: &[ArrayRef],
    ) -> Result<()> {
        if let (Keys::Slots(slots), Some(groups)) = (keys, self.numbering.by_slot())
            && self.states.iter().any(|(state, _)| state.is_dense())
            && dense::is_worth(rows, stretches.len(), groups.len())
        {
            return self.add_dense(stretches, slots, keys, arguments);
        }
        let mut numbers = take(&mut self.numbers);
        numbers.clear();
        numbers.reserve(rows);
        for (bucket, rows) in stretches {
            let section = self.enter(*bucket);
            let before = self.groups;
            self.groups = self.numbering.number(keys, rows.clone(), before, &mut numbers);
            self.sections[section].append(before..self.groups);
        }
        let added = self.each_state(arguments, |state, _, arguments| state.add_each(arguments, &numbers));
        self.numbers = numbers;
        added
    }

    /// Adds stretches of rows with few keys.
    fn add_dense(
        &mut self,
        stretches: &[(i64, Range<usize>)],
        slots: &[u32],
        keys: &Keys,
        arguments: &[ArrayRef],
    ) -> Result<()> {
        let mut numbers = take(&mut self.numbers);
        numbers.clear();
        let all_dense = self.states.iter().all(|(state, _)| state.is_dense());
        for (bucket, rows) in stretches {
            let section = self.enter(*bucket);
            let slots = &slots[rows.clone()];
            let counts = dense::counts(slots, self.numbering.by_slot().map_or(0, <[u32]>::len));
            let before = self.groups;
            if self.reader.is_sorted() {
                self.groups = self.numbering.number_slots(&counts, before);
            } else {
                self.number_new(keys, rows.clone(), &counts);
            }
            self.sections[section].append(before..self.groups);
            let Some(groups) = self.numbering.by_slot() else { continue };
            let dense = Dense::new(slots, &counts, groups);
            for (state, places) in self.states.iter_mut().filter(|(state, _)| state.is_dense()) {
                let arguments: Vec<ArrayRef> = places.iter().map(|place| arguments[*place].clone()).collect();
                state.grow(self.groups as usize);
                state.add_dense(&arguments, rows.clone(), &dense)?;
            }
            if !all_dense {
                numbers.extend(dense.of_rows().map(|group| group as u32));
            }
        }
        for (state, places) in self.states.iter_mut().filter(|(state, _)| !state.is_dense()) {
            let arguments: Vec<ArrayRef> = places.iter().map(|place| arguments[*place].clone()).collect();
            state.grow(self.groups as usize);
            state.add_each(&arguments, &numbers)?;
        }
        self.numbers = numbers;
        Ok(())
    }

    /// Numbers new groups in the order in which they appear, which most have done when few rows were looked at.
    fn number_new(&mut self, keys: &Keys, rows: Range<usize>, rows_by_slot: &[u32]) {
        let slots = self.numbering.by_slot().unwrap_or_default();
        let is_new = |(rows, group): &(&u32, &u32)| **rows > 0 && **group == 0;
        let wanted = self.groups + rows_by_slot.iter().zip(slots).filter(is_new).count() as u32;
        let mut of_rows = Vec::new();
        let mut next = rows.start;
        while self.groups < wanted && next < rows.end {
            let end = rows.end.min(next + LOOK_ROWS);
            of_rows.clear();
            self.groups = self.numbering.number(keys, next..end, self.groups, &mut of_rows);
            next = end;
        }
    }

    fn each_state(
        &mut self,
        arguments: &[ArrayRef],
        add: impl Fn(&mut dyn Groups, &[usize], &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        for (state, places) in &mut self.states {
            let arguments: Vec<ArrayRef> = places.iter().map(|place| arguments[*place].clone()).collect();
            state.grow(self.groups as usize);
            add(state.as_mut(), places, &arguments)?;
        }
        Ok(())
    }

    /// Returns the group that a bucket is.
    fn only(&mut self, bucket: i64) -> u32 {
        let section = self.enter(bucket);
        let section = &mut self.sections[section];
        if section.first.is_empty() {
            section.append(self.groups..self.groups + 1);
            self.groups += 1;
        }
        section.first.start
    }

    /// Takes the keys of a bucket to hand; returns its section.
    fn enter(&mut self, bucket: i64) -> usize {
        let current = self.current.filter(|at| self.sections[*at].bucket == bucket);
        if let Some(current) = current {
            return current;
        }
        if let Some(left) = self.current {
            self.numbering.put_away(self.sections[left].ranges());
        }
        let rising = self.sections.last().is_none_or(|last| last.bucket < bucket);
        let known = if rising && self.by_bucket.is_none() { None } else { self.index().get(&bucket).copied() };
        let section = known.unwrap_or(self.sections.len());
        match known {
            Some(section) => self.numbering.take_up(self.sections[section].ranges()),
            None => {
                if let Some(index) = &mut self.by_bucket {
                    index.insert(bucket, section);
                }
                let first = self.groups..self.groups;
                self.sections.push(Section { bucket, first, more: Vec::new() });
            }
        }
        self.current = Some(section);
        section
    }

    fn index(&mut self) -> &mut BTreeMap<i64, usize> {
        let sections = &self.sections;
        self.by_bucket.get_or_insert_with(|| sections.iter().enumerate().map(|(at, s)| (s.bucket, at)).collect())
    }

    /// Moves groups of `later`, which saw later rows, into ours: those of the sections named, whose buckets we have.
    pub fn take_over(&mut self, later: &mut Worker, sections: &[usize]) -> Result<()> {
        let (mut pairs, mut numbers) = (Vec::new(), Vec::new());
        for at in sections {
            let theirs = &later.sections[*at];
            if self.reader.is_one_group() {
                let ours = self.only(theirs.bucket);
                pairs.extend(theirs.ranges().flatten().map(|group| (group, ours)));
                continue;
            }
            let section = self.enter(theirs.bucket);
            for theirs in theirs.ranges() {
                if self.groups.checked_add(theirs.len() as u32).is_none() {
                    return exec_err!(
                        "GROUP BY: more than {} groups; group by fewer columns or read fewer rows",
                        u32::MAX
                    );
                }
                let groups: Vec<u32> = theirs.clone().collect();
                let (keys, before) = (later.numbering.keys(&groups), self.groups);
                numbers.clear();
                self.groups = self.numbering.number(&keys, 0..theirs.len(), before, &mut numbers);
                self.sections[section].append(before..self.groups);
                pairs.extend(theirs.zip(numbers.iter().copied()));
            }
        }
        self.reservation.try_grow(pairs.capacity() * size_of::<(u32, u32)>())?;
        for ((state, _), (later, _)) in self.states.iter_mut().zip(&mut later.states) {
            state.grow(self.groups as usize);
            state.merge(later.as_mut(), &pairs)?;
        }
        self.charge()
    }

    /// Makes the one group that there is without keys, also without rows.
    pub fn add_group(&mut self) {
        self.only(0);
        for (state, _) in &mut self.states {
            state.grow(self.groups as usize);
        }
    }

    /// Returns the sections, in the order in which buckets were first seen.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the groups of a section in the order of its rows; None where that is the order in which they appeared.
    pub fn sorted(&self, section: usize) -> Option<Vec<u32>> {
        if !self.reader.is_sorted() {
            return None;
        }
        let groups: Vec<u32> = self.sections[section].ranges().flatten().collect();
        let mut ranked: Vec<u64> = self.reader.ranks(&self.numbering.keys(&groups))?;
        // the rank above the group's place, so that plain numbers are sorted
        ranked.iter_mut().enumerate().for_each(|(place, rank)| *rank = *rank << 32 | place as u64);
        ranked.sort_unstable();
        Some(ranked.into_iter().map(|ranked| groups[ranked as u32 as usize]).collect())
    }

    /// Returns what sorting the largest section takes.
    pub fn sorting_bytes(&self) -> usize {
        if !self.reader.is_sorted() {
            return 0;
        }
        let groups = |section: &Section| section.ranges().map(|range| range.len()).sum::<usize>();
        let most = self.sections.iter().map(groups).max().unwrap_or(0);
        most * (size_of::<u64>() + 3 * size_of::<u32>())
    }

    /// Returns what is noted of the memory.
    pub fn memory(&self) -> &MemoryReservation {
        &self.reservation
    }

    /// Returns key columns and answers of groups, whose states are gone then; `buckets` has the bucket of each.
    pub fn columns(&mut self, groups: &[u32], buckets: &[i64]) -> Result<Vec<ArrayRef>> {
        let mut columns = self.reader.key_columns(&self.numbering.keys(groups), buckets)?;
        for (state, _) in &mut self.states {
            columns.push(state.answers(groups)?);
        }
        Ok(columns)
    }

    /// Notes what is held.
    fn charge(&mut self) -> Result<()> {
        let states: usize = self.states.iter().map(|(state, _)| state.size()).sum();
        let sections = self.sections.capacity() * size_of::<Section>();
        let held = states + sections + self.numbering.size() + self.numbers.capacity() * size_of::<u32>();
        self.reservation.try_resize(held)
    }
}
