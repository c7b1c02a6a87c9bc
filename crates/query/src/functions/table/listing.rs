//! functions(): the functions by their names, with what they take where that is fixed.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;

use super::super::overload::Overload;
use super::super::typed::Call;
use super::super::{Binding, aggregate, find};
use super::Tables;
use super::rows::{flag, table, text};
use crate::error::SqlError;
use crate::kind::Kind;

/// The names of the functions that give a value.
const SCALARS: &str = "abs acos array_avg array_build array_count array_cum_sum array_max array_min array_position \
    array_reverse array_sort array_stddev array_stddev_pop array_stddev_samp array_sum asin atan atan2 base64 build \
    ceil ceiling coalesce concat cos cot current_catalog current_database current_schema current_schemas \
    current_setting current_user date_trunc dateadd datediff day day_of_week day_of_week_sunday_first days_in_month \
    degrees dim_length dot_product exp extract flatten floor flush_query_cache format_type from_base64 \
    geo_distance_meters geo_within_radius_latlon greatest hour hydrate_table_metadata insertion_point is_leap_year \
    json_extract l2price least left length length_bytes ln log lower lpad ltrim make_geohash matmul md5 micros mid \
    millis minute month nanos netmask now now_ns nullif pi position power quote_ident radians regexp_replace \
    reload_config replace right rnd_bin rnd_boolean rnd_byte rnd_char rnd_date rnd_double rnd_float rnd_geohash rnd_int \
    rnd_ipv4 rnd_long rnd_long256 rnd_short rnd_str rnd_symbol rnd_symbol_weighted rnd_symbol_zipf rnd_timestamp rnd_uuid4 rnd_varchar round round_down \
    round_half_even round_up rpad rtrim second session_user sha1 sha256 shift sign sin size_pretty split_part spread \
    spread_bps sqrt starts_with strpos substring sysdate systimestamp systimestamp_ns tan timestamp_ceil \
    timestamp_floor timestamp_sequence to_date to_long256 to_lowercase to_str to_timestamp to_timestamp_ns to_timezone to_uppercase \
    to_utc to_uuid transpose trim typeof upper version week_of_year within within_box within_radius wmid year";

/// The names of the functions that give rows.
const TABLES: &str = "all_tables checkpoint_status dropped_tables functions generate_series keywords long_sequence \
    materialized_views query_activity reader_pool restore_window snapshots table_columns table_partitions \
    table_storage tables views wal_tables writer_pool";

/// The names of the functions that only stand with OVER.
const WINDOWS: &str =
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value";

pub(super) fn functions(call: &Call, _: &Tables) -> Result<Arc<dyn TableProvider>, SqlError> {
    if !call.args.is_empty() {
        return Err(call.wrong_count(0));
    }
    let columns = [
        ("name", Kind::String),
        ("signature", Kind::String),
        ("signature_translated", Kind::String),
        ("runtime_constant", Kind::Boolean),
        ("type", Kind::String),
    ];
    let mut rows = Vec::new();
    for name in SCALARS.split_whitespace() {
        match find(name) {
            Some(Binding::Forms(forms)) => rows.extend(forms.iter().map(|form| of_form(name, form))),
            _ => rows.push(of_any(name, "STANDARD")),
        }
    }
    rows.extend(TABLES.split_whitespace().map(|name| of_any(name, "STANDARD")));
    rows.extend(aggregate::NAMES.iter().map(|name| of_any(name, "GROUP_BY")));
    rows.extend(WINDOWS.split_whitespace().map(|name| of_any(name, "WINDOW")));
    table(&columns, rows)
}

/// Returns the row of one form; each type has its letter in a signature.
fn of_form(name: &str, form: &Overload) -> Vec<ScalarValue> {
    let kinds: Vec<Kind> = form.params.iter().map(|param| param.kind()).collect();
    let letters: String = kinds.iter().map(|kind| letter(*kind)).collect();
    let names: Vec<String> = kinds.iter().map(|kind| kind.name().to_lowercase()).collect();
    let constant = form.params.is_empty();
    row(name, &letters, &names.join(", "), constant, "STANDARD")
}

/// Returns the row of a function that looks at its arguments itself.
fn of_any(name: &str, kind: &str) -> Vec<ScalarValue> {
    row(name, "V", "var_arg", false, kind)
}

fn row(name: &str, letters: &str, names: &str, constant: bool, kind: &str) -> Vec<ScalarValue> {
    vec![text(name), text(format!("{name}({letters})")), text(format!("{name}({names})")), flag(constant), text(kind)]
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Boolean => 'T',
        Kind::Byte => 'B',
        Kind::Short => 'E',
        Kind::Int => 'I',
        Kind::Long => 'L',
        Kind::Float => 'F',
        Kind::Double => 'D',
        Kind::Char => 'A',
        Kind::Varchar => 'Ø',
        Kind::Date => 'M',
        Kind::Timestamp => 'N',
        _ => 'S',
    }
}

#[cfg(test)]
mod tests {
    use super::super::find as find_table;
    use super::*;

    #[test]
    fn every_name_that_is_listed_is_one_of_a_function() {
        let unknown: Vec<&str> = SCALARS.split_whitespace().filter(|name| find(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let unknown: Vec<&str> = TABLES.split_whitespace().filter(|name| find_table(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
