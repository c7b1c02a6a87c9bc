//! A file with all its mutants: each function that has some chooses, when it is called, which body it runs.

use std::collections::BTreeMap;
use std::ops::Range;

use super::list::{Mutant, Span};
use crate::Result;

/// What chooses, as a module of its own.
pub const SWITCH: &str = include_str!("switch.rs");

/// Stands on the line before the body of a mutant, with its number, and with 0 before what is as it was.
const MARK: &str = "//mutant ";

/// Returns a file's text with its mutants, each of which has a number.
pub fn switched(text: &str, mutants: &[(usize, &Mutant)]) -> Result<String> {
    let mut bodies: BTreeMap<(usize, usize), Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        let body = body(text, mutant.function).ok_or_else(|| format!("{}: no body around it", mutant.name))?;
        bodies.entry((body.start, body.end)).or_default().push((*number, mutant));
    }
    let mut switched = text.to_owned();
    let mut begin_of_next = text.len();
    // From the last one on, so that places before it stay.
    for ((begin, end), here) in bodies.into_iter().rev() {
        if end > begin_of_next {
            return Err(format!("{}: a function within a function", here[0].1.name).into());
        }
        begin_of_next = begin;
        switched.replace_range(begin..end, &choice(text, &(begin..end), &here)?);
    }
    Ok(switched)
}

/// Returns a body that chooses among a function's own and those of its mutants.
fn choice(text: &str, body: &Range<usize>, mutants: &[(usize, &Mutant)]) -> Result<String> {
    let numbers: Vec<usize> = mutants.iter().map(|(number, _)| *number).collect();
    let mut choice = format!("\nmatch crate::switch::chosen(&{numbers:?}) {{\n");
    for (number, mutant) in mutants {
        let wrong = range(text, mutant.span).ok_or_else(|| format!("{}: there is no such place", mutant.name))?;
        let (head, tail) = (&text[body.start..wrong.start], &text[wrong.end..body.end]);
        choice.push_str(&format!("{MARK}{number}\n{number} => {{{head}{}{tail}}}\n", mutant.replacement));
    }
    choice.push_str(&format!("{MARK}0\n_ => {{{}}}\n}}\n", &text[body.clone()]));
    Ok(choice)
}

/// Returns the number of the mutant that a line of such a text belongs to.
pub fn mutant_at(switched: &str, line: usize) -> Option<usize> {
    let before: Vec<&str> = switched.lines().take(line).collect();
    let number = before.iter().rev().find_map(|line| line.strip_prefix(MARK))?.parse().ok()?;
    (number != 0).then_some(number)
}

/// Returns what lies between the braces of a function's body. There is none to choose where the function is `const`, or
/// returns some one type that it does not name.
pub fn body(text: &str, function: Span) -> Option<Range<usize>> {
    let whole = range(text, function)?;
    let mut begin = whole.start;
    let mut signature = String::new();
    for line in text[whole.clone()].split_inclusive('\n') {
        let is_code = !["//", "#["].iter().any(|note| line.trim_start().starts_with(note));
        if is_code {
            signature.push_str(line);
            if let Some(at) = line.find('{') {
                let chooses = !["const fn ", "-> impl "].iter().any(|word| signature.contains(word));
                return chooses.then_some(begin + at + 1..whole.end - 1);
            }
        }
        begin += line.len();
    }
    None
}

/// Returns where something lies in a text.
fn range(text: &str, span: Span) -> Option<Range<usize>> {
    let offset = |(line, column): (usize, usize)| {
        let begin: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let in_line = text[begin..].char_indices().nth(column - 1).map(|(at, _)| at);
        in_line.map(|at| begin + at)
    };
    Some(offset(span[0])?..offset(span[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::output;
    use crate::scratch::Scratch;
    use std::process::Command;

    const TEXT: &str = "/// Of { those.\n#[must_use]\nfn é(a: u8) -> bool {\n    let é = 1;\n    é == a\n}\n\nfn g() {\n    print!(\"{} {}\", é(1), é(2))\n}\n";

    fn mutant(span: Span, replacement: &str) -> Mutant {
        let function = if span[0].0 < 7 { [(1, 1), (6, 2)] } else { [(8, 1), (10, 2)] };
        Mutant { file: String::new(), name: "m".to_owned(), replacement: replacement.to_owned(), span, function }
    }

    #[test]
    fn the_environment_chooses_what_is_wrong_and_sees_what_is_reached() {
        let mutants =
            [mutant([(5, 7), (5, 9)], "!="), mutant([(4, 5), (5, 11)], "true"), mutant([(9, 5), (9, 32)], "()")];
        let numbered: Vec<(usize, &Mutant)> = (1..).zip(&mutants).collect();
        let text = switched(TEXT, &numbered).expect("all have a place");
        let scratch = Scratch::new("switched").expect("a folder");
        let (source, program) = (scratch.path("a.rs"), scratch.path("a"));
        let program_text = format!("mod switch {{\n{}}}\n{text}\nfn main() {{ g() }}\n", SWITCH);
        std::fs::write(&source, program_text).expect("a file");
        output(Command::new("rustc").args(["--edition", "2024", "-o"]).args([&program, &source])).expect("it compiles");
        let said = |number: &str| output(Command::new(&program).env("MUTANT", number)).expect("it runs");
        assert_eq!(["0", "1", "2", "3"].map(said), ["true false", "false true", "true true", ""]);
        let reached = scratch.path("reached");
        output(Command::new(&program).env("MUTANT", "3").env("MUTANTS_REACHED", &reached)).expect("it runs");
        output(Command::new(&program).env("MUTANTS_REACHED", &reached)).expect("it runs");
        assert_eq!(std::fs::read_to_string(reached).expect("it was written"), "3\n3\n1\n2\n");
    }

    #[test]
    fn a_line_tells_whose_it_is() {
        let first = mutant([(5, 7), (5, 9)], "!=");
        let text = switched(TEXT, &[(7, &first)]).expect("it has a place");
        let line_of = |part: &str| text.lines().position(|line| line.contains(part)).expect("it is there") + 1;
        assert_eq!(mutant_at(&text, line_of("é != a")), Some(7));
        assert_eq!(["fn é", "é == a", "print!"].map(|part| mutant_at(&text, line_of(part))), [None; 3]);
    }

    #[test]
    fn a_function_that_cannot_choose_has_no_body() {
        let body_of = |function: &str| {
            let text = format!("{function}\n");
            body(&text, [(1, 1), (1, text.len())]).map(|range| text[range].to_owned())
        };
        assert_eq!(body_of("pub fn f() -> u8 { 1 }").as_deref(), Some(" 1 "));
        assert_eq!(body_of("pub const fn f() -> u8 { 1 }"), None);
        assert_eq!(body_of("fn f() -> impl Fn() { || () }"), None);
        assert_eq!(body_of("fn f();"), None);
    }

    #[test]
    fn functions_within_functions_and_places_that_are_not_are_refused() {
        let outer = Mutant { function: [(1, 1), (10, 2)], ..mutant([(9, 5), (9, 32)], "()") };
        assert!(switched(TEXT, &[(1, &outer), (2, &mutant([(9, 5), (9, 32)], "()"))]).is_err());
        assert!(switched(TEXT, &[(1, &mutant([(5, 7), (50, 9)], "!="))]).is_err());
    }
}
