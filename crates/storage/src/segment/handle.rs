//! A segment that is mapped when it is first needed: [`SegmentHandle`].
//!
//! The kernel allows a process so many maps and no more, so only so many stay open: the one opened longest ago is let go
//! (a query that reads it keeps its map to the end, and where queries keep too many, further segments are read into
//! memory). What was verified is remembered and not read again.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use arc_swap::ArcSwapOption;
use roaring::RoaringBitmap;
use types::ColumnId;

use super::dead::read_dead;
use super::reader::Verified;
use super::{ColumnMeta, DeadMeta, Segment, SegmentMeta};
use crate::Result;
use crate::env::Env;
use crate::env::fs::{Fs, Mapped};

/// Segments that stay mapped at once; `vm.max_map_count` is 65,530 by default and counts the process's other maps too.
const MAX_OPEN: usize = 16_384;

/// The limit is the process's, and so is this list.
static OPEN: OpenMaps = OpenMaps::new(MAX_OPEN as u64);

/// Bytes of columns that Parquet segments keep decoded at once, about.
const MAX_DECODED_BYTES: u64 = 256 << 20;

static DECODED: OpenMaps = OpenMaps::new(MAX_DECODED_BYTES);

/// Maps that there may be at once, those included that only running queries keep.
const MAX_MAPS: usize = 2 * MAX_OPEN;

static MAPS: AtomicUsize = AtomicUsize::new(0);

/// A map while anything uses it.
struct CountedMap {
    map: Mapped,
    maps: &'static AtomicUsize,
}

impl AsRef<[u8]> for CountedMap {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for CountedMap {
    fn drop(&mut self) {
        self.maps.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the bytes of a segment file: mapped, or read where there are too many maps.
pub(super) fn map_or_read(fs: &dyn Fs, path: &Path) -> io::Result<Mapped> {
    map_below(fs, path, &MAPS, MAX_MAPS)
}

fn map_below(fs: &dyn Fs, path: &Path, maps: &'static AtomicUsize, limit: usize) -> io::Result<Mapped> {
    if maps.fetch_add(1, Ordering::Relaxed) >= limit {
        maps.fetch_sub(1, Ordering::Relaxed);
        return fs.read(path).map(Mapped::new);
    }
    match fs.map(path) {
        Ok(map) => Ok(Mapped::new(CountedMap { map, maps })),
        Err(e) => {
            maps.fetch_sub(1, Ordering::Relaxed);
            Err(e)
        }
    }
}

/// Names a segment of a table's version; opening many tables opens no segment.
pub struct SegmentHandle {
    env: Env,
    path: PathBuf,
    meta: Arc<SegmentMeta>,
    verified: Arc<Verified>,
    /// Shared by the handles of one file with different delete vectors.
    slot: Arc<Slot>,
    dead: OnceLock<Arc<RoaringBitmap>>,
}

/// A segment while it is mapped.
type Slot = ArcSwapOption<Segment>;

impl SegmentHandle {
    /// Returns the handle of the segment in `table_dir`; nothing is touched. `verify` as in [`Segment::open`].
    pub fn new(env: &Env, table_dir: &Path, meta: Arc<SegmentMeta>, verify: bool) -> SegmentHandle {
        let path = table_dir.join(&meta.file);
        let verified = Arc::new(Verified::new(&meta, !verify));
        SegmentHandle { env: env.clone(), path, meta, verified, slot: Arc::default(), dead: OnceLock::new() }
    }

    /// Returns what edits say about the segment.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        &self.meta
    }

    /// Returns the handle of the same file with another delete vector.
    pub fn with_dead(&self, dead: DeadMeta) -> SegmentHandle {
        SegmentHandle {
            env: self.env.clone(),
            path: self.path.clone(),
            meta: Arc::new(SegmentMeta { dead: Some(dead), ..SegmentMeta::clone(&self.meta) }),
            verified: self.verified.clone(),
            slot: self.slot.clone(),
            dead: OnceLock::new(),
        }
    }

    /// Returns whether no other handle, with whatever delete vector, has the file.
    pub fn is_last_of_its_file(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    /// Returns the path of the delete vector, if there is one.
    pub fn dead_path(&self) -> Option<PathBuf> {
        let dead = self.meta.dead.as_ref()?;
        let table_dir = self.path.parent()?.parent()?;
        Some(table_dir.join(&dead.file))
    }

    /// Returns the dead rows; None when there are none. Read at the first call.
    ///
    /// # Errors
    /// As [`read_dead`].
    pub fn dead(&self) -> Result<Option<Arc<RoaringBitmap>>> {
        let (Some(meta), Some(path)) = (&self.meta.dead, self.dead_path()) else { return Ok(None) };
        if self.dead.get().is_none() {
            let rows = read_dead(&self.env, &path, meta, self.meta.rows)?;
            let _ = self.dead.set(Arc::new(rows));
        }
        Ok(self.dead.get().cloned())
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the segment if it is mapped already.
    pub fn opened(&self) -> Option<Arc<Segment>> {
        self.slot.load_full()
    }

    /// Returns how many bytes a first look at these columns will read from the file; 0 where all of them were read before.
    pub fn unread_bytes(&self, ids: &[ColumnId]) -> u64 {
        self.unread(ids).map(|column| column.end - column.start).sum()
    }

    /// Has the system fetch what a first look at these columns will read, without waiting for it. A hint: a file that cannot be read says
    /// so when it is.
    pub fn will_read(&self, ids: &[ColumnId]) {
        let columns = self.unread(ids).map(|column| column.start..column.end);
        let (first, last) = (self.meta.columns.first(), self.meta.columns.last());
        let envelope =
            [0..first.map_or(0, |column| column.start), last.map_or(0, |column| column.end)..self.meta.len_bytes];
        let ranges: Vec<Range<u64>> = envelope.into_iter().chain(columns).collect();
        if let Err(error) = self.env.fs.will_read(&self.path, &ranges) {
            tracing::debug!("{}: not read ahead: {error}", self.path.display());
        }
    }

    fn unread<'a>(&'a self, ids: &'a [ColumnId]) -> impl Iterator<Item = &'a ColumnMeta> {
        let stored = ids.iter().filter_map(|id| self.meta.column(*id));
        stored.filter(|column| !self.verified.contains(column.id))
    }

    /// Returns the mapped segment.
    ///
    /// # Errors
    /// As [`Segment::open`]; a later call tries again.
    pub fn open(&self) -> Result<Arc<Segment>> {
        if let Some(segment) = self.slot.load_full() {
            return Ok(segment);
        }
        // What a page that is missed brings along is much more on some devices: megabytes on either side.
        self.will_read(&[]);
        let segment = Segment::map(&self.env, &self.path, self.meta.clone(), self.verified.clone())?;
        self.slot.store(Some(segment.clone()));
        match segment.decoded_bytes() {
            0 => OPEN.add(&self.slot, 1),
            bytes => DECODED.add(&self.slot, bytes),
        }
        Ok(segment)
    }
}

/// Which segments are open, each with what it weighs.
struct OpenMaps {
    limit: u64,
    open: Mutex<Open>,
}

struct Open {
    oldest_first: VecDeque<(Weak<Slot>, u64)>,
    weight: u64,
}

impl OpenMaps {
    const fn new(limit: u64) -> OpenMaps {
        OpenMaps { limit, open: Mutex::new(Open { oldest_first: VecDeque::new(), weight: 0 }) }
    }

    /// Notes one more open segment and lets the oldest others go when they weigh too much.
    fn add(&self, slot: &Arc<Slot>, weight: u64) {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        open.oldest_first.push_back((Arc::downgrade(slot), weight));
        open.weight += weight;
        let mut gone = Vec::new();
        while open.weight > self.limit && open.oldest_first.len() > 1 {
            let (slot, weight) = open.oldest_first.pop_front().expect("there are two");
            open.weight -= weight;
            gone.extend(slot.upgrade());
        }
        drop(open);
        // Unmapping takes a while: not under the lock.
        gone.iter().for_each(|slot| slot.store(None));
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::tests::{DIR, rows, sim, write};
    use super::*;

    #[test]
    fn a_segment_is_mapped_at_first_use_and_once() {
        let env = sim();
        let meta = Arc::new(write(&env, &rows(10)).unwrap());
        let calls = env.fs.counts().calls;
        let handle = SegmentHandle::new(&env, Path::new(DIR), meta, true);
        assert_eq!(env.fs.counts().calls, calls);
        assert!(Arc::ptr_eq(&handle.open().unwrap(), &handle.open().unwrap()));
        assert_eq!(env.fs.counts().calls, calls + 1);
    }

    #[test]
    fn the_oldest_map_goes_first() {
        let env = sim();
        let meta = Arc::new(write(&env, &rows(10)).unwrap());
        let open = OpenMaps::new(2);
        let handles: Vec<SegmentHandle> =
            (0..3).map(|_| SegmentHandle::new(&env, Path::new(DIR), meta.clone(), true)).collect();
        for handle in &handles {
            handle.open().unwrap();
            open.add(&handle.slot, 1);
        }
        let mapped: Vec<bool> = handles.iter().map(|h| h.slot.load().is_some()).collect();
        assert_eq!(mapped, [false, true, true]);
        handles[0].open().unwrap();
    }

    #[test]
    fn beyond_the_limit_files_are_read_and_not_mapped() {
        static MAPS: AtomicUsize = AtomicUsize::new(0);
        let env = sim();
        let meta = write(&env, &rows(10)).unwrap();
        let path = Path::new(DIR).join(&meta.file);
        let open = || map_below(&*env.fs, &path, &MAPS, 1).unwrap();
        let read_bytes = || env.fs.counts().read_bytes;
        let (before, mapped) = (read_bytes(), open());
        assert_eq!(read_bytes(), before);
        assert_eq!(open()[..], mapped[..]);
        assert_eq!(read_bytes(), before + meta.len_bytes);
        drop(mapped);
        open();
        assert_eq!(read_bytes(), before + meta.len_bytes);
        assert!(map_below(&*env.fs, Path::new("/none"), &MAPS, 1).is_err());
        assert_eq!(MAPS.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_first_look_reads_is_unread_until_it_was_verified() {
        let env = sim();
        let meta = Arc::new(write(&env, &rows(10)).unwrap());
        let handle = SegmentHandle::new(&env, Path::new(DIR), meta.clone(), true);
        let [first, last] = [&meta.columns[0], &meta.columns[2]];
        let [first_bytes, last_bytes] = [first.end - first.start, last.end - last.start];
        assert_eq!(handle.unread_bytes(&[first.id, last.id, ColumnId(99)]), first_bytes + last_bytes);
        handle.will_read(&[first.id, last.id]);
        handle.open().unwrap().column(first.id).unwrap();
        assert_eq!(handle.unread_bytes(&[first.id, last.id]), last_bytes);
        let written = SegmentHandle::new(&env, Path::new(DIR), meta.clone(), false);
        assert_eq!(written.unread_bytes(&[first.id, last.id]), 0);
    }

    /// A column that was verified is not read for its checksum again when the segment is mapped anew.
    #[test]
    fn what_was_verified_stays_verified() {
        let env = sim();
        let meta = Arc::new(write(&env, &rows(10)).unwrap());
        let handle = SegmentHandle::new(&env, Path::new(DIR), meta.clone(), true);
        let [first, .., last] = [meta.columns[0].id, meta.columns[1].id, meta.columns[2].id];
        handle.open().unwrap().column(first).unwrap();
        assert!(handle.verified.contains(first) && !handle.verified.contains(last));
        handle.slot.store(None);
        handle.open().unwrap().column(last).unwrap();
        assert!(handle.verified.contains(last));
    }
}
