//! LIKE, ILIKE and regular expressions against constant patterns.
//!
//! Every answer is true or false: NULL matches nothing, and so does the empty LIKE pattern.

use std::sync::Arc;

use datafusion::logical_expr::Volatility;
use regex::Regex;

use super::cast;
use super::comparison::{negate, no_operator};
use super::kernel::{Args, Function, boolean_column};
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

/// An operator between a text and a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matching {
    Like,
    ILike,
    /// `~`
    Regex,
    /// `!~`
    NotRegex,
}

impl Matching {
    fn symbol(self) -> &'static str {
        match self {
            Matching::Like => "like",
            Matching::ILike => "ilike",
            Matching::Regex => "~",
            Matching::NotRegex => "!~",
        }
    }
}

/// Binds `value op pattern`; `position` is the operator's. NOT LIKE is NOT of LIKE.
pub fn bind(op: Matching, value: Typed, pattern: Typed, position: usize) -> Result<Typed, SqlError> {
    let value = if value.kind == Kind::Uuid { cast::implicit(value, Kind::String)? } else { value };
    let text = |kind: Kind| kind.is_text() || matches!(kind, Kind::Char | Kind::Null);
    if !text(value.kind) || !text(pattern.kind) {
        return Err(no_operator(op.symbol(), value.kind, pattern.kind, position));
    }
    let start = value.position;
    if !pattern.is_literal() {
        let message = match op {
            Matching::Like | Matching::ILike => "use constant or bind variable",
            _ => "not implemented: dynamic pattern would be very slow to execute",
        };
        return Err(SqlError::new(pattern.position, message));
    }
    let Some(text) = pattern.as_text() else { return Ok(Typed::boolean(false, start)) };
    let test: Arc<dyn Fn(&str) -> bool + Send + Sync> = match op {
        Matching::Like | Matching::ILike => {
            let like = Like::parse(text, op == Matching::ILike)?;
            Arc::new(move |value| like.matches(value))
        }
        Matching::Regex | Matching::NotRegex => {
            let regex = regex(text, pattern.position)?;
            Arc::new(move |value| regex.is_match(value))
        }
    };
    let kernel = Arc::new(move |args: &Args| {
        let values = args.texts(0);
        Ok(boolean_column(args.rows(), |row| values.get(row).is_some_and(|v| test(v))))
    });
    let name = if op == Matching::NotRegex { "~" } else { op.symbol() };
    let function = Function::new(name, 2, Kind::Boolean, Volatility::Immutable, kernel);
    let matched = function.call(vec![value, pattern], Kind::Boolean, start)?;
    Ok(if op == Matching::NotRegex { Typed::new(negate(matched.expr), Kind::Boolean, start) } else { matched })
}

/// Compiles a regular expression; the error stands at the literal's text.
pub fn regex(pattern: &str, position: usize) -> Result<Regex, SqlError> {
    Regex::new(pattern).map_err(|e| {
        let text = e.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        SqlError::new(position + 1, format!("{reason} in regular expression\n{pattern}"))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Run,
    One,
    Char(char),
}

/// A LIKE pattern.
struct Like {
    tokens: Vec<Token>,
    fold: Fold,
}

/// Which letters of either case are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    None,
    Ascii,
    All,
}

impl Like {
    fn parse(pattern: &str, ignore_case: bool) -> Result<Like, SqlError> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '%' => Token::Run,
                '_' => Token::One,
                '\\' => match chars.next() {
                    Some(escaped) => Token::Char(escaped),
                    None => {
                        let length = pattern.encode_utf16().count();
                        let message = format!(
                            "found [tok='{pattern}', len={length}] LIKE pattern must not end with escape character"
                        );
                        return Err(SqlError::new(length - 1, message));
                    }
                },
                other => Token::Char(other),
            });
        }
        let inner = tokens.len() - tokens.first().map_or(0, |t| usize::from(*t == Token::Run));
        let simple = |tokens: &[Token]| tokens.iter().all(|t| matches!(t, Token::Char(_)));
        let core = &tokens[tokens.len() - inner..];
        let core = core.strip_suffix(&[Token::Run]).unwrap_or(core);
        let affix = simple(core) && core.len() < tokens.len();
        let fold = match ignore_case {
            false => Fold::None,
            true if affix => Fold::All,
            true => Fold::Ascii,
        };
        let tokens = tokens.into_iter().map(|t| if let Token::Char(c) = t { Token::Char(fold.apply(c)) } else { t });
        Ok(Like { tokens: tokens.collect(), fold })
    }

    /// Returns whether the whole of `value` fits; the last run taken is lengthened on a misfit.
    fn matches(&self, value: &str) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let mut rest = value.chars();
        let mut at = 0;
        let mut retry: Option<(usize, std::str::Chars)> = None;
        loop {
            match self.tokens.get(at) {
                Some(Token::Run) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                Some(token) => {
                    let fits = rest.next().map(|c| *token == Token::One || *token == Token::Char(self.fold.apply(c)));
                    match fits {
                        Some(true) => {
                            at += 1;
                            continue;
                        }
                        // The text is used up before the pattern: no later start helps.
                        None => return false,
                        Some(false) => {}
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((token, chars)) = &mut retry else { return false };
            if chars.next().is_none() {
                return false;
            }
            (at, rest) = (*token, chars.clone());
        }
    }
}

impl Fold {
    fn apply(self, c: char) -> char {
        match self {
            Fold::None => c,
            Fold::Ascii => c.to_ascii_lowercase(),
            Fold::All => super::text::simple_lower(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, op: Matching, pattern: &str, expected: bool) {
        let matched = bind(op, Typed::text(value, 0), Typed::text(pattern, 9), 4).expect(pattern);
        assert_eq!(matched, Typed::boolean(expected, 0), "{value} {op:?} {pattern}");
    }

    #[test]
    fn like_takes_runs_single_characters_and_escapes() {
        check("abc", Matching::Like, "abc", true);
        check("abc", Matching::Like, "a_c", true);
        check("abc", Matching::Like, "%b%", true);
        check("abc", Matching::Like, "_", false);
        check("", Matching::Like, "", false);
        check("", Matching::Like, "%", true);
        check("abcabd", Matching::Like, "%ab_", true);
        check("CB_1%", Matching::Like, "CB\\_1\\%", true);
        check("日本語", Matching::Like, "日__", true);
        check("a+b", Matching::Like, "a+%", true);
        check("aab", Matching::Like, "%a%b", true);
        check("aba", Matching::Like, "%a%b", false);
    }

    #[test]
    fn ilike_folds_all_letters_only_in_plain_affixes() {
        check("ÀB", Matching::ILike, "%àb%", true);
        check("ÀB", Matching::ILike, "à_", false);
        check("ABC", Matching::ILike, "a_c", true);
    }

    #[test]
    fn regular_expressions_find() {
        check("abc123", Matching::Regex, "[0-9]+", true);
        check("abc", Matching::NotRegex, "^b", true);
        check("A", Matching::Regex, "(?i)a", true);
    }

    #[test]
    fn null_matches_nothing() {
        let none = |op| bind(op, Typed::null(0), Typed::text("abc", 9), 4).expect("null is text");
        assert_eq!(none(Matching::Like), Typed::boolean(false, 0));
        assert_eq!(none(Matching::NotRegex), Typed::boolean(true, 0));
    }

    #[test]
    fn a_pattern_does_not_end_with_an_escape() {
        let error = bind(Matching::Like, Typed::text("x", 0), Typed::text("K\\", 9), 4).expect_err("ends badly");
        assert_eq!(error.position, 1);
        assert_eq!(error.message, "found [tok='K\\', len=2] LIKE pattern must not end with escape character");
    }
}
