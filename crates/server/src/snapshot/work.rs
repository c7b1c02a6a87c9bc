//! The copy itself, from a snapshot that is there into a directory or an archive: [`Work`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::Error;
use storage::copy::{self, How, Plan, Report, Watch};
use storage::env::Env;
use storage::restore::Depth;

use super::{CopyArguments, Failure, REFUSED, true_path};
use crate::bar::Bar;
use crate::signals::{Signal, Signals};

/// One copy that was asked for.
#[derive(Clone)]
pub struct Work {
    arguments: CopyArguments,
    pub root: PathBuf,
    /// Where it goes, when that is a directory.
    to: Option<PathBuf>,
    /// Of the snapshot that is taken for it: the same for the same directory, so that a restore takes the latest.
    pub name: String,
    /// Nothing is told on the way.
    pub quiet: bool,
    pub env: Env,
    stop: Arc<AtomicBool>,
}

impl Work {
    /// Returns the copy that was asked for; nothing is done yet.
    pub fn new(arguments: &CopyArguments, root: &Path, json: bool, env: &Env) -> Result<Work, Failure> {
        let to = arguments.to.as_deref().map(true_path).transpose()?;
        let tag =
            match &to {
                Some(to) => to.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                }) as u32,
                None => env.rng.next_u64() as u32,
            };
        Ok(Work {
            arguments: arguments.clone(),
            root: root.to_owned(),
            to,
            name: format!("copy-{tag:08x}"),
            quiet: json,
            env: env.clone(),
            stop: Arc::default(),
        })
    }

    /// Refuses a target that cannot take the copy. Nothing is changed.
    pub fn refuse_target(&self) -> Result<(), Failure> {
        let refused = |error: Error| Failure { code: REFUSED, ..error.into() };
        if let Some(to) = &self.to {
            return copy::refuse_target(&self.env, &self.root, to).map_err(refused);
        }
        let Some(file) = self.arguments.tar.as_deref().filter(|file| *file != Path::new("-")) else { return Ok(()) };
        let file = true_path(file)?;
        if file.starts_with(&self.root) {
            return Err(Failure::refused(format!(
                "{} lies in the root that is copied: choose a place outside of it",
                file.display()
            )));
        }
        if self.env.fs.exists(&file).map_err(Error::io(&file)).map_err(refused)? {
            return Err(Failure::refused(format!(
                "{} is there already: remove it, or name another file",
                file.display()
            )));
        }
        Ok(())
    }

    /// Copies a snapshot; a signal stops it between two pieces.
    pub async fn watched(&self, snapshot: &str, signals: &mut Signals) -> Result<Report, Failure> {
        let (work, snapshot) = (self.clone(), snapshot.to_owned());
        let mut copying = tokio::task::spawn_blocking(move || work.run(&snapshot));
        loop {
            tokio::select! {
                copied = &mut copying => {
                    return copied.unwrap_or_else(|e| Err(Failure::stopped(format!("the copy died: {e}"))));
                }
                Signal::Stop(_) = signals.next() => self.stop.store(true, Ordering::Relaxed),
            }
        }
    }

    fn run(&self, snapshot: &str) -> Result<Report, Failure> {
        let mut plan = Plan::new(&self.env, &self.root, snapshot)?;
        if self.arguments.kept {
            plan = plan.with_kept(Depth::Fast)?;
        }
        // Hard links take no room.
        if let Some(to) = self.to.as_deref().filter(|_| !self.arguments.link)
            && let Some(why) = copy::lacking(&plan, to)?
        {
            errln!("warning: {why}");
        }
        let bar = Bar::new(&self.env, self.quiet);
        let progress = |progress| bar.show(progress);
        let watch = Watch { progress: &progress, stop: &self.stop };
        let copied = match (&self.to, &self.arguments.tar) {
            (Some(to), _) => {
                let CopyArguments { link, verify, prune, .. } = self.arguments;
                let how = How { link, verify, prune };
                copy::to_directory(&plan, to, &how, &watch).map_err(Failure::from)
            }
            (None, Some(file)) => self.to_tar(&plan, file, &watch),
            (None, None) => Err(Failure::refused("name a target: --to DIR or --tar -")),
        };
        bar.end();
        copied
    }

    fn to_tar(&self, plan: &Plan, file: &Path, watch: &Watch<'_>) -> Result<Report, Failure> {
        if file == Path::new("-") {
            let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            return Ok(copy::to_tar(plan, &mut out, watch)?);
        }
        let made = self.env.fs.create_new(file).map_err(Error::io(file))?;
        let mut out = Archive { file: made, at: 0 };
        let copied = copy::to_tar(plan, &mut out, watch)
            .and_then(|report| out.file.sync().map(|()| report).map_err(Error::io(file)));
        if copied.is_err() {
            // Half an archive is of no use; the error that is told is the first one.
            let _ = self.env.fs.unlink(file);
        }
        Ok(copied?)
    }
}

/// A file that is written from its beginning to its end.
struct Archive {
    file: Box<dyn storage::env::FsFile>,
    at: u64,
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write_at(self.at, bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
