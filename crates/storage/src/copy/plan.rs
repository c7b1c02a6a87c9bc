//! What a copy consists of: [`Plan`], found from the snapshot's pin alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::catalog::DbState;
use crate::document;
use crate::env::Env;
use crate::env::fs::FileKind;
use crate::layout::{Disk, Layout, list_or_none};
use crate::restore::{Depth, PinFile, kept, marker_of_copy, read_pins, require_plain_path};
use crate::snapshot::{Pin, content};
use crate::{Error, Result};

/// Files of the configuration that are larger are not ours.
const MAX_CONF_BYTES: u64 = 16 << 20;
/// Directories below `conf/`.
const MAX_CONF_DEPTH: usize = 8;

/// [`content::read`] or [`content::read_files`].
type ReadContent = fn(&Disk, &Pin, &Path, content::Check<'_>) -> Result<DbState>;

/// Everything that a copy of a snapshot needs.
pub struct Plan {
    pub(super) disk: Disk,
    pub(super) found: PinFile,
    /// At the cut, without rows that are in the log alone if the plan is of a copy.
    pub(super) state: DbState,
    /// The marker first, then the largest, so that workers end together.
    pub(super) files: Vec<Planned>,
    /// The pins, that of the snapshot itself last.
    pub(super) last: Vec<Planned>,
    /// Kept snapshots that a restore of this one goes on with, by whether they go along.
    pub(super) kept: Kept,
    /// Those that go along, if they stay as long as the copy takes.
    pub(super) along: Vec<Along>,
    /// Sentences about those that are at fault.
    pub(super) gone: Vec<String>,
}

/// A kept snapshot that goes along.
pub(super) struct Along {
    pub id: String,
    pub name: String,
    /// Its pin among the last files, if there is one.
    pub pin: Option<String>,
    /// Files that it names and the snapshot that is copied does not.
    pub files: HashSet<String>,
}

/// Other snapshots of the source, which are kept and were so at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    pub along: usize,
    pub left_out: usize,
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
        Plan::read(env, root, Some(snapshot), content::read_files)
    }

    /// As [`Plan::new`]; without a name the only snapshot, or `default` if no other has a later cut. Rows in the log are read too:
    /// what comes of this is restored at once.
    ///
    /// # Errors
    /// Likewise; [`Error::Refused`] listing them when there are several.
    pub fn find(env: &Env, root: &Path, snapshot: Option<&str>) -> Result<Plan> {
        Plan::read(env, root, snapshot, content::read)
    }

    fn read(env: &Env, root: &Path, snapshot: Option<&str>, read: ReadContent) -> Result<Plan> {
        let disk = Disk { env: env.clone(), layout: Layout::new(root), planted: None };
        let marker = marker_of_copy(&disk)?;
        let pins = read_pins(&disk)?;
        let found = choose(&disk, &pins, snapshot)?;
        if found.pin.database_id != marker.database_id {
            return Err(Error::corrupt(&found.path, "the snapshot is of another database than db/_stillpoint"));
        }
        let check = |file: &str| require_plain_path(&disk, file);
        let state = read(&disk, &found.pin, &found.path, &check)?;
        let mut files = Vec::new();
        files_of(&disk, &found.pin, &found.path, &state, &mut files)?;
        configuration(&disk, "conf", MAX_CONF_DEPTH, &mut files)?;
        files.push(Planned::of_bytes("db/_stillpoint".to_owned(), document::encode(&marker)));
        files.sort_by_key(|file| (file.content.is_none(), std::cmp::Reverse(file.len_bytes)));
        let last = planned(found);
        let others: Vec<&Pin> = pins.iter().map(|other| &other.pin).collect();
        let left_out = kept::candidates(&disk, &found.pin, &found.path, &state, &others)?.len();
        let found = PinFile { path: found.path.clone(), pin: found.pin.clone() };
        let (along, gone) = Default::default();
        Ok(Plan { disk, found, state, files, last: vec![last], kept: Kept { along: 0, left_out }, along, gone })
    }

    /// Adds the kept snapshots of the source with which a restore of this one goes on: those that were kept at its cut and
    /// are whole, which means their bytes or their lengths.
    ///
    /// # Errors
    /// As [`Plan::new`]; a kept snapshot at fault is left out.
    pub fn with_kept(mut self, depth: Depth) -> Result<Plan> {
        let pins = read_pins(&self.disk)?;
        let others: Vec<&Pin> = pins.iter().map(|found| &found.pin).collect();
        let candidates = kept::candidates(&self.disk, &self.found.pin, &self.found.path, &self.state, &others)?;
        let own: HashSet<String> = self.files.iter().map(|file| file.path.clone()).collect();
        let mut known = own.clone();
        let (mut files, mut last, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for pin in &candidates {
            match files_of_kept(&self.disk, pin, depth, &own) {
                Ok(more) => {
                    let names = more.iter().map(|file| file.path.clone()).collect();
                    files.extend(more.into_iter().filter(|file| known.insert(file.path.clone())));
                    // A start makes it anew from the log where it is not there.
                    let of_pin = pins.iter().find(|found| found.pin == **pin).map(planned);
                    let pin_path = of_pin.as_ref().map(|file| file.path.clone());
                    let (id, name) = (pin.id.clone(), pin.name.clone());
                    self.along.push(Along { id, name, pin: pin_path, files: names });
                    last.extend(of_pin);
                }
                Err(why) => {
                    gone.push(format!("kept snapshot {} (seq {}) does not go along: {why}", pin.name, pin.seq));
                }
            }
        }
        let along = self.along.len();
        self.kept = Kept { along, left_out: candidates.len() - along };
        self.gone = gone;
        self.files.extend(files);
        self.files.sort_by_key(|file| (file.content.is_none(), std::cmp::Reverse(file.len_bytes)));
        last.append(&mut self.last);
        self.last = last;
        Ok(self)
    }

    /// Returns whether only kept snapshots that go along name a file.
    pub(super) fn is_of_kept(&self, path: &str) -> bool {
        self.along.iter().any(|along| along.files.contains(path))
    }

    /// Returns whether a pin of a directory of copies is the former file of a snapshot that is copied, which has settled since.
    pub(super) fn has_settled(&self, found: &PinFile) -> bool {
        let id = &found.pin.id;
        let is_copied = *id == self.found.pin.id || self.along.iter().any(|along| along.id == *id);
        let path = format!("snapshot/{}", found.file_name());
        is_copied && self.last.iter().all(|pin| pin.path != path)
    }

    /// Returns the kept snapshots that cannot go along without these files.
    pub(super) fn without(&self, lost: &HashSet<String>) -> Vec<&Along> {
        self.along.iter().filter(|along| along.files.iter().any(|file| lost.contains(file))).collect()
    }

    /// Returns the pins, but those of kept snapshots that do not go along after all.
    pub(super) fn pins_without<'p>(&'p self, gone: &'p [&Along]) -> impl Iterator<Item = &'p Planned> {
        self.last.iter().filter(|pin| gone.iter().all(|gone| gone.pin.as_ref() != Some(&pin.path)))
    }

    /// Returns every file, the pins last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Planned> {
        self.files.iter().chain(&self.last)
    }

    /// Returns the bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.all().map(|file| file.len_bytes).sum()
    }

    /// Returns the number of files.
    pub fn total_files(&self) -> usize {
        self.files.len() + self.last.len()
    }
}

/// Returns the snapshot that is meant.
fn choose<'a>(disk: &Disk, pins: &'a [PinFile], name: Option<&str>) -> Result<&'a PinFile> {
    let root = disk.layout.root().display();
    let of_name = pins.iter().filter(|found| name.is_none_or(|name| found.is_called(name)));
    // Of two files of one that has settled just now the other one goes.
    let key = |found: &&PinFile| (found.pin.timeline.number, found.pin.seq, found.pin.settled.is_some());
    let latest = of_name.clone().max_by_key(key);
    let mut names: Vec<&str> = of_name.map(|found| &*found.pin.name).collect();
    names.sort_unstable();
    names.dedup();
    match (latest, name) {
        (Some(found), _) if names.len() == 1 || found.pin.name == "default" => Ok(found),
        (Some(_), _) => Err(Error::Refused(format!(
            "{root} holds several snapshots ({}): name one of them with --snapshot",
            names.join(", ")
        ))),
        (None, name) => {
            let mut there: Vec<&str> = pins.iter().map(|found| &*found.pin.name).collect();
            there.sort_unstable();
            there.dedup();
            let remedy = match there.is_empty() {
                true => "; take one with SNAPSHOT PREPARE and copy the root before SNAPSHOT COMPLETE".to_owned(),
                false => format!(", which holds {}: name one of these with --snapshot", there.join(", ")),
            };
            Err(Error::Refused(format!("there is no snapshot/{} in {root}{remedy}", name.unwrap_or("default"))))
        }
    }
}

/// Returns the file of a pin: by the name that it has in the source, whatever stands in it.
fn planned(found: &PinFile) -> Planned {
    Planned::of_bytes(format!("snapshot/{}", found.file_name()), document::encode(&found.pin))
}

/// Adds what a snapshot's state, base and log consist of, and its timelines.
fn files_of(disk: &Disk, pin: &Pin, pin_path: &Path, state: &DbState, files: &mut Vec<Planned>) -> Result<()> {
    for named in content::named_files(disk, pin, pin_path, state)? {
        require_plain_path(disk, &named.file)?;
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
    files.extend(pin.timelines.iter().map(|named| Planned {
        path: format!("db/{}", named.file),
        len_bytes: named.len_bytes,
        crc32c: named.crc32c,
        content: None,
    }));
    Ok(())
}

/// Returns the files of a kept snapshot that the one that is copied does not name.
fn files_of_kept(disk: &Disk, pin: &Pin, depth: Depth, known: &HashSet<String>) -> Result<Vec<Planned>> {
    let path = disk.layout.snapshot().join(pin.file_name());
    let state = content::read_files(disk, pin, &path, &|file: &str| require_plain_path(disk, file))?;
    let mut files = Vec::new();
    files_of(disk, pin, &path, &state, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files.retain(|file| !known.contains(&file.path));
    for file in &files {
        let path = file.below(disk.layout.root());
        let whole = match depth {
            Depth::Full => crate::ipc::checksum_file(&disk.env, &path)? == (file.len_bytes, file.crc32c),
            Depth::Fast => disk.env.fs.metadata(&path).map_err(Error::io(&path))?.len_bytes == file.len_bytes,
        };
        if !whole {
            return Err(Error::corrupt(&path, "is not what was written"));
        }
    }
    Ok(files)
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
