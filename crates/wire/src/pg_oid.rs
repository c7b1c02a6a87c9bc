//! Object ids of the PostgreSQL types that appear on the wire, with their sizes.

pub const BOOL: u32 = 16;
pub const BYTEA: u32 = 17;
pub const INT8: u32 = 20;
pub const INT2: u32 = 21;
pub const INT4: u32 = 23;
pub const TEXT: u32 = 25;
pub const FLOAT4: u32 = 700;
pub const FLOAT8: u32 = 701;
pub const TEXT_ARRAY: u32 = 1009;
pub const VARCHAR_ARRAY: u32 = 1015;
pub const INT2_ARRAY: u32 = 1005;
pub const INT4_ARRAY: u32 = 1007;
pub const INT8_ARRAY: u32 = 1016;
pub const FLOAT4_ARRAY: u32 = 1021;
pub const FLOAT8_ARRAY: u32 = 1022;
pub const BPCHAR: u32 = 1042;
pub const VARCHAR: u32 = 1043;
pub const DATE: u32 = 1082;
pub const TIMESTAMP: u32 = 1114;
pub const TIMESTAMPTZ: u32 = 1184;
pub const NUMERIC: u32 = 1700;
pub const UUID: u32 = 2950;

/// Returns the size in bytes that a row description states, -1 for a type of varying length.
pub fn size(oid: u32) -> i16 {
    match oid {
        BOOL => 1,
        INT2 => 2,
        INT4 | FLOAT4 | DATE => 4,
        INT8 | FLOAT8 | TIMESTAMP | TIMESTAMPTZ => 8,
        UUID => 16,
        _ => -1,
    }
}

/// Returns the modifier that a row description states: CHAR is one character (and a length of 4), the rest have none.
pub fn modifier(oid: u32) -> i32 {
    if oid == BPCHAR { 5 } else { -1 }
}

/// Returns QuestDB's name of the type that a parameter of this object id is read as, for messages.
pub fn type_name(oid: u32) -> &'static str {
    match oid {
        BOOL => "BOOLEAN",
        BYTEA => "BINARY",
        INT8 => "LONG",
        INT2 => "SHORT",
        INT4 => "INT",
        FLOAT4 => "FLOAT",
        FLOAT8 => "DOUBLE",
        NUMERIC => "DECIMAL",
        INT2_ARRAY | INT4_ARRAY | INT8_ARRAY | FLOAT4_ARRAY | FLOAT8_ARRAY => "DOUBLE[]",
        BPCHAR => "CHAR",
        DATE => "DATE",
        TIMESTAMP | TIMESTAMPTZ => "TIMESTAMP",
        UUID => "UUID",
        _ => "VARCHAR",
    }
}
