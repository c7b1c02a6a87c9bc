//! The tree that holds all mutants of a sample, and storage's tests built from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{create_dir_all, read_to_string, remove_dir_all, write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::list::Mutant;
use super::switched::{SWITCH, mutant_at, switched};
use crate::Result;
use crate::campaign::coverage::test_binary;
use crate::cargo::{cargo, must, root};

/// Makes the tree that is changed: what is committed. It lies at the same place each time, so that cargo knows it again.
pub fn fresh_tree() -> Result<PathBuf> {
    let tree = root().join("target/mutants");
    if tree.exists() {
        remove_dir_all(&tree)?;
    }
    create_dir_all(&tree)?;
    must(Command::new("sh").args(["-c", "git archive HEAD | tar -x -C \"$1\"", "sh"]).arg(&tree).current_dir(root()))?;
    let source = tree.join("crates/storage/src");
    write(source.join("switch.rs"), SWITCH)?;
    let lib = read_to_string(source.join("lib.rs"))?;
    write(source.join("lib.rs"), format!("{lib}\n#[doc(hidden)]\npub mod switch;\n"))?;
    let manifest = tree.join("crates/storage/Cargo.toml");
    let others =
        ["query", "server", "wire"].map(|name| read_to_string(tree.join("crates").join(name).join("Cargo.toml")));
    let needed = as_dev_dependencies(&others.into_iter().collect::<std::io::Result<String>>()?);
    write(&manifest, format!("{}\n{needed}", read_to_string(&manifest)?))?;
    Ok(tree)
}

/// Returns what other crates depend on as dependencies of tests: cargo unites the features of what it builds, so those
/// that are built already serve for storage alone.
fn as_dev_dependencies(manifests: &str) -> String {
    let mut section = "";
    let mut needed = BTreeSet::new();
    for line in manifests.lines() {
        section = if line.starts_with('[') { line } else { section };
        let is_ours = ["types", "wire", "storage", "query"].iter().any(|ours| line.starts_with(&format!("{ours}.")));
        if matches!(section, "[dependencies]" | "[dev-dependencies]") && line.ends_with(".workspace = true") && !is_ours
        {
            needed.insert(format!("{line}\n"));
        }
    }
    format!("[dev-dependencies]\n{}", needed.into_iter().collect::<String>())
}

/// Builds the tests with all mutants, which are numbered from 1. Returns their binaries, and the mutants that are no
/// programs, which are left out.
pub fn build(tree: &Path, mutants: &[Mutant]) -> Result<(Vec<PathBuf>, BTreeSet<usize>)> {
    let mut texts = BTreeMap::new();
    for mutant in mutants {
        texts.insert(&*mutant.file, read_to_string(tree.join(&mutant.file))?);
    }
    let mut unviable = BTreeSet::new();
    loop {
        for (file, text) in &texts {
            let here = (1..).zip(mutants).filter(|(number, m)| m.file == *file && !unviable.contains(number));
            write(tree.join(file), switched(text, &here.collect::<Vec<_>>())?)?;
        }
        let mut command = cargo(&["test", "--offline", "-p", "storage", "--no-run", "--message-format", "json"]);
        let built = command.current_dir(tree).env("CARGO_TARGET_DIR", target()).output()?;
        let said = String::from_utf8_lossy(&built.stdout);
        if built.status.success() {
            return Ok((said.lines().filter_map(test_binary).collect(), unviable));
        }
        let errors: Vec<Value> = said.lines().filter_map(error).collect();
        let culprits = culprits(tree, &errors);
        if culprits.is_empty() {
            let rendered = errors.iter().filter_map(|error| error["rendered"].as_str()).collect::<String>();
            let said = String::from_utf8_lossy(&built.stderr);
            return Err(format!("mutants: the tree does not build: {rendered}{said}").into());
        }
        for (number, message) in culprits {
            println!("mutants: {number}: no program: {}: {message}", mutants[number - 1].name);
            unviable.insert(number);
        }
    }
}

/// Returns the mutants that errors are of, with what the compiler says.
fn culprits(tree: &Path, errors: &[Value]) -> BTreeMap<usize, String> {
    let places = errors.iter().flat_map(|error| places(error).into_iter().map(move |place| (place, error)));
    let culprit = |((file, line), error): ((String, usize), &Value)| {
        let number = mutant_at(&read_to_string(tree.join(file)).ok()?, line)?;
        Some((number, error["message"].as_str()?.to_owned()))
    };
    places.filter_map(culprit).collect()
}

/// The dependencies of everyday's build serve here too.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the compiler's error that a line of cargo's tells.
fn error(line: &str) -> Option<Value> {
    let said: Value = serde_json::from_str(line).ok()?;
    (said["message"]["level"] == "error").then(|| said["message"].clone())
}

/// Returns the files and lines where an error is.
fn places(error: &Value) -> Vec<(String, usize)> {
    let spans = error["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true);
    let place = |span: &Value| Some((span["file_name"].as_str()?.to_owned(), span["line_start"].as_u64()? as usize));
    spans.filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_crates_need_is_named_for_tests() {
        let manifests = "[package]\nversion.workspace = true\n[dependencies]\ntypes.workspace = true\nb.workspace = true\n\n\
                         [target.'cfg(windows)'.dependencies]\nc.workspace = true\n[dependencies]\na.workspace = true\nb.workspace = true\n";
        assert_eq!(as_dev_dependencies(manifests), "[dev-dependencies]\na.workspace = true\nb.workspace = true\n");
    }

    #[test]
    fn an_error_is_read_with_its_places() {
        let span = |line: u64, primary: bool| serde_json::json!({"file_name": "a.rs", "line_start": line, "is_primary": primary});
        let said = |level: &str| {
            let spans = [span(3, false), span(7, true)];
            serde_json::json!({"reason": "compiler-message", "message": {"level": level, "spans": spans}}).to_string()
        };
        let error_of = error(&said("error")).expect("it is one");
        assert_eq!(places(&error_of), [("a.rs".to_owned(), 7)]);
        assert!(error(&said("warning")).is_none() && error("Compiling").is_none());
    }
}
