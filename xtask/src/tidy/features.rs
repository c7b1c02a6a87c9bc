//! COMPAT.md's list of features: each has one status, each "yes" a test, each test exists, and the head counts them right.

use super::Tree;

const LIST: &str = "## The 200 features";
const FEATURES: usize = 200;
const HISTORIES: &str = "crates/query/tests/sql";

/// Returns what is wrong with the list.
pub fn check(tree: &Tree) -> Vec<String> {
    let Some((_, text)) = tree.markdown().find(|(path, _)| *path == "COMPAT.md") else {
        return vec!["COMPAT.md: missing; it lists the features".to_owned()];
    };
    let Some((_, list)) = text.split_once(LIST) else {
        return vec![format!("COMPAT.md: no section {LIST:?}")];
    };
    let mut problems = Vec::new();
    let mut seen = Vec::new();
    let mut counts = [0; 3];
    for line in list.lines() {
        let Some(row) = Row::read(line) else { continue };
        if seen.contains(&row.id) {
            problems.push(format!("COMPAT.md: {} is listed twice", row.id));
        }
        match ["yes", "partly", "no"].iter().position(|status| *status == row.status) {
            Some(at) => counts[at] += 1,
            None => problems.push(format!("COMPAT.md: {}: status {:?}; say yes, partly or no", row.id, row.status)),
        }
        if row.status == "yes" && row.tests.is_empty() {
            problems.push(format!("COMPAT.md: {}: a yes names its test", row.id));
        }
        let missing = row.tests.iter().filter(|test| !exists(tree, test));
        problems.extend(missing.map(|test| format!("COMPAT.md: {}: there is no test {test}", row.id)));
        seen.push(row.id);
    }
    let [yes, partly, no] = counts;
    let sum = format!("{yes} yes, {partly} partly, {no} no");
    if !list.contains(&sum) {
        problems.push(format!("COMPAT.md: the head of the list does not say {sum}"));
    }
    if seen.len() != FEATURES {
        problems.push(format!("COMPAT.md: {} features are listed instead of {FEATURES}", seen.len()));
    }
    problems
}

struct Row<'a> {
    id: &'a str,
    status: &'a str,
    /// The names in backquotes of the last cell.
    tests: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Option<Row<'a>> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let (id, rest) = inner.split_once(" | ")?;
        let (rest, last) = rest.rsplit_once(" | ").or_else(|| rest.strip_suffix(" |").map(|rest| (rest, "")))?;
        let (_, status) = rest.rsplit_once(" | ")?;
        let is_id = id.len() == 3 && id.starts_with(|c: char| c.is_ascii_uppercase());
        (is_id && id[1..].bytes().all(|b| b.is_ascii_digit())).then(|| Row {
            id,
            status,
            tests: last.split('`').skip(1).step_by(2).collect(),
        })
    }
}

/// Returns whether a test of that name exists: a recorded history, a client's script, or a function.
fn exists(tree: &Tree, test: &str) -> bool {
    match test.rsplit_once('.') {
        Some((_, "jsonl")) => tree.has(&format!("{HISTORIES}/{test}")),
        Some((_, "py")) => tree.has(&format!("tests/clients/{test}")),
        _ => {
            let function = format!("fn {test}(");
            tree.rust().any(|(_, text)| text.contains(&function))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &str) -> Vec<String> {
        let text = format!("{LIST}\n\n| id | feature | status | test |\n|---|---|---|---|\n{rows}");
        let tree = Tree::of(&[
            ("COMPAT.md", &text),
            ("crates/query/tests/sql/ddl.jsonl", ""),
            ("crates/a.rs", "#[test]\nfn it_works() {}"),
        ]);
        let found = check(&tree);
        found.into_iter().filter(|p| !p.contains("instead of 200") && !p.contains("head of the list")).collect()
    }

    #[test]
    fn a_yes_needs_a_test_that_exists() {
        assert!(
            list("| A01 | a | yes | `ddl.jsonl` |\n| A02 | b | yes | `it_works`; more |\n| A03 | c | no |  |")
                .is_empty()
        );
        for (row, wrong) in [
            ("| A01 | a | yes |  |", "names its test"),
            ("| A01 | a | yes | `gone.jsonl` |", "no test gone.jsonl"),
            ("| A01 | a | partly | `it_was` |", "no test it_was"),
            ("| A01 | a | perhaps | `it_works` |", "say yes, partly or no"),
            ("| A01 | a | no |  |\n| A01 | a | no |  |", "twice"),
        ] {
            let found = list(row);
            assert!(found.len() == 1 && found[0].contains(wrong), "{row}: {found:?}");
        }
    }

    #[test]
    fn a_list_that_is_too_short_is_noticed() {
        let text = format!("{LIST}\n\n0 yes, 0 partly, 0 no\n");
        let tree = Tree::of(&[("COMPAT.md", &text)]);
        assert_eq!(check(&tree), ["COMPAT.md: 0 features are listed instead of 200"]);
    }

    #[test]
    fn a_sum_that_is_wrong_is_noticed() {
        let text = format!("{LIST}\n\n2 yes, 0 partly, 0 no\n\n| A01 | a | yes | `it_works` |\n| A02 | b | no |  |\n");
        let found = check(&Tree::of(&[("COMPAT.md", &text), ("crates/a.rs", "fn it_works() {}")]));
        assert!(found[0].contains("does not say 1 yes, 0 partly, 1 no"), "{found:?}");
    }
}
