//! Statements that the protocol itself acts on or must know: [`Command::of`].
//!
//! Looks at the first words only; everything else is the session's.

use super::copy_statement::is_copy_out;
use super::declared::{Declare, Fetch};

/// What a statement is to the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Begin,
    Commit,
    Rollback,
    /// Its rows may wait for the end of an implicit transaction.
    Insert,
    /// Its rows are counted under another tag.
    Explain,
    /// Forgets one prepared statement, or all (None).
    Deallocate(Option<String>),
    /// Forgets everything about the session.
    DiscardAll,
    /// COPY … TO STDOUT.
    CopyOut,
    /// COPY … FROM STDIN.
    CopyIn,
    Savepoint(String),
    ReleaseSavepoint(String),
    RollbackTo(String),
    Declare(Declare),
    /// FETCH or MOVE of a cursor.
    Fetch(Fetch),
    /// FETCH or MOVE of another form than those that read forward.
    FetchElsewhere,
    /// Ends one cursor, or all (None).
    CloseCursor(Option<String>),
    /// Blanks and comments.
    Empty,
    Other,
}

impl Command {
    /// Returns what the statement is.
    pub fn of(sql: &str) -> Command {
        let mut words = Words { rest: sql };
        let first = words.next().unwrap_or_default().to_ascii_lowercase();
        let second = words.next().unwrap_or_default();
        let follows = |word: &str| second.eq_ignore_ascii_case(word);
        match first.as_str() {
            "" | ";" => Command::Empty,
            "begin" => Command::Begin,
            "start" if follows("transaction") => Command::Begin,
            "commit" | "end" => Command::Commit,
            "rollback" if follows("to") => Command::RollbackTo(savepoint(words)),
            "rollback" if follows("transaction") || follows("work") => match words.next() {
                Some(to) if to.eq_ignore_ascii_case("to") => Command::RollbackTo(savepoint(words)),
                _ => Command::Rollback,
            },
            "rollback" | "abort" => Command::Rollback,
            "savepoint" if !second.is_empty() => Command::Savepoint(identifier(second)),
            "release" if follows("savepoint") => Command::ReleaseSavepoint(savepoint(words)),
            "release" if !second.is_empty() => Command::ReleaseSavepoint(identifier(second)),
            "insert" => Command::Insert,
            "explain" => Command::Explain,
            "deallocate" => {
                let name = if follows("prepare") { words.next().unwrap_or_default() } else { second };
                Command::Deallocate((!name.eq_ignore_ascii_case("all")).then(|| identifier(name)))
            }
            "declare" => declared(sql).map_or(Command::Other, Command::Declare),
            "fetch" | "move" => {
                let all = std::iter::once(second).chain(words).map(identifier);
                Fetch::read(all, first == "move").map_or(Command::FetchElsewhere, Command::Fetch)
            }
            "close" if follows("all") => Command::CloseCursor(None),
            "close" if !second.is_empty() => Command::CloseCursor(Some(identifier(second))),
            "discard" if follows("all") => Command::DiscardAll,
            "copy" if is_copy_out(sql) => Command::CopyOut,
            "copy" if words.any(|word| word.eq_ignore_ascii_case("stdin")) => Command::CopyIn,
            _ => Command::Other,
        }
    }
}

/// Returns the DECLARE that a statement is; one of variables, `DECLARE @x := 1 …`, is the session's.
fn declared(sql: &str) -> Option<Declare> {
    let mut words = Words { rest: sql };
    words.next();
    let ended = std::iter::from_fn(|| words.next().map(|word| (identifier(word), sql.len() - words.rest.len())));
    Declare::read(ended)
}

pub(super) fn identifier(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => word.to_owned(),
    }
}

/// Returns the name of a savepoint, the word SAVEPOINT before it or not.
fn savepoint(mut words: Words) -> String {
    let first = words.next().unwrap_or_default();
    let name = if first.eq_ignore_ascii_case("savepoint") { words.next().unwrap_or_default() } else { first };
    identifier(name)
}

/// Words of a statement: names (quoted ones whole) and single other characters, without blanks and comments.
pub(super) struct Words<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Words<'a> {
    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("--") {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
            } else if self.rest.starts_with("/*") {
                self.rest = self.rest.find("*/").map_or("", |end| &self.rest[end + 2..]);
            } else {
                return;
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.skip_blanks_and_comments();
        let first = self.rest.chars().next()?;
        let end = match first {
            '"' | '\'' => self.rest[1..].find(first).map_or(self.rest.len(), |end| end + 2),
            _ if first.is_alphanumeric() || first == '_' => {
                self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(self.rest.len())
            }
            _ => first.len_utf8(),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(name: &str, query: usize, binary: bool, hold: bool) -> Command {
        Command::Declare(Declare { name: name.into(), query, binary, hold })
    }

    fn fetch(name: &str, count: Option<u64>, moves: bool) -> Command {
        Command::Fetch(Fetch { name: name.into(), count, moves })
    }

    #[test]
    fn statements_are_told_by_their_first_words() {
        for (sql, expected) in [
            ("BEGIN READ ONLY", Command::Begin),
            ("start transaction", Command::Begin),
            ("start", Command::Other),
            ("/* a */ -- b\n  commit;", Command::Commit),
            ("END", Command::Commit),
            ("abort", Command::Rollback),
            ("rollback to a", Command::RollbackTo("a".into())),
            ("ROLLBACK TRANSACTION TO SAVEPOINT a", Command::RollbackTo("a".into())),
            ("rollback work", Command::Rollback),
            ("Savepoint \"x\"", Command::Savepoint("x".into())),
            ("release savepoint sp_1", Command::ReleaseSavepoint("sp_1".into())),
            ("release sp_1;", Command::ReleaseSavepoint("sp_1".into())),
            ("insert into t values (1)", Command::Insert),
            ("EXPLAIN select 1", Command::Explain),
            ("DEALLOCATE ALL", Command::Deallocate(None)),
            ("deallocate \"_pg3_0\"", Command::Deallocate(Some("_pg3_0".into()))),
            ("deallocate prepare a", Command::Deallocate(Some("a".into()))),
            ("declare @x := 1 select @x", Command::Other),
            ("declare x int", Command::Other),
            ("declare \"c 1\" no scroll cursor with hold for select 1", declare("c 1", 44, false, true)),
            ("DECLARE c BINARY CURSOR FOR SELECT 1", declare("c", 27, true, false)),
            ("fetch c", fetch("c", Some(1), false)),
            ("FETCH FORWARD 100 FROM \"c\";", fetch("c", Some(100), false)),
            ("fetch all in c", fetch("c", None, false)),
            ("move 5 from c", fetch("c", Some(5), true)),
            ("fetch backward 1 from c", Command::FetchElsewhere),
            ("fetch -1 from c", Command::FetchElsewhere),
            ("fetch", Command::FetchElsewhere),
            ("close c", Command::CloseCursor(Some("c".into()))),
            ("CLOSE ALL", Command::CloseCursor(None)),
            ("discard all", Command::DiscardAll),
            ("COPY t (a, b) FROM STDIN", Command::CopyIn),
            ("copy (select 1) to stdout csv", Command::CopyOut),
            ("copy (select 1) to 'stdout.csv'", Command::Other),
            ("copy t from 'x.csv'", Command::Other),
            ("", Command::Empty),
            ("-- only", Command::Empty),
            (" ; ", Command::Empty),
            ("select 'insert'", Command::Other),
        ] {
            assert_eq!(Command::of(sql), expected, "{sql:?}");
        }
    }
}
