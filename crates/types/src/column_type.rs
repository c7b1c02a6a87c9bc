//! The storable column types and how a NULL of each is held in a batch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A storable type. Further types of the peer join here; the number of a variant is its tag on disk and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[repr(u8)]
pub enum ColumnType {
    /// true or false; has no NULL (a missing value is false).
    Boolean = 1,
    /// 16-bit integer; has no NULL (a missing value is 0).
    Short = 3,
    /// 32-bit integer; `i32::MIN` is NULL.
    Int = 5,
    /// 64-bit integer; `i64::MIN` is NULL.
    Long = 6,
    /// Milliseconds since 1970; `i64::MIN` is NULL.
    Date = 7,
    /// Microseconds since 1970; `i64::MIN` is NULL.
    Timestamp = 8,
    /// 64-bit float; NaN is NULL, infinities are stored as NULL.
    Double = 10,
    /// Text. Kept apart from [`ColumnType::Varchar`] only because clients can see which one they asked for.
    String = 11,
    /// Text from a small set, stored as codes into one dictionary per column.
    Symbol = 12,
    /// Text.
    Varchar = 26,
}

impl ColumnType {
    /// Every type, in the order of tags.
    pub const ALL: [ColumnType; 10] = [
        ColumnType::Boolean,
        ColumnType::Short,
        ColumnType::Int,
        ColumnType::Long,
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::Double,
        ColumnType::String,
        ColumnType::Symbol,
        ColumnType::Varchar,
    ];

    /// Returns the name that SQL and JSON answers use, e.g. `TIMESTAMP`.
    pub fn name(self) -> &'static str {
        match self {
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::Short => "SHORT",
            ColumnType::Int => "INT",
            ColumnType::Long => "LONG",
            ColumnType::Date => "DATE",
            ColumnType::Timestamp => "TIMESTAMP",
            ColumnType::Double => "DOUBLE",
            ColumnType::String => "STRING",
            ColumnType::Symbol => "SYMBOL",
            ColumnType::Varchar => "VARCHAR",
        }
    }

    /// Returns the type of that name, in any case.
    pub fn from_name(name: &str) -> Option<ColumnType> {
        Self::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }

    /// Returns the tag that stands for the type on disk.
    pub fn tag(self) -> u8 {
        self as u8
    }

    /// Returns the type of that tag.
    pub fn from_tag(tag: u8) -> Option<ColumnType> {
        Self::ALL.into_iter().find(|t| t.tag() == tag)
    }

    /// Returns whether a column of the type can hold NULL.
    pub fn is_nullable(self) -> bool {
        !matches!(self, ColumnType::Boolean | ColumnType::Short)
    }

    /// Returns whether values are text: STRING, VARCHAR, SYMBOL.
    pub fn is_text(self) -> bool {
        matches!(self, ColumnType::String | ColumnType::Varchar | ColumnType::Symbol)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for ColumnType {
    type Error = Invalid;
    fn try_from(name: String) -> Result<Self, Invalid> {
        ColumnType::from_name(&name).ok_or_else(|| Invalid(format!("unsupported column type: {name}")))
    }
}

impl From<ColumnType> for String {
    fn from(t: ColumnType) -> String {
        t.name().to_owned()
    }
}
