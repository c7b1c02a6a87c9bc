//! Cutting and filling text by characters.

/// What counts as one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// A code point, in VARCHAR.
    Points,
    /// A UTF-16 unit, in STRING and SYMBOL.
    Utf16,
}

impl Units {
    /// Returns the number of characters.
    pub fn count(self, text: &str) -> usize {
        match self {
            _ if text.is_ascii() => text.len(),
            Units::Points => text.chars().count(),
            Units::Utf16 => text.encode_utf16().count(),
        }
    }

    /// Returns the characters from `start` up to before `end`; half of a pair becomes the replacement character.
    fn slice(self, text: &str, start: usize, end: usize) -> String {
        let count = end.saturating_sub(start);
        match self {
            _ if text.is_ascii() => text.get(start..end.min(text.len())).unwrap_or_default().to_owned(),
            Units::Points => text.chars().skip(start).take(count).collect(),
            Units::Utf16 => {
                let units: Vec<u16> = text.encode_utf16().skip(start).take(count).collect();
                String::from_utf16_lossy(&units)
            }
        }
    }

    /// Returns the first `n` characters; a negative `n` cuts so many from the end.
    pub fn left(self, text: &str, n: i32) -> String {
        let count = self.count(text);
        let keep = if n >= 0 { (n as usize).min(count) } else { count.saturating_sub(n.unsigned_abs() as usize) };
        self.slice(text, 0, keep)
    }

    /// Returns the last `n` characters; a negative `n` cuts so many from the start.
    pub fn right(self, text: &str, n: i32) -> String {
        let count = self.count(text);
        let cut = if n >= 0 { count.saturating_sub(n as usize) } else { (n.unsigned_abs() as usize).min(count) };
        self.slice(text, cut, count)
    }

    /// Returns `length` characters from the 1-based `start`. A start before the text shortens the piece; a piece that
    /// ends before the text is None.
    pub fn substring(self, text: &str, start: i32, length: i32) -> Option<String> {
        let end = i64::from(start) + i64::from(length);
        if start < 1 {
            return (end >= 0).then(|| self.slice(text, 0, (end - 1).max(0) as usize));
        }
        Some(self.slice(text, start as usize - 1, end as usize - 1))
    }

    /// Returns `text` filled on the left to `length`; a longer one keeps its first characters.
    pub fn lpad(self, text: &str, length: usize, fill: &str) -> String {
        let count = self.count(text);
        if count >= length {
            return self.slice(text, 0, length);
        }
        format!("{}{text}", self.filler(fill, length - count))
    }

    /// Returns `text` filled on the right to `length`; a longer one keeps its last characters.
    pub fn rpad(self, text: &str, length: usize, fill: &str) -> String {
        let count = self.count(text);
        if count >= length {
            return self.slice(text, count - length, count);
        }
        format!("{text}{}", self.filler(fill, length - count))
    }

    fn filler(self, fill: &str, length: usize) -> String {
        let times = length / self.count(fill).max(1) + 1;
        self.slice(&fill.repeat(times), 0, length)
    }
}

/// Returns the 1-based `index`-th part between delimiters; a negative one counts from the end; none is the empty text.
pub fn part<'a>(text: &'a str, delimiter: &str, index: i32) -> &'a str {
    if delimiter.is_empty() || index == 0 {
        return "";
    }
    let nth = index.unsigned_abs() as usize - 1;
    let found = if index > 0 { text.split(delimiter).nth(nth) } else { text.rsplit(delimiter).nth(nth) };
    found.unwrap_or("")
}

/// Returns a Java replacement (`$1`, `${name}`, `\$`) as the regex crate writes it (`${1}`, `${name}`, `$$`).
pub fn replacement(java: &str) -> String {
    let mut out = String::new();
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' => {
                let mut group = String::new();
                if chars.next_if_eq(&'{').is_some() {
                    group.extend(chars.by_ref().take_while(|c| *c != '}'));
                } else {
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        group.push(digit);
                    }
                }
                out.push_str(&format!("${{{group}}}"));
            }
            other => out.push(other),
        }
    }
    out
}
