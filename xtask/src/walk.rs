//! `cargo xtask walk`: the commands of the guide and of the README, run as they stand with curl, psql, cp and rsync.
//!
//! In a page of the guide a block marked `sh` is run, all blocks of a page in one shell, and a block marked `text` after it
//! is what it must print. The night script of the README is taken from there and run through its exit codes. Only the
//! ports are replaced: several servers may run on this machine.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{build_server, root};
use crate::scratch::{Scratch, put_back};
use crate::server::{Ports, Server};

const PAGES: [&str; 3] =
    ["docs/guide/getting-started.md", "docs/guide/backup-and-restore.md", "docs/guide/configuration.md"];
const MARK: &str = "@@@ block";

/// Commands of one block and what they must print, if the page says so.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    line: usize,
    commands: String,
    printed: Option<String>,
}

/// Builds the server and walks.
pub fn run() -> Result<()> {
    run_with(&build_server()?)
}

/// Walks with a server that is already built.
pub fn run_with(binary: &Path) -> Result<()> {
    for page in PAGES {
        match missing(&["bash", "curl", "psql"]) {
            Some(tool) => println!("walk: {page} SKIPPED: {tool} is not installed"),
            None => walk_page(binary, page)?,
        }
    }
    match missing(&["bash", "curl", "rsync", "flock"]) {
        Some(tool) => println!("walk: the night script SKIPPED: {tool} is not installed"),
        None => walk_nights(binary)?,
    }
    Ok(())
}

/// Returns the first tool that is not there.
fn missing<'a>(tools: &[&'a str]) -> Option<&'a str> {
    tools.iter().copied().find(|tool| Command::new(tool).arg("--version").output().is_err())
}

fn walk_page(binary: &Path, page: &str) -> Result<()> {
    let text = std::fs::read_to_string(root().join(page))?;
    let scratch = Scratch::new("walk")?;
    let home = scratch.path("home");
    install(binary, &home.join("target/release/stillpoint"))?;
    let ports = Ports::free()?;
    let text = text
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{}", ports.http))
        .replace("127.0.0.1:9003", &format!("127.0.0.1:{}", ports.health))
        .replace("-p 8812", &format!("-p {}", ports.pg));
    let blocks = blocks(&text);

    // Whatever the page leaves running ends with the shell.
    let mut script = "trap 'kill -9 $(jobs -p) 2> /dev/null' EXIT\n".to_owned();
    for block in &blocks {
        script += &format!("{}\necho '{MARK}'\n", block.commands);
    }
    let mut bash = Command::new("timeout");
    bash.args(["120", "bash", "-c", &script]).current_dir(&home).env("HOME", &home);
    ports.set(&mut bash);
    let done = bash.output()?;
    let (printed, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    for (block, printed) in blocks.iter().zip(printed.split(&format!("{MARK}\n")).chain(std::iter::repeat(""))) {
        let wanted = block.printed.as_deref().unwrap_or_default();
        if block.printed.is_some() && trimmed(wanted) != trimmed(printed) {
            let server = std::fs::read_to_string(home.join("server.out")).unwrap_or_default();
            return Err(format!(
                "{page}:{}: printed\n{printed}\nnot\n{wanted}\nstderr: {errors}\nserver: {server}",
                block.line
            )
            .into());
        }
    }
    println!("walk: {page}: {} blocks print what the page shows", blocks.len());
    Ok(())
}

/// Puts a script in the place of the binary that keeps what the server prints, not what the commands do, out of what the page prints.
fn install(binary: &Path, place: &Path) -> Result<()> {
    let binary = binary.display();
    let script = format!(
        "#!/bin/bash\n[[ \"$1\" =~ ^(verify|snapshot|restore|--json)$ ]] || [ -f /dev/stdout ] || exec >> \"$HOME/server.out\" 2>&1\nexec '{binary}' \"$@\"\n"
    );
    write_script(place, &script)
}

fn write_script(place: &Path, script: &str) -> Result<()> {
    std::fs::create_dir_all(place.parent().ok_or("a script needs a folder")?)?;
    std::fs::write(place, script)?;
    Ok(std::fs::set_permissions(place, PermissionsExt::from_mode(0o755))?)
}

fn trimmed(text: &str) -> Vec<&str> {
    text.trim().lines().map(str::trim_end).collect()
}

/// Returns the `sh` blocks of a page, each with the `text` block that follows it.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<(usize, String, String)> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut fence, line.strip_prefix("```")) {
            (None, Some(kind)) => fence = Some((at + 2, kind.to_owned(), String::new())),
            (Some((_, _, body)), None) => *body += &format!("{line}\n"),
            (Some(_), Some(_)) => match fence.take() {
                Some((line, kind, commands)) if kind == "sh" => blocks.push(Block { line, commands, printed: None }),
                Some((_, kind, printed)) if kind == "text" => {
                    if let Some(block) = blocks.last_mut() {
                        block.printed = Some(printed);
                    }
                }
                _ => {}
            },
            (None, None) => {}
        }
    }
    blocks
}

/// Returns the night script as the README has it.
fn night_script() -> Result<String> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let block = readme.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(block.ok_or("README.md has no block marked bash")?.to_owned())
}

/// The night script through three nights and its exit codes; the last night restores.
fn walk_nights(binary: &Path) -> Result<()> {
    let scratch = Scratch::new("nights")?;
    let (data, target) = (scratch.path("root"), scratch.path("backup"));
    let script = scratch.path("bin/nightly-backup");
    write_script(&script, &night_script()?)?;
    let server = Server::start(binary, &data)?;
    let mut http = server.http()?;
    let night = |path: Option<&Path>| -> Result<(i32, String)> {
        let mut command = Command::new("bash");
        command.arg(&script).arg(&data).arg(&target);
        command.env("STILLPOINT_URL", format!("http://127.0.0.1:{}", server.http_port)).env("KEEP_NIGHTS", "2");
        if let Some(path) = path {
            let all = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{all}", path.display()));
        }
        let done = command.output()?;
        Ok((done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned()))
    };
    let expect = |what: &str, wanted: i32, path: Option<&Path>| -> Result<()> {
        let (code, errors) = night(path)?;
        if code == wanted {
            Ok(())
        } else {
            Err(format!("night script, {what}: exit code {code}, not {wanted}: {errors}").into())
        }
    };

    http.exec("create table t (ts timestamp, s symbol, n long) timestamp(ts) partition by day")?;
    for first in 0..3 {
        let select =
            "timestamp_sequence(dateadd('d', {}, '2024-01-01T00:00:00Z'::timestamp), 1000000L), 'a' || x % 5, x";
        http.exec(&format!(
            "insert into t select {} from long_sequence(2000)",
            select.replace("{}", &first.to_string())
        ))?;
        expect("a good night", 0, None)?;
        std::thread::sleep(std::time::Duration::from_millis(1100)); // a night is named by the second
    }
    let nights = nights(&target)?;
    if nights.len() != 2 {
        return Err(format!("night script: {} nights are kept, not 2", nights.len()).into());
    }
    let shared = shared_files(&nights[0], &nights[1])?;
    if shared == 0 {
        return Err("night script: two nights share no file".into());
    }

    // A copy that fails: told by the exit code, and the snapshot is completed all the same.
    write_script(&scratch.path("broken/rsync"), "#!/bin/bash\nexit 23\n")?;
    expect("rsync fails", 2, Some(&scratch.path("broken")))?;
    if http.number("select count() from snapshots()")? != 0 {
        return Err("night script: the snapshot is still open after a copy that failed".into());
    }
    http.exec("SNAPSHOT PREPARE")?;
    expect("a snapshot is open already", 1, None)?;
    http.exec("SNAPSHOT COMPLETE")?;

    // The restore, as the README says.
    server.stop()?;
    std::fs::rename(&data, scratch.path("broken-root"))?;
    put_back(&target.join("latest/"), &data)?;
    let server = Server::start(binary, &data)?;
    let rows = server.http()?.number("select count() from t")?;
    if rows != 6000 {
        return Err(format!("night script: {rows} rows after the restore, not 6000").into());
    }
    server.stop()?;
    println!(
        "walk: the night script: exit codes 0, 1, 2 as described, {shared} files shared between nights, the last night restored"
    );
    Ok(())
}

fn nights(target: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(target)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut nights: Vec<PathBuf> = entries
        .into_iter()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("20"))
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(".part"))
        .map(|entry| entry.path())
        .collect();
    nights.sort();
    Ok(nights)
}

/// Returns the number of files below `one` that are the same inode below `other`.
fn shared_files(one: &Path, other: &Path) -> Result<usize> {
    let mut shared = 0;
    for entry in std::fs::read_dir(one)? {
        let entry = entry?;
        let twin = other.join(entry.file_name());
        if entry.file_type()?.is_dir() && twin.is_dir() {
            shared += shared_files(&entry.path(), &twin)?;
        } else if let (Ok(a), Ok(b)) = (entry.metadata(), twin.metadata()) {
            shared += usize::from(a.is_file() && a.ino() == b.ino());
        }
    }
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_page_are_found_with_what_they_print() {
        let page = "# x\n```sh\necho a\n```\n```text\na\n```\n```console\nno\n```\n```sh\necho b\n```\ntext\n";
        let want = [
            Block { line: 3, commands: "echo a\n".to_owned(), printed: Some("a\n".to_owned()) },
            Block { line: 12, commands: "echo b\n".to_owned(), printed: None },
        ];
        assert_eq!(blocks(page), want);
    }

    #[test]
    fn the_readme_has_the_night_script() {
        let script = night_script().expect("README.md");
        for part in ["SNAPSHOT PREPARE", "SNAPSHOT COMPLETE", "trap", "--link-dest"] {
            assert!(script.contains(part), "{part}");
        }
    }
}
