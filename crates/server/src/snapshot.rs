//! `stillpoint snapshot copy`: a snapshot of a root into a directory or a tar stream, in one command.
//!
//! Where a server uses the root the snapshot is taken over its HTTP port, under a short lease that is renewed while the copy
//! runs: a copier that is killed holds nothing up for long. Where none does it is taken on the root itself. It is completed
//! in every case. What is copied, and how: [`storage::copy`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use storage::copy::{self, How, Plan, Report, Watch};
use storage::env::Env;
use storage::restore::Depth;
use storage::{Database, Error, Options, Terms};

use crate::bar::Bar;
use crate::migrate::http::Http;
use crate::signals::{self, Signal, Signals};
use crate::start::{Owner, Refusal, load_config, owner_of, refuse};

/// Exit code of a refusal, as of a start.
pub const REFUSED: u8 = 55;
/// How long a snapshot outlives its copier at most, and how often that is renewed.
const LEASE: &str = "15m";
const RENEWAL: Duration = Duration::from_secs(300);

/// What is done with snapshots without SQL.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SnapshotVerb {
    /// Take a snapshot and copy it into a directory or a tar stream, while the server runs or not: exit code 0 when the copy is
    /// whole, 55 when it is refused or a byte is not what was written, 1 when it was stopped or the disk is full
    Copy(CopyArguments),
}

/// What stands behind `stillpoint snapshot copy`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "tar"]))]
pub struct CopyArguments {
    /// The directory: empty, missing, or with earlier copies; only what is not there is sent
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// A tar archive: a file that does not exist, or - for stdout
    #[arg(long, value_name = "FILE")]
    tar: Option<PathBuf>,
    /// The root to copy, in place of -d
    #[arg(long, value_name = "ROOT")]
    from: Option<PathBuf>,
    /// A snapshot that there is; without it one is taken for the copy
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// The root's server: http://[user:password@]host:9000; without it as its configuration says
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Make hard links where the directory lies on the root's file system: no bytes are written, and no disk is spared a fault
    #[arg(long, conflicts_with = "tar")]
    link: bool,
    /// Read and compare files of earlier copies too
    #[arg(long, conflicts_with = "tar")]
    verify: bool,
    /// Remove earlier copies of the same name from the directory, and files that no snapshot in it names
    #[arg(long, conflicts_with = "tar")]
    prune: bool,
    /// Copy the snapshots too that were kept at that moment, so that a restore goes on with them
    #[arg(long)]
    kept: bool,
}

/// Runs the command.
pub fn run(verb: &SnapshotVerb, root: PathBuf, json: bool, env: &Env) -> ExitCode {
    let SnapshotVerb::Copy(arguments) = verb;
    let root = arguments.from.clone().unwrap_or(root);
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(copy(arguments, &root, json, env)),
        Err(error) => Err(Failure::stopped(format!("cannot start threads: {error}"))),
    };
    tell(arguments, json, outcome)
}

/// Why there is no copy, or no restore.
pub struct Failure {
    pub code: u8,
    pub why: Refusal,
}

impl Failure {
    /// Returns a refusal.
    pub fn refused(why: impl Into<String>) -> Failure {
        Failure { code: REFUSED, why: Refusal::new(why.into(), None) }
    }

    fn stopped(why: String) -> Failure {
        Failure { code: 1, why: Refusal::new(why, None) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = if matches!(error, Error::Refused(_) | Error::Corrupt { .. }) { REFUSED } else { 1 };
        Failure { code, why: Refusal::of_storage(&error, None) }
    }
}

fn tell(arguments: &CopyArguments, json: bool, outcome: Result<Report, Failure>) -> ExitCode {
    let on_stdout = arguments.tar.as_deref() != Some(Path::new("-"));
    let say = |line: &str| if on_stdout { println!("{line}") } else { eprintln!("{line}") };
    match outcome {
        Ok(report) if json => {
            say(&as_json(&report).to_string());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            report.lines().iter().for_each(|line| say(line));
            if let Some(to) = &arguments.to {
                let to = to.display();
                // Where others lie beside it, the restore asks which one.
                let which =
                    if report.kept.along > 0 { format!(" --snapshot {}", report.snapshot) } else { String::new() };
                say(&format!("to restore: stillpoint restore --from {to} --to ROOT{which}"));
            }
            ExitCode::SUCCESS
        }
        Err(Failure { code, why }) => refuse(&why, code, json),
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "snapshot": report.snapshot,
        "seq": report.seq.0,
        "created": types::TimestampUs(report.created_us).to_string(),
        "tables": report.tables,
        "kept_snapshots": report.kept.along,
        "kept_snapshots_left_out": report.kept.left_out,
        "files": report.files,
        "bytes": report.bytes,
        "new_files": report.new_files,
        "new_bytes": report.new_bytes,
        "cloned_files": report.cloned_files,
        "linked_files": report.linked_files,
        "removed_files": report.removed_files,
        "removed_bytes": report.removed_bytes,
    })
}

/// Copies a snapshot that there is, or one that is taken for it.
async fn copy(arguments: &CopyArguments, root: &Path, json: bool, env: &Env) -> Result<Report, Failure> {
    if let Some(url) = &arguments.server {
        server_at(url)?;
    }
    // Paths in their true form, so that one that lies in the other is seen.
    let root = root.canonicalize().map_err(|e| {
        Failure::refused(format!("{}: {e}: name the root that is to be copied with --from", root.display()))
    })?;
    // From here on a signal ends the copy and not the process, so that the snapshot is completed.
    let listening = signals::listen();
    let signals = &mut listening.map_err(|e| Failure::stopped(format!("cannot listen for signals: {e}")))?;
    let work = Work::new(arguments, &root, json, env)?;
    // Before a snapshot is taken, which writes to the source's log.
    work.refuse_target()?;
    let owner = owner_of(&root, env.fs.as_ref()).map_err(|e| Failure::refused(format!("{}: {e}", root.display())))?;
    match (&arguments.snapshot, owner) {
        (Some(name), Owner::Nobody) => {
            let db = root.join("db");
            let lock = env.fs.lock_dir(&db).map_err(|e| Failure::refused(format!("{}: {e}", db.display())))?;
            let copied = work.watched(name, signals).await;
            drop(lock);
            copied
        }
        (Some(name), _) => work.watched(name, signals).await,
        (None, Owner::Nobody) => on_stopped_root(&work, signals).await,
        (None, _) => beside_server(arguments, &work, signals).await,
    }
}

/// Takes the snapshot on a root that no server uses.
async fn on_stopped_root(work: &Work, signals: &mut Signals) -> Result<Report, Failure> {
    let trigger = work.root.join("_restore");
    if work.env.fs.exists(&trigger).map_err(Error::io(&trigger))? {
        return Err(Failure::refused(format!(
            "{} asks for a restore: start the server first, or copy one of its snapshots with --snapshot",
            trigger.display()
        )));
    }
    let config = load_config(&work.root, work.env.fs.as_ref()).map_err(Failure::refused)?;
    let mut options = Options::new(&work.root);
    // The pin says it; a start under another one restores, a copy does not.
    options.instance_id = config.storage.instance_id;
    options.restores = false;
    let database = Database::open(work.env.clone(), options)?;
    database.complete_snapshot(&work.name)?;
    database.prepare_snapshot_with(&work.name, Terms::default())?;
    let copied = work.watched(&work.name, signals).await;
    let completed = database.complete_snapshot(&work.name);
    let report = copied?;
    completed?;
    Ok(report)
}

/// Takes the snapshot through the server that uses the root.
async fn beside_server(arguments: &CopyArguments, work: &Work, signals: &mut Signals) -> Result<Report, Failure> {
    let url = match &arguments.server {
        Some(url) => url.clone(),
        None => configured_url(work)?,
    };
    let server = server_at(&url)?;
    let remedy = "name the root's server with --server http://[user:password@]host:port, or take a snapshot with SNAPSHOT PREPARE \
                  'name' and copy it with --snapshot name";
    let ask = async |sql: String| server.exec(&sql).await.map_err(|why| Failure::refused(format!("{why}; {remedy}")));
    let name = &work.name;
    // Nobody else copies there, so a snapshot of that name is of a copier that was killed.
    let _ = server.exec(&format!("SNAPSHOT COMPLETE '{name}'")).await;
    ask(format!("SNAPSHOT PREPARE '{name}' LEASE '{LEASE}'")).await?;
    let renew = async {
        loop {
            tokio::time::sleep(RENEWAL).await;
            // A server that stops now keeps the snapshot for a while; one that is gone, for the copy's lease.
            let _ = server.exec(&format!("SNAPSHOT RENEW '{name}' LEASE '{LEASE}'")).await;
        }
    };
    let copied = tokio::select! {
        copied = work.watched(name, signals) => copied,
        () = renew => unreachable!("the loop has no end"),
    };
    let completed = ask(format!("SNAPSHOT COMPLETE '{name}'")).await;
    match copied {
        Err(Failure { why, .. }) if why.sentence().starts_with("there is no snapshot/") => {
            Err(Failure::refused(format!(
                "the server at {url} took the snapshot, but not in {}: it is another root's; {remedy}",
                work.root.display()
            )))
        }
        Err(failure) => Err(failure),
        // The copy is whole; the lease ends soon.
        Ok(report) => {
            if let Err(Failure { why, .. }) = completed {
                eprintln!(
                    "warning: snapshot {name} could not be completed and ends by its lease in {LEASE}: {}",
                    why.sentence()
                );
            }
            Ok(report)
        }
    }
}

fn server_at(url: &str) -> Result<Http, Failure> {
    Http::new(url).map_err(|why| {
        Failure::refused(format!("--server: {why}: name the root's server as http://[user:password@]host:port"))
    })
}

/// Returns where the root's configuration, and this process's environment, say that its server listens.
fn configured_url(work: &Work) -> Result<String, Failure> {
    let config = load_config(&work.root, work.env.fs.as_ref()).map_err(Failure::refused)?;
    let http = config.http.ok_or_else(|| {
        Failure::refused(
            "the root's server has no HTTP port: take a snapshot with SNAPSHOT PREPARE 'name' and copy it with --snapshot name",
        )
    })?;
    let mut address = http.bind;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let login = http.credentials.map(|c| format!("{}:{}@", c.user, c.password)).unwrap_or_default();
    Ok(format!("http://{login}{address}"))
}

/// One copy.
#[derive(Clone)]
struct Work {
    arguments: CopyArguments,
    root: PathBuf,
    /// Where it goes, when that is a directory.
    to: Option<PathBuf>,
    /// Of the snapshot that is taken for it: the same for the same directory, so that a restore takes the latest.
    name: String,
    /// Nothing is told on the way.
    quiet: bool,
    env: Env,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn new(arguments: &CopyArguments, root: &Path, json: bool, env: &Env) -> Result<Work, Failure> {
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
    fn refuse_target(&self) -> Result<(), Failure> {
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
    async fn watched(&self, snapshot: &str, signals: &mut Signals) -> Result<Report, Failure> {
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
        let bar = Bar::new(&self.env, self.quiet);
        let progress = |progress| bar.show(progress);
        let watch = Watch { progress: &progress, stop: &self.stop };
        let copied = match (&self.to, &self.arguments.tar) {
            (Some(to), _) => {
                let CopyArguments { link, verify, prune, .. } = self.arguments;
                let how = How { link, verify, prune, join: storage::engine::at_once };
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

/// Returns the true form of a path of which the last step may be missing.
pub fn true_path(path: &Path) -> Result<PathBuf, Failure> {
    let wrong = |e: std::io::Error| Failure::refused(format!("{}: {e}", path.display()));
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let path = std::path::absolute(path).map_err(wrong)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => Ok(parent.join(name)),
            Err(e) => Err(Failure::refused(format!("{}: {e}: make that directory first", parent.display()))),
        },
        _ => Err(Failure::refused(format!("{} names no directory: name one", path.display()))),
    }
}
