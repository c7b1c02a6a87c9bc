//! `cargo xtask walk`: the commands of the guide and of the README, run as they stand with curl, psql, cp and rsync.
//!
//! In a page of the guide a block marked `sh` is run, all blocks of a page in one shell, and a block marked `text` after it
//! is what it must print. Only the ports are replaced: several servers may run on this machine. The README's night script:
//! [`nights`].

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::cargo::{build_server, root};
use crate::scratch::Scratch;
use crate::server::Ports;

mod nights;

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
        None => nights::walk(binary)?,
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
}
