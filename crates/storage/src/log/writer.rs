//! Appending to the log: places are given under the caller's lock without I/O, one leader writes for all who wait, another
//! one syncs for all, so that who needs no sync never waits for one.
//!
//! A frame's place (file and offset) is fixed when it is queued, in files that exist and are filled with zeros, so a
//! full disk is met before a Seq is given out and never leaves half a frame behind. After any failed write or sync the
//! log is failed for good: nothing is acknowledged any more, and a sync is never repeated.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use types::{Seq, TimelineId};

use super::frame::{self, Frame};
use super::header::{self, FIRST_FRAME_OFFSET, HEADER_COPY_OFFSETS, LogHeader, Place, Predecessor};
use super::syncs::Syncs;
use crate::env::Env;
use crate::env::fs::{FsFile, write_all_at};
use crate::layout::{Layout, LogName};
use crate::planted::Planted;
use crate::{Error, Result};

/// Smallest log file.
pub const MIN_FILE_BYTES: u64 = 1 << 20;
/// Largest log file, unless one frame needs more.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Room that only releases and drops may use, so that they work on a full disk.
const URGENT_BYTES: u64 = 64 << 10;
const ZEROS_BYTES: usize = 1 << 20;
/// So many bytes are written while a sync is under way, so that the next sync finds them in the file.
const EAGER_BYTES: usize = 256 << 10;
/// A buffer of frames that has grown beyond this is given back.
const KEPT_BUFFER_BYTES: usize = 8 << 20;

/// Whether a frame may use the last room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Ordinary,
    /// Frees space or ends a snapshot.
    Urgent,
}

/// Where a frame will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    pub file: LogName,
    /// Offset behind the frame.
    pub end_bytes: u64,
    begins_file: bool,
}

/// A file that was prepared for the log: full of zeros, synced, its name durable.
struct Spare {
    name: LogName,
    file: Box<dyn FsFile>,
    capacity_bytes: u64,
}

struct Queued {
    frame: Frame,
    /// The frame begins this file.
    file: Option<Spare>,
    /// The frame's file is cut and synced behind it; the next frame begins another one.
    seal: bool,
}

/// Room left in the file that the next frame goes to, as planned (the writes may lag).
struct Plan {
    name: LogName,
    offset_bytes: u64,
    capacity_bytes: u64,
}

struct Queue {
    frames: VecDeque<Queued>,
    /// Bytes of the payloads of `frames`.
    queued_bytes: usize,
    plan: Option<Plan>,
    spares: VecDeque<Spare>,
    /// Spares that were too small for a frame: files are used in the order of their numbers, so these never will be.
    discarded: Vec<LogName>,
    next_number: u64,
    /// Used length of the last file that was planned full or sealed; sizes the next spare.
    last_used_bytes: u64,
    queued_seq: Seq,
    written_seq: Seq,
    written_bytes: u64,
    /// How many of the written bytes were there when a sync began that is over.
    synced_bytes: u64,
    writing: bool,
    syncing: bool,
    failed: Option<String>,
    /// Every file of the log that may still be needed, oldest first, with the Seq of its first frame.
    chain: VecDeque<(LogName, Seq)>,
}

struct Active {
    name: LogName,
    file: Arc<dyn FsFile>,
    salt: u32,
    used_bytes: u64,
    sealed: bool,
}

struct Io {
    active: Option<Active>,
    predecessor: Option<Predecessor>,
    last_seq: Seq,
    /// Frames on their way to the file.
    buffer: Vec<u8>,
}

/// What identifies the files of this run.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    pub database_id: u128,
    pub timeline: TimelineId,
    pub place: Place,
}

/// How a run begins: after recovery, or new.
pub struct LogStart {
    pub identity: RunIdentity,
    /// File and length that the first header names.
    pub predecessor: Option<Predecessor>,
    /// Above every number that the timeline's files ever had.
    pub next_number: u64,
    /// Frames after the predecessor's durable end, repeated at the head of the new file.
    pub carried: Vec<Frame>,
    /// Files of the chain before the new one, oldest first, with the Seq of their first frame.
    pub chain: Vec<(LogName, Seq)>,
    /// For the tests of the simulator.
    pub planted: Option<Planted>,
}

/// The log of one running database.
pub struct LogWriter {
    env: Env,
    layout: Layout,
    identity: RunIdentity,
    /// Number of the first file of this run.
    first_number: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
    io: Mutex<Io>,
    syncs: Syncs,
    planted: Option<Planted>,
    /// Held while a spare is made, so that spares are ready, and so used, in the order of their numbers.
    making: Mutex<()>,
}

impl LogWriter {
    /// Begins a new log file that repeats the carried frames. Durable when this returns: the frames are synced
    /// before the header is written, so until then the former files are in force.
    pub fn start(env: Env, layout: Layout, start: LogStart) -> Result<LogWriter> {
        let durable_seq = start.predecessor.map_or(Seq::ZERO, |p| p.last_seq);
        let last_seq = start.carried.last().map_or(durable_seq, |f| f.seq);
        let queue = Queue {
            frames: VecDeque::new(),
            queued_bytes: 0,
            plan: None,
            spares: VecDeque::new(),
            discarded: Vec::new(),
            next_number: start.next_number,
            last_used_bytes: 0,
            queued_seq: last_seq,
            written_seq: last_seq,
            written_bytes: 0,
            synced_bytes: 0,
            writing: false,
            syncing: false,
            failed: None,
            chain: start.chain.into(),
        };
        let io = Io { active: None, predecessor: start.predecessor, last_seq: durable_seq, buffer: Vec::new() };
        let writer = LogWriter {
            env,
            layout,
            identity: start.identity,
            first_number: start.next_number,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            io: Mutex::new(io),
            // what is carried is durable when the start returns
            syncs: Syncs::new(last_seq),
            planted: start.planted,
            making: Mutex::new(()),
        };
        let carried_bytes: usize = start.carried.iter().map(|f| frame::frame_bytes(f.payload.len())).sum();
        writer.add_spare(carried_bytes as u64)?;
        writer.begin_with(start.carried, durable_seq)?;
        Ok(writer)
    }

    /// Writes carried frames, syncs, then header, syncs.
    fn begin_with(&self, carried: Vec<Frame>, known_durable_seq: Seq) -> Result<()> {
        let mut queue = self.lock_queue();
        let mut io = self.io.lock().expect("no leader panics");
        let spare = queue.spares.pop_front().expect("a spare was just added");
        let path = self.layout.live().join(spare.name.to_string());
        let durable_seq = carried.last().map_or(known_durable_seq, |f| f.seq);
        let head = self.new_header(&io, spare.name, durable_seq);
        let mut bytes = Vec::new();
        for frame in &carried {
            let durable_seq = frame.durable_seq.min(known_durable_seq);
            frame::encode(&Frame { durable_seq, ..frame.clone() }, head.salt, &mut bytes);
        }
        if !bytes.is_empty() {
            write_all_at(&*spare.file, FIRST_FRAME_OFFSET, &bytes).map_err(Error::io(&path))?;
            spare.file.sync().map_err(Error::io(&path))?;
        }
        write_header(&*spare.file, &head).map_err(Error::io(&path))?;
        spare.file.sync().map_err(Error::io(&path))?;
        let used_bytes = FIRST_FRAME_OFFSET + bytes.len() as u64;
        queue.chain.push_back((spare.name, head.first_seq));
        queue.plan = Some(Plan { name: spare.name, offset_bytes: used_bytes, capacity_bytes: spare.capacity_bytes });
        io.last_seq = durable_seq;
        let file = spare.file.into();
        io.active = Some(Active { name: spare.name, file, salt: head.salt, used_bytes, sealed: false });
        Ok(())
    }

    /// Returns where a frame with that payload would stand if it were queued next; `None` when a spare is needed
    /// first ([`LogWriter::add_spare`]). No I/O. The caller's lock keeps others from queueing in between.
    pub fn place(&self, payload_bytes: usize, urgency: Urgency) -> Option<Placement> {
        let bytes = frame::frame_bytes(payload_bytes) as u64;
        let queue = self.lock_queue();
        let kept_bytes = if urgency == Urgency::Ordinary { URGENT_BYTES } else { 0 };
        let spare_room: u64 = queue.spares.iter().map(|s| s.capacity_bytes - FIRST_FRAME_OFFSET).sum();
        if let Some(plan) = &queue.plan {
            let end_bytes = plan.offset_bytes + bytes;
            if end_bytes <= plan.capacity_bytes {
                let left = plan.capacity_bytes - end_bytes + spare_room;
                return (left >= kept_bytes).then_some(Placement { file: plan.name, end_bytes, begins_file: false });
            }
        }
        let spare = queue.spares.front()?;
        let end_bytes = FIRST_FRAME_OFFSET + bytes;
        let fits = end_bytes <= spare.capacity_bytes && spare_room - bytes >= kept_bytes;
        fits.then_some(Placement { file: spare.name, end_bytes, begins_file: true })
    }

    /// Returns whether a frame with that payload would have a place behind another one that ends its file. As
    /// [`LogWriter::place`], to be asked under the caller's lock.
    pub fn has_room_behind(&self, first_bytes: usize, payload_bytes: usize) -> bool {
        let Some(first) = self.place(first_bytes, Urgency::Ordinary) else { return false };
        let end_bytes = FIRST_FRAME_OFFSET + frame::frame_bytes(payload_bytes) as u64;
        let queue = self.lock_queue();
        let mut spares = queue.spares.iter().skip(usize::from(first.begins_file));
        spares.next().is_some_and(|spare| end_bytes + URGENT_BYTES <= spare.capacity_bytes)
    }

    /// Queues a frame at the place that [`LogWriter::place`] gave for it. With `seal` its file ends behind it.
    pub fn push(&self, frame: Frame, placement: Placement, seal: bool) {
        let mut queue = self.lock_queue();
        debug_assert_eq!(frame.seq, queue.queued_seq.next());
        queue.queued_seq = frame.seq;
        let mut file = None;
        if placement.begins_file {
            let spare = queue.spares.pop_front().expect("the placement named this spare");
            debug_assert_eq!(spare.name, placement.file);
            if let Some(plan) = queue.plan.take() {
                queue.last_used_bytes = plan.offset_bytes;
            }
            debug_assert!(
                queue.chain.back().is_none_or(|(last, _)| last.timeline != spare.name.timeline || *last < spare.name)
            );
            queue.chain.push_back((spare.name, frame.seq));
            queue.plan = Some(Plan { name: spare.name, offset_bytes: 0, capacity_bytes: spare.capacity_bytes });
            file = Some(spare);
        }
        if seal {
            queue.plan = None;
            queue.last_used_bytes = placement.end_bytes;
        } else if let Some(plan) = &mut queue.plan {
            plan.offset_bytes = placement.end_bytes;
        }
        queue.queued_bytes += frame.payload.len();
        queue.frames.push_back(Queued { frame, file, seal });
    }

    /// Makes a spare with room for a frame or group of that many bytes. Its name is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk is full; nothing was given out, later calls may succeed.
    pub fn add_spare(&self, frame_bytes: u64) -> Result<()> {
        // Recovery takes the highest number with a good header for the newest file: a higher one must never begin first.
        let _making = self.making.lock().expect("no thread panics while it makes a spare");
        let (name, capacity_bytes) = {
            let mut queue = self.lock_queue();
            let name = LogName { timeline: self.identity.timeline, number: queue.next_number };
            queue.next_number += 1;
            let used_bytes = queue.plan.as_ref().map_or(0, |p| p.offset_bytes).max(queue.last_used_bytes);
            let needed = FIRST_FRAME_OFFSET + frame_bytes + URGENT_BYTES;
            (name, (used_bytes * 2).clamp(MIN_FILE_BYTES, MAX_FILE_BYTES).max(needed.next_multiple_of(4096)))
        };
        let path = self.layout.live().join(name.to_string());
        let file = self.zero_filled(name, capacity_bytes).map_err(|source| {
            // A spare that is not whole is of no use and would only hold space.
            let _ = self.env.fs.unlink(&path);
            match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Unavailable(format!(
                    "disk full: no room for a log file of {capacity_bytes} bytes in {}; free space, then retry",
                    self.layout.live().display()
                )),
                _ => Error::Io { path: path.clone(), source },
            }
        })?;
        let mut queue = self.lock_queue();
        let fits = |spare: &Spare| FIRST_FRAME_OFFSET + frame_bytes <= spare.capacity_bytes;
        while let Some(small) = queue.spares.pop_front_if(|spare| !fits(spare)) {
            queue.discarded.push(small.name);
        }
        queue.spares.push_back(Spare { name, file, capacity_bytes });
        Ok(())
    }

    /// Returns the spares that will never be used, once.
    pub fn take_discarded(&self) -> Vec<LogName> {
        std::mem::take(&mut self.lock_queue().discarded)
    }

    fn zero_filled(&self, name: LogName, capacity_bytes: u64) -> std::io::Result<Box<dyn FsFile>> {
        let file = self.env.fs.create_new(&self.layout.live().join(name.to_string()))?;
        let zeros = vec![0; ZEROS_BYTES.min(capacity_bytes as usize)];
        let mut offset = 0;
        while offset < capacity_bytes {
            let n = (capacity_bytes - offset).min(zeros.len() as u64);
            write_all_at(&*file, offset, &zeros[..n as usize])?;
            offset += n;
        }
        file.sync()?;
        self.env.fs.sync_dir(&self.layout.live())?;
        Ok(file)
    }

    /// Returns whether a spare is ready; the background step makes one when not.
    pub fn has_spare(&self) -> bool {
        !self.lock_queue().spares.is_empty()
    }

    /// Writes what is queued through `seq` to the page cache, by itself or by waiting for another leader.
    pub fn wait_written(&self, seq: Seq) -> Result<()> {
        self.wait(seq, false)
    }

    /// Makes everything through `seq` durable: one sync serves all who wait meanwhile.
    pub fn wait_durable(&self, seq: Seq) -> Result<()> {
        self.wait(seq, true)
    }

    fn wait(&self, seq: Seq, durable: bool) -> Result<()> {
        let mut queue = self.lock_queue();
        loop {
            let reached = if durable { self.syncs.durable_seq() } else { queue.written_seq };
            if reached >= seq {
                return Ok(());
            }
            if let Some(why) = &queue.failed {
                return Err(Error::Unavailable(why.clone()));
            }
            let is_written = queue.written_seq >= seq;
            // Small frames are written together with those that come until the sync under way is over.
            let may_gather = durable && queue.syncing && queue.queued_bytes < EAGER_BYTES;
            if may_gather || (if is_written { queue.syncing } else { queue.writing }) {
                queue = self.changed.wait(queue).expect("no leader panics");
                continue;
            }
            queue = if is_written { self.lead_sync(queue) } else { self.lead_write(queue) };
            self.changed.notify_all();
        }
    }

    /// Writes what is queued.
    fn lead_write<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.writing = true;
        let batch = std::mem::take(&mut queue.frames);
        queue.queued_bytes = 0;
        let (target, before_bytes) = (queue.queued_seq, queue.written_bytes);
        drop(queue);
        let outcome = self.write_batch(batch);
        let mut queue = self.lock_queue();
        queue.writing = false;
        match outcome {
            Ok(written) => {
                queue.written_seq = target;
                queue.written_bytes += written.bytes;
                if let Some(bytes) = written.synced_bytes {
                    queue.synced_bytes = queue.synced_bytes.max(before_bytes + bytes);
                }
            }
            Err(e) => queue.fail(&e),
        }
        queue
    }

    /// Syncs what is written; writes go on meanwhile.
    fn lead_sync<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.syncing = true;
        let written_bytes = queue.written_bytes;
        drop(queue);
        let outcome = self.sync_active();
        let mut queue = self.lock_queue();
        queue.syncing = false;
        match outcome {
            Ok(()) => queue.synced_bytes = queue.synced_bytes.max(written_bytes),
            Err(e) => queue.fail(&e),
        }
        queue
    }

    /// Syncs the active file. Files before it were synced when it was begun.
    fn sync_active(&self) -> Result<()> {
        let io = self.io.lock().expect("no leader panics");
        let active = io.active.as_ref().expect("frames that are not durable stand in an active file");
        let (file, name, last_seq) = (active.file.clone(), active.name, io.last_seq);
        drop(io);
        self.syncs.sync(&*file, last_seq).map_err(Error::io(&self.layout.live().join(name.to_string())))
    }

    fn write_batch(&self, batch: VecDeque<Queued>) -> Result<Written> {
        let mut io = self.io.lock().expect("no leader panics");
        let mut buffer = std::mem::take(&mut io.buffer);
        let mut written = Written { bytes: 0, synced_bytes: None };
        for queued in batch {
            if let Some(spare) = queued.file {
                written.bytes += self.flush(&mut io, &mut buffer)?;
                self.finish_active(&mut io)?;
                written.synced_bytes = Some(written.bytes);
                self.begin_file(&mut io, spare)?;
            }
            io.last_seq = queued.frame.seq;
            let active = io.active.as_ref().expect("the first frame of a run finds the file that start() began");
            debug_assert!(!active.sealed, "a frame behind a seal begins another file");
            let durable_seq = self.syncs.durable_seq();
            frame::encode(&Frame { durable_seq, ..queued.frame }, active.salt, &mut buffer);
            if queued.seal {
                written.bytes += self.flush(&mut io, &mut buffer)?;
                self.seal_active(&mut io)?;
                written.synced_bytes = Some(written.bytes);
            }
        }
        written.bytes += self.flush(&mut io, &mut buffer)?;
        if buffer.capacity() <= KEPT_BUFFER_BYTES {
            io.buffer = buffer;
        }
        Ok(written)
    }

    fn flush(&self, io: &mut Io, buffer: &mut Vec<u8>) -> Result<u64> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let active = io.active.as_mut().expect("bytes are buffered for an active file only");
        let path = self.layout.live().join(active.name.to_string());
        write_all_at(&*active.file, active.used_bytes, buffer).map_err(Error::io(&path))?;
        active.used_bytes += buffer.len() as u64;
        let bytes = buffer.len() as u64;
        buffer.clear();
        Ok(bytes)
    }

    /// Leaves a full file: synced before the next file's header can exist, then linked uncut.
    fn finish_active(&self, io: &mut Io) -> Result<()> {
        let Some(active) = io.active.take() else { return Ok(()) };
        if !active.sealed {
            let path = self.layout.live().join(active.name.to_string());
            self.syncs.sync(&*active.file, io.last_seq).map_err(Error::io(&path))?;
            self.link_sealed(active.name)?;
        }
        let (name, used_bytes) = (active.name, active.used_bytes);
        io.predecessor = Some(Predecessor { name, used_bytes, last_seq: io.last_seq });
        Ok(())
    }

    /// Ends the active file behind its last frame: cut, synced, linked. The caller syncs `_log/`.
    fn seal_active(&self, io: &mut Io) -> Result<()> {
        let active = io.active.as_mut().expect("a frame was just written to it");
        let path = self.layout.live().join(active.name.to_string());
        active.file.set_len(active.used_bytes).map_err(Error::io(&path))?;
        // The frame before it was written just now: there is something to sync, and the new length with it.
        debug_assert!(self.syncs.durable_seq() < io.last_seq);
        self.syncs.sync(&*active.file, io.last_seq).map_err(Error::io(&path))?;
        active.sealed = true;
        let name = active.name;
        self.link_sealed(name)
    }

    fn link_sealed(&self, name: LogName) -> Result<()> {
        let to = self.layout.log().join(name.to_string());
        self.env.fs.hard_link(&self.layout.live().join(name.to_string()), &to).map_err(Error::io(&to))
    }

    fn begin_file(&self, io: &mut Io, spare: Spare) -> Result<()> {
        let head = self.new_header(io, spare.name, self.syncs.durable_seq());
        let path = self.layout.live().join(spare.name.to_string());
        write_header(&*spare.file, &head).map_err(Error::io(&path))?;
        io.active = Some(Active {
            name: spare.name,
            file: spare.file.into(),
            salt: head.salt,
            used_bytes: FIRST_FRAME_OFFSET,
            sealed: false,
        });
        Ok(())
    }

    fn new_header(&self, io: &Io, name: LogName, durable_seq: Seq) -> LogHeader {
        LogHeader {
            database_id: self.identity.database_id,
            name,
            salt: if self.planted == Some(Planted::SaltIgnored) { 0 } else { self.env.rng.next_u64() as u32 },
            first_seq: io.predecessor.map_or(Seq(1), |p| p.last_seq.next()),
            durable_seq,
            created_us: self.env.clock.now_us(),
            place: self.identity.place,
            predecessor: io.predecessor,
        }
    }

    /// Returns how far the log is queued, written and durable.
    pub fn progress(&self) -> LogProgress {
        let queue = self.lock_queue();
        LogProgress {
            queued_seq: queue.queued_seq,
            written_seq: queue.written_seq,
            durable_seq: self.syncs.durable_seq(),
            written_bytes: queue.written_bytes,
            unsynced_bytes: queue.written_bytes - queue.synced_bytes,
        }
    }

    /// Returns the file that holds the frame of that Seq, or the newest file when it is not written yet.
    pub fn file_with(&self, seq: Seq) -> LogName {
        let queue = self.lock_queue();
        let after = queue.chain.partition_point(|(_, first)| *first <= seq);
        queue.chain[after.saturating_sub(1)].0
    }

    /// Forgets the files before `first`, which no recovery needs any more, and returns them with the Seqs of their first
    /// frames.
    pub fn forget_before(&self, first: LogName) -> Vec<(LogName, Seq)> {
        let mut queue = self.lock_queue();
        match queue.chain.iter().position(|(name, _)| *name == first) {
            Some(n) => queue.chain.drain(..n).collect(),
            None => Vec::new(),
        }
    }

    /// Returns the number of log files that a recovery would read.
    pub fn chain_len(&self) -> usize {
        self.lock_queue().chain.len()
    }

    /// Returns the files of the log, oldest first; the last one is being written.
    pub fn chain(&self) -> Vec<LogName> {
        self.lock_queue().chain.iter().map(|(name, _)| *name).collect()
    }

    /// Returns the files of the log with the Seqs of their first frames, oldest first.
    pub fn chain_with_seqs(&self) -> Vec<(LogName, Seq)> {
        self.lock_queue().chain.iter().copied().collect()
    }

    /// Returns why writing has stopped, if it has.
    pub fn failure(&self) -> Option<String> {
        self.lock_queue().failed.clone()
    }

    /// Tells whether a file was made by a former run of this timeline. One of this run may be a spare in the making,
    /// which no list has yet.
    pub fn is_of_former_run(&self, name: &LogName) -> bool {
        name.timeline == self.identity.timeline && name.number < self.first_number
    }

    /// Returns the files that the running log still writes or will write: the active one and its spares.
    pub fn open_files(&self) -> Vec<LogName> {
        let queue = self.lock_queue();
        let mut names: Vec<LogName> = queue.spares.iter().map(|s| s.name).collect();
        names.extend(queue.frames.iter().filter_map(|q| q.file.as_ref().map(|s| s.name)));
        names.extend(queue.plan.as_ref().map(|p| p.name));
        drop(queue);
        names.extend(self.io.lock().expect("no leader panics").active.as_ref().map(|a| a.name));
        names
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }
}

impl Queue {
    /// Ends all writing; the first reason counts.
    fn fail(&mut self, e: &Error) {
        self.failed.get_or_insert_with(|| {
            format!(
                "writing has stopped because the log could not be written: {e}; reads go on, check the disk and restart"
            )
        });
    }
}

struct Written {
    bytes: u64,
    /// How many of the bytes were synced on the way.
    synced_bytes: Option<u64>,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogProgress {
    pub queued_seq: Seq,
    pub written_seq: Seq,
    pub durable_seq: Seq,
    /// Bytes of frames since the start.
    pub written_bytes: u64,
    /// Bytes of frames since the last sync.
    pub unsynced_bytes: u64,
}

fn write_header(file: &dyn FsFile, head: &LogHeader) -> std::io::Result<()> {
    let copy = header::encode(head);
    HEADER_COPY_OFFSETS.iter().try_for_each(|&at| write_all_at(file, at, &copy))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::env::clock::ManualClock;
    use crate::env::rng::SeededRng;
    use crate::env::sim_fs::SimFs;

    const TIMELINE: TimelineId = TimelineId { number: 1, tag: 1 };

    fn log_that_begins_with(next_number: u64) -> LogWriter {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let env = Env { fs: Arc::new(SimFs::new(7)), clock, rng: Arc::new(SeededRng::new(7)) };
        let layout = Layout::new(Path::new("/root"));
        for dir in [layout.root().to_owned(), layout.db(), layout.live()] {
            env.fs.create_dir(&dir).unwrap();
        }
        let place = Place { machine: 1, inode: 1 };
        let identity = RunIdentity { database_id: 1, timeline: TIMELINE, place };
        let start = LogStart {
            identity,
            predecessor: None,
            next_number,
            carried: Vec::new(),
            chain: Vec::new(),
            planted: None,
        };
        LogWriter::start(env, layout, start).unwrap()
    }

    #[test]
    fn a_spare_in_the_making_is_no_leftover() {
        let log = log_that_begins_with(5);
        let former = |number| log.is_of_former_run(&LogName { timeline: TIMELINE, number });
        assert!(former(4));
        // 5 is active; 6 may be a spare whose bytes are still being written, which is in no list yet.
        assert!(!former(5) && !former(6));
    }

    /// A file whose syncs are counted, wait for a permit and fail when it says so.
    struct Watched {
        file: Arc<dyn FsFile>,
        syncs: std::sync::mpsc::Sender<()>,
        permits: Mutex<std::sync::mpsc::Receiver<std::io::Result<()>>>,
    }

    impl FsFile for Watched {
        fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
            self.file.write_at(offset, bytes)
        }
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.file.read_at(offset, bytes)
        }
        fn len_bytes(&self) -> std::io::Result<u64> {
            self.file.len_bytes()
        }
        fn set_len(&self, len_bytes: u64) -> std::io::Result<()> {
            self.file.set_len(len_bytes)
        }
        fn sync(&self) -> std::io::Result<()> {
            self.syncs.send(()).unwrap();
            self.permits.lock().unwrap().recv().unwrap()
        }
    }

    type Permits = std::sync::mpsc::Sender<std::io::Result<()>>;

    /// Watches the syncs of the active file: returns what they are told by, and what lets them go on.
    fn watch_syncs(log: &LogWriter) -> (std::sync::mpsc::Receiver<()>, Permits) {
        let ((syncs, told), (permits, asked)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let mut io = log.io.lock().unwrap();
        let active = io.active.as_mut().unwrap();
        active.file = Arc::new(Watched { file: active.file.clone(), syncs, permits: Mutex::new(asked) });
        (told, permits)
    }

    fn push(log: &LogWriter, seq: u64) {
        let payload = vec![1; 100];
        let placement = log.place(payload.len(), Urgency::Ordinary).unwrap();
        let frame =
            Frame { kind: frame::FrameKind::Commit, seq: Seq(seq), commit_us: 0, durable_seq: Seq::ZERO, payload };
        log.push(frame, placement, false);
    }

    #[test]
    fn who_needs_no_sync_waits_for_none() {
        let log = log_that_begins_with(1);
        let (syncs, permits) = watch_syncs(&log);
        push(&log, 1);
        std::thread::scope(|scope| {
            let durable = scope.spawn(|| log.wait_durable(Seq(1)));
            syncs.recv().unwrap();
            push(&log, 2);
            log.wait_written(Seq(2)).unwrap();
            assert_eq!((log.progress().written_seq, log.progress().durable_seq), (Seq(2), Seq::ZERO));
            permits.send(Ok(())).unwrap();
            durable.join().unwrap().unwrap();
        });
        // what was written behind the sync's begin is not taken for durable
        assert_eq!(log.progress().durable_seq, Seq(1));
        assert!(log.progress().unsynced_bytes > 0);
        permits.send(Ok(())).unwrap();
        log.wait_durable(Seq(2)).unwrap();
        assert_eq!((log.progress().durable_seq, log.progress().unsynced_bytes), (Seq(2), 0));
    }

    #[test]
    fn nothing_is_durable_behind_a_failed_sync() {
        let log = log_that_begins_with(1);
        let (syncs, permits) = watch_syncs(&log);
        push(&log, 1);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| log.wait_durable(Seq(1)));
            syncs.recv().unwrap();
            push(&log, 2);
            log.wait_written(Seq(2)).unwrap();
            let second = scope.spawn(|| log.wait_durable(Seq(2)));
            permits.send(Err(std::io::Error::other("lost"))).unwrap();
            assert!(first.join().unwrap().is_err() && second.join().unwrap().is_err());
        });
        assert!(syncs.try_recv().is_err(), "a sync was repeated");
        assert!(log.failure().is_some_and(|why| why.contains("lost")));
        let io = log.io.lock().unwrap();
        assert!(log.syncs.sync(&*io.active.as_ref().unwrap().file, Seq(2)).is_err());
        assert!(syncs.try_recv().is_err(), "a sync was repeated");
    }

    #[test]
    fn spares_made_at_once_are_used_in_the_order_of_their_numbers() {
        let log = log_that_begins_with(1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| log.add_spare(0).unwrap()));
            }
        });
        let numbers: Vec<u64> = log.lock_queue().spares.iter().map(|spare| spare.name.number).collect();
        assert_eq!(numbers, (2..22).collect::<Vec<u64>>());
    }
}
