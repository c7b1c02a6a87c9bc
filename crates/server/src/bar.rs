//! The progress of a copy on stderr: [`Bar`].

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};

use storage::copy::Progress;
use storage::env::Env;

/// Pauses between two lines, on a terminal and elsewhere.
const TERMINAL_US: i64 = 100_000;
const PLAIN_US: i64 = 5_000_000;

/// The progress on stderr: a line that is written over on a terminal, elsewhere one now and then.
pub struct Bar {
    env: Env,
    quiet: bool,
    on_terminal: bool,
    began_us: i64,
    last_us: AtomicI64,
    shown: Mutex<bool>,
}

impl Bar {
    /// Returns one that tells nothing where it is to be quiet.
    pub fn new(env: &Env, quiet: bool) -> Bar {
        let began_us = env.clock.monotonic_us();
        let on_terminal = std::io::stderr().is_terminal();
        Bar {
            env: env.clone(),
            quiet,
            on_terminal,
            began_us,
            last_us: AtomicI64::new(began_us),
            shown: Mutex::new(false),
        }
    }

    /// Tells how far a copy is, now and then.
    pub fn show(&self, progress: Progress) {
        if self.is_due() {
            self.put(&line(progress, self.env.clock.monotonic_us() - self.began_us));
        }
    }

    /// Tells what is being done, now and then.
    pub fn say(&self, doing: &str) {
        if self.is_due() {
            self.put(doing);
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.on_terminal && *self.shown.lock().unwrap_or_else(PoisonError::into_inner) {
            err!("\r\x1b[K");
        }
    }

    fn is_due(&self) -> bool {
        let now_us = self.env.clock.monotonic_us();
        let last_us = self.last_us.load(Ordering::Relaxed);
        let pause_us = if self.on_terminal { TERMINAL_US } else { PLAIN_US };
        !self.quiet
            && now_us - last_us >= pause_us
            && self.last_us.compare_exchange(last_us, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn put(&self, line: &str) {
        if self.on_terminal {
            err!("\r{line}\x1b[K");
        } else {
            errln!("{line}");
        }
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn line(progress: Progress, elapsed_us: i64) -> String {
    let Progress { done_bytes, total_bytes, done_files, total_files } = progress;
    let percent = (done_bytes * 100).checked_div(total_bytes).unwrap_or(100);
    let per_second = (done_bytes as f64 / (elapsed_us.max(1) as f64 / 1e6)) / f64::from(1 << 20);
    format!(
        "copying: {percent:3} % ({} of {} MiB, {done_files} of {total_files} files, {per_second:.0} MiB/s)",
        done_bytes >> 20,
        total_bytes >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_parts_of_the_whole() {
        let progress = Progress { done_bytes: 512 << 20, total_bytes: 1 << 30, done_files: 3, total_files: 9 };
        assert_eq!(line(progress, 2_000_000), "copying:  50 % (512 of 1024 MiB, 3 of 9 files, 256 MiB/s)");
        assert_eq!(line(Progress::default(), 0), "copying: 100 % (0 of 0 MiB, 0 of 0 files, 0 MiB/s)");
    }
}
