//! What a process has used so far: processor time to the nanosecond, memory, bytes written. Linux only, from `/proc`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Result;

/// Processor time of each thread of a process at one moment.
pub struct Processor(BTreeMap<String, u64>);

impl Processor {
    /// Returns the moment before a process began.
    pub fn none() -> Processor {
        Processor(BTreeMap::new())
    }

    /// Reads what the threads of a process have used; threads that have ended are not among them.
    pub fn of(process: u32) -> Result<Processor> {
        let tasks = format!("/proc/{process}/task");
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let used = text.split(' ').next().and_then(|used| used.parse().ok());
            threads.insert(entry.file_name().to_string_lossy().into_owned(), used.ok_or("schedstat without a number")?);
        }
        Ok(Processor(threads))
    }

    /// Returns what was used between `before` and this moment.
    pub fn since(&self, before: &Processor) -> Duration {
        let used = self.0.iter().map(|(thread, now)| now.saturating_sub(before.0.get(thread).copied().unwrap_or(0)));
        Duration::from_nanos(used.sum())
    }
}

/// Memory of a process, in MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident, with the pages of mapped files, which the system takes back when it needs them.
    pub resident_mb: u64,
    /// Resident and of its own.
    pub own_mb: u64,
    /// The most that was ever resident.
    pub peak_mb: u64,
}

impl Memory {
    /// Reads what a process holds now.
    pub fn of(process: u32) -> Result<Memory> {
        let path = format!("/proc/{process}/status");
        Memory::read(&std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?)
    }

    fn read(status: &str) -> Result<Memory> {
        let megabytes = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("no {key}"))?;
            Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
        };
        Ok(Memory { resident_mb: megabytes("VmRSS:")?, own_mb: megabytes("RssAnon:")?, peak_mb: megabytes("VmHWM:")? })
    }
}

/// Returns the bytes that a process has caused to be written to the disk so far.
pub fn written(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/io");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_came_later_counts_whole_and_one_that_went_not_at_all() {
        let at = |threads: &[(&str, u64)]| Processor(threads.iter().map(|(id, n)| (id.to_string(), *n)).collect());
        let used = at(&[("1", 70), ("3", 5)]).since(&at(&[("1", 50), ("2", 40)]));
        assert_eq!(used, Duration::from_nanos(25));
    }

    #[test]
    fn memory_is_read_in_megabytes() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        let seen = Memory::read(status).expect("all three lines");
        assert_eq!(seen, Memory { resident_mb: 2, own_mb: 1, peak_mb: 4 });
        assert!(Memory::read("VmRSS:\t 1 kB\n").is_err());
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let before = Processor::of(std::process::id()).expect("our own");
        let sum = (0..20_000_000u64).fold(0u64, |sum, x| std::hint::black_box(sum ^ x));
        std::hint::black_box(sum);
        assert!(Processor::of(std::process::id()).expect("our own").since(&before) > Duration::ZERO);
    }
}
