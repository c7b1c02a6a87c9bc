//! Data of COPY in every form and in pieces of every length, and the values of its fields.

use proptest::prelude::*;
use types::{ColumnData, ColumnType};

use super::*;
use crate::pg_oid as oid;

type Row = Vec<Option<String>>;

fn own(row: &[Option<&str>]) -> Row {
    row.iter().map(|field| field.map(str::to_owned)).collect()
}

/// Reads data that comes in pieces of so many bytes.
fn read(form: Option<Form>, data: &[u8], piece: usize) -> Result<Vec<Row>, BadCopy> {
    let mut records = Records::new(form);
    let (mut record, mut rows) = (Record::default(), Vec::new());
    let take = |records: &mut Records, last, record: &mut Record, rows: &mut Vec<Row>| -> Result<(), BadCopy> {
        while records.next(last, record)? {
            let field = |i| record.field(i).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            rows.push((0..record.len()).map(field).collect());
        }
        Ok(())
    };
    for bytes in data.chunks(piece) {
        records.add(bytes)?;
        take(&mut records, false, &mut record, &mut rows)?;
    }
    take(&mut records, true, &mut record, &mut rows)?;
    Ok(rows)
}

#[track_caller]
fn check(form: Option<Form>, data: &[u8], rows: &[&[Option<&str>]]) {
    let rows: Vec<Row> = rows.iter().map(|row| own(row)).collect();
    for piece in 1..=data.len().max(1) {
        assert_eq!(read(form.clone(), data, piece), Ok(rows.clone()), "in pieces of {piece}");
    }
}

#[track_caller]
fn refused(form: Option<Form>, data: &[u8], error: BadCopy) {
    for piece in 1..=data.len().max(1) {
        assert_eq!(read(form.clone(), data, piece), Err(error), "in pieces of {piece}");
    }
}

#[test]
fn text_ends_at_line_ends_and_tells_null_from_its_escaped_letters() {
    check(Some(Form::text()), b"", &[]);
    check(Some(Form::text()), b"1\ta\n\\N\t\n", &[&[Some("1"), Some("a")], &[None, Some("")]]);
    check(
        Some(Form::text()),
        b"a\\tb\\\\N\\\n|\\x41\\x4q\\101\\7\\q\r\n\\\\N",
        &[&[Some("a\tb\\N\n|A\u{4}qA\u{7}q")], &[Some("\\N")]],
    );
    check(Some(Form::text()), b"1\n\\.\n2\n", &[&[Some("1")]]);
    check(Some(Form::text()), b"1\r\n\\.", &[&[Some("1")]]);
    check(Some(Form::text()), b"\n\\.x\n", &[&[Some("")], &[Some(".x")]]);
    check(Some(Form::Text { delimiter: b'|', null: String::new() }), b"a||\\|\n", &[&[Some("a"), None, Some("|")]]);
}

#[test]
fn csv_knows_quotes_and_what_is_null_without_them() {
    let csv = || Some(Form::csv());
    check(
        csv(),
        b"1,\"a,\"\"b\"\"\nc\",,\"\"\r\nx,y,z,w",
        &[&[Some("1"), Some("a,\"b\"\nc"), None, Some("")], &[Some("x"), Some("y"), Some("z"), Some("w")]],
    );
    check(csv(), b"a\"b,c\"d\n\"\\.\"\n\\.\nrest", &[&[Some("ab,cd")], &[Some("\\.")]]);
    let own = Form::Csv {
        delimiter: b';',
        null: "NULL".into(),
        quote: b'\'',
        escape: b'\\',
        force: crate::pg_copy::Force::None,
    };
    check(Some(own), b"'it\\'s\\\\';NULL;'NULL'\n", &[&[Some("it's\\"), None, Some("NULL")]]);
    refused(csv(), b"1,\"a\n", BadCopy::Unclosed);
}

fn head(more: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[0, 0, 0, 0, 0, 0, 0, 1, b'e'], more].concat()
}

#[test]
fn binary_ends_at_its_mark_or_between_two_records() {
    let record = b"\0\x02\0\0\0\x02hi\xff\xff\xff\xff";
    let row: &[Option<&str>] = &[Some("hi"), None];
    check(None, &head(&[&record[..], b"\xff\xff"].concat()), &[row]);
    check(None, &head(&[&record[..], &record[..]].concat()), &[row, row]);
    check(None, &head(b"\xff\xff"), &[]);
    check(None, &head(b""), &[]);
    refused(None, &head(&record[..9]), BadCopy::Cut);
    refused(None, b"", BadCopy::Cut);
    refused(None, &head(b"")[..15], BadCopy::Cut);
    refused(None, b"PGCOPY\r\n", BadCopy::Signature);
    refused(None, &[SIGNATURE, &[0, 1, 0, 0, 0, 0, 0, 0]].concat(), BadCopy::Flags);
    refused(None, &head(b"\0\x01\xff\xff\xff\xfe"), BadCopy::Size);
    refused(None, &head(b"\xff\xff\0\x01"), BadCopy::AfterEnd);
}

#[test]
fn what_copy_writes_is_read_back() {
    let values = [Some("a\tb\\c\nd,\"x\"\r"), None, Some(""), Some("\\N")];
    let bars = Form::Text { delimiter: b'|', null: "-".into() };
    for form in [Form::text(), Form::csv(), bars] {
        let mut line = Vec::new();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                form.delimiter(&mut line);
            }
            match value {
                None => form.null(&mut line),
                Some(value) => form.value(&mut line, value.as_bytes(), false, false),
            }
        }
        line.push(b'\n');
        check(Some(form), &line, &[&values]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_cut_or_refused_alike_in_any_pieces(
        bytes in prop::collection::vec(prop::sample::select(&b"\\.N\n\r,\t\"x0\x00\x01\xff"[..]), 0..40),
        piece in 1usize..40,
    ) {
        for form in [Some(Form::text()), Some(Form::csv())] {
            prop_assert_eq!(read(form.clone(), &bytes, piece), read(form, &bytes, bytes.len().max(1)));
        }
        let data = head(&bytes);
        // what follows the mark of the end may come late
        if let (Ok(one), Ok(other)) = (read(None, &data, piece), read(None, &data, data.len())) {
            prop_assert_eq!(one, other);
        }
    }
}

#[track_caller]
fn pushed(column_type: ColumnType, text: &str) -> Option<ColumnData> {
    let mut data = ColumnData::new(column_type);
    value::push_text(&mut data, column_type, text).then_some(data)
}

#[test]
fn text_values_are_those_that_postgresql_writes() {
    assert_eq!(pushed(ColumnType::Boolean, "t"), Some(ColumnData::Boolean(vec![true])));
    assert_eq!(pushed(ColumnType::Int, " 7"), Some(ColumnData::I32(vec![7])));
    assert_eq!(pushed(ColumnType::Long, ""), None);
    assert_eq!(pushed(ColumnType::Byte, "300"), None);
    assert_eq!(pushed(ColumnType::Double, "1e3"), Some(ColumnData::F64(vec![1000.0])));
    assert!(matches!(pushed(ColumnType::Double, "-Infinity"), Some(ColumnData::F64(v)) if v[0].is_nan()));
    let moment = 1_704_103_200_000_000;
    assert_eq!(pushed(ColumnType::Timestamp, "2024-01-01 12:00:00+02"), Some(ColumnData::I64(vec![moment])));
    assert_eq!(pushed(ColumnType::Date, "2024-01-01 10:00"), Some(ColumnData::I64(vec![moment / 1_000])));
    assert!(
        matches!(pushed(ColumnType::Binary, "\\x0aff"), Some(ColumnData::Binary(v)) if v.get(0) == Some(&[10, 255][..]))
    );
    let array = pushed(ColumnType::Array(2), "{{1,2},{3,NULL}}");
    assert!(matches!(array, Some(ColumnData::Array(v)) if v.get(0).is_some_and(|(shape, _)| shape == [2, 2])));
    assert_eq!(pushed(ColumnType::Array(1), "{{1}}"), None);
    assert!(matches!(pushed(ColumnType::Varchar, ""), Some(ColumnData::Str(v)) if v.get(0) == Some("")));
}

#[test]
fn binary_values_may_be_of_a_kindred_type() {
    let pushed = |column_type, type_oid, bytes: &[u8]| {
        let mut data = ColumnData::new(column_type);
        value::push_binary(&mut data, column_type, type_oid, bytes).then_some(data)
    };
    assert_eq!(pushed(ColumnType::Long, oid::INT8, &[0, 0, 0, 7]), Some(ColumnData::I64(vec![7])));
    assert_eq!(pushed(ColumnType::Short, oid::INT2, &7i64.to_be_bytes()), Some(ColumnData::I16(vec![7])));
    assert_eq!(pushed(ColumnType::Short, oid::INT2, &70_000i32.to_be_bytes()), None);
    assert_eq!(pushed(ColumnType::Float, oid::FLOAT4, &0.5f64.to_be_bytes()), Some(ColumnData::F32(vec![0.5])));
    let day_us = 946_684_800_000_000 + 86_400_000_000;
    assert_eq!(pushed(ColumnType::Timestamp, oid::TIMESTAMP, &1i32.to_be_bytes()), Some(ColumnData::I64(vec![day_us])));
    assert_eq!(pushed(ColumnType::Timestamp, oid::TIMESTAMP, &[1, 2, 3]), None);
    assert_eq!(
        pushed(ColumnType::TimestampNs, oid::TIMESTAMP, &86_400_000_000i64.to_be_bytes()),
        Some(ColumnData::I64(vec![day_us * 1_000]))
    );
}
