//! How far the log is durable: [`Syncs`]. A sync runs beside the writes that follow it, one sync at a time, and none after
//! one that failed: the system tells of lost bytes once, and not to whom they belonged.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use types::Seq;

use crate::env::fs::FsFile;

pub(super) struct Syncs {
    /// Held through a sync; true once one has failed.
    failed: Mutex<bool>,
    durable_seq: AtomicU64,
}

impl Syncs {
    /// Returns the syncs of a log that is durable through `seq`.
    pub fn new(seq: Seq) -> Syncs {
        Syncs { failed: Mutex::new(false), durable_seq: AtomicU64::new(seq.0) }
    }

    /// Returns the highest Seq that is known to be durable.
    pub fn durable_seq(&self) -> Seq {
        Seq(self.durable_seq.load(Ordering::Acquire))
    }

    /// Makes the frames through `seq` durable. Those that are not stand in `file` and are written.
    ///
    /// # Errors
    /// As [`FsFile::sync`], and whenever a sync has failed before.
    pub fn sync(&self, file: &dyn FsFile, seq: Seq) -> io::Result<()> {
        let mut failed = self.failed.lock().expect("no holder of this lock panics");
        if *failed {
            return Err(io::Error::other("a sync has failed before"));
        }
        if self.durable_seq() >= seq {
            return Ok(());
        }
        if let Err(e) = file.sync() {
            *failed = true;
            return Err(e);
        }
        self.durable_seq.store(seq.0, Ordering::Release);
        Ok(())
    }
}
