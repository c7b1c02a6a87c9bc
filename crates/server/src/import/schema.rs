//! What the user says about columns: a JSON array of `{"name", "type", "pattern"}` ([`read`]).

use serde_json::Value;
use types::ColumnType;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaColumn {
    pub name: String,
    pub column_type: ColumnType,
    pub pattern: Option<String>,
}

/// Reads the array.
///
/// # Errors
/// What is wrong with it, in the peer's words where it has some.
pub fn read(text: &str) -> Result<Vec<SchemaColumn>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("schema is not JSON: {e}"))?;
    match value {
        Value::Array(columns) => columns.iter().map(column).collect(),
        Value::Object(_) => Err("Unexpected object".to_owned()),
        _ => Err("schema must be an array of columns".to_owned()),
    }
}

fn column(value: &Value) -> Result<SchemaColumn, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let name = text("name").ok_or("Missing 'name' property")?;
    let type_name = text("type").ok_or("Missing 'type' property")?;
    let column_type = ColumnType::from_name(type_name).ok_or("Invalid type")?;
    let pattern = text("pattern").map(str::to_owned);
    if pattern.is_none() && matches!(column_type, ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs) {
        return Err(format!("{column_type} format pattern is required"));
    }
    if column_type == ColumnType::Binary {
        return Err("cannot import text into BINARY column".to_owned());
    }
    Ok(SchemaColumn { name: name.to_owned(), column_type, pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_or_refused() {
        let columns = read(r#"[{"name":"t","type":"timestamp","pattern":"yyyy"},{"name":"g","type":"geohash(4c)"}]"#);
        let columns = columns.unwrap();
        assert_eq!((columns[0].column_type, columns[1].column_type), (ColumnType::Timestamp, ColumnType::Geohash(20)));
        assert_eq!(columns[0].pattern.as_deref(), Some("yyyy"));
        assert_eq!(read(" "), Ok(Vec::new()));
        for (text, why) in [
            ("{}", "Unexpected object"),
            ("5", "schema must be an array of columns"),
            (r#"[{"name":"a"}]"#, "Missing 'type' property"),
            (r#"[{"type":"INT"}]"#, "Missing 'name' property"),
            (r#"[{"name":"a","type":"FOO"}]"#, "Invalid type"),
            (r#"[{"name":"a","type":"DATE"}]"#, "DATE format pattern is required"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()));
        }
        assert!(read("[{").unwrap_err().starts_with("schema is not JSON"));
    }
}
