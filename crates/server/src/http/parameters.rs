//! The parameters of a request's query string, or of a form in its body: [`Parameters`].

use std::collections::HashMap;

/// Names and values, decoded. Of one name the last value counts, as in the peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters(HashMap<String, Value>);

#[derive(Debug, PartialEq, Eq)]
struct Value {
    text: String,
    /// The bytes were not UTF-8; `text` then holds replacement characters.
    broken: bool,
}

impl Parameters {
    /// Reads `a=1&b=2`, where `+` is a blank and `%41` a byte.
    pub fn read(text: &str) -> Parameters {
        let mut map = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = match String::from_utf8(decode(value)) {
                Ok(text) => Value { text, broken: false },
                Err(e) => Value { text: String::from_utf8_lossy(e.as_bytes()).into_owned(), broken: true },
            };
            map.insert(String::from_utf8_lossy(&decode(name)).into_owned(), value);
        }
        Parameters(map)
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.text.as_str())
    }

    /// Returns whether the value of a name was not UTF-8.
    pub fn is_broken(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|v| v.broken)
    }

    /// Returns whether a name is set to `true`, in any case; everything else is false.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v.eq_ignore_ascii_case("true"))
    }
}

/// Decodes blanks and bytes; a `%` without two hexadecimal digits stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let byte = match bytes[i] {
            b'+' => b' ',
            b'%' => match bytes.get(i + 1..i + 3).and_then(hex) {
                Some(byte) => {
                    i += 2;
                    byte
                }
                None => b'%',
            },
            byte => byte,
        };
        out.push(byte);
        i += 1;
    }
    out
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |d: u8| (d as char).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

/// Decodes what stands before the query of an address: a `+` is none of its blanks.
pub fn decode_before_query(text: &str) -> Vec<u8> {
    decode(&text.replace('+', "%2B"))
}

/// Returns the path of a request, decoded; `None` when it is not UTF-8.
pub fn decode_path(path: &str) -> Option<String> {
    String::from_utf8(decode_before_query(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_the_last_one_counts() {
        let p = Parameters::read("query=select+1%2B1%3B&nm=TRUE&query=%C3%A9&x&count=1&bad=%zz%4");
        assert_eq!(p.get("query"), Some("é"));
        assert!(p.is_true("nm") && !p.is_true("count") && !p.is_true("missing"));
        assert_eq!(p.get("x"), Some(""));
        assert_eq!(p.get("bad"), Some("%zz%4"));
        assert_eq!(Parameters::read("q=select+1%2B1").get("q"), Some("select 1+1"));
    }

    #[test]
    fn bytes_that_are_not_text_are_noticed() {
        let p = Parameters::read("query=select%20%FF");
        assert!(p.is_broken("query"));
        assert_eq!(p.get("query"), Some("select \u{fffd}"));
        assert_eq!(decode_path("/a%2Fb+c"), Some("/a/b+c".to_owned()));
        assert_eq!(decode_path("/%FF"), None);
    }
}
