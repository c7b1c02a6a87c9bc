//! From keys to what the server's parts want to know.

use std::time::Duration;

use storage::CommitMode;
use types::{ColumnType, PartitionBy};

use super::{
    ConfigError, Credentials, HttpConfig, IngestConfig, LogConfig, MemoryLimit, PgConfig, PgUser, Properties,
    StorageConfig,
};

/// Reads the keys of the HTTP server.
pub fn http(properties: &Properties, read_only: bool) -> Result<HttpConfig, ConfigError> {
    let credentials = match (properties.text("http.user"), properties.text("http.password")) {
        ("", "") => None,
        ("", _) | (_, "") => {
            return Err(ConfigError("http.user and http.password belong together: set both or none".to_owned()));
        }
        (user, password) => Some(Credentials { user: user.to_owned(), password: password.to_owned() }),
    };
    Ok(HttpConfig {
        bind: properties.address("http.net.bind.to")?,
        credentials,
        read_only: properties.bool("http.security.readonly")? || read_only,
        connections: properties.count("http.net.connection.limit")?,
        idle: properties.duration("http.net.connection.timeout")?,
        public_directory: properties.text("http.static.public.directory").to_owned(),
        index_file: properties.text("http.static.index.file.name").to_owned(),
        ingest: properties.bool("line.http.enabled")?.then(|| ingest(properties)).transpose()?,
    })
}

fn ingest(properties: &Properties) -> Result<IngestConfig, ConfigError> {
    Ok(IngestConfig { lines: lines(properties)?, max_body_bytes: properties.size("line.http.max.recv.buffer.size")? })
}

/// Reads what holds for lines by whatever door they come.
pub fn lines(properties: &Properties) -> Result<wire::ilp::Options, ConfigError> {
    let partition_by = PartitionBy::from_name(properties.text("line.default.partition.by"))
        .ok_or_else(|| properties.bad("line.default.partition.by", "NONE, HOUR, DAY, WEEK, MONTH or YEAR"))?;
    let column_type = |key: &str, allowed: &[ColumnType], names: &str| {
        let named = ColumnType::from_name(properties.text(key)).filter(|t| allowed.contains(t));
        named.ok_or_else(|| properties.bad(key, names))
    };
    use ColumnType::{Byte, Double, Float, Int, Long, Short, Timestamp, TimestampNs, Varchar};
    let texts = [Varchar, ColumnType::String];
    let integers = [Long, Int, Short, Byte];
    Ok(wire::ilp::Options {
        create_tables: properties.bool("line.auto.create.new.tables")?,
        create_columns: properties.bool("line.auto.create.new.columns")?,
        text_type: column_type("line.string.default.column.type", &texts, "VARCHAR or STRING")?,
        float_type: column_type("line.float.default.column.type", &[Double, Float], "DOUBLE or FLOAT")?,
        integer_type: column_type("line.integer.default.column.type", &integers, "LONG, INT, SHORT or BYTE")?,
        timestamp_type: column_type(
            "line.timestamp.default.column.type",
            &[Timestamp, TimestampNs],
            "TIMESTAMP or TIMESTAMP_NS",
        )?,
        partition_by,
        wal_only: true,
    })
}

/// Reads the keys of the PostgreSQL server.
pub fn pg(properties: &Properties, read_only: bool) -> Result<PgConfig, ConfigError> {
    let read_only = properties.bool("pg.security.readonly")? || read_only;
    let credentials = |user: &str, password: &str| Credentials {
        user: properties.text(user).to_owned(),
        password: properties.text(password).to_owned(),
    };
    let mut users = vec![PgUser { credentials: credentials("pg.user", "pg.password"), read_only }];
    let reader = credentials("pg.readonly.user", "pg.readonly.password");
    if properties.bool("pg.readonly.user.enabled")? {
        if reader.user == users[0].credentials.user {
            return Err(properties.bad("pg.readonly.user", "another name than that of pg.user"));
        }
        users.push(PgUser { credentials: reader, read_only: true });
    }
    Ok(PgConfig {
        bind: properties.address("pg.net.bind.to")?,
        users,
        connections: properties.count("pg.net.connection.limit")?,
        idle: properties.duration("pg.net.connection.timeout")?,
        statements: properties.count("pg.named.statement.limit")?,
    })
}

/// Reads the keys of the database itself.
pub fn storage(properties: &Properties) -> Result<StorageConfig, ConfigError> {
    let commit_mode = match properties.text("cairo.commit.mode").to_ascii_lowercase().as_str() {
        "sync" => CommitMode::Sync,
        "async" => CommitMode::Async,
        "nosync" => CommitMode::NoSync,
        _ => return Err(properties.bad("cairo.commit.mode", "sync, async or nosync")),
    };
    let bytes = |key: &str| match properties.size(key)? {
        0 => Err(properties.bad(key, "a size above 0, such as 64m")),
        bytes => Ok(bytes as u64),
    };
    Ok(StorageConfig {
        commit_mode,
        flush_bytes: bytes("storage.flush.bytes")?,
        base_bytes: bytes("storage.base.bytes")?,
        restore_grace: properties.duration("restore.grace")?,
        drop_grace: properties.duration("drop.grace")?,
        snapshot_lease: Some(properties.duration("snapshot.lease")?).filter(|lease| !lease.is_zero()),
        instance_id: instance_id(properties)?,
        restores: restores(properties)?,
        snapshot_syncfs: properties.bool("snapshot.syncfs")?,
        snapshot_warn_share: percent(properties, "snapshot.warn.share")?,
        snapshot_shed_free: percent(properties, "snapshot.shed.free")?,
        log_retention: Some(properties.duration("log.retention")?).filter(|retention| !retention.is_zero()),
        log_retention_bytes: Some(properties.size("log.retention.bytes")? as u64).filter(|bytes| *bytes > 0),
        log_files: match properties.count("storage.log.files")? {
            0 | 1 => return Err(properties.bad("storage.log.files", "a number above 1")),
            files => files,
        },
    })
}

/// Reads what the server is called.
fn instance_id(properties: &Properties) -> Result<String, ConfigError> {
    const KEY: &str = "cairo.snapshot.instance.id";
    let id = properties.text(KEY);
    if id.len() > MAX_INSTANCE_ID_BYTES || id.chars().any(char::is_control) {
        return Err(properties.bad(KEY, "a name of at most 255 bytes"));
    }
    Ok(id.to_owned())
}

/// Reads whether a start restores. Of the two spellings the older one counts where it is set, as in QuestDB.
fn restores(properties: &Properties) -> Result<bool, ConfigError> {
    let newer = properties.bool("cairo.checkpoint.recovery.enabled")?;
    let older = properties.bool("cairo.snapshot.recovery.enabled")?;
    Ok(if properties.is_set("cairo.snapshot.recovery.enabled") { older } else { newer })
}

fn percent(properties: &Properties, key: &str) -> Result<u64, ConfigError> {
    match properties.count(key)? {
        percent @ 0..=100 => Ok(percent as u64),
        _ => Err(properties.bad(key, "a percentage, 0 to 100")),
    }
}

/// Reads the keys of the text log.
pub fn log(properties: &Properties) -> Result<LogConfig, ConfigError> {
    let level = properties.text("log.level");
    Ok(LogConfig {
        level: level.parse().map_err(|_| properties.bad("log.level", "ERROR, WARN, INFO, DEBUG or TRACE"))?,
        roll_bytes: properties.size("log.roll.bytes")? as u64,
        keep: properties.duration("log.keep.time")?,
        keep_bytes: properties.size("log.keep.bytes")? as u64,
    })
}

/// Reads the longest run of one statement; the older key counts where it stands alone.
pub fn query_timeout(properties: &Properties) -> Result<Option<Duration>, ConfigError> {
    let seconds = Duration::from_secs(properties.count("query.timeout.sec")? as u64);
    let newer = properties.duration("query.timeout")?;
    let old_alone = !properties.is_set("query.timeout") && properties.is_set("query.timeout.sec");
    let limit = if old_alone { seconds } else { newer };
    Ok((!limit.is_zero()).then_some(limit))
}

/// Reads the size of the memory pool: `memory.limit`, else the peer's keys if the operator set them, else half.
pub fn memory_limit(properties: &Properties) -> Result<MemoryLimit, ConfigError> {
    if !properties.text("memory.limit").is_empty() {
        return match properties.size("memory.limit")? {
            bytes if bytes >= LEAST_MEMORY_BYTES => Ok(MemoryLimit::Bytes(bytes)),
            _ => Err(properties.bad("memory.limit", "at least 16m")),
        };
    }
    if properties.is_set("ram.usage.limit.bytes") && properties.size("ram.usage.limit.bytes")? > 0 {
        return Ok(MemoryLimit::Bytes(properties.size("ram.usage.limit.bytes")?.max(LEAST_MEMORY_BYTES)));
    }
    if !properties.is_set("ram.usage.limit.percent") {
        return Ok(MemoryLimit::Percent(50));
    }
    match properties.count("ram.usage.limit.percent")? {
        percent @ 1..=100 => Ok(MemoryLimit::Percent(percent)),
        _ => Err(properties.bad("ram.usage.limit.percent", "a number from 1 to 100")),
    }
}

/// Longest name of a server.
const MAX_INSTANCE_ID_BYTES: usize = 255;
/// With less no statement of use runs.
const LEAST_MEMORY_BYTES: usize = 16 << 20;
