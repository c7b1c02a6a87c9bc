//! An open file of a simulated process: [`SimFile`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::super::fs::{FileKind, FsFile};
use super::SimFs;
use super::machine::Machine;
use super::op::OpKind;

/// Which write-backs that failed somebody was told of who has a file, or the whole file system, open.
pub(super) struct Told {
    of: Option<u64>,
    failures: AtomicU64,
}

impl Told {
    /// Returns what is told to who opens it now: nothing of what has failed before.
    pub fn new(machine: &Machine, of: Option<u64>) -> Told {
        Told { of, failures: AtomicU64::new(machine.failed_write_backs(of)) }
    }

    /// Tells once of what has failed since.
    pub fn check(&self, machine: &Machine) -> io::Result<()> {
        let failures = machine.failed_write_backs(self.of);
        if self.failures.swap(failures, Ordering::Relaxed) < failures { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

pub(super) struct SimFile {
    fs: SimFs,
    inode: u64,
    path: PathBuf,
    writable: bool,
    told: Told,
}

impl SimFile {
    pub(super) fn new(fs: &SimFs, machine: &Machine, inode: u64, path: &Path, writable: bool) -> SimFile {
        let told = Told::new(machine, Some(inode));
        SimFile { fs: fs.clone(), inode, path: path.to_owned(), writable, told }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }
}

impl FsFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut machine = self.fs.machine();
        let call = machine.begin(self.fs.process, OpKind::WriteAt, &self.path)?;
        self.check_writable()?;
        let part = if call.short || call.lie { &bytes[..bytes.len().div_ceil(2)] } else { bytes };
        machine.counts.written_bytes += part.len() as u64;
        let done = machine.write(self.inode, offset, part)?;
        let answer = if call.lie { bytes.len() } else { done };
        machine.finish(call)?;
        Ok(answer)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.fs.machine();
        let call = machine.begin(self.fs.process, OpKind::ReadAt, &self.path)?;
        let wanted = if call.short { bytes.len().div_ceil(2) } else { bytes.len() };
        let got = machine.file(self.inode)?.volatile.read_at(offset, &mut bytes[..wanted]);
        machine.counts.read_bytes += got as u64;
        Ok(got)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let mut machine = self.fs.machine();
        machine.look(self.fs.process, OpKind::Len, &self.path)?;
        match machine.kind(self.inode) {
            FileKind::File => Ok(machine.file(self.inode)?.volatile.len_bytes()),
            _ => Ok(0),
        }
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let mut machine = self.fs.machine();
        let call = machine.begin(self.fs.process, OpKind::SetLen, &self.path)?;
        self.check_writable()?;
        machine.set_len(self.inode, len_bytes);
        machine.finish(call)
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.fs.machine();
        match machine.begin(self.fs.process, OpKind::Sync, &self.path) {
            Ok(call) => {
                let is_done = !call.lie;
                machine.finish(call)?;
                if !is_done {
                    return Ok(());
                }
                machine.sync(self.inode);
                self.told.check(&machine)
            }
            Err(error) => {
                // A dead process changes nothing; a failed sync forgets what it should have kept.
                if machine.is_alive(self.fs.process) {
                    machine.file_mut(self.inode).drop_dirty();
                }
                Err(error)
            }
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.fs.machine().closed(self.fs.process);
    }
}
