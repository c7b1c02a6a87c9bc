//! Cursors of SQL: DECLARE, FETCH, MOVE and CLOSE, over portals that the client names in a statement.
//!
//! They read forward only. Without HOLD a cursor ends with its transaction; with it, it keeps the rows as they were when
//! it was declared until CLOSE.

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::NoData;
use query::{Outcome, Param};

use super::command::Command;
use super::conversation::{Conversation, Ran, Transaction, complete};
use super::cursor::Cursor;
use super::extended::Portal;
use super::failure::{Failure, Stop};
use super::rows::{self, Format};
use super::stream::Output;

/// DECLARE name … CURSOR … FOR query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declare {
    pub name: String,
    /// Bytes of the statement before its query.
    pub query: usize,
    pub binary: bool,
    pub hold: bool,
}

/// FETCH or MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub name: String,
    /// None: all that is left.
    pub count: Option<u64>,
    /// MOVE: the rows are not sent.
    pub moves: bool,
}

impl Declare {
    /// Reads what follows DECLARE; `words` are the words and the bytes of the statement behind each.
    pub fn read(mut words: impl Iterator<Item = (String, usize)>) -> Option<Declare> {
        let (name, _) = words.next()?;
        let (mut binary, mut hold) = (false, false);
        loop {
            let (word, end) = words.next()?;
            match word.to_ascii_lowercase().as_str() {
                "binary" => binary = true,
                "insensitive" | "asensitive" | "no" | "scroll" | "cursor" | "without" => {}
                "with" => hold = true,
                "hold" => {}
                "for" => return Some(Declare { name, query: end, binary, hold }),
                _ => return None,
            }
        }
    }
}

impl Fetch {
    /// Reads what follows FETCH or MOVE; None for what reads backward or jumps.
    pub fn read(words: impl Iterator<Item = String>, moves: bool) -> Option<Fetch> {
        let mut words: Vec<String> = words.filter(|word| word != ";").collect();
        let name = words.pop().filter(|name| !name.is_empty())?;
        if words.last().is_some_and(|w| w.eq_ignore_ascii_case("from") || w.eq_ignore_ascii_case("in")) {
            words.pop();
        }
        let direction: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
        let count = match direction.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["next" | "forward"] => Some(1),
            ["all"] | ["forward", "all"] => None,
            ["relative" | "forward", count] | [count] => Some(count.parse().ok()?),
            _ => return None,
        };
        Some(Fetch { name, count, moves })
    }
}

impl Conversation {
    /// Begins a cursor; its rows are made while they are fetched.
    pub(super) async fn declare(&mut self, declare: &Declare, sql: &str, params: &[Param]) -> Result<Ran, Stop> {
        let Declare { name, query, binary, hold } = declare;
        if !hold && self.transaction != Transaction::Open {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Failure::error("25P01", message).hint("say BEGIN first, or declare it WITH HOLD").into());
        }
        if self.portals.contains_key(name) {
            return Err(Failure::error("42P03", format!("cursor \"{name}\" already exists")).into());
        }
        self.refuse_more_portals()?;
        self.commit_implicit().await?;
        let (before, query) = sql.split_at(*query);
        let shifted = |stop: Stop| match stop {
            Stop::Failed(failure) => failure.shifted(before.chars().count()).into(),
            stop => stop,
        };
        let outcome = self.session.execute(without_lock(query), params).await.map_err(|error| shifted(error.into()))?;
        let Outcome::Rows(rows) = outcome else {
            return Err(Failure::error("42601", "DECLARE CURSOR must have a query behind FOR").into());
        };
        let formats = Format::of_codes(&[i16::from(*binary)], rows.columns.len())?;
        let cursor = Cursor::new(rows, formats);
        self.portals.insert(name.clone(), Portal::declared(sql, cursor, *hold));
        Ok(Ran::Done("DECLARE CURSOR".into()))
    }

    /// Sends the next rows of a cursor. `formats`: those that a Bind asked for; without them the columns are told first.
    pub(super) async fn fetch(
        &mut self,
        fetch: &Fetch,
        formats: Option<&[i16]>,
        output: &mut Output,
    ) -> Result<(), Stop> {
        // Taken out while it runs: an error in between leaves no half-read cursor behind.
        let mut portal = self.portals.remove(&fetch.name).ok_or_else(|| no_cursor(&fetch.name))?;
        let cursor = portal.cursor(&fetch.name)?;
        let tag = if fetch.moves {
            format!("MOVE {}", cursor.skip(fetch.count).await?)
        } else {
            match formats {
                Some(codes) => cursor.set_formats(Format::of_codes(codes, cursor.columns().len())?),
                None => output.put(rows::describe(cursor.columns(), cursor.formats()))?,
            }
            format!("FETCH {}", cursor.fetch(fetch.count, output).await?.rows)
        };
        self.portals.insert(fetch.name.clone(), portal);
        complete(output, &tag)
    }

    /// Tells the columns that a bound FETCH will send.
    pub(super) fn describe_fetch(&mut self, fetch: &Fetch, codes: &[i16], output: &mut Output) -> Result<(), Stop> {
        if fetch.moves {
            return Ok(output.put(Backend::NoData(NoData::new()))?);
        }
        let portal = self.portals.get_mut(&fetch.name).ok_or_else(|| no_cursor(&fetch.name))?;
        let columns = portal.cursor(&fetch.name)?.columns();
        Ok(output.put(rows::describe(columns, &Format::of_codes(codes, columns.len())?))?)
    }

    /// Ends a cursor, or all (None).
    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Ran, Failure> {
        match name {
            None => self.portals.retain(|_, portal| !portal.is_declared()),
            Some(name) => {
                self.portals.remove(name).ok_or_else(|| no_cursor(name))?;
            }
        }
        Ok(Ran::Done(if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }.into()))
    }

    /// Returns what a FETCH asks for; None for other statements, and in a failed transaction, which refuses it.
    pub(super) fn fetch_statement(&self, command: &Command) -> Option<Fetch> {
        match command {
            Command::Fetch(fetch) if self.transaction != Transaction::Failed => Some(fetch.clone()),
            _ => None,
        }
    }
}

/// Returns a query without FOR READ ONLY at its end, which libpqxx writes: no query locks rows.
pub(super) fn without_lock(query: &str) -> &str {
    const LOCK: &str = "for read only";
    let trimmed = query.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let end = trimmed.len().checked_sub(LOCK.len()).filter(|at| trimmed.is_char_boundary(*at));
    match end.map(|at| trimmed.split_at(at)) {
        Some((query, lock)) if lock.eq_ignore_ascii_case(LOCK) => query,
        _ => query,
    }
}

fn no_cursor(name: &str) -> Failure {
    Failure::error("34000", format!("cursor \"{name}\" does not exist"))
}
