//! One part of a memtable against what was there before: [`resolve`], moment by moment.

use arrow_array::{Array, ArrayRef};
use roaring::RoaringBitmap;
use types::{ColumnId, ColumnType, DedupRule, PartitionBy, PartitionKey, Schema};

use super::group::{Group, RowAt};
use super::keys::KeyColumns;
use crate::arrow_type::absent_column;
use crate::chunk::Chunk;
use crate::memtable::Part;
use crate::merge::times_of;
use crate::run::{OpenRun, Run};
use crate::{Error, Result};

/// Returns the rows of a chunk by partition, each in the order of time, rows of equal time in the order of arrival.
pub(super) fn by_time(chunk: &Chunk, by: PartitionBy) -> Result<Vec<(PartitionKey, Vec<usize>)>> {
    let order = chunk.time_order()?;
    let mut partitions: Vec<(PartitionKey, Vec<usize>)> = Vec::new();
    for row in order {
        let key = chunk.partition_of(row, by)?;
        match partitions.last_mut() {
            Some((last, rows)) if *last == key => rows.push(row),
            _ => partitions.push((key, vec![row])),
        }
    }
    Ok(partitions)
}

/// A run that was there before, and how far the moments have come in it.
struct Older {
    run: OpenRun,
    times: arrow_buffer::ScalarBuffer<i64>,
    next: usize,
}

impl Older {
    /// Returns the live rows of a moment; moments rise from call to call.
    fn rows_at(&mut self, ts: i64) -> Vec<usize> {
        self.next = first_at(&self.times, self.next, ts);
        let end = first_at(&self.times, self.next, ts.saturating_add(1));
        let rows = self.next..end;
        self.next = end;
        rows.filter(|&row| self.run.dead().is_none_or(|dead| !dead.contains(row as u32))).collect()
    }
}

/// Returns the first row at or behind a moment, from `start` on, by steps that double.
fn first_at(times: &[i64], start: usize, ts: i64) -> usize {
    let (mut low, mut step) = (start, 1);
    while low + step < times.len() && times[low + step] < ts {
        low += step;
        step *= 2;
    }
    let high = (low + step + 1).min(times.len());
    low + times[low..high].partition_point(|&t| t < ts)
}

/// The rows of one partition of a part and the runs before it; sources are the runs, then the part.
struct Sources<'a> {
    schema: &'a Schema,
    part: &'a Part,
    older: Vec<Option<Older>>,
    /// Key columns by source, of the rule that they were last made for.
    keys: Option<(usize, Vec<Option<KeyColumns>>)>,
}

/// Resolves some rows of a part, in the order of time, against the runs of their partition. Returns the overlay and the
/// rows that are dead from now on, by the position of their run.
pub(super) fn resolve(
    schema: &Schema,
    rules: &[DedupRule],
    part: &Part,
    rows: &[usize],
    runs: &[Run],
) -> Result<(Chunk, Vec<(usize, RoaringBitmap)>)> {
    let designated = schema.designated.ok_or_else(|| Error::Invalid("no designated timestamp".to_owned()))?;
    let times = part.chunk().time_values()?;
    let bounds = (part.chunk().ts_min, part.chunk().ts_max);
    let mut older = Vec::with_capacity(runs.len());
    for run in runs {
        // Bounds are in microseconds also where times are finer.
        older.push(if run.ts_max < bounds.0 || run.ts_min > bounds.1 {
            None
        } else {
            let run = run.open()?;
            Some(Older { times: times_of(&run, designated)?, run, next: 0 })
        });
    }
    let mut sources = Sources { schema, part, older, keys: None };
    let mut killed: Vec<RoaringBitmap> = vec![RoaringBitmap::new(); runs.len()];
    let mut overlay: Vec<RowAt> = Vec::with_capacity(rows.len());
    let mut start = 0;
    while start < rows.len() {
        let ts = times[rows[start]];
        let end = start + rows[start..].iter().take_while(|&&row| times[row] == ts).count();
        let outcome = sources.moment(rules, ts, &rows[start..end])?;
        for dead in outcome.killed {
            killed[dead.source].insert(dead.row as u32);
        }
        overlay.extend(outcome.overlay);
        start = end;
    }
    let overlay = sources.gather(rules, &overlay)?;
    Ok((overlay, killed.into_iter().enumerate().filter(|(_, dead)| !dead.is_empty()).collect()))
}

impl Sources<'_> {
    /// Resolves the rows of one moment, which stand in the order of arrival.
    fn moment(&mut self, rules: &[DedupRule], ts: i64, rows: &[usize]) -> Result<super::group::Outcome> {
        let mut old = Vec::new();
        for (source, older) in self.older.iter_mut().enumerate() {
            let rows = older.as_mut().map(|older| older.rows_at(ts)).unwrap_or_default();
            old.extend(rows.into_iter().map(|row| RowAt { source, row }));
        }
        let source = self.older.len();
        let mut group = Group::of_old(old);
        let mut keyed_by = None;
        let mut start = 0;
        while start < rows.len() {
            let (seq, commit_end) = self.part.commit_of(rows[start]);
            let end = start + rows[start..].partition_point(|&row| row < commit_end);
            let commit = rows[start..end].iter().map(|&row| RowAt { source, row });
            start = end;
            let Some(rule) = rules.iter().rposition(|rule| rule.since <= seq).filter(|&at| !rules[at].keys.is_empty())
            else {
                group.append_all(commit);
                keyed_by = None;
                continue;
            };
            self.make_keys(rules, rule)?;
            if keyed_by != Some(rule) {
                group.key_by(|at| self.key(at))?;
                keyed_by = Some(rule);
            }
            let keyed = commit.map(|at| Ok((self.key(at)?, at))).collect::<Result<Vec<_>>>()?;
            group.upsert(keyed.into_iter());
        }
        Ok(group.finish())
    }

    fn make_keys(&mut self, rules: &[DedupRule], rule: usize) -> Result<()> {
        if self.keys.as_ref().is_some_and(|(made, _)| *made == rule) {
            return Ok(());
        }
        let designated = self.schema.designated;
        let keys = rules[rule].keys.iter().copied().filter(|id| Some(*id) != designated);
        // A key column that was dropped since, and that no row has, tells no rows apart.
        let keys: Vec<(ColumnId, ColumnType)> = keys.filter_map(|id| Some((id, self.type_of(id)?))).collect();
        let mut columns = Vec::with_capacity(self.older.len() + 1);
        for older in &self.older {
            columns.push(older.as_ref().map(|older| KeyColumns::of_run(&older.run, &keys)).transpose()?);
        }
        let chunk = self.part.chunk();
        let own = |(id, column_type): &(ColumnId, ColumnType)| {
            chunk.column(*id).cloned().unwrap_or_else(|| absent_column(*column_type, chunk.rows))
        };
        columns.push(Some(KeyColumns::of_arrays(keys.iter().map(own).collect())));
        self.keys = Some((rule, columns));
        Ok(())
    }

    fn type_of(&self, id: ColumnId) -> Option<ColumnType> {
        let in_schema = self.schema.column_by_id(id).map(|c| c.column_type);
        let in_part = || self.part.chunk().columns.iter().find(|(column, ..)| *column == id).map(|(_, t, _)| *t);
        let in_older = || self.older.iter().flatten().find_map(|older| older.run.column_type(id));
        in_schema.or_else(in_part).or_else(in_older)
    }

    fn key(&self, at: RowAt) -> Result<Vec<u8>> {
        let (_, columns) = self.keys.as_ref().expect("make_keys() came first");
        columns[at.source].as_ref().expect("rows come from opened runs").key(at.row)
    }

    /// Returns the rows as a chunk.
    fn gather(&self, rules: &[DedupRule], rows: &[RowAt]) -> Result<Chunk> {
        let chunk = self.part.chunk();
        let own = self.older.len();
        let mut slots = vec![usize::MAX; own + 1];
        let mut used = Vec::new();
        let mut picked = Vec::with_capacity(rows.len());
        for at in rows {
            if slots[at.source] == usize::MAX {
                slots[at.source] = used.len();
                used.push(at.source);
            }
            picked.push((slots[at.source], at.row));
        }
        let mut columns = Vec::new();
        for (id, column_type) in self.columns(rules, &used) {
            let of_source = |&source: &usize| -> Result<ArrayRef> {
                let (present, len) = match self.older.get(source) {
                    Some(older) => {
                        let older = older.as_ref().expect("rows come from opened runs");
                        (older.run.column(id)?, older.run.rows())
                    }
                    None => (chunk.column(id).cloned(), chunk.rows),
                };
                Ok(present.unwrap_or_else(|| absent_column(column_type, len)))
            };
            let arrays = used.iter().map(of_source).collect::<Result<Vec<_>>>()?;
            let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
            let array = arrow_select::interleave::interleave(&arrays, &picked)
                .map_err(|e| Error::Invalid(format!("rows of column {id} cannot be put together: {e}")))?;
            columns.push((id, column_type, array));
        }
        chunk.with_rows(rows.len(), columns)
    }

    /// Returns the columns that the overlay needs, in the order of ids: those of the part, and of rows that moved.
    fn columns(&self, rules: &[DedupRule], used: &[usize]) -> Vec<(ColumnId, ColumnType)> {
        let chunk = self.part.chunk();
        let mut columns: Vec<(ColumnId, ColumnType)> = chunk.columns.iter().map(|(id, t, _)| (*id, *t)).collect();
        let keys = rules.iter().flat_map(|rule| rule.keys.iter().copied());
        let wanted: Vec<ColumnId> = self.schema.columns.iter().map(|c| c.id).chain(keys).collect();
        for older in used.iter().filter_map(|&source| self.older.get(source)?.as_ref()) {
            columns.extend(wanted.iter().filter_map(|id| Some((*id, older.run.column_type(*id)?))));
        }
        columns.sort_by_key(|(id, _)| *id);
        columns.dedup_by_key(|(id, _)| *id);
        columns
    }
}
