//! A path into a JSON document, and the value at its end.

use serde_json::Value;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A compiled path: `$.a.b[0]`; the `$` may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// A value in a document. Numbers, objects and lists are kept as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Null,
    Bool(bool),
    Text(String),
    Number(String),
    Other(String),
}

impl Path {
    /// Reads a path; None if it is none (`key` without the point).
    pub fn parse(text: &str) -> Option<Path> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix('[') {
                let (index, behind) = behind.split_once(']')?;
                steps.push(Step::Index(index.parse().ok()?));
                rest = behind;
            } else {
                let behind = rest.strip_prefix('.')?;
                let end = behind.find(['.', '[']).unwrap_or(behind.len());
                steps.push(Step::Key(behind[..end].to_owned()));
                rest = &behind[end..];
            }
        }
        Some(Path(steps))
    }

    /// Returns the value at the end of the path; None if the document is malformed or has no such place.
    pub fn find(&self, document: &str) -> Option<Found> {
        // The peer takes any text that begins so for the word null.
        if document.starts_with('n') {
            return Some(Found::Null);
        }
        let whole: Value = serde_json::from_str(document).ok()?;
        let mut raw = document.trim();
        for step in &self.0 {
            match raw.as_bytes().first()? {
                b'{' | b'[' => raw = child(raw, step)?,
                // A document that is one plain value answers every path.
                _ if !matches!(whole, Value::Object(_) | Value::Array(_)) => break,
                _ => return None,
            }
        }
        found(raw)
    }
}

/// Returns the value that a piece of valid JSON is.
fn found(raw: &str) -> Option<Found> {
    Some(match raw.as_bytes().first()? {
        b'n' => Found::Null,
        b't' => Found::Bool(true),
        b'f' => Found::Bool(false),
        b'"' => Found::Text(serde_json::from_str(raw).ok()?),
        b'{' | b'[' => Found::Other(raw.to_owned()),
        _ => Found::Number(raw.to_owned()),
    })
}

/// Returns the raw text of a member of a valid object or list.
fn child<'a>(raw: &'a str, step: &Step) -> Option<&'a str> {
    let object = raw.starts_with('{');
    let mut rest = raw[1..].trim_start();
    let mut index = 0;
    while !rest.starts_with(['}', ']']) {
        let mut key = None;
        if object {
            let end = value_end(rest);
            key = serde_json::from_str::<String>(&rest[..end]).ok();
            rest = rest[end..].trim_start().strip_prefix(':')?.trim_start();
        }
        let end = value_end(rest);
        let wanted = match step {
            Step::Key(name) => key.as_deref() == Some(name),
            Step::Index(at) => !object && *at == index,
        };
        if wanted {
            return Some(&rest[..end]);
        }
        index += 1;
        rest = rest[end..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    None
}

/// Returns where the value at the start of valid JSON ends.
fn value_end(json: &str) -> usize {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (i, byte) in json.bytes().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            if !quoted && depth == 0 {
                return i + 1;
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return i,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            b',' | b':' | b' ' | b'\n' | b'\t' | b'\r' if depth == 0 => return i,
            _ => {}
        }
    }
    json.len()
}
