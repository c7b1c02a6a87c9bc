//! The whole database as it was at a snapshot, in the running server: [`Database::restore_database`].
//!
//! Each table of then that is another one now, or gone, comes back as a table of its own, as RESTORE TABLE does it; what
//! did not change since stays where it is. One frame takes the other tables of now away and names those of then. Right
//! before it, under one hold of the head lock, stands the cut of a kept snapshot: it is the way back, to the last row, for
//! as long as restores can be undone. A crash between the two leaves a snapshot more, and the tables as they were.

use std::collections::HashSet;
use std::fmt;
use std::sync::MutexGuard;

use types::{Seq, TableId, TableName};

use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::database::{Database, Head};
use crate::log::frame::{MAX_PAYLOAD_BYTES, frame_bytes};
use crate::log::writer::Urgency;
use crate::log::{Frame, FrameKind};
use crate::planted::Planted;
use crate::record::{self, Adopted, CatalogChange, Record};
use crate::restore::duration;
use crate::snapshot::{Pin, Terms};
use crate::sql_view;
use crate::table::TableState;
use crate::{Error, Result};

/// What the snapshot is called that holds what a restore takes away; while one is kept, the next ones have numbers.
const WAY_BACK: &str = "before-restore";
/// A frame's bytes that take one table away, at most.
const DROP_BYTES: usize = 96;
/// A sentence names so many tables and counts the others.
const TOLD: usize = 5;

/// What a table loses or gains when the database goes back to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    pub name: TableName,
    /// Rows now; `None`: there is no such table now.
    pub rows_now: Option<u64>,
    /// Rows at the snapshot; `None`: there was none then.
    pub rows_then: Option<u64>,
}

/// How the database differs from what it was at a snapshot. As text: what going back there would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub snapshot: String,
    /// Tables that are not as they were, by name.
    pub changes: Vec<TableChange>,
    /// Tables that are.
    pub unchanged: usize,
    /// Names of views of SQL that are not as they were.
    pub views: Vec<TableName>,
    /// How long it could be undone.
    pub grace_us: i64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut change, mut go, mut come) = (Vec::new(), Vec::new(), Vec::new());
        for TableChange { name, rows_now, rows_then } in &self.changes {
            match (rows_now, rows_then) {
                (Some(now), Some(then)) => change.push(format!("{name} from {now} to {then} rows")),
                (Some(now), None) => go.push(format!("{name} with {now} rows")),
                (None, Some(then)) => come.push(format!("{name} with {then} rows")),
                (None, None) => {}
            }
        }
        write!(f, "going back to snapshot {}: ", self.snapshot)?;
        for (tables, what) in [(change, "tables change"), (go, "go"), (come, "come back")] {
            write!(f, "{} {what}", tables.len())?;
            if !tables.is_empty() {
                let more = if tables.len() > TOLD { ", …" } else { "" };
                write!(f, " ({}{more})", tables[..tables.len().min(TOLD)].join(", "))?;
            }
            f.write_str(", ")?;
        }
        write!(f, "{} stay as they are; ", self.unchanged)?;
        if !self.views.is_empty() {
            let names: Vec<&str> = self.views.iter().map(TableName::as_str).collect();
            let more = if names.len() > TOLD { ", …" } else { "" };
            write!(f, "{} views change ({}{more}); ", names.len(), names[..names.len().min(TOLD)].join(", "))?;
        }
        match self.grace_us {
            ..=0 => f.write_str("what is there now is lost (restore.grace is 0)"),
            grace_us => write!(f, "what is there now is kept for {} as a snapshot", duration(grace_us)),
        }
    }
}

/// What became of a swap of tables whose frame is durable.
struct Swapped {
    way_back: Option<Pin>,
    /// Whether the way back is durable too.
    durable: Result<()>,
}

impl Database {
    /// Returns what [`Database::restore_database`] would change.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no snapshot of that name; of a table with DEDUP keys, those of opening its segments.
    pub fn difference_to(&self, snapshot: &str) -> Result<Difference> {
        let (view, newest) = (self.view_at(snapshot)?, self.view());
        let (then, now) = (view.state(), newest.state());
        let mut changes = Vec::new();
        for table in then.tables.iter().filter(|table| !is_as_it_was(table, now)) {
            let rows_now = now.table_named(&table.name.folded()).map(|table| table.rows()).transpose()?;
            changes.push(TableChange { name: table.name.clone(), rows_now, rows_then: Some(table.rows()?) });
        }
        let unchanged = then.tables.len() - changes.len();
        for table in now.tables.iter().filter(|table| then.table_named(&table.name.folded()).is_none()) {
            changes.push(TableChange { name: table.name.clone(), rows_now: Some(table.rows()?), rows_then: None });
        }
        changes.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let views = sql_view::differing(now, then);
        let (snapshot, grace_us) = (snapshot.to_owned(), self.options.restore_grace_us);
        Ok(Difference { snapshot, changes, unchanged, views, grace_us })
    }

    /// Makes the tables those of a snapshot: names, rows, columns, keys and rules, and the views of SQL. Snapshots, and tables that were dropped
    /// before, stay what they are. Returns the name of the snapshot that holds what was there before, which is kept for as
    /// long as a restore can be undone; `None` where the options keep nothing. Durable on return, in every commit mode;
    /// costs a link a file of the tables that change.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no snapshot of that name, [`Error::Unavailable`] when the disk is nearly full; the
    /// tables are what they were. When the way back cannot be made durable, the error says that the tables have changed.
    pub fn restore_database(&self, snapshot: &str, owner: &str) -> Result<Option<String>> {
        let view = self.view_at(snapshot)?;
        let outputs = Outputs::synced_at_the_end(self)?;
        let swapped = self.go_back(view.state(), owner, &outputs);
        let Swapped { way_back, durable } = outputs.settle(swapped)?;
        let Some(way_back) = way_back.map(|pin| pin.name) else {
            tracing::info!("the tables are what they were at snapshot {snapshot}");
            return Ok(None);
        };
        durable.map_err(|why| {
            Error::Unavailable(format!(
                "the tables are what they were at snapshot {snapshot}, but snapshot {way_back} of what was there before is \
                 not durable: {why}"
            ))
        })?;
        tracing::info!("the tables are what they were at snapshot {snapshot}; before that they are in {way_back}");
        Ok(Some(way_back))
    }

    fn go_back(&self, then: &DbState, owner: &str, outputs: &Outputs) -> Result<Swapped> {
        let mut adopted: Vec<Adopted> = Vec::new();
        let mut stay: Vec<&TableState> = then.tables.iter().map(|table| &**table).collect();
        stay.sort_by_key(|table| table.id);
        loop {
            let now = self.lock_head().state.clone();
            let changed: Vec<&TableState> = stay.extract_if(.., |table| !is_as_it_was(table, &now)).collect();
            drop(now);
            for table in changed {
                adopted.push(self.adopt(table, &table.name, outputs)?);
            }
            outputs.sync()?;
            // A table may change while files are linked: then it comes back too.
            if let Some(swapped) = self.swap(then, &stay, &adopted, owner)? {
                return Ok(swapped);
            }
        }
    }

    /// Takes all tables away but those that stay, and commits others whose files are there, and the views of then. `None`: a
    /// table that was to stay has changed, and nothing was done. The frame is durable on return.
    fn swap(&self, then: &DbState, stay: &[&TableState], adopted: &[Adopted], owner: &str) -> Result<Option<Swapped>> {
        let kept = self.options.restore_grace_us > 0;
        let lease_us = Some(self.options.restore_grace_us);
        let terms = Terms { lease_us, keep: true, sync: false, owner: owner.to_owned() };
        let places = self.room_for_snapshot()?;
        let cut_bytes = if kept { self.cut_bytes(&terms, &places) } else { 0 };
        let adopts: Vec<Record> = adopted.iter().map(|made| Record::Adopt(Box::new(made.clone()))).collect();
        let names: HashSet<TableId> = stay.iter().map(|table| table.id).collect();
        let (_, views) = sql_view::changes(&DbState::default(), then);
        let room = {
            let now = &self.lock_head().state;
            let gone = now.tables.len() + now.sql_views.len() + 16;
            record::encode(&adopts).len() + record::encode(&views).len() + DROP_BYTES * gone
        };
        let mut head = self.head_with_room_behind(cut_bytes, room)?;
        if stay.iter().any(|table| !is_as_it_was(table, &head.state)) {
            return Ok(None);
        }
        let mut gone: Vec<TableId> =
            head.state.tables.iter().map(|table| table.id).filter(|id| !names.contains(id)).collect();
        gone.sort();
        let drops = gone.into_iter().map(|table| Record::Catalog(CatalogChange::Drop { table }));
        let (views_gone, views_back) = sql_view::changes(&head.state, then);
        let records: Vec<Record> = drops.chain(views_gone).chain(adopts).chain(views_back).collect();
        let payload = record::encode(&records);
        if payload.len() > room {
            // Tables or views were made meanwhile.
            return Ok(None);
        }
        let name = free_name(&head.state);
        let way_back = if kept { Some(self.cut_in(&mut head, &name, terms, places)?) } else { None };
        let (seq, commit_us) = self.number(&head.state);
        self.apply(&mut head, records, seq, commit_us)?;
        let placement = self.log.place(payload.len(), Urgency::Ordinary).expect("there was room behind the cut");
        let frame = Frame { kind: FrameKind::Commit, seq, commit_us, durable_seq: Seq::ZERO, payload };
        self.log.push(frame, placement, false);
        drop(head);
        let durable = way_back.as_ref().map_or(Ok(()), |pin| {
            self.grant_lease(pin);
            self.make_cut_durable(pin)
        });
        if !self.disk.has(Planted::WholeBackNotDurable) {
            self.log.wait_durable(seq)?;
        }
        self.publish();
        Ok(Some(Swapped { way_back, durable }))
    }

    /// Takes the head lock when the log has room for a frame behind one that ends its file; 0 bytes: behind none.
    fn head_with_room_behind(&self, first_bytes: usize, payload_bytes: usize) -> Result<MutexGuard<'_, Head>> {
        if payload_bytes > MAX_PAYLOAD_BYTES {
            let why = "the database has too many tables to go back in one commit: RESTORE TABLE brings one back";
            return Err(Error::Invalid(why.to_owned()));
        }
        if first_bytes == 0 {
            return self.head_with_room(Urgency::Ordinary, payload_bytes);
        }
        loop {
            let head = self.head_with_room(Urgency::Ordinary, first_bytes)?;
            if self.log.has_room_behind(first_bytes, payload_bytes) {
                return Ok(head);
            }
            drop(head);
            self.log.add_spare(frame_bytes(payload_bytes) as u64)?;
        }
    }
}

/// Returns whether a table of then is the same now, to the last row. The snapshots of a state lie on its own history, on
/// which a Seq stands for one commit.
fn is_as_it_was(then: &TableState, now: &DbState) -> bool {
    now.tables
        .get(then.id)
        .is_some_and(|now| (&now.name, &now.schema, now.last_seq) == (&then.name, &then.schema, then.last_seq))
}

/// Returns the name for a snapshot of what a restore takes away.
fn free_name(state: &DbState) -> String {
    let numbered = (2..).map(|n| format!("{WAY_BACK}-{n}"));
    let mut names = std::iter::once(WAY_BACK.to_owned()).chain(numbered);
    names.find(|name| !state.snapshots.contains_key(name)).expect("numbers do not end")
}
