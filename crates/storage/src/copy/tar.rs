//! A snapshot as a tar stream: [`to_tar`]. POSIX ustar, with a pax header where a name or number does not fit.
//!
//! The pin is the last member and the end mark follows it: a stream that broke off has no snapshot in it.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::Ordering;

use super::plan::Planned;
use super::target::{Brought, is_missing, read_proven};
use super::{Plan, Report, Tally, Watch};
use crate::env::fs::Access;
use crate::{Error, Result};

const BLOCK_BYTES: usize = 512;
/// Longest name that stands in a header without a prefix.
const NAME_BYTES: usize = 100;
/// Greatest number of eleven octal digits.
const MAX_SIZE: u64 = 0o777_7777_7777;
const MAX_ID: u32 = 0o777_7777;

/// Writes a snapshot's files, its marker and the configuration as a tar stream.
///
/// # Errors
/// As [`super::to_directory`]; what was written before is no whole archive.
pub fn to_tar(plan: &Plan, out: &mut dyn Write, watch: &Watch<'_>) -> Result<Report> {
    write(plan, out, watch).map_err(|error| match error {
        // Somebody who stops it with Ctrl-C stops what reads the stream too.
        Error::Unavailable(_) if watch.stop.load(Ordering::Relaxed) => Error::Unavailable(
            "the copy was stopped, and what was written of the archive is of no use; run it again, an archive begins anew"
                .to_owned(),
        ),
        other => other,
    })
}

fn write(plan: &Plan, out: &mut dyn Write, watch: &Watch<'_>) -> Result<Report> {
    let tally = Tally::new(plan, watch);
    let mut lost = HashSet::new();
    for file in &plan.files {
        match member(plan, file, out, &tally) {
            Ok(()) => tally.file(file.len_bytes, Brought::Written),
            // Nothing of it stands in the stream yet.
            Err(error) if is_missing(&error) && plan.is_of_kept(&file.path) => drop(lost.insert(file.path.clone())),
            Err(error) => return Err(error),
        }
    }
    let gone = plan.without(&lost);
    tally.left_out(&gone);
    for pin in plan.pins_without(&gone) {
        member(plan, pin, out, &tally)?;
        tally.file(pin.len_bytes, Brought::Written);
    }
    put(out, &[0; 2 * BLOCK_BYTES])?;
    out.flush().map_err(unwritable)?;
    Ok(tally.into_report())
}

fn member(plan: &Plan, file: &Planned, out: &mut dyn Write, tally: &Tally<'_>) -> Result<()> {
    let fs = &plan.disk.env.fs;
    let source = file.below(plan.disk.layout.root());
    let opened = match file.content {
        Some(_) => None,
        None => Some(fs.open(&source).map_err(Error::io(&source))?),
    };
    let access = fs.metadata(&source).map_err(Error::io(&source))?.access;
    let time_s = (plan.found.pin.created_us / 1_000_000).clamp(0, MAX_SIZE as i64) as u64;
    for block in headers(&file.path, file.len_bytes, access, time_s) {
        put(out, &block)?;
    }
    if let Some(bytes) = &file.content {
        put(out, bytes)?;
        tally.bytes(file.len_bytes)?;
    }
    if let Some(opened) = opened {
        read_proven(file, &*opened, &source, &mut |_, bytes| {
            put(out, bytes)?;
            tally.bytes(bytes.len() as u64)
        })?;
    }
    put(out, &[0; BLOCK_BYTES][..padding(file.len_bytes)])
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(unwritable)
}

fn unwritable(error: std::io::Error) -> Error {
    Error::Unavailable(format!("the archive cannot be written: {error}; what was written of it is of no use"))
}

fn padding(len_bytes: u64) -> usize {
    (len_bytes.next_multiple_of(BLOCK_BYTES as u64) - len_bytes) as usize
}

/// Returns what stands before a member's bytes.
fn headers(path: &str, len_bytes: u64, access: Access, time_s: u64) -> Vec<Vec<u8>> {
    let mut extended = Vec::new();
    if path.len() > NAME_BYTES || !path.is_ascii() {
        extended.push(pax("path", path));
    }
    if len_bytes > MAX_SIZE {
        extended.push(pax("size", &len_bytes.to_string()));
    }
    for (key, id) in [("uid", access.user), ("gid", access.group)] {
        if id > MAX_ID {
            extended.push(pax(key, &id.to_string()));
        }
    }
    let mut blocks = Vec::new();
    if !extended.is_empty() {
        let mut records = extended.concat();
        blocks.push(header("PaxHeader", records.len() as u64, access, time_s, b'x'));
        records.resize(records.len().next_multiple_of(BLOCK_BYTES), 0);
        blocks.push(records);
    }
    blocks.push(header(path, len_bytes.min(MAX_SIZE), access, time_s, b'0'));
    blocks
}

/// Returns a pax record, which begins with its own length.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n").into_bytes()
}

fn header(path: &str, len_bytes: u64, access: Access, time_s: u64, kind: u8) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut set = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    // A reader that knows no pax headers gets a shortened name.
    set(0, &path.as_bytes()[..path.len().min(NAME_BYTES)]);
    set(100, format!("{:07o}", access.mode & 0o7777).as_bytes());
    set(108, format!("{:07o}", access.user.min(MAX_ID)).as_bytes());
    set(116, format!("{:07o}", access.group.min(MAX_ID)).as_bytes());
    set(124, format!("{len_bytes:011o}").as_bytes());
    set(136, format!("{time_s:011o}").as_bytes());
    set(148, b"        ");
    set(156, &[kind]);
    set(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pax_record_counts_its_own_length() {
        assert_eq!(pax("path", "a"), b"9 path=a\n");
        assert_eq!(pax("path", "ab"), b"11 path=ab\n");
        let long = String::from_utf8(pax("path", &"x".repeat(990))).unwrap();
        assert!(long.starts_with("1001 path=x") && long.len() == 1001, "{}", long.len());
    }

    #[test]
    fn a_short_name_takes_one_block_and_a_long_one_three() {
        let access = Access { mode: 0o640, user: 7, group: u32::MAX };
        assert_eq!(headers("db/_stillpoint", 5, Access { group: 7, ..access }, 1).len(), 1);
        let blocks = headers(&format!("db/{}", "ä".repeat(80)), MAX_SIZE + 1, access, 1);
        let lengths: Vec<usize> = blocks.iter().map(Vec::len).collect();
        assert_eq!(lengths, [512, 512, 512]);
        let records = String::from_utf8_lossy(&blocks[1]);
        assert!(records.contains("size=8589934592\n") && records.contains("gid=4294967295\n"), "{records}");
        assert_eq!(&blocks[2][124..135], b"77777777777");
    }
}
