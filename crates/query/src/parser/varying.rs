//! The literals of a text that are others each time it is said: [`varying`].
//!
//! Dashboards say one statement with other constants. Here only those are known as such that a condition of WHERE compares a
//! column with, in statements whose conditions are all of that kind: whatever else is written decides over the plan.

use super::ast::ExprKind;
use super::lexer::{self, Token, TokenKind};

/// A text without some of its literals.
#[derive(Debug, PartialEq)]
pub struct Varying {
    /// The text with a mark in the place of each literal.
    pub key: String,
    /// The literals, in the order of the text.
    pub literals: Vec<ExprKind>,
    /// Parameters among the operands of conditions, and in the whole text.
    pub params: (usize, usize),
}

impl Varying {
    /// Returns whether all parameters of the text are operands of conditions.
    pub fn has_all_params(&self) -> bool {
        self.params.0 == self.params.1
    }
}

/// Words that end the conditions of a statement that is known.
const BEHIND: [&str; 3] = ["latest", "order", "limit"];
const COMPARISONS: [&str; 7] = ["=", "!=", "<>", "<", "<=", ">", ">="];

/// Returns a SELECT without the literals of its conditions; None when there is a condition of another kind, or none.
pub fn varying(sql: &str) -> Option<Varying> {
    if !sql.trim_start().get(..6)?.eq_ignore_ascii_case("select") {
        return None;
    }
    let tokens = lexer::tokenize(sql).ok()?;
    let conditions = start(&tokens)?;
    let mut reader = Reader { tokens: &tokens, at: conditions, literals: Vec::new(), params: 0 };
    reader.conditions()?;
    let all_params = tokens.iter().filter(|token| token.kind == TokenKind::Param).count();
    let (mut key, mut literals, mut end) = (String::with_capacity(sql.len()), Vec::new(), 0);
    for token in reader.literals {
        key.push_str(&sql[end..token.start]);
        key.push(if token.kind == TokenKind::Number { '\u{1}' } else { '\u{2}' });
        end = token.end;
        literals.push(literal(token));
    }
    key.push_str(&sql[end..]);
    Some(Varying { key, literals, params: (reader.params, all_params) })
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

fn literal(token: &Token) -> ExprKind {
    match token.kind {
        TokenKind::Number => ExprKind::Number(token.text.clone()),
        _ => ExprKind::Text(token.text.clone()),
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    literals: Vec<&'t Token>,
    params: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> &'t Token {
        // the last one is the end, which nothing here takes
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn take(&mut self, is_wanted: impl Fn(&Token) -> bool) -> Option<&'t Token> {
        let token = self.peek();
        is_wanted(token).then(|| {
            self.at += 1;
            token
        })
    }

    /// Reads conditions that AND joins, to their end.
    fn conditions(&mut self) -> Option<()> {
        loop {
            self.condition()?;
            if self.take(|token| token.is_word("and")).is_none() {
                break;
            }
        }
        let behind = self.peek();
        let ends =
            behind.kind == TokenKind::End || behind.is_sign(";") || BEHIND.iter().any(|word| behind.is_word(word));
        ends.then_some(())
    }

    fn condition(&mut self) -> Option<()> {
        self.name()?;
        while self.take(|token| token.is_sign(".")).is_some() {
            self.name()?;
        }
        if self.take(|token| token.kind == TokenKind::Sign && COMPARISONS.contains(&token.text.as_str())).is_some() {
            return self.operand();
        }
        if self.take(|token| token.is_word("between")).is_some() {
            self.operand()?;
            self.take(|token| token.is_word("and"))?;
            return self.operand();
        }
        self.take(|token| token.is_word("in"))?;
        if self.take(|token| token.is_sign("(")).is_none() {
            return self.operand();
        }
        self.operand()?;
        while self.take(|token| token.is_sign(",")).is_some() {
            self.operand()?;
        }
        self.take(|token| token.is_sign(")")).map(drop)
    }

    fn name(&mut self) -> Option<()> {
        self.take(|token| matches!(token.kind, TokenKind::Word | TokenKind::Quoted)).map(drop)
    }

    fn operand(&mut self) -> Option<()> {
        if self.take(|token| token.kind == TokenKind::Param).is_some() {
            self.params += 1;
            return Some(());
        }
        let literal = self.take(|token| matches!(token.kind, TokenKind::Number | TokenKind::Text))?;
        self.literals.push(literal);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sql: &str) -> Option<String> {
        varying(sql).map(|found| found.key.replace('\u{1}', "?").replace('\u{2}', "'?'"))
    }

    #[test]
    fn literals_that_columns_are_compared_with_are_taken_out() {
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
        ] {
            assert_eq!(key(sql).as_deref(), Some(expected), "{sql}");
        }
        assert_eq!(varying("select $1 from t where n = $2 and m = $3").map(|found| found.params), Some((2, 3)));
    }

    #[test]
    fn whatever_else_is_written_belongs_to_the_plan() {
        for sql in [
            "select * from t",
            "t where n = 5",
            "select * from t where n = 5 or m = 6",
            "select * from t where not n = 5",
            "select * from t where (n = 5)",
            "select * from t where n = -5",
            "select * from t where n + 1 = 5",
            "select * from t where 5 = n",
            "select * from t where n = 5 + 1",
            "select * from t where n = '5'::int",
            "select * from t where ts > '2024' sample by 1h",
            "select * from t where n = 5 union select * from u where n = 6",
            "select * from t where n = 5 group by n",
            "select * from t where n in (select m from u)",
            "select * from t where n is null",
            "select * from t where b",
            "select * from t where n = null",
            "select * from t where n = 'unclosed",
            "select * from t where n = ",
            "select * from t where n between 1 or 2",
        ] {
            assert_eq!(varying(sql), None, "{sql}");
        }
    }
}
