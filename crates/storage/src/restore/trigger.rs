//! What `_restore` asks for: [`read`]. One `key=value` a line, each key once; what stands behind `#` says nothing.
//!
//! It is written by hand, in the worst hour, by any editor: a mark of byte order, quotes around a value and a space in a time are taken.

use std::collections::BTreeMap;

use types::{Seq, TimelineId, TimestampUs};

use crate::env::fs::FileKind;
use crate::layout::Disk;
use crate::moment::Moment;
use crate::snapshot::is_of_name;
use crate::timeline;
use crate::{Error, Result};

/// How much of a snapshot's files is read before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every byte.
    Full,
    /// Whether they are there in their lengths; bytes are compared when they are first used.
    Fast,
}

/// Which state is to be in force.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A snapshot: of that name, else the only one; with a timeline one that was taken on it.
    Snapshot { name: Option<String>, timeline: Option<TimelineId> },
    /// The end of a timeline that a restore left behind.
    EndOf(TimelineId),
    /// The database after a Seq, or at a time.
    Moment(Moment),
}

/// What the trigger asks for.
#[derive(Debug)]
pub struct Trigger {
    pub target: Target,
    pub depth: Depth,
}

/// The keys.
const KEYS: [&str; 5] = ["snapshot", "timeline", "seq", "timestamp", "verify"];
/// Nobody writes more by hand; the note of `stillpoint restore` is shorter.
const MAX_BYTES: u64 = 4096;
/// As much of a line is said again.
const SAID_CHARS: usize = 60;
/// What may be written.
const LINES: &str =
    "snapshot=<name>, timeline=<number>, seq=<number>, timestamp=2026-03-01T09:59:00Z, verify=full, verify=fast";

/// Reads the trigger. An empty file, or a directory, names nothing.
///
/// # Errors
/// [`Error::Refused`] for a key that there is not, one that stands twice, and a timeline that is not there, with what may
/// be written instead.
pub fn read(disk: &Disk) -> Result<Trigger> {
    let path = disk.layout.restore_trigger();
    let bytes = match disk.env.fs.metadata(&path) {
        Ok(found) if found.kind == FileKind::Dir => Vec::new(),
        Ok(found) if found.len_bytes > MAX_BYTES => {
            return Err(not_understood(disk, &format!("{} bytes", found.len_bytes)));
        }
        _ => disk.env.fs.read(&path).map_err(Error::io(&path))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| not_understood(disk, "bytes that are no UTF-8 text"))?;
    let mut values = parse(&text).map_err(|why| not_understood(disk, &why))?;
    let depth = match values.remove("verify").as_deref() {
        None | Some("full") => Depth::Full,
        Some("fast") => Depth::Fast,
        Some(other) => return Err(not_understood(disk, &format!("verify={other}"))),
    };
    if let Some(moment) = moment(&mut values).map_err(|why| not_understood(disk, &why))? {
        return Ok(Trigger { target: Target::Moment(moment), depth });
    }
    let timeline = values.remove("timeline").map(|text| find_timeline(disk, &text)).transpose()?;
    let target = match (values.remove("snapshot"), timeline) {
        (None, Some(timeline)) => Target::EndOf(timeline),
        (name, timeline) => Target::Snapshot { name, timeline },
    };
    Ok(Trigger { target, depth })
}

/// Returns the values by their keys; the error is what stands there.
fn parse(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let mut values = BTreeMap::new();
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    for line in lines.map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty()) {
        let said = || format!("{:?}", line.chars().take(SAID_CHARS).collect::<String>());
        let (key, value) = line.split_once('=').ok_or_else(said)?;
        let known = KEYS.iter().find(|known| **known == key.trim()).ok_or_else(said)?;
        let value = unquoted(value.trim());
        if value.is_empty() || *known == "snapshot" && !value.chars().all(is_of_name) {
            return Err(said());
        }
        if values.insert(*known, value.to_owned()).is_some() {
            return Err(format!("{known} more than once"));
        }
    }
    Ok(values)
}

/// Returns what stands in a pair of quotes.
fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"')).unwrap_or(value)
}

/// Takes the moment that is asked for, which nothing else may stand beside but `verify`; the error is what stands there.
fn moment(values: &mut BTreeMap<&'static str, String>) -> Result<Option<Moment>, String> {
    let seq = values.remove("seq").map(|text| match text.parse() {
        Ok(seq) => Ok(Moment::Seq(Seq(seq))),
        Err(_) => Err(format!("seq={text}")),
    });
    let time = values.remove("timestamp").map(|text| match text.replacen(' ', "T", 1).parse() {
        Ok(TimestampUs(time_us)) => Ok(Moment::Time(time_us)),
        Err(_) => Err(format!("timestamp={text}")),
    });
    match (seq.transpose()?, time.transpose()?, values.keys().next()) {
        (Some(_), Some(_), _) => Err("seq and timestamp beside each other".to_owned()),
        (Some(_), _, Some(key)) | (_, Some(_), Some(key)) => Err(format!("{key} beside a moment")),
        (seq, time, _) => Ok(seq.or(time)),
    }
}

fn not_understood(disk: &Disk, what: &str) -> Error {
    Error::Refused(format!(
        "{} holds {what}, which this server does not understand: leave it empty, or write one of these a line: {LINES}",
        disk.layout.restore_trigger().display()
    ))
}

/// Returns the timeline of that number, or of that whole name.
fn find_timeline(disk: &Disk, text: &str) -> Result<TimelineId> {
    let all = timeline::list(disk)?;
    let matches: Vec<&TimelineId> =
        all.iter().filter(|id| id.to_string() == text || id.number.to_string() == text).collect();
    if let [only] = matches[..] {
        return Ok(*only);
    }
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    Err(Error::Refused(format!(
        "{} names timeline {text}, but db/_timeline holds {}: name one of these, or remove _restore to start without \
         restoring",
        disk.layout.restore_trigger().display(),
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_stands_once_and_no_other_is_known() {
        let values = parse("# a note\n\n snapshot = nightly \r\nverify=fast\ntimeline=3").unwrap();
        assert_eq!(values["snapshot"], "nightly");
        assert_eq!((&*values["verify"], &*values["timeline"]), ("fast", "3"));
        assert!(parse("").unwrap().is_empty());
        let bad = [
            "snapshot",
            "snapshot=",
            "snapshot=''",
            "snapshot='a",
            "snapshot=../a",
            "snapshot=a\u{0}",
            "snapshto=x",
            "snapshot=a\nsnapshot=a",
            "verify=fast\nverify=full",
            "\u{0}",
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let long = parse(&"x".repeat(4000)).unwrap_err();
        assert!(long.len() < 100, "{long}");
    }

    #[test]
    fn what_editors_and_shells_add_is_taken() {
        for text in
            ["\u{feff}snapshot=night", "snapshot='night'\r\n", "snapshot = \"night\"", "snapshot=night # of monday"]
        {
            assert_eq!(parse(text).unwrap()["snapshot"], "night", "{text:?}");
        }
    }

    #[test]
    fn a_moment_stands_alone() {
        let read = |text: &str| moment(&mut parse(text).unwrap());
        assert_eq!(read("seq = 7"), Ok(Some(Moment::Seq(Seq(7)))));
        assert_eq!(read("snapshot=nightly"), Ok(None));
        let at = Ok(Some(Moment::Time(1_772_359_140_000_000)));
        for time in [
            "2026-03-01T09:59:00Z",
            "2026-03-01T09:59:00.000000Z",
            "2026-03-01T09:59:00",
            "2026-03-01 09:59:00",
            "2026-03-01T10:59:00+01:00",
        ] {
            assert_eq!(read(&format!("timestamp={time}")), at, "{time}");
        }
        let midnight = Ok(Some(Moment::Time(1_772_323_200_000_000)));
        for day in ["2026-03-01", "2026-03-01T00:00:00Z"] {
            assert_eq!(read(&format!("timestamp={day}")), midnight, "{day}");
        }
        let bad = [
            "seq=-1",
            "seq=last",
            "seq=1.5",
            "timestamp=yesterday",
            "timestamp=2026-02-30T00:00:00Z",
            "timestamp=2026-02-30",
            "timestamp=2026-3-1",
            "timestamp=7",
        ];
        for text in bad {
            assert_eq!(read(text), Err(text.to_owned()));
        }
        assert_eq!(read("seq=1\nsnapshot=a"), Err("snapshot beside a moment".to_owned()));
        assert_eq!(
            read("seq=1\ntimestamp=2026-03-01T09:59:00Z"),
            Err("seq and timestamp beside each other".to_owned())
        );
    }
}
