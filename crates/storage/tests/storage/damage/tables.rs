//! Files of tables: segments, symbol files, dead rows.

use std::path::{Path, PathBuf};

use super::{COPY, Copy};

fn segment(copy: &Copy, partition: &str) -> PathBuf {
    copy.file(&format!("db/t~1/{partition}/"))
}

/// Spoils a file in each way that tools and disks know.
#[track_caller]
fn check(file: impl Fn(&Copy) -> PathBuf, spoil: impl Fn(&Copy, &Path), fault: &str) {
    let copy = Copy::new();
    let file = file(&copy);
    spoil(&copy, &file);
    copy.is_refused_until_mended(&file, fault);
}

#[test]
fn a_missing_segment_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_segment_cut_short_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), Copy::cut_short, "long");
}

#[test]
fn an_empty_segment_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), |copy, file| copy.write(file, b""), "long");
}

#[test]
fn a_segment_of_zeros_in_full_length_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), Copy::fill_with_zeros, "checksum");
}

#[test]
fn a_longer_segment_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), Copy::lengthen, "long");
}

#[test]
fn a_segment_with_one_flipped_bit_is_refused() {
    check(|copy| segment(copy, "1970-01-02"), |copy, file| copy.flip(file, copy.read(file).len() / 2), "checksum");
}

#[test]
fn two_segments_swapped_are_refused() {
    let copy = Copy::new();
    let (first, second) = (segment(&copy, "1970-01-02"), segment(&copy, "1970-01-03"));
    copy.swap(&first, &second);
    copy.is_refused_until_mended(&first, "");
}

#[test]
fn a_missing_partition_is_refused() {
    let copy = Copy::new();
    let segment = segment(&copy, "1970-01-03");
    copy.remove(segment.parent().unwrap());
    copy.is_refused(&["1970-01-03", "missing", "another copy"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_missing_table_is_refused() {
    let copy = Copy::new();
    copy.remove(&Path::new(COPY).join("db/t~1"));
    copy.is_refused(&["db/t~1", "missing", "another copy"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_missing_symbol_file_is_refused() {
    check(|copy| copy.symbols("t"), |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_symbol_file_cut_short_is_refused() {
    check(|copy| copy.symbols("t"), Copy::cut_short, "");
}

#[test]
fn a_symbol_file_of_zeros_is_refused() {
    check(|copy| copy.symbols("t"), Copy::fill_with_zeros, "checksum");
}

#[test]
fn a_longer_symbol_file_is_refused() {
    check(|copy| copy.symbols("t"), Copy::lengthen, "");
}

#[test]
fn a_symbol_file_with_one_flipped_bit_is_refused() {
    check(|copy| copy.symbols("t"), |copy, file| copy.flip(file, copy.read(file).len() / 2), "checksum");
}

#[test]
fn symbol_files_of_two_tables_swapped_are_refused() {
    let copy = Copy::new();
    let (t, u) = (copy.symbols("t"), copy.symbols("u"));
    copy.swap(&t, &u);
    copy.is_refused_until_mended(&t, "");
}

#[test]
fn a_missing_file_of_dead_rows_is_refused() {
    check(Copy::dead, |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_file_of_dead_rows_cut_short_is_refused() {
    check(Copy::dead, Copy::cut_short, "");
}

#[test]
fn a_file_of_dead_rows_of_zeros_is_refused() {
    check(Copy::dead, Copy::fill_with_zeros, "");
}

#[test]
fn a_longer_file_of_dead_rows_is_refused() {
    check(Copy::dead, Copy::lengthen, "");
}

#[test]
fn a_file_of_dead_rows_with_one_flipped_bit_is_refused() {
    check(Copy::dead, |copy, file| copy.flip(file, copy.read(file).len() / 2), "");
}

#[test]
fn segments_of_a_later_time_and_strays_beside_the_named_ones_are_harmless() {
    let copy = Copy::new();
    let segment = segment(&copy, "1970-01-02");
    let bytes = copy.read(&segment);
    copy.write(&segment.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.arrow"), &bytes);
    copy.write(&segment.with_file_name(".01ARZ3NDEKTSV4RRFFQ69G5FAV.arrow.Ab12Cd"), &bytes[..50]);
    copy.fs.make_dirs(&Path::new(COPY).join("db/later~9/2024-01-01"));
    copy.write(&Path::new(COPY).join("db/later~9/2024-01-01/01ARZ3NDEKTSV4RRFFQ69G5FAV.arrow"), &bytes);
    copy.restores();
}
