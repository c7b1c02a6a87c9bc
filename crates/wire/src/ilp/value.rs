//! What an unquoted field value or a trailing timestamp means: [`Value`], [`Moment`], [`Unit`].

/// Unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// The default of a trailing timestamp without suffix.
    #[default]
    Nanos,
    Micros,
    Millis,
    Seconds,
    Minutes,
    Hours,
}

impl Unit {
    /// Returns the unit that the `precision` parameter of a request names; an empty one means nanoseconds.
    pub fn from_precision(name: &str) -> Option<Unit> {
        Some(match name {
            "" | "n" | "ns" => Unit::Nanos,
            "u" | "us" => Unit::Micros,
            "ms" => Unit::Millis,
            "s" => Unit::Seconds,
            "m" => Unit::Minutes,
            "h" => Unit::Hours,
            _ => return None,
        })
    }
}

/// A moment as the line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub count: i64,
    pub unit: Unit,
}

impl Moment {
    /// Returns microseconds since 1970, rounded down; `None` when they do not fit.
    pub fn micros(self) -> Option<i64> {
        match self.unit {
            Unit::Nanos => Some(self.count.div_euclid(1_000)),
            Unit::Micros => Some(self.count),
            Unit::Millis => self.count.checked_mul(1_000),
            Unit::Seconds => self.count.checked_mul(1_000_000),
            Unit::Minutes => self.count.checked_mul(60_000_000),
            Unit::Hours => self.count.checked_mul(3_600_000_000),
        }
    }

    /// Returns nanoseconds since 1970; `None` when they do not fit.
    pub fn nanos(self) -> Option<i64> {
        match self.unit {
            Unit::Nanos => Some(self.count),
            _ => self.micros()?.checked_mul(1_000),
        }
    }

    /// Returns the moment that a trailing timestamp stands for: digits, with `t` (micros), `n` (nanos) or `m` (millis)
    /// behind them, which win over `default`.
    pub fn parse_trailing(text: &str, default: Unit) -> Option<Moment> {
        let (digits, unit) = match text.as_bytes().last()? {
            b't' => (&text[..text.len() - 1], Unit::Micros),
            b'n' => (&text[..text.len() - 1], Unit::Nanos),
            b'm' => (&text[..text.len() - 1], Unit::Millis),
            _ => (text, default),
        };
        integer(digits).map(|count| Moment { count, unit })
    }
}

/// The kind of a field and, where it is not the text itself, what it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A tag; its text is [`super::Field::text`].
    Tag,
    /// `name=` with nothing behind it.
    Null,
    Boolean(bool),
    /// `i64::MIN` is NULL, also written `null` by the Java client's `nulli`.
    Integer(i64),
    /// NaN and infinities are NULL.
    Float(f64),
    /// A quoted string; its text is [`super::Field::text`].
    Text,
    Timestamp(Moment),
    /// `0x…i`.
    Long256,
    /// `…d`.
    Decimal,
    /// A binary array of doubles; shape and numbers are [`super::Field::bytes`].
    Array {
        dimensions: u8,
    },
    /// A binary decimal; its digits are [`super::Field::bytes`].
    BinaryDecimal {
        scale: u8,
    },
}

impl Value {
    /// Returns what an unquoted value means, or `None` when it means nothing.
    pub fn parse(text: &str) -> Option<Value> {
        let bytes = text.as_bytes();
        let Some(&last) = bytes.last() else {
            return Some(Value::Null);
        };
        let head = &text[..text.len() - usize::from(last.is_ascii())];
        match last {
            b'i' if text == "nulli" => Some(Value::Integer(i64::MIN)),
            b'i' if is_hex(head) => Some(Value::Long256),
            b'i' => integer(head).map(Value::Integer),
            b't' | b'n' | b'm' if bytes.len() > 1 && bytes[bytes.len() - 2].is_ascii_digit() => {
                let unit = match last {
                    b't' => Unit::Micros,
                    b'n' => Unit::Nanos,
                    _ => Unit::Millis,
                };
                integer(head).map(|count| Value::Timestamp(Moment { count, unit }))
            }
            b'd' => float(head).or_else(|| not_a_number(head)).map(|_| Value::Decimal),
            b'D' => float(head).map(Value::Float),
            b'0'..=b'9' | b'.' => float(text).map(Value::Float),
            b'N' | b'y' => not_a_number(text).map(Value::Float),
            _ => boolean(text).map(Value::Boolean),
        }
    }

    /// Returns the name that errors use for the kind.
    pub fn kind(self) -> &'static str {
        match self {
            Value::Tag => "TAG",
            Value::Null => "NULL",
            Value::Boolean(_) => "BOOLEAN",
            Value::Integer(_) => "INTEGER",
            Value::Float(_) => "FLOAT",
            Value::Text => "STRING",
            Value::Timestamp(_) => "TIMESTAMP",
            Value::Long256 => "LONG256",
            Value::Decimal | Value::BinaryDecimal { .. } => "DECIMAL",
            Value::Array { .. } => "ARRAY",
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("t") || text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("f") || text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn is_hex(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|h| !h.is_empty() && h.len() <= 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Reads `-?digits`, where single underscores may stand between digits.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value: i64 = 0;
    let mut after_digit = false;
    for byte in digits.bytes() {
        if byte == b'_' && after_digit {
            after_digit = false;
            continue;
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        // counted downwards, since i64::MIN has no positive twin
        value = value.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
        after_digit = true;
    }
    if !after_digit {
        return None;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// Reads `NaN` or `Infinity` with an optional sign: NULL.
fn not_a_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    (unsigned == "NaN" || unsigned == "Infinity").then_some(f64::NAN)
}

/// Reads a decimal number with an optional sign and exponent, which ends in a digit or a point. One that a double cannot
/// hold (too large, or so small that it would become 0) is refused.
fn float(text: &str) -> Option<f64> {
    if !text.ends_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let lost = value == 0.0 && text.bytes().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'));
    (value.is_finite() && !lost).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Value>) {
        let got = Value::parse(text);
        let same = match (got, expected) {
            (Some(Value::Float(a)), Some(Value::Float(b))) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        assert!(same, "{text}: {got:?}, expected {expected:?}");
    }

    #[test]
    fn integers() {
        check("5i", Some(Value::Integer(5)));
        check("-5i", Some(Value::Integer(-5)));
        check("1_000i", Some(Value::Integer(1000)));
        check("00012i", Some(Value::Integer(12)));
        check("9223372036854775807i", Some(Value::Integer(i64::MAX)));
        check("-9223372036854775808i", Some(Value::Integer(i64::MIN)));
        check("nulli", Some(Value::Integer(i64::MIN)));
        check("0x1Fi", Some(Value::Long256));
        for bad in ["9223372036854775808i", "+5i", "i", "-i", "1e3i", "1.0i", "_1i", "1_i", "1__0i", "1u", "1e+21i"] {
            check(bad, None);
        }
    }

    #[test]
    fn floats() {
        for (text, value) in [
            ("1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+5", 5.0),
            ("-.5e-3", -0.0005),
            ("1E+5", 1e5),
            ("1D", 1.0),
            ("-0.0", -0.0),
            ("0e-400", 0.0),
        ] {
            check(text, Some(Value::Float(value)));
        }
        for null in ["NaN", "-NaN", "+NaN", "Infinity", "-Infinity"] {
            assert!(matches!(Value::parse(null), Some(Value::Float(v)) if v.is_nan()), "{null}");
        }
        for bad in
            ["nan", "inf", "1f", "1_0", "0x10", "1e", ".", "-", "1e400", "1e-400", "1.2.3", "1i2", "null", "1\t5"]
        {
            check(bad, None);
        }
        check("1.5d", Some(Value::Decimal));
    }

    #[test]
    fn booleans_and_timestamps() {
        for text in ["t", "T", "true", "tRue", "TRUE"] {
            check(text, Some(Value::Boolean(true)));
        }
        for text in ["f", "F", "false", "FALSE"] {
            check(text, Some(Value::Boolean(false)));
        }
        check("5t", Some(Value::Timestamp(Moment { count: 5, unit: Unit::Micros })));
        check("-5n", Some(Value::Timestamp(Moment { count: -5, unit: Unit::Nanos })));
        check("7m", Some(Value::Timestamp(Moment { count: 7, unit: Unit::Millis })));
        check("", Some(Value::Null));
        for bad in ["tr", "t1", "fals", "1.5t", "x", "é", "é5t"] {
            check(bad, None);
        }
    }

    #[test]
    fn trailing_timestamps() {
        let check = |text, default, expected| assert_eq!(Moment::parse_trailing(text, default), expected, "{text}");
        check("5", Unit::Seconds, Some(Moment { count: 5, unit: Unit::Seconds }));
        check("5t", Unit::Seconds, Some(Moment { count: 5, unit: Unit::Micros }));
        check("5n", Unit::Seconds, Some(Moment { count: 5, unit: Unit::Nanos }));
        check("5m", Unit::Seconds, Some(Moment { count: 5, unit: Unit::Millis }));
        check("1_0", Unit::Nanos, Some(Moment { count: 10, unit: Unit::Nanos }));
        for bad in ["x", "12x", "+5", "t", "1.5", "99999999999999999999", "\"y\"", "é"] {
            check(bad, Unit::Nanos, None);
        }
        assert_eq!(Moment { count: -1, unit: Unit::Nanos }.micros(), Some(-1));
        assert_eq!(Moment { count: i64::MAX, unit: Unit::Hours }.micros(), None);
    }
}
