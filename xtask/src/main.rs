//! The tasks of the repository: `cargo xtask demo | test | tidy | ci | walk | kill | cycles | sample | bench |
//! campaign`.
//!
//! Everything here drives the server over its ports, as a user does, and cargo with the arguments that the tests use
//! (another `-p` or feature set would build DataFusion a second time). It knows nothing of the crates' insides.
//! Start reading at the task of interest: each is a file of its name.

// Tasks run beside the product, never inside it: files, clocks and waiting are theirs to use.
#![allow(clippy::disallowed_methods)]

mod bench;
mod campaign;
mod cargo;
mod clients;
mod content;
mod copies;
mod cycles;
mod damage;
mod demo;
mod filesystems;
mod http;
mod kill;
mod links;
mod memory;
mod night;
mod pg;
mod random;
mod sample;
mod scratch;
mod server;
mod table;
mod test;
mod tidy;
mod walk;
mod workload;

use std::process::ExitCode;

/// What a task gives: a failure is one sentence that says what, where and what to do.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Returns the beginning of a statement, as much as an error shows of it.
fn brief(sql: &str) -> &str {
    sql.char_indices().nth(200).map_or(sql, |(end, _)| &sql[..end])
}

const USAGE: &str = "usage: cargo xtask TASK
  demo       the main job on real data: load, ask, snapshot, copy, wreck, restore, compare
  test       all tests
  tidy       the rules of the house: crate graph, module docs, paths in documents, licences, …
  ci         what .ci/run runs: format, lint, tidy, test
  walk       the commands of the guide and the README, as they stand
  night      what operators do around a nightly copy
  kill       kill -9 of the server under writers; --rounds N, --seed N
  cycles     snapshot under writers, copy, restore, twice over; --rounds N, --seed N
  damage     every file of a copy missing, short, flipped: refused or harmless
  memory     statements larger than the memory pool, many at a time; --runs N, --pool MB, --seed N
  links      a copy made of hard links, started beside its server; --seed N
  copies     a root under writers, copied by every tool at hand; --tools a,b, --write, --seed N
  filesystems  a root on ext4, xfs, btrfs, tmpfs, overlayfs and ntfs, by loop mounts; --seed N
  bench      beside QuestDB and DuckDB, into docs/benchmarks.md; --compare REV counts instructions
  campaign   crashes, errors, damage, kills and live snapshots with fresh seeds; --hours N, --seed N, --parts a,b;
             or --mutants N, --seed N: do the tests notice lines that are wrong; or --coverage
  sample DIR makes examples/nycflights13 from the full nycflights13 files in DIR
STILLPOINT=path runs a task with that server instead of the development build.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // As cargo calls this program in the place of the compiler.
    if args.first().is_some_and(|arg| arg.ends_with("rustc")) {
        return exit(campaign::coverage::compile(&args));
    }
    let (task, rest) = args.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    let done = match task {
        "demo" => demo::run(),
        "damage" => damage::run(),
        "night" => night::run(),
        "links" => links::run(rest),
        "copies" => copies::run(rest),
        "filesystems" => filesystems::run(rest),
        "memory" => memory::run(rest),
        "walk" => walk::run(),
        "kill" => kill::run(rest),
        "cycles" => cycles::run(rest),
        "tidy" => tidy::run(),
        "ci" => cargo::ci(),
        "test" => test::run(),
        "sample" => sample::run(rest),
        "bench" => bench::run(rest),
        "campaign" => campaign::run(rest),
        _ => Err(USAGE.into()),
    };
    exit(done)
}

fn exit(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
