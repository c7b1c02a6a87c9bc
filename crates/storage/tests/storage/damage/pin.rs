//! The file of the snapshot itself.

use std::path::Path;

use serde_json::json;

use super::{COPY, Copy, rewritten};

#[test]
fn a_missing_pin_is_refused_by_the_snapshots_name() {
    let copy = Copy::new();
    copy.remove(&copy.pin());
    copy.is_refused(&["/copy/_restore", "there is no snapshot/default", "whole copy", "remove _restore"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_missing_folder_of_snapshots_is_refused_by_the_snapshots_name() {
    let copy = Copy::new();
    copy.remove(&Path::new(COPY).join("snapshot"));
    copy.is_refused(&["there is no snapshot/default", "whole copy"]);
    copy.mend();
    copy.restores();
}

#[test]
fn an_empty_pin_is_refused() {
    let copy = Copy::new();
    copy.write(&copy.pin(), b"");
    copy.is_refused_until_mended(&copy.pin(), "too short");
}

#[test]
fn a_pin_of_garbage_is_refused() {
    let copy = Copy::new();
    copy.write(&copy.pin(), &[0xa5; 700]);
    copy.is_refused_until_mended(&copy.pin(), "checksum");
}

#[test]
fn a_pin_of_zeros_in_full_length_is_refused() {
    let copy = Copy::new();
    copy.fill_with_zeros(&copy.pin());
    copy.is_refused_until_mended(&copy.pin(), "checksum");
}

#[test]
fn a_pin_cut_short_is_refused() {
    let copy = Copy::new();
    copy.cut_short(&copy.pin());
    copy.is_refused_until_mended(&copy.pin(), "checksum");
}

#[test]
fn a_pin_of_another_database_is_refused() {
    let copy = Copy::new();
    let foreign = rewritten(&copy.read(&copy.pin()), "database_id", json!("0123456789abcdef0123456789abcdef"));
    copy.write(&copy.pin(), &foreign);
    copy.is_refused_until_mended(&copy.pin(), "another database");
}

#[test]
fn a_pin_of_a_newer_format_is_refused_and_both_versions_are_told() {
    let copy = Copy::new();
    copy.write(&copy.pin(), &rewritten(&copy.read(&copy.pin()), "format", json!(99)));
    copy.is_refused(&["default.", "format 99", "this server reads", "newer server"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_pin_that_names_a_file_outside_the_database_is_refused() {
    for name in ["../../etc/passwd", "/etc/passwd", "_base/../../x", "_base//x", "./_base"] {
        let copy = Copy::new();
        let base = json!({ "file": name, "len_bytes": 1, "crc32c": 1 });
        copy.write(&copy.pin(), &rewritten(&copy.read(&copy.pin()), "base", base));
        copy.is_refused(&["unsafe path", "another copy"]);
    }
}

#[test]
fn a_pin_whose_cut_is_not_in_the_log_is_refused() {
    let copy = Copy::new();
    copy.write(&copy.pin(), &rewritten(&copy.read(&copy.pin()), "id", json!("01ARZ3NDEKTSV4RRFFQ69G5FAV")));
    copy.is_refused_until_mended(&copy.pin(), "no cut of this snapshot");
}

#[test]
fn a_folder_in_place_of_the_pin_is_refused() {
    let copy = Copy::new();
    let pin = copy.pin();
    copy.remove(&pin);
    copy.fs.make_dirs(&pin);
    copy.is_refused(&["default.", "not a plain file", "copy"]);
    copy.remove(&pin);
    copy.mend();
    copy.restores();
}

#[test]
fn half_a_pin_under_a_name_of_a_copy_tool_is_ignored() {
    let copy = Copy::new();
    let pin = copy.pin();
    let half = copy.read(&pin)[..100].to_vec();
    let name = pin.file_name().unwrap().to_str().unwrap();
    for tool in [format!(".{name}.Ab12Cd"), format!("{name}.partial"), ".fuse_hidden0001".to_owned()] {
        copy.write(&pin.with_file_name(tool), &half);
    }
    copy.restores();
}
