//! The peer's types as an expression or a result column has them, and the Arrow type that carries each.
//!
//! Column types (what a table can store) are `types::ColumnType`; a kind adds NULL, which only expressions have.
//! Arrow alone cannot tell all of them apart: the field metadata key `type` does.

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;
use types::ColumnType;

/// The one metadata key by which a field names its kind.
pub const TYPE_KEY: &str = "type";

/// The type of an expression or a result column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The type of a bare NULL; shown to clients as STRING.
    Null,
    Boolean,
    Byte,
    Short,
    /// One UTF-16 unit, carried as text.
    Char,
    Int,
    Long,
    Date,
    Timestamp,
    TimestampNs,
    Float,
    Double,
    String,
    Symbol,
    Varchar,
    /// Carried as 16 big-endian bytes.
    Uuid,
    /// Carried as a number of 32 bits.
    Ipv4,
    /// Carried as 32 big-endian bytes.
    Long256,
    Binary,
    /// So many bits, in the low bits of an i64.
    Geohash(u8),
    /// DOUBLEs in so many dimensions.
    Array(u8),
    /// Digits, and how many of them are behind the point.
    Decimal(u8, u8),
}

impl Kind {
    /// Every kind, those with parameters at one of them.
    pub const ALL: [Kind; 22] = [
        Kind::Null,
        Kind::Boolean,
        Kind::Byte,
        Kind::Short,
        Kind::Char,
        Kind::Int,
        Kind::Long,
        Kind::Date,
        Kind::Timestamp,
        Kind::TimestampNs,
        Kind::Float,
        Kind::Double,
        Kind::String,
        Kind::Symbol,
        Kind::Varchar,
        Kind::Uuid,
        Kind::Ipv4,
        Kind::Long256,
        Kind::Binary,
        Kind::Geohash(30),
        Kind::Array(1),
        Kind::Decimal(18, 3),
    ];

    /// Returns the name in answers and error texts, e.g. `TIMESTAMP`, `DECIMAL(18,3)`.
    pub fn name(self) -> String {
        self.column_type().map_or_else(|| "NULL".to_owned(), |t| t.to_string())
    }

    /// Returns the kind of that name, in any case.
    pub fn of_name(name: &str) -> Option<Kind> {
        if name.eq_ignore_ascii_case("NULL") { Some(Kind::Null) } else { ColumnType::from_name(name).map(Kind::from) }
    }

    /// Returns the type of a column that stores values of the kind; None for a bare NULL.
    pub fn column_type(self) -> Option<ColumnType> {
        Some(match self {
            Kind::Null => return None,
            Kind::Boolean => ColumnType::Boolean,
            Kind::Byte => ColumnType::Byte,
            Kind::Short => ColumnType::Short,
            Kind::Char => ColumnType::Char,
            Kind::Int => ColumnType::Int,
            Kind::Long => ColumnType::Long,
            Kind::Date => ColumnType::Date,
            Kind::Timestamp => ColumnType::Timestamp,
            Kind::TimestampNs => ColumnType::TimestampNs,
            Kind::Float => ColumnType::Float,
            Kind::Double => ColumnType::Double,
            Kind::String => ColumnType::String,
            Kind::Symbol => ColumnType::Symbol,
            Kind::Varchar => ColumnType::Varchar,
            Kind::Uuid => ColumnType::Uuid,
            Kind::Ipv4 => ColumnType::Ipv4,
            Kind::Long256 => ColumnType::Long256,
            Kind::Binary => ColumnType::Binary,
            Kind::Geohash(bits) => ColumnType::Geohash(bits),
            Kind::Array(dims) => ColumnType::Array(dims),
            Kind::Decimal(precision, scale) => ColumnType::Decimal { precision, scale },
        })
    }

    /// Returns the kind that a type name in CAST means, in any case; `x::float` is DOUBLE, see [`Kind::from_colon_name`].
    pub fn from_cast_name(name: &str) -> Option<Kind> {
        match name.to_ascii_lowercase().as_str() {
            "timestamp with time zone" => Some(Kind::Timestamp),
            name => ColumnType::from_name(name).map(Kind::from),
        }
    }

    /// Returns the kind that a type name after `::` means: those of CAST and PostgreSQL's short names.
    pub fn from_colon_name(name: &str) -> Option<Kind> {
        Some(match name.to_ascii_lowercase().as_str() {
            "float" | "float8" => Kind::Double,
            "float4" => Kind::Float,
            "int2" => Kind::Short,
            "int4" => Kind::Int,
            "int8" => Kind::Long,
            "numeric" => Kind::Decimal(76, 38),
            other => return Kind::from_cast_name(decimal_of_numeric(other).as_deref().unwrap_or(other)),
        })
    }

    /// Returns the Arrow type that carries values of the kind.
    pub fn arrow(self) -> DataType {
        match self.column_type() {
            None | Some(ColumnType::Char | ColumnType::String | ColumnType::Symbol | ColumnType::Varchar) => {
                DataType::Utf8View
            }
            Some(stored) => storage::arrow_type(stored),
        }
    }

    /// Returns the kind of a field: what its metadata says, else what its Arrow type suggests.
    pub fn of_field(field: &Field) -> Kind {
        let named = field.metadata().get(TYPE_KEY).and_then(|name| Kind::of_name(name));
        named.unwrap_or_else(|| Kind::of_arrow(field.data_type()))
    }

    /// Returns the kind that values of an Arrow type have when nothing else is known.
    pub fn of_arrow(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Boolean,
            DataType::Int8 => Kind::Byte,
            DataType::Int16 | DataType::UInt8 => Kind::Short,
            DataType::Int32 | DataType::UInt16 => Kind::Int,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Kind::Long,
            DataType::Float32 => Kind::Float,
            DataType::Float64 => Kind::Double,
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date32 | DataType::Date64 => Kind::Date,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Kind::TimestampNs,
            DataType::Timestamp(..) => Kind::Timestamp,
            DataType::FixedSizeBinary(16) => Kind::Uuid,
            DataType::FixedSizeBinary(32) => Kind::Long256,
            DataType::Binary => Kind::Binary,
            DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => Kind::Decimal(*p, u8::try_from(*s).unwrap_or(0)),
            DataType::List(item) => match Kind::of_arrow(item.data_type()) {
                Kind::Array(dims) => Kind::Array(dims + 1),
                _ => Kind::Array(1),
            },
            _ => Kind::String,
        }
    }

    /// Returns a nullable field of this kind, marked with it.
    pub fn field(self, name: &str) -> Field {
        let metadata = [(TYPE_KEY.to_owned(), self.name())].into();
        Field::new(name, self.arrow(), true).with_metadata(metadata)
    }

    /// Returns the NULL of the kind; false and 0 for those that have none.
    pub fn null(self) -> ScalarValue {
        match self {
            Kind::Boolean => ScalarValue::Boolean(Some(false)),
            Kind::Byte => ScalarValue::Int8(Some(0)),
            Kind::Short => ScalarValue::Int16(Some(0)),
            kind => ScalarValue::try_from(kind.arrow()).unwrap_or(ScalarValue::Null),
        }
    }

    /// Returns whether a value of the kind can be NULL.
    pub fn is_nullable(self) -> bool {
        !matches!(self, Kind::Boolean | Kind::Byte | Kind::Short)
    }

    /// Returns whether values are text of any length: STRING, SYMBOL, VARCHAR.
    pub fn is_text(self) -> bool {
        matches!(self, Kind::String | Kind::Symbol | Kind::Varchar)
    }

    /// Returns whether values are whole numbers: BYTE, SHORT, INT, LONG.
    pub fn is_integer(self) -> bool {
        matches!(self, Kind::Byte | Kind::Short | Kind::Int | Kind::Long)
    }

    /// Returns whether values are numbers.
    pub fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Kind::Float | Kind::Double)
    }

    /// Returns whether values are moments: DATE, TIMESTAMP, TIMESTAMP_NS.
    pub fn is_time(self) -> bool {
        matches!(self, Kind::Date | Kind::Timestamp | Kind::TimestampNs)
    }

    /// Returns whether values can be a designated timestamp: TIMESTAMP, TIMESTAMP_NS.
    pub fn is_timestamp(self) -> bool {
        matches!(self, Kind::Timestamp | Kind::TimestampNs)
    }

    /// Returns the kind that clients see: a bare NULL is a STRING.
    pub fn shown(self) -> Kind {
        if self == Kind::Null { Kind::String } else { self }
    }
}

impl From<ColumnType> for Kind {
    fn from(column: ColumnType) -> Kind {
        match column {
            ColumnType::Boolean => Kind::Boolean,
            ColumnType::Byte => Kind::Byte,
            ColumnType::Short => Kind::Short,
            ColumnType::Char => Kind::Char,
            ColumnType::Int => Kind::Int,
            ColumnType::Long => Kind::Long,
            ColumnType::Date => Kind::Date,
            ColumnType::Timestamp => Kind::Timestamp,
            ColumnType::TimestampNs => Kind::TimestampNs,
            ColumnType::Float => Kind::Float,
            ColumnType::Double => Kind::Double,
            ColumnType::String => Kind::String,
            ColumnType::Symbol => Kind::Symbol,
            ColumnType::Varchar => Kind::Varchar,
            ColumnType::Uuid => Kind::Uuid,
            ColumnType::Ipv4 => Kind::Ipv4,
            ColumnType::Long256 => Kind::Long256,
            ColumnType::Binary => Kind::Binary,
            ColumnType::Geohash(bits) => Kind::Geohash(bits),
            ColumnType::Array(dims) => Kind::Array(dims),
            ColumnType::Decimal { precision, scale } => Kind::Decimal(precision, scale),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// Returns the name here of PostgreSQL's `numeric(precision, scale)`, both in lower case; None for any other name.
pub fn decimal_of_numeric(name: &str) -> Option<String> {
    name.strip_prefix("numeric(").map(|sizes| format!("decimal({sizes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_tells_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_field(&kind.field("c")), kind);
        }
        assert_eq!(Kind::of_field(&Field::new("c", DataType::Utf8View, true)), Kind::String);
    }

    #[test]
    fn names_differ_between_cast_and_colons() {
        assert_eq!(Kind::from_cast_name("FLOAT"), Some(Kind::Float));
        assert_eq!(Kind::from_colon_name("float"), Some(Kind::Double));
        assert_eq!(Kind::from_cast_name("int4"), None);
        assert_eq!(Kind::from_colon_name("number"), None);
    }
}
