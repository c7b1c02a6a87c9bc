//! Whether what a copy is to bring fits on the disk that it goes to: [`Room`].

use std::io::ErrorKind;
use std::path::PathBuf;

use super::Plan;
use crate::layout::Disk;
use crate::{Error, Result};

/// What is to come, and where it has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Files that are not there yet in their length, and their bytes.
    pub new_files: u64,
    pub new_bytes: u64,
    pub free_bytes: u64,
}

impl Room {
    /// Looks at a directory, which may be missing.
    pub fn of(plan: &Plan, disk: &Disk) -> Result<Room> {
        let (mut new_files, mut new_bytes) = (0, 0);
        for file in plan.all() {
            let there = disk.env.fs.metadata(&file.below(disk.layout.root()));
            let there = there.is_ok_and(|found| found.len_bytes == file.len_bytes);
            new_files += u64::from(!there);
            new_bytes += if there { 0 } else { file.len_bytes };
        }
        Ok(Room { new_files, new_bytes, free_bytes: free_bytes(disk)? })
    }

    /// Returns the sentence for the operator when it does not fit.
    pub fn lacking(&self, disk: &Disk) -> Option<String> {
        let lacking_bytes = self.new_bytes.checked_sub(self.free_bytes).filter(|bytes| *bytes > 0)?;
        Some(format!(
            "it does not fit on the disk of {}: {} bytes are to come, {} are free, so {lacking_bytes} are lacking (fewer where \
             that disk shares or packs blocks)",
            disk.layout.root().display(),
            self.new_bytes,
            self.free_bytes
        ))
    }
}

/// Returns what is free where a directory is, or will be.
fn free_bytes(disk: &Disk) -> Result<u64> {
    let mut dir: PathBuf = disk.layout.root().to_owned();
    loop {
        match disk.env.fs.space(&dir) {
            Ok(space) => return Ok(space.free_bytes),
            Err(e) if e.kind() == ErrorKind::NotFound && dir.pop() => {}
            Err(e) => return Err(Error::io(&dir)(e)),
        }
    }
}
