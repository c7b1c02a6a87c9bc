//! The demo's server and the tests share one build: no test dependency switches a feature on that the server lacks.
//!
//! Cargo unites features over what it builds. Were `tokio` built with one more feature for a test, `cargo test` would
//! build tokio, and with it DataFusion, a second time (minutes). The cure is to name that feature in the root manifest.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::cargo::{cargo, output};

/// Returns `cargo tree` of what ships, and of what ships and tests together; a line is a package with its features.
pub fn trees() -> Result<[String; 2]> {
    let tree = |edges| {
        let args = ["tree", "--workspace", "--locked", "--prefix", "none", "--format", "{p} {f}", "--edges", edges];
        output(&mut cargo(&args))
    };
    Ok([tree("normal,build")?, tree("normal,build,dev")?])
}

/// Returns the packages that tests build with other features than the server.
pub fn check([shipped, tested]: &[String; 2]) -> Vec<String> {
    let (shipped, tested) = (features(shipped), features(tested));
    let mut problems = Vec::new();
    for (package, sets) in &shipped {
        let with_tests = tested.get(package).cloned().unwrap_or_default();
        for extra in with_tests.difference(sets) {
            problems.push(format!(
                "Cargo.toml: tests build {package} with \"{extra}\", the server with \"{}\"; name the same features in [workspace.dependencies]",
                sets.iter().cloned().collect::<Vec<_>>().join("\" and \"")
            ));
        }
    }
    problems
}

fn features(tree: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let package = format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default().trim();
        let rest = rest.strip_prefix("(proc-macro)").unwrap_or(rest).trim();
        if !rest.starts_with("(/") {
            packages.entry(package).or_default().insert(rest.to_owned());
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_tests_switch_on_is_found() {
        let shipped = "tokio v1.0.0 net,time\nours v0.1.0 (/x) \nbytes v1.0.0 std\nbytes v1.0.0 std (*)\n";
        let same = format!("{shipped}proptest v1.0.0 std\n");
        assert_eq!(check(&[shipped.to_owned(), same]), Vec::<String>::new());
        let more = shipped.replace("net,time", "net,time,signal");
        let problems = check(&[shipped.to_owned(), more]);
        assert!(problems[0].contains("tests build tokio v1.0.0 with \"net,time,signal\""), "{problems:?}");
    }
}
