//! The texts of an array: `[1.0,2.0]` in answers and casts, `{1,2}` from PostgreSQL's clients.

/// Most dimensions of an array: lists nest no deeper.
const MOST_DIMENSIONS: usize = 32;

/// Returns lengths and values of a text in square or curly brackets, `NaN` or `null` for a NULL element; elements may stand
/// in quotes, as some drivers write them. None for texts of another form, and when lists of one level differ in length.
pub fn parse(text: &str) -> Option<(Vec<u32>, Vec<f64>)> {
    let mut reader = Reader { rest: text.trim(), values: Vec::new() };
    let shape = reader.list(MOST_DIMENSIONS)?;
    reader.rest.is_empty().then_some((shape, reader.values))
}

struct Reader<'a> {
    rest: &'a str,
    values: Vec<f64>,
}

impl Reader<'_> {
    fn take(&mut self, chars: [char; 2]) -> bool {
        let rest = self.rest.strip_prefix(chars);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    /// Reads a list that nests at most so deep; returns the lengths of its levels.
    fn list(&mut self, depth: usize) -> Option<Vec<u32>> {
        if depth == 0 || !self.take(['[', '{']) {
            return None;
        }
        let (mut count, mut inner): (u32, Option<Vec<u32>>) = (0, None);
        if self.take([']', '}']) {
            return Some(vec![0]);
        }
        loop {
            let shape = if self.rest.starts_with(['[', '{']) { self.list(depth - 1)? } else { self.value()? };
            if inner.as_ref().is_some_and(|known| *known != shape) {
                return None;
            }
            (count, inner) = (count + 1, Some(shape));
            if self.take([']', '}']) {
                let mut shape = inner.unwrap_or_default();
                shape.insert(0, count);
                return Some(shape);
            }
            if !self.take([',', ',']) {
                return None;
            }
        }
    }

    fn value(&mut self) -> Option<Vec<u32>> {
        let end = self.rest.find([',', ']', '}'])?;
        let text = self.rest[..end].trim();
        let text = match text.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => text,
        };
        let value = if text.eq_ignore_ascii_case("null") { f64::NAN } else { text.parse().ok()? };
        self.values.push(value);
        self.rest = &self.rest[end..];
        Some(Vec::new())
    }
}

/// Writes lists in the brackets `open` and `close`; `number` writes an element, None of which is NULL.
pub fn write<W: ?Sized>(
    out: &mut W,
    shape: &[u32],
    values: &[f64],
    put: &mut impl FnMut(&mut W, &str),
    brackets: (&str, &str),
    number: &mut impl FnMut(&mut W, Option<f64>),
) {
    let Some((&len, inner)) = shape.split_first() else {
        return number(out, values.first().copied().filter(|v| v.is_finite()));
    };
    put(out, brackets.0);
    let size = values.len().checked_div(len as usize).unwrap_or(0);
    for i in 0..len as usize {
        if i > 0 {
            put(out, ",");
        }
        write(out, inner, &values[i * size..(i + 1) * size], put, brackets, number);
    }
    put(out, brackets.1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_nest_no_deeper_than_arrays_have_dimensions() {
        let nested = |depth: usize| format!("{}1{}", "{".repeat(depth), "}".repeat(depth));
        assert_eq!(parse(&nested(32)), Some((vec![1; 32], vec![1.0])));
        assert_eq!(parse(&nested(33)), None);
        assert_eq!(parse(&"[".repeat(10_000_000)), None);
    }

    #[test]
    fn lists_have_one_shape() {
        assert_eq!(parse("{{1,2},{3,4}}"), Some((vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])));
        assert_eq!(parse(" [ 1.5 , 2 ] "), Some((vec![2], vec![1.5, 2.0])));
        assert_eq!(parse("[]"), Some((vec![0], vec![])));
        assert_eq!(parse("{{\"1\",\"2\"},{\"3\",4}}"), Some((vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])));
        for bad in ["", "[1,2", "[[1],[2,3]]", "[1,[2]]", "[a]", "[1]]", "{\"1,\"2\"}", "{\"\"}", "{\"1}"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let mut out = String::new();
        let mut number =
            |out: &mut String, v: Option<f64>| out.push_str(&v.map_or("null".into(), |v| format!("{v:?}")));
        let put = &mut |out: &mut String, text: &str| out.push_str(text);
        write(&mut out, &[2, 2], &[1.0, f64::NAN, 3.0, 4.0], put, ("[", "]"), &mut number);
        assert_eq!(out, "[[1.0,null],[3.0,4.0]]");
    }
}
