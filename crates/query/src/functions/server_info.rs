//! What clients ask about the server: version, user, schemas, PostgreSQL's catalogue functions, typeOf.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Volatility;

use super::kernel::{Args, Function, text_column};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// What `version()` answers: drivers parse it.
pub const VERSION: &str = "PostgreSQL 12.3, compiled by Visual C++ build 1914, 64-bit, QuestDB";

/// Returns the binding of a function about the server.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "version" => |call, _| no_args(call).map(|()| text(call, VERSION)),
        "build" => |call, _| {
            no_args(call).map(|()| text(call, concat!("Build Information: Stillpoint ", env!("CARGO_PKG_VERSION"))))
        },
        "current_database" | "current_catalog" => |call, _| no_args(call).map(|()| text(call, "qdb")),
        "current_schema" => |call, _| no_args(call).map(|()| text(call, "public")),
        // The peer leaves pg_catalog out whatever it is asked.
        "current_schemas" => |call, _| match call.args.len() {
            1 => Ok(text(call, "{public}")),
            _ => Err(call.wrong_count(1)),
        },
        "current_user" | "session_user" => {
            |call, environment| no_args(call).map(|()| text(call, &environment.ask().user))
        }
        // Kept plans are held against the tables each time and metadata is always in memory: nothing to flush or to load.
        "flush_query_cache" => |call, _| no_args(call).map(|()| Typed::boolean(true, call.position)),
        "hydrate_table_metadata" => |call, _| match call.args.iter().all(|name| name.as_text().is_some()) {
            true if !call.args.is_empty() => Ok(Typed::boolean(true, call.position)),
            _ => Err(call.no_match()),
        },
        // A commit is visible when it is acknowledged.
        "wait_wal_table" => |call, _| match call.args.as_slice() {
            [name] if name.as_text().is_some() => Ok(Typed::boolean(true, call.position)),
            _ => Err(call.no_match()),
        },
        "current_setting" => current_setting,
        "set_config" => set_config,
        "pg_is_in_recovery" => |call, _| Ok(Typed::boolean(false, call.position)),
        "pg_table_is_visible"
        | "pg_type_is_visible"
        | "pg_function_is_visible"
        | "pg_collation_is_visible"
        | "pg_opclass_is_visible"
        | "pg_operator_is_visible"
        | "pg_conversion_is_visible" => visible,
        "has_table_privilege"
        | "has_schema_privilege"
        | "has_database_privilege"
        | "has_any_column_privilege"
        | "has_column_privilege"
        | "has_function_privilege"
        | "has_sequence_privilege"
        | "has_tablespace_privilege"
        | "has_type_privilege"
        | "pg_has_role" => visible,
        "pg_is_other_temp_schema" | "row_security_active" | "pg_is_wal_replay_paused" => {
            |call, _| Ok(Typed::boolean(false, call.position))
        }
        "pg_my_temp_schema" => |call, _| no_args(call).map(|()| Typed::int(0, call.position)),
        "quote_ident" => quote_ident,
        "getdatabaseencoding" | "pg_client_encoding" => |call, _| no_args(call).map(|()| text(call, "UTF8")),
        "pg_get_userbyid" => |call, _| Ok(text(call, "public")),
        "pg_relation_is_publishable" => |call, _| Ok(Typed::boolean(false, call.position)),
        "array_to_string" => array_to_string,
        "pg_encoding_to_char" => |call, _| Ok(text(call, "UTF8")),
        "format_type" => format_type,
        "pg_tablespace_location"
        | "pg_get_expr"
        | "pg_get_partkeydef"
        | "pg_get_indexdef"
        | "pg_get_constraintdef"
        | "pg_get_viewdef"
        | "pg_get_function_result"
        | "pg_get_function_arguments"
        | "pg_get_triggerdef"
        | "pg_get_function_identity_arguments"
        | "pg_get_functiondef"
        | "pg_get_ruledef"
        | "pg_get_serial_sequence"
        | "pg_get_statisticsobjdef_columns"
        | "pg_get_partition_constraintdef"
        | "inet_server_addr"
        | "obj_description"
        | "col_description"
        | "shobj_description"
        | "pg_advisory_unlock_all" => none,
        "age" => |call, _| Ok(Typed::long(0, call.position)),
        "txid_current" => |call, _| no_args(call).map(|()| Typed::long(1, call.position)),
        "pg_backend_pid" => |call, _| no_args(call).map(|()| Typed::int(1, call.position)),
        "pg_postmaster_start_time" => |call, environment| {
            let value = ScalarValue::TimestampMicrosecond(Some(environment.ask().started_us), None);
            no_args(call).map(|()| Typed::literal(value, Kind::Timestamp, call.position))
        },
        "cancel_query" => cancel_query,
        "typeof" | "pg_typeof" => type_of,
        "reload_config" => reload_config,
        _ => return None,
    }))
}

fn no_args(call: &Call) -> Result<(), SqlError> {
    if call.args.is_empty() { Ok(()) } else { Err(call.wrong_count(0)) }
}

/// Returns a constant STRING, of whatever length.
fn text(call: &Call, value: &str) -> Typed {
    let value = ScalarValue::Utf8View(Some(value.to_owned()));
    Typed::literal(value, Kind::String, call.position)
}

fn none(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    Ok(Typed::literal(Kind::String.null(), Kind::String, call.position))
}

/// Binds array_to_string(list, separator): there are no lists of texts here, so a text stands for itself.
fn array_to_string(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [list, _] = call.args.as_slice() else { return Err(call.no_match()) };
    if !list.kind.is_text() && list.kind != Kind::Null {
        return Err(call.no_match());
    }
    super::cast::explicit(list.clone(), Kind::String, call.position)
}

/// Binds quote_ident(name): the name, in double quotes where it is none without.
fn quote_ident(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [name] = call.args.as_slice() else { return Err(call.wrong_count(1)) };
    let kernel = Arc::new(|args: &Args| {
        let names = args.texts(0);
        Ok(text_column(args.rows(), |row| names.get(row).map(quoted)))
    });
    let function = Function::new("quote_ident", 1, Kind::String, Volatility::Immutable, kernel);
    function.call(vec![super::cast::implicit(name.clone(), Kind::String)?], Kind::String, call.position)
}

fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let starts_plain = name.starts_with(|c: char| is_plain(c) && !c.is_ascii_digit());
    if starts_plain && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Binds a function that answers true for every row.
fn visible(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    Ok(Typed::boolean(true, call.position))
}

fn current_setting(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let Some(name) = call.args.first() else { return Err(call.no_match()) };
    let value = match name.as_text().unwrap_or_default() {
        "server_version_num" => "123000",
        "server_version" => "12.3",
        "search_path" => "\"$user\", public",
        "jit" => "off",
        _ => "",
    };
    Ok(text(call, value))
}

/// Binds set_config(name, value, is_local): answers the value, sets nothing.
fn set_config(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [_, value, _] = call.args.as_slice() else { return Err(call.no_match()) };
    Ok(text(call, value.as_text().unwrap_or_default()))
}

/// Binds format_type(oid, typmod): the PostgreSQL name of a type that has a number here, else NULL.
fn format_type(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [oid, modifier] = call.args.as_slice() else { return Err(call.no_match()) };
    let long = |arg: &Typed| super::cast::implicit(arg.clone(), Kind::Long);
    let kernel = Arc::new(|args: &Args| {
        let oids = args.longs(0);
        Ok(text_column(args.rows(), |row| type_name(oids.get(row)?)))
    });
    let function = Function::new("format_type", 2, Kind::String, Volatility::Immutable, kernel);
    function.call(vec![long(oid)?, long(modifier)?], Kind::String, call.position)
}

fn type_name(oid: i64) -> Option<&'static str> {
    Some(match oid {
        16 => "boolean",
        17 => "bytea",
        18 => "\"char\"",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        26 => "oid",
        700 => "real",
        701 => "double precision",
        1015 => "character varying[]",
        1022 => "double precision[]",
        1042 => "bpchar",
        1043 => "character varying",
        1082 => "date",
        1114 => "timestamp without time zone",
        1184 => "timestamp with time zone",
        1700 => "numeric",
        2950 => "uuid",
        _ => return None,
    })
}

/// Binds reload_config(): reads the configuration anew when the statement runs, and answers whether anything changed.
fn reload_config(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_args(call)?;
    let reload = environment.ask().reload.clone();
    let kernel = Arc::new(move |args: &Args| {
        let changed = args.rows() > 0 && reload.as_ref().is_some_and(|reload| reload());
        Ok(Arc::new(BooleanArray::from(vec![changed; args.rows()])) as ArrayRef)
    });
    Function::new("reload_config", 0, Kind::Boolean, Volatility::Volatile, kernel).call(
        Vec::new(),
        Kind::Boolean,
        call.position,
    )
}

/// Binds cancel_query(id): stops the running statement of that number when it is called; false if there is none.
fn cancel_query(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    let [id] = call.args.as_slice() else { return Err(call.wrong_count(1)) };
    let Some(number) = id.as_integer().filter(|n| *n >= 0) else {
        return Err(SqlError::new(id.position, "non-negative integer literal expected as query id"));
    };
    let (activity, clock) = (environment.ask().activity.clone(), environment.ask().clock.clone());
    let kernel = Arc::new(move |args: &Args| {
        let stopped = args.rows() > 0 && activity.cancel(number, clock.now_us());
        Ok(Arc::new(BooleanArray::from(vec![stopped; args.rows()])) as ArrayRef)
    });
    let function = Function::new("cancel_query", 0, Kind::Boolean, Volatility::Volatile, kernel);
    function.call(Vec::new(), Kind::Boolean, call.position)
}

fn type_of(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [value] = call.args.as_slice() else { return Err(call.wrong_count(1)) };
    let kind = if value.kind == Kind::Varchar { Kind::Varchar } else { Kind::String };
    let name = ScalarValue::Utf8View(Some(value.kind.name().to_owned()));
    Ok(Typed::literal(name, kind, call.position))
}
