//! The rows of a JSON answer of `/exec`, read as they stand: [`Reader`]. Numbers stay text, so that none is rounded.
//!
//! Read next: [`crate::exec_json`], which writes such answers.

use std::borrow::Cow;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    /// Its digits.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An array as it is written, brackets and all.
    Array(&'a str),
}

/// Reads one row after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    pos: usize,
    begun: bool,
}

/// Deepest array.
const MAX_DEPTH: usize = 33;

impl<'a> Reader<'a> {
    /// Returns a reader of the rows behind `"dataset":`; `None` when the answer has none.
    pub fn new(answer: &'a str) -> Option<Reader<'a>> {
        // Names and the statement stand before the rows as JSON texts, in which a quote is escaped.
        let start = answer.find("\"dataset\":")? + "\"dataset\":".len();
        let mut reader = Reader { text: answer, pos: start, begun: false };
        reader.blanks();
        reader.take(b'[').then_some(reader)
    }

    /// Fills `row` with the next row; returns false after the last.
    ///
    /// # Errors
    /// The place of the first byte that does not belong there.
    pub fn next_row(&mut self, row: &mut Vec<Value<'a>>) -> Result<bool, usize> {
        row.clear();
        self.blanks();
        if self.take(b']') {
            return Ok(false);
        }
        if self.begun {
            self.expect(b',')?;
            self.blanks();
        }
        self.begun = true;
        self.expect(b'[')?;
        self.blanks();
        if self.take(b']') {
            return Ok(true);
        }
        loop {
            self.blanks();
            row.push(self.value()?);
            self.blanks();
            if self.take(b']') {
                return Ok(true);
            }
            self.expect(b',')?;
        }
    }

    fn value(&mut self) -> Result<Value<'a>, usize> {
        let rest = &self.text[self.pos..];
        for (word, value) in [("null", Value::Null), ("true", Value::Boolean(true)), ("false", Value::Boolean(false))] {
            if rest.starts_with(word) {
                self.pos += word.len();
                return Ok(value);
            }
        }
        match rest.as_bytes().first() {
            Some(b'"') => self.string(),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') => {
                let end =
                    rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
                self.pos += end;
                Ok(Value::Number(&rest[..end]))
            }
            _ => Err(self.pos),
        }
    }

    fn string(&mut self) -> Result<Value<'a>, usize> {
        let start = self.pos;
        let bytes = self.text.as_bytes();
        let mut i = start + 1;
        let mut escaped = false;
        loop {
            match bytes.get(i).ok_or(start)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    i += 2;
                }
                _ => i += 1,
            }
        }
        self.pos = i + 1;
        if !escaped {
            return Ok(Value::Text(Cow::Borrowed(&self.text[start + 1..i])));
        }
        let text = serde_json::from_str(&self.text[start..=i]).map_err(|_| start)?;
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn array(&mut self) -> Result<Value<'a>, usize> {
        let start = self.pos;
        let mut depth = 0;
        for (i, byte) in self.text.bytes().enumerate().skip(start) {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                b'"' => return Err(i),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(i);
            }
            if depth == 0 {
                self.pos = i + 1;
                return Ok(Value::Array(&self.text[start..=i]));
            }
        }
        Err(start)
    }

    fn blanks(&mut self) {
        while matches!(self.text.as_bytes().get(self.pos), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.pos += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.text.as_bytes().get(self.pos) == Some(&byte);
        self.pos += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), usize> {
        if self.take(byte) { Ok(()) } else { Err(self.pos) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_read_as_they_stand() {
        let answer = r#"{"query":"select '\"dataset\":'","columns":[],"dataset":[[1,-1.5E10,null,true],["a\"b\u20ac",[],[[1.0],[null]]],[]],"count":3}"#;
        let mut reader = Reader::new(answer).unwrap();
        let mut row = Vec::new();
        assert_eq!(reader.next_row(&mut row), Ok(true));
        assert_eq!(row, [Value::Number("1"), Value::Number("-1.5E10"), Value::Null, Value::Boolean(true)]);
        assert_eq!(reader.next_row(&mut row), Ok(true));
        assert_eq!(row, [Value::Text("a\"b€".into()), Value::Array("[]"), Value::Array("[[1.0],[null]]")]);
        assert_eq!(reader.next_row(&mut row), Ok(true));
        assert!(row.is_empty());
        assert_eq!(reader.next_row(&mut row), Ok(false));
        for cut in answer.find("[[1,").unwrap() + 1..answer.len() - 12 {
            let mut reader = Reader::new(&answer[..cut]).unwrap();
            while let Ok(true) = reader.next_row(&mut row) {}
            assert!(reader.next_row(&mut row).is_err(), "{}", &answer[..cut]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\],\"\\\\0-9a-zé. ]{0,60}") {
            let answer = format!("\"dataset\":[{text}");
            let (mut reader, mut row) = (Reader::new(&answer).unwrap(), Vec::new());
            while let Ok(true) = reader.next_row(&mut row) {}
        }
    }
}
