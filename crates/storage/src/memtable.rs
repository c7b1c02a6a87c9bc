//! Rows that are in the log but not yet in a segment: [`Memtable`], an immutable list of parts in order of arrival.
//!
//! A commit makes a new memtable that shares all but the last parts with the old one, so a read view is a clone.
//! Small parts of one generation are joined as they come (each row is copied a logarithmic number of times).

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use types::{PartitionBy, PartitionKey, Seq};

use crate::Result;
use crate::chunk::Chunk;
use crate::run::SortedChunk;

/// Parts are not joined beyond this.
const MAX_PART_ROWS: usize = 64 << 10;
/// Parts of a size are joined when there are so many: each join makes parts of the next size, this much larger.
const FAN_IN: usize = 8;

/// Rows of one table between the last flush and now.
#[derive(Clone, Default)]
pub struct Memtable {
    parts: Vec<Arc<Part>>,
    rows: u64,
    bytes: u64,
}

/// Adjacent commits of one generation.
pub struct Part {
    chunk: Chunk,
    /// Seq of each commit and the row behind its last one.
    commits: Vec<(Seq, usize)>,
    runs: OnceLock<Vec<(PartitionKey, Arc<SortedChunk>)>>,
}

impl Part {
    fn of_commit(chunk: Chunk) -> Part {
        Part { commits: vec![(chunk.last_seq, chunk.rows)], chunk, runs: OnceLock::new() }
    }

    fn join(parts: &[Arc<Part>]) -> Result<Part> {
        let chunk = Chunk::concat(&parts.iter().map(|part| &part.chunk).collect::<Vec<_>>())?;
        let mut commits = Vec::with_capacity(parts.iter().map(|part| part.commits.len()).sum());
        let mut rows = 0;
        for part in parts {
            commits.extend(part.commits.iter().map(|(seq, end)| (*seq, rows + end)));
            rows += part.chunk.rows;
        }
        Ok(Part { chunk, commits, runs: OnceLock::new() })
    }

    /// Returns the rows of commits in `seqs` (half open: after the first, through the second), in order of arrival.
    fn between(&self, after: Seq, through: Seq) -> Result<Option<Chunk>> {
        let rows_through = |seq: Seq| match self.commits.partition_point(|(s, _)| *s <= seq) {
            0 => 0,
            n => self.commits[n - 1].1,
        };
        let (start, end) = (rows_through(after), rows_through(through));
        if start >= end {
            return Ok(None);
        }
        if start == 0 && end == self.chunk.rows {
            return Ok(Some(self.chunk.clone()));
        }
        let mut chunk = self.chunk.slice(start..end)?;
        chunk.first_seq = self.commits[self.commits.partition_point(|(_, e)| *e <= start)].0;
        chunk.last_seq = self.commits[self.commits.partition_point(|(_, e)| *e < end)].0;
        Ok(Some(chunk))
    }

    /// Returns the part without the rows before a moment; None when none is left.
    fn since(&self, start_us: i64) -> Result<Option<Part>> {
        let kept = self.chunk.rows_since(start_us)?;
        let mut commits = Vec::new();
        let (mut row, mut rows) = (0, 0);
        for &(seq, end) in &self.commits {
            let before = rows;
            rows += (row..end).filter(|&row| kept.value(row)).count();
            row = end;
            if rows > before {
                commits.push((seq, rows));
            }
        }
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return Ok(None) };
        let mut chunk = self.chunk.filter(&kept)?;
        (chunk.first_seq, chunk.last_seq) = (first.0, last.0);
        Ok(Some(Part { chunk, commits, runs: OnceLock::new() }))
    }

    /// Returns the rows by partition, each in the order of the designated timestamp; sorted once, then kept.
    pub fn partitions(&self, by: PartitionBy) -> Result<&[(PartitionKey, Arc<SortedChunk>)]> {
        if self.runs.get().is_none() {
            let sorted = self.chunk.sorted()?;
            let mut runs = Vec::new();
            for (key, rows) in sorted.partitions(by)? {
                runs.push((key, Arc::new(SortedChunk::new(sorted.slice(rows)?))));
            }
            let _ = self.runs.set(runs);
        }
        Ok(self.runs.get().expect("it was set just now, here or by another reader"))
    }

    /// Returns the Seq of the commit that brought a row (in the order of arrival), and the row behind its last one.
    pub fn commit_of(&self, row: usize) -> (Seq, usize) {
        self.commits[self.commits.partition_point(|(_, end)| *end <= row)]
    }

    /// Returns the rows in order of arrival.
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }
}

/// Returns which parts to join: the newest part and those before it that are no larger, when they are many.
fn joinable(parts: &[Arc<Part>]) -> Option<Range<usize>> {
    let newest = &parts.last()?.chunk;
    let limit = (newest.rows.max(1).ilog2() / FAN_IN.ilog2() + 1) * FAN_IN.ilog2();
    let alike = |part: &&Arc<Part>| part.chunk.generation == newest.generation && part.chunk.rows >> limit == 0;
    let count = parts.iter().rev().take_while(alike).count();
    if count < FAN_IN {
        return None;
    }
    let full = |pair: &[Arc<Part>]| pair[0].chunk.rows + pair[1].chunk.rows > MAX_PART_ROWS;
    let start = parts.len() - count;
    let start = start + parts[start..].windows(2).take_while(|pair| full(pair)).count();
    let mut rows = 0;
    let fit = parts[start..].iter().take_while(|part| {
        rows += part.chunk.rows;
        rows <= MAX_PART_ROWS
    });
    let end = start + fit.count();
    let chunks: Vec<&Chunk> = parts[start..end].iter().map(|part| &part.chunk).collect();
    let count = Chunk::groups_that_fit(&chunks).first()?.len();
    (count > 1).then_some(start..start + count)
}

impl Memtable {
    /// Returns the memtable with the rows of one more commit.
    pub fn with(&self, chunk: Chunk) -> Result<Memtable> {
        let mut next = Memtable {
            parts: self.parts.clone(),
            rows: self.rows + chunk.rows as u64,
            bytes: self.bytes + chunk.bytes as u64,
        };
        next.parts.push(Arc::new(Part::of_commit(chunk)));
        while let Some(group) = joinable(&next.parts) {
            let joined = Part::join(&next.parts[group.clone()])?;
            next.parts.splice(group, [Arc::new(joined)]);
        }
        Ok(next)
    }

    /// Returns what is left when the rows of commits through `seq` are in segments or gone.
    pub fn after(&self, seq: Seq) -> Result<Memtable> {
        let mut next = Memtable::default();
        for part in &self.parts {
            if part.chunk.first_seq > seq {
                next.rows += part.chunk.rows as u64;
                next.bytes += part.chunk.bytes as u64;
                next.parts.push(part.clone());
            } else if part.chunk.last_seq > seq
                && let Some(rest) = part.between(seq, Seq(u64::MAX))?
            {
                next.rows += rest.rows as u64;
                next.bytes += rest.bytes as u64;
                let shift = part.chunk.rows - rest.rows;
                let commits = part.commits.iter().filter(|(s, _)| *s > seq).map(|(s, e)| (*s, e - shift)).collect();
                next.parts.push(Arc::new(Part { chunk: rest, commits, runs: OnceLock::new() }));
            }
        }
        Ok(next)
    }

    /// Returns the rows of commits through `seq` alone.
    pub fn until(&self, seq: Seq) -> Result<Memtable> {
        let mut next = Memtable::default();
        for part in self.parts.iter().filter(|part| part.chunk.first_seq <= seq) {
            let part = match part.between(Seq::ZERO, seq)? {
                Some(head) if head.rows < part.chunk.rows => {
                    let commits = part.commits.iter().filter(|(s, _)| *s <= seq).copied().collect();
                    Arc::new(Part { chunk: head, commits, runs: OnceLock::new() })
                }
                _ => part.clone(),
            };
            next.rows += part.chunk.rows as u64;
            next.bytes += part.chunk.bytes as u64;
            next.parts.push(part);
        }
        Ok(next)
    }

    /// Returns what is left without the rows before a moment.
    pub fn since(&self, start_us: i64) -> Result<Memtable> {
        let mut next = Memtable::default();
        for part in &self.parts {
            let part =
                if part.chunk.ts_min >= start_us { Some(part.clone()) } else { part.since(start_us)?.map(Arc::new) };
            next.rows += part.as_ref().map_or(0, |p| p.chunk.rows as u64);
            next.bytes += part.as_ref().map_or(0, |p| p.chunk.bytes as u64);
            next.parts.extend(part);
        }
        Ok(next)
    }

    /// Returns the rows of commits through `seq`, in order of arrival.
    pub fn through(&self, seq: Seq) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::new();
        for part in &self.parts {
            chunks.extend(part.between(Seq::ZERO, seq)?);
        }
        Ok(chunks)
    }

    /// Returns the parts in order of arrival.
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the bytes that the rows take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the Seq of the oldest commit in it.
    pub fn first_seq(&self) -> Option<Seq> {
        self.parts.first().map(|p| p.chunk.first_seq)
    }

    /// Returns the Seq of the newest commit in it.
    pub fn last_seq(&self) -> Option<Seq> {
        self.parts.last().map(|p| p.chunk.last_seq)
    }
}

#[cfg(test)]
mod tests {
    use types::{ColumnData, ColumnDef, ColumnId, ColumnType, PartitionBy, Schema};

    use super::*;
    use crate::chunk::{ResolvedBatch, ResolvedColumn};

    fn schema() -> Schema {
        let column = ColumnDef::new(ColumnId(1), "ts", ColumnType::Timestamp);
        Schema::new(vec![column], Some(ColumnId(1)), PartitionBy::Day, true)
    }

    fn commit(seq: u64, generation: u64, times: &[i64]) -> Chunk {
        let data = ColumnData::I64(times.to_vec());
        let columns = vec![ResolvedColumn { id: ColumnId(1), column_type: ColumnType::Timestamp, data }];
        Chunk::from_batch(&schema(), ResolvedBatch { rows: times.len(), columns }, Seq(seq), generation).unwrap()
    }

    #[test]
    fn small_commits_are_joined_and_can_be_parted_again() {
        let mut memtable = Memtable::default();
        for seq in 1..=100 {
            memtable = memtable.with(commit(seq, 0, &[seq as i64, 0])).unwrap();
        }
        assert!(memtable.parts().len() <= 12, "{}", memtable.parts().len());
        for seq in 0..=100 {
            let (head, tail) = (memtable.through(Seq(seq)).unwrap(), memtable.after(Seq(seq)).unwrap());
            assert_eq!(head.iter().map(|c| c.rows as u64).sum::<u64>(), 2 * seq);
            assert_eq!(tail.rows(), 200 - 2 * seq);
            let until = memtable.until(Seq(seq)).unwrap();
            assert_eq!((until.rows(), until.last_seq()), (2 * seq, (seq > 0).then_some(Seq(seq))));
            assert_eq!(head.last().map(|c| c.last_seq), (seq > 0).then_some(Seq(seq)));
            assert_eq!(tail.first_seq(), (seq < 100).then_some(Seq(seq + 1)));
            assert_eq!(tail.after(Seq(100)).unwrap().rows(), 0);
        }
    }

    #[test]
    fn generations_stay_apart() {
        let one = Memtable::default().with(commit(1, 0, &[1])).unwrap();
        let two = one.with(commit(3, 1, &[2])).unwrap();
        assert_eq!((one.parts().len(), two.parts().len()), (1, 2));
    }

    #[test]
    fn an_unsorted_part_is_sorted_once() {
        let memtable = Memtable::default().with(commit(1, 0, &[3, 1, 2])).unwrap();
        let part = &memtable.parts()[0];
        let runs = part.partitions(PartitionBy::Day).unwrap();
        assert!(!part.chunk().sorted && runs.len() == 1 && runs[0].1.chunk().sorted);
        assert!(std::ptr::eq(runs, part.partitions(PartitionBy::Day).unwrap()));
    }
}
