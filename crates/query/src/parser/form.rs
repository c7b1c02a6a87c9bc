//! What is left of a text without its literals and the names that it gives to results: [`form`].
//!
//! Two texts of one form are mostly one statement with other constants, and perhaps they are not: the form only finds plans
//! that may fit, and whoever uses one compares what both texts mean.

use super::lexer::{self, Token, TokenKind};
use super::varying::{BEHIND, NEVER};

/// Words behind which no name of a result stands.
const NO_VALUE: [&str; 15] = [
    "select", "distinct", "and", "or", "not", "in", "is", "like", "ilike", "between", "within", "case", "when", "then",
    "else",
];

/// In which part of a SELECT a token stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Results,
    From,
    Conditions,
    /// Of what is written there every word and number decides over the plan.
    Groups,
    Limit,
    Behind,
}

/// Returns a SELECT with marks in the place of the literals of its results, its conditions and its LIMIT, of the names of
/// its results, and of whole lists of literals. None when nothing but literals of the conditions is marked, and for more
/// than one SELECT.
pub fn form(sql: &str) -> Option<String> {
    let tokens = lexer::tokenize(sql).ok()?;
    let is_never = |token: &Token| {
        NEVER.iter().any(|word| token.is_word(word)) || matches!(token.kind, TokenKind::Variable | TokenKind::Param)
    };
    if !tokens.first()?.is_word("select") || tokens[1..].iter().any(is_never) {
        return None;
    }
    let parts = parts(&tokens)?;
    let names = names(&tokens, &parts);
    let (mut key, mut written, mut marked, mut place) = (String::with_capacity(sql.len()), 0, false, 0);
    while let Some(token) = tokens.get(place).filter(|token| token.kind != TokenKind::End) {
        let (mark, count) = match (parts[place], token.kind) {
            (Part::Results | Part::Limit, TokenKind::Number) => (Some("\u{1}".to_owned()), 1),
            (Part::Results, TokenKind::Text) => (Some("\u{2}".to_owned()), 1),
            (Part::Results | Part::Groups, TokenKind::Word | TokenKind::Quoted) => {
                let name = names.iter().position(|name| *name == token.text.to_lowercase());
                (name.map(|name| format!("\u{3}{name}")), 1)
            }
            (Part::Conditions, TokenKind::Number | TokenKind::Text) => {
                let more = list_behind(&tokens[place..]);
                let mark = if token.kind == TokenKind::Number { "\u{1}" } else { "\u{2}" };
                (Some(if more > 0 { format!("{mark}\u{4}") } else { mark.to_owned() }), 1 + more)
            }
            _ => (None, 1),
        };
        if let Some(mark) = mark {
            marked |= parts[place] != Part::Conditions || count > 1;
            key.push_str(&sql[written..token.start]);
            key.push_str(&mark);
            written = tokens[place + count - 1].end;
        }
        place += count;
    }
    key.push_str(&sql[written..]);
    marked.then_some(key)
}

/// Returns in which part each token stands; None for brackets that do not fit each other.
fn parts(tokens: &[Token]) -> Option<Vec<Part>> {
    let (mut depth, mut part, mut parts) = (0usize, Part::Results, Vec::with_capacity(tokens.len()));
    for token in tokens {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.checked_sub(1)?;
        } else if depth == 0 {
            part = match part {
                Part::Results if token.is_word("from") => Part::From,
                Part::Results | Part::From if token.is_word("where") => Part::Conditions,
                _ if token.is_sign(";") => Part::Behind,
                _ if token.is_word("limit") => Part::Limit,
                _ if BEHIND.iter().any(|word| token.is_word(word)) => Part::Groups,
                part => part,
            };
        }
        parts.push(part);
    }
    Some(parts)
}

/// Returns the names that are given to results, in small letters.
fn names(tokens: &[Token], parts: &[Part]) -> Vec<String> {
    let (mut depth, mut names) = (0usize, Vec::new());
    for (place, pair) in tokens.windows(2).enumerate() {
        let [before, token] = pair else { continue };
        if parts[place + 1] != Part::Results {
            break;
        }
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        }
        let is_value = match before.kind {
            TokenKind::Word => !NO_VALUE.iter().any(|word| before.is_word(word)),
            TokenKind::Sign => before.is_sign(")") || before.is_sign("]"),
            _ => true,
        };
        let ends = |next: &Token| next.is_sign(",") || next.kind == TokenKind::End;
        let is_last = parts.get(place + 2) != Some(&Part::Results) || tokens.get(place + 2).is_some_and(ends);
        if depth == 0 && is_value && is_last && matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
            names.push(token.text.to_lowercase());
        }
    }
    names
}

/// Returns how many tokens stand behind a literal that continue a list of such literals, commas counted.
fn list_behind(tokens: &[Token]) -> usize {
    let of_kind = |pair: &[Token]| pair[0].is_sign(",") && pair[1].kind == tokens[0].kind;
    2 * tokens[1..].chunks_exact(2).take_while(|pair| of_kind(pair)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> Option<String> {
        let marks = [('\u{1}', "?"), ('\u{2}', "'?'"), ('\u{3}', "#"), ('\u{4}', "…")];
        form(sql).map(|key| marks.iter().fold(key, |key, (mark, shown)| key.replace(*mark, shown)))
    }

    #[test]
    fn literals_and_names_of_results_are_taken_out() {
        for (sql, expected) in [
            ("select 5", "select ?"),
            ("select 5 x, 'a' as Y from t", "select ? #0, '?' as #1 from t"),
            ("select count() + 7 from t", "select count() + ? from t"),
            (
                "select price p7, v from t order by P7 desc, v limit 10",
                "select price #0, v from t order by #0 desc, v limit ?",
            ),
            ("select a from t where n = 5 order by 1 limit 3", "select a from t where n = ? order by 1 limit ?"),
            ("select a x from t where x = 5 limit 3, 9;", "select a #0 from t where x = ? limit ?, ?;"),
            ("select a from t where s in ('a', 'b', 'c')", "select a from t where s in ('?'…)"),
            ("select a from t where s in ('a', 'b', 5) and n < 5", "select a from t where s in ('?'…, ?) and n < ?"),
            ("select avg(v + 1) from t sample by 1h fill(5)", "select avg(v + ?) from t sample by 1h fill(5)"),
            ("select case when v > 5 then 'x' end k from t", "select case when v > ? then '?' end #0 from t"),
            (
                "select \"my v\" \"A b\", extract(hour from ts) from t",
                "select \"my v\" #0, extract(hour from ts) from t",
            ),
        ] {
            assert_eq!(shown(sql).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_has_no_other_literals_has_no_form() {
        for sql in [
            "select * from t",
            "select distinct price from t where n = 5",
            "select a from t where s in ('a')",
            "select 5 from t where n = $1",
            "select 5 union select 6",
            "select 5 from (select 6 x from t)",
            "select row_number() over (order by ts) + 5 from t",
            "t limit 5",
            "select 5)",
            "select 'unclosed",
            "",
        ] {
            assert_eq!(shown(sql), None, "{sql}");
        }
    }
}
