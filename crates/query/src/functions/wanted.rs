//! What a function takes at a place: the type of a parameter that stands there, where the client leaves it open.

use super::overload::{Overload, Param};
use super::{Binding, find};
use crate::kind::Kind;

/// The kind of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub kind: Kind,
    /// A text that the function takes while the statement is only described: it reads its meaning from the constant.
    pub sample: Option<&'static str>,
}

/// Returns what the function `name`, in lower case, takes at `place`; `known` are the kinds of its arguments, None for
/// parameters. None where the function takes several kinds.
pub fn at(name: &str, known: &[Option<Kind>], place: usize) -> Option<Wanted> {
    let (kind, sample) = match (name, place) {
        ("dateadd" | "datediff" | "timestamp_ceil", 0) => (Kind::Char, None),
        ("dateadd", 1) => (Kind::Int, None),
        ("dateadd", 2) | ("datediff", 1 | 2) | ("to_timezone" | "to_utc", 0) => (Kind::Timestamp, None),
        ("date_trunc" | "timestamp_ceil", 1) | ("timestamp_floor", 1 | 2) => (Kind::Timestamp, None),
        ("dateadd", 3) | ("to_timezone" | "to_utc", 1) | ("timestamp_floor", 4) => (Kind::Varchar, Some("UTC")),
        ("date_trunc", 0) => (Kind::Varchar, Some("day")),
        ("timestamp_floor", 0) => (Kind::Varchar, Some("1d")),
        ("timestamp_floor", 3) => (Kind::Varchar, Some("00:00")),
        ("round" | "round_up" | "round_down" | "round_half_even", 1) => (Kind::Int, None),
        ("approx_percentile", 1) => (Kind::Double, None),
        ("approx_percentile", 2) | ("approx_median", 1) => (Kind::Int, None),
        ("long_sequence", _) => (Kind::Long, None),
        ("generate_series", _) => (known.iter().flatten().copied().next().unwrap_or(Kind::Double), None),
        _ => return of_forms(name, known, place),
    };
    Some(Wanted { kind, sample })
}

/// Returns what all forms nearest to the known arguments take at a place.
fn of_forms(name: &str, known: &[Option<Kind>], place: usize) -> Option<Wanted> {
    let Some(Binding::Forms(forms)) = find(name) else { return None };
    let near = |form: &&Overload| form.distance_of(known);
    let least = forms.iter().filter_map(|form| near(&form)).min()?;
    let mut kinds = forms.iter().filter(|form| near(form) == Some(least)).filter_map(|form| form.params.get(place));
    let first: Param = *kinds.next()?;
    kinds.all(|param| *param == first).then(|| Wanted { kind: first.kind(), sample: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, known: &[Option<Kind>], place: usize, expected: Option<Kind>) {
        assert_eq!(at(name, known, place).map(|wanted| wanted.kind), expected, "{name} {place}");
    }

    #[test]
    fn an_argument_has_the_kind_that_all_fitting_forms_take() {
        check("hour", &[None], 0, Some(Kind::Timestamp));
        check("left", &[Some(Kind::Symbol), None], 1, Some(Kind::Int));
        check("abs", &[None], 0, None);
        check("nonsense", &[None], 0, None);
        check("generate_series", &[Some(Kind::Long), None], 1, Some(Kind::Long));
    }
}
