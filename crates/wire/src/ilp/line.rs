//! The grammar: [`Parser`] reads one [`Line`] after the other out of bytes.
//!
//! Names and values borrow from the bytes unless an escape forces a copy; nothing is allocated per value otherwise.
//! A binary value may hold any byte, a line end too: lines are found by the grammar, never by their ends.

use std::borrow::Cow;

use super::LineError;
use super::binary::{self, Binary};
use super::value::{Moment, Unit, Value};

/// One tag or field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    /// The value as written, without quotes and escapes.
    pub text: Cow<'a, str>,
    pub value: Value,
    /// What a binary value carries beside its kind: the shape and the numbers of an array, the digits of a decimal.
    pub bytes: &'a [u8],
}

/// One row. Keep one and hand it to [`Parser::next_line`] again and again: its room is reused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line<'a> {
    /// 1 for the first line that is not empty.
    pub number: usize,
    pub table: Cow<'a, str>,
    /// Tags, then fields, in the order of the line.
    pub fields: Vec<Field<'a>>,
    /// `None`: the server's clock decides.
    pub timestamp: Option<Moment>,
    /// The timestamp says that it counts nanoseconds; without a suffix it may just be the default.
    pub says_nanos: bool,
}

/// Reads lines one by one.
#[derive(Debug)]
pub struct Parser<'a> {
    bytes: &'a [u8],
    /// The bytes as text, when all of them are UTF-8: then no token has to be looked at again.
    text: Option<&'a str>,
    pos: usize,
    number: usize,
    unit: Unit,
    /// More bytes may follow: a line without its end is no line yet.
    partial: bool,
    /// The end of the line under way was passed.
    line_ended: bool,
}

/// Why a line is not read.
enum Stop {
    /// The bytes end within it, and more may come.
    More,
    Bad(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Stop {
        Stop::Bad(message)
    }
}

impl From<&str> for Stop {
    fn from(message: &str) -> Stop {
        Stop::Bad(message.to_owned())
    }
}

/// What ended a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Equals,
    Space,
    Line,
}

/// What comes after a tag or field.
enum Next {
    Tag,
    Field,
    Timestamp,
    Done,
}

/// The text of a value, the value, its bytes as they were written, and what ended it.
type FieldValue<'a> = (Cow<'a, str>, Value, &'a [u8], End);

impl<'a> Parser<'a> {
    /// Returns a parser of the body of a request; `unit` is that of timestamps without a suffix.
    pub fn new(bytes: &'a [u8], unit: Unit) -> Parser<'a> {
        let text = std::str::from_utf8(bytes).ok();
        Parser { bytes, text, pos: 0, number: 0, unit, partial: false, line_ended: true }
    }

    /// Returns a parser of the first bytes of a stream: a last line without its end is left for later.
    pub fn of_stream(bytes: &'a [u8], unit: Unit) -> Parser<'a> {
        Parser { partial: true, ..Parser::new(bytes, unit) }
    }

    /// Returns how many bytes are behind the lines that were read (or skipped).
    pub fn consumed(&self) -> usize {
        self.pos
    }

    /// Fills `line` with the next row; returns false when there is none.
    ///
    /// # Errors
    /// The first thing in the line that is wrong, in the peer's words. [`Parser::skip_line`] leads to the next line.
    pub fn next_line(&mut self, line: &mut Line<'a>) -> Result<bool, LineError> {
        while let Some(b'\n' | b'\r') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
        if self.pos == self.bytes.len() {
            return Ok(false);
        }
        let start = self.pos;
        self.number += 1;
        self.line_ended = false;
        line.number = self.number;
        line.fields.clear();
        line.timestamp = None;
        line.says_nanos = false;
        match self.read_row(line) {
            Ok(()) => Ok(true),
            Err(Stop::Bad(message)) => Err(LineError { line: self.number, message }),
            Err(Stop::More) => {
                self.pos = start;
                self.number -= 1;
                Ok(false)
            }
        }
    }

    /// Passes what is left of a line that was refused; returns false when its end is not there yet.
    pub fn skip_line(&mut self) -> bool {
        if !self.line_ended {
            match self.bytes[self.pos..].iter().position(|&byte| byte == b'\n') {
                Some(end) => self.pos += end + 1,
                None => self.pos = self.bytes.len(),
            }
            self.line_ended = self.pos > 0 && self.bytes[self.pos - 1] == b'\n';
        }
        self.line_ended
    }

    /// Returns all bytes and where the next line begins in them.
    pub(super) fn rest(&self) -> (&'a [u8], usize) {
        (self.bytes, self.pos)
    }

    /// Returns the unit of timestamps without a suffix.
    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns some of the bytes as text, if they are.
    pub(super) fn text_between(&self, start: usize, stop: usize) -> Option<&'a str> {
        // Where all is text only a binary value can end within a character.
        match self.text {
            Some(text) => text.get(start..stop),
            None => std::str::from_utf8(&self.bytes[start..stop]).ok(),
        }
    }

    /// Passes a line that was read without [`Parser::next_line`]; `end` is behind its line end.
    pub(super) fn pass_line(&mut self, end: usize) {
        self.pos = end;
        self.number += 1;
        self.line_ended = true;
    }

    fn read_row(&mut self, line: &mut Line<'a>) -> Result<(), Stop> {
        let (table, end) = self.token()?;
        if table.contains(['/', '\0']) {
            return Err("INVALID_TABLE_NAME".into());
        }
        line.table = table;
        let mut next = match end {
            End::Comma => Next::Tag,
            End::Space => Next::Field,
            End::Equals | End::Line => return Err(NO_FIELDS.into()),
        };
        loop {
            next = match next {
                Next::Tag => self.read_tag(line)?,
                Next::Field => self.read_field(line)?,
                Next::Timestamp => {
                    self.read_timestamp(line)?;
                    Next::Done
                }
                Next::Done if line.fields.is_empty() => return Err(NO_FIELDS.into()),
                Next::Done => return Ok(()),
            }
        }
    }

    fn read_tag(&mut self, line: &mut Line<'a>) -> Result<Next, Stop> {
        let (name, end) = self.token()?;
        match end {
            End::Equals if name.is_empty() => return Err("INCOMPLETE_TAG".into()),
            End::Equals => {}
            // `table, field=1`: a comma too many is forgiven
            End::Space if name.is_empty() => return Ok(Next::Field),
            _ => return Err(format!("Could not parse entire line. Symbol value is missing: {name}").into()),
        }
        let (text, end) = self.token()?;
        line.fields.push(Field { name, text, value: Value::Tag, bytes: &[] });
        match end {
            End::Comma => Ok(Next::Tag),
            End::Space => Ok(Next::Field),
            End::Line => Ok(Next::Done),
            End::Equals => Err(BAD_SEPARATOR.into()),
        }
    }

    fn read_field(&mut self, line: &mut Line<'a>) -> Result<Next, Stop> {
        let (name, end) = self.token()?;
        match end {
            End::Equals if name.is_empty() => return Err("INCOMPLETE_FIELD".into()),
            End::Equals => {}
            End::Line if name.is_empty() => return Ok(Next::Done),
            End::Space if name.is_empty() => return Ok(Next::Timestamp),
            // `table,tag=value 5`: a row of tags alone
            End::Line if line.fields.last().is_some_and(|field| field.value == Value::Tag) => {
                self.set_timestamp(line, &name)?;
                return Ok(Next::Done);
            }
            _ => {
                let last = line.fields.last().map_or("", |f| f.name.as_ref());
                let name = if name.is_empty() { last } else { name.as_ref() };
                return Err(format!("Could not parse entire line. Field value is missing: {name}").into());
            }
        }
        let (text, value, bytes, end) = self.field_value(&name)?;
        line.fields.push(Field { name, text, value, bytes });
        match end {
            End::Comma => Ok(Next::Field),
            End::Space => Ok(Next::Timestamp),
            End::Line => Ok(Next::Done),
            End::Equals => Err(BAD_SEPARATOR.into()),
        }
    }

    fn field_value(&mut self, name: &str) -> Result<FieldValue<'a>, Stop> {
        let invalid =
            |value: &str| format!("Could not parse entire line, field value is invalid. Field: {name}; value: {value}");
        match self.bytes.get(self.pos) {
            Some(b'"') => {
                let text = self.quoted(|| invalid(""))?;
                let (rest, end) = self.token()?;
                if !rest.is_empty() {
                    return Err(invalid(&format!("\"{text}\"{rest}")).into());
                }
                return Ok((text, Value::Text, &[], end));
            }
            Some(b'=') => return self.binary_value(),
            _ => {}
        }
        let (text, end) = self.token()?;
        if end == End::Equals {
            return Err(BAD_SEPARATOR.into());
        }
        match Value::parse(&text) {
            Some(value) => Ok((text, value, &[], end)),
            None => Err(invalid(&text).into()),
        }
    }

    /// Reads a binary value behind the second equals sign, and what ends it.
    fn binary_value(&mut self) -> Result<FieldValue<'a>, Stop> {
        let (value, bytes, length) = match binary::read(&self.bytes[self.pos + 1..]) {
            Binary::Value { value, bytes, length } => (value, bytes, length),
            Binary::Short if self.partial => return Err(Stop::More),
            Binary::Short => return Err("Could not parse entire line. Binary value is cut short".into()),
            Binary::Bad(code) => return Err(code.into()),
        };
        self.pos += 1 + length;
        let (rest, end) = self.token()?;
        if !rest.is_empty() {
            return Err(BAD_SEPARATOR.into());
        }
        Ok((Cow::Borrowed(""), value, bytes, end))
    }

    fn read_timestamp(&mut self, line: &mut Line<'a>) -> Result<(), Stop> {
        let (text, end) = self.token()?;
        if end != End::Line {
            return Err(BAD_SEPARATOR.into());
        }
        if text.is_empty() {
            return Ok(());
        }
        self.set_timestamp(line, &text)
    }

    fn set_timestamp(&self, line: &mut Line<'a>, text: &str) -> Result<(), Stop> {
        let moment = Moment::parse_trailing(text, self.unit).ok_or_else(|| {
            // the peer cuts the suffix off before it complains
            let shown = if matches!(text, "t" | "n" | "m") { "" } else { text };
            format!("Could not parse timestamp: {shown}")
        })?;
        // i64::MIN is NULL, which means the server's clock
        line.timestamp = (moment.count != i64::MIN).then_some(moment);
        line.says_nanos = text.ends_with('n');
        Ok(())
    }

    /// Reads up to the next comma, equals sign, space or line end that is not escaped, and passes it.
    fn token(&mut self) -> Result<(Cow<'a, str>, End), Stop> {
        let bytes = self.bytes;
        let mut copied: Option<String> = None;
        let mut start = self.pos;
        let mut i = start;
        let (stop, resume, end) = loop {
            let Some(step) = bytes[i..].iter().position(|&byte| SPECIAL[byte as usize]) else {
                if self.partial {
                    return Err(Stop::More);
                }
                break (bytes.len(), bytes.len(), End::Line);
            };
            i += step;
            match bytes[i] {
                b',' => break (i, i + 1, End::Comma),
                b'=' => break (i, i + 1, End::Equals),
                b' ' => break (i, i + 1, End::Space),
                b'\n' => break (i, i + 1, End::Line),
                b'\r' if matches!(bytes.get(i + 1), Some(b'\n')) => break (i, i + 2, End::Line),
                b'\r' if i + 1 == bytes.len() && !self.partial => break (i, i + 1, End::Line),
                b'\\' if i + 1 < bytes.len() => {
                    let head = self.text(start, i)?;
                    copied.get_or_insert_default().push_str(head);
                    start = i + 1;
                    i += 2;
                }
                _ => i += 1,
            }
        };
        let tail = self.text(start, stop)?;
        self.pos = resume;
        self.line_ended = end == End::Line;
        Ok((joined(copied, tail), end))
    }

    /// Reads a quoted string, from its first quote to behind its last; `unended` says what is wrong with one that does
    /// not end on its line.
    fn quoted(&mut self, unended: impl FnOnce() -> String) -> Result<Cow<'a, str>, Stop> {
        let bytes = self.bytes;
        let mut copied: Option<String> = None;
        let mut start = self.pos + 1;
        let mut i = start;
        loop {
            match bytes.get(i) {
                Some(b'"') => break,
                None if self.partial => return Err(Stop::More),
                None | Some(b'\n') => return Err(unended().into()),
                Some(b'\\') if i + 1 < bytes.len() => {
                    let head = self.text(start, i)?;
                    copied.get_or_insert_default().push_str(head);
                    start = i + 1;
                    i += 2;
                }
                Some(_) => i += 1,
            }
        }
        let tail = self.text(start, i)?;
        self.pos = i + 1;
        Ok(joined(copied, tail))
    }

    fn text(&self, start: usize, stop: usize) -> Result<&'a str, Stop> {
        self.text_between(start, stop).ok_or_else(|| Stop::from("Could not parse entire line. It is not valid UTF-8"))
    }
}

fn joined<'a>(head: Option<String>, tail: &'a str) -> Cow<'a, str> {
    match head {
        None => Cow::Borrowed(tail),
        Some(head) => Cow::Owned(head + tail),
    }
}

const NO_FIELDS: &str = "No fields were provided";
const BAD_SEPARATOR: &str = "INVALID_FIELD_SEPARATOR";

/// Bytes that may end a token or change its meaning.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    let special = b",= \n\r\\";
    while i < special.len() {
        table[special[i] as usize] = true;
        i += 1;
    }
    table
};
