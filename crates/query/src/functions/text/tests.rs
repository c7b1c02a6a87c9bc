//! Text functions, with the answers that the reference gives.

use super::*;
use crate::functions::{Environment, cast, scalar};

fn environment() -> Environment {
    crate::functions::environment::fixed()
}

fn call(name: &str, args: Vec<Typed>) -> String {
    match scalar(&Call::new(name, 7, args), &environment()) {
        Ok(typed) => {
            let text = cast::value_text(typed.as_literal().expect("constants fold"), typed.kind);
            text.unwrap_or_else(|| "null".to_owned())
        }
        Err(e) => format!("{} at {}", e.message, e.position),
    }
}

fn text(value: &str) -> Typed {
    Typed::text(value, 20)
}

fn varchar(value: &str) -> Typed {
    Typed::text(value, 20).with_kind(Kind::Varchar)
}

fn int(value: i32) -> Typed {
    Typed::int(value, 28)
}

fn check(name: &str, args: Vec<Typed>, expected: &str) {
    assert_eq!(call(name, args.clone()), expected, "{name} {args:?}");
}

#[test]
fn case_changes_character_by_character() {
    check("upper", vec![text("straße")], "STRAßE");
    check("lower", vec![text("Σ")], "σ");
    check("upper", vec![Typed::null(0)], "null");
    check("upper", vec![int(5)], "there is no matching function `upper` with the argument types: (INT) at 7");
}

#[test]
fn lengths_count_units_in_strings_and_points_in_varchars() {
    check("length", vec![text("日本語😀")], "5");
    check("length", vec![varchar("日本語😀")], "4");
    check("length_bytes", vec![varchar("日本語😀")], "13");
    check("length", vec![Typed::null(0)], "-1");
}

#[test]
fn ends_are_cut_off() {
    check("left", vec![text("日本語😀"), int(-2)], "日本語");
    check("right", vec![text("日本語😀"), int(-2)], "語😀");
    check("right", vec![varchar("日本語😀"), int(3)], "本語😀");
    check("left", vec![text("abc"), int(0)], "");
    check("left", vec![text("abc"), Typed::null(0)], "null");
}

#[test]
fn substrings_may_start_before_the_text() {
    let check = |start: i32, length: i32, expected: &str| {
        check("substring", vec![text("timeseries"), int(start), int(length)], expected);
    };
    check(1, 4, "time");
    check(5, 100, "series");
    check(20, 1, "");
    check(0, 3, "ti");
    check(-2, 5, "ti");
    check(-5, 3, "null");
    check(-5, 6, "");
    check(2, -1, "negative substring length is not allowed at 7");
}

#[test]
fn padding_keeps_the_start_on_the_left_and_the_end_on_the_right() {
    check("lpad", vec![text("42"), int(6), text("0")], "000042");
    check("rpad", vec![text("42"), int(6), text("ab")], "42abab");
    check("lpad", vec![text("123456"), int(3)], "123");
    check("rpad", vec![text("123456"), int(3)], "456");
    check("lpad", vec![text("42"), int(6), text("")], "null");
    check("lpad", vec![text("abc"), int(-1)], "null");
    check("lpad", vec![text("日本語😀"), int(6), text(".")], ".日本語😀");
}

#[test]
fn parts_are_counted_from_either_end() {
    let check = |delimiter: &str, index: i32, expected: &str| {
        check("split_part", vec![text("a,b,,c"), text(delimiter), int(index)], expected);
    };
    check(",", 1, "a");
    check(",", 3, "");
    check(",", -1, "c");
    check(",", 9, "");
    check("", 1, "");
    check("-", 0, "field position must not be zero at 28");
}

#[test]
fn replacing_takes_groups() {
    let (date, pattern) = (text("2024-03-01"), text("(\\d+)-(\\d+)-(\\d+)"));
    check("regexp_replace", vec![date, pattern, text("$3.$2.$1")], "01.03.2024");
    check("regexp_replace", vec![text("abc"), text("(?<n>b)"), text("<${n}>\\${n}")], "a<b>${n}c");
    check("replace", vec![text("banana"), text(""), text("x")], "banana");
    check("replace", vec![text("aaa"), text("aa"), text("b")], "ba");
    check("strpos", vec![text("haystack"), text("st")], "4");
    check("strpos", vec![text("haystack"), text("")], "1");
    check("quote_ident", vec![text("say \"hi\"")], "\"say \"\"hi\"\"\"");
}

#[test]
fn joining_is_never_null() {
    check(
        "concat",
        vec![text("a"), Typed::null(0), int(1), Typed::double(2.5, 0), Typed::boolean(true, 0)],
        "a12.5true",
    );
    check("concat", vec![Typed::null(0)], "");
    let null = |kind: Kind| Typed::literal(kind.null(), kind, 0);
    check(
        "concat",
        vec![null(Kind::Int), text("|"), null(Kind::Double), text("|"), null(Kind::Timestamp)],
        "null|NaN|",
    );
    check("concat", vec![], "no arguments provided at 7");
}
