//! Rows of PostgreSQL's COPY as text and as CSV: [`Form`].
//!
//! Values come in their text form; what is done here is delimiters, quotes, escapes and NULL.

/// How rows stand in the data of a COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Text { delimiter: u8, null: String },
    Csv { delimiter: u8, null: String, quote: u8, escape: u8, force: Force },
}

/// Which values are quoted without need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Force {
    None,
    All,
    Columns(Vec<String>),
}

impl Force {
    /// Returns whether values of a column are quoted without need.
    #[must_use]
    pub fn covers(&self, column: &str) -> bool {
        match self {
            Force::None => false,
            Force::All => true,
            Force::Columns(names) => names.iter().any(|name| name.eq_ignore_ascii_case(column)),
        }
    }
}

impl Form {
    /// Returns the text form with its defaults: tabs, `\N`.
    #[must_use]
    pub fn text() -> Form {
        Form::Text { delimiter: b'\t', null: "\\N".into() }
    }

    /// Returns CSV with its defaults: commas, double quotes, nothing for NULL.
    #[must_use]
    pub fn csv() -> Form {
        Form::Csv { delimiter: b',', null: String::new(), quote: b'"', escape: b'"', force: Force::None }
    }

    /// Appends what stands between two values.
    pub fn delimiter(&self, line: &mut Vec<u8>) {
        let (Form::Text { delimiter, .. } | Form::Csv { delimiter, .. }) = self;
        line.push(*delimiter);
    }

    /// Appends NULL.
    pub fn null(&self, line: &mut Vec<u8>) {
        let (Form::Text { null, .. } | Form::Csv { null, .. }) = self;
        line.extend_from_slice(null.as_bytes());
    }

    /// Appends a value. `alone`: it is the only one of its row; `forced`: it is quoted without need.
    pub fn value(&self, line: &mut Vec<u8>, value: &[u8], alone: bool, forced: bool) {
        match self {
            Form::Text { delimiter, .. } => value.iter().for_each(|byte| escaped(line, *byte, *delimiter)),
            Form::Csv { delimiter, null, quote, escape, .. } => {
                let special = |byte: &u8| matches!(byte, b'\r' | b'\n') || byte == delimiter || byte == quote;
                // a line of `\.` alone ends the data
                let ends = alone && value == b"\\.";
                if !(forced || ends || value == null.as_bytes() || value.iter().any(special)) {
                    return line.extend_from_slice(value);
                }
                line.push(*quote);
                for byte in value {
                    if byte == quote || byte == escape {
                        line.push(*escape);
                    }
                    line.push(*byte);
                }
                line.push(*quote);
            }
        }
    }
}

fn escaped(line: &mut Vec<u8>, byte: u8, delimiter: u8) {
    let letter = match byte {
        0x08 => b'b',
        0x0b => b'v',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'\\' => b'\\',
        _ if byte == delimiter => byte,
        _ => return line.push(byte),
    };
    line.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(form: &Form, values: &[Option<&str>]) -> String {
        let mut line = Vec::new();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                form.delimiter(&mut line);
            }
            match value {
                None => form.null(&mut line),
                Some(value) => form.value(&mut line, value.as_bytes(), values.len() == 1, false),
            }
        }
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn text_escapes_what_would_end_a_value() {
        let values = [Some("a\tb\\c\nd|"), None, Some("")];
        assert_eq!(line(&Form::text(), &values), "a\\tb\\\\c\\nd|\t\\N\t");
        let bars = Form::Text { delimiter: b'|', null: "-".into() };
        assert_eq!(line(&bars, &values), "a\\tb\\\\c\\nd\\||-|");
    }

    #[test]
    fn csv_tells_an_empty_text_from_null() {
        assert_eq!(line(&Form::csv(), &[Some(""), None, Some("a,b"), Some("say \"x\""), Some("\\.")]), {
            "\"\",,\"a,b\",\"say \"\"x\"\"\",\\."
        });
        assert_eq!(line(&Form::csv(), &[Some("\\.")]), "\"\\.\"");
        let own = Form::Csv { delimiter: b';', null: "NULL".into(), quote: b'\'', escape: b'\\', force: Force::None };
        assert_eq!(line(&own, &[Some("it's"), Some("a\\b;"), Some("NULL"), None, Some("a,b")]), {
            "'it\\'s';'a\\\\b;';'NULL';NULL;a,b"
        });
    }

    #[test]
    fn quotes_are_forced_by_column() {
        let mut out = Vec::new();
        Form::csv().value(&mut out, b"1", false, Force::Columns(vec!["A".into()]).covers("a"));
        assert_eq!(out, b"\"1\"");
        assert!(Force::All.covers("x"));
        assert!(!Force::None.covers("x"));
    }
}
