//! The text log: dated files below `ROOT/log`, a new one each start, each day and when one is large ([`TextLog`]).
//!
//! A file that is left is never written again, so a copy never meets one that grows. Old files are removed by
//! [`prune`], which whoever calls it keeps away from open snapshots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use storage::Env;
use storage::env::FsFile;
use types::TimestampUs;

use crate::config::{LogConfig, micros};

const DAY_US: i64 = 86_400_000_000;

/// A log that goes on in a new file when the day ends or the file is large.
pub struct TextLog {
    folder: PathBuf,
    env: Env,
    roll_bytes: u64,
    file: Box<dyn FsFile>,
    end: u64,
    day: i64,
}

impl TextLog {
    /// Begins a new file in a folder.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn begin(folder: PathBuf, env: Env, config: &LogConfig) -> io::Result<TextLog> {
        let now_us = env.clock.now_us();
        let file = new_file(&folder, &env, now_us)?;
        Ok(TextLog { folder, env, roll_bytes: config.roll_bytes, file, end: 0, day: now_us / DAY_US })
    }

    /// Goes on in another file if it is time for it. A folder that takes no more files must not end the log.
    fn roll(&mut self) {
        let now_us = self.env.clock.now_us();
        let day = now_us / DAY_US;
        if self.end == 0 || (day == self.day && self.end < self.roll_bytes) {
            return;
        }
        if let Ok(file) = new_file(&self.folder, &self.env, now_us) {
            self.file = file;
            self.end = 0;
            self.day = day;
        }
    }
}

impl io::Write for TextLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.roll();
        let written = self.file.write_at(self.end, bytes)?;
        self.end += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what the program logs into the files, once per process.
pub fn install(log: TextLog, level: tracing::Level) {
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_max_level(level).with_writer(Mutex::new(log)).finish();
    // a second server in one process (tests) goes on with the first one's log
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Makes `stdout-2024-01-31T09-05-00.txt`, with a number behind it when two begin in one second.
fn new_file(folder: &Path, env: &Env, now_us: i64) -> io::Result<Box<dyn FsFile>> {
    let stem = stem(now_us);
    for number in 1..1_000 {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        match env.fs.create_new(&folder.join(format!("{stem}{suffix}.txt"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn stem(at_us: i64) -> String {
    let moment = TimestampUs(at_us).to_string();
    format!("stdout-{}", moment.split('.').next().unwrap_or(&moment).replace(':', "-"))
}

/// Removes files that are older than the configuration keeps them, and the oldest of more bytes than it keeps; the
/// newest file always stays. Returns how many went.
///
/// # Errors
/// What keeps from looking or removing.
pub fn prune(folder: &Path, env: &Env, config: &LogConfig) -> io::Result<usize> {
    let names = env.fs.list(folder)?.into_iter().map(|entry| entry.name);
    // names tell the time, so their order is that of their beginnings
    let mut ours: Vec<String> = names.filter(|name| name.starts_with("stdout-") && name.ends_with(".txt")).collect();
    ours.sort();
    ours.pop();
    let oldest = (config.keep > Duration::ZERO).then(|| stem(env.clock.now_us().saturating_sub(micros(config.keep))));
    let mut kept_bytes = 0;
    let mut removed = 0;
    for name in ours.iter().rev() {
        let path = folder.join(name);
        kept_bytes += env.fs.metadata(&path)?.len_bytes;
        let too_old = oldest.as_ref().is_some_and(|oldest| name < oldest);
        if too_old || (config.keep_bytes > 0 && kept_bytes > config.keep_bytes) {
            env.fs.unlink(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use storage::env::SimFs;
    use storage::env::clock::ManualClock;
    use storage::env::rng::SeededRng;

    use super::*;

    const START_US: i64 = 1_706_691_900_000_000; // 2024-01-31T09:05

    fn machine() -> (Arc<ManualClock>, Env) {
        let clock = Arc::new(ManualClock::new(START_US));
        let env = Env::in_turn(Arc::new(SimFs::new(1)), clock.clone(), Arc::new(SeededRng::new(1)));
        env.fs.create_dir(Path::new("/log")).unwrap();
        (clock, env)
    }

    fn names(env: &Env) -> Vec<String> {
        env.fs.list(Path::new("/log")).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn config(roll_bytes: u64, keep: Duration, keep_bytes: u64) -> LogConfig {
        LogConfig { level: tracing::Level::INFO, roll_bytes, keep, keep_bytes }
    }

    #[test]
    fn a_new_day_and_a_large_file_begin_another_one() {
        let (clock, env) = machine();
        let limits = config(10, Duration::ZERO, 0);
        let mut log = TextLog::begin("/log".into(), env.clone(), &limits).unwrap();
        log.write_all(b"0123456789").unwrap();
        log.write_all(b"more").unwrap();
        clock.advance_us(DAY_US);
        log.write_all(b"next day").unwrap();
        let made =
            ["stdout-2024-01-31T09-05-00-2.txt", "stdout-2024-01-31T09-05-00.txt", "stdout-2024-02-01T09-05-00.txt"];
        assert_eq!(names(&env), made);
        assert_eq!(env.fs.read(Path::new("/log/stdout-2024-01-31T09-05-00-2.txt")).unwrap(), b"more");
        assert_eq!(prune(Path::new("/log"), &env, &limits).unwrap(), 0, "no limits are set");
    }

    #[test]
    fn old_files_and_the_oldest_of_too_many_bytes_go() {
        let (clock, env) = machine();
        let limits = config(1 << 20, Duration::from_secs(2 * 86_400), 0);
        let mut log = TextLog::begin("/log".into(), env.clone(), &limits).unwrap();
        for _ in 0..4 {
            log.write_all(b"0123456789").unwrap();
            clock.advance_us(DAY_US);
        }
        assert_eq!(prune(Path::new("/log"), &env, &limits).unwrap(), 2);
        assert_eq!(names(&env), ["stdout-2024-02-02T09-05-00.txt", "stdout-2024-02-03T09-05-00.txt"]);
        env.fs.create_dir(Path::new("/log/mine")).unwrap();
        assert_eq!(prune(Path::new("/log"), &env, &config(1, Duration::ZERO, 5)).unwrap(), 1);
        assert_eq!(names(&env), ["mine", "stdout-2024-02-03T09-05-00.txt"], "the newest stays, and what is not ours");
    }
}
