//! Who may use whom: `types ← storage ← query ← server`, `types ← wire ← server`, and `sim` over storage for tests.
//!
//! Reads `cargo metadata`. An arrow that is missing here needs a decision in `docs/adr/` first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Our crates and those of ours that each may use.
const ARROWS: [(&str, &[&str]); 7] = [
    ("types", &[]),
    ("wire", &["types"]),
    ("storage", &["types"]),
    ("query", &["types", "storage"]),
    ("server", &["types", "wire", "storage", "query"]),
    ("sim", &["types", "storage"]),
    ("xtask", &[]),
];

/// Packages that must not be reachable from a crate, through anything that ships with it.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    ("types", &["tokio", "datafusion", "anyhow", "hyper", "axum"]),
    ("wire", &["tokio", "datafusion", "anyhow", "hyper", "axum"]),
    ("storage", &["tokio", "datafusion", "anyhow", "hyper", "axum"]),
    ("query", &["hyper", "axum", "pgwire"]),
    ("xtask", &["tokio", "datafusion", "anyhow", "hyper"]),
];

/// Returns the arrows that are not drawn, and the packages that came in where they must not be.
pub fn check(metadata: &Value) -> Vec<String> {
    let packages = names(metadata);
    let direct = edges(metadata, &packages);
    let ours: BTreeSet<&str> =
        list(&metadata["workspace_members"]).filter_map(|id| packages.get(id.as_str()?).copied()).collect();
    let mut problems = Vec::new();
    for name in &ours {
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| crate_name == name) else {
            problems.push(format!(
                "crates/{name}: not in the crate graph; draw it in xtask/src/tidy/graph.rs and write an ADR"
            ));
            continue;
        };
        let used = direct.get(name).into_iter().flatten();
        for other in used.filter(|other| ours.contains(**other) && !allowed.contains(other)) {
            problems.push(format!("crates/{name}: uses {other}, an arrow that is not drawn; a new arrow needs an ADR"));
        }
        for forbidden in FORBIDDEN.iter().filter(|(crate_name, _)| crate_name == name).flat_map(|(_, list)| *list) {
            if let Some(path) = way(&direct, name, forbidden) {
                problems.push(format!("crates/{name}: reaches {forbidden} ({path}), which must stay out of it"));
            }
        }
    }
    problems
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn names(metadata: &Value) -> BTreeMap<&str, &str> {
    list(&metadata["packages"]).filter_map(|p| Some((p["id"].as_str()?, p["name"].as_str()?))).collect()
}

/// Returns what each package uses in what ships (normal and build dependencies, not those of tests).
fn edges<'a>(metadata: &'a Value, packages: &BTreeMap<&str, &'a str>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some(name) = node["id"].as_str().and_then(|id| packages.get(id)) else { continue };
        let shipped = list(&node["deps"]).filter(|dep| list(&dep["dep_kinds"]).any(|kind| kind["kind"] != "dev"));
        let used = shipped.filter_map(|dep| packages.get(dep["pkg"].as_str()?).copied());
        edges.entry(name).or_default().extend(used);
    }
    edges
}

/// Returns the shortest way from one package to another as text.
fn way(edges: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> Option<String> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in edges.get(way.last()?.as_str()).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next.to_string());
                if next == &to {
                    return Some(way.join(" → "));
                }
                if seen.insert(*next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(deps: &[(&str, &[(&str, &str)])]) -> Value {
        let packages: Vec<Value> = deps.iter().map(|(name, _)| json!({"id": name, "name": name})).collect();
        let nodes: Vec<Value> = deps
            .iter()
            .map(|(name, used)| {
                let used: Vec<Value> =
                    used.iter().map(|(dep, kind)| json!({"pkg": dep, "dep_kinds": [{"kind": kind}]})).collect();
                json!({"id": name, "deps": used})
            })
            .collect();
        json!({"packages": packages, "workspace_members": ["types", "wire", "storage"], "resolve": {"nodes": nodes}})
    }

    fn check_one(deps: &[(&str, &[(&str, &str)])], want: &str) {
        let problems = check(&metadata(deps));
        assert!(problems.iter().any(|p| p.contains(want)), "{want} not in {problems:?}");
    }

    #[test]
    fn the_drawn_graph_passes() {
        let deps: &[(&str, &[(&str, &str)])] = &[
            ("types", &[]),
            ("wire", &[("types", "")]),
            ("storage", &[("types", ""), ("tokio", "dev")]),
            ("tokio", &[]),
        ];
        assert_eq!(check(&metadata(deps)), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        check_one(&[("types", &[]), ("wire", &[("storage", "")]), ("storage", &[])], "wire: uses storage");
    }

    #[test]
    fn a_forbidden_package_is_found_through_others() {
        let deps: &[(&str, &[(&str, &str)])] = &[
            ("types", &[]),
            ("wire", &[]),
            ("storage", &[("helper", "")]),
            ("helper", &[("tokio", "")]),
            ("tokio", &[]),
        ];
        check_one(deps, "storage → helper → tokio");
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let mut metadata = metadata(&[("extra", &[])]);
        metadata["workspace_members"] = json!(["extra"]);
        assert!(check(&metadata)[0].contains("crates/extra: not in the crate graph"));
    }
}
