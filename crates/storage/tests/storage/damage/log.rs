//! The log files from the base to the cut: first, middle and last.

use std::path::{Path, PathBuf};

use super::{COPY, Copy};

/// Where frames begin, behind the two copies of the header.
const FRAMES: usize = 8192;

#[track_caller]
fn check(at: usize, spoil: impl Fn(&Copy, &Path), fault: &str) {
    let copy = Copy::new();
    let file = copy.logs()[at].clone();
    spoil(&copy, &file);
    copy.is_refused_until_mended(&file, fault);
}

#[test]
fn a_missing_first_log_file_is_refused() {
    check(0, |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_missing_middle_log_file_is_refused() {
    check(1, |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_missing_last_log_file_is_refused() {
    check(2, |copy, file| copy.remove(file), "missing");
}

#[test]
fn a_missing_folder_of_log_files_is_refused() {
    let copy = Copy::new();
    let last = copy.logs()[2].clone();
    copy.remove(&Path::new(COPY).join("db/_log"));
    copy.is_refused_until_mended(&last, "missing");
}

#[test]
fn a_log_file_cut_short_is_refused_wherever_it_stands() {
    for at in 0..3 {
        check(at, |copy, file| copy.fs.truncate_file(file, FRAMES as u64 + 64), "");
    }
}

#[test]
fn an_empty_log_file_is_refused_wherever_it_stands() {
    for at in 0..3 {
        check(at, |copy, file| copy.write(file, b""), "header");
    }
}

#[test]
fn a_log_file_of_zeros_is_refused_wherever_it_stands() {
    for at in 0..3 {
        check(at, |copy, file| copy.fill_with_zeros(file), "header");
    }
}

#[test]
fn a_flipped_bit_in_a_frame_is_refused_wherever_it_stands() {
    for at in 0..3 {
        check(at, |copy, file| copy.flip(file, FRAMES + 60), "damaged frame");
    }
}

#[test]
fn a_flipped_bit_in_one_copy_of_the_header_is_harmless() {
    let copy = Copy::new();
    copy.flip(&copy.logs()[1], 20);
    copy.restores();
}

#[test]
fn flipped_bits_in_both_copies_of_the_header_are_refused() {
    check(
        1,
        |copy, file| {
            copy.flip(file, 20);
            copy.flip(file, 4096 + 20);
        },
        "header",
    );
}

#[test]
fn two_log_files_swapped_are_refused() {
    let copy = Copy::new();
    let [first, middle, _] = copy.logs();
    copy.swap(&first, &middle);
    copy.is_refused_until_mended(&middle, "header");
}

#[test]
fn a_log_file_of_another_database_is_refused() {
    let copy = Copy::new();
    let (_, env) = crate::support::machine();
    let env = storage::Env { rng: std::sync::Arc::new(storage::env::rng::SeededRng::new(99)), ..env };
    let other = crate::support::open(&env).unwrap();
    crate::support::create(&other, "t");
    other.prepare_snapshot("default").unwrap();
    let folder = Path::new(crate::support::ROOT).join("db/_log");
    let foreign = env.fs.list(&folder).unwrap().pop().unwrap().name;
    let foreign = env.fs.read(&folder.join(foreign)).unwrap();
    let middle = copy.logs()[1].clone();
    copy.write(&middle, &foreign);
    copy.is_refused_until_mended(&middle, "header");
}

#[test]
fn bytes_behind_the_end_that_the_snapshot_names_are_never_read() {
    let copy = Copy::new();
    let last = copy.logs()[2].clone();
    let mut longer = copy.read(&last);
    longer.extend_from_slice(&[0x77; 5000]);
    copy.write(&last, &longer);
    copy.restores();
}

#[test]
fn log_files_behind_the_cut_are_not_read() {
    let copy = Copy::new();
    let last = copy.logs()[2].clone();
    let name = last.file_stem().unwrap().to_str().unwrap();
    let (timeline, number) = name.rsplit_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    let later = |n: u64| -> PathBuf { last.with_file_name(format!("{timeline}-{:06}.wal", number + n)) };
    copy.write(&later(1), &copy.read(&last)[..9000]);
    copy.write(&later(2), &[0; 70_000]);
    copy.write(&later(3), b"");
    copy.restores();
}
