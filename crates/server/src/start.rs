//! From the command line to a running server, and its end: [`run`].
//!
//! Owns what the operator sees (lines on stdout, one plain message when the start is refused, the exit code) and the
//! order of a start: configuration, addresses, storage, and only then, when storage has found the root good, the folders
//! and files beside it. So a root that is refused, or copied badly, is not touched. Read next: [`arguments`], [`refusal`],
//! [`configuration`], [`root`], [`machine`], [`text_log`], [`notify`], then [`crate::server`]; [`service`] and [`owner`]
//! start, find and stop servers in the background.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use storage::env::Env;
use storage::restore::Whole;
use storage::{Database, StartStep};
use types::TimestampUs;

use crate::config::LogConfig;
use crate::migrate;
use crate::restore;
use crate::server::{Progress, STATEMENT_STACK_BYTES, Server, StartError};
use crate::signals::{self, Signal};
use crate::snapshot;

mod arguments;
mod configuration;
mod machine;
#[cfg(unix)]
mod notify;
#[cfg(not(unix))]
#[path = "start/notify_nobody.rs"]
mod notify;
mod owner;
mod refusal;
mod root;
mod service;
mod text_log;

pub use arguments::{Arguments, Verb};
pub use configuration::load as load_config;
pub use machine::Warning;
pub(crate) use machine::refusal as refusal_of_place;
use notify::Notifier;
pub(crate) use owner::{Owner, of as owner_of};
pub(crate) use refusal::{Refusal, refuse};
pub use root::make_folder as make_root;
use text_log::TextLog;

/// Exit code of a start that was refused, as the peer's.
const REFUSED: u8 = 55;
/// Exit code of a stop that could not bring everything to disk.
const UNCLEAN: u8 = 1;
/// How often old text logs are looked for.
const LOG_UPKEEP: Duration = Duration::from_secs(60);
/// How much of a refusal is shown.
const REFUSAL_LINES: usize = 6;

/// Why a run ends with another exit code than 0.
enum Failure {
    Refused(Refusal),
    Unclean(String),
}

/// What goes wrong before clients are served is a refusal.
impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Refused(Refusal::new(why, None))
    }
}

/// Runs a server until a signal stops it, and returns the exit code: 0 after a clean stop, 1 after one that was not, 55
/// for a refused start.
pub fn run(arguments: Arguments) -> ExitCode {
    let json = arguments.json;
    let root = match arguments.root.map_or_else(default_root, |root| Ok(absolute(root))) {
        Ok(root) => root,
        Err(why) => return refuse(&Refusal::new(why, None), REFUSED, json),
    };
    let env = Env::os();
    match arguments.verb {
        Some(Verb::Start) => return service::start(&root, json, &env),
        Some(Verb::Stop) => return service::stop(&root, &env),
        Some(Verb::Status) => return service::status(&root, &env),
        Some(Verb::Import(import)) => return migrate::run(&import, root, &env),
        Some(Verb::Snapshot { verb }) => return snapshot::run(&verb, root, json, &env),
        Some(Verb::Restore(arguments)) => return restore::run(&arguments, json, &env),
        Some(Verb::Verify { copy, snapshot }) => return verify(&copy, snapshot.as_deref(), json, &env),
        None if arguments.check_config => return check_config(&root, json, &env),
        None => {}
    }
    log_panics();
    // statements whose plans are kept run here too
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = match threads.thread_stack_size(STATEMENT_STACK_BYTES).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Refusal::new(format!("cannot start threads: {error}"), None), REFUSED, json),
    };
    let ended = runtime.block_on(serve(root, json, env));
    // work that still runs for clients that are gone must not hold the exit
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(refusal)) => refuse(&refusal, REFUSED, json),
        Err(Failure::Unclean(why)) => fail(UNCLEAN, &why),
    }
}

/// A panic ends one request, not the server: the log must have it beside stderr.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        print(panic);
    }));
}

/// Proves that a copy is whole.
fn verify(copy: &Path, snapshot: Option<&str>, json: bool, env: &Env) -> ExitCode {
    let progress = |doing: &str| {
        if !json {
            errln!("{doing}");
        }
    };
    match storage::restore::verify(env, copy, snapshot, &progress) {
        Ok(whole) if json => {
            let snapshots: Vec<_> = whole.iter().map(whole_as_json).collect();
            outln!("{}", json!({"whole": true, "snapshots": snapshots}));
            ExitCode::SUCCESS
        }
        Ok(whole) => {
            whole.iter().for_each(|line| outln!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&Refusal::of_storage(&error, Some(copy)), REFUSED, json),
    }
}

fn whole_as_json(whole: &Whole) -> serde_json::Value {
    json!({
        "snapshot": whole.snapshot,
        "seq": whole.seq.0,
        "created": TimestampUs(whole.created_us).to_string(),
        "tables": whole.tables,
        "rows": whole.rows,
        "bytes": whole.bytes,
        "files": whole.files,
    })
}

/// Prints what a start would find in the configuration.
fn check_config(root: &Path, json: bool, env: &Env) -> ExitCode {
    let found = configuration::check(root, env.fs.as_ref());
    let in_order = found.refusals.is_empty() && found.warnings.is_empty();
    if json {
        outln!(
            "{}",
            json!({"in_order": in_order, "refused": found.refusals, "warnings": found.warnings, "notes": found.advice})
        );
        return if in_order { ExitCode::SUCCESS } else { ExitCode::from(UNCLEAN) };
    }
    for line in &found.refusals {
        outln!("refused: {line}");
    }
    for line in &found.warnings {
        outln!("warning: {line}");
    }
    for line in &found.advice {
        outln!("note: {line}");
    }
    if !in_order {
        return ExitCode::from(UNCLEAN);
    }
    outln!("the configuration of {} is in order", root.display());
    ExitCode::SUCCESS
}

async fn serve(root: PathBuf, json: bool, env: Env) -> Result<(), Failure> {
    let mut signals = signals::listen().map_err(|e| format!("cannot listen for signals: {e}"))?;
    let manager = Arc::new(Notifier::from_environment());
    let limits = machine::raise_open_files();
    if let Some(why) = machine::refusal(&root).or_else(|| root::refusal(&root)) {
        return Err(Failure::Refused(Refusal::new(why, Some(&root))));
    }
    let wrong = |why| Failure::Refused(Refusal::new(why, Some(&root)));
    let config = load_config(&root, env.fs.as_ref()).map_err(wrong)?;
    let warnings = machine::warnings(&root, env.fs.as_ref(), &limits);
    let (unknown, without_effect) = (config.warnings.clone(), config.without_effect.clone());
    let told = Arc::new(Mutex::new(Vec::new()));
    let progress = progress(&env, manager.clone(), json, told.clone());
    let started = Server::start(config, env.clone(), warnings.clone(), progress).await;
    let mut server = started.map_err(|error| {
        Failure::Refused(match &error {
            StartError::Storage(inner) => Refusal::of_storage(inner, Some(&root)),
            other => Refusal::new(other.to_string(), Some(&root)),
        })
    })?;
    let canonical = root.canonicalize().unwrap_or_else(|_| root.clone());
    let log_config = server.log_config().clone();
    let log = root::furnish(&canonical, env.fs.as_ref())
        .and_then(|()| TextLog::begin(canonical.join("log"), env.clone(), &log_config))
        .map_err(|e| format!("cannot prepare {}: {e}", canonical.display()))?;
    text_log::install(log, log_config.level);
    say(&format!("Stillpoint {}", env!("CARGO_PKG_VERSION")));
    for line in machine::describe(&canonical, env.fs.as_ref(), &limits) {
        say(&line);
    }
    for warning in &warnings {
        warn(&warning.text);
    }
    for warning in unknown {
        warn(&warning);
    }
    if let Some(line) = without_effect {
        say(&line);
    }
    if env.fs.exists(&canonical.join("conf").join("log.conf")).unwrap_or(false) {
        say(
            "conf/log.conf is not read: log.level, log.roll.bytes, log.keep.time and log.keep.bytes are in server.conf",
        );
    }
    let told = std::mem::take(&mut *told.lock().expect("no holder of this lock panics"));
    for notice in server.notices() {
        match told.iter().any(|line| line == notice) {
            true => tracing::info!("{notice}"),
            false => say(notice),
        }
    }
    for line in server.addresses() {
        say(&line);
    }
    say(&format!("QuestDB configuration files are in {}", canonical.join("conf").display()));
    server.accept();
    manager.ready();
    let upkeep = tokio::spawn(keep_logs_short(canonical.join("log"), env, log_config, server.database().clone()));
    let stopped_by = loop {
        match signals.next().await {
            Signal::Reload => drop(server.reload()),
            Signal::Stop(name) => break name,
        }
    };
    upkeep.abort();
    say(&format!("{stopped_by} received, stopping"));
    manager.stopping();
    server.stop().await.map_err(|e| Failure::Unclean(format!("the stop was not clean: {e}")))?;
    say("stopped");
    Ok(())
}

/// Removes text logs that are too old or too many, now and then. Never while a snapshot is open: whoever copies the root
/// must find every file that it has listed.
async fn keep_logs_short(folder: PathBuf, env: Env, config: LogConfig, database: Arc<Database>) {
    let mut pauses = tokio::time::interval(LOG_UPKEEP);
    loop {
        pauses.tick().await;
        match database.unless_snapshot_is_open(|| text_log::prune(&folder, &env, &config)) {
            None | Some(Ok(0)) => {}
            Some(Ok(removed)) => tracing::info!("removed {removed} old text logs"),
            Some(Err(error)) => tracing::warn!("cannot remove old text logs: {error}"),
        }
    }
}

/// Returns a listener that shows a line a second on stderr: a restore of a thousand tables need not print them all. A script
/// finds nothing but the refusal there. What has been done is printed at once, and `told` has it then.
fn progress(env: &Env, manager: Arc<Notifier>, json: bool, told: Arc<Mutex<Vec<String>>>) -> Progress {
    let clock = env.clock.clone();
    let last_us = AtomicI64::new(clock.monotonic_us());
    Box::new(move |step| {
        let line = match step {
            StartStep::Doing(line) => line,
            StartStep::Done(line) => {
                outln!("{line}");
                return told.lock().expect("no holder of this lock panics").push(line.to_owned());
            }
        };
        let now_us = clock.monotonic_us();
        if now_us - last_us.load(Ordering::Relaxed) >= 1_000_000 {
            last_us.store(now_us, Ordering::Relaxed);
            if !json {
                errln!("{line}");
            }
            manager.status(line);
        }
    })
}

/// Returns the root of a start that names none.
fn default_root() -> Result<PathBuf, String> {
    let brew = [Path::new("/opt/homebrew/var/questdb"), Path::new("/usr/local/var/questdb")];
    if cfg!(target_os = "macos")
        && let Some(root) = brew.into_iter().find(|root| root.parent().is_some_and(Path::is_dir))
    {
        return Ok(root.to_owned());
    }
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => Ok(absolute(PathBuf::from(home).join(".questdb"))),
        _ => Err("no root directory: HOME is not set; name one with -d ROOT or QDB_ROOT".to_owned()),
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Prints a line for the operator; the text log has it too.
fn say(line: &str) {
    outln!("{line}");
    tracing::info!("{line}");
}

fn warn(line: &str) {
    outln!("WARNING: {line}");
    tracing::warn!("{line}");
}

fn fail(code: u8, why: &str) -> ExitCode {
    let shown: Vec<&str> = why.lines().take(REFUSAL_LINES).collect();
    errln!("stillpoint: {}", shown.join("\n"));
    ExitCode::from(code)
}
