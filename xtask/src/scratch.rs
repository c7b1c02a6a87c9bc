//! A temporary directory that goes when it is dropped, and the copies that a task makes in it as an operator would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Result;
use crate::cargo::output;

/// A directory under the system's place for temporary files.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the directory; its name tells which task and process it belongs to.
    pub fn new(task: &str) -> Result<Scratch> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stillpoint-{task}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch { path })
    }

    /// Returns the path of a name in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // STILLPOINT_KEEP is for whoever looks for a fault: the roots and the servers' output stay.
        if std::env::var_os("STILLPOINT_KEEP").is_some() {
            eprintln!("kept: {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// Copies a root with `cp -a`, as the guide says.
pub fn copy(root: &Path, target: &Path) -> Result<()> {
    output(Command::new("cp").arg("-a").arg(root).arg(target))?;
    Ok(())
}

/// Puts a copy in the place of a root, which must be gone, and makes the trigger of a restore.
pub fn put_back(copied: &Path, root: &Path) -> Result<()> {
    copy(copied, root)?;
    output(Command::new("touch").arg(root.join("_restore")))?;
    Ok(())
}

/// Returns every file below a folder, sorted by path.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}
