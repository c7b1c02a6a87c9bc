//! Types of the catalogue by those that the engine has.

use datafusion::sql::sqlparser::ast::DataType;

/// Returns the last part of a type's name in lower case, without quotes and lengths.
pub fn type_name(data_type: &DataType) -> String {
    let shown = data_type.to_string().to_ascii_lowercase();
    shown.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned()
}

/// Puts a type that the engine has where one of the catalogue stands.
pub fn plain_type(data_type: &mut DataType) {
    let name = type_name(data_type);
    if name.ends_with("[]") {
        *data_type = DataType::Varchar(None);
        return;
    }
    match name.as_str() {
        "name" | "text" | "char" | "bpchar" | "cstring" | "regproc" | "regprocedure" | "regoper" | "aclitem"
        | "sql_identifier" | "character_data" | "yes_or_no" | "int2vector" | "oidvector" | "json" | "jsonb"
        | "uuid" | "pg_node_tree" | "inet" => *data_type = DataType::Varchar(None),
        "oid" | "xid" | "cid" | "cardinal_number" => *data_type = DataType::Integer(None),
        _ => {}
    }
}
