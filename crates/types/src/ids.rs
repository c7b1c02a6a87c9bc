//! Names and numbers that identify things: [`Seq`], [`TableId`], [`ColumnId`], [`TimelineId`], [`TableName`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Number of a log frame: database-wide, dense within a timeline, first frame is 1; 0 means "before every frame".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The state before the first frame.
    pub const ZERO: Seq = Seq(0);

    /// Returns the number of the frame after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a table for ever: never reused within a root, also not after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub u64);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a column of one table for ever; ADD, DROP and RENAME never reuse or change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnId(pub u32);

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One history of Seqs: a number that grows with each restore, and a random tag so that two roots that were
/// restored from one copy never hand out the same file names. Written `<number>-<8 hex digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimelineId {
    pub number: u32,
    pub tag: u32,
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.number, self.tag)
    }
}

impl std::str::FromStr for TimelineId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || Invalid(format!("not a timeline: {text:?}; expected <number>-<8 hex digits>"));
        let (number, tag) = text.split_once('-').ok_or_else(bad)?;
        let canonical = !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && (number == "0" || !number.starts_with('0'))
            && tag.len() == 8
            && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(bad());
        }
        Ok(TimelineId {
            number: number.parse().map_err(|_| bad())?,
            tag: u32::from_str_radix(tag, 16).map_err(|_| bad())?,
        })
    }
}

impl Serialize for TimelineId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimelineId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A checked table name: case-preserving; compare with [`TableName::folded`], since names are case-insensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(String);

impl TableName {
    /// Longest name accepted, in bytes of UTF-8 (a directory name is made from it, beside `~` and the id).
    pub const MAX_BYTES: usize = 127;

    /// Returns the name if a table may have it.
    ///
    /// # Errors
    /// Names that the peer refuses too: empty, too long, a dot at either end or doubled, a character that is
    /// unsafe in a path or in SQL (`? , ' " \ / : ) ( + * % ~`, control characters, U+FEFF).
    pub fn new(name: &str) -> Result<TableName, Invalid> {
        let bad_char = |c: char| {
            matches!(c, '?' | ',' | '\'' | '"' | '\\' | '/' | ':' | ')' | '(' | '+' | '*' | '%' | '~')
                || (c as u32) < 0x20
                || c == '\u{7f}'
                || c == '\u{feff}'
        };
        let bad = name.is_empty()
            || name.len() > Self::MAX_BYTES
            || name.starts_with('.')
            || name.ends_with('.')
            || name.contains("..")
            || name.trim() != name
            || name.chars().any(bad_char);
        if bad {
            return Err(Invalid(format!("table name is not valid: {name:?}")));
        }
        Ok(TableName(name.to_owned()))
    }

    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form under which two spellings of one name are equal.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for TableName {
    type Error = Invalid;
    fn try_from(name: String) -> Result<Self, Invalid> {
        TableName::new(&name)
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_text_has_one_spelling() {
        let id: TimelineId = "12-00ab34ff".parse().unwrap();
        assert_eq!(id, TimelineId { number: 12, tag: 0x00ab34ff });
        assert_eq!(id.to_string(), "12-00ab34ff");
        for bad in ["", "1", "1-", "01-00000000", "1-ABCDEF00", "1-123", "x-00000000", "+1-00000000", "1-000000000"] {
            assert!(bad.parse::<TimelineId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn table_names_are_safe_in_paths() {
        for good in ["trades", "a.b", "Straße", "with space", "日本"] {
            assert!(TableName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "a.", "a..b", "a/b", "a~b", " a", "a\n", "a'b", &"x".repeat(128)] {
            assert!(TableName::new(bad).is_err(), "{bad}");
        }
    }
}
