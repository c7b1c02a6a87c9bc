//! The two binaries of a comparison: one of the working tree, one of a revision in a checkout of its own.
//!
//! The checkout has its own target directory (checkouts that share one run each other's code, see `findings/`), which
//! begins with hard links to what is built of the dependencies here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{build_server, cargo, must, output, root};

/// Tells whether callgrind can be had; where root runs this, it is installed from Debian's packages.
pub fn valgrind() -> Result<()> {
    let there = || Command::new("valgrind").arg("--version").output().is_ok_and(|said| said.status.success());
    if there() {
        return Ok(());
    }
    if output(Command::new("id").arg("-u"))?.trim() == "0" {
        output(Command::new("apt-get").args(["install", "-y", "-q", "valgrind"]))?;
    }
    if there() { Ok(()) } else { Err("valgrind is not installed, and only root can install it".into()) }
}

/// Returns the revision's binary and ours; `--base` and `STILLPOINT` name ones that are there already.
pub fn both(revision: &str, args: &[String], profile: &str) -> Result<[PathBuf; 2]> {
    let ours = match profile {
        "dev" => build_server()?,
        _ => super::super::release_server()?,
    };
    let base = match args.iter().position(|arg| arg == "--base") {
        Some(at) => std::path::absolute(args.get(at + 1).ok_or("--base needs a binary")?)?,
        None => of_revision(revision, profile)?,
    };
    Ok([base, ours])
}

fn of_revision(revision: &str, profile: &str) -> Result<PathBuf> {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(root()));
    let commit = git(&["rev-parse", "--verify", &format!("{revision}^{{commit}}")])?;
    let commit = commit.trim().get(..12).ok_or("git names no commit")?.to_owned();
    let folder = if profile == "dev" { "debug" } else { "release" };
    let place = root().join("target/compare").join(&commit);
    let (checkout, target) = (place.join("tree"), place.join("target"));
    let binary = target.join(folder).join("stillpoint");
    if binary.exists() {
        return Ok(binary);
    }
    if !checkout.exists() {
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--detach", &checkout.display().to_string(), &commit])?;
    }
    if !target.join(folder).exists() {
        lend_dependencies(&root().join("target").join(folder), &target.join(folder))?;
    }
    let mut build = cargo(match profile {
        "dev" => &["build", "--workspace", "--locked"][..],
        _ => &["build", "--release", "--locked"][..],
    });
    must(build.current_dir(&checkout).env("CARGO_TARGET_DIR", &target))?;
    git(&["worktree", "remove", "--force", &checkout.display().to_string()])?;
    Ok(binary)
}

/// Links what is built of packages from outside; our own crates are built anew.
fn lend_dependencies(from: &Path, to: &Path) -> Result<()> {
    if !from.join("deps").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for (folder, links) in [(".fingerprint", "-a"), ("build", "-a"), ("deps", "-al")] {
        output(Command::new("cp").arg(links).arg(from.join(folder)).arg(to))?;
        for entry in std::fs::read_dir(to.join(folder))? {
            let path = entry?.path();
            if is_ours(&path.file_name().unwrap_or_default().to_string_lossy()) {
                if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
            }
        }
    }
    Ok(())
}

/// Tells whether a file of a target directory belongs to a crate of this repository (`libquery-….rlib`, `server-…`).
fn is_ours(name: &str) -> bool {
    let name = name.strip_prefix("lib").unwrap_or(name);
    let of = name.rsplit_once('-').map_or(name, |(of, _)| of);
    ["types", "wire", "storage", "query", "server", "sim", "stillpoint", "xtask", "e2e", "sql"].contains(&of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_crates_are_not_lent() {
        for ours in ["libquery-0123abcd.rlib", "server-0123abcd", "stillpoint-0123abcd.d", "libtypes-0a.rmeta"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["libsqlparser-0123abcd.rlib", "wire_format-00", "libserde-00.rmeta", "libarrow_types-00.rlib"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
