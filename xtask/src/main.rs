//! The tasks of the repository: `cargo xtask demo | test | tidy | ci | walk | kill | cycles | sample`.
//!
//! Everything here drives the server over its ports, as a user does, and cargo with the arguments that the tests use
//! (another `-p` or feature set would build DataFusion a second time). It knows nothing of the crates' insides.
//! Start reading at the task of interest: each is a file of its name.

// Tasks run beside the product, never inside it: files, clocks and waiting are theirs to use.
#![allow(clippy::disallowed_methods)]

mod cargo;
mod sample;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a task gives: a failure is one sentence that says what, where and what to do.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: cargo xtask TASK
  test       all tests
  tidy       the rules of the house: crate graph, module docs, paths in documents, licences, …
  ci         what .ci/run runs: format, lint, tidy, test
  sample DIR makes examples/nycflights13 from the full nycflights13 files in DIR";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = args.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    let done = match task {
        "tidy" => tidy::run(),
        "ci" => cargo::ci(),
        "test" => test::run(),
        "sample" => sample::run(rest),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
