//! The binary `stillpoint`: see [`server::start`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    server::start::run(server::start::Arguments::parse())
}
