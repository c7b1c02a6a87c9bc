//! DROP TABLE, and what becomes of a dropped table: it may come back for a while ([`Database::undrop_table`]), then it goes.
//!
//! Until then it is part of the state, of bases and of snapshots, and no query, name or writer meets it. Rows of it that
//! were in memory are flushed in the background, so that it holds no log for long. It goes by a frame of its own, when its
//! time is over, when it is asked to, or when the disk is nearly full.
//!
//! The time runs by the monotonic clock, and over a restart by the times of commits: a wall clock that is ahead for a
//! moment must not end it. So what passes between the last commit and a start is not counted.

use std::collections::HashMap;
use std::path::Path;

use types::{Seq, TableId, TableName};

use super::Database;
use super::ddl::table;
use crate::catalog::{DbState, Dropped};
use crate::log::writer::Urgency;
use crate::record::{CatalogChange, Record};
use crate::{Error, Result};

/// A table that was dropped and may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTable {
    pub id: TableId,
    pub name: TableName,
    pub dropped_us: i64,
    /// When it goes, by the wall clock as it is now.
    pub until_us: i64,
    pub rows: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
}

/// When the grace of each drop that this run has seen is over, by the monotonic clock.
pub(super) type Graces = HashMap<(TableId, Seq), i64>;

impl Database {
    /// Drops a table. It may come back for as long as the options say; its files go afterwards, when no snapshot and no
    /// reader needs them. Visible on return, durable as the commit mode says.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there any more.
    pub fn drop_table(&self, id: TableId) -> Result<()> {
        let change = if self.options.drop_grace_us > 0 {
            CatalogChange::SetAside { table: id, dropped_us: self.disk.env.clock.now_us() }
        } else {
            CatalogChange::Drop { table: id }
        };
        self.commit_records(Urgency::Urgent, vec![Record::Catalog(change)], |state| table(state, id).map(drop))?;
        Ok(())
    }

    /// Brings a dropped table back: the one of that id, or the latest of that name, under its own name or another one.
    /// Visible on return, durable as the commit mode says.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no such table is kept, [`Error::Exists`] when the name is taken.
    pub fn undrop_table(&self, name: &str, id: Option<TableId>, as_name: Option<&TableName>) -> Result<TableId> {
        let mut back = TableId(0);
        self.commit(Urgency::Urgent, 1024, |state| {
            let dropped = find_dropped(state, name, id)?;
            let name = as_name.unwrap_or(&dropped.table.name).clone();
            state.check_free_or(&name, "; UNDROP it AS another name, or rename or drop that one first")?;
            back = dropped.table.id;
            Ok(vec![Record::Catalog(CatalogChange::Undrop { table: back, name })])
        })?;
        Ok(back)
    }

    /// Lets a dropped table go at once: the one of that id, or the latest of that name. Its files go with the next steps of
    /// gc, when no snapshot and no reader needs them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no such table is kept.
    pub fn purge_table(&self, name: &str, id: Option<TableId>) -> Result<TableId> {
        let mut gone = TableId(0);
        self.commit(Urgency::Urgent, 256, |state| {
            gone = find_dropped(state, name, id)?.table.id;
            Ok(vec![Record::Catalog(CatalogChange::Purge { table: gone })])
        })?;
        Ok(gone)
    }

    /// Returns the tables that were dropped and may come back, the latest drop first.
    ///
    /// # Errors
    /// Of a table with DEDUP keys, those of opening its segments.
    pub fn dropped_tables(&self) -> Result<Vec<DroppedTable>> {
        let view = self.view();
        let mut found = oldest_first(view.state());
        found.reverse();
        let now_us = self.disk.env.clock.now_us();
        let of = |dropped: &Dropped| {
            let table = &dropped.table;
            Ok(DroppedTable {
                id: table.id,
                name: table.name.clone(),
                dropped_us: dropped.dropped_us,
                until_us: now_us.saturating_add(self.left_us(dropped)),
                rows: table.rows()?,
                size_bytes: table.named_files().map(|named| named.len_bytes).sum(),
            })
        };
        found.into_iter().map(of).collect()
    }

    /// Lets the tables go whose time to come back is over.
    pub fn step_dropped(&self) -> Result<()> {
        let view = self.view();
        let found = oldest_first(view.state());
        let is_there = |id: &TableId, seq: &Seq| view.state().dropped.get(id).is_some_and(|found| found.seq == *seq);
        self.graces.lock().expect("no holder of this lock panics").retain(|(id, seq), _| is_there(id, seq));
        found.into_iter().filter(|dropped| self.left_us(dropped) <= 0).try_for_each(|dropped| self.purge(dropped))
    }

    /// Lets the table go that was dropped first, where dropped tables take as much of the disk as is worth it. Returns
    /// whether one went.
    pub(crate) fn shed_dropped(&self, free_bytes: u64, worth_bytes: u64) -> Result<bool> {
        let view = self.view();
        let found = oldest_first(view.state());
        let free = |dropped: &Dropped, held: &dyn Fn(&Path) -> bool| -> u64 {
            let dir = dropped.table.path(&self.disk.layout);
            dropped.table.named_files().filter(|named| !held(&dir.join(named.file))).map(|named| named.len_bytes).sum()
        };
        let frees: Vec<u64> = {
            let gc = self.gc.lock().expect("no holder of the gc lock panics");
            found.iter().map(|dropped| free(dropped, &|path| gc.pins.holds(path))).collect()
        };
        let oldest = found.iter().zip(&frees).find(|(_, bytes)| **bytes > 0);
        let Some((oldest, _)) = oldest.filter(|_| frees.iter().sum::<u64>() >= worth_bytes) else { return Ok(false) };
        let name = &oldest.table.name;
        tracing::warn!("{free_bytes} bytes are free: table {name}, which was dropped, cannot come back any longer");
        self.purge(oldest)?;
        Ok(true)
    }

    fn purge(&self, dropped: &Dropped) -> Result<()> {
        let change = CatalogChange::Purge { table: dropped.table.id };
        let purged = self.commit_records(Urgency::Urgent, vec![Record::Catalog(change)], |state| {
            let is_there = state.dropped.contains_key(&dropped.table.id);
            is_there.then_some(()).ok_or_else(|| missing(dropped.table.name.as_str(), Some(dropped.table.id)))
        });
        match purged {
            // It came back meanwhile.
            Err(Error::NotFound(_)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// How long a table may still come back. A root that was restored gives its tables their whole time again.
    fn left_us(&self, dropped: &Dropped) -> i64 {
        let since_us = dropped.dropped_us.max(self.history.current().created_us);
        let now_us = self.disk.env.clock.monotonic_us();
        let first = || now_us.saturating_add(self.rest_at_begin_us(since_us, self.options.drop_grace_us));
        let mut graces = self.graces.lock().expect("no holder of this lock panics");
        *graces.entry((dropped.table.id, dropped.seq)).or_insert_with(first) - now_us
    }

    /// What was left of a grace when this run began: how much of it has passed, the time of the last commit before tells.
    pub(crate) fn rest_at_begin_us(&self, since_us: i64, grace_us: i64) -> i64 {
        grace_us - self.began_us.saturating_sub(since_us).max(0)
    }
}

fn oldest_first(state: &DbState) -> Vec<&Dropped> {
    let mut found: Vec<&Dropped> = state.dropped.values().collect();
    found.sort_by_key(|dropped| (dropped.seq, dropped.table.id));
    found
}

fn find_dropped<'a>(state: &'a DbState, name: &str, id: Option<TableId>) -> Result<&'a Dropped> {
    let folded = name.to_lowercase();
    let of_name = state.dropped.values().filter(|dropped| dropped.table.name.folded() == folded);
    let of_id = of_name.filter(|dropped| id.is_none_or(|id| dropped.table.id == id));
    of_id.max_by_key(|dropped| (dropped.seq, dropped.table.id)).ok_or_else(|| missing(name, id))
}

fn missing(name: &str, id: Option<TableId>) -> Error {
    let which = id.map_or_else(String::new, |id| format!(" with id {id}"));
    Error::NotFound(format!("there is no dropped table {name}{which}: dropped_tables() lists those that may come back"))
}
