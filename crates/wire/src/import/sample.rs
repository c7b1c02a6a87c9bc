//! What a sample of records tells: whether the first one is a header, and a type for each column ([`guess`]).

use types::{ColumnType, ipv4, uuid};

use super::field;
use crate::value_text::read_long256;

/// One column as it was guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    pub name: String,
    pub column_type: ColumnType,
    /// Moments are written as `dd/MM/yyyy`.
    pub day_first: bool,
}

/// The guess about a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guessed {
    pub header: bool,
    pub columns: Vec<Guess>,
}

/// The types that are looked for, in the order of preference. A set of them is a bit mask by position.
const TYPES: [ColumnType; 12] = [
    ColumnType::Int,
    ColumnType::Long,
    ColumnType::Double,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::TimestampNs,
    ColumnType::Uuid,
    ColumnType::Ipv4,
    ColumnType::Long256,
    ColumnType::Char,
    ColumnType::Varchar,
];
const CHAR: u16 = 1 << 10;
const VARCHAR: u16 = 1 << 11;
const DATE: u16 = 1 << 4;
/// Everything may be nothing.
const ALL: u16 = (1 << 12) - 1;

/// Returns the types that a text can be read as.
fn types_of(text: &str) -> u16 {
    let mut set = VARCHAR;
    let mut add = |position: usize, fits: bool| set |= u16::from(fits) << position;
    // leading zeros say that the digits are a name, such as a postal code
    let name = text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    add(0, !name && field::read_int(text).is_some_and(|v| i32::try_from(v).is_ok()));
    add(1, !name && field::read_long(text).is_some());
    add(2, !name && field::read_double(text).is_some());
    add(3, text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"));
    let fraction = field::fraction_digits(text);
    let moment = field::looks_like_moment(text) && field::read_moment_ns(text).is_some();
    add(4, moment && is_date(text, fraction) || field::read_day_first(text).is_some());
    add(5, moment && fraction <= 6);
    add(6, moment && field::read_moment_ns(text).is_some_and(|ns| i64::try_from(ns).is_ok()));
    add(7, uuid::parse(text).is_some());
    add(8, text.contains('.') && ipv4::parse(text).is_some());
    add(9, text.starts_with("0x") && read_long256(text).is_some());
    // a digit is half a number rather than a letter
    add(10, text.encode_utf16().count() == 1 && !text.as_bytes()[0].is_ascii_digit());
    set
}

/// `2024-01-31`, `2024-01-31 10:00:00` and `2024-01-31T10:00:00.000Z` are dates, as in the peer; finer ones are timestamps.
fn is_date(text: &str, fraction: usize) -> bool {
    text.len() == 10 || (text.len() == 19 && text.as_bytes()[10] == b' ') || (text.ends_with('Z') && fraction == 3)
}

fn first(set: u16) -> ColumnType {
    TYPES[set.trailing_zeros().min(11) as usize]
}

/// Returns the guess. `forced` says that the first record is a header whatever it looks like.
pub fn guess(records: &[Vec<Option<String>>], forced: bool) -> Guessed {
    let Some(head) = records.first() else {
        return Guessed { header: false, columns: Vec::new() };
    };
    let mut columns = head.len();
    // a delimiter at the end of each line is no column
    while columns > 1 && records.iter().all(|r| r.get(columns - 1).is_none_or(Option::is_none)) {
        columns -= 1;
    }
    let sets = |from: usize| -> Vec<u16> {
        (0..columns)
            .map(|i| {
                let mut any = false;
                let fold = |set: u16, record: &Vec<Option<String>>| match record.get(i) {
                    Some(Some(text)) if !text.is_empty() => {
                        any = true;
                        set & types_of(text)
                    }
                    _ => set,
                };
                let set = records[from.min(records.len())..].iter().fold(ALL, fold);
                if any { set } else { VARCHAR }
            })
            .collect()
    };
    let (with, without) = (sets(0), sets(1));
    let is_text = |set: u16| set.trailing_zeros() >= CHAR.trailing_zeros();
    let names = head[..columns].iter().all(|f| f.as_ref().is_some_and(|t| !t.is_empty() && is_text(types_of(t))));
    let telling = with.iter().zip(&without).any(|(a, b)| is_text(*a) && !is_text(*b));
    let header = forced || (records.len() > 1 && names && telling);
    let sets = if header { without } else { with };
    let first_row = &records[usize::from(header).min(records.len())..];
    let columns = sets.iter().enumerate().map(|(i, &set)| Guess {
        name: match head[i].as_deref().map(column_name) {
            Some(name) if header && !name.is_empty() => name,
            _ => format!("f{i}"),
        },
        column_type: first(set),
        day_first: set & DATE != 0
            && first_row.iter().filter_map(|r| r.get(i)?.as_deref()).any(|t| field::read_day_first(t).is_some()),
    });
    Guessed { header, columns: columns.collect() }
}

/// Returns the column name that a header's text becomes: as in the peer, characters that no name may hold are left out
/// and the next one is a capital; a leading digit gets an underscore before it.
pub fn column_name(text: &str) -> String {
    let mut name = String::new();
    let mut capital = false;
    for c in text.trim_start_matches('\u{feff}').chars() {
        if " ?.,'\"\\/\0:)(+-*%~".contains(c) || c.is_control() {
            capital = !name.is_empty();
            continue;
        }
        if name.is_empty() && c.is_ascii_digit() {
            name.push('_');
        }
        if capital {
            name.extend(c.to_uppercase());
            capital = false;
        } else {
            name.push(c);
        }
    }
    name
}
