//! `stillpoint snapshot copy`: a snapshot of a root into a directory or a tar stream, in one command.
//!
//! Where a server uses the root the snapshot is taken over its HTTP port, under a short lease that is renewed while the copy
//! runs: a copier that is killed holds nothing up for long. Where none does it is taken on the root itself. It is completed
//! in every case. What is copied, and how: [`storage::copy`]. Reading order: this file (the command, and a root that no server
//! uses), [`beside_server`], [`work`] (the copy itself).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use storage::copy::Report;
use storage::env::Env;
use storage::{Database, Error, Options, Terms};

use crate::config::micros;
use crate::signals::{self, Signals};
use crate::start::{Owner, Refusal, load_config, owner_of, refuse};

mod beside_server;
mod work;

use work::Work;

/// Exit code of a refusal, as of a start.
pub const REFUSED: u8 = 55;

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
    let say = |line: &str| if on_stdout { outln!("{line}") } else { errln!("{line}") };
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
        beside_server::server_at(url)?;
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
        (None, _) => beside_server::copy(arguments, &work, signals).await,
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
    options.restore_grace_us = micros(config.storage.restore_grace);
    options.restores = false;
    let database = Database::open(work.env.clone(), options)?;
    // No start will say them again. Who asked for JSON finds nothing but a refusal on stderr.
    if !work.quiet {
        database.start_report().notices.iter().for_each(|notice| errln!("{notice}"));
    }
    database.complete_snapshot(&work.name)?;
    database.prepare_snapshot_with(&work.name, Terms::default())?;
    let copied = work.watched(&work.name, signals).await;
    let completed = database.complete_snapshot(&work.name);
    let report = copied?;
    completed?;
    Ok(report)
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
