//! The literals of a text that are others each time it is said: [`varying`].
//!
//! Dashboards say one statement with other constants. Here those of WHERE are known as such, by their places alone: whether the
//! conditions are of a kind whose plan can be kept is for the statement's tree to say ([`Varying::places`] leads there).
//! Whatever else is written decides over the plan.

use super::ast::ExprKind;
use super::lexer::{self, Token, TokenKind};

/// A text without some of its literals.
#[derive(Debug, PartialEq)]
pub struct Varying {
    /// The text with a mark in the place of each literal.
    pub key: String,
    /// The literals, in the order of the text.
    pub literals: Vec<ExprKind>,
    /// Their positions in this text, rising: those of their expressions in its tree.
    pub places: Vec<usize>,
    /// Whether the conditions have parameters.
    pub has_params: bool,
    /// Numbers of the parameters elsewhere: what they are decides over the plan.
    pub other_params: Vec<usize>,
}

impl Varying {
    /// Returns whether the text has parameters.
    pub fn is_parameterized(&self) -> bool {
        self.has_params || !self.other_params.is_empty()
    }
}

/// Words that end the conditions of a statement that is known.
pub(super) const BEHIND: [&str; 5] = ["latest", "sample", "group", "order", "limit"];
/// Words of conditions that are never known: what they begin has tables, or conditions, of its own.
pub(super) const NEVER: [&str; 8] = ["select", "union", "except", "intersect", "over", "join", "window", "pivot"];

/// Returns a SELECT without the literals of its conditions; None when it has none, or is more than one.
pub fn varying(sql: &str) -> Option<Varying> {
    if !sql.trim_start().get(..6)?.eq_ignore_ascii_case("select") {
        return None;
    }
    let tokens = lexer::tokenize(sql).ok()?;
    let start = start(&tokens)?;
    let end = start + end(&tokens[start..])?;
    let conditions = &tokens[start..end];
    let is_literal = |token: &&Token| matches!(token.kind, TokenKind::Number | TokenKind::Text);
    let (mut key, mut literals, mut places, mut written) =
        (String::with_capacity(sql.len()), Vec::new(), Vec::new(), 0);
    for token in conditions.iter().filter(is_literal) {
        key.push_str(&sql[written..token.start]);
        key.push(if token.kind == TokenKind::Number { '\u{1}' } else { '\u{2}' });
        written = token.end;
        literals.push(literal(token));
        places.push(token.position);
    }
    key.push_str(&sql[written..]);
    let is_param = |token: &&Token| token.kind == TokenKind::Param;
    let has_params = conditions.iter().any(|token| is_param(&token));
    let others = tokens[..start].iter().chain(&tokens[end..]).filter(is_param);
    let other_params = others.map(|token| token.text[1..].parse().ok()).collect::<Option<_>>()?;
    (has_params || !literals.is_empty()).then_some(Varying { key, literals, places, has_params, other_params })
}

/// Returns the place behind the one WHERE of a statement that is no set operation.
fn start(tokens: &[Token]) -> Option<usize> {
    let (mut depth, mut found) = (0usize, None);
    for (place, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.checked_sub(1)?;
        } else if depth == 0 && token.is_word("where") && found.replace(place + 1).is_some() {
            return None;
        }
    }
    found
}

/// Returns how many tokens the conditions have; None when they have what is never known.
fn end(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (place, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.checked_sub(1)?;
        } else if NEVER.iter().any(|word| token.is_word(word)) || token.kind == TokenKind::Variable {
            return None;
        } else if depth == 0 && (token.is_sign(";") || BEHIND.iter().any(|word| token.is_word(word))) {
            return Some(place);
        }
    }
    tokens.len().checked_sub(1)
}

fn literal(token: &Token) -> ExprKind {
    match token.kind {
        TokenKind::Number => ExprKind::Number(token.text.clone()),
        _ => ExprKind::Text(token.text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sql: &str) -> Option<String> {
        varying(sql).map(|found| found.key.replace('\u{1}', "?").replace('\u{2}', "'?'"))
    }

    #[test]
    fn literals_of_conditions_are_taken_out() {
        for (sql, expected) in [
            ("select * from t where s = 'a''b'", "select * from t where s = '?'"),
            (
                "Select 1, 'x' from t where n>=5L and \"Q\".d <> .5 limit 7;",
                "Select 1, 'x' from t where n>=? and \"Q\".d <> ? limit 7;",
            ),
            (
                "select a from t where ts in '2024' latest on ts partition by s",
                "select a from t where ts in '?' latest on ts partition by s",
            ),
            (
                "select a from t where s in ('x', E'y\\n') order by 1",
                "select a from t where s in ('?', '?') order by 1",
            ),
            (
                "select a from t where ts between '2024' and '2025' and n=1",
                "select a from t where ts between '?' and '?' and n=?",
            ),
            ("select a from t where n = $1 and m < 3", "select a from t where n = $1 and m < ?"),
            (
                "select * from t where not (n = -5 or abs(m - 6) < 7) sample by 1h fill(0)",
                "select * from t where not (n = -? or abs(m - ?) < ?) sample by 1h fill(0)",
            ),
            (
                "select 5 from (select 6 from t where n = 7) where m = 8",
                "select 5 from (select 6 from t where n = 7) where m = ?",
            ),
            ("select n, count() from t where n = 5 group by n", "select n, count() from t where n = ? group by n"),
        ] {
            assert_eq!(key(sql).as_deref(), Some(expected), "{sql}");
        }
        let found = varying("select $1 from t where n = $2 and s = 'x' limit $3, $1").expect("literals");
        assert_eq!((found.has_params, found.other_params), (true, vec![1, 3, 1]));
        assert_eq!((found.literals, found.places), (vec![ExprKind::Text("x".to_owned())], vec![38]));
    }

    #[test]
    fn whatever_else_is_written_belongs_to_the_plan() {
        for sql in [
            "select * from t",
            "t where n = 5",
            "select * from t where n = 5 union select * from u where n = 6",
            "select * from t where n = 5 union all (u)",
            "select * from t where n in (select m from u where m = 5)",
            "select * from t where n is null",
            "select * from t where b",
            "select * from t where n = @n",
            "select * from t where n = 'unclosed",
            "select * from t where n = ",
            "select * from t where (n = 5))",
        ] {
            assert_eq!(varying(sql), None, "{sql}");
        }
    }
}
