//! The data of a COPY from a client, cut into records: [`Records`]; the fields' values are read by [`value`].
//!
//! Takes the bytes in whatever pieces they come and holds no more than those that no record was cut from yet.

pub mod value;

use std::ops::Range;

use crate::pg_copy::Form;

/// Longest record.
const MOST_BYTES: usize = 64 << 20;
/// What stands at the beginning of binary data.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flags of binary data that must be understood.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

/// What cannot be cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCopy {
    #[error("unterminated CSV quoted field")]
    Unclosed,
    #[error("unexpected EOF in COPY data")]
    Cut,
    #[error("COPY file signature not recognized")]
    Signature,
    #[error("invalid COPY file header: flags that are not known")]
    Flags,
    #[error("invalid field size")]
    Size,
    #[error("received copy data after EOF marker")]
    AfterEnd,
    #[error("a record is longer than 64 MiB")]
    TooLong,
}

/// One record: its fields without delimiters, quotes and escapes.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    fields: Vec<Option<Range<usize>>>,
    /// Where the field begins that is being read.
    start: usize,
}

impl Record {
    /// Returns the number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns a field; NULL is `None`.
    #[must_use]
    pub fn field(&self, i: usize) -> Option<&[u8]> {
        self.fields.get(i)?.clone().map(|range| &self.bytes[range])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.start = 0;
    }

    /// Ends the field of the bytes that were put since the last one.
    fn end_field(&mut self, is_null: bool) {
        let range = self.start..self.bytes.len();
        self.start = self.bytes.len();
        self.fields.push((!is_null).then_some(range));
    }
}

/// Cuts records out of the bytes that have come.
#[derive(Debug)]
pub struct Records {
    /// None: binary.
    form: Option<Form>,
    bytes: Vec<u8>,
    /// Where the next record begins.
    at: usize,
    /// Whether more may be cut out of the bytes at hand.
    hopeful: bool,
    /// Whether the head of binary data was read.
    begun: bool,
    /// Whether the mark of the end was read.
    ended: bool,
}

/// What became of the bytes at the place of a record.
enum Cut {
    /// A record that ends there.
    Record(usize),
    /// The mark of the end, that ends there.
    End(usize),
    More,
}

impl Records {
    /// Returns no records yet of data in a form, `None` for binary.
    #[must_use]
    pub fn new(form: Option<Form>) -> Records {
        Records { form, bytes: Vec::new(), at: 0, hopeful: false, begun: false, ended: false }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// A record that is too long.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), BadCopy> {
        if self.ended && self.form.is_some() {
            return Ok(());
        }
        self.bytes.drain(..self.at);
        self.at = 0;
        if self.bytes.len() > MOST_BYTES {
            return Err(BadCopy::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        self.hopeful |= self.form.is_none() || bytes.contains(&b'\n');
        Ok(())
    }

    /// Cuts the next record; returns whether there is a whole one. `last`: no more bytes come.
    ///
    /// # Errors
    /// Bytes that are no record.
    pub fn next(&mut self, last: bool, record: &mut Record) -> Result<bool, BadCopy> {
        record.clear();
        if self.ended {
            let is_more = self.form.is_none() && self.at < self.bytes.len();
            return if is_more { Err(BadCopy::AfterEnd) } else { Ok(false) };
        }
        if !(self.hopeful || last) {
            return Ok(false);
        }
        let rest = &self.bytes[self.at..];
        if rest.is_empty() && (self.begun || self.form.is_some() || !last) {
            self.hopeful = false;
            return Ok(false);
        }
        let cut = match &self.form {
            None => binary(rest, &mut self.begun, last, record)?,
            Some(Form::Text { delimiter, null }) => text(rest, *delimiter, null.as_bytes(), last, record),
            Some(Form::Csv { delimiter, null, quote, escape, .. }) => {
                let marks = Marks { delimiter: *delimiter, quote: *quote, escape: *escape };
                csv(rest, marks, null.as_bytes(), last, record)?
            }
        };
        match cut {
            Cut::Record(end) => {
                self.at += end;
                Ok(true)
            }
            Cut::End(end) => {
                self.ended = true;
                self.at += end;
                self.next(last, record)
            }
            Cut::More => {
                self.hopeful = false;
                Ok(false)
            }
        }
    }
}

/// Returns where the line goes on behind the end of a line at `i`, `None` where it does not end; a carriage return that may be
/// half of an end is [`Eol::Unclear`].
enum Eol {
    Behind(usize),
    None,
    Unclear,
}

fn eol(bytes: &[u8], i: usize, last: bool) -> Eol {
    match (bytes[i], bytes.get(i + 1)) {
        (b'\n', _) => Eol::Behind(i + 1),
        (b'\r', Some(b'\n')) => Eol::Behind(i + 2),
        (b'\r', None) if last => Eol::Behind(i + 1),
        (b'\r', None) => Eol::Unclear,
        _ => Eol::None,
    }
}

/// Returns whether the bytes begin with a line of `\.` alone; `None` when that is not clear yet.
fn is_end(bytes: &[u8], last: bool) -> Option<bool> {
    if !b"\\.".starts_with(&bytes[..bytes.len().min(2)]) {
        return Some(false);
    }
    match bytes.get(2) {
        Some(b'\n') => Some(true),
        Some(b'\r') => bytes.get(3).map(|byte| *byte == b'\n').or(last.then_some(true)),
        Some(_) => Some(false),
        None => last.then_some(bytes.len() == 2),
    }
}

fn text(bytes: &[u8], delimiter: u8, null: &[u8], last: bool, record: &mut Record) -> Cut {
    match is_end(bytes, last) {
        Some(true) => return Cut::End(bytes.len()),
        Some(false) => {}
        None => return Cut::More,
    }
    let (mut i, mut field) = (0, 0);
    while i < bytes.len() {
        let byte = bytes[i];
        if byte == delimiter {
            record.end_field(bytes[field..i] == *null);
            i += 1;
            field = i;
        } else if byte == b'\\' {
            let Some((value, length)) = unescaped(&bytes[i + 1..], last) else { return Cut::More };
            record.bytes.push(value);
            i += 1 + length;
        } else {
            match eol(bytes, i, last) {
                Eol::Behind(end) => {
                    record.end_field(bytes[field..i] == *null);
                    return Cut::Record(end);
                }
                Eol::Unclear => return Cut::More,
                Eol::None => record.bytes.push(byte),
            }
            i += 1;
        }
    }
    if !last {
        return Cut::More;
    }
    record.end_field(bytes[field..] == *null);
    Cut::Record(i)
}

/// Returns what a backslash before these bytes stands for, and how many of them belong to it; `None` when more must come.
fn unescaped(bytes: &[u8], last: bool) -> Option<(u8, usize)> {
    let Some(&first) = bytes.first() else { return last.then_some((b'\\', 0)) };
    let number = |from: usize, most: usize, radix: u32| {
        let digits = bytes[from..].iter().take(most).map_while(|b| char::from(*b).to_digit(radix));
        let (count, value) = digits.fold((0, 0), |(count, value), digit| (count + 1, value * radix + digit));
        // fewer digits than there may be, and nothing behind them yet
        let is_clear = last || count == most || bytes.len() > from + count;
        is_clear.then_some((value as u8, from + count))
    };
    match first {
        b'b' => Some((0x08, 1)),
        b'f' => Some((0x0c, 1)),
        b'n' => Some((b'\n', 1)),
        b'r' => Some((b'\r', 1)),
        b't' => Some((b'\t', 1)),
        b'v' => Some((0x0b, 1)),
        b'0'..=b'7' => number(0, 3, 8),
        b'x' => match number(1, 2, 16)? {
            (_, 1) => Some((b'x', 1)),
            value => Some(value),
        },
        other => Some((other, 1)),
    }
}

/// The bytes that mean something in CSV.
#[derive(Clone, Copy)]
struct Marks {
    delimiter: u8,
    quote: u8,
    escape: u8,
}

fn csv(bytes: &[u8], marks: Marks, null: &[u8], last: bool, record: &mut Record) -> Result<Cut, BadCopy> {
    match is_end(bytes, last) {
        Some(true) => return Ok(Cut::End(bytes.len())),
        Some(false) => {}
        None => return Ok(Cut::More),
    }
    let (mut i, mut field) = (0, 0);
    let (mut inside, mut quoted) = (false, false);
    while i < bytes.len() {
        let byte = bytes[i];
        if inside {
            let next = bytes.get(i + 1).copied();
            if byte == marks.escape && next.is_none() && !last {
                return Ok(Cut::More);
            }
            match next {
                Some(next) if byte == marks.escape && (next == marks.quote || next == marks.escape) => {
                    record.bytes.push(next);
                    i += 1;
                }
                _ if byte == marks.quote => inside = false,
                _ => record.bytes.push(byte),
            }
        } else if byte == marks.quote {
            (inside, quoted) = (true, true);
        } else if byte == marks.delimiter {
            record.end_field(!quoted && bytes[field..i] == *null);
            field = i + 1;
            quoted = false;
        } else {
            match eol(bytes, i, last) {
                Eol::Behind(end) => {
                    record.end_field(!quoted && bytes[field..i] == *null);
                    return Ok(Cut::Record(end));
                }
                Eol::Unclear => return Ok(Cut::More),
                Eol::None => record.bytes.push(byte),
            }
        }
        i += 1;
    }
    if !last {
        return Ok(Cut::More);
    }
    if inside {
        return Err(BadCopy::Unclosed);
    }
    record.end_field(!quoted && bytes[field..] == *null);
    Ok(Cut::Record(i))
}

fn binary(bytes: &[u8], begun: &mut bool, last: bool, record: &mut Record) -> Result<Cut, BadCopy> {
    let mut fields = Fields { bytes, at: 0 };
    let cut = |read: Option<Cut>| read.map_or_else(|| if last { Err(BadCopy::Cut) } else { Ok(Cut::More) }, Ok);
    if !*begun {
        let length = SIGNATURE.len().min(bytes.len());
        if bytes[..length] != SIGNATURE[..length] {
            return Err(BadCopy::Signature);
        }
        let Some((flags, extension)) = fields.head() else { return cut(None) };
        if flags & CRITICAL_FLAGS != 0 {
            return Err(BadCopy::Flags);
        }
        let Some(end) = usize::try_from(extension).ok().map(|length| fields.at + length) else {
            return Err(BadCopy::Size);
        };
        if end > bytes.len() {
            return cut(None);
        }
        *begun = true;
        // what is cut begins behind the head
        return match binary(&bytes[end..], begun, last, record) {
            Ok(Cut::Record(length)) => Ok(Cut::Record(end + length)),
            Ok(Cut::End(length)) => Ok(Cut::End(end + length)),
            Ok(Cut::More) => {
                *begun = false;
                Ok(Cut::More)
            }
            other => other,
        };
    }
    if bytes.is_empty() && last {
        return Ok(Cut::More);
    }
    let Some(count) = fields.i16() else { return cut(None) };
    if count == -1 {
        return Ok(Cut::End(fields.at));
    }
    for _ in 0..count {
        let Some(length) = fields.i32() else { return cut(None) };
        match length {
            -1 => record.end_field(true),
            ..-1 => return Err(BadCopy::Size),
            _ => {
                let Some(value) = fields.bytes(length as usize) else { return cut(None) };
                record.bytes.extend_from_slice(value);
                record.end_field(false);
            }
        }
    }
    Ok(Cut::Record(fields.at))
}

/// Binary data that is read from its beginning.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let value = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(value)
    }

    fn i16(&mut self) -> Option<i16> {
        self.bytes(2).map(|b| i16::from_be_bytes([b[0], b[1]]))
    }

    fn i32(&mut self) -> Option<i32> {
        self.bytes(4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Returns the flags and the length of the extension.
    fn head(&mut self) -> Option<(u32, i32)> {
        self.bytes(SIGNATURE.len())?;
        Some((self.i32()? as u32, self.i32()?))
    }
}

#[cfg(test)]
mod tests;
