//! What the database knows of its tables, partitions and snapshots, in the peer's columns.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use storage::TableView;
use types::{ColumnType, Schema, Ttl};

use super::super::maths::size_text;
use super::super::typed::Call;
use super::rows::{Column, flag, int, long, long_or_null, table, text, text_or_null, timestamp};
use super::{Tables, named_table, storage_error};
use crate::error::SqlError;
use crate::kind::Kind;

type Provider = Result<Arc<dyn TableProvider>, SqlError>;

fn no_args(call: &Call) -> Result<(), SqlError> {
    if call.args.is_empty() { Ok(()) } else { Err(call.wrong_count(0)) }
}

/// The symbol capacity that tables are created with, and the block size of their indexes.
const SYMBOL_CAPACITY: i32 = 256;

const TABLES: &[Column] = &[
    ("id", Kind::Int),
    ("table_name", Kind::String),
    ("designatedTimestamp", Kind::String),
    ("partitionBy", Kind::String),
    ("walEnabled", Kind::Boolean),
    ("dedup", Kind::Boolean),
    ("ttlValue", Kind::Int),
    ("ttlUnit", Kind::String),
    ("matView", Kind::Boolean),
    ("directoryName", Kind::String),
    ("maxUncommittedRows", Kind::Int),
    ("o3MaxLag", Kind::Long),
    ("table_suspended", Kind::Boolean),
    ("table_type", Kind::Char),
    ("table_row_count", Kind::Long),
    ("table_min_timestamp", Kind::Timestamp),
    ("table_max_timestamp", Kind::Timestamp),
    ("table_last_write_timestamp", Kind::Timestamp),
    ("table_txn", Kind::Long),
    ("table_memory_pressure_level", Kind::Int),
    ("table_write_amp_count", Kind::Long),
    ("table_write_amp_p50", Kind::Double),
    ("table_write_amp_p90", Kind::Double),
    ("table_write_amp_p99", Kind::Double),
    ("table_write_amp_max", Kind::Double),
    ("table_merge_rate_count", Kind::Long),
    ("table_merge_rate_p50", Kind::Long),
    ("table_merge_rate_p90", Kind::Long),
    ("table_merge_rate_p99", Kind::Long),
    ("table_merge_rate_max", Kind::Long),
    ("wal_pending_row_count", Kind::Long),
    ("wal_dedup_row_count_since_start", Kind::Long),
    ("wal_txn", Kind::Long),
    ("wal_max_timestamp", Kind::Timestamp),
    ("wal_tx_count", Kind::Long),
    ("wal_tx_size_p50", Kind::Long),
    ("wal_tx_size_p90", Kind::Long),
    ("wal_tx_size_p99", Kind::Long),
    ("wal_tx_size_max", Kind::Long),
    ("replica_batch_count", Kind::Long),
    ("replica_batch_size_p50", Kind::Long),
    ("replica_batch_size_p90", Kind::Long),
    ("replica_batch_size_p99", Kind::Long),
    ("replica_batch_size_max", Kind::Long),
    ("replica_more_pending", Kind::Boolean),
];

/// Binds tables(). What is not measured here (write amplification, merge rates, replica batches) is 0.
pub fn tables(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let row = |t: &TableView| {
        let schema = t.schema();
        let bounds = t.time_bounds();
        let txn = if schema.wal { long(t.last_seq().0 as i64) } else { ScalarValue::Int64(None) };
        let (ttl_value, ttl_unit) = ttl_in_units(schema.ttl);
        let is_view = tables.planner.is_view(t);
        let of_table = |value| if is_view { 0 } else { value };
        let mut row = vec![
            int(t.id().0 as i32),
            text(t.name().as_str()),
            text_or_null(designated_name(schema)),
            text(if is_view { "N/A" } else { schema.partition_by.name() }),
            flag(schema.wal),
            flag(!schema.dedup_keys().is_empty()),
            int(ttl_value as i32),
            text(ttl_unit),
            flag(false),
            text(t.directory()),
            int(of_table(schema.max_uncommitted_rows.map_or(500_000, i64::from)) as i32),
            long(of_table(schema.o3_max_lag_us.unwrap_or(600_000_000))),
            flag(false),
            text(if is_view { "V" } else { "T" }),
            long(t.row_count().map_err(storage_error)? as i64),
            timestamp(bounds.map(|b| b.0)),
            timestamp(bounds.map(|b| b.1)),
            timestamp(None),
            long(t.last_seq().0 as i64),
            int(0),
        ];
        let measured = [("wal_txn", txn), ("wal_max_timestamp", timestamp(bounds.map(|b| b.1).filter(|_| schema.wal)))];
        for (name, kind) in &TABLES[row.len()..] {
            let known = measured.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            row.push(known.unwrap_or_else(|| zero(*kind)));
        }
        Ok(row)
    };
    table(TABLES, tables.all().iter().map(row).collect::<Result<_, SqlError>>()?)
}

/// Returns a TTL in the largest unit that fits, as the peer shows it.
pub fn ttl_in_units(ttl: Option<Ttl>) -> (u32, &'static str) {
    match ttl {
        None => (0, "HOUR"),
        Some(Ttl::Hours(hours)) if hours % 168 == 0 => (hours / 168, "WEEK"),
        Some(Ttl::Hours(hours)) if hours % 24 == 0 => (hours / 24, "DAY"),
        Some(Ttl::Hours(hours)) => (hours, "HOUR"),
        Some(Ttl::Months(months)) if months % 12 == 0 => (months / 12, "YEAR"),
        Some(Ttl::Months(months)) => (months, "MONTH"),
    }
}

fn zero(kind: Kind) -> ScalarValue {
    match kind {
        Kind::Long => long(0),
        Kind::Double => ScalarValue::Float64(Some(0.0)),
        kind => kind.null(),
    }
}

fn designated_name(schema: &Schema) -> Option<&str> {
    schema.designated.and_then(|id| schema.column_by_id(id)).map(|c| c.name.as_str())
}

/// Binds all_tables().
pub fn all_tables(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let rows = tables.all().iter().map(|t| vec![text(t.name().as_str())]).collect();
    table(&[("table_name", Kind::String)], rows)
}

const TABLE_COLUMNS: &[Column] = &[
    ("column", Kind::String),
    ("type", Kind::String),
    ("indexed", Kind::Boolean),
    ("indexBlockCapacity", Kind::Int),
    ("symbolCached", Kind::Boolean),
    ("symbolCapacity", Kind::Int),
    ("symbolTableSize", Kind::Int),
    ("designated", Kind::Boolean),
    ("upsertKey", Kind::Boolean),
];

/// Binds table_columns('t'), which SHOW COLUMNS is too.
pub fn table_columns(call: &Call, tables: &Tables) -> Provider {
    let of = named_table(call, tables)?;
    let schema = of.schema();
    let rows = schema.columns.iter().map(|column| {
        let symbol = column.column_type == ColumnType::Symbol;
        let if_symbol = |value: i32| int(if symbol { value } else { 0 });
        let or_default = |capacity: Option<u32>| capacity.map_or(SYMBOL_CAPACITY, |n| n as i32);
        vec![
            text(&column.name),
            text(column.column_type.to_string()),
            flag(column.indexed),
            if_symbol(or_default(column.symbol.index_capacity)),
            flag(symbol && !column.symbol.nocache),
            if_symbol(or_default(column.symbol.capacity)),
            if_symbol(of.symbol_count(column.id).unwrap_or(0) as i32),
            flag(schema.designated == Some(column.id)),
            flag(schema.dedup_keys().contains(&column.id)),
        ]
    });
    table(TABLE_COLUMNS, rows.collect())
}

const TABLE_PARTITIONS: &[Column] = &[
    ("index", Kind::Int),
    ("partitionBy", Kind::String),
    ("name", Kind::String),
    ("minTimestamp", Kind::Timestamp),
    ("maxTimestamp", Kind::Timestamp),
    ("numRows", Kind::Long),
    ("diskSize", Kind::Long),
    ("diskSizeHuman", Kind::String),
    ("readOnly", Kind::Boolean),
    ("active", Kind::Boolean),
    ("attached", Kind::Boolean),
    ("detached", Kind::Boolean),
    ("attachable", Kind::Boolean),
    ("isParquet", Kind::Boolean),
    ("parquetFileSize", Kind::Long),
];

/// Binds table_partitions('t'), which SHOW PARTITIONS is too.
pub fn table_partitions(call: &Call, tables: &Tables) -> Provider {
    let of = named_table(call, tables)?;
    if tables.planner.is_view(&of) {
        return Err(SqlError::new(0, format!("cannot get a reader for view [view={}]", of.directory())));
    }
    let partitions = of.partitions().map_err(storage_error)?;
    let last = partitions.len().saturating_sub(1);
    let beside = tables.database.detached_partitions(of.id()).map_err(storage_error)?;
    let attached = partitions.iter().enumerate().map(|(i, p)| {
        vec![
            int(i as i32),
            text(of.schema().partition_by.name()),
            text(&p.name),
            timestamp(p.time_bounds.map(|b| b.0)),
            timestamp(p.time_bounds.map(|b| b.1)),
            long(p.rows as i64),
            long(p.size_bytes as i64),
            text(size_text(p.size_bytes as i64)),
            flag(false),
            flag(i == last),
            flag(true),
            flag(false),
            flag(false),
            flag(p.is_parquet),
            long(if p.is_parquet { p.size_bytes as i64 } else { -1 }),
        ]
    });
    let detached = beside.iter().enumerate().map(|(i, p)| {
        vec![
            int((partitions.len() + i) as i32),
            text(of.schema().partition_by.name()),
            text(&p.name),
            timestamp(Some(p.time_bounds.0)),
            timestamp(Some(p.time_bounds.1)),
            long(p.rows as i64),
            long(p.size_bytes as i64),
            text(size_text(p.size_bytes as i64)),
            flag(false),
            flag(false),
            flag(false),
            flag(true),
            flag(p.attachable),
            flag(false),
            long(-1),
        ]
    });
    table(TABLE_PARTITIONS, attached.chain(detached).collect())
}

/// Binds table_storage().
pub fn table_storage(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("tableName", Kind::String),
        ("walEnabled", Kind::Boolean),
        ("partitionBy", Kind::String),
        ("partitionCount", Kind::Long),
        ("rowCount", Kind::Long),
        ("diskSize", Kind::Long),
    ];
    let row = |t: &TableView| {
        let partitions = t.partitions().map_err(storage_error)?;
        Ok(vec![
            text(t.name().as_str()),
            flag(t.schema().wal),
            text(t.schema().partition_by.name()),
            long(partitions.len() as i64),
            long(t.row_count().map_err(storage_error)? as i64),
            long(partitions.iter().map(|p| p.size_bytes).sum::<u64>() as i64),
        ])
    };
    table(columns, tables.view.tables().iter().map(row).collect::<Result<_, SqlError>>()?)
}

/// Binds wal_tables(): a commit is visible when it is acknowledged, so writer and sequencer never differ.
pub fn wal_tables(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("name", Kind::String),
        ("suspended", Kind::Boolean),
        ("writerTxn", Kind::Long),
        ("bufferedTxnSize", Kind::Long),
        ("sequencerTxn", Kind::Long),
        ("errorTag", Kind::String),
        ("errorMessage", Kind::String),
        ("memoryPressure", Kind::Int),
    ];
    let row = |t: TableView| {
        let txn = t.last_seq().0 as i64;
        vec![text(t.name().as_str()), flag(false), long(txn), long(0), long(txn), text(""), text(""), int(0)]
    };
    table(columns, tables.view.tables().into_iter().filter(|t| t.schema().wal).map(row).collect())
}

/// Binds checkpoint_status(): whether the snapshot without a name is open, and since when.
pub fn checkpoint_status(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let snapshots = tables.database.snapshots();
    let is_it = |s: &&storage::SnapshotInfo| s.name == "default" && s.state == storage::SnapshotState::Open;
    let started_us = snapshots.iter().find(is_it).map(|s| s.created_us);
    let columns: &[Column] = &[("in_progress", Kind::Boolean), ("started_at", Kind::Timestamp)];
    table(columns, vec![vec![flag(started_us.is_some()), timestamp(started_us)]])
}

/// Binds snapshots(): those that are not completed.
pub fn snapshots(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("name", Kind::String),
        ("state", Kind::String),
        ("seq", Kind::Long),
        ("created", Kind::Timestamp),
        ("lease_end", Kind::Timestamp),
        ("tables", Kind::Long),
        ("pinned_bytes", Kind::Long),
        ("owner", Kind::String),
        ("places", Kind::String),
    ];
    let rows = tables.database.snapshots().into_iter().map(|s| {
        let (created, lease_end) = (timestamp(Some(s.created_us)), timestamp(s.lease_end_us));
        let (tables, held) = (long(s.tables as i64), long(s.held_bytes as i64));
        let (seq, state, places) = (long(s.seq.0 as i64), text(s.state.name()), text(s.places.join(", ")));
        vec![text(s.name), state, seq, created, lease_end, tables, held, text(s.owner), places]
    });
    table(columns, rows.collect())
}

/// Binds restore_window(): the moments that can be restored, a row for each timeline, and the gaps between them.
pub fn restore_window(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("state", Kind::String),
        ("timeline", Kind::String),
        ("from_seq", Kind::Long),
        ("from_time", Kind::Timestamp),
        ("to_seq", Kind::Long),
        ("to_time", Kind::Timestamp),
        ("bytes", Kind::Long),
    ];
    let no_number = long_or_null(None);
    let mut rows = Vec::new();
    for stretch in tables.database.restore_window().map_err(storage_error)? {
        rows.extend(stretch.gap.map(|gap| {
            let (from, to) = (timestamp(Some(gap.from_us)), timestamp(Some(gap.to_us)));
            vec![text("gap"), text_or_null(None), no_number.clone(), from, no_number.clone(), to, no_number.clone()]
        }));
        let (from, to) = (timestamp(Some(stretch.from_us)), timestamp(Some(stretch.to_us)));
        let (from_seq, to_seq) = (long(stretch.from_seq.0 as i64), long(stretch.to_seq.0 as i64));
        let timeline = text(stretch.timeline.to_string());
        rows.push(vec![text("restorable"), timeline, from_seq, from, to_seq, to, long(stretch.bytes as i64)]);
    }
    table(columns, rows)
}

/// Binds dropped_tables(): those that UNDROP TABLE brings back, the latest drop first.
pub fn dropped_tables(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("name", Kind::String),
        ("id", Kind::Long),
        ("dropped", Kind::Timestamp),
        ("until", Kind::Timestamp),
        ("rows", Kind::Long),
        ("bytes", Kind::Long),
    ];
    let dropped = tables.database.dropped_tables().map_err(|e| SqlError::from_storage(&e))?;
    let rows = dropped.into_iter().map(|t| {
        let (id, rows, bytes) = (long(t.id.0 as i64), long(t.rows as i64), long(t.size_bytes as i64));
        vec![text(t.name.as_str()), id, timestamp(Some(t.dropped_us)), timestamp(Some(t.until_us)), rows, bytes]
    });
    table(columns, rows.collect())
}

/// Binds query_activity(): the statements that run now, this one among them. The worker is the session.
pub fn query_activity(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("query_id", Kind::Long),
        ("worker_id", Kind::Long),
        ("worker_pool", Kind::String),
        ("username", Kind::String),
        ("query_start", Kind::Timestamp),
        ("state_change", Kind::Timestamp),
        ("state", Kind::String),
        ("is_wal", Kind::Boolean),
        ("query", Kind::String),
    ];
    let rows = tables.environment.ask().activity.statements().into_iter().map(|s| {
        let stopped_us = s.stopped_by().map(|(_, us)| *us);
        vec![
            long(s.id),
            long(s.session),
            text("shared-network"),
            text(&s.user),
            timestamp(Some(s.started_us)),
            timestamp(stopped_us.or(Some(s.started_us))),
            text(if stopped_us.is_some() { "cancelled" } else { "active" }),
            flag(false),
            text(&s.text),
        ]
    });
    table(columns, rows.collect())
}

/// Binds materialized_views(): there are none, but consoles ask.
pub fn materialized_views(call: &Call, _: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("view_name", Kind::String),
        ("refresh_type", Kind::String),
        ("base_table_name", Kind::String),
        ("last_refresh_start_timestamp", Kind::Timestamp),
        ("last_refresh_finish_timestamp", Kind::Timestamp),
        ("view_sql", Kind::String),
        ("view_table_dir_name", Kind::String),
        ("invalidation_reason", Kind::String),
        ("view_status", Kind::String),
        ("refresh_period_hi", Kind::Timestamp),
        ("refresh_base_table_txn", Kind::Long),
        ("base_table_txn", Kind::Long),
        ("refresh_limit", Kind::Int),
        ("refresh_limit_unit", Kind::String),
        ("timer_time_zone", Kind::String),
        ("timer_start", Kind::Timestamp),
        ("timer_interval", Kind::Int),
        ("timer_interval_unit", Kind::String),
        ("period_length", Kind::Int),
        ("period_length_unit", Kind::String),
        ("period_delay", Kind::Int),
        ("period_delay_unit", Kind::String),
    ];
    table(columns, Vec::new())
}

/// Binds views(). Whether a view is valid is found out now: nothing was kept that could be out of date.
pub fn views(call: &Call, tables: &Tables) -> Provider {
    no_args(call)?;
    let columns: &[Column] = &[
        ("view_name", Kind::String),
        ("view_sql", Kind::String),
        ("view_table_dir_name", Kind::String),
        ("invalidation_reason", Kind::String),
        ("view_status", Kind::String),
        ("view_status_update_time", Kind::Timestamp),
    ];
    let row = |(view, shell): (Arc<storage::SqlView>, Result<TableView, SqlError>)| {
        let wrong = shell.err();
        vec![
            text(view.name.as_str()),
            text(&view.text),
            text(view.directory()),
            text_or_null(wrong.as_ref().map(|error| error.message.as_str())),
            text(if wrong.is_some() { "invalid" } else { "valid" }),
            timestamp(Some(view.changed_us)),
        ]
    };
    table(columns, tables.planner.listed_views().into_iter().map(row).collect())
}

/// Binds reader_pool(): nobody keeps readers of tables open between statements.
pub fn reader_pool(call: &Call, _: &Tables) -> Provider {
    pool(call, ("current_txn", Kind::Long))
}

/// Binds writer_pool(): one log serves all writers, and none owns a table.
pub fn writer_pool(call: &Call, _: &Tables) -> Provider {
    pool(call, ("ownership_reason", Kind::String))
}

fn pool(call: &Call, last: (&'static str, Kind)) -> Provider {
    no_args(call)?;
    let columns = [
        ("table_name", Kind::String),
        ("owner_thread_id", Kind::Long),
        ("last_access_timestamp", Kind::Timestamp),
        last,
    ];
    table(&columns, Vec::new())
}

/// The words that a statement may use as keywords.
pub const KEYWORDS: &[&str] = &[
    "add",
    "all",
    "alter",
    "and",
    "as",
    "asc",
    "asof",
    "attach",
    "begin",
    "between",
    "by",
    "bypass",
    "cache",
    "capacity",
    "case",
    "cast",
    "checkpoint",
    "column",
    "columns",
    "commit",
    "create",
    "cross",
    "database",
    "desc",
    "detach",
    "distinct",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "fill",
    "first",
    "foreign",
    "from",
    "grant",
    "group",
    "header",
    "if",
    "in",
    "index",
    "inner",
    "insert",
    "intersect",
    "into",
    "isolation",
    "join",
    "key",
    "latest",
    "left",
    "level",
    "limit",
    "linear",
    "list",
    "lock",
    "lt",
    "nan",
    "natural",
    "nocache",
    "none",
    "not",
    "null",
    "observation",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "partitions",
    "prev",
    "primary",
    "range",
    "references",
    "rename",
    "repair",
    "right",
    "rollback",
    "sample",
    "select",
    "set",
    "show",
    "snapshot",
    "system",
    "table",
    "tables",
    "then",
    "to",
    "transaction",
    "truncate",
    "type",
    "union",
    "unlock",
    "update",
    "values",
    "when",
    "where",
    "with",
    "writer",
    "zone",
];

/// Binds keywords().
pub fn keywords(call: &Call, _: &Tables) -> Provider {
    no_args(call)?;
    table(&[("keyword", Kind::String)], KEYWORDS.iter().map(|word| vec![text(*word)]).collect())
}
