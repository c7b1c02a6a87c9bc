//! The shape of the tree: a module says what it is, a file is one noun or verb and short enough to read.

use super::Tree;

const LONGEST: usize = 1000;
const VAGUE: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "handler", "misc"];

/// Returns the modules without a head, too long, or badly named.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.rust() {
        let head = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if !head.starts_with("//! ") || head.to_lowercase().contains("placeholder") {
            problems.push(format!(
                "{path}:1: no //! on top; say what the module owns, what it never does, what to read next"
            ));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            problems.push(format!("{path}: {lines} lines; above {LONGEST} it is two files"));
        }
        let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if stem == "mod" {
            problems.push(format!("{path}: name it after its folder, beside it"));
        }
        if VAGUE.iter().any(|vague| stem == *vague || stem.ends_with(&format!("_{vague}"))) {
            problems.push(format!("{path}: {stem} says nothing; name what it does"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str, want: &[&str]) {
        let problems = check(&Tree::of(&[(path, text)]));
        assert_eq!(problems.len(), want.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.contains(want), "{want} not in {problem}");
        }
    }

    #[test]
    fn a_module_without_a_head_is_found() {
        check_one("crates/x/src/log.rs", "//! The log.\n", &[]);
        check_one("crates/x/src/log.rs", "pub fn f() {}\n", &["no //! on top"]);
        check_one("crates/x/src/log.rs", "//! placeholder\n", &["no //! on top"]);
    }

    #[test]
    fn a_long_file_is_found() {
        check_one("crates/x/src/log.rs", &format!("//! The log.\n{}", "\n".repeat(1000)), &["1001 lines"]);
    }

    #[test]
    fn a_vague_name_is_found() {
        check_one("crates/x/src/log_manager.rs", "//! The log.\n", &["log_manager says nothing"]);
        check_one("crates/x/src/log/mod.rs", "//! The log.\n", &["name it after its folder"]);
    }
}
