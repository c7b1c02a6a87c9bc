//! `/exp?fmt=parquet`, read back with a reader of Parquet.

use std::io::{Read, Write};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::reader::ChunkReader;

use super::client::{Running, connect, encode};

/// Returns head and bytes of a file.
fn export(server: &Running, sql: &str, parameters: &str) -> (String, bytes::Bytes) {
    let mut socket = connect(server.http);
    write!(socket, "GET /exp?fmt=parquet&query={}{parameters} HTTP/1.0\r\n\r\n", encode(sql)).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase(), bytes::Bytes::from(answer.split_off(end)))
}

fn builder(file: bytes::Bytes) -> ParquetRecordBatchReaderBuilder<impl ChunkReader + 'static> {
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap()
}

#[test]
fn rows_come_back_from_the_file() {
    let server = Running::start();
    server.exec("create table t (ts timestamp, s symbol, d double, n long, b boolean) timestamp(ts) partition by day");
    server.exec("insert into t values (5, 'x', 1.5, 7, true), (6, null, null, null, false)");
    let (head, file) = export(&server, "select *, null z from t", "&filename=my%20rows");
    assert!(head.contains("content-type: application/vnd.apache.parquet\r\n"), "{head}");
    assert!(head.contains("filename=\"myrows.parquet\""), "{head}");
    let builder = builder(file);
    assert_eq!(builder.schema().field(1).metadata().get("type").map(String::as_str), Some("SYMBOL"));
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
    let batch = &batches[0];
    assert_eq!(batch.column(0).as_primitive::<TimestampMicrosecondType>().values(), &[5, 6]);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0), 1.5);
    assert_eq!(batch.column(3).as_primitive::<Int64Type>().value(0), 7);
    let shown = pretty_format_batches(&batches).unwrap().to_string();
    assert!(shown.contains("| x | 1.5 | 7 | true  |   |"), "{shown}");
}

#[test]
fn row_groups_codecs_and_windows_are_as_asked() {
    let server = Running::start();
    let sql = "select x, x * 1.5 y, 'text ' || x z from long_sequence(250000)";
    for (parameters, groups, rows) in [
        ("", 3, 250_000),
        ("&row_group_size=50000&compression_codec=SNAPPY", 5, 250_000),
        ("&compression_codec=gzip&compression_level=3&parquet_version=1&statistics_enabled=false", 3, 250_000),
        ("&compression_codec=lz4_raw&limit=10,20", 1, 10),
        ("&compression_codec=uncompressed&data_page_size=4096", 3, 250_000),
    ] {
        let (_, file) = export(&server, sql, parameters);
        let builder = builder(file);
        assert_eq!(builder.metadata().num_row_groups(), groups, "{parameters}");
        assert_eq!(builder.metadata().file_metadata().num_rows(), rows, "{parameters}");
    }
    let (_, file) = export(&server, &sql.replace("x * 1.5 y", "x::timestamp y"), "");
    let written = builder(file);
    let columns = written.metadata().row_group(0).columns();
    assert!(columns.iter().all(|column| column.compression() == Compression::LZ4_RAW), "the peer's default");
    let encodings = |column: usize| columns[column].encodings().collect::<Vec<_>>();
    assert!(
        columns[0].dictionary_page_offset().is_none() && encodings(0).contains(&Encoding::PLAIN),
        "{:?}",
        encodings(0)
    );
    assert!(encodings(1).contains(&Encoding::DELTA_BINARY_PACKED), "{:?}", encodings(1));
    assert!(columns[2].dictionary_page_offset().is_some(), "texts that come again are stored once");
    let (_, empty) = export(&server, "select x from long_sequence(0)", "");
    assert_eq!(builder(empty).metadata().file_metadata().num_rows(), 0);
    for (parameters, why) in [
        (
            "&compression_codec=FOO",
            "invalid compression codec[FOO], expected one of: uncompressed, snappy, gzip, brotli, zstd, lz4_raw",
        ),
        ("&row_group_size=x", "invalid row group size:x"),
        ("&data_page_size=x", "invalid data page size:x"),
        ("&parquet_version=3", "invalid parquet version: 3, supported versions: 1, 2"),
        ("&partition_by=DAY", "partitionBy is temporarily not supported:DAY"),
    ] {
        let (head, body) = export(&server, "select 1", parameters);
        assert!(
            head.starts_with("http/1.0 400") && String::from_utf8_lossy(&body).contains(why),
            "{parameters}: {head}"
        );
    }
}
