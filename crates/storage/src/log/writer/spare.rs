//! Files that are ready before they are needed: full of zeros, synced, their names durable.

use super::{LogWriter, MAX_FILE_BYTES, MIN_FILE_BYTES, URGENT_BYTES};
use crate::env::fs::{FsFile, write_all_at};
use crate::layout::LogName;
use crate::log::header::FIRST_FRAME_OFFSET;
use crate::{Error, Result};

const ZEROS_BYTES: usize = 1 << 20;

/// A file that was prepared for the log: full of zeros, synced, its name durable.
pub(super) struct Spare {
    pub(super) name: LogName,
    pub(super) file: Box<dyn FsFile>,
    pub(super) capacity_bytes: u64,
}

impl LogWriter {
    /// Makes a spare with room for a frame or group of that many bytes, and for more where the disk has it. Its name is durable
    /// when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk is full; nothing was given out, later calls may succeed.
    pub fn add_spare(&self, frame_bytes: u64) -> Result<()> {
        // Recovery takes the highest number with a good header for the newest file: a higher one must never begin first.
        let _making = self.making.lock().expect("no thread panics while it makes a spare");
        let (name, wanted_bytes, needed_bytes) = {
            let mut queue = self.lock_queue();
            let name = LogName { timeline: self.identity.timeline, number: queue.next_number };
            queue.next_number += 1;
            let used_bytes = queue.plan.as_ref().map_or(0, |p| p.offset_bytes).max(queue.last_used_bytes);
            let needed_bytes = (FIRST_FRAME_OFFSET + frame_bytes + URGENT_BYTES).next_multiple_of(4096);
            (name, (used_bytes * 2).clamp(MIN_FILE_BYTES, MAX_FILE_BYTES).max(needed_bytes), needed_bytes)
        };
        let (file, capacity_bytes) = self.as_large_as_fits(name, wanted_bytes, needed_bytes)?;
        let mut queue = self.lock_queue();
        let fits = |spare: &Spare| FIRST_FRAME_OFFSET + frame_bytes <= spare.capacity_bytes;
        while let Some(small) = queue.spares.pop_front_if(|spare| !fits(spare)) {
            queue.discarded.push(small.name);
        }
        queue.spares.push_back(Spare { name, file, capacity_bytes });
        Ok(())
    }

    /// Makes a file of the bytes that are wanted, or of fewer on a disk that is nearly full.
    fn as_large_as_fits(&self, name: LogName, wanted_bytes: u64, needed_bytes: u64) -> Result<(Box<dyn FsFile>, u64)> {
        let path = self.layout.live().join(name.to_string());
        let mut capacity_bytes = wanted_bytes;
        loop {
            let source = match self.zero_filled(name, capacity_bytes) {
                Ok(file) => return Ok((file, capacity_bytes)),
                Err(source) => source,
            };
            // A spare that is not whole is of no use and would only hold space.
            let _ = self.env.fs.unlink(&path);
            if !is_full(&source) {
                return Err(Error::Io { path, source });
            }
            if capacity_bytes == needed_bytes {
                return Err(Error::Unavailable(format!(
                    "disk full: no room for a log file of {needed_bytes} bytes in {}; free space, then retry",
                    self.layout.live().display()
                )));
            }
            capacity_bytes = (capacity_bytes / 2).next_multiple_of(4096).max(needed_bytes);
        }
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
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
