//! Documents tell the truth about where things are: every path and every link in them exists, every name of code too.
//!
//! A path is a word in backticks that begins with a folder of the repository; a link is relative to its document, and what
//! stands behind its `#` is a heading.

use super::Tree;
use super::source::{code, lines_with};

const FOLDERS: [&str; 9] =
    ["crates/", "docs/", "xtask/", "examples/", "findings/", "changes/", "tests/", ".ci/", ".cargo/"];

/// Returns the dead paths, links and names of code.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let sources: Vec<String> = tree.rust().map(|(_, text)| code(text)).collect();
    for (document, text) in tree.markdown() {
        for (at, line) in outside_fences(text) {
            for word in ticked(line) {
                if FOLDERS.iter().any(|folder| word.starts_with(folder)) && !is_pattern(word) && !tree.has(word) {
                    problems.push(format!("{document}:{at}: {word} does not exist; correct the document"));
                }
                if document == "ARCHITECTURE.md" && is_code_name(word) && !is_defined(word, &sources) {
                    problems.push(format!("{document}:{at}: {word} is not in the code; correct the document"));
                }
            }
            for target in links(line).filter(|target| !leads_somewhere(tree, document, target)) {
                problems.push(format!("{document}:{at}: the link to {target} is dead; correct the document"));
            }
        }
    }
    problems
}

/// Returns the numbered lines that do not stand in a fenced block: commands there name files that they make.
fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

fn ticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_pattern(word: &str) -> bool {
    word.contains(['*', '<', '{', ' ', '…'])
}

/// Tells whether the word is `Type::function` or `module::function`.
fn is_code_name(word: &str) -> bool {
    let parts: Vec<&str> = word.trim_end_matches("()").split("::").collect();
    parts.len() == 2 && parts.iter().all(|p| !p.is_empty() && p.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

fn is_defined(word: &str, sources: &[String]) -> bool {
    let (owner, member) = word.trim_end_matches("()").split_once("::").expect("is_code_name found the colons");
    let kinds = |name: &str, kinds: &[&str]| {
        kinds.iter().any(|kind| sources.iter().any(|text| !lines_with(text, &format!("{kind} {name}")).is_empty()))
    };
    kinds(owner, &["struct", "enum", "trait", "type", "mod"])
        && kinds(member, &["fn", "struct", "enum", "const", "mod"])
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// Tells whether the file is there and, behind a `#` in a document, the heading.
fn leads_somewhere(tree: &Tree, document: &str, target: &str) -> bool {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { document.to_owned() } else { resolve(document, path) };
    let mut texts = tree.markdown().filter(|(name, _)| *name == path);
    match texts.next() {
        Some((_, text)) if !anchor.is_empty() => {
            outside_fences(text).any(|(_, line)| anchor_of(line) == Some(anchor.to_owned()))
        }
        _ => tree.has(&path),
    }
}

/// Returns what a link says to name a heading: its words in lower case, with hyphens between them.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

/// Returns a link's target as a path from the root of the repository.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(document: &str, text: &str, want: &[&str]) {
        let files = [
            (document, text),
            ("docs/guide/a.md", "# A page\n```\n# no heading\n```\n## By `exit` code, for scripts\n"),
            ("crates/x/src/log.rs", "pub struct Log; impl Log { pub fn append() {} }"),
        ];
        let problems = check(&Tree::of(&files));
        assert_eq!(problems.len(), want.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.contains(want), "{want} not in {problem}");
        }
    }

    #[test]
    fn a_dead_path_is_found() {
        check_one("ARCHITECTURE.md", "see `crates/x/src/log.rs`, `docs/guide/`, `db/_log/` and `docs/adr/*.md`", &[]);
        check_one("ARCHITECTURE.md", "\nsee `crates/x/src/gone.rs`", &["ARCHITECTURE.md:2: crates/x/src/gone.rs"]);
    }

    #[test]
    fn a_dead_link_is_found() {
        check_one("docs/b.md", "[a](guide/a.md) [x](../crates/x/src/log.rs) [web](https://example.org/x#y)", &[]);
        check_one("docs/b.md", "[a](guide/b.md)", &["the link to guide/b.md is dead"]);
        check_one(
            "docs/b.md",
            "# Here\n[a](guide/a.md#by-exit-code-for-scripts) [a](guide/a.md#a-page) [b](#here)",
            &[],
        );
        check_one("docs/b.md", "[a](guide/a.md#no-heading)", &["the link to guide/a.md#no-heading is dead"]);
        check_one("docs/b.md", "[b](#there)", &["the link to #there is dead"]);
    }

    #[test]
    fn a_dead_name_of_code_is_found_in_the_map() {
        check_one("ARCHITECTURE.md", "`Log::append` and `Log::append()`", &[]);
        check_one("ARCHITECTURE.md", "`Log::gone`", &["Log::gone is not in the code"]);
        check_one("ARCHITECTURE.md", "`Gone::append`", &["Gone::append is not in the code"]);
    }

    #[test]
    fn commands_in_a_fence_may_name_files_that_they_make() {
        check_one("docs/b.md", "```\n`docs/new.txt`\n```\n", &[]);
    }
}
