//! The keys of line protocol over TCP: [`read`].

use wire::ilp::{Options, Unit};

use super::read::lines;
use super::{ConfigError, Properties};
use crate::ilp_tcp::IlpTcpConfig;

/// Reads the keys.
pub fn read(properties: &Properties) -> Result<IlpTcpConfig, ConfigError> {
    let unit = Unit::from_precision(properties.text("line.tcp.timestamp"))
        .ok_or_else(|| properties.bad("line.tcp.timestamp", "n, u, ms, s, m or h"))?;
    let fraction: f64 = properties
        .text("line.tcp.commit.interval.fraction")
        .parse()
        .ok()
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| properties.bad("line.tcp.commit.interval.fraction", "a number from 0 to 1"))?;
    let idle = properties.duration("line.tcp.net.connection.timeout")?;
    let auth_file = properties.text("line.tcp.auth.db.path");
    Ok(IlpTcpConfig {
        bind: properties.address("line.tcp.net.bind.to")?,
        connections: properties.count("line.tcp.net.connection.limit")?,
        idle: (!idle.is_zero()).then_some(idle),
        lines: Options { wal_only: false, ..lines(properties)? },
        unit,
        commit_interval: properties.duration("line.tcp.commit.interval.default")?.mul_f64(fraction),
        disconnect_on_error: properties.bool("line.tcp.disconnect.on.error")?,
        max_line_bytes: properties.size("line.tcp.max.recv.buffer.size")?,
        auth_file: (!auth_file.is_empty()).then(|| auth_file.to_owned()),
    })
}
