//! The scripts in `tests/clients/`: real client libraries, pinned, against the built server.
//!
//! They need Python and PyPI once. Where those cannot be had the scripts are skipped, and the line says why and how many.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{output, root};
use crate::scratch::Scratch;
use crate::server::Server;

/// Runs each script against a server of its own.
pub fn run_with(binary: &Path) -> Result<()> {
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(root().join("tests/clients"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    scripts.sort();
    let wanted = root().join("tests/clients/requirements.txt");
    let python = match python_with(&root().join("target/clients"), &wanted) {
        Ok(python) => python,
        Err(reason) => {
            println!("clients: {} scripts SKIPPED: {reason:.300}", scripts.len());
            return Ok(());
        }
    };
    for script in scripts {
        let scratch = Scratch::new("clients")?;
        let server = Server::start(binary, &scratch.path("root"))?;
        let ports = [server.http_port.to_string(), server.pg_port.to_string()];
        print!("clients: {}", output(Command::new(&python).arg(&script).args(&ports))?);
        server.stop()?;
    }
    Ok(())
}

/// Returns a Python that has the packages of a `requirements.txt`, from an environment at `place` that is made once.
pub fn python_with(place: &Path, wanted: &Path) -> Result<PathBuf> {
    let python = place.join("bin/python");
    let stamp = place.join("installed.txt");
    let text = std::fs::read_to_string(wanted)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        return Ok(python);
    }
    output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(place))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    output(Command::new(&python).args(pip).arg(wanted))?;
    std::fs::write(stamp, text)?;
    Ok(python)
}
