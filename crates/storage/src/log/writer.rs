//! Appending to the log: places are given under the caller's lock without I/O, one leader writes for all who wait, another
//! one syncs for all, so that who needs no sync never waits for one.
//!
//! A frame's place (file and offset) is fixed when it is queued, in files that exist and are filled with zeros, so a
//! full disk is met before a Seq is given out and never leaves half a frame behind. After any failed write or sync the
//! log is failed for good: nothing is acknowledged any more, and a sync is never repeated.
//!
//! Reading order: this file (how a run starts, who waits for what), [`queue`] (places), [`spare`] (files in stock), [`file`]
//! (bytes of the active file and its end).

mod file;
mod queue;
mod spare;
#[cfg(test)]
mod tests;

use std::sync::{Condvar, Mutex, MutexGuard};

use types::{Seq, TimelineId};

use self::file::Io;
use self::queue::Queue;
use super::frame::{self, Frame};
use super::header::{Place, Predecessor};
use super::syncs::Syncs;
use crate::env::Env;
use crate::layout::{Layout, LogName};
use crate::planted::Planted;
use crate::{Error, Result};

/// Smallest log file.
pub const MIN_FILE_BYTES: u64 = 1 << 20;
/// Largest log file, unless one frame needs more.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Room that only releases and drops may use, so that they work on a full disk.
const URGENT_BYTES: u64 = 64 << 10;
/// So many bytes are written while a sync is under way, so that the next sync finds them in the file.
const EAGER_BYTES: usize = 256 << 10;

/// Whether a frame may use the last room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Ordinary,
    /// Frees space or ends a snapshot.
    Urgent,
    /// Ends its file, so that what is left there is no room for others.
    Sealing,
}

/// Where a frame will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    pub file: LogName,
    /// Offset behind the frame.
    pub end_bytes: u64,
    begins_file: bool,
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
        let queue = Queue::new(last_seq, start.next_number, start.chain);
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
