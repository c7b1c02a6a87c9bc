//! What is answered to an import: a table for people ([`text`]), JSON for programs ([`json`]).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use types::{ColumnType, PartitionBy};

use super::super::answer;
use crate::import::{ImportError, Report};

/// Characters between the outer bars.
const WIDTH: usize = 113;

/// Returns the report as JSON.
pub fn json(report: &Report) -> Response {
    let columns: Vec<_> = report
        .columns
        .iter()
        .map(|c| json!({"name": c.name, "type": c.column_type.to_string(), "size": size(c.column_type), "errors": c.errors}))
        .collect();
    let mut body = json!({
        "status": "OK",
        "location": report.table,
        "rowsRejected": report.handled - report.imported,
        "rowsImported": report.imported,
        "header": report.header,
        "partitionBy": partition_by(report),
    });
    if let Some(timestamp) = &report.timestamp {
        body["timestamp"] = json!(timestamp);
    }
    if !report.warnings.is_empty() {
        body["warnings"] = json!(report.warnings);
    }
    body["columns"] = json!(columns);
    answer::with(StatusCode::OK, answer::JSON, body.to_string())
}

/// Returns the report as the peer's table.
pub fn text(report: &Report) -> Response {
    let bar = format!("+{}+\r\n", "-".repeat(WIDTH));
    let mut out = bar.clone();
    let wide = |name: &str, value: &str, rest: [&str; 3]| {
        let [pattern, locale, errors] = rest;
        format!("|{name:>15}  |{value:>50}  |{pattern:>15}  |{locale:>7}  |{errors:>12}  |\r\n")
    };
    let none = ["", "", ""];
    out += &wide("Location:", &report.table, ["Pattern", "Locale", "Errors"]);
    out += &wide("Partition by", partition_by(report), none);
    out += &wide("Timestamp", report.timestamp.as_deref().unwrap_or("NONE"), none);
    out += &bar;
    out += &wide("Rows handled", &report.handled.to_string(), none);
    out += &wide("Rows imported", &report.imported.to_string(), none);
    out += &bar;
    for (i, column) in report.columns.iter().enumerate() {
        let (name, column_type, errors) = (&column.name, column.column_type.to_string(), column.errors);
        out += &format!("|{i:>15}  |{name:>50}  |{column_type:>25}  |{errors:>12}  |\r\n");
    }
    out += &bar;
    answer::with(StatusCode::OK, answer::TEXT, out)
}

/// Returns why nothing was imported. As in the peer the status is 200 where the file is at fault.
pub fn refused(error: &ImportError, json: bool) -> Response {
    let status = match error {
        ImportError::Storage(storage::Error::Unavailable(_) | storage::Error::Conflict(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ImportError::Storage(storage::Error::Io { .. } | storage::Error::Corrupt { .. }) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::OK,
    };
    let why = error.to_string();
    tracing::warn!(why, "import refused");
    let response = match json {
        true => answer::with(status, answer::JSON, json!({"status": why}).to_string()),
        false => answer::with(status, answer::TEXT, why),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE { answer::again(response) } else { response }
}

fn partition_by(report: &Report) -> &'static str {
    report.partition_by.unwrap_or(PartitionBy::None).name()
}

/// Returns the bytes of a value as the peer counts them.
fn size(column_type: ColumnType) -> u32 {
    match column_type {
        ColumnType::Boolean | ColumnType::Byte => 1,
        ColumnType::Short | ColumnType::Char => 2,
        ColumnType::Int | ColumnType::Float | ColumnType::Symbol | ColumnType::Ipv4 => 4,
        ColumnType::Long | ColumnType::Double | ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs => 8,
        ColumnType::Uuid => 16,
        ColumnType::Long256 => 32,
        ColumnType::Geohash(bits) => match bits {
            ..=7 => 1,
            8..=15 => 2,
            16..=31 => 4,
            _ => 8,
        },
        ColumnType::Decimal { precision, .. } => match precision {
            ..=2 => 1,
            3..=4 => 2,
            5..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => 32,
        },
        ColumnType::String | ColumnType::Varchar | ColumnType::Binary | ColumnType::Array(_) => 0,
    }
}
