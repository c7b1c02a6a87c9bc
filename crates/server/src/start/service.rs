//! `stillpoint start|stop|status`: servers in the background, found through the lock of their root.

use std::path::Path;
use std::process::ExitCode;

use storage::Env;

use super::fail;
use super::owner::{self, Owner};

#[cfg(unix)]
#[path = "service/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "service/windows.rs"]
mod system;

pub use system::{start, stop};

/// Exit code of `status` when no server runs, and of whatever did not succeed.
const NOT_RUNNING: u8 = 1;

/// Says whether a server runs on the root.
pub fn status(root: &Path, env: &Env) -> ExitCode {
    match owner::of(root, env.fs.as_ref()) {
        Ok(Owner::Process(pid)) => {
            outln!("running on {}, process {pid}", root.display());
            ExitCode::SUCCESS
        }
        Ok(Owner::Unseen) => {
            outln!("running on {}, in another container or as a process that cannot be seen from here", root.display());
            ExitCode::SUCCESS
        }
        Ok(Owner::Nobody) => {
            outln!("not running on {}", root.display());
            ExitCode::from(NOT_RUNNING)
        }
        Err(error) => fail(NOT_RUNNING, &format!("cannot look at {}: {error}", root.display())),
    }
}
