//! `stillpoint restore`: a snapshot of a copy back into a root, in one command.
//!
//! What is done, and how it goes on when it was killed: [`storage::copy::IntoRoot`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use storage::Error;
use storage::copy::{Facts, Found, IntoRoot, Restored, Watch, Wish};
use storage::env::Env;
use storage::env::fs::FileKind;
use storage::restore::Depth;
use types::TimestampUs;

use crate::bar::Bar;
use crate::config::micros;
use crate::snapshot::{Failure, REFUSED, true_path};
use crate::start::{load_config, refusal_of_place, refuse};

/// What stands behind `stillpoint restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct RestoreArguments {
    /// The copy: a directory that holds a copy of a root, or a root
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The root: empty, missing, or of the same database, which then goes back; no server may use it
    #[arg(long, value_name = "ROOT")]
    to: PathBuf,
    /// Which snapshot: its name, or that of its file in snapshot/ without .json; without it the only one, or default
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Read every byte before anything changes, or look whether each file is there in its length; what is copied is compared always
    #[arg(long, value_enum, default_value = "full")]
    verify: Verify,
}

/// How much is read before anything changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Verify {
    Full,
    Fast,
}

/// Runs the command.
pub fn run(arguments: &RestoreArguments, json: bool, env: &Env) -> ExitCode {
    match restore(arguments, json, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, why }) => refuse(&why, code, json),
    }
}

fn restore(arguments: &RestoreArguments, json: bool, env: &Env) -> Result<(), Failure> {
    let from = true_path(&arguments.from)?;
    let to = true_path(&arguments.to)?;
    if let Some(why) = refusal_of_place(&to) {
        return Err(Failure::refused(why));
    }
    if env.fs.metadata(&to).is_ok_and(|found| found.kind != FileKind::Dir) {
        return Err(Failure::refused(format!(
            "{} is not a directory; nothing was touched. Choose a directory that is empty or missing",
            to.display()
        )));
    }
    let config = load_config(&to, env.fs.as_ref()).map_err(Failure::refused)?;
    let wish = Wish {
        from: &from,
        to: &to,
        snapshot: arguments.snapshot.as_deref(),
        depth: if arguments.verify == Verify::Full { Depth::Full } else { Depth::Fast },
        dry_run: arguments.dry_run,
        grace_us: micros(config.storage.restore_grace),
    };
    let bar = Bar::new(env, json);
    let told = |doing: &str| bar.say(doing);
    // Nothing was changed yet, whatever it is.
    let refused = |error: Error| Failure { code: REFUSED, ..error.into() };
    let planned = IntoRoot::plan(env, wish, &told).map_err(refused)?;
    let facts = planned.facts().clone();
    if !json {
        facts.lines.iter().for_each(|line| outln!("{line}"));
    }
    if arguments.dry_run {
        if json {
            outln!("{}", as_json(&facts, None));
        } else {
            outln!("nothing was changed");
        }
        return Ok(());
    }
    let progress = |progress| bar.show(progress);
    let restored = planned.run(&Watch { progress: &progress, stop: &AtomicBool::new(false) }, &told);
    bar.end();
    tell(&facts, &restored?, &to, json);
    Ok(())
}

fn tell(facts: &Facts, restored: &Restored, root: &Path, json: bool) {
    if json {
        outln!("{}", as_json(facts, Some(restored)));
        return;
    }
    let Some(report) = &restored.report else { return };
    let brought = &restored.brought;
    outln!(
        "{} bytes came in {} files, {} share their blocks",
        brought.new_bytes,
        brought.new_files,
        brought.cloned_files
    );
    report.lines.iter().for_each(|line| outln!("{line}"));
    outln!("start a server with -d {}", root.display());
}

/// Returns the plan, and what was done, as one object.
fn as_json(facts: &Facts, restored: Option<&Restored>) -> Value {
    let report = restored.and_then(|done| done.report.as_ref());
    json!({
        "snapshot": facts.snapshot,
        "seq": facts.seq.0,
        "created": TimestampUs(facts.created_us).to_string(),
        "tables": facts.tables,
        "rows": facts.rows,
        "files": facts.files,
        "bytes": facts.bytes,
        "new_files": restored.map_or(facts.new_files, |done| done.brought.new_files),
        "new_bytes": restored.map_or(facts.new_bytes, |done| done.brought.new_bytes),
        "free_bytes": facts.free_bytes,
        "kept_snapshots": facts.kept,
        "root": match facts.found {
            Found::Empty => "empty",
            Found::Unfinished => "unfinished",
            Found::Database => "database",
        },
        "left_behind": facts.left_behind.map(|timeline| timeline.to_string()),
        "in_use": facts.in_use,
        "dry_run": restored.is_none(),
        "restored": report.is_some(),
        "timeline": report.map(|report| report.timeline.to_string()),
        "lines": report.map_or(&facts.lines, |report| &report.lines),
    })
}
