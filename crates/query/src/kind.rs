//! The peer's types as an expression or a result column has them, and the Arrow type that carries each.
//!
//! Column types (what a table can store) are `types::ColumnType`; a kind adds those that only expressions have here:
//! NULL, BYTE, CHAR and FLOAT. Arrow alone cannot tell text types apart: the field metadata key `type` does.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
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
    Float,
    Double,
    String,
    Symbol,
    Varchar,
}

impl Kind {
    pub const ALL: [Kind; 14] = [
        Kind::Null,
        Kind::Boolean,
        Kind::Byte,
        Kind::Short,
        Kind::Char,
        Kind::Int,
        Kind::Long,
        Kind::Date,
        Kind::Timestamp,
        Kind::Float,
        Kind::Double,
        Kind::String,
        Kind::Symbol,
        Kind::Varchar,
    ];

    /// Returns the name in answers and error texts, e.g. `TIMESTAMP`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "NULL",
            Kind::Boolean => "BOOLEAN",
            Kind::Byte => "BYTE",
            Kind::Short => "SHORT",
            Kind::Char => "CHAR",
            Kind::Int => "INT",
            Kind::Long => "LONG",
            Kind::Date => "DATE",
            Kind::Timestamp => "TIMESTAMP",
            Kind::Float => "FLOAT",
            Kind::Double => "DOUBLE",
            Kind::String => "STRING",
            Kind::Symbol => "SYMBOL",
            Kind::Varchar => "VARCHAR",
        }
    }

    /// Returns the kind that a type name in CAST means, in any case; `x::float` is DOUBLE, see [`Kind::from_colon_name`].
    pub fn from_cast_name(name: &str) -> Option<Kind> {
        Some(match name.to_ascii_lowercase().as_str() {
            "boolean" => Kind::Boolean,
            "byte" => Kind::Byte,
            "short" | "smallint" => Kind::Short,
            "char" => Kind::Char,
            "int" | "integer" => Kind::Int,
            "long" | "bigint" => Kind::Long,
            "date" => Kind::Date,
            "timestamp" | "timestamp with time zone" => Kind::Timestamp,
            "float" | "real" => Kind::Float,
            "double" | "double precision" => Kind::Double,
            "string" | "text" | "bytea" => Kind::String,
            "symbol" => Kind::Symbol,
            "varchar" => Kind::Varchar,
            _ => return None,
        })
    }

    /// Returns the kind that a type name after `::` means: those of CAST and PostgreSQL's short names.
    pub fn from_colon_name(name: &str) -> Option<Kind> {
        Some(match name.to_ascii_lowercase().as_str() {
            "float" | "float8" => Kind::Double,
            "float4" => Kind::Float,
            "int2" => Kind::Short,
            "int4" => Kind::Int,
            "int8" => Kind::Long,
            other => return Kind::from_cast_name(other),
        })
    }

    /// Returns the Arrow type that carries values of the kind.
    pub fn arrow(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::Byte => DataType::Int8,
            Kind::Short => DataType::Int16,
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Date => DataType::Timestamp(TimeUnit::Millisecond, None),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::Null | Kind::Char | Kind::String | Kind::Symbol | Kind::Varchar => DataType::Utf8View,
        }
    }

    /// Returns the kind of a field: what its metadata says, else what its Arrow type suggests.
    pub fn of_field(field: &Field) -> Kind {
        let named = field.metadata().get(TYPE_KEY).and_then(|name| Kind::ALL.into_iter().find(|k| k.name() == name));
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
            DataType::Timestamp(..) => Kind::Timestamp,
            _ => Kind::String,
        }
    }

    /// Returns the metadata that marks a column as of this kind.
    pub fn metadata(self) -> FieldMetadata {
        FieldMetadata::from(BTreeMap::from([(TYPE_KEY.to_owned(), self.name().to_owned())]))
    }

    /// Returns a nullable field of this kind, marked with it.
    pub fn field(self, name: &str) -> Field {
        let metadata = [(TYPE_KEY.to_owned(), self.name().to_owned())].into();
        Field::new(name, self.arrow(), true).with_metadata(metadata)
    }

    /// Returns the NULL of the kind; false and 0 for those that have none.
    pub fn null(self) -> ScalarValue {
        match self {
            Kind::Boolean => ScalarValue::Boolean(Some(false)),
            Kind::Byte => ScalarValue::Int8(Some(0)),
            Kind::Short => ScalarValue::Int16(Some(0)),
            Kind::Int => ScalarValue::Int32(None),
            Kind::Long => ScalarValue::Int64(None),
            Kind::Date => ScalarValue::TimestampMillisecond(None, None),
            Kind::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
            Kind::Float => ScalarValue::Float32(None),
            Kind::Double => ScalarValue::Float64(None),
            Kind::Null | Kind::Char | Kind::String | Kind::Symbol | Kind::Varchar => ScalarValue::Utf8View(None),
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

    /// Returns whether values are moments: DATE, TIMESTAMP.
    pub fn is_time(self) -> bool {
        matches!(self, Kind::Date | Kind::Timestamp)
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
            ColumnType::Short => Kind::Short,
            ColumnType::Int => Kind::Int,
            ColumnType::Long => Kind::Long,
            ColumnType::Date => Kind::Date,
            ColumnType::Timestamp => Kind::Timestamp,
            ColumnType::Double => Kind::Double,
            ColumnType::String => Kind::String,
            ColumnType::Symbol => Kind::Symbol,
            ColumnType::Varchar => Kind::Varchar,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
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
