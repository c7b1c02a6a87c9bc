//! From the files of a root to the state in memory: [`recover`]. It reads and never changes or cuts a file.
//!
//! 1. the newest base of the timeline in force, else the one that its branch point names;
//! 2. the chain of log files back from the newest one;
//! 3. every frame from the base on, applied by the same code that commits use;
//! 4. frames behind the last one known to be durable are handed on, to be written again at the head of a new file.

mod row_count;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use types::{Schema, Seq, TableId};

use self::row_count::RowCount;
use crate::base::{self, Base, BaseHandle};
use crate::catalog::{DbState, Garbage};
use crate::chunk::Chunk;
use crate::layout::{BaseName, Disk, LogName, list_or_none};
use crate::log::chain::{self, ChainEnd, Link, LogFiles};
use crate::log::frame::FrameRef;
use crate::log::{Frame, FrameKind, Place, Predecessor};
use crate::planted::Planted;
use crate::record::{self, CatalogChange, ReadyRows, Record};
use crate::snapshot::open::pin_files;
use crate::snapshot::{FileRef, Snapshot};
use crate::timeline::History;
use crate::{Error, Result};

/// What recovery found.
pub struct Recovered {
    pub state: DbState,
    pub base: Option<BaseHandle>,
    /// Files of the chain, oldest first, with the Seq of their first frame.
    pub chain: Vec<(LogName, Seq)>,
    /// What the first file of the new run names; `None` in an empty database.
    pub predecessor: Option<Predecessor>,
    /// Bytes of the predecessor's file that hold frames, the carried ones included.
    pub used_bytes: u64,
    /// Frames behind the predecessor's end.
    pub carried: Vec<Frame>,
    /// Where the newest log file was written, if there is one.
    pub last_place: Option<Place>,
    /// What left the state during replay, with the Seq of the frame that says so: its files may still lie there.
    pub garbage: Vec<(Seq, Garbage)>,
    pub replayed_frames: u64,
}

/// Reads the state of a history; `progress` is told of each log file.
///
/// # Errors
/// [`Error::Corrupt`] naming the file when something durable is missing or damaged; [`Error::Refused`] for a copy of a
/// running database that was not restored.
pub fn recover(
    disk: &Disk,
    database_id: u128,
    history: &History,
    files: &LogFiles,
    progress: &dyn Fn(&str),
) -> Result<Recovered> {
    let newest = chain::newest(disk, files, history.current().timeline)?;
    let own_base = own_base(disk, history)?;
    refuse_unrestored_copy(disk, files, history, newest, own_base.is_some())?;
    read(disk, database_id, history, files, (newest, own_base), progress)
}

/// Reads the state at the end of a history that need not be in force, as far as its log goes.
///
/// # Errors
/// As [`recover`].
pub fn recover_end(
    disk: &Disk,
    database_id: u128,
    history: &History,
    files: &LogFiles,
    progress: &dyn Fn(&str),
) -> Result<Recovered> {
    let newest = chain::newest(disk, files, history.current().timeline)?;
    let from = (newest, own_base(disk, history)?);
    let found = read(disk, database_id, history, files, from, progress);
    found.map_err(|e| match e {
        Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::corrupt(&path, format!("is missing, the end of timeline {} needs it", history.current().timeline))
        }
        other => other,
    })
}

fn read(
    disk: &Disk,
    database_id: u128,
    history: &History,
    files: &LogFiles,
    (newest, own_base): (Option<LogName>, Option<(Base, FileRef)>),
    progress: &dyn Fn(&str),
) -> Result<Recovered> {
    let known_durable = own_base.as_ref().map_or(Seq::ZERO, |(base, _)| base.seq);
    let end = newest.map(|name| ChainEnd { name, end: None }).or_else(|| branch_end(history));
    let base = match own_base {
        Some(own) => Some(own),
        None => branch_base(disk, history)?,
    };
    let (state, handle) = match base {
        None => (DbState::default(), None),
        Some((base, file)) => {
            let (state, handle) = base::load(disk, &base, file)?;
            (state, Some(handle))
        }
    };
    let first = handle.as_ref().map(|h| h.log);
    let links = match end {
        None => Vec::new(),
        Some(end) => chain::links(disk, files, database_id, end, first)?,
    };
    let mut replay = Replay::new(disk, state, history);
    for (i, link) in links.iter().enumerate() {
        progress(&format!("recovery: reading log file {} of {}", i + 1, links.len()));
        replay.file(link, known_durable)?;
    }
    replay.finish(links, end, handle)
}

/// Applies frames to a state, in order.
pub struct Replay<'a> {
    disk: &'a Disk,
    state: DbState,
    /// Frames through this Seq are in the base, but for rows that were not flushed.
    base_seq: Seq,
    history: &'a History,
    last_seq: Option<Seq>,
    /// Frames that are not known to be durable yet.
    volatile: VecDeque<Frame>,
    end: Option<chain::FileEnd>,
    garbage: Vec<(Seq, Garbage)>,
    frames: u64,
    /// The state of the base has been looked at, which may be a cut that a restore served.
    begun: bool,
    /// Rows are counted and passed over: the state shows what there is on disk, not what a query would see.
    without_rows: bool,
    row_count: RowCount,
}

/// What there is to apply of a frame; `None`: nothing.
type Prepared = Result<Option<Vec<Record>>>;

impl<'a> Replay<'a> {
    /// Returns a replay that begins at the state of a base.
    pub fn new(disk: &'a Disk, state: DbState, history: &'a History) -> Replay<'a> {
        Replay {
            disk,
            base_seq: state.seq,
            state,
            history,
            last_seq: None,
            volatile: VecDeque::new(),
            end: None,
            garbage: Vec::new(),
            frames: 0,
            begun: false,
            without_rows: false,
            row_count: RowCount::default(),
        }
    }

    /// Returns a replay that follows which files are part of the state, and looks at no value of a row.
    pub fn of_files(disk: &'a Disk, state: DbState, history: &'a History) -> Replay<'a> {
        Replay { without_rows: true, ..Replay::new(disk, state, history) }
    }

    /// Returns the state at the end, and what left it with the Seq of the frame that says so.
    pub fn into_parts(self) -> (DbState, Vec<(Seq, Garbage)>) {
        (self.state, self.garbage)
    }

    /// Returns how many files and tables have left the state so far.
    pub fn removed(&self) -> usize {
        self.garbage.len()
    }

    /// Returns the state so far.
    pub fn state(&self) -> &DbState {
        &self.state
    }

    /// Returns how many rows a query would see so far; `None` where only their values say so. Of a replay of files.
    pub fn row_count(&self) -> Option<u64> {
        self.row_count.of_all(&self.state)
    }

    /// Returns the state at the end.
    pub fn into_state(self) -> DbState {
        self.state
    }

    /// Applies the frames of one file.
    pub fn file(&mut self, link: &Link, known_durable: Seq) -> Result<()> {
        self.begin()?;
        self.volatile.clear();
        let mut durable = link.header.durable_seq;
        let without_rows = self.without_rows;
        // Tables that the file itself makes get their rows ready when their frame's turn comes.
        let schemas: HashMap<TableId, Arc<Schema>> = match without_rows {
            true => HashMap::new(),
            false => self.state.tables_with_files().map(|table| (table.id, table.schema.clone())).collect(),
        };
        let prepare = |frame: FrameRef<'_>| -> Prepared {
            let records = records_of(frame, without_rows)?;
            records.map(|records| records.into_iter().map(|record| made_ready(record, &schemas)).collect()).transpose()
        };
        let end = chain::replay_prepared(self.disk, link, known_durable, prepare, |frame, prepared| {
            durable = durable.max(frame.durable_seq);
            while self.volatile.front().is_some_and(|f| f.seq <= durable) {
                self.volatile.pop_front();
            }
            self.prepared(frame, prepared).map_err(|e| match e {
                Error::Io { .. } | Error::Corrupt { .. } => e,
                other => Error::corrupt(&link.path, format!("frame {} does not fit: {other}", frame.seq)),
            })?;
            if link.end.is_none() && frame.seq > durable {
                self.volatile.push_back(frame.to_owned());
            }
            Ok(())
        })?;
        self.last_seq = Some(end.last_seq);
        self.end = Some(end);
        Ok(())
    }

    /// A snapshot's own base gives the cut with no frame that would say so.
    pub(crate) fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) { Ok(()) } else { self.leave_parent(self.base_seq) }
    }

    /// Applies one frame: rows that the base lacks, and everything behind the base.
    pub fn frame(&mut self, frame: FrameRef<'_>) -> Result<()> {
        self.prepared(frame, records_of(frame, self.without_rows))
    }

    fn prepared(&mut self, frame: FrameRef<'_>, prepared: Prepared) -> Result<()> {
        self.frames += 1;
        let behind_base = frame.seq > self.base_seq;
        if let Some(mut records) = prepared? {
            if !behind_base {
                records.retain_mut(|record| self.is_lacking(record, frame.seq));
            }
            if self.without_rows {
                self.row_count.take(&mut records, &self.state, frame.seq);
                records.iter_mut().try_for_each(|record| self.pass_over_symbols(record))?;
            }
            if self.disk.has(Planted::ReplayTwice) && behind_base && matches!(records.first(), Some(Record::Edit(_))) {
                self.apply(records.clone(), frame)?;
            }
            let (seq, commit_us) = (self.state.seq, self.state.commit_us);
            let expired = if behind_base { Vec::new() } else { expiries(&mut records) };
            self.apply(records, frame)?;
            if !behind_base {
                (self.state.seq, self.state.commit_us) = (seq, commit_us);
                expired.into_iter().try_for_each(|(table, before_us)| self.state.expire_memory(table, before_us))?;
            }
        }
        if frame.seq > self.base_seq {
            self.state.seq = frame.seq;
            self.state.commit_us = self.state.commit_us.max(frame.commit_us);
            self.leave_parent(frame.seq)?;
        }
        Ok(())
    }

    fn apply(&mut self, records: Vec<Record>, frame: FrameRef<'_>) -> Result<()> {
        let mut garbage = Vec::new();
        self.state.apply(self.disk, records, frame.seq, frame.commit_us, &mut garbage)?;
        self.garbage.extend(garbage.into_iter().map(|g| (frame.seq, g)));
        Ok(())
    }

    /// Of a table that comes back, too, a replay of files looks at what there is.
    fn pass_over_symbols(&self, record: &mut Record) -> Result<()> {
        if let Record::Adopt(adopted) = record {
            adopted.ready = Some(base::load_adopted(self.disk, &adopted.says, base::Read::Files)?);
        }
        Ok(())
    }

    /// Returns whether the base lacks something of a record from before it, and strips the rest. Rows that are flushed, or
    /// gone by a truncate, may have brought symbols that no file holds yet and that later frames count on.
    fn is_lacking(&self, record: &mut Record, seq: Seq) -> bool {
        let rows = match record {
            Record::Rows(rows) => rows,
            Record::Ready(ready) => {
                return self.state.table_with_files(ready.table).is_some_and(|table| seq > table.flushed_through);
            }
            // Segments of the base are what was left of it; rows that are replayed here must go again.
            Record::Catalog(CatalogChange::Expire { .. }) => return true,
            _ => return false,
        };
        let Some(table) = self.state.table_with_files(rows.table) else { return false };
        if seq <= table.flushed_through {
            rows.batch = Default::default();
        }
        rows.batch.rows > 0 || !rows.new_symbols.is_empty()
    }

    /// At the cut that a restore served, no snapshot is open any more, and of the kept ones those stay whose files were
    /// there. What has settled since the cut is said by its pin's file alone.
    fn leave_parent(&mut self, seq: Seq) -> Result<()> {
        for parent in self.history.restores().filter(|parent| parent.seq == seq) {
            let snapshots = Arc::make_mut(&mut self.state.snapshots);
            snapshots.retain(|_, s| parent.kept.contains(&s.pin.id));
            if parent.kept.is_empty() {
                continue;
            }
            let settled = pin_files(self.disk, None)?.into_iter().filter_map(|(_, pin)| pin);
            for pin in settled.filter(|pin| pin.settled.is_some() && parent.kept.contains(&pin.id)) {
                let known = snapshots.get(&pin.name).filter(|s| s.pin.id == pin.id);
                let snapshot = known.map_or_else(|| Snapshot::new(pin.clone()), |s| s.with_pin(pin.clone()));
                snapshots.insert(pin.name.clone(), Arc::new(snapshot));
            }
        }
        Ok(())
    }

    fn finish(mut self, links: Vec<Link>, end: Option<ChainEnd>, base: Option<BaseHandle>) -> Result<Recovered> {
        self.begin()?;
        if let Some(last) = self.last_seq
            && last < self.base_seq
        {
            let name = base.as_ref().map(|b| b.file.file.clone()).unwrap_or_default();
            let path = links.last().map(|l| l.path.clone()).unwrap_or_default();
            return Err(Error::corrupt(&path, format!("the log ends at seq {last}, before the base {name}")));
        }
        self.leave_parent(self.state.seq)?;
        self.state.next_table = self.state.next_table.max(self.history.next_table()).max(1);
        let predecessor = links.last().zip(self.end).map(|(link, end)| Predecessor {
            name: link.name,
            used_bytes: end.durable_bytes,
            last_seq: end.durable_seq,
        });
        // Behind a snapshot's own base the log begins anew, and still says what came before.
        let let_go = end.and_then(|ChainEnd { name, end }| {
            let (used_bytes, last_seq) = end.filter(|_| links.is_empty())?;
            Some(Predecessor { name, used_bytes, last_seq })
        });
        let predecessor = predecessor.or(let_go);
        let carried =
            predecessor.map(|p| self.volatile.into_iter().filter(|f| f.seq > p.last_seq).collect()).unwrap_or_default();
        Ok(Recovered {
            state: self.state,
            base,
            chain: links.iter().map(|l| (l.name, l.header.first_seq)).collect(),
            predecessor,
            used_bytes: self.end.map_or(0, |end| end.used_bytes),
            carried,
            last_place: links.last().map(|l| l.header.place),
            garbage: self.garbage,
            replayed_frames: self.frames,
        })
    }
}

/// Returns what there is to apply of a frame.
fn records_of(frame: FrameRef<'_>, without_rows: bool) -> Prepared {
    if frame.kind != FrameKind::Commit {
        return Ok(None);
    }
    let decode = if without_rows { record::decode_without_values } else { record::decode };
    decode(frame.payload).map(Some).map_err(Error::Invalid)
}

/// Makes what a commit makes of rows, but for those that bring symbols. What it needs of a schema never changes.
fn made_ready(record: Record, schemas: &HashMap<TableId, Arc<Schema>>) -> Result<Record> {
    match record {
        Record::Rows(rows) if rows.new_symbols.is_empty() && rows.batch.rows > 0 => match schemas.get(&rows.table) {
            Some(schema) => {
                let (table, payload) = (rows.table, Vec::new());
                let chunk = Chunk::from_batch(schema, rows.batch, Seq::ZERO, 0)?;
                Ok(Record::Ready(Box::new(ReadyRows { table, payload, chunk })))
            }
            None => Ok(Record::Rows(rows)),
        },
        other => Ok(other),
    }
}

/// Takes the expiries out of a frame's records.
fn expiries(records: &mut Vec<Record>) -> Vec<(TableId, i64)> {
    let mut expired = Vec::new();
    records.retain(|record| match record {
        Record::Catalog(CatalogChange::Expire { table, before_us }) => {
            expired.push((*table, *before_us));
            false
        }
        _ => true,
    });
    expired
}

/// Where the log of the parent ends that the timeline in force goes on from.
pub(crate) fn branch_end(history: &History) -> Option<ChainEnd> {
    let parent = history.current().parent.as_ref()?;
    let last = parent.last_log.as_ref()?;
    Some(ChainEnd { name: last.name()?, end: Some((last.used_bytes, parent.seq)) })
}

/// The newest complete base of the timeline in force; it shows that everything through its Seq was durable.
fn own_base(disk: &Disk, history: &History) -> Result<Option<(Base, FileRef)>> {
    let entries = list_or_none(disk, &disk.layout.base())?;
    let mut names: Vec<BaseName> = entries.iter().filter_map(|e| e.name.parse().ok()).collect();
    names.retain(|n| n.timeline == history.current().timeline);
    names.sort_by_key(|n| std::cmp::Reverse(n.seq));
    for name in names {
        match base::read(disk, name) {
            Ok(found) => return Ok(Some(found)),
            // Not complete: its writing was cut short, it never counted.
            Err(Error::Corrupt { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// The base that the branch point of the timeline in force names.
fn branch_base(disk: &Disk, history: &History) -> Result<Option<(Base, FileRef)>> {
    let Some(named) = history.current().parent.as_ref().and_then(|p| p.base.clone()) else { return Ok(None) };
    Ok(Some((base::read_named(disk, &named)?, named)))
}

/// A root whose log is there but whose active log file is not was copied from a running database.
fn refuse_unrestored_copy(
    disk: &Disk,
    files: &LogFiles,
    history: &History,
    newest: Option<LogName>,
    has_own_base: bool,
) -> Result<()> {
    let without_live = match newest {
        Some(name) => !files.live.contains(&name),
        None if history.current().parent.is_some() => has_own_base,
        None => has_tables_or_bases(disk)?,
    };
    if !without_live {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} is a copy of a running database: touch {} and start again, which makes a database of it; to copy it further, name a \
         snapshot that it holds (--snapshot)",
        disk.layout.root().display(),
        disk.layout.restore_trigger().display()
    )))
}

fn has_tables_or_bases(disk: &Disk) -> Result<bool> {
    let entries = list_or_none(disk, &disk.layout.db())?;
    let bases = list_or_none(disk, &disk.layout.base())?;
    Ok(!bases.is_empty() || entries.iter().any(|e| crate::layout::parse_table_dir(&e.name).is_some()))
}
