//! Rust text as the rules look at it: without comments and literals, and without its tests.
//!
//! Not a parser: it knows comments, string and character literals and braces, and keeps every line where it was.

/// Returns the text with comments and the contents of literals blanked, line by line as before.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        match end {
            Some(end) => {
                out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// Returns where the comment or literal that begins at `at` ends, or None if none begins there.
fn token_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(block_comment_end(chars, at)),
        ['"', ..] => Some(string_end(chars, at + 1)),
        ['r', '"' | '#', ..] if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => {
            raw_string_end(chars, at + 1)
        }
        ['\'', '\\', ..] => Some(at + 3 + rest[3..].iter().position(|c| *c == '\'')? + 1),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return None; // a raw identifier
    }
    let mut end = at + hashes + 1;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(chars.len())
}

/// Returns code (see [`code`]) with every item under `#[cfg(test)]` or `#[cfg(any(test, …))]` blanked.
pub fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = ["#[cfg(test)]", "#[cfg(any(test"].iter().filter_map(|mark| out.find(mark)).min() {
        let end = item_end(&out, start);
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return start + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Returns the numbers (from 1) of the lines on which `word` stands as a word of its own.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let stands = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let joined = |c: Option<char>, edge: Option<char>| c.is_some_and(is_word) && edge.is_some_and(is_word);
            !joined(before, word.chars().next()) && !joined(after, word.chars().next_back())
        })
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "let a = \"std::fs\"; // std::fs\n/* std::fs /* x */ */ let b = 'x'; let c: &'static str = r#\"unsafe \" \"#;\nlet d = '\\''; unsafe {}";
        let seen = code(text);
        assert_eq!(seen.lines().count(), 3);
        assert_eq!(lines_with(&seen, "unsafe"), [3]);
        assert!(lines_with(&seen, "std::fs").is_empty());
        assert!(seen.contains("&'static str"));
    }

    #[test]
    fn tests_are_blanked_and_the_rest_stays() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { if x { std::fs } }\n}\nfn c() { std::fs }\n#[cfg(test)]\nmod d;\nfn e() {}";
        let seen = without_tests(&code(text));
        assert_eq!(lines_with(&seen, "std::fs"), [6]);
        assert!(seen.contains("fn e()"));
    }

    #[test]
    fn a_word_inside_a_longer_word_does_not_count() {
        assert_eq!(lines_with("unsafe_code\nunsafe {\nmy_unsafe", "unsafe"), [2]);
        assert_eq!(lines_with("x.unwrap_or(1)\nx.unwrap()", ".unwrap()"), [2]);
    }
}
