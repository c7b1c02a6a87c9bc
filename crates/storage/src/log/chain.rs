//! The log as a chain of files, read back from its newest one, and the rule that tells its tail from corruption.
//!
//! Nothing here writes. A file counts only if its header is good and it is the newest such file of the timeline, or
//! if the file after it names it; bytes beyond the length that a successor names are superseded and never looked at.
//! Page: `docs/format/log.md`, "Tail or corruption".

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use types::{Seq, TimelineId};

use super::frame::{self, FrameRef};
use super::header::{self, FIRST_FRAME_OFFSET, HeaderRead, LogHeader};
use crate::env::Env;
use crate::env::Join;
use crate::env::fs::{FileKind, Mapped};
use crate::layout::{Disk, LogName};
use crate::planted::Planted;
use crate::root;
use crate::{Error, Result};

/// Bytes of frames that are checked and prepared ahead of their use.
const AHEAD_BYTES: usize = 16 << 20;
/// Bytes from which on that is worth a second thread.
const WORTH_TWO_BYTES: usize = 1 << 20;
/// Longest log file: one that was made for a single frame of the greatest length.
const MAX_LOG_BYTES: u64 = 2 * frame::MAX_PAYLOAD_BYTES as u64 + (1 << 20);

/// The log files that lie in a root, by name only.
#[derive(Debug, Default)]
pub struct LogFiles {
    /// In `_live/`: the active file, its spare, and what former runs left.
    pub live: BTreeSet<LogName>,
    /// In `_log/`: sealed files.
    pub sealed: BTreeSet<LogName>,
}

impl LogFiles {
    /// Lists both directories; names that are not ours are ignored.
    pub fn list(disk: &Disk) -> Result<LogFiles> {
        Ok(LogFiles { live: LogFiles::list_live(disk)?, sealed: names_in(disk, disk.layout.log())? })
    }

    /// Lists `_live/` alone.
    pub fn list_live(disk: &Disk) -> Result<BTreeSet<LogName>> {
        names_in(disk, disk.layout.live())
    }

    /// Returns where to read a file: of one name in both directories, `_log/` counts.
    pub fn path(&self, disk: &Disk, name: LogName) -> Option<PathBuf> {
        if self.sealed.contains(&name) {
            Some(disk.layout.log().join(name.to_string()))
        } else if self.live.contains(&name) {
            Some(disk.layout.live().join(name.to_string()))
        } else {
            None
        }
    }

    /// Returns the files of a timeline, oldest first.
    pub fn of_timeline(&self, timeline: TimelineId) -> BTreeSet<LogName> {
        self.live.union(&self.sealed).filter(|n| n.timeline == timeline).copied().collect()
    }
}

fn names_in(disk: &Disk, dir: PathBuf) -> Result<BTreeSet<LogName>> {
    match disk.env.fs.list(&dir) {
        Ok(entries) => Ok(entries.iter().filter_map(|e| e.name.parse().ok()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(Error::io(&dir)(e)),
    }
}

/// One file of the chain.
#[derive(Debug, Clone)]
pub struct Link {
    pub name: LogName,
    pub path: PathBuf,
    pub header: LogHeader,
    /// Bytes that count and the Seq of the last frame in them; `None` in the newest file, whose end has to be found.
    pub end: Option<(u64, Seq)>,
}

/// Where the chain is read back from.
#[derive(Debug, Clone, Copy)]
pub struct ChainEnd {
    pub name: LogName,
    /// Known when a snapshot, a timeline or a later file names it.
    pub end: Option<(u64, Seq)>,
}

/// Reads the header of a log file. `Ok(None)`: the file has none, it is not part of the log.
pub fn read_header(env: &Env, path: &std::path::Path) -> Result<Option<LogHeader>> {
    let file = env.fs.open(path).map_err(Error::io(path))?;
    let mut bytes = vec![0; FIRST_FRAME_OFFSET as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(filled as u64, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io(path)(e)),
        }
    }
    match header::decode(&bytes[..filled]) {
        HeaderRead::Good(header) => Ok(Some(header)),
        HeaderRead::Absent => Ok(None),
        HeaderRead::Newer(version) => Err(Error::Refused(format!(
            "{} has log format {version}, this server reads {}: start it with the newer server that wrote it",
            path.display(),
            header::LOG_FORMAT_VERSION
        ))),
    }
}

/// Returns the newest file of the timeline that has a good header.
pub fn newest(disk: &Disk, files: &LogFiles, timeline: TimelineId) -> Result<Option<LogName>> {
    for name in files.of_timeline(timeline).into_iter().rev() {
        let path = files.path(disk, name).expect("the name was listed");
        if read_header(&disk.env, &path)?.is_some_and(|h| h.name == name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Where a part of the chain begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFrom {
    /// With that file.
    File(LogName),
    /// With the file behind that one, which is not needed and may be gone.
    Behind(LogName),
}

/// Returns the chain from `first` (or the first file there is) to `end`, oldest first; none when it begins behind its end.
///
/// # Errors
/// [`Error::Corrupt`] naming a link that is missing, short, without a header or of another database.
pub fn links(
    disk: &Disk,
    files: &LogFiles,
    database_id: u128,
    end: ChainEnd,
    first: Option<LogFrom>,
) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    let mut next = Some(end);
    while let Some(ChainEnd { name, end }) = next {
        if first == Some(LogFrom::Behind(name)) {
            links.reverse();
            return Ok(links);
        }
        let link = link(disk, files, database_id, name, end)?;
        next = link.header.predecessor.map(|p| ChainEnd { name: p.name, end: Some((p.used_bytes, p.last_seq)) });
        let begins = link.header.predecessor.map_or(Seq(1), |p| p.last_seq.next());
        if begins != link.header.first_seq {
            return Err(Error::corrupt(&link.path, "header: the predecessor does not end where this file begins"));
        }
        links.push(link);
        if first == Some(LogFrom::File(name)) {
            next = None;
        }
    }
    links.reverse();
    let found = links.first().map(|l| LogFrom::File(l.name));
    match first {
        Some(LogFrom::File(name) | LogFrom::Behind(name)) if first != found => Err(Error::corrupt(
            &disk.layout.log().join(name.to_string()),
            "log file is not part of the log; restore a snapshot or the file",
        )),
        _ => Ok(links),
    }
}

/// Returns the files of the chain that are there, oldest first: back from `end` to the first file of all, or behind one that
/// is missing or is not what its successor names.
///
/// # Errors
/// Of the disk, and as [`links`] for the file at the end.
pub fn links_as_far_as_there(disk: &Disk, files: &LogFiles, database_id: u128, end: ChainEnd) -> Result<Vec<Link>> {
    let mut links = vec![link(disk, files, database_id, end.name, end.end)?];
    while let Some((last, before)) = links.last().and_then(|l| Some((l, l.header.predecessor?))) {
        if before.name >= last.name || before.last_seq.next() != last.header.first_seq {
            break;
        }
        match link(disk, files, database_id, before.name, Some((before.used_bytes, before.last_seq))) {
            Ok(link) => links.push(link),
            Err(Error::Corrupt { .. }) => break,
            Err(e) => return Err(e),
        }
    }
    links.reverse();
    Ok(links)
}

fn link(disk: &Disk, files: &LogFiles, database_id: u128, name: LogName, end: Option<(u64, Seq)>) -> Result<Link> {
    let path = files.path(disk, name).ok_or_else(|| {
        Error::corrupt(&disk.layout.log().join(name.to_string()), "log file is missing; restore a snapshot or the file")
    })?;
    root::refuse_symlink(disk, &path)?;
    let found = disk.env.fs.metadata(&path).map_err(Error::io(&path))?;
    let len_bytes = found.len_bytes;
    if found.kind != FileKind::File {
        return Err(Error::corrupt(&path, "is not a plain file; restore a snapshot or the file"));
    }
    if len_bytes > MAX_LOG_BYTES {
        return Err(Error::corrupt(&path, format!("{len_bytes} bytes are more than a log file can have")));
    }
    let header = read_header(&disk.env, &path)?
        .ok_or_else(|| Error::corrupt(&path, "log header is damaged at offset 0; restore a snapshot or the file"))?;
    if header.name != name || header.database_id != database_id {
        return Err(Error::corrupt(
            &path,
            format!("log header belongs to {} of another place or database", header.name),
        ));
    }
    if let Some((used_bytes, _)) = end
        && len_bytes < used_bytes
    {
        return Err(Error::corrupt(&path, format!("log file is {len_bytes} bytes long, {used_bytes} were expected")));
    }
    Ok(Link { name, path, header, end })
}

/// Where the frames of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEnd {
    /// Offset behind the last frame.
    pub used_bytes: u64,
    /// Seq of the last frame; the one before `first_seq` when there is none.
    pub last_seq: Seq,
    /// Highest Seq that frames or header show to have been synced.
    pub durable_seq: Seq,
    /// Offset behind the frame `durable_seq`, if that frame stands in this file.
    pub durable_bytes: u64,
}

/// Calls `visit` with each frame of the file, in order, and returns where they end.
///
/// `known_durable` is the highest Seq that bases and timelines show to have been durable.
///
/// # Errors
/// [`Error::Corrupt`] naming file and offset when a frame that was durable is damaged; errors of `visit`.
pub fn replay(
    disk: &Disk,
    link: &Link,
    known_durable: Seq,
    mut visit: impl FnMut(FrameRef<'_>) -> Result<()>,
) -> Result<FileEnd> {
    replay_prepared(disk, link, known_durable, |_| (), |frame, ()| visit(frame))
}

/// As [`replay`]. `prepare` is called with frames ahead of `visit`, for many at once and by two threads where `join` has
/// them; what it makes of those behind the end is thrown away.
///
/// # Errors
/// As [`replay`].
pub fn replay_prepared<T: Send>(
    disk: &Disk,
    link: &Link,
    known_durable: Seq,
    prepare: impl Fn(FrameRef<'_>) -> T + Sync,
    mut visit: impl FnMut(FrameRef<'_>, T) -> Result<()>,
) -> Result<FileEnd> {
    let map = disk.env.fs.map(&link.path).map_err(Error::io(&link.path))?;
    let limit = link.end.map_or(map.len() as u64, |(used, _)| used).min(map.len() as u64);
    let bytes = &map[..limit as usize];
    let salt = link.header.salt;
    let before = Seq(link.header.first_seq.0 - 1);
    let mut end = FileEnd {
        used_bytes: FIRST_FRAME_OFFSET,
        last_seq: before,
        durable_seq: link.header.durable_seq,
        durable_bytes: FIRST_FRAME_OFFSET,
    };
    let mut ends: Vec<(Seq, u64)> = Vec::new();
    loop {
        let places = places(bytes, end.used_bytes as usize);
        let ahead = decode_ahead(bytes, &places, salt, disk.env.join, &prepare);
        let is_whole = ahead.len() == places.len() && !places.is_empty();
        let mut is_next = true;
        for (frame, taken, prepared) in ahead {
            is_next = frame.seq == end.last_seq.next();
            if !is_next {
                break;
            }
            end.used_bytes += taken as u64;
            end.last_seq = frame.seq;
            end.durable_seq = end.durable_seq.max(frame.durable_seq);
            ends.push((frame.seq, end.used_bytes));
            visit(frame, prepared)?;
        }
        if !is_whole || !is_next {
            break;
        }
    }
    check_end(disk, link, bytes, &end, known_durable)?;
    if link.end.is_some() {
        end.durable_seq = end.last_seq;
    }
    end.durable_seq = end.durable_seq.min(end.last_seq);
    end.durable_bytes = ends.iter().rev().find(|(seq, _)| *seq <= end.durable_seq).map_or(FIRST_FRAME_OFFSET, |e| e.1);
    Ok(end)
}

/// Returns where the frames from an offset on begin, as their lengths say, for about [`AHEAD_BYTES`].
fn places(bytes: &[u8], first: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = first;
    while at < first + AHEAD_BYTES
        && let Some(taken) = frame::length_at(bytes, at)
    {
        places.push(at);
        at += taken;
    }
    places
}

/// Returns the frames at these places up to the first that is none, each with its length and what was made of it.
fn decode_ahead<'a, T: Send>(
    bytes: &'a [u8],
    places: &[usize],
    salt: u32,
    join: Join,
    prepare: &(impl Fn(FrameRef<'_>) -> T + Sync),
) -> Vec<(FrameRef<'a>, usize, T)> {
    let decode = |places: &[usize]| -> Vec<(FrameRef<'a>, usize, T)> {
        let frames = places.iter().map_while(|at| frame::decode(bytes, *at, salt));
        frames.map(|(frame, taken)| (frame, taken, prepare(frame))).collect()
    };
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Vec::new() };
    if last - first < WORTH_TWO_BYTES {
        return decode(places);
    }
    let middle = places.partition_point(|at| at - first < (last - first) / 2);
    let halves = [&places[..middle], &places[middle..]];
    let [one, other] = [Mutex::new(Vec::new()), Mutex::new(Vec::new())];
    let put = |half: &[usize], into: &Mutex<_>| *into.lock().expect("no holder of this lock panics") = decode(half);
    join(&|| put(halves[0], &one), &|| put(halves[1], &other));
    let taken = |from: Mutex<Vec<_>>| from.into_inner().expect("no holder of this lock panics");
    let mut frames = taken(one);
    if frames.len() == middle {
        frames.extend(taken(other));
    }
    frames
}

/// Calls `take` with each frame of the file, in order, until it refuses one. Returns the offset behind the last one taken.
///
/// # Errors
/// [`Error::Corrupt`] when the file has fewer frames than its successor says; errors of `take`.
pub fn read_until(disk: &Disk, link: &Link, mut take: impl FnMut(FrameRef<'_>) -> Result<bool>) -> Result<u64> {
    // The newest file may be cut while it is read, which a map would not survive.
    let bytes = match link.end {
        Some(_) => disk.env.fs.map(&link.path),
        None => disk.env.fs.read(&link.path).map(Mapped::new),
    };
    let bytes = bytes.map_err(Error::io(&link.path))?;
    let limit = link.end.map_or(bytes.len() as u64, |(used, _)| used).min(bytes.len() as u64);
    let (mut end_bytes, mut last) = (FIRST_FRAME_OFFSET, Seq(link.header.first_seq.0 - 1));
    while let Some((frame, len)) = frame::decode(&bytes[..limit as usize], end_bytes as usize, link.header.salt) {
        if frame.seq != last.next() {
            break;
        }
        if !take(frame)? {
            return Ok(end_bytes);
        }
        end_bytes += len as u64;
        last = frame.seq;
    }
    match link.end {
        Some((used_bytes, last_seq)) if (used_bytes, last_seq) != (end_bytes, last) => {
            let detail = format!("damaged frame at offset {end_bytes}: the log goes on to offset {used_bytes}");
            Err(Error::corrupt(&link.path, detail))
        }
        _ => Ok(end_bytes),
    }
}

/// Decides whether what follows the last good frame is the unsynced tail.
fn check_end(disk: &Disk, link: &Link, bytes: &[u8], end: &FileEnd, known_durable: Seq) -> Result<()> {
    let damaged = |why: String| {
        let detail = format!("damaged frame at offset {}: {why}; restore a snapshot or the file", end.used_bytes);
        Err(Error::corrupt(&link.path, detail))
    };
    if let Some((used_bytes, last_seq)) = link.end {
        if end.used_bytes == used_bytes && end.last_seq == last_seq {
            return Ok(());
        }
        return damaged(format!("the log goes on to offset {used_bytes} (seq {last_seq})"));
    }
    if disk.has(Planted::DamageIsTail) {
        return Ok(());
    }
    if disk.has(Planted::TailIsDamage) && bytes[end.used_bytes as usize..].iter().any(|b| *b != 0) {
        return damaged("something follows".to_owned());
    }
    let durable = end.durable_seq.max(known_durable);
    if durable > end.last_seq {
        return damaged(format!("seq {durable} is known to have been durable"));
    }
    let mut at = end.used_bytes as usize;
    while at < bytes.len() {
        if let Some((frame, taken)) = frame::decode(bytes, at, link.header.salt) {
            if frame.durable_seq > end.last_seq {
                return damaged(format!("a later frame shows that seq {} was durable", frame.durable_seq));
            }
            at += taken;
        } else {
            at += frame::ALIGN_BYTES;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
