//! Bases and the lists of segments that they name.

use std::path::PathBuf;

use serde_json::json;

use super::{Copy, rewritten};

fn newest(copy: &Copy) -> PathBuf {
    copy.bases()[1].clone()
}

fn table_base(copy: &Copy, table: &str) -> PathBuf {
    let mut files = copy.files(&format!("db/{table}~")).into_iter();
    files.rfind(|path| path.to_str().unwrap().contains("/_base/")).unwrap()
}

#[test]
fn a_missing_base_is_refused() {
    let copy = Copy::new();
    let base = newest(&copy);
    copy.remove(&base);
    copy.is_refused_until_mended(&base, "missing");
}

#[test]
fn a_base_of_garbage_is_refused() {
    let copy = Copy::new();
    copy.write(&newest(&copy), &[0x5a; 3000]);
    copy.is_refused_until_mended(&newest(&copy), "checksum");
}

#[test]
fn an_empty_base_is_refused() {
    let copy = Copy::new();
    copy.write(&newest(&copy), b"");
    copy.is_refused_until_mended(&newest(&copy), "length");
}

#[test]
fn a_base_cut_short_is_refused() {
    let copy = Copy::new();
    copy.cut_short(&newest(&copy));
    copy.is_refused_until_mended(&newest(&copy), "length");
}

#[test]
fn a_base_of_zeros_in_full_length_is_refused() {
    let copy = Copy::new();
    copy.fill_with_zeros(&newest(&copy));
    copy.is_refused_until_mended(&newest(&copy), "checksum");
}

#[test]
fn the_older_base_in_place_of_the_newer_is_refused() {
    let copy = Copy::new();
    let [older, newer] = copy.bases();
    copy.write(&newer, &copy.read(&older));
    copy.is_refused_until_mended(&newer, "differs");
}

#[test]
fn a_rewritten_base_with_a_right_checksum_of_its_own_is_refused() {
    let copy = Copy::new();
    copy.write(&newest(&copy), &rewritten(&copy.read(&newest(&copy)), "next_table", json!(77)));
    copy.is_refused_until_mended(&newest(&copy), "differs");
}

#[test]
fn an_older_base_is_not_needed() {
    let copy = Copy::new();
    copy.remove(&copy.bases()[0]);
    copy.restores();
}

#[test]
fn a_missing_list_of_segments_is_refused() {
    let copy = Copy::new();
    let base = table_base(&copy, "t");
    copy.remove(&base);
    copy.is_refused_until_mended(&base, "missing");
}

#[test]
fn a_list_of_segments_of_garbage_is_refused() {
    let copy = Copy::new();
    let base = table_base(&copy, "u");
    copy.write(&base, b"{}");
    copy.is_refused_until_mended(&base, "differs");
}

#[test]
fn the_list_of_another_tables_segments_is_refused() {
    let copy = Copy::new();
    let (t, u) = (table_base(&copy, "t"), table_base(&copy, "u"));
    copy.swap(&t, &u);
    copy.is_refused_until_mended(&t, "differs");
}
