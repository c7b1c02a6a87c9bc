//! The page of refusals quotes what the product says: every quoted piece of a sentence stands in a literal of the code.

use super::Tree;

const PAGE: &str = "docs/guide/refusals.md";

/// Returns the sentences of the page that no source file has.
pub fn check(tree: &Tree) -> Vec<String> {
    let Some((_, page)) = tree.markdown().find(|(path, _)| *path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let sources: Vec<String> = tree.rust().map(|(_, text)| joined(text)).collect();
    let said = |piece: &str| sources.iter().any(|text| text.contains(piece));
    let mut problems = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let Some(sentence) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        for piece in sentence.split('…').map(str::trim).filter(|piece| !piece.is_empty() && !said(piece)) {
            problems.push(format!("{PAGE}:{}: nothing says {piece:?}; correct the page", at + 1));
        }
    }
    problems
}

/// Returns a source text with literals over several lines in one.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |all, line| all + line.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_nothing_says_is_found() {
        let code = ("crates/x/src/a.rs", "format!(\"{} is in the \\\n         way of {n} others\")");
        let page = |text: &str| check(&Tree::of(&[code, (PAGE, text)]));
        assert_eq!(page("| the sentence |\n| `is in the way of … others` | move it |\n"), [""; 0]);
        let found = page("\n| `is in the way of …` | x |\n| `is in its way` | y |\n");
        assert_eq!(found, ["docs/guide/refusals.md:3: nothing says \"is in its way\"; correct the page"]);
        assert_eq!(check(&Tree::of(&[code])), ["docs/guide/refusals.md is missing"]);
    }
}
