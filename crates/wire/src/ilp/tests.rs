//! The answers of QuestDB 9.3.4 to lines, good and bad, and properties that hold for any bytes.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;
use types::{ColumnDef, ColumnId, ColumnType, PartitionBy, Schema, TableName};

use super::rows::{NewColumn, Options, Rows, TableRows, read_request};
use super::{Field, Line, LineError, Moment, Parser, Unit, Value};

const NOW_US: i64 = 1_000_000;

/// Every column type, named by its first letters, in the table `c1` with the designated timestamp `t`.
fn c1() -> Arc<Schema> {
    let columns = [
        ("bo", ColumnType::Boolean),
        ("sh", ColumnType::Short),
        ("i", ColumnType::Int),
        ("l", ColumnType::Long),
        ("db", ColumnType::Double),
        ("st", ColumnType::String),
        ("vc", ColumnType::Varchar),
        ("sy", ColumnType::Symbol),
        ("d", ColumnType::Date),
        ("ts", ColumnType::Timestamp),
        ("t", ColumnType::Timestamp),
    ];
    let def = |(i, (name, column_type)): (usize, &(&str, ColumnType))| {
        ColumnDef::new(ColumnId(i as u32), *name, *column_type)
    };
    let columns = columns.iter().enumerate().map(def).collect();
    Arc::new(Schema::new(columns, Some(ColumnId(10)), PartitionBy::Day, true))
}

/// The types that lines cannot make, and those of later versions, named likewise, in the table `c2`.
fn c2() -> Arc<Schema> {
    let columns = [
        ("by", ColumnType::Byte),
        ("ch", ColumnType::Char),
        ("f", ColumnType::Float),
        ("tn", ColumnType::TimestampNs),
        ("u", ColumnType::Uuid),
        ("ip", ColumnType::Ipv4),
        ("l2", ColumnType::Long256),
        ("g", ColumnType::Geohash(20)),
        ("bi", ColumnType::Binary),
        ("da", ColumnType::Array(1)),
        ("d2", ColumnType::Array(2)),
        ("de", ColumnType::Decimal { precision: 18, scale: 3 }),
        ("dx", ColumnType::Decimal { precision: 4, scale: 0 }),
        ("t", ColumnType::TimestampNs),
    ];
    let columns: Vec<_> =
        (0..).zip(&columns).map(|(i, (name, column_type))| ColumnDef::new(ColumnId(i), *name, *column_type)).collect();
    Arc::new(Schema::new(columns, Some(ColumnId(13)), PartitionBy::Day, true))
}

fn find(name: &str) -> Option<(TableName, Arc<Schema>)> {
    let schema = c1();
    match name.to_lowercase().as_str() {
        "c1" => Some((TableName::new("c1").unwrap(), schema)),
        "c2" => Some((TableName::new("c2").unwrap(), c2())),
        "nw" => Some((TableName::new("nw").unwrap(), Arc::new(Schema { wal: false, ..(*schema).clone() }))),
        _ => None,
    }
}

fn read(body: &str) -> Result<Vec<TableRows>, LineError> {
    read_request(body.as_bytes(), Unit::Nanos, NOW_US, Options::default(), find)
}

fn refused(body: &str, line: usize, message: &str) {
    let got = read(body).map(|_| ()).unwrap_err();
    assert_eq!(got, LineError { line, message: message.to_owned() }, "{body:?}");
}

/// Shows the rows of a table, designated timestamp first.
fn show(table: TableRows) -> String {
    let ids: Vec<ColumnId> = (100..).map(ColumnId).take(table.new_columns.len()).collect();
    let rows = table.rows();
    let batch = table.into_batch(&ids).unwrap();
    (0..rows)
        .map(|row| {
            let cells: Vec<String> = batch.columns().iter().map(|c| show_cell(&c.data, row)).collect();
            cells.join("|")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn show_cell(data: &types::ColumnData, row: usize) -> String {
    use types::ColumnData::*;
    match data {
        Boolean(v) => v[row].to_string(),
        I16(v) => v[row].to_string(),
        I32(v) if v[row] == i32::MIN => "null".to_owned(),
        I32(v) => v[row].to_string(),
        I64(v) if v[row] == i64::MIN => "null".to_owned(),
        I64(v) => v[row].to_string(),
        F64(v) if v[row].is_nan() => "null".to_owned(),
        F64(v) => v[row].to_string(),
        Str(v) => v.get(row).map_or("null".to_owned(), |t| format!("{t:?}")),
        Symbol(v) => v.get(row).map_or("null".to_owned(), |t| format!("`{t}`")),
        I8(v) => v[row].to_string(),
        U16(v) => format!("{:?}", char::from_u32(u32::from(v[row]))),
        U32(v) => format!("{}", std::net::Ipv4Addr::from_bits(v[row])),
        F32(v) => v[row].to_string(),
        Fixed16(v) => format!("{:02x?}", &v[row][14..]),
        Fixed32(v) => format!("{:02x?}", &v[row][29..]),
        Decimal128(v) if v[row] == i128::MIN => "null".to_owned(),
        Decimal128(v) => v[row].to_string(),
        Decimal256(v) => format!("{:02x?}", &v[row][30..]),
        Binary(_) => "binary".to_owned(),
        Array(v) => v.get(row).map_or("null".to_owned(), |(shape, values)| format!("{shape:?}{values:?}")),
    }
}

fn accepted(body: &str, expected: &str) {
    let shown: Vec<String> = read(body).unwrap_or_else(|e| panic!("{body:?}: {e}")).into_iter().map(show).collect();
    assert_eq!(shown.join(" / "), expected, "{body:?}");
}

#[test]
fn rows_with_every_kind_of_value() {
    accepted(
        "t1,s=x\\ y a=1,b=2i,c=\"q\\\"q\\\\z\\n\",d=t,e=5t,f=6000n 1704067200000000000\n",
        "1704067200000000|`x y`|1|2|\"q\\\"q\\\\zn\"|true|5|6000",
    );
    accepted("a b=1", "1000000|1");
    accepted("a b=1\r\n\r\na b=2 5000\r", "1000000|1\n5|2");
    accepted("a,t= b=1 0\n", "0|``|1");
    accepted("a,t=\" b=1 0\na,t=\\\"x b=2 0\na,t=a\\tb b=3 0\n", "0|`\"`|1\n0|`\"x`|2\n0|`atb`|3");
    accepted("a,x\\ y=p\\,q v=1 0\n", "0|`p,q`|1");
    accepted("a b=\"x\\\ny\" 0\n", "0|\"x\\ny\"");
    accepted("a,b=x\\\ny c=1i 0\n", "0|`x\ny`|1");
    accepted("é ü=\"ñ\" 0\n", "0|\"ñ\"");
    accepted("a b=1, 5000\n", "5|1");
    accepted("a, b=1 5000\na,c=1  6000\na,c=2 \n", "5|1|null\n6|null|`1`\n1000000|null|`2`");
    accepted("\n\n\r\n", "");
}

/// What stands behind tags and one blank, and has no equals sign, is the timestamp.
#[test]
fn rows_of_tags_alone() {
    accepted("a,s=x 5000\na,s=y 6t\na,s=z 7000n\n", "5|`x`\n6|`y`\n7|`z`");
    accepted("a,s=x,t=y 5000", "5|`x`|`y`");
    accepted("a,s= 5000\r\na,s=p\\ q 6000\n", "5|``\n6|`p q`");
    accepted("a,s=x 5000\na,s=y v=1 6000\na,s=z\n", "5|`x`|null\n6|`y`|1\n1000000|`z`|null");
    refused("a,s=x abc", 1, "Could not parse timestamp: abc");
    refused("a,s=x 5 6", 1, "Could not parse entire line. Field value is missing: 5");
    refused("a,s=x v=1,c 5", 1, "Could not parse entire line. Field value is missing: c");
    refused("a 5000", 1, "Could not parse entire line. Field value is missing: 5000");
}

#[test]
fn one_name_counts_once_in_any_case() {
    accepted("a,b=1 b=2 0\n", "0|`1`");
    accepted("a b=1,B=2 0\na B=3 0\n", "0|1\n0|3");
    accepted("c1 L=5i,l=6i 0\nC1 l=7i 0\n", "0|5\n0|7");
}

#[test]
fn rows_without_a_column_hold_null_there() {
    accepted("a x=1 0\na y=\"b\" 0\na x=2,z=t 0\n", "0|1|null|false\n0|null|\"b\"|false\n0|2|null|true");
    accepted("a x=1 0\nb x=2 0\na x=3 0\n", "0|1\n0|3 / 0|2");
}

#[test]
fn new_tables_list_their_columns_with_the_timestamp_last() {
    let names = |body: &str| {
        let table = read(body).unwrap().remove(0);
        let names: Vec<_> =
            table.new_columns.iter().map(|c: &NewColumn| format!("{} {}", c.name, c.column_type)).collect();
        (names.join(","), table.new_designated)
    };
    let expected = "h SYMBOL,v DOUBLE,timestamp TIMESTAMP,w VARCHAR";
    assert_eq!(names("a,h=x v=1 0\na w=\"x\" 0\n"), (expected.to_owned(), Some(2)));
    assert_eq!(names("a v=1,timestamp=5t 0\n"), ("v DOUBLE,timestamp TIMESTAMP".to_owned(), Some(1)));
    assert_eq!(names("c1 l=1i,n=2i 0\n"), ("n LONG".to_owned(), None));
}

#[test]
fn designated_timestamps() {
    accepted("a b=1,timestamp=5t 7000\n", "5|1");
    accepted("c1 l=1i,t=5n\n", "0|1");
    accepted("a b=1 1704067200000000t\na b=2 5m\n", "1704067200000000|1\n5000|2");
    accepted("a b=1 -9223372036854775808\n", "1000000|1");
    accepted("c1 l=1i 253402300799999999t\n", "253402300799999999|1");
    let before = "designated timestamp before 1970-01-01 is not allowed";
    refused("z b=1 -5\n", 1, &format!("table: z, timestamp: -5; {before}"));
    refused("z b=1 -5t\n", 1, &format!("table: z, timestamp: -5; {before}"));
    refused("c1 l=1i,t=-5t\n", 1, &format!("table: c1, timestamp: -5; {before}"));
    let beyond = "designated timestamp beyond 9999-12-31 is not allowed";
    refused("z b=1 253402300800000000t\n", 1, &format!("table: z, timestamp: 253402300800000000; {beyond}"));
    for (value, kind) in [("5i", "INTEGER"), ("1.5", "FLOAT"), ("\"2024-01-01\"", "STRING"), ("", "NULL")] {
        let expected = format!("table: c1, column: t; cast error from protocol type: {kind} to column type: TIMESTAMP");
        refused(&format!("c1 t={value},l=1i\n"), 1, &expected);
    }
}

#[test]
fn lines_that_do_not_parse() {
    let missing = "Could not parse entire line. Field value is missing: ";
    let invalid = "Could not parse entire line, field value is invalid. Field: b; value: ";
    for line in ["a", "a ", "  ", "du=x a=1 1", "ee\ta=1 5"] {
        refused(line, 1, "No fields were provided");
    }
    refused("a b", 1, &format!("{missing}b"));
    refused("a b=1,c 5", 1, &format!("{missing}c"));
    refused("a b=1,,c=2", 1, &format!("{missing}b"));
    refused("# comment", 1, &format!("{missing}comment"));
    refused("a,t b=1", 1, "Could not parse entire line. Symbol value is missing: t");
    refused("a,,b=1 c=1", 1, "Could not parse entire line. Symbol value is missing: ");
    refused("a,=x b=1", 1, "INCOMPLETE_TAG");
    refused("a =1", 1, "INCOMPLETE_FIELD");
    refused("a b=x", 1, &format!("{invalid}x"));
    refused("a b=\"x", 1, invalid);
    refused("a b=\"l1\nl2\" 1", 1, invalid);
    refused("a b=\"x\"y", 1, &format!("{invalid}\"x\"y"));
    refused("a b=1\\ 5", 1, &format!("{invalid}1 5"));
    refused("a b==1", 1, "UNSUPPORTED_BINARY_FORMAT");
    for line in ["a b=1=2 5", "a b=1 5 6", "a b=1 5 ", "a b=1  5", "a  b=1 5", "a b=1, c=2", "a,t=b=c d=1"] {
        refused(line, 1, "INVALID_FIELD_SEPARATOR");
    }
    for bad in ["x", "12x", "1.5", "99999999999999999999", "\"y\""] {
        refused(&format!("a b=1 {bad}"), 1, &format!("Could not parse timestamp: {bad}"));
    }
    refused("a/b c=1", 1, "INVALID_TABLE_NAME");
}

#[test]
fn errors_count_lines_that_hold_something() {
    refused("a v=1 1\n\n\r\na v=x 1\n", 2, "Could not parse entire line, field value is invalid. Field: v; value: x");
    refused(
        "a v=1 1\na v=\"x\" 2\n",
        2,
        "table: a, column: v; cast error from protocol type: STRING to column type: DOUBLE",
    );
}

#[test]
fn names_that_cannot_be() {
    refused(" a=1", 1, "table: ; invalid table name");
    refused(".a b=1 5", 1, "table: .a; invalid table name");
    refused("z\\,b v=1", 1, "table: z,b; invalid table name");
    refused("z b.c=1 5", 1, "table: z; invalid column name: b.c");
    refused("z \"\"=2 5", 1, "table: z; invalid column name: \"\"");
    refused("z b=", 1, "table: z; invalid column type: b");
    refused("z b=1.5d", 1, "table: z; decimal columns must be created manually: b");
    refused("nw i=5i", 1, "table: nw; cannot insert in non-WAL table");
}

#[test]
fn bytes_that_are_not_text_are_refused_on_their_line() {
    let body = b"a v=1 1\nb s=\"\xff\" 1\n";
    let error = read_request(body, Unit::Nanos, 0, Options::default(), find).map(|_| ()).unwrap_err();
    assert_eq!(error.line, 2);
    let error = read_request(b"a v=1 1\n\xff\n", Unit::Nanos, 0, Options::default(), find).map(|_| ()).unwrap_err();
    assert_eq!(error.line, 2);
}

/// The whole table of kinds and column types: what the peer stored, or its refusal.
#[test]
fn conversions() {
    let refusal = |column: &str, value: &str, kind: &str, name: &str| {
        let expected =
            format!("table: c1, column: {column}; cast error from protocol type: {kind} to column type: {name}");
        refused(&format!("c1 {column}={value} 0\n"), 1, &expected);
    };
    for (column, value, stored) in [
        ("sh", "-32768i", "-32768"),
        ("sh", "t", "1"),
        ("sh", "-9223372036854775808i", "0"),
        ("i", "70000i", "70000"),
        ("i", "-2147483648i", "null"),
        ("i", "-9223372036854775808i", "null"),
        ("l", "f", "0"),
        ("l", "nulli", "null"),
        ("db", "5000000000i", "5000000000"),
        ("db", "t", "1"),
        ("db", "NaN", "null"),
        ("db", "nulli", "null"),
        ("st", "\"\"", "\"\""),
        ("vc", "\"true\"", "\"true\""),
        ("sy", "1.5", "`1.5`"),
        ("sy", "-9223372036854775808i", "`-9223372036854775808`"),
        ("sy", "t", "`t`"),
        ("sy", "5n", "`5`"),
        ("sy", "\"x\"", "`x`"),
        ("sy", "", "null"),
        ("d", "-1i", "-1"),
        ("d", "1704067200000123t", "1704067200000"),
        ("d", "1704067200000123456n", "1704067200000"),
        ("ts", "-315619200000000t", "-315619200000000"),
        ("ts", "5i", "5"),
        ("bo", "", "false"),
        ("vc", "", "null"),
    ] {
        accepted(&format!("c1 {column}={value} 0\n"), &format!("0|{stored}"));
    }
    for (column, name) in [("bo", "BOOLEAN"), ("sh", "SHORT"), ("i", "INT"), ("l", "LONG"), ("st", "STRING")] {
        refusal(column, "1.5", "FLOAT", name);
        refusal(column, "5t", "TIMESTAMP", name);
    }
    for (column, name) in [("bo", "BOOLEAN"), ("i", "INT"), ("db", "DOUBLE"), ("d", "DATE"), ("ts", "TIMESTAMP")] {
        refusal(column, "\"5\"", "STRING", name);
        let tag = format!("table: c1, column: {column}; cast error from protocol type: TAG to column type: {name}");
        refused(&format!("c1,{column}=5 l=1i 0\n"), 1, &tag);
    }
    refusal("bo", "1i", "INTEGER", "BOOLEAN");
    refusal("bo", "nulli", "INTEGER", "BOOLEAN");
    refusal("vc", "1i", "INTEGER", "VARCHAR");
    refusal("d", "t", "BOOLEAN", "DATE");
    let bounds = "line protocol value: 70000 is out bounds of column type: SHORT";
    refused("c1 sh=70000i 0\n", 1, &format!("table: c1, column: sh; {bounds}"));
    accepted("c1,st=x,vc=y,sy=z l=1i 0\n", "0|\"x\"|\"y\"|`z`|1");
}

#[test]
fn what_is_switched_off_is_refused() {
    let options = Options { create_tables: false, create_columns: false, ..Options::default() };
    let read = |body: &str| read_request(body.as_bytes(), Unit::Nanos, 0, options, find).map(|_| ());
    assert!(read("new v=1 0\n").unwrap_err().message.contains("line.auto.create.new.tables"));
    assert!(read("c1 new=1 0\n").unwrap_err().message.contains("line.auto.create.new.columns"));
    assert_eq!(read("c1 l=1i 0\n"), Ok(()));
}

/// Writes a token with every byte escaped that would end it.
fn escape(text: &str, quoted: bool) -> String {
    let special: &[char] = if quoted { &['"', '\\', '\n'] } else { &['"', '\\', '\n', '\r', ',', '=', ' '] };
    text.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

fn write_line(line: &Line<'_>) -> String {
    let mut out = escape(&line.table, false);
    for field in line.fields.iter().filter(|f| f.value == Value::Tag) {
        out += &format!(",{}={}", escape(&field.name, false), escape(&field.text, false));
    }
    let mut separator = ' ';
    for field in line.fields.iter().filter(|f| f.value != Value::Tag) {
        let quoted = field.value == Value::Text;
        let text = escape(&field.text, quoted);
        let text = if quoted { format!("\"{text}\"") } else { text };
        out += &format!("{separator}{}={text}", escape(&field.name, false));
        separator = ',';
    }
    if let Some(moment) = line.timestamp {
        out += &format!(" {}{}", moment.count, if moment.unit == Unit::Micros { "t" } else { "n" });
    }
    out + "\n"
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-zé ,=\"\\\\]{1,6}"
}

fn any_field() -> impl Strategy<Value = Field<'static>> {
    let value = prop_oneof![
        any::<i64>().prop_map(|v| format!("{v}i")),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| format!("{v:e}")),
        any::<i64>().prop_map(|v| format!("{v}t")),
        any::<i64>().prop_map(|v| format!("{v}n")),
        any::<bool>().prop_map(|v| v.to_string()),
        Just(String::new()),
    ];
    let unquoted = (any_name(), value).prop_map(|(name, text)| {
        let value = Value::parse(&text).expect("made to be right");
        Field { name: Cow::Owned(name), text: Cow::Owned(text), value, bytes: &[] }
    });
    let quoted = (any_name(), "[a-zé ,=\"\\\\\n]{0,8}").prop_map(|(name, text)| Field {
        name: Cow::Owned(name),
        text: Cow::Owned(text),
        value: Value::Text,
        bytes: &[],
    });
    prop_oneof![unquoted, quoted]
}

fn any_tag() -> impl Strategy<Value = Field<'static>> {
    (any_name(), "[a-zé ,=\"\\\\\n]{0,8}").prop_map(|(name, text)| Field {
        name: Cow::Owned(name),
        text: Cow::Owned(text),
        value: Value::Tag,
        bytes: &[],
    })
}

fn any_line() -> impl Strategy<Value = Line<'static>> {
    let tags = prop::collection::vec(any_tag(), 0..3);
    let fields = prop::collection::vec(any_field(), 1..4);
    let timestamp = prop::option::of((-9_000_000_000_000_000_000i64..i64::MAX, any::<bool>()));
    (any_name(), tags, fields, timestamp).prop_map(|(table, tags, fields, timestamp)| Line {
        number: 1,
        table: Cow::Owned(table),
        fields: tags.into_iter().chain(fields).collect(),
        says_nanos: timestamp.is_some_and(|(_, micros)| !micros),
        timestamp: timestamp
            .map(|(count, micros)| Moment { count, unit: if micros { Unit::Micros } else { Unit::Nanos } }),
    })
}

/// Reads a request without looking at what its lines have in common.
fn read_one_by_one(body: &[u8]) -> Result<Vec<TableRows>, LineError> {
    let mut rows = Rows::new(Options::default(), NOW_US, find);
    let mut parser = Parser::new(body, Unit::Nanos);
    let mut line = Line::default();
    while parser.next_line(&mut line)? {
        rows.add(&line)?;
    }
    Ok(rows.into_tables())
}

fn check_alike(body: &[u8]) {
    let show = |tables: Vec<TableRows>| {
        let made: Vec<_> = tables.iter().map(|t| (t.new_columns.clone(), t.new_designated)).collect();
        (made, tables.into_iter().map(show).collect::<Vec<_>>())
    };
    let text = String::from_utf8_lossy(body);
    let read = read_request(body, Unit::Nanos, NOW_US, Options::default(), find).map(show);
    assert_eq!(read, read_one_by_one(body).map(show), "{text}");
}

/// A value of any kind, most often of the kind that is usual in its place.
fn any_value(usual: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let rare = prop_oneof![
        Just("".to_owned()),
        Just("nulli".to_owned()),
        Just("NaN".to_owned()),
        Just("t".to_owned()),
        Just("\"a b\"".to_owned()),
        Just("\"a\\\"b\"".to_owned()),
        Just("\"a".to_owned()),
        Just("a\\,b".to_owned()),
        Just("é".to_owned()),
        Just("5t".to_owned()),
        Just("1_0i".to_owned()),
        Just("a=b".to_owned()),
        Just("0x1fi".to_owned()),
        Just("99999999999999999999i".to_owned()),
        Just("-1.5e300".to_owned()),
        Just("1\t2".to_owned()),
    ];
    let binary = any::<f64>().prop_map(|value| [&b"=\x10"[..], &value.to_le_bytes()].concat());
    prop_oneof![60 => usual.prop_map(String::into_bytes), 4 => rare.prop_map(String::into_bytes), 1 => binary]
}

/// Lines of a few shapes, of tables that are there and one that is not.
fn lines_alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = (
        prop_oneof![8 => Just("c1"), 2 => Just("C1"), 4 => Just("new"), 1 => Just("c2"), 1 => Just("nw")],
        prop_oneof![9 => Just(true), 1 => Just(false)],
        any_value("[a-z]{1,12}"),
        any_value("-?[0-9]{1,9}(\\.[0-9]{1,9})?"),
        any_value("-?[0-9]{1,19}i"),
        any_value("\"[a-z ,=]{0,9}\""),
        prop_oneof![20 => " [0-9]{1,19}", 2 => " [0-9]{1,16}[tnm]", 1 => Just(String::new()), 1 => Just(" x".to_owned())],
        prop_oneof![30 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just(" \n")],
    );
    let written = line.prop_map(|(table, with_text, tag, float, long, text, time, end)| {
        let mut line = [table.as_bytes(), b",sy=", &tag, b" db=", &float, b",l=", &long].concat();
        if with_text {
            line.extend([&b",vc="[..], &text].concat());
        }
        [line, time.into_bytes(), end.as_bytes().to_vec()].concat()
    });
    prop::collection::vec(written, 0..12)
}

proptest! {
    /// Reading lines by the shape of those before them finds the same rows, and the same first error.
    #[test]
    fn lines_alike_mean_what_each_means_alone(lines in lines_alike(), cut in 0usize..4_000) {
        let body = lines.concat();
        check_alike(&body);
        check_alike(&body[..cut.min(body.len())]);
        let good: Vec<u8> = lines.into_iter().filter(|line| read_one_by_one(line).is_ok()).flatten().collect();
        check_alike(&good);
    }

    #[test]
    fn written_lines_read_back(lines in prop::collection::vec(any_line(), 1..4)) {
        let text: String = lines.iter().map(write_line).collect();
        let mut parser = Parser::new(text.as_bytes(), Unit::Seconds);
        let mut read = Line::default();
        for (i, line) in lines.iter().enumerate() {
            prop_assert_eq!(parser.next_line(&mut read), Ok(true), "{}", text);
            prop_assert_eq!(&read, &Line { number: i + 1, ..line.clone() }, "{}", text);
        }
        prop_assert_eq!(parser.next_line(&mut read), Ok(false));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_request(&body, Unit::Nanos, 0, Options::default(), find);
    }

    #[test]
    fn any_mix_of_special_bytes_is_read_or_refused(body in "[ac1lt,= \"\\\\\n\r0-9.eindé-]{0,80}") {
        let tables = read_request(body.as_bytes(), Unit::Nanos, 0, Options::default(), find);
        for table in tables.into_iter().flatten() {
            let ids: Vec<ColumnId> = (100..).map(ColumnId).take(table.new_columns.len()).collect();
            let rows = table.rows();
            prop_assert_eq!(table.into_batch(&ids).unwrap().rows(), rows);
        }
    }
}

fn stream(bytes: &[u8], stop_at_error: bool) -> (String, usize, Vec<LineError>, bool, bool) {
    let read = super::read_stream(bytes, Unit::Nanos, NOW_US, Options::default(), stop_at_error, find);
    let shown: Vec<String> = read.tables.into_iter().map(show).collect();
    (shown.join(" / "), read.consumed, read.errors, read.stopped, read.in_bad_line)
}

#[test]
fn a_stream_keeps_the_line_that_has_not_ended() {
    assert_eq!(stream(b"a b=1 0\na b=2 10", true), ("0|1".to_owned(), 8, vec![], false, false));
    assert_eq!(stream(b"a b=1 0\na b=\"x\\", true).1, 8);
    assert_eq!(stream(b"a b=1 0\r\n\r\n\n", true), ("0|1".to_owned(), 12, vec![], false, false));
    let half = b"a b==\x10\0\0\0\0\n\0";
    assert_eq!(stream(half, true), (String::new(), 0, vec![], false, false));
    let whole = [&half[..], b"\xf8\x3f,c=2 0\n"].concat();
    assert_eq!(stream(&whole, true).1, whole.len());
}

#[test]
fn a_bad_line_of_a_stream_leaves_nothing_behind() {
    let (rows, consumed, errors, stopped, _) = stream(b"a b=1 0\na b=2,n=\"x\",m=q 0\na b=3 0\n", true);
    assert_eq!((rows.as_str(), stopped, errors.len()), ("0|1", true, 1));
    assert!(consumed < 27);
    let (rows, consumed, errors, ..) =
        stream(b"a b=1 0\na b=2,n=\"x\",b2=,m=q 0\na b=\"s\",n=1 0\na b=3 1000\na\na b=4 0\n", false);
    assert_eq!(rows, "0|1\n1|3\n0|4");
    assert_eq!((consumed, errors.iter().map(|e| e.line).collect::<Vec<_>>()), (65, vec![2, 3, 5]));
    // columns and tables that only bad lines have are not made
    let read = super::read_stream(
        b"n x=1,y=bad 0\nc1 l=1i,k=q 0\nc1 l=2i 0\n",
        Unit::Nanos,
        0,
        Options::default(),
        false,
        find,
    );
    assert_eq!(read.tables.len(), 1);
    assert_eq!(read.tables[0].new_columns, []);
    let (_, consumed, errors, stopped, in_bad_line) = stream(b"a b=bad,c=1", false);
    assert_eq!((consumed, errors.len(), stopped, in_bad_line), (11, 1, false, true));
}

fn double(value: f64) -> Vec<u8> {
    [&b"=\x10"[..], &value.to_le_bytes()].concat()
}

#[test]
fn binary_doubles_hold_any_byte() {
    // the byte of a line end, a quote, a comma, UTF-8 that is none
    for value in [1.5, f64::from_le_bytes(*b"\n\",= \\\n@"), f64::from_le_bytes(*b"\xff\xfe\n\n\n\n\xf0?"), -0.0] {
        let body = [b"a x=", double(value).as_slice(), b",y=", double(1.0).as_slice(), b" 0\na x=2 0\n"].concat();
        let tables = read_request(&body, Unit::Nanos, 0, Options::default(), find).unwrap();
        assert_eq!(show(tables.into_iter().next().unwrap()), format!("0|{value}|1\n0|2|null"));
    }
    for (body, message) in [
        (&b"a x==\x10\0\0 0\n"[..], "Could not parse entire line. Binary value is cut short"),
        (b"a x==\x10\0\0\0\0\0\0\0\0z 0\n", "INVALID_FIELD_SEPARATOR"),
        (b"a x==\x11\0\0\0 0\n", "UNSUPPORTED_BINARY_FORMAT"),
    ] {
        let error = read_request(body, Unit::Nanos, 0, Options::default(), find).map(drop).unwrap_err();
        assert_eq!(error.message, message);
    }
}

proptest! {
    /// However a stream is cut into pieces, the same rows come out of it.
    #[test]
    fn a_stream_may_be_cut_anywhere(lines in prop::collection::vec(any_line(), 1..4), cuts in prop::collection::vec(0usize..400, 0..4)) {
        let text: String = lines.iter().map(write_line).collect();
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut start, mut read) = (0, Vec::new());
        for cut in cuts {
            let mut parser = Parser::of_stream(&bytes[start..cut], Unit::Seconds);
            let mut line = Line::default();
            while parser.next_line(&mut line) == Ok(true) {
                read.push(Line { number: 1, ..line.clone() });
            }
            start += parser.consumed();
        }
        prop_assert_eq!(read, lines);
    }

    #[test]
    fn any_stream_of_bytes_is_read_or_refused(body in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'='), Just(b'\n'), Just(16), Just(14), Just(10), Just(23), Just(0)], 0..200)) {
        let framed = [b"a x=", body.as_slice()].concat();
        for bytes in [&body, &framed] {
            for stop_at_error in [false, true] {
                let read = super::read_stream(bytes, Unit::Nanos, 0, Options::default(), stop_at_error, find);
                prop_assert!(read.consumed <= bytes.len());
            }
        }
    }
}

/// As [`read`], for bytes.
fn read_one(column: &str, value: &[u8]) -> Result<String, String> {
    let body = [format!("c2 {column}=").as_bytes(), value, b" 7000\n"].concat();
    let tables = read_request(&body, Unit::Nanos, NOW_US, Options::default(), find).map_err(|e| e.message)?;
    let shown = show(tables.into_iter().next().unwrap());
    Ok(shown.strip_prefix("7000|").unwrap().to_owned())
}

fn array(dims: &[i32], values: &[f64]) -> Vec<u8> {
    let mut out = vec![b'=', 14, 10, dims.len() as u8];
    dims.iter().for_each(|d| out.extend_from_slice(&d.to_le_bytes()));
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    out
}

#[test]
fn columns_of_every_type_take_what_the_peer_lets_them_take() {
    let uuid = b"\"11111111-2222-3333-4444-5555555555ff\"";
    for (column, value, stored) in [
        ("by", &b"-128i"[..], "-128"),
        ("by", b"t", "1"),
        ("ch", b"\"x\"", "Some('x')"),
        ("ch", b"\"\"", "Some('\\0')"),
        ("ch", "\"€\"".as_bytes(), "Some('€')"),
        ("f", b"1.5", "1.5"),
        ("f", b"1e300", "NaN"),
        ("f", b"5i", "5"),
        ("tn", b"5n", "5"),
        ("tn", b"5t", "5000"),
        ("tn", b"5m", "5000000"),
        ("tn", b"5i", "5"),
        ("u", uuid, "[55, ff]"),
        ("ip", b"\"10.0.0.1\"", "10.0.0.1"),
        ("ip", b"\"null\"", "0.0.0.0"),
        ("l2", b"0x1Fi", "[00, 00, 1f]"),
        ("l2", b"\"0x1f\"", "[00, 00, 1f]"),
        ("g", b"\"u33d\"", "855148"),
        ("g", b"\"a!\"", "-1"),
        ("da", &array(&[2], &[1.0, f64::INFINITY]), "[2][1.0, NaN]"),
        ("da", &array(&[0], &[]), "[0][]"),
        ("d2", &array(&[2, 1], &[1.0, 2.0]), "[2, 1][1.0, 2.0]"),
        ("de", b"1.25d", "1250"),
        ("de", b"NaNd", "null"),
        ("de", b"-1.250d", "-1250"),
        ("de", b"5i", "5000"),
        ("de", b"1.5", "1500"),
        ("de", b"\"1.25\"", "1250"),
        ("de", b"=\x17\x02\x01\x7d", "1250"),
        ("de", b"=\x17\x05\x03\x01\xe8\x48", "1250"),
        ("de", b"=\x17\x02\x00", "null"),
        ("de", &double(2.5), "2500"),
        ("de", &double(f64::NAN), "null"),
        ("bi", b"", "binary"),
        ("dx", b"1e3d", "1000"),
    ] {
        assert_eq!(read_one(column, value).as_deref(), Ok(stored), "{column} {value:?}");
    }
    let cast = |kind: &str, name: &str| format!("cast error from protocol type: {kind} to column type: {name}");
    for (column, value, message) in [
        ("by", &b"70000i"[..], "line protocol value: 70000 is out bounds of column type: BYTE".to_owned()),
        ("by", b"1.5", cast("FLOAT", "BYTE")),
        ("ch", b"\"xy\"", cast("STRING", "CHAR")),
        ("ch", b"5i", cast("INTEGER", "CHAR")),
        ("tn", b"\"2024-01-01\"", cast("STRING", "TIMESTAMP_NS")),
        ("u", b"\"x\"", cast("STRING", "UUID")),
        ("ip", b"\"10.0.0.256\"", cast("STRING", "IPv4")),
        ("g", b"5i", cast("INTEGER", "GEOHASH(4c)")),
        ("bi", b"\"x\"", cast("STRING", "BINARY")),
        ("da", &array(&[1, 1], &[1.0]), cast("DOUBLE[][]", "DOUBLE[]")),
        ("f", &array(&[1], &[1.0]), cast("ARRAY", "FLOAT")),
        ("de", b"t", cast("BOOLEAN", "DECIMAL(18,3)")),
        (
            "de",
            b"1.2567d",
            "value error: converting 1.2567 to DECIMAL(18,3) will result in loss of precision".to_owned(),
        ),
        ("de", b"\"x\"", "value error: x cannot be converted to column type: DECIMAL(18,3)".to_owned()),
        ("dx", b"12345i", "line protocol value: 12345 is out bounds of column type: DECIMAL(4,0)".to_owned()),
    ] {
        assert_eq!(read_one(column, value), Err(format!("table: c2, column: {column}; {message}")), "{value:?}");
    }
    for (value, message) in [
        (&b"=\x17\x4d\x01\x01"[..], "DECIMAL_INVALID_SCALE"),
        (b"=\x17\x02\x40", "DECIMAL_OVERFLOW"),
        (b"=\x0e\x05\x01\x01\0\0\0", "ARRAY_INVALID_TYPE"),
        (b"=\x0e\x0a\x21", "ARRAY_TOO_MANY_DIMENSIONS"),
        (b"=\x0e\x0a\x01\xff\xff\xff\xff", "ARRAY_INVALID_SHAPE"),
        (b"=\x0e\x0a\x00", "ARRAY_INVALID_SHAPE"),
    ] {
        assert_eq!(read_one("da", value), Err(message.to_owned()));
    }
    let tags = read("c2,u=x by=1i 0\n").unwrap_err().message;
    assert_eq!(tags, format!("table: c2, column: u; {}", cast("TAG", "UUID")));
}

#[test]
fn new_columns_take_the_type_of_their_first_value() {
    let names = |body: &[u8]| {
        let table = read_request(body, Unit::Nanos, 0, Options::default(), find).unwrap().remove(0);
        table.new_columns.iter().map(|c| format!("{} {}", c.name, c.column_type)).collect::<Vec<_>>().join(",")
    };
    assert_eq!(names(b"a n=5n,t=5t,m=5m 1\n"), "n TIMESTAMP_NS,t TIMESTAMP,m TIMESTAMP,timestamp TIMESTAMP");
    assert_eq!(names(b"a l=0x1fi 1n\n"), "l LONG256,timestamp TIMESTAMP_NS");
    assert_eq!(names(b"a x=1,timestamp=5n 1\n"), "x DOUBLE,timestamp TIMESTAMP");
    let body = [b"a x=", array(&[1, 1], &[1.0]).as_slice(), b" 1t\n"].concat();
    assert_eq!(names(&body), "x DOUBLE[][],timestamp TIMESTAMP");
    accepted("c2 by=1i 1000000001n\nc2 by=2i 5t\nc2 by=3i\n", "1000000001|1\n5000|2\n1000000000|3");
    refused(
        "c2 by=1i 9300000000000000t\n",
        1,
        "table: c2, timestamp: 9300000000000000; designated timestamp does not fit TIMESTAMP_NS",
    );
}
