//! From the command line to a running server, and its end: [`run`].
//!
//! Owns what the operator sees (lines on stdout, one plain message when the start is refused, the exit code) and the
//! order of a start: configuration, addresses, storage, and only then, when storage has found the root good, the folders
//! and files beside it. So a root that is refused, or copied badly, is not touched. Read next: [`root`], [`machine`],
//! [`text_log`], then [`crate::server`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};

use clap::Parser;
use storage::env::{Env, Fs};

use crate::config::Config;
use crate::server::{Progress, Server};
use crate::signals;

mod machine;
mod root;
mod text_log;

pub use machine::Warning;
pub use root::make_folder as make_root;

/// Exit code of a start that was refused, as the peer's.
const REFUSED: u8 = 55;
/// Exit code of a stop that could not bring everything to disk.
const UNCLEAN: u8 = 1;
/// How much of a refusal is shown.
const REFUSAL_LINES: usize = 6;

/// What stands on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "stillpoint",
    version,
    disable_version_flag = true,
    about = "A time-series SQL database: InfluxDB line protocol and SQL over HTTP, PostgreSQL wire protocol.",
    after_help = "Keys of ROOT/conf/server.conf can be set in the environment: pg.user is QDB_PG_USER."
)]
pub struct Arguments {
    /// Root directory; made if it does not exist
    #[arg(short = 'd', long = "root", value_name = "ROOT", env = "QDB_ROOT")]
    root: Option<PathBuf>,
    /// Accepted for scripts written for QuestDB; a hang-up never stops this server
    #[arg(short = 'n', hide = true)]
    no_hangup: bool,
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
}

/// Why a run ends with another exit code than 0.
enum Failure {
    Refused(String),
    Unclean(String),
}

/// What goes wrong before clients are served is a refusal.
impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Refused(why)
    }
}

/// Runs a server until a signal stops it, and returns the exit code: 0 after a clean stop, 1 after one that was not, 55
/// for a refused start.
pub fn run(arguments: Arguments) -> ExitCode {
    let root = match arguments.root.map_or_else(default_root, |root| Ok(absolute(root))) {
        Ok(root) => root,
        Err(why) => return fail(REFUSED, &why),
    };
    log_panics();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(REFUSED, &format!("cannot start threads: {error}")),
    };
    let ended = runtime.block_on(serve(root));
    // work that still runs for clients that are gone must not hold the exit
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(why)) => fail(REFUSED, &why),
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

async fn serve(root: PathBuf) -> Result<(), Failure> {
    let stop = signals::listen().map_err(|e| format!("cannot listen for signals: {e}"))?;
    let env = Env::os();
    let limits = machine::raise_open_files();
    let config = load_config(&root, env.fs.as_ref())?;
    let warnings = machine::warnings(&root, env.fs.as_ref(), &limits);
    let settings = config.warnings.clone();
    let mut server =
        Server::start(config, env.clone(), warnings.clone(), progress(&env)).await.map_err(|e| e.to_string())?;
    let canonical = root.canonicalize().unwrap_or_else(|_| root.clone());
    let log = root::furnish(&canonical, env.fs.as_ref(), env.clock.as_ref())
        .map_err(|e| format!("cannot prepare {}: {e}", canonical.display()))?;
    text_log::install(log);
    say(&format!("Stillpoint {}", env!("CARGO_PKG_VERSION")));
    for line in machine::describe(&canonical, env.fs.as_ref(), &limits) {
        say(&line);
    }
    for warning in &warnings {
        warn(&warning.text);
    }
    for warning in settings {
        warn(&warning);
    }
    for notice in server.notices() {
        say(notice);
    }
    for line in server.addresses() {
        say(&line);
    }
    say(&format!("QuestDB configuration files are in {}", canonical.join("conf").display()));
    server.accept();
    let signal = stop.wait().await;
    say(&format!("{signal} received, stopping"));
    server.stop().await.map_err(|e| Failure::Unclean(format!("the stop was not clean: {e}")))?;
    say("stopped");
    Ok(())
}

/// Returns a listener that shows a line a second on stderr: a restore of a thousand tables need not print them all.
fn progress(env: &Env) -> Progress {
    let clock = env.clock.clone();
    let last_us = AtomicI64::new(clock.monotonic_us());
    Box::new(move |line| {
        let now_us = clock.monotonic_us();
        if now_us - last_us.load(Ordering::Relaxed) >= 1_000_000 {
            last_us.store(now_us, Ordering::Relaxed);
            eprintln!("{line}");
        }
    })
}

fn load_config(root: &Path, fs: &dyn Fs) -> Result<Config, String> {
    let path = root.join("conf").join("server.conf");
    let text = match fs.read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    Config::load(root.to_owned(), &text, environment).map_err(|e| e.to_string())
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
    println!("{line}");
    tracing::info!("{line}");
}

fn warn(line: &str) {
    println!("WARNING: {line}");
    tracing::warn!("{line}");
}

fn fail(code: u8, why: &str) -> ExitCode {
    let shown: Vec<&str> = why.lines().take(REFUSAL_LINES).collect();
    eprintln!("stillpoint: {}", shown.join("\n"));
    ExitCode::from(code)
}
