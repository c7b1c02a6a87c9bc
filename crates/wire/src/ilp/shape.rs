//! Lines that look like one before them: [`Shape`]. Clients write the same table, tags and fields again and again, and only
//! values change; where that is so, names are compared and not read, and values go into their columns at once.
//!
//! A shape takes a line or leaves it: what it takes means what [`super::line`] and [`super::rows`] would make of it, and a
//! line that is unusual in any way (escapes, a carriage return, an error) is left to them. Its numbers are [`super::words`]'.

use std::borrow::Cow;

use types::{ColumnData, ColumnType};

use super::convert;
use super::line::{Field, Line, Parser};
use super::value::{Moment, Unit, Value};
use super::words;

/// The bytes between the values of a line, and which column takes each value.
#[derive(Debug)]
pub struct Shape {
    pieces: Vec<Piece>,
    /// The line has a timestamp.
    has_time: bool,
}

#[derive(Debug)]
struct Piece {
    before: Literal,
    column: usize,
    is_tag: bool,
}

/// What a shape writes to.
pub trait Columns {
    /// Returns the type and the values of a column.
    fn column(&mut self, index: usize) -> (ColumnType, &mut ColumnData);
}

impl Shape {
    /// Returns the shape of a line whose fields went to these columns; `None` for one that will not come again as it is.
    pub fn of(line: &Line<'_>, columns: &[usize]) -> Option<Shape> {
        let is_plain = |name: &str| words::token_end(name.as_bytes(), 0) == name.len();
        let names_are_plain = is_plain(&line.table) && line.fields.iter().all(|field| is_plain(&field.name));
        let is_repeated = (1..columns.len()).any(|i| columns[..i].contains(&columns[i]));
        if !names_are_plain || is_repeated || columns.len() != line.fields.len() {
            return None;
        }
        let mut before = line.table.as_bytes().to_vec();
        let mut after_tag = true;
        let mut pieces = Vec::with_capacity(columns.len());
        for (field, &column) in line.fields.iter().zip(columns) {
            let is_tag = field.value == Value::Tag;
            before.push(if is_tag == after_tag { b',' } else { b' ' });
            before.extend_from_slice(field.name.as_bytes());
            before.push(b'=');
            pieces.push(Piece { before: Literal::new(std::mem::take(&mut before)), column, is_tag });
            after_tag = is_tag;
        }
        Some(Shape { pieces, has_time: line.timestamp.is_some() })
    }

    /// Returns the columns that get a value.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().map(|piece| piece.column)
    }

    /// Puts the values of the next line into the columns and returns its moment (`None`: the clock's) and where it ends.
    /// Returns `None` for a line of another shape; columns may then have grown by one value.
    pub fn read(&self, parser: &Parser<'_>, columns: &mut impl Columns) -> Option<(Option<Moment>, usize)> {
        let (bytes, mut at) = parser.rest();
        for piece in &self.pieces {
            at = piece.before.pass(bytes, at)?;
            let (column_type, data) = columns.column(piece.column);
            at = if piece.is_tag {
                read_tag(parser, bytes, at, column_type, data)?
            } else {
                read_field(parser, bytes, at, column_type, data)?
            };
        }
        let moment = match self.has_time {
            true if bytes.get(at) == Some(&b' ') => {
                let end = words::token_end(bytes, at + 1);
                let moment = read_moment(bytes, at + 1, end, parser.unit())?;
                at = end;
                Some(moment)
            }
            true => return None,
            false => None,
        };
        (bytes.get(at) == Some(&b'\n')).then_some((moment, at + 1))
    }
}

fn read_tag(
    parser: &Parser<'_>,
    bytes: &[u8],
    at: usize,
    column_type: ColumnType,
    data: &mut ColumnData,
) -> Option<usize> {
    let end = words::token_end(bytes, at);
    let text = parser.text_between(at, end)?;
    match data {
        ColumnData::Symbol(column) => column.push(Some(text)),
        data => push(data, column_type, text, Value::Tag)?,
    }
    Some(end)
}

fn read_field(
    parser: &Parser<'_>,
    bytes: &[u8],
    at: usize,
    column_type: ColumnType,
    data: &mut ColumnData,
) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => {
            let length = bytes[at + 1..].iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
            let end = at + 1 + length;
            push(data, column_type, parser.text_between(at + 1, end)?, Value::Text)?;
            return (bytes[end] == b'"').then_some(end + 1);
        }
        b'=' => {
            let value = f64::from_bits(words::word(bytes.get(at + 2..)?).filter(|_| bytes[at + 1] == 16)?);
            let value = if value.is_finite() { value } else { f64::NAN };
            push(data, column_type, "", Value::Float(value))?;
            return Some(at + 10);
        }
        _ => {}
    }
    let end = words::token_end(bytes, at);
    if let ColumnData::F64(column) = data
        && let Some(value) = words::float(bytes, at, end)
    {
        column.push(value);
    } else if let (ColumnData::I64(column), ColumnType::Long) = (&mut *data, column_type)
        && bytes[at..end].ends_with(b"i")
        && let Some(value) = words::integer(bytes, at, end - 1)
    {
        column.push(value);
    } else {
        let text = parser.text_between(at, end)?;
        push(data, column_type, text, Value::parse(text)?)?;
    }
    Some(end)
}

fn push(data: &mut ColumnData, column_type: ColumnType, text: &str, value: Value) -> Option<()> {
    let field = Field { name: Cow::Borrowed(""), text: Cow::Borrowed(text), value, bytes: &[] };
    convert::push(data, column_type, &field).ok()
}

fn read_moment(bytes: &[u8], start: usize, end: usize, default: Unit) -> Option<Moment> {
    let (unit, suffix) = match bytes[start..end].last()? {
        b't' => (Unit::Micros, 1),
        b'n' => (Unit::Nanos, 1),
        b'm' => (Unit::Millis, 1),
        _ => (default, 0),
    };
    let count = words::digits(bytes, start, end - suffix).and_then(|count| i64::try_from(count).ok())?;
    Some(Moment { count, unit })
}

/// Bytes to be compared in words of eight.
#[derive(Debug)]
struct Literal {
    bytes: Vec<u8>,
    /// The bytes, and which bits of each word count.
    words: Vec<(u64, u64)>,
}

impl Literal {
    fn new(bytes: Vec<u8>) -> Literal {
        let of = |piece: &[u8]| {
            let (mut value, mut mask) = ([0; 8], [0; 8]);
            value[..piece.len()].copy_from_slice(piece);
            mask[..piece.len()].fill(0xff);
            (u64::from_le_bytes(value), u64::from_le_bytes(mask))
        };
        Literal { words: bytes.chunks(8).map(of).collect(), bytes }
    }

    /// Returns where the bytes end if they stand at `at`.
    fn pass(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let is_here = match bytes.get(at..at + 8 * self.words.len()) {
            Some(window) => {
                let (windows, _) = window.as_chunks::<8>();
                windows.iter().zip(&self.words).all(|(w, (value, mask))| u64::from_le_bytes(*w) & mask == *value)
            }
            None => bytes.get(at..)?.starts_with(&self.bytes),
        };
        is_here.then_some(at + self.bytes.len())
    }
}
