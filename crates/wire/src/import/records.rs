//! Bytes to fields: [`Scanner`] cuts one record after the other out of what has come so far.
//!
//! A field that begins with a quote ends with one, may hold delimiters and line ends, and doubles quotes within. Lines end
//! with LF, CR or both; empty ones are no records.

use std::borrow::Cow;

const QUOTE: u8 = b'"';

/// One field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    /// Quotes within are doubled, or text stands behind the closing quote.
    odd: bool,
}

/// The fields of one record: keep one and fill it again and again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Record {
    spans: Vec<Span>,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A record, so many bytes long with its end and what is empty before it.
    Record(usize),
    /// A record whose quotes do not close before the bytes end for good.
    Unclosed(usize),
    /// Nothing whole: more bytes must come, or there are none.
    More,
}

/// Cuts records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanner {
    pub delimiter: u8,
}

impl Record {
    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns a field of the bytes that it was cut from, without its quotes; an empty one that was not quoted is `None`.
    pub fn field<'a>(&self, i: usize, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let span = self.spans.get(i)?;
        let raw = &bytes[span.start..span.end];
        if raw.is_empty() && !span.quoted {
            return None;
        }
        Some(if span.odd { Cow::Owned(unquote(raw)) } else { Cow::Borrowed(raw) })
    }
}

/// Takes doubled quotes apart; single ones, which can only close, are left out.
fn unquote(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == QUOTE {
            if bytes.peek() == Some(&&QUOTE) {
                bytes.next();
                out.push(QUOTE);
            }
        } else {
            out.push(byte);
        }
    }
    out
}

impl Scanner {
    /// Cuts the first record out of the bytes; `last` says that no more come.
    pub fn next(&self, bytes: &[u8], last: bool, record: &mut Record) -> Step {
        record.spans.clear();
        let mut i = bytes.iter().position(|b| !matches!(b, b'\n' | b'\r')).unwrap_or(bytes.len());
        if i == bytes.len() {
            return Step::More;
        }
        loop {
            let Some((span, end)) = self.field(bytes, i) else {
                return if last { Step::Unclosed(bytes.len()) } else { Step::More };
            };
            if end == bytes.len() && !last {
                return Step::More;
            }
            record.spans.push(span);
            match bytes.get(end) {
                Some(&byte) if byte == self.delimiter => i = end + 1,
                Some(_) => return Step::Record(end + 1),
                None => return Step::Record(end),
            }
        }
    }

    /// Returns the field that begins at `start`, and where its delimiter or line end stands; `None` when its quotes do not
    /// close.
    fn field(&self, bytes: &[u8], start: usize) -> Option<(Span, usize)> {
        let ends = |byte: &u8| *byte == self.delimiter || matches!(*byte, b'\n' | b'\r');
        let stop = |from: usize| bytes[from..].iter().position(ends).map_or(bytes.len(), |n| from + n);
        if bytes.get(start) != Some(&QUOTE) {
            let end = stop(start);
            return Some((Span { start, end, quoted: false, odd: false }, end));
        }
        let start = start + 1;
        let (mut i, mut odd) = (start, false);
        loop {
            i += bytes[i..].iter().position(|&b| b == QUOTE)?;
            if bytes.get(i + 1) != Some(&QUOTE) {
                break;
            }
            odd = true;
            i += 2;
        }
        let end = stop(i + 1);
        // blanks behind the closing quote are nothing, other text belongs to the field
        let tail = bytes[i + 1..end].iter().any(|&b| b != b' ');
        let span =
            if tail { Span { start, end, quoted: true, odd: true } } else { Span { start, end: i, quoted: true, odd } };
        Some((span, end))
    }
}
