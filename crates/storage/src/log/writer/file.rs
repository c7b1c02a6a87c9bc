//! The file that is being written: its header, frames by batches, and how it ends.

use std::collections::VecDeque;
use std::sync::Arc;

use types::Seq;

use super::LogWriter;
use super::queue::{Plan, Queued};
use super::spare::Spare;
use crate::env::fs::{FsFile, write_all_at};
use crate::layout::LogName;
use crate::log::frame::{self, Frame};
use crate::log::header::{self, FIRST_FRAME_OFFSET, HEADER_COPY_OFFSETS, LogHeader, Predecessor};
use crate::planted::Planted;
use crate::{Error, Result};

/// A buffer of frames that has grown beyond this is given back.
const KEPT_BUFFER_BYTES: usize = 8 << 20;

pub(super) struct Active {
    pub(super) name: LogName,
    pub(super) file: Arc<dyn FsFile>,
    pub(super) salt: u32,
    pub(super) used_bytes: u64,
    pub(super) sealed: bool,
}

pub(super) struct Io {
    pub(super) active: Option<Active>,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) last_seq: Seq,
    /// Frames on their way to the file.
    pub(super) buffer: Vec<u8>,
}

pub(super) struct Written {
    pub(super) bytes: u64,
    /// How many of the bytes were synced on the way.
    pub(super) synced_bytes: Option<u64>,
}

impl LogWriter {
    /// Writes carried frames, syncs, then header, syncs.
    pub(super) fn begin_with(&self, carried: Vec<Frame>, known_durable_seq: Seq) -> Result<()> {
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

    pub(super) fn write_batch(&self, batch: VecDeque<Queued>) -> Result<Written> {
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

    /// Syncs the active file. Files before it were synced when it was begun.
    pub(super) fn sync_active(&self) -> Result<()> {
        let io = self.io.lock().expect("no leader panics");
        let active = io.active.as_ref().expect("frames that are not durable stand in an active file");
        let (file, name, last_seq) = (active.file.clone(), active.name, io.last_seq);
        drop(io);
        self.syncs.sync(&*file, last_seq).map_err(Error::io(&self.layout.live().join(name.to_string())))
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
}

fn write_header(file: &dyn FsFile, head: &LogHeader) -> std::io::Result<()> {
    let copy = header::encode(head);
    HEADER_COPY_OFFSETS.iter().try_for_each(|&at| write_all_at(file, at, &copy))
}
