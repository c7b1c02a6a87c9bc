//! Packages from outside: one version of each that we use ourselves, a licence that we may ship, crates.io only.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Licences that may be part of the binary; an expression passes if one of its alternatives is made of these.
const LICENCES: [&str; 15] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
    "Unicode-3.0",
    "Unlicense",
    "CDLA-Permissive-2.0",
    "MPL-2.0", // by file: what we ship of it is unchanged
];

/// Direct dependencies of which a second version comes in through others, and why it must be borne.
const BORNE: [(&str, &str); 0] = [];

/// Returns duplicates of direct dependencies, licences that do not fit, and packages from elsewhere.
pub fn check(metadata: &Value) -> Vec<String> {
    let members: BTreeSet<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
    let is_ours = |package: &&Value| package["id"].as_str().is_some_and(|id| members.contains(id));
    let used: BTreeSet<&str> = list(&metadata["resolve"]["nodes"]).filter_map(|node| node["id"].as_str()).collect();
    let packages: Vec<&Value> =
        list(&metadata["packages"]).filter(|p| p["id"].as_str().is_some_and(|id| used.contains(id))).collect();
    let direct: BTreeSet<&str> = packages
        .iter()
        .filter(|p| is_ours(p))
        .flat_map(|p| list(&p["dependencies"]))
        .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
        .collect();

    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut problems = Vec::new();
    for package in packages.iter().filter(|p| !is_ours(p)) {
        let (name, version) = (text(package, "name"), text(package, "version"));
        versions.entry(name).or_default().push(version);
        let licence = text(package, "license");
        if !may_ship(licence) {
            problems
                .push(format!("Cargo.lock: {name} {version} has the licence \"{licence}\", which is not on our list"));
        }
        let source = text(package, "source");
        if source != "registry+https://github.com/rust-lang/crates.io-index" {
            problems.push(format!("Cargo.lock: {name} {version} comes from \"{source}\", not from crates.io"));
        }
    }
    for (name, versions) in versions.iter().filter(|(name, versions)| direct.contains(*name) && versions.len() > 1) {
        if !BORNE.iter().any(|(borne, _)| borne == name) {
            problems.push(format!(
                "Cargo.lock: {name}, which we use ourselves, is there as {}; make them one",
                versions.join(" and ")
            ));
        }
    }
    problems
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Tells whether an SPDX expression (or the old form with slashes) offers a choice made of licences on the list.
fn may_ship(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let fits = any_of(&mut words);
    fits && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words) -> bool {
    let mut fits = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        fits |= all_of(words);
    }
    fits
}

fn all_of(words: &mut Words) -> bool {
    let mut fits = one(words);
    while words.next_if_eq(&"AND").is_some() {
        fits &= one(words);
    }
    fits
}

fn one(words: &mut Words) -> bool {
    match words.next() {
        Some("(") => {
            let fits = any_of(words);
            words.next_if_eq(&")").is_some() && fits
        }
        Some(name) => {
            let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
            let name = exception.map_or(name.to_owned(), |exception| format!("{name} WITH {exception}"));
            LICENCES.contains(&name.as_str())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn check_one(packages: &[(&str, &str, &str, &str)], want: &[&str]) {
        let mut all = vec![
            json!({"id": "ours", "name": "ours", "dependencies": [{"name": "arrow", "kind": null, "path": null}]}),
        ];
        all.extend(packages.iter().map(|(name, version, licence, source)| {
            json!({"id": format!("{name}@{version}"), "name": name, "version": version, "license": licence, "source": source})
        }));
        let nodes: Vec<Value> = all.iter().map(|package| json!({"id": package["id"]})).collect();
        let problems = check(&json!({"packages": all, "workspace_members": ["ours"], "resolve": {"nodes": nodes}}));
        assert_eq!(problems.len(), want.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.contains(want), "{want} not in {problem}");
        }
    }

    #[test]
    fn a_second_version_of_what_we_use_is_found() {
        check_one(
            &[
                ("arrow", "59.3.0", "MIT", CRATES_IO),
                ("syn", "1.0.0", "MIT", CRATES_IO),
                ("syn", "2.0.0", "MIT", CRATES_IO),
            ],
            &[],
        );
        check_one(
            &[("arrow", "59.3.0", "MIT", CRATES_IO), ("arrow", "60.0.0", "MIT", CRATES_IO)],
            &["59.3.0 and 60.0.0"],
        );
    }

    #[test]
    fn a_licence_that_we_may_not_ship_is_found() {
        check_one(&[("x", "1.0.0", "(MIT OR GPL-3.0) AND Unicode-3.0", CRATES_IO)], &[]);
        check_one(&[("x", "1.0.0", "MIT/Apache-2.0", CRATES_IO)], &[]);
        check_one(&[("x", "1.0.0", "MIT AND GPL-3.0", CRATES_IO)], &["MIT AND GPL-3.0"]);
        check_one(&[("x", "1.0.0", "", CRATES_IO)], &["licence \"\""]);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        check_one(&[("x", "1.0.0", "MIT", "git+https://example.org/x")], &["not from crates.io"]);
    }
}
