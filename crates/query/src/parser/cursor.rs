//! A place in a list of tokens, and the questions that every part of the parser asks there.
//!
//! Knows no grammar. Next: [`super::expression`].

use super::ast::{Declared, Expr};
use super::lexer::{Token, TokenKind};
use crate::error::SqlError;

/// Deepest nesting of brackets, sub-queries and prefix operators that is parsed.
pub const MAX_DEPTH: usize = 100;

/// Walks over the tokens of one text.
#[derive(Debug)]
pub struct Cursor<'a> {
    pub sql: &'a str,
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Levels of the highest expression parsed since it was set to 0.
    pub height: usize,
    /// What DECLARE gave names to, the innermost last; names are in lower case.
    variables: Vec<(String, Expr)>,
    /// Whether any DECLARE was read.
    declares: bool,
    /// What the query says that names the view whose text this is.
    overrides: Vec<Declared>,
}

impl<'a> Cursor<'a> {
    /// Returns a cursor before the first of `tokens`, which end with [`TokenKind::End`].
    pub fn new(sql: &'a str, tokens: &'a [Token]) -> Cursor<'a> {
        Cursor {
            sql,
            tokens,
            at: 0,
            depth: 0,
            height: 0,
            variables: Vec::new(),
            declares: false,
            overrides: Vec::new(),
        }
    }

    /// Returns the next token without taking it.
    pub fn peek(&self) -> &'a Token {
        &self.tokens[self.at]
    }

    /// Returns the token `n` behind the next one.
    pub fn peek_at(&self, n: usize) -> &'a Token {
        &self.tokens[(self.at + n).min(self.tokens.len() - 1)]
    }

    /// Takes the next token.
    pub fn next(&mut self) -> &'a Token {
        let token = &self.tokens[self.at];
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// Returns the token taken last.
    pub fn last(&self) -> &'a Token {
        &self.tokens[self.at.saturating_sub(1)]
    }

    /// Returns whether only `;` or nothing is left.
    pub fn at_end(&self) -> bool {
        self.peek().kind == TokenKind::End || self.peek().is_sign(";")
    }

    /// Returns whether the next token is that keyword.
    pub fn is_word(&self, word: &str) -> bool {
        self.peek().is_word(word)
    }

    /// Returns whether the next tokens are those keywords.
    pub fn are_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| self.peek_at(i).is_word(word))
    }

    /// Returns whether the next token is that sign.
    pub fn is_sign(&self, sign: &str) -> bool {
        self.peek().is_sign(sign)
    }

    /// Takes the next token if it is that keyword.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Takes the next tokens if they are those keywords.
    pub fn take_words(&mut self, words: &[&str]) -> bool {
        let found = self.are_words(words);
        if found {
            words.iter().for_each(|_| {
                self.next();
            });
        }
        found
    }

    /// Takes the next token if it is that sign.
    pub fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.next();
        }
        found
    }

    /// Takes that keyword.
    pub fn expect_word(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take_word(word) { Ok(()) } else { Err(self.error(format!("'{}' expected", word.to_lowercase()))) }
    }

    /// Takes that sign.
    pub fn expect_sign(&mut self, sign: &str) -> Result<(), SqlError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.error(format!("'{sign}' expected"))) }
    }

    /// Returns an error at the next token, or behind the text when there is none.
    pub fn error(&self, message: impl Into<String>) -> SqlError {
        SqlError::new(self.peek().position, message)
    }

    /// Returns an error at the next token, or at the last one when there is none.
    pub fn error_at_last(&self, message: impl Into<String>) -> SqlError {
        let token = if self.at_end() { self.last() } else { self.peek() };
        SqlError::new(token.position, message)
    }

    /// Returns `unexpected token [x]` at the next token.
    pub fn unexpected(&self) -> SqlError {
        self.error(format!("unexpected token [{}]", self.raw()))
    }

    /// Returns `found [tok='x', len=1] … expected` at the next token.
    pub fn found(&self, expected: &str) -> SqlError {
        if self.at_end() {
            return self.error(format!("{expected} expected"));
        }
        let raw = self.raw();
        self.error(format!("found [tok='{raw}', len={}] {expected} expected", raw.encode_utf16().count()))
    }

    /// Returns the next token as it is written.
    pub fn raw(&self) -> &'a str {
        let token = self.peek();
        &self.sql[token.start..token.end]
    }

    /// Returns the error of a statement with more levels than can be planned.
    pub fn too_complex(&self) -> SqlError {
        self.error("SQL model is too complex to evaluate")
    }

    /// Runs `parse` one level deeper.
    ///
    /// # Errors
    /// More than [`MAX_DEPTH`] levels.
    pub fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.depth == MAX_DEPTH {
            return Err(self.too_complex());
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Returns the number of variables that are known here; hand it to [`Cursor::forget`] at the end of their scope.
    pub fn known(&self) -> usize {
        self.variables.len()
    }

    /// Lets the first DECLARE take values from outside.
    pub fn override_with(&mut self, outside: Vec<Declared>) {
        self.overrides = outside;
    }

    /// Returns the values from outside, once.
    pub fn take_overrides(&mut self) -> Vec<Declared> {
        std::mem::take(&mut self.overrides)
    }

    /// Gives a variable its expression.
    pub fn declare(&mut self, name: &str, value: Expr) {
        self.declares = true;
        self.variables.push((name.to_lowercase(), value));
    }

    /// Forgets the variables behind the first `known`.
    pub fn forget(&mut self, known: usize) {
        self.variables.truncate(known);
    }

    /// Returns the expression of the variable that is the next token.
    ///
    /// # Errors
    /// A name that no DECLARE gave.
    pub fn variable(&self) -> Result<Expr, SqlError> {
        let token = self.peek();
        let folded = token.text.to_lowercase();
        if let Some((_, value)) = self.variables.iter().rev().find(|(name, _)| *name == folded) {
            return Ok(value.clone());
        }
        Err(self.error(match self.declares {
            true => format!("tried to use undeclared variable `{}`", token.text),
            false => format!("Invalid column: {}", token.text),
        }))
    }
}
