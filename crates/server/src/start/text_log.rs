//! The text log of one run: a new file each start, so that a copy never meets one that grows again.

use std::io;
use std::sync::Mutex;

use storage::env::FsFile;

/// A file that grows at its end.
pub struct LogFile {
    file: Box<dyn FsFile>,
    end: u64,
}

impl LogFile {
    /// Returns an empty file as a log.
    pub fn new(file: Box<dyn FsFile>) -> LogFile {
        LogFile { file, end: 0 }
    }
}

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(self.end, bytes)?;
        self.end += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what the program logs into the file, once per process.
pub fn install(log: LogFile) {
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(Mutex::new(log))
        .finish();
    // a second server in one process (tests) goes on with the first one's log
    let _ = tracing::subscriber::set_global_default(subscriber);
}
