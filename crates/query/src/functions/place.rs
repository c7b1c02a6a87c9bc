//! Functions of UUID, LONG256, IPv4, GEOHASH and BINARY: makers, containment, prefixes.

use datafusion::logical_expr::Volatility;
use std::sync::Arc;
use types::{geohash, ipv4};

use super::array::over;
use super::cast;
use super::cell::{self, Cell};
use super::kernel::{Args, Function, boolean_column};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// How an address lies to a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Containment {
    /// Whether the net is the left operand.
    pub net_first: bool,
    /// Whether the net of one address contains it.
    pub or_equal: bool,
}

impl Containment {
    fn symbol(self) -> &'static str {
        match (self.net_first, self.or_equal) {
            (false, false) => "<<",
            (false, true) => "<<=",
            (true, false) => ">>",
            (true, true) => ">>=",
        }
    }
}

/// Returns the binding of such a function.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "to_uuid" => |call, _| of_longs(call, Kind::Uuid, 2),
        "to_long256" => |call, _| of_longs(call, Kind::Long256, 4),
        "make_geohash" => make_geohash,
        "netmask" => netmask,
        "within" => within,
        "from_base64" => from_base64,
        "base64" => base64,
        _ => return None,
    }))
}

/// Binds a value of LONGs, the low one first.
fn of_longs(call: &Call, kind: Kind, count: usize) -> Result<Typed, SqlError> {
    if call.args.len() != count {
        return Err(call.no_match());
    }
    let args = call.args.iter().map(|a| cast::implicit(a.clone(), Kind::Long)).collect::<Result<Vec<_>, _>>()?;
    over(&call.name, args, kind, call.position, move |cells| {
        let mut bytes = Vec::new();
        for cell in cells.iter().rev() {
            let Cell::Whole(word) = cell else { return Ok(Cell::Null) };
            bytes.extend(word.to_be_bytes());
        }
        Ok(match kind {
            Kind::Uuid => bytes.try_into().map_or(Cell::Null, Cell::Uuid),
            _ => bytes.try_into().map_or(Cell::Null, Cell::Long256),
        })
    })
}

fn make_geohash(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [longitude, latitude, bits] = call.args.as_slice() else { return Err(call.no_match()) };
    let size = bits.as_integer().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=60).contains(n));
    let size = size.ok_or_else(|| SqlError::new(bits.position, "precision must be in [1..60] range"))?;
    let double = |arg: &Typed| cast::implicit(arg.clone(), Kind::Double);
    let args = vec![double(longitude)?, double(latitude)?];
    over(&format!("make_geohash {size}"), args, Kind::Geohash(size), call.position, move |cells| match cells {
        [Cell::Double(x), Cell::Double(y)] => Ok(geohash::encode(*x, *y, size).map_or(Cell::Null, Cell::Whole)),
        _ => Ok(Cell::Null),
    })
}

fn netmask(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [arg] = call.args.as_slice() else { return Err(call.no_match()) };
    if !arg.kind.is_text() {
        return Err(call.no_match());
    }
    over("netmask", vec![arg.clone()], Kind::Ipv4, call.position, |cells| match &cells[0] {
        Cell::Text(net) => Ok(ipv4::parse_net(net).map_or(Cell::Null, |(_, mask)| Cell::Ipv4(mask))),
        _ => Ok(Cell::Null),
    })
}

/// Binds `<<`, `<<=`, `>>`, `>>=`; `position` is the operator's.
pub fn contained(how: Containment, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    let start = left.position;
    let (address, net) = if how.net_first { (right, left) } else { (left, right) };
    if address.kind != Kind::Ipv4 || !(net.kind.is_text() || net.kind == Kind::Ipv4) {
        let (l, r) = if how.net_first { (net.kind, address.kind) } else { (address.kind, net.kind) };
        return Err(super::comparison::no_operator(how.symbol(), l, r, position));
    }
    if let Some(text) = net.as_text()
        && ipv4::parse_net(text).is_none()
    {
        return Err(SqlError::new(net.position, format!("invalid argument: {text}")));
    }
    let kernel = Arc::new(move |args: &Args| {
        let (address, net) = (cell::reader(args, 0), cell::reader(args, 1));
        Ok(boolean_column(args.rows(), |row| {
            let net = match net(row) {
                Cell::Text(text) => ipv4::parse_net(&text),
                Cell::Ipv4(address) => Some((address, u32::MAX)),
                _ => None,
            };
            match (address(row), net) {
                (Cell::Ipv4(address), Some((net, mask))) => address & mask == net && (how.or_equal || mask != u32::MAX),
                _ => false,
            }
        }))
    });
    let answer = Function::new(how.symbol(), 2, Kind::Boolean, Volatility::Immutable, kernel);
    Ok(answer.call(vec![address, net], Kind::Boolean, position)?.at(start))
}

/// Binds `hash WITHIN (prefix, …)` of geohash constants.
fn within(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let Some((hash, prefixes)) = call.args.split_first() else { return Err(call.no_match()) };
    let Kind::Geohash(bits) = hash.kind else {
        return Err(SqlError::new(hash.position, format!("GEOHASH expected, found {}", hash.kind)));
    };
    let mut wanted = Vec::new();
    for prefix in prefixes {
        let Kind::Geohash(own) = prefix.kind else {
            let message = format!("cannot compare GEOHASH with type {}", prefix.kind);
            return Err(SqlError::new(prefix.position, message));
        };
        if own > bits {
            let message = format!("the precision of the prefix is too high [{}, {}]", prefix.kind, hash.kind);
            return Err(SqlError::new(prefix.position, message));
        }
        match prefix.as_integer() {
            Some(value) => wanted.push((bits - own, value)),
            None => return Err(SqlError::new(prefix.position, "constant expected")),
        }
    }
    let name = format!("within {wanted:?}");
    let kernel = Arc::new(move |args: &Args| {
        let hashes = args.longs(0);
        Ok(boolean_column(args.rows(), |row| {
            hashes.get(row).is_some_and(|hash| wanted.iter().any(|(shift, prefix)| hash >> shift == *prefix))
        }))
    });
    let answer = Function::new(&name, 1, Kind::Boolean, Volatility::Immutable, kernel);
    answer.call(vec![hash.clone()], Kind::Boolean, call.position)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [arg] = call.args.as_slice() else { return Err(call.no_match()) };
    if !arg.kind.is_text() {
        return Err(call.no_match());
    }
    over("from_base64", vec![arg.clone()], Kind::Binary, call.position, |cells| {
        let Cell::Text(text) = &cells[0] else { return Ok(Cell::Null) };
        let mut bytes = Vec::new();
        let (mut held, mut bits) = (0u32, 0);
        for c in text.trim_end_matches('=').bytes() {
            let Some(digit) = BASE64.iter().position(|d| *d == c) else { return Ok(Cell::Null) };
            held = held << 6 | digit as u32;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
        }
        Ok(Cell::Binary(bytes))
    })
}

/// Binds length of BINARY: -1 for NULL.
pub fn byte_count(call: &Call) -> Result<Typed, SqlError> {
    if call.args.len() != 1 {
        return Err(call.no_match());
    }
    over("length", call.args.clone(), Kind::Long, call.position, |cells| match &cells[0] {
        Cell::Binary(bytes) => Ok(Cell::Whole(bytes.len() as i64)),
        _ => Ok(Cell::Whole(-1)),
    })
}

fn base64(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [arg, most] = call.args.as_slice() else { return Err(call.no_match()) };
    if arg.kind != Kind::Binary {
        return Err(call.no_match());
    }
    let most = most.as_integer().and_then(|n| usize::try_from(n).ok());
    let most = most.ok_or_else(|| SqlError::new(call.args[1].position, "max length must be a positive constant"))?;
    over(&format!("base64 {most}"), vec![arg.clone()], Kind::String, call.position, move |cells| {
        let Cell::Binary(bytes) = &cells[0] else { return Ok(Cell::Null) };
        let mut text = String::new();
        for group in bytes[..bytes.len().min(most)].chunks(3) {
            let word = group.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - group.len()));
            for i in 0..4 {
                let digit = BASE64[(word >> (18 - 6 * i) & 63) as usize] as char;
                text.push(if i <= group.len() { digit } else { '=' });
            }
        }
        Ok(Cell::Text(text))
    })
}
