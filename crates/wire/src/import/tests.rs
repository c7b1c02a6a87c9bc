//! What QuestDB 9.3.4 made of small files, where it is right, and properties that hold for any bytes.

use proptest::prelude::*;
use types::{ColumnData, ColumnType};

use super::delimiter::{Evenness, Unclear, detect};
use super::field::{self, Format};
use super::records::{Record, Scanner, Step};
use super::sample::{column_name, guess};

fn cut(text: &str, delimiter: u8) -> Vec<Vec<Option<String>>> {
    let (scanner, bytes) = (Scanner { delimiter }, text.as_bytes());
    let (mut at, mut record, mut records) = (0, Record::default(), Vec::new());
    while let Step::Record(length) = scanner.next(&bytes[at..], true, &mut record) {
        let field = |i| record.field(i, &bytes[at..]).map(|f| String::from_utf8_lossy(&f).into_owned());
        records.push((0..record.len()).map(field).collect());
        at += length;
    }
    records
}

fn texts(record: &[Option<String>]) -> Vec<&str> {
    record.iter().map(|f| f.as_deref().unwrap_or("<null>")).collect()
}

#[test]
fn records_are_cut() {
    let records = cut("a,b\r\n\r\n\"x \"\"y\"\" z\",\"l1\nl2\"\r\"a,b\",\"\"\n,q\"u\n\"q\" ,\"a\"b\nlast,", b',');
    let shown: Vec<_> = records.iter().map(|r| texts(r)).collect();
    assert_eq!(
        shown,
        [["a", "b"], ["x \"y\" z", "l1\nl2"], ["a,b", ""], ["<null>", "q\"u"], ["q", "ab"], ["last", "<null>"],]
    );
    let mut record = Record::default();
    let scanner = Scanner { delimiter: b',' };
    assert_eq!(scanner.next(b"a,\"open\n", true, &mut record), Step::Unclosed(8));
    assert_eq!(scanner.next(b"a,\"open\n", false, &mut record), Step::More);
    assert_eq!(scanner.next(b"a,b", false, &mut record), Step::More);
    assert_eq!(scanner.next(b"\n\r\n", true, &mut record), Step::More);
}

#[test]
fn delimiters_are_found() {
    let found = |text: &str| detect(text.as_bytes(), true, Evenness::default());
    for d in [',', '\t', ';', '|', ' ', ':', '#'] {
        assert_eq!(found(&format!("a{d}b\n1{d}2\n3{d}4\n")), Ok(d as u8), "{d:?}");
    }
    assert_eq!(found("a\nbb\nccc\n"), Ok(b','));
    assert_eq!(found("x,\"a;b;c\"\ny,\"d\"\n"), Ok(b','));
    assert_eq!(found("a,b\n"), Err(Unclear::TooShort));
    assert_eq!(found(""), Err(Unclear::TooShort));
    let uneven = Unclear::Uneven { delimiters: 0.4330127018922193, line_lengths: 0.8660254037844386, lines: 4 };
    assert_eq!(found("a,b,c\n1,2,3\n4,5\n6,7,8\n"), Err(uneven));
}

/// Returns name and type of each column, and whether there is a header.
fn guessed(text: &str, forced: bool) -> String {
    let guessed = guess(&cut(text, b','), forced);
    let columns: Vec<String> = guessed.columns.iter().map(|c| format!("{} {}", c.name, c.column_type)).collect();
    format!("{}{}", if guessed.header { "header: " } else { "" }, columns.join(", "))
}

#[test]
fn types_are_guessed() {
    for (value, expected) in [
        ("1", "INT"),
        ("-1", "INT"),
        ("+1", "INT"),
        ("1_000", "INT"),
        ("2147483648", "LONG"),
        ("10L", "LONG"),
        ("9223372036854775808", "DOUBLE"),
        (".5", "DOUBLE"),
        ("5.", "DOUBLE"),
        ("1E5", "DOUBLE"),
        (" 1 ", "DOUBLE"),
        ("NaN", "DOUBLE"),
        ("1d", "DOUBLE"),
        ("nan", "VARCHAR"),
        ("True", "BOOLEAN"),
        ("t", "CHAR"),
        ("€", "CHAR"),
        ("ab", "VARCHAR"),
        ("", "VARCHAR"),
        ("007", "VARCHAR"),
        ("2024-01-01", "DATE"),
        ("2024-01-01 00:00:00", "DATE"),
        ("2024-01-01T00:00:00.123Z", "DATE"),
        ("01/02/2024", "DATE"),
        ("2024-01-01T00:00:00.123456Z", "TIMESTAMP"),
        ("2024-01-01T00:00:00.123456", "TIMESTAMP"),
        ("2024-01-01T00:00:00Z", "TIMESTAMP"),
        ("2024-01-01T00:00:00.123456789Z", "TIMESTAMP_NS"),
        ("11111111-2222-3333-4444-555555555555", "UUID"),
        ("10.0.0.1", "IPv4"),
        ("0x1f", "LONG256"),
        ("u33d", "VARCHAR"),
        ("2024/01/02", "VARCHAR"),
        ("12:34", "VARCHAR"),
    ] {
        assert_eq!(
            guessed(&format!("col\n{value},z\n{value},z\n"), true),
            format!("header: col {expected}"),
            "{value}"
        );
    }
    for (a, b, expected) in [
        ("1", "1.5", "DOUBLE"),
        ("1", "9999999999", "LONG"),
        ("1", "x", "VARCHAR"),
        ("1", "xy", "VARCHAR"),
        ("", "1", "INT"),
        ("2024-01-01T00:00:00.123Z", "2024-01-01T00:00:00.123456Z", "TIMESTAMP"),
    ] {
        assert_eq!(
            guessed(&format!("col,z\n{a},z\n{b},z\n"), true),
            format!("header: col {expected}, z CHAR"),
            "{a} {b}"
        );
    }
}

#[test]
fn headers_are_guessed() {
    for (text, expected) in [
        ("1,2\n3,4\n", "f0 INT, f1 INT"),
        ("a,b\n1,2\n3,4\n", "header: a INT, b INT"),
        ("a,b\nc,d\ne,f\n", "f0 CHAR, f1 CHAR"),
        ("a,b\nc,1\ne,2\n", "header: a CHAR, b INT"),
        ("x,1\ny,2\n", "f0 CHAR, f1 INT"),
        ("a,,b\n1,2,3\n2,3,4\n", "f0 VARCHAR, f1 INT, f2 VARCHAR"),
        ("a,b\n1,2,\n3,4,\n", "header: a INT, b INT"),
        ("\u{feff}a,b\n1,2\n", "header: a INT, b INT"),
    ] {
        assert_eq!(guessed(text, false), expected, "{text}");
    }
    assert_eq!(guessed("1,2\n3,4\n", true), "header: _1 INT, _2 INT");
    for (text, name) in [("a.b", "aB"), ("c d", "cD"), ("1x", "_1x"), ("trade_time", "trade_time"), ("?", "")] {
        assert_eq!(column_name(text), name);
    }
}

fn pushed(column_type: ColumnType, format: &Format, text: &str) -> Option<ColumnData> {
    let mut data = ColumnData::new(column_type);
    field::push(&mut data, column_type, format, text).then_some(data)
}

#[test]
fn fields_become_values_or_are_refused() {
    let plain = Format::default();
    for (column_type, text, data) in [
        (ColumnType::Boolean, "TRUE", ColumnData::Boolean(vec![true])),
        (ColumnType::Byte, "-128", ColumnData::I8(vec![-128])),
        (ColumnType::Int, "1_000", ColumnData::I32(vec![1000])),
        (ColumnType::Long, "-9223372036854775808", ColumnData::I64(vec![i64::MIN])),
        (ColumnType::Float, "1.5", ColumnData::F32(vec![1.5])),
        (ColumnType::Char, "x", ColumnData::U16(vec![120])),
        (ColumnType::Date, "2024-01-01", ColumnData::I64(vec![1_704_067_200_000])),
        (ColumnType::Date, "01/02/2024", ColumnData::I64(vec![1_706_745_600_000])),
        (ColumnType::Timestamp, "2024-01-01 00:00:00.1", ColumnData::I64(vec![1_704_067_200_100_000])),
        (ColumnType::Timestamp, "5", ColumnData::I64(vec![5])),
        (ColumnType::TimestampNs, "1970-01-01T00:00:00.000000001Z", ColumnData::I64(vec![1])),
        (ColumnType::Geohash(5), "u", ColumnData::I64(vec![0b11010])),
        (ColumnType::Ipv4, "0.0.0.1", ColumnData::U32(vec![1])),
        (ColumnType::Decimal { precision: 18, scale: 3 }, "1.25", ColumnData::Decimal128(vec![1250])),
        (ColumnType::Int, "", ColumnData::I32(vec![i32::MIN])),
    ] {
        assert_eq!(pushed(column_type, &plain, text), Some(data), "{column_type} {text}");
    }
    for (column_type, text) in [
        (ColumnType::Boolean, "1"),
        (ColumnType::Byte, "128"),
        (ColumnType::Int, "x"),
        (ColumnType::Int, "1__0"),
        (ColumnType::Int, "1.0"),
        (ColumnType::Double, "inf"),
        (ColumnType::Char, "xy"),
        (ColumnType::Timestamp, "yesterday"),
        (ColumnType::TimestampNs, "9999-01-01T00:00:00Z"),
        (ColumnType::Uuid, "x"),
        (ColumnType::Binary, "x"),
        (ColumnType::Decimal { precision: 18, scale: 3 }, "1.2555"),
        (ColumnType::Array(1), "[1,[2]]"),
        (ColumnType::Array(2), "[[1],[2,3]]"),
    ] {
        assert_eq!(pushed(column_type, &plain, text), None, "{column_type} {text}");
    }
    let shape_and_values = |text, dims| field::read_array(text, dims);
    assert_eq!(shape_and_values("[[1.0,2],[3 , 4]]", 2), Some((vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])));
    assert_eq!(shape_and_values("[]", 1), Some((vec![0], vec![])));
    assert_eq!(shape_and_values("[1.0] x", 1), None);
}

proptest! {
    /// However a file is cut into pieces, the same records come out of it.
    #[test]
    fn any_bytes_are_cut_alike(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"'), Just(b'\n'), Just(b'\r')], 0..60), at in 0usize..60) {
        let scanner = Scanner { delimiter: b',' };
        let fields = |bytes: &[u8], record: &Record| -> Vec<_> {
            (0..record.len()).map(|i| record.field(i, bytes).map(|f| f.into_owned())).collect()
        };
        let whole = |bytes: &[u8]| {
            let (mut from, mut record, mut out) = (0, Record::default(), Vec::new());
            while let Step::Record(length) = scanner.next(&bytes[from..], true, &mut record) {
                out.push(fields(&bytes[from..], &record));
                from += length;
            }
            out
        };
        let (mut pending, mut out, mut record) = (Vec::new(), Vec::new(), Record::default());
        let at = at.min(bytes.len());
        for (piece, last) in [(&bytes[..at], false), (&bytes[at..], true)] {
            pending.extend_from_slice(piece);
            while let Step::Record(length) = scanner.next(&pending, last, &mut record) {
                out.push(fields(&pending, &record));
                pending.drain(..length);
            }
        }
        prop_assert_eq!(out, whole(&bytes));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,20}", digits in "[-+0-9.:/TZ eLdé\\[\\],]{0,24}") {
        for text in [&text, &digits] {
            for column_type in ColumnType::ALL {
                let _ = pushed(column_type, &Format::default(), text);
            }
            let _ = guess(&[vec![Some(text.clone())], vec![Some(text.clone())]], false);
            let _ = detect(text.as_bytes(), true, Evenness::default());
        }
    }
}
