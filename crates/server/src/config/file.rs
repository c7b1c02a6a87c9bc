//! The syntax of `server.conf`: that of Java properties, with the line numbers kept.
//!
//! `key=value`, `key: value` or `key value`; `#` or `!` begins a comment line; a backslash takes the next character
//! literally (`\n`, `\t`, `\r` and `\u00e9` as usual) and, at the end of a line, goes on with the next one.

/// One setting of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line of the file where it begins, from 1.
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// Returns the settings of a file in their order; of one key the last one counts.
pub fn read(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while ends_in_open_backslash(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, more)) => logical.push_str(more.trim_start()),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        settings.push(Setting { line: index + 1, key: unescape(key), value: unescape(value.trim_end()) });
    }
    settings
}

fn ends_in_open_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

/// Splits at the first `=`, `:` or blank that is not escaped; blanks around the sign do not count.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let stop = !escaped && matches!(c, '=' | ':' | ' ' | '\t');
            escaped = c == '\\' && !escaped;
            stop
        })
        .map_or(line.len(), |(at, _)| at);
    let rest = line[end..].trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], value.trim_start())
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let digits = chars.as_str().get(..4).unwrap_or("");
                match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
                    Some(c) => {
                        out.push(c);
                        chars.nth(3);
                    }
                    None => out.push('u'),
                }
            }
            Some(c) => out.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let got = read(text);
        let got: Vec<_> = got.iter().map(|s| (s.line, s.key.as_str(), s.value.as_str())).collect();
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn settings_with_their_lines() {
        check(
            "# a comment\n\na.b=1\n  c.d = x y  \n!no\ne: f\ng h\ni\n",
            &[(3, "a.b", "1"), (4, "c.d", "x y"), (6, "e", "f"), (7, "g", "h"), (8, "i", "")],
        );
    }

    #[test]
    fn backslashes() {
        check(
            "path=C:\\\\data\\\\x\nlong=a,\\\n   b\nnext=1\nu=\\u00e9\\n\nk\\=x=y\r\nend=\\",
            &[
                (1, "path", "C:\\data\\x"),
                (2, "long", "a,b"),
                (4, "next", "1"),
                (5, "u", "é\n"),
                (6, "k=x", "y"),
                (7, "end", ""),
            ],
        );
    }
}
