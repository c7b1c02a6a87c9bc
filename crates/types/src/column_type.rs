//! The storable column types and how a NULL of each is held in a batch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A storable type. The tag of a type on disk (see [`ColumnType::tag`]) never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "std::string::String", into = "std::string::String")]
pub enum ColumnType {
    /// true or false; has no NULL (a missing value is false).
    Boolean,
    /// 8-bit integer; has no NULL (a missing value is 0).
    Byte,
    /// 16-bit integer; has no NULL (a missing value is 0).
    Short,
    /// One UTF-16 unit; 0 is NULL.
    Char,
    /// 32-bit integer; `i32::MIN` is NULL.
    Int,
    /// 64-bit integer; `i64::MIN` is NULL.
    Long,
    /// Milliseconds since 1970; `i64::MIN` is NULL.
    Date,
    /// Microseconds since 1970; `i64::MIN` is NULL.
    Timestamp,
    /// Nanoseconds since 1970; `i64::MIN` is NULL.
    TimestampNs,
    /// 32-bit float; NaN is NULL, infinities are stored as NULL.
    Float,
    /// 64-bit float; NaN is NULL, infinities are stored as NULL.
    Double,
    /// Text. Kept apart from [`ColumnType::Varchar`] only because clients can see which one they asked for.
    String,
    /// Text from a small set, stored as codes into one dictionary per column.
    Symbol,
    /// Text.
    Varchar,
    /// Unsigned 256-bit integer, big-endian; four words of `i64::MIN` are NULL.
    Long256,
    /// The first bits of a place on the grid, 1 to 60 of them, in the low bits of an i64; a negative number is NULL.
    Geohash(u8),
    /// Bytes.
    Binary,
    /// 16 bytes, big-endian; two words of `i64::MIN` are NULL.
    Uuid,
    /// IPv4 address as a number; 0.0.0.0 is NULL.
    Ipv4,
    /// DOUBLEs in a box of so many dimensions, 1 to [`ColumnType::MAX_DIMS`]; lengths differ from row to row.
    Array(u8),
    /// Whole number of `10^-scale`, of at most `precision` digits; the least number of its width is NULL.
    Decimal { precision: u8, scale: u8 },
}

use ColumnType::*;

/// Types without parameters: tag on disk, name in answers, further names in CREATE TABLE.
const PLAIN: [(ColumnType, u8, &str, &[&str]); 18] = [
    (Boolean, 1, "BOOLEAN", &[]),
    (Byte, 2, "BYTE", &[]),
    (Short, 3, "SHORT", &["SMALLINT"]),
    (Char, 4, "CHAR", &[]),
    (Int, 5, "INT", &["INTEGER"]),
    (Long, 6, "LONG", &["BIGINT"]),
    (Date, 7, "DATE", &[]),
    (Timestamp, 8, "TIMESTAMP", &[]),
    (Float, 9, "FLOAT", &["REAL"]),
    (Double, 10, "DOUBLE", &["DOUBLE PRECISION"]),
    (String, 11, "STRING", &["TEXT", "BYTEA"]),
    (Symbol, 12, "SYMBOL", &[]),
    (Long256, 13, "LONG256", &[]),
    (Binary, 18, "BINARY", &[]),
    (Uuid, 19, "UUID", &[]),
    (Ipv4, 25, "IPv4", &[]),
    (Varchar, 26, "VARCHAR", &[]),
    (TimestampNs, 30, "TIMESTAMP_NS", &[]),
];
const TAG_GEOHASH: u8 = 14;
const TAG_ARRAY: u8 = 27;
const TAG_DECIMAL: u8 = 28;

impl ColumnType {
    /// Most dimensions of an array.
    pub const MAX_DIMS: u8 = 32;
    /// Most bits of a geohash.
    pub const MAX_GEOHASH_BITS: u8 = 60;
    /// Most digits of a decimal.
    pub const MAX_PRECISION: u8 = 76;
    /// Most digits that 128 bits hold.
    pub const MAX_PRECISION_128: u8 = 38;

    /// Every type, those with parameters at some of them; for tests that go through all.
    pub const ALL: [ColumnType; 26] = [
        Boolean,
        Short,
        Int,
        Long,
        Date,
        Timestamp,
        Double,
        String,
        Symbol,
        Varchar,
        Byte,
        Char,
        Float,
        TimestampNs,
        Long256,
        Geohash(5),
        Geohash(23),
        Geohash(60),
        Binary,
        Uuid,
        Ipv4,
        Array(1),
        Array(3),
        Decimal { precision: 4, scale: 2 },
        Decimal { precision: 38, scale: 0 },
        Decimal { precision: 76, scale: 20 },
    ];

    /// Returns the type of a name that CREATE TABLE takes, in any case, e.g. `geohash(5c)`, `decimal(18,3)`, `double[][]`.
    pub fn from_name(name: &str) -> Option<ColumnType> {
        let name = name.trim().to_ascii_uppercase();
        let plain = |(t, _, shown, more): &(ColumnType, u8, &str, &[&str])| {
            (shown.eq_ignore_ascii_case(&name) || more.contains(&name.as_str())).then_some(*t)
        };
        if let Some(found) = PLAIN.iter().find_map(plain) {
            return Some(found);
        }
        if let Some(element) = name.strip_suffix("[]") {
            let dims = 1 + element.matches("[]").count();
            let is_double = matches!(element.trim_end_matches("[]"), "DOUBLE" | "DOUBLE PRECISION");
            return (is_double && dims <= Self::MAX_DIMS as usize).then_some(Array(dims as u8));
        }
        let (base, parameters) = match name.split_once('(') {
            Some((base, rest)) => (base.trim_end(), Some(rest.strip_suffix(')')?)),
            None => (name.as_str(), None),
        };
        match (base, parameters) {
            ("GEOHASH", Some(size)) => ColumnType::geohash(size.trim()),
            ("DECIMAL", None) => Some(Decimal { precision: 18, scale: 3 }),
            ("DECIMAL", Some(sizes)) => {
                let (precision, scale) = sizes.split_once(',').unwrap_or((sizes, "0"));
                ColumnType::decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
            }
            _ => None,
        }
    }

    /// Returns the geohash type of a size like `5c` or `23B`.
    fn geohash(size: &str) -> Option<ColumnType> {
        let (number, bits_each) = match size.as_bytes().last()?.to_ascii_uppercase() {
            b'C' => (&size[..size.len() - 1], 5),
            b'B' => (&size[..size.len() - 1], 1),
            _ => return None,
        };
        let bits = number.trim().parse::<u8>().ok()?.checked_mul(bits_each)?;
        (1..=Self::MAX_GEOHASH_BITS).contains(&bits).then_some(Geohash(bits))
    }

    /// Returns the decimal type of so many digits, `scale` of them behind the point.
    pub fn decimal(precision: u8, scale: u8) -> Option<ColumnType> {
        let fits = (1..=Self::MAX_PRECISION).contains(&precision) && scale <= precision;
        fits.then_some(Decimal { precision, scale })
    }

    /// Returns the tag that stands for the type on disk.
    pub fn tag(self) -> u8 {
        match self {
            Geohash(_) => TAG_GEOHASH,
            Array(_) => TAG_ARRAY,
            Decimal { .. } => TAG_DECIMAL,
            plain => PLAIN.iter().find(|(t, ..)| *t == plain).map_or(0, |(_, tag, ..)| *tag),
        }
    }

    /// Returns the bytes that stand behind the tag on disk: bits, dimensions, or precision and scale.
    pub fn parameters(self) -> Vec<u8> {
        match self {
            Geohash(n) | Array(n) => vec![n],
            Decimal { precision, scale } => vec![precision, scale],
            _ => Vec::new(),
        }
    }

    /// Returns how many bytes stand behind a tag; None for a tag that is unknown.
    pub fn parameter_count(tag: u8) -> Option<usize> {
        match tag {
            TAG_GEOHASH | TAG_ARRAY => Some(1),
            TAG_DECIMAL => Some(2),
            tag => PLAIN.iter().any(|(_, t, ..)| *t == tag).then_some(0),
        }
    }

    /// Returns the type of a tag and the bytes behind it.
    pub fn from_tag(tag: u8, parameters: &[u8]) -> Option<ColumnType> {
        match (tag, parameters) {
            (TAG_GEOHASH, &[bits]) => (1..=Self::MAX_GEOHASH_BITS).contains(&bits).then_some(Geohash(bits)),
            (TAG_ARRAY, &[dims]) => (1..=Self::MAX_DIMS).contains(&dims).then_some(Array(dims)),
            (TAG_DECIMAL, &[precision, scale]) => ColumnType::decimal(precision, scale),
            (tag, []) => PLAIN.iter().find(|(_, t, ..)| *t == tag).map(|(t, ..)| *t),
            _ => None,
        }
    }

    /// Returns whether a column of the type can hold NULL.
    pub fn is_nullable(self) -> bool {
        !matches!(self, Boolean | Byte | Short)
    }

    /// Returns whether values are text: STRING, VARCHAR, SYMBOL.
    pub fn is_text(self) -> bool {
        matches!(self, String | Varchar | Symbol)
    }

    /// Returns whether a column of the type can be the designated timestamp.
    pub fn is_timestamp(self) -> bool {
        matches!(self, Timestamp | TimestampNs)
    }

    /// Returns how many units of a timestamp type make a microsecond.
    pub fn units_per_us(self) -> i64 {
        if self == TimestampNs { 1_000 } else { 1 }
    }
}

impl fmt::Display for ColumnType {
    /// Writes the name that SQL and JSON answers use, e.g. `TIMESTAMP`, `GEOHASH(5c)`, `DOUBLE[][]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Geohash(bits) if bits % 5 == 0 => write!(f, "GEOHASH({}c)", bits / 5),
            Geohash(bits) => write!(f, "GEOHASH({bits}b)"),
            Array(dims) => write!(f, "DOUBLE{}", "[]".repeat(dims as usize)),
            Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            plain => f.write_str(PLAIN.iter().find(|(t, ..)| *t == plain).map_or("", |(_, _, name, _)| *name)),
        }
    }
}

impl TryFrom<std::string::String> for ColumnType {
    type Error = Invalid;
    fn try_from(name: std::string::String) -> Result<Self, Invalid> {
        ColumnType::from_name(&name).ok_or_else(|| Invalid(format!("unsupported column type: {name}")))
    }
}

impl From<ColumnType> for std::string::String {
    fn from(t: ColumnType) -> std::string::String {
        t.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_lead_back_to_the_type() {
        for t in ColumnType::ALL {
            assert_eq!(ColumnType::from_name(&t.to_string()), Some(t));
            assert_eq!(ColumnType::parameter_count(t.tag()), Some(t.parameters().len()), "{t}");
            assert_eq!(ColumnType::from_tag(t.tag(), &t.parameters()), Some(t));
        }
        assert_eq!(ColumnType::from_tag(TAG_GEOHASH, &[61]), None);
        assert_eq!(ColumnType::from_tag(TAG_DECIMAL, &[3, 4]), None);
        assert_eq!(ColumnType::parameter_count(99), None);
    }

    #[test]
    fn names_are_those_of_create_table() {
        for (name, shown) in [
            ("smallint", "SHORT"),
            ("double precision", "DOUBLE"),
            ("text", "STRING"),
            ("ipv4", "IPv4"),
            ("geohash( 12C )", "GEOHASH(12c)"),
            ("geohash(25b)", "GEOHASH(5c)"),
            ("decimal", "DECIMAL(18,3)"),
            ("decimal(7)", "DECIMAL(7,0)"),
            ("Decimal(76, 38)", "DECIMAL(76,38)"),
            ("double[][]", "DOUBLE[][]"),
        ] {
            assert_eq!(ColumnType::from_name(name).map(|t| t.to_string()).as_deref(), Some(shown), "{name}");
        }
        for name in
            ["geohash", "geohash(13c)", "geohash(0b)", "decimal(77)", "decimal(3,4)", "int[]", "numeric", "int4"]
        {
            assert_eq!(ColumnType::from_name(name), None, "{name}");
        }
    }
}
