//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy knows.
//!
//! Each rule is a function over a [`Tree`] of texts, so that its test can show it a bad example. It returns one line
//! per problem: place, what is wrong, what to do. The rules: [`graph`] (who may use whom), [`absences`] (what must not
//! occur where), [`documents`] (dead paths and names), [`features`] (COMPAT.md's list), [`refusals`] (sentences that the guide
//! explains), [`shape`] (module docs, lengths, names), [`packages`] (duplicates, licences, sources), [`one_build`] (demo and
//! tests share one build).

mod absences;
mod documents;
mod features;
mod graph;
mod one_build;
mod packages;
mod refusals;
mod shape;
mod source;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::cargo::{cargo, output, root};

/// The texts of the repository by path, as git lists them; other files are there with an empty text.
#[derive(Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the files that git tracks, and the new ones that it does not ignore.
    pub fn read() -> Result<Tree> {
        let listed = output(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()))?;
        let mut files = BTreeMap::new();
        for path in listed.lines().filter(|path| root().join(path).exists()) {
            let text = [".rs", ".md", ".toml"].iter().any(|end| path.ends_with(end));
            let text = if text { std::fs::read_to_string(root().join(path))? } else { String::new() };
            files.insert(path.to_owned(), text);
        }
        Ok(Tree { files })
    }

    /// Returns the Rust files of our own, path and text.
    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the documents, path and text.
    fn markdown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".md")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Tells whether a file or a folder of that path exists.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(p, _)| p.starts_with(&folder))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect() }
    }
}

/// Runs all rules; an error lists every problem.
pub fn run() -> Result<()> {
    let tree = Tree::read()?;
    let metadata: Value = serde_json::from_str(&output(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &host()?,
    ]))?)?;
    let mut problems = Vec::new();
    let rules: [(&str, Vec<String>); 8] = [
        ("graph", graph::check(&metadata)),
        ("absences", absences::check(&tree)),
        ("documents", documents::check(&tree)),
        ("features", features::check(&tree)),
        ("refusals", refusals::check(&tree)),
        ("shape", shape::check(&tree)),
        ("packages", packages::check(&metadata)),
        ("one build", one_build::check(&one_build::trees()?)),
    ];
    for (rule, found) in rules {
        println!(
            "tidy: {rule}: {}",
            if found.is_empty() { "ok".to_owned() } else { format!("{} problems", found.len()) }
        );
        problems.extend(found);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc -vV names no host")?;
    Ok(host.to_owned())
}
