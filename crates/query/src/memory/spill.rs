//! Files for what does not fit into memory: [`Spill`] says where and how much, [`Files`] makes them.
//!
//! A file loses its name as soon as it is open, so nothing is left behind however the process ends. They lie outside the
//! root: a copy of the root must not carry them.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use storage::env::fs::write_all_at;
use storage::env::{Env, FsFile};

use super::shown;

/// Bytes read at a time.
const READ_BYTES: usize = 128 << 10;

/// Where statements write what does not fit into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// An existing folder outside the root.
    pub dir: PathBuf,
    /// Bytes of all files together.
    pub limit_bytes: u64,
}

/// Makes the spill files of a server.
pub struct Files {
    spill: Spill,
    env: Env,
    used_bytes: Arc<AtomicU64>,
}

impl Files {
    /// Returns the maker of the files of one server.
    pub fn new(spill: Spill, env: Env) -> Files {
        Files { spill, env, used_bytes: Arc::default() }
    }
}

impl TempFileFactory for Files {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let path = self.spill.dir.join(format!("stillpoint-spill-{:016x}", self.env.rng.next_u64()));
        let failed = |source: io::Error| {
            DataFusionError::ResourcesExhausted(format!(
                "cannot spill for {description} to {}: {source}; set spill.dir to a folder that can be written",
                path.display()
            ))
        };
        let file = self.env.fs.create_new(&path).map_err(failed)?;
        self.env.fs.unlink(&path).map_err(failed)?;
        let space = Space { used_bytes: self.used_bytes.clone(), limit_bytes: self.spill.limit_bytes };
        Ok(Arc::new(File { open: Arc::new(Open { file, space, length: AtomicU64::new(0) }) }))
    }
}

/// The disk space that all files of a server share.
struct Space {
    used_bytes: Arc<AtomicU64>,
    limit_bytes: u64,
}

impl Space {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit_bytes);
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(drop).map_err(|_| {
            let limit = shown(usize::try_from(self.limit_bytes).unwrap_or(usize::MAX));
            io::Error::other(format!(
                "statements have spilled as much as spill.limit={limit} allows; read fewer rows, run fewer statements at a \
                 time, or raise spill.limit or memory.limit"
            ))
        })
    }
}

/// An open file without a name: gone when nobody holds it any more.
struct Open {
    file: Box<dyn FsFile>,
    space: Space,
    length: AtomicU64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.space.used_bytes.fetch_sub(self.length.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

struct File {
    open: Arc<Open>,
}

impl SpillFile for File {
    fn size(&self) -> Option<u64> {
        Some(self.open.length.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<bytes::Bytes>> + Send>>> {
        let open = self.open.clone();
        Ok(Box::pin(futures::stream::try_unfold((open, 0u64), |(open, offset)| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; READ_BYTES];
                let length = open.file.read_at(offset, &mut bytes)?;
                bytes.truncate(length);
                Ok::<_, io::Error>((bytes, open))
            });
            let (bytes, open) = read.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
            let next = offset + bytes.len() as u64;
            Ok((!bytes.is_empty()).then(|| (bytes::Bytes::from(bytes), (open, next))))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer { open: self.open.clone() }))
    }
}

/// Appends to a file.
struct Writer {
    open: Arc<Open>,
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.space.take(bytes.len() as u64)?;
        let offset = self.open.length.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        write_all_at(self.open.file.as_ref(), offset, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
