//! Texts to values: sizes, times, addresses. `None` says that a text is none; the caller knows its key.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Returns `true` or `false`, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Returns a size in bytes: digits with `k`, `m` or `g`, and an optional `b`, behind them.
pub fn size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number).ok()?.checked_mul(factor)
}

/// Returns a time: digits with `ms`, `s`, `m`, `h` or `d` behind them; milliseconds without.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).map(Duration::from_millis)
}

/// Returns an address of this machine: `host:port`; a name is looked up.
pub fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    if host.is_empty() {
        return None;
    }
    (host, port.parse::<u16>().ok()?).to_socket_addrs().ok()?.next()
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_addresses() {
        for (text, bytes) in [
            ("5", Some(5)),
            ("2k", Some(2048)),
            ("1M", Some(1 << 20)),
            ("4gb", Some(4 << 30)),
            ("x", None),
            ("5x", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        for (text, ms) in [
            ("300000", Some(300_000)),
            ("60s", Some(60_000)),
            ("1m", Some(60_000)),
            ("500ms", Some(500)),
            ("2h", Some(7_200_000)),
            ("soon", None),
        ] {
            assert_eq!(duration(text), ms.map(Duration::from_millis), "{text}");
        }
        assert_eq!(address("127.0.0.1:9000"), "127.0.0.1:9000".parse().ok());
        assert_eq!(address("[::1]:9000"), "[::1]:9000".parse().ok());
        assert!(address("localhost:9000").is_some_and(|a| a.ip().is_loopback()));
        for bad in ["", "9000", ":9000", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
