//! Windows has managers of services of its own; a server is not sent to the background from here.

use std::path::Path;
use std::process::ExitCode;

use storage::Env;

use super::super::{REFUSED, Refusal, refuse};
use super::{NOT_RUNNING, Owner, fail, owner};

/// Says how else a server is started.
pub fn start(root: &Path, json: bool, _: &Env) -> ExitCode {
    let how = "run `stillpoint` without `start`, by hand or through a manager of services";
    let why = format!("there is no start in the background on this system: {how}");
    refuse(&Refusal::new(why, Some(root)), REFUSED, json)
}

/// Says how else a server is stopped, if there is one.
pub fn stop(root: &Path, env: &Env) -> ExitCode {
    match owner::of(root, env.fs.as_ref()) {
        Ok(Owner::Nobody) => {
            outln!("not running on {}", root.display());
            ExitCode::SUCCESS
        }
        Ok(_) => {
            let how = "press Ctrl-C in its console, or ask the manager that started it";
            fail(NOT_RUNNING, &format!("a server runs on {}, and cannot be stopped from here: {how}", root.display()))
        }
        Err(error) => fail(NOT_RUNNING, &format!("cannot look at {}: {error}", root.display())),
    }
}
