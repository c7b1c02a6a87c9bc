//! Every key there is ([`ALL`]), where else one may be written ([`env_name`]), and which one was meant ([`nearest`]).

use std::sync::LazyLock;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Count,
    Size,
    Time,
    Address,
    Text,
}

/// One key of the list in `keys.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    pub default: &'static str,
    /// Its value is never shown.
    pub secret: bool,
    /// A reload takes a new value over.
    pub reloadable: bool,
    /// `None`: the key is accepted and has no effect here.
    pub effect: Option<Kind>,
}

/// Other spellings of keys: the second counts where the first is not set in the same place.
const SPELLINGS: [(&str, &str); 8] = [
    ("http.net.bind.to", "http.bind.to"),
    ("http.min.net.bind.to", "http.min.bind.to"),
    ("http.net.connection.limit", "http.net.active.connection.limit"),
    ("http.net.connection.timeout", "http.net.idle.connection.timeout"),
    ("line.tcp.net.connection.limit", "line.tcp.net.active.connection.limit"),
    ("line.tcp.net.connection.timeout", "line.tcp.net.idle.timeout"),
    ("pg.net.connection.limit", "pg.net.active.connection.limit"),
    ("pg.net.connection.timeout", "pg.net.idle.timeout"),
];

/// Every key, sorted by name.
pub static ALL: LazyLock<Vec<Key>> = LazyLock::new(|| include_str!("keys.txt").lines().filter_map(parse).collect());

fn parse(line: &'static str) -> Option<Key> {
    if line.starts_with('#') {
        return None;
    }
    let mut columns = line.split('\t');
    let (name, default) = columns.next()?.split_once('=')?;
    let flags = columns.next().unwrap_or("");
    let effect = match columns.next() {
        None => None,
        Some("bool") => Some(Kind::Bool),
        Some("count") => Some(Kind::Count),
        Some("size") => Some(Kind::Size),
        Some("time") => Some(Kind::Time),
        Some("address") => Some(Kind::Address),
        Some(_) => Some(Kind::Text),
    };
    Some(Key {
        name,
        default,
        secret: flags.contains('S'),
        reloadable: flags.contains('R') && effect.is_some(),
        effect,
    })
}

/// Returns the other spelling of a key, if it has one.
pub fn other_spelling(key: &str) -> Option<&'static str> {
    SPELLINGS.iter().find(|(name, _)| *name == key).map(|(_, other)| *other)
}

/// Returns the key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    ALL.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &ALL[at])
}

/// Returns the variable of the environment that overrides a key: `http.net.bind.to` is `QDB_HTTP_NET_BIND_TO`.
pub fn env_name(key: &str) -> String {
    format!("QDB_{}", key.to_uppercase().replace('.', "_"))
}

/// Returns the known key that is most like `name`.
pub fn nearest(name: &str) -> &'static str {
    ALL.iter().min_by_key(|key| distance(name, key.name)).map_or("", |key| key.name)
}

/// Returns how many characters have to be changed, added or taken away to get from one text to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_names_each_key_once() {
        assert!(ALL.len() > 700);
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(find("pg.user").map(|k| k.default), Some("admin"));
        assert!(find("pg.password").is_some_and(|k| k.secret && k.reloadable && k.effect == Some(Kind::Text)));
        assert!(find("cairo.sql.jit.mode").is_some_and(|k| k.effect.is_none()));
        for (name, other) in SPELLINGS {
            assert_eq!(find(name).map(|k| k.effect), find(other).map(|k| k.effect), "{name}");
        }
        assert_eq!(find("pg.pass"), None);
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (wrong, meant) in [
            ("pg.pasword", "pg.password"),
            ("http.net.bindto", "http.net.bind.to"),
            ("cairo.comit.mode", "cairo.commit.mode"),
            ("HTTP.user", "http.user"),
        ] {
            assert_eq!(nearest(&wrong.to_lowercase()), meant, "{wrong}");
        }
        assert_eq!(env_name("http.keep-alive.max"), "QDB_HTTP_KEEP-ALIVE_MAX");
    }
}
