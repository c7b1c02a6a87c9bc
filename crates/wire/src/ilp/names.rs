//! Which column names a line may bring into being. (Table names: [`types::TableName`].)

/// Longest column name, in bytes.
pub const MAX_COLUMN_NAME: usize = 127;

/// Returns whether a column may have the name: the peer's rule, which leaves out what is unsafe in SQL or in a path.
pub fn is_column_name(name: &str) -> bool {
    let bad = |c: char| {
        matches!(
            c,
            '?' | '.'
                | ','
                | '\''
                | '"'
                | '\\'
                | '/'
                | ':'
                | ')'
                | '('
                | '+'
                | '-'
                | '*'
                | '%'
                | '~'
                | '\u{7f}'
                | '\u{feff}'
        ) || (c as u32) < 0x20
    };
    !name.is_empty() && name.len() <= MAX_COLUMN_NAME && !name.chars().any(bad)
}

#[cfg(test)]
mod tests {
    use super::is_column_name;

    #[test]
    fn names_that_break_sql_or_paths_are_refused() {
        for good in ["a", "a b", "é", "1", "a=b", "a_b", "a<b"] {
            assert!(is_column_name(good), "{good}");
        }
        for bad in ["", "a.b", "a-b", "a/b", "a?b", "\"\"", "a\nb", &"x".repeat(128)] {
            assert!(!is_column_name(bad), "{bad}");
        }
    }
}
