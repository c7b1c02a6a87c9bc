//! The grammar: [`Parser`] reads one [`Line`] after the other out of the bytes of a request.
//!
//! Names and values borrow from the request unless an escape forces a copy; nothing is allocated per value otherwise.

use std::borrow::Cow;

use super::LineError;
use super::value::{Moment, Unit, Value};

/// One tag or field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    /// The value as written, without quotes and escapes.
    pub text: Cow<'a, str>,
    pub value: Value,
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
}

/// Reads lines one by one. After an error it is of no further use: a request with a bad line is refused whole.
#[derive(Debug)]
pub struct Parser<'a> {
    text: &'a str,
    /// The bytes behind `text` are not UTF-8.
    broken: bool,
    pos: usize,
    number: usize,
    unit: Unit,
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

impl<'a> Parser<'a> {
    /// Returns a parser of the body of a request; `unit` is that of timestamps without a suffix.
    pub fn new(body: &'a [u8], unit: Unit) -> Parser<'a> {
        let (text, broken) = match std::str::from_utf8(body) {
            Ok(text) => (text, false),
            Err(e) => (std::str::from_utf8(&body[..e.valid_up_to()]).expect("checked up to there"), true),
        };
        Parser { text, broken, pos: 0, number: 0, unit }
    }

    /// Fills `line` with the next row; returns false at the end of the request.
    ///
    /// # Errors
    /// The first thing in the line that is wrong, in the peer's words.
    pub fn next_line(&mut self, line: &mut Line<'a>) -> Result<bool, LineError> {
        let bytes = self.text.as_bytes();
        while let Some(b'\n' | b'\r') = bytes.get(self.pos) {
            self.pos += 1;
        }
        if self.pos == bytes.len() && !self.broken {
            return Ok(false);
        }
        self.number += 1;
        line.number = self.number;
        line.fields.clear();
        line.timestamp = None;
        match self.read_row(line) {
            Ok(()) => Ok(true),
            Err(message) => Err(LineError { line: self.number, message }),
        }
    }

    fn read_row(&mut self, line: &mut Line<'a>) -> Result<(), String> {
        let (table, end) = self.token()?;
        if table.contains(['/', '\0']) {
            return Err("INVALID_TABLE_NAME".to_owned());
        }
        line.table = table;
        let mut next = match end {
            End::Comma => Next::Tag,
            End::Space => Next::Field,
            End::Equals | End::Line => return Err(NO_FIELDS.to_owned()),
        };
        loop {
            next = match next {
                Next::Tag => self.read_tag(line)?,
                Next::Field => self.read_field(line)?,
                Next::Timestamp => {
                    self.read_timestamp(line)?;
                    Next::Done
                }
                Next::Done if line.fields.is_empty() => return Err(NO_FIELDS.to_owned()),
                Next::Done => return Ok(()),
            }
        }
    }

    fn read_tag(&mut self, line: &mut Line<'a>) -> Result<Next, String> {
        let (name, end) = self.token()?;
        match end {
            End::Equals if name.is_empty() => return Err("INCOMPLETE_TAG".to_owned()),
            End::Equals => {}
            // `table, field=1`: a comma too many is forgiven
            End::Space if name.is_empty() => return Ok(Next::Field),
            _ => return Err(format!("Could not parse entire line. Symbol value is missing: {name}")),
        }
        let (text, end) = self.token()?;
        line.fields.push(Field { name, text, value: Value::Tag });
        match end {
            End::Comma => Ok(Next::Tag),
            End::Space => Ok(Next::Field),
            End::Line => Ok(Next::Done),
            End::Equals => Err(BAD_SEPARATOR.to_owned()),
        }
    }

    fn read_field(&mut self, line: &mut Line<'a>) -> Result<Next, String> {
        let (name, end) = self.token()?;
        match end {
            End::Equals if name.is_empty() => return Err("INCOMPLETE_FIELD".to_owned()),
            End::Equals => {}
            End::Line if name.is_empty() => return Ok(Next::Done),
            End::Space if name.is_empty() => return Ok(Next::Timestamp),
            _ => {
                let last = line.fields.last().map_or("", |f| f.name.as_ref());
                let name = if name.is_empty() { last } else { name.as_ref() };
                return Err(format!("Could not parse entire line. Field value is missing: {name}"));
            }
        }
        let (text, value, end) = self.field_value(&name)?;
        line.fields.push(Field { name, text, value });
        match end {
            End::Comma => Ok(Next::Field),
            End::Space => Ok(Next::Timestamp),
            End::Line => Ok(Next::Done),
            End::Equals => Err(BAD_SEPARATOR.to_owned()),
        }
    }

    fn field_value(&mut self, name: &str) -> Result<(Cow<'a, str>, Value, End), String> {
        let invalid =
            |value: &str| format!("Could not parse entire line, field value is invalid. Field: {name}; value: {value}");
        if self.text.as_bytes().get(self.pos) == Some(&b'"') {
            let text = self.quoted().ok_or_else(|| invalid(""))?;
            let (rest, end) = self.token()?;
            if !rest.is_empty() {
                return Err(invalid(&format!("\"{text}\"{rest}")));
            }
            return Ok((text, Value::Text, end));
        }
        let (text, end) = self.token()?;
        if end == End::Equals {
            let binary = text.is_empty();
            return Err(if binary { "UNSUPPORTED_BINARY_FORMAT" } else { BAD_SEPARATOR }.to_owned());
        }
        match Value::parse(&text) {
            Some(value) => Ok((text, value, end)),
            None => Err(invalid(&text)),
        }
    }

    fn read_timestamp(&mut self, line: &mut Line<'a>) -> Result<(), String> {
        let (text, end) = self.token()?;
        if end != End::Line {
            return Err(BAD_SEPARATOR.to_owned());
        }
        if text.is_empty() {
            return Ok(());
        }
        let moment = Moment::parse_trailing(&text, self.unit).ok_or_else(|| {
            // the peer cuts the suffix off before it complains
            let shown = if text == "t" || text == "n" || text == "m" { "" } else { text.as_ref() };
            format!("Could not parse timestamp: {shown}")
        })?;
        // i64::MIN is NULL, which means the server's clock
        line.timestamp = (moment.count != i64::MIN).then_some(moment);
        Ok(())
    }

    /// Reads up to the next comma, equals sign, space or line end that is not escaped, and passes it.
    fn token(&mut self) -> Result<(Cow<'a, str>, End), String> {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut copied: Option<String> = None;
        let mut start = self.pos;
        let mut i = start;
        let (stop, resume, end) = loop {
            let Some(step) = bytes[i..].iter().position(|&byte| SPECIAL[byte as usize]) else {
                if self.broken {
                    return Err("Could not parse entire line. It is not valid UTF-8".to_owned());
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
                b'\r' if i + 1 == bytes.len() && !self.broken => break (i, i + 1, End::Line),
                b'\\' if i + 1 < bytes.len() => {
                    copied.get_or_insert_default().push_str(&text[start..i]);
                    start = i + 1;
                    i += 2;
                }
                _ => i += 1,
            }
        };
        self.pos = resume;
        let tail = &text[start..stop];
        Ok((
            match copied {
                None => Cow::Borrowed(tail),
                Some(mut copied) => {
                    copied.push_str(tail);
                    Cow::Owned(copied)
                }
            },
            end,
        ))
    }

    /// Reads a quoted string, from its first quote to behind its last; `None` when it does not end on its line.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut copied: Option<String> = None;
        let mut start = self.pos + 1;
        let mut i = start;
        loop {
            match *bytes.get(i)? {
                b'"' => break,
                b'\n' => return None,
                b'\\' if i + 1 < bytes.len() => {
                    copied.get_or_insert_default().push_str(&text[start..i]);
                    start = i + 1;
                    i += 2;
                }
                _ => i += 1,
            }
        }
        self.pos = i + 1;
        let tail = &text[start..i];
        Some(match copied {
            None => Cow::Borrowed(tail),
            Some(mut copied) => {
                copied.push_str(tail);
                Cow::Owned(copied)
            }
        })
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
