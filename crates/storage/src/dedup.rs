//! DEDUP UPSERT KEYS: which rows replace which, resolved once for reads and flushes alike.
//!
//! A row of a commit replaces every live row of equal keys and takes its place; rows of equal time that are new stand
//! behind the old ones, those of one commit in the order of their keys. The rows in memory are resolved part by part
//! against the segments and the parts before: the outcome is dead rows in what was there and one sorted overlay a
//! partition. Where a replaced row had others of its time behind it, these move into the overlay too, so that the order
//! of rows is right without a column for it. [`group`] decides about the rows of one moment, [`keys`] compares keys.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;
use types::{DedupRule, PartitionKey, Schema};

use crate::Result;
use crate::chunk::Chunk;
use crate::memtable::Part;
use crate::run::{Run, SortedChunk};
use crate::table::{SegmentMap, TableState};

mod group;
mod keys;
mod part;

#[cfg(test)]
mod tests;

/// The rows in memory of one state of a table, resolved.
pub(crate) struct Resolved {
    segments: Arc<SegmentMap>,
    rules: Vec<DedupRule>,
    parts: Vec<ResolvedPart>,
}

/// What the rows of one part do.
#[derive(Clone)]
struct ResolvedPart {
    part: Arc<Part>,
    partitions: Arc<Vec<ResolvedRows>>,
}

/// What rows of one part do in one partition.
struct ResolvedRows {
    partition: PartitionKey,
    /// The rows that live after the part, new ones and moved ones.
    overlay: Arc<SortedChunk>,
    /// Rows that are dead from this part on, by the position of their run: segments first, then overlays of earlier parts.
    killed: Vec<(usize, RoaringBitmap)>,
}

/// What a flush has to write of one partition.
pub(crate) struct FlushedPartition {
    pub partition: PartitionKey,
    pub rows: Option<Chunk>,
    /// Positions of segments with all their dead rows.
    pub dead: Vec<(usize, RoaringBitmap)>,
}

impl Resolved {
    /// Resolves the rows in memory of a table; what `former` has in common with it is taken over.
    pub fn new(table: &TableState, former: Option<&Resolved>) -> Result<Resolved> {
        let rules = table.schema.dedup.clone();
        let mut resolved = Resolved { segments: table.segments.clone(), rules, parts: Vec::new() };
        if let Some(former) = former.filter(|f| Arc::ptr_eq(&f.segments, &table.segments) && f.rules == resolved.rules)
        {
            let same = former.parts.iter().zip(table.memtable.parts()).take_while(|(a, b)| Arc::ptr_eq(&a.part, b));
            resolved.parts = same.map(|(known, _)| known.clone()).collect();
        }
        for part in &table.memtable.parts()[resolved.parts.len()..] {
            let partitions = Arc::new(resolved.resolve(&table.schema, part)?);
            resolved.parts.push(ResolvedPart { part: part.clone(), partitions });
        }
        Ok(resolved)
    }

    fn resolve(&self, schema: &Schema, part: &Part) -> Result<Vec<ResolvedRows>> {
        let mut done = Vec::new();
        for (partition, rows) in part::by_time(part.chunk(), schema.partition_by)? {
            let older = self.runs_of(partition)?;
            let (overlay, killed) = part::resolve(schema, &self.rules, part, &rows, &older)?;
            done.push(ResolvedRows { partition, overlay: Arc::new(SortedChunk::new(overlay)), killed });
        }
        Ok(done)
    }

    /// Returns the runs of a partition in the order of arrival, with their dead rows.
    fn runs_of(&self, partition: PartitionKey) -> Result<Vec<Run>> {
        let segments = self.segments.get(&partition).into_iter().flatten();
        let mut runs: Vec<Run> = segments.map(|s| Run::of_segment(partition, s.clone())).collect();
        let mut killed: BTreeMap<usize, RoaringBitmap> = BTreeMap::new();
        for rows in self.rows_of(partition) {
            for (run, dead) in &rows.killed {
                *killed.entry(*run).or_default() |= dead;
            }
            runs.push(Run::of_chunk(partition, rows.overlay.clone()));
        }
        for (at, mut dead) in killed {
            if let Some(before) = runs[at].dead()? {
                dead |= &*before;
            }
            runs[at] = runs[at].clone().with_dead(Arc::new(dead));
        }
        Ok(runs)
    }

    fn rows_of(&self, partition: PartitionKey) -> impl Iterator<Item = &ResolvedRows> {
        self.parts.iter().flat_map(|p| p.partitions.iter()).filter(move |rows| rows.partition == partition)
    }

    /// Returns the runs of all partitions that rows in memory have to do with.
    pub fn runs(&self) -> Result<BTreeMap<PartitionKey, Vec<Run>>> {
        let mut touched: Vec<PartitionKey> =
            self.parts.iter().flat_map(|p| p.partitions.iter().map(|rows| rows.partition)).collect();
        touched.sort();
        touched.dedup();
        touched.into_iter().map(|partition| Ok((partition, self.runs_of(partition)?))).collect()
    }

    /// Returns what a flush of all the rows has to write.
    pub fn flushed(&self) -> Result<Vec<FlushedPartition>> {
        let mut flushed = Vec::new();
        for (partition, runs) in self.runs()? {
            let segments = self.segments.get(&partition).map_or(0, |of| of.len());
            let killed = |at: &usize| self.rows_of(partition).any(|rows| rows.killed.iter().any(|(run, _)| run == at));
            let mut dead = Vec::new();
            for at in (0..segments).filter(killed) {
                dead.extend(runs[at].dead()?.map(|rows| (at, RoaringBitmap::clone(&rows))));
            }
            let overlays = self.rows_of(partition).zip(&runs[segments..]);
            let mut live = Vec::new();
            for (rows, run) in overlays {
                let chunk = match run.dead()? {
                    None => rows.overlay.chunk().clone(),
                    Some(dead) => rows.overlay.chunk().without(&dead)?,
                };
                live.extend((chunk.rows > 0).then_some(chunk));
            }
            let rows = match live.as_slice() {
                [] => None,
                live => Some(Chunk::concat(&live.iter().collect::<Vec<_>>())?.sorted()?),
            };
            flushed.push(FlushedPartition { partition, rows, dead });
        }
        Ok(flushed)
    }
}

/// The resolved rows of a table's state, once somebody asked for them, and those of a state before.
#[derive(Clone, Default)]
pub(crate) struct DedupCache {
    slot: Arc<OnceLock<Arc<Resolved>>>,
    former: Option<Arc<Resolved>>,
}

impl DedupCache {
    /// Returns the cache of the state after one more commit.
    pub fn next(&self) -> DedupCache {
        DedupCache { slot: Arc::default(), former: self.slot.get().cloned().or_else(|| self.former.clone()) }
    }

    /// Returns the resolved rows of the state.
    pub fn get(&self, table: &TableState) -> Result<Arc<Resolved>> {
        if let Some(resolved) = self.slot.get() {
            return Ok(resolved.clone());
        }
        let resolved = Arc::new(Resolved::new(table, self.former.as_deref())?);
        let _ = self.slot.set(resolved.clone());
        Ok(resolved)
    }
}
