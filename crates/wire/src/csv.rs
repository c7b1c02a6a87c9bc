//! Values as `/exp` shows them: CSV with CRLF line ends, NULL as nothing at all.
//!
//! Text and times stand in double quotes (a quote within is doubled, everything else is as it is), numbers and booleans do
//! not. Read next: [`crate::exec_json`].

use crate::exec_json;

/// What ends a line.
pub const LINE_END: &[u8] = b"\r\n";

/// Appends text in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    // without an early end the loop looks at many bytes at a time
    if !text.bytes().fold(false, |found, byte| found | (byte == b'"')) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Appends a double; nothing for NaN and infinities.
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        exec_json::double(out, value);
    }
}

/// Appends a float; nothing for NaN and infinities.
pub fn float(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        exec_json::float(out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_nulls_are_nothing() {
        let mut out = Vec::new();
        string(&mut out, "x\"y\n\\");
        out.push(b',');
        double(&mut out, f64::NAN);
        out.push(b',');
        double(&mut out, 1.5);
        float(&mut out, f32::INFINITY);
        assert_eq!(out, b"\"x\"\"y\n\\\",,1.5");
    }
}
