//! SQL text to tokens. Positions count UTF-16 code units from 0, as the peer reports them.
//!
//! Own lexer: the peer joins `1h`, `1_000L` and `1.5f` into one token, nests block comments, lets an unclosed one end
//! with the text, and knows no escapes but the doubled quote; `E'…'` is PostgreSQL's, whose drivers write it. Never
//! interprets a token; next: [`super::cursor`].

use crate::error::SqlError;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare identifier or keyword.
    Word,
    /// `"x"` or `` `x` ``.
    Quoted,
    /// `'x'`.
    Text,
    /// Starts with a digit, or with a dot and a digit, suffixes and units included; or `#u33d`, `##0101`.
    Number,
    /// `$1`.
    Param,
    /// `@x`.
    Variable,
    /// An operator or a bracket.
    Sign,
    /// Behind the last token.
    End,
}

/// One token.
#[derive(Debug, Clone)]
pub struct Token {
    pub kind: TokenKind,
    /// The text as written; without its quotes and with doubled quotes undone for [`TokenKind::Quoted`] and [`TokenKind::Text`].
    pub text: String,
    /// First code unit.
    pub position: usize,
    /// First byte, and the byte behind the last.
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// Returns whether the token is that keyword, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns whether the token is that operator or bracket.
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }
}

const SIGNS: [&str; 18] =
    ["<<=", ">>=", "::", ":=", "<=", ">=", "<>", "!=", "!~", "||", "<<", ">>", "(", ")", "[", "]", ",", ";"];

/// Returns the tokens of a text; the last one is [`TokenKind::End`].
///
/// # Errors
/// An unclosed quote, at the quote.
pub fn tokenize(sql: &str) -> Result<Vec<Token>, SqlError> {
    let mut lexer = Lexer { sql, at: 0, position: 0, tokens: Vec::new() };
    while lexer.skip_blank() {
        lexer.token()?;
    }
    let (at, position) = (lexer.at, lexer.position);
    lexer.tokens.push(Token { kind: TokenKind::End, text: String::new(), position, start: at, end: at });
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    position: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.sql[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.position += self.sql[self.at..self.at + bytes].encode_utf16().count();
        self.at += bytes;
    }

    /// Skips blanks and comments; returns whether anything is left.
    fn skip_blank(&mut self) -> bool {
        while let Some(c) = self.peek() {
            if c.is_whitespace() {
                self.advance(c.len_utf8());
            } else if self.rest().starts_with("--") {
                let line = self.rest().find('\n').unwrap_or(self.rest().len());
                self.advance(line);
            } else if self.rest().starts_with("/*") {
                let comment = block_comment_length(self.rest());
                self.advance(comment);
            } else {
                return true;
            }
        }
        false
    }

    fn token(&mut self) -> Result<(), SqlError> {
        let rest = self.rest();
        let first = rest.chars().next().expect("called with text left");
        let second = rest.chars().nth(1);
        match first {
            '\'' => self.quoted('\'', TokenKind::Text, "unclosed quoted string?"),
            '"' => self.quoted('"', TokenKind::Quoted, "unclosed quotation mark"),
            '`' => self.quoted('`', TokenKind::Quoted, "unclosed quotation mark"),
            '$' if second.is_some_and(|c| c.is_ascii_digit()) => {
                let length = 1 + span(&rest[1..], |c| c.is_ascii_digit());
                self.push(TokenKind::Param, length)
            }
            '@' if second.is_some_and(is_word_start) => {
                let length = 1 + span(&rest[1..], is_word_part);
                self.push(TokenKind::Variable, length)
            }
            '.' if second.is_some_and(|c| c.is_ascii_digit()) && !self.follows_name() => {
                let length = number_length(rest);
                self.push(TokenKind::Number, length)
            }
            '#' => {
                let start = if second == Some('#') { 2 } else { 1 };
                let mut length = start + span(&rest[start..], |c| c.is_ascii_alphanumeric());
                if start == 1 && rest[length..].starts_with('/') {
                    length += 1 + span(&rest[length + 1..], |c| c.is_ascii_digit());
                }
                self.push(TokenKind::Number, length)
            }
            c if c.is_ascii_digit() => {
                let length = number_length(rest);
                self.push(TokenKind::Number, length)
            }
            'e' | 'E' if second == Some('\'') => self.escaped(),
            c if is_word_start(c) => {
                let length = span(rest, is_word_part);
                self.push(TokenKind::Word, length)
            }
            c => {
                let length = SIGNS.iter().find(|s| rest.starts_with(**s)).map_or(c.len_utf8(), |s| s.len());
                self.push(TokenKind::Sign, length)
            }
        }
    }

    /// Returns whether the token before touches this place and is a name, so that a dot belongs to it.
    fn follows_name(&self) -> bool {
        self.tokens.last().is_some_and(|t| t.end == self.at && matches!(t.kind, TokenKind::Word | TokenKind::Quoted))
    }

    fn push(&mut self, kind: TokenKind, length: usize) -> Result<(), SqlError> {
        let text = self.rest()[..length].to_owned();
        let (start, position) = (self.at, self.position);
        self.advance(length);
        self.tokens.push(Token { kind, text, position, start, end: self.at });
        Ok(())
    }

    /// Reads `E'…'` with the escapes of C.
    fn escaped(&mut self) -> Result<(), SqlError> {
        let rest = &self.rest()[2..];
        let (mut text, mut at) = (String::new(), 0);
        while let Some(c) = rest[at..].chars().next() {
            at += c.len_utf8();
            match c {
                '\'' if rest[at..].starts_with('\'') => {
                    text.push('\'');
                    at += 1;
                }
                '\'' => {
                    let (start, position) = (self.at, self.position);
                    self.advance(2 + at);
                    self.tokens.push(Token { kind: TokenKind::Text, text, position, start, end: self.at });
                    return Ok(());
                }
                '\\' => {
                    let invalid = || SqlError::new(self.position, "invalid escape in E'…' string");
                    let (c, length) = escape(&rest[at..]).ok_or_else(invalid)?;
                    text.push(c);
                    at += length;
                }
                other => text.push(other),
            }
        }
        Err(SqlError::new(self.position, "unclosed quoted string?"))
    }

    fn quoted(&mut self, quote: char, kind: TokenKind, unclosed: &str) -> Result<(), SqlError> {
        let rest = &self.rest()[1..];
        let mut text = String::new();
        let mut chars = rest.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
                text.push(quote);
                chars.next();
            } else {
                let (start, position) = (self.at, self.position);
                self.advance(i + 2);
                self.tokens.push(Token { kind, text, position, start, end: self.at });
                return Ok(());
            }
        }
        Err(SqlError::new(self.position, unclosed))
    }
}

/// Reads the escape behind a backslash; `rest` begins with it. Returns the character and the bytes it takes.
fn escape(rest: &str) -> Option<(char, usize)> {
    let first = rest.chars().next()?;
    let number = |digits: &str, radix, prefix| {
        char::from_u32(u32::from_str_radix(digits, radix).ok()?).map(|c| (c, prefix + digits.len()))
    };
    match first {
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'x' => {
            let digits = span(&rest[1..], |c| c.is_ascii_hexdigit()).min(2);
            if digits == 0 { Some(('x', 1)) } else { number(&rest[1..1 + digits], 16, 1) }
        }
        'u' => number(rest.get(1..5)?, 16, 1),
        'U' => number(rest.get(1..9)?, 16, 1),
        '0'..='7' => number(&rest[..span(rest, |c| c.is_digit(8)).min(3)], 8, 0),
        other => Some((other, other.len_utf8())),
    }
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn span(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || (!c.is_ascii() && !c.is_whitespace())
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

/// Digits, dots, exponents, and the letters that follow at once (`1h`, `1_000L`, `0xff`).
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hex = text.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X');
    let mut at = 0;
    while at < bytes.len() {
        let exponent_sign = !hex
            && matches!(bytes[at], b'+' | b'-')
            && at > 0
            && matches!(bytes[at - 1], b'e' | b'E')
            && bytes[..at - 1].iter().all(|b| b.is_ascii_digit() || *b == b'.')
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let part = bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || bytes[at] == b'.';
        if !part && !exponent_sign {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str) {
        let tokens = tokenize(sql).unwrap();
        let got: Vec<_> = tokens.iter().map(|t| format!("{}:{}", t.position, t.text)).collect();
        assert_eq!(got.join(" "), expected, "{sql}");
    }

    #[test]
    fn joins_numbers_with_units_and_suffixes() {
        check(
            "1h 1_000L 1.5f .5 5. 1e+2 0xff a.5",
            "0:1h 3:1_000L 10:1.5f 15:.5 18:5. 21:1e+2 26:0xff 31:a 32:. 33:5 34:",
        );
    }

    #[test]
    fn skips_nested_and_unclosed_comments() {
        check("a /* b /* c */ d */ e -- f\n g /* h", "0:a 20:e 28:g 34:");
    }

    #[test]
    fn counts_utf16_units() {
        check("'🌱' x", "0:🌱 5:x 6:");
    }

    #[test]
    fn undoes_doubled_quotes_only() {
        check(r#"'it''s' 'a\n' "q""x""#, r#"0:it's 8:a\n 14:q"x 20:"#);
    }

    #[test]
    fn undoes_the_escapes_of_postgresql_strings() {
        check(r#"E'it''s\\\'\t\x41\u00e9\101' e'\q' e"#, "0:it's\\'\tA\u{e9}A 29:q 35:e 36:");
        assert!(tokenize(r"E'abc\").is_err() && tokenize(r"E'\uzzzz'").is_err());
    }

    #[test]
    fn unclosed_quotes_are_errors_at_the_quote() {
        let e = tokenize("select 'abc").unwrap_err();
        assert_eq!((e.message.as_str(), e.position), ("unclosed quoted string?", 7));
    }
}
