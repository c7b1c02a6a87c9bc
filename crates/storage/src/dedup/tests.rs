//! The order of keys, and what becomes of the rows of one moment.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};

use super::group::{Group, RowAt};
use super::keys::KeyColumns;

fn check_rising(array: ArrayRef) {
    let rows = array.len();
    let columns = KeyColumns::of_arrays(vec![array]);
    let keys: Vec<Vec<u8>> = (0..rows).map(|row| columns.key(row).unwrap()).collect();
    assert!(keys.windows(2).all(|w| w[0] < w[1]), "{keys:?}");
}

#[test]
fn keys_compare_as_the_peer_orders_them() {
    check_rising(Arc::new(Int64Array::from(vec![None, Some(-5), Some(0), Some(7), Some(i64::MAX)])));
    check_rising(Arc::new(arrow_array::Int16Array::from(vec![i16::MIN, -1, 0, 1])));
    check_rising(Arc::new(Int32Array::from(vec![None, Some(-5), Some(0), Some(300)])));
    // By the bits as a signed integer: -0.0 is the least, negative numbers stand the wrong way round.
    check_rising(Arc::new(Float64Array::from(vec![Some(-0.0), Some(-1.0), Some(-2.0), Some(0.0), Some(2.0), None])));
    check_rising(Arc::new(StringArray::from(vec![None, Some(""), Some("b"), Some("aa")])));
}

/// Old rows and commits are given as keys; rows come out as `source.row`.
fn moment(old: &[u8], commits: &[&[u8]]) -> (Vec<String>, Vec<String>) {
    let at = |source| move |row| RowAt { source, row };
    let mut group = Group::of_old((0..old.len()).map(at(0)).collect());
    group.key_by(|at| Ok::<_, ()>(vec![old[at.row]])).unwrap();
    for (n, commit) in commits.iter().enumerate() {
        group.upsert(commit.iter().enumerate().map(|(row, key)| (vec![*key], at(n + 1)(row))));
    }
    let outcome = group.finish();
    let show = |rows: Vec<RowAt>| rows.iter().map(|at| format!("{}.{}", at.source, at.row)).collect();
    (show(outcome.killed), show(outcome.overlay))
}

fn check(old: &[u8], commits: &[&[u8]], killed: &[&str], overlay: &[&str]) {
    let (k, o) = moment(old, commits);
    assert_eq!(
        (k.iter().map(|s| &**s).collect::<Vec<_>>(), o.iter().map(|s| &**s).collect::<Vec<_>>()),
        (killed.to_vec(), overlay.to_vec())
    );
}

#[test]
fn a_replaced_row_keeps_its_place() {
    // New rows stand behind the old ones, those of one commit by key.
    check(b"b", &[b"ca"], &[], &["1.1", "1.0"]);
    // What stands behind a replaced row moves with it, what stands before stays.
    check(b"xyz", &[b"y"], &["0.1", "0.2"], &["1.0", "0.2"]);
    // Within a commit the last one counts.
    check(b"", &[b"aba"], &[], &["1.2", "1.1"]);
    check(b"", &[b"b", b"a", b"b"], &[], &["3.0", "2.0"]);
    // Duplicates that are there are all replaced, and stay as many.
    check(b"aab", &[b"a"], &["0.0", "0.1", "0.2"], &["1.0", "1.0", "0.2"]);
}
