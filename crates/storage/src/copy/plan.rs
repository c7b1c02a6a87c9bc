//! What a copy consists of: [`Plan`], found from the snapshot's pin alone.

use std::path::{Path, PathBuf};

use crate::document;
use crate::env::Env;
use crate::env::fs::FileKind;
use crate::layout::{Disk, Layout, list_or_none};
use crate::restore::{read_pins, require_plain_path};
use crate::root;
use crate::snapshot::{Pin, content};
use crate::{Error, Result};

/// Files of the configuration that are larger are not ours.
const MAX_CONF_BYTES: u64 = 16 << 20;
/// Directories below `conf/`.
const MAX_CONF_DEPTH: usize = 8;

/// Everything that a copy of a snapshot needs.
pub struct Plan {
    pub(super) disk: Disk,
    pub(super) pin: Pin,
    pub(super) tables: usize,
    /// The marker first, then the largest, so that workers end together.
    pub(super) files: Vec<Planned>,
    /// The pin.
    pub(super) last: Planned,
}

/// One file of a copy.
pub(super) struct Planned {
    /// Relative to the root, `/` between the steps.
    pub path: String,
    pub len_bytes: u64,
    /// Of the whole file, from what names it.
    pub crc32c: u32,
    /// Its bytes, when it is small and may change: it is then compared, however long it is in the target.
    pub content: Option<Vec<u8>>,
}

impl Planned {
    fn of_bytes(path: String, bytes: Vec<u8>) -> Planned {
        Planned { path, len_bytes: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes), content: Some(bytes) }
    }

    /// Returns the path below a root.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(&self.path)
    }
}

impl Plan {
    /// Reads what a snapshot of a root names; of several of that name the latest. The server may run: while the snapshot
    /// stands, every file of it stays.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such snapshot, [`Error::Corrupt`] naming what is missing or damaged, as far as it is
    /// read here: logs, bases and symbols.
    pub fn new(env: &Env, root: &Path, snapshot: &str) -> Result<Plan> {
        let disk = Disk { env: env.clone(), layout: Layout::new(root), planted: None };
        for dir in [disk.layout.db(), disk.layout.snapshot()] {
            root::refuse_symlink(&disk, &dir)?;
        }
        let marker_path = disk.layout.marker();
        if !disk.env.fs.exists(&marker_path).map_err(Error::io(&marker_path))? {
            return Err(Error::Refused(format!("there is no database in {}", root.display())));
        }
        require_plain_path(&disk, "_stillpoint")?;
        let marker = root::read_marker(&disk)?;
        let of_name = read_pins(&disk)?.into_iter().filter(|found| found.pin.name == snapshot);
        let Some(found) = of_name.max_by_key(|found| (found.pin.timeline.number, found.pin.seq)) else {
            return Err(Error::Refused(format!("there is no snapshot/{snapshot} in {}", root.display())));
        };
        if found.pin.database_id != marker.database_id {
            return Err(Error::corrupt(&found.path, "the snapshot is of another database than db/_stillpoint"));
        }
        let check = |file: &str| require_plain_path(&disk, file);
        let state = content::read(&disk, &found.pin, &found.path, &check)?;
        let mut files = Vec::new();
        for named in content::named_files(&disk, &found.pin, &found.path, &state)? {
            require_plain_path(&disk, &named.file)?;
            let crc32c = match named.crc32c {
                Some(crc32c) => crc32c,
                // Its frames were read and found good just now.
                None => {
                    let path = disk.layout.db().join(&named.file);
                    crc32c::crc32c(&disk.env.fs.map(&path).map_err(Error::io(&path))?)
                }
            };
            let path = format!("db/{}", named.file);
            files.push(Planned { path, len_bytes: named.len_bytes, crc32c, content: None });
        }
        files.extend(found.pin.timelines.iter().map(|named| Planned {
            path: format!("db/{}", named.file),
            len_bytes: named.len_bytes,
            crc32c: named.crc32c,
            content: None,
        }));
        configuration(&disk, "conf", MAX_CONF_DEPTH, &mut files)?;
        files.push(Planned::of_bytes("db/_stillpoint".to_owned(), document::encode(&marker)));
        files.sort_by_key(|file| (file.content.is_none(), std::cmp::Reverse(file.len_bytes)));
        let last = Planned::of_bytes(format!("snapshot/{}", found.pin.file_name()), document::encode(&found.pin));
        Ok(Plan { tables: state.tables.len(), disk, pin: found.pin, files, last })
    }

    /// Returns the bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().chain([&self.last]).map(|file| file.len_bytes).sum()
    }

    /// Returns the number of files.
    pub fn total_files(&self) -> usize {
        self.files.len() + 1
    }
}

/// Adds the plain files below `conf/`. They are no part of the cut: as they are now.
fn configuration(disk: &Disk, dir: &str, depth: usize, files: &mut Vec<Planned>) -> Result<()> {
    let path = disk.layout.root().join(dir);
    if disk.env.fs.metadata(&path).is_ok_and(|m| m.kind != FileKind::Dir) {
        return Ok(());
    }
    for entry in list_or_none(disk, &path)? {
        let name = format!("{dir}/{}", entry.name);
        let path = disk.layout.root().join(&name);
        match entry.kind {
            FileKind::Dir if depth > 0 => configuration(disk, &name, depth - 1, files)?,
            FileKind::File => match disk.env.fs.metadata(&path) {
                Ok(found) if found.len_bytes <= MAX_CONF_BYTES => {
                    files.push(Planned::of_bytes(name, disk.env.fs.read(&path).map_err(Error::io(&path))?));
                }
                Ok(_) => {}
                // An editor puts a new file in the place of the old one.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(&path)(e)),
            },
            _ => {}
        }
    }
    Ok(())
}
