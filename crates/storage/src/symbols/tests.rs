//! Codes and texts, growing, saved and loaded.

use std::path::Path;

use arrow_array::Array;
use types::{TableId, TimelineId};

use super::file::{load, write_symbols};
use super::*;
use crate::env::Env;
use crate::env::clock::ManualClock;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::SimFs;

const COLUMN: ColumnId = ColumnId(3);
const DIR: &str = "/t";

fn sim() -> Env {
    let env = Env::in_turn(Arc::new(SimFs::new(1)), Arc::new(ManualClock::new(0)), Arc::new(SeededRng::new(1)));
    env.fs.create_dir(Path::new(DIR)).unwrap();
    env
}

/// Returns short, long, empty and non-ASCII texts, all different.
fn text(i: usize) -> String {
    match i % 4 {
        0 if i == 0 => String::new(),
        0 => format!("s{i}"),
        1 => format!("a text that does not fit into a view, number {i}"),
        2 => format!("日本{i}"),
        _ => format!("exactly-12-{i}"),
    }
}

fn filled(count: usize) -> Dictionary {
    let dictionary = Dictionary::new(COLUMN);
    for i in 0..count {
        assert_eq!(dictionary.intern(&text(i)).unwrap(), (i as i32, true));
    }
    dictionary
}

/// The dictionary holds exactly the first `count` texts, seen from both sides.
fn check(dictionary: &Dictionary, count: usize) {
    assert_eq!(dictionary.len(), count);
    let values = dictionary.values();
    values.to_data().validate_full().unwrap();
    assert_eq!(values.len(), count);
    for i in 0..count {
        assert_eq!(values.value(i), text(i));
        assert_eq!(dictionary.code_of(&text(i)), Some(i as i32));
        assert_eq!(dictionary.text(i as i32), Some(text(i)));
    }
    assert_eq!(dictionary.code_of("unknown"), None);
    assert_eq!(dictionary.text(count as i32), None);
    assert_eq!(dictionary.text(-1), None);
}

#[test]
fn codes_are_given_in_the_order_of_appearance() {
    for count in [0, 1, 5, 1000, 20_000] {
        check(&filled(count), count);
    }
    let dictionary = filled(10);
    assert_eq!(dictionary.intern(&text(4)).unwrap(), (4, false));
}

#[test]
fn earlier_arrays_stay_as_they_were() {
    let dictionary = filled(10);
    let before = dictionary.values();
    assert!(Arc::ptr_eq(&before, &dictionary.values()));
    dictionary.intern(&text(10)).unwrap();
    assert_eq!((before.len(), dictionary.values().len()), (10, 11));
    assert_eq!(before.value(9), text(9));
}

#[test]
fn replayed_texts_keep_their_codes() {
    let dictionary = filled(5);
    assert_eq!(dictionary.values().len(), 5);
    let texts: Vec<String> = (3..8).map(text).collect();
    dictionary.append_at(3, texts.iter().map(String::as_str)).unwrap();
    check(&dictionary, 8);
    assert!(dictionary.append_at(9, ["gap"]).is_err());
    assert!(dictionary.append_at(2, ["other"]).is_err());
    check(&dictionary, 8);
}

#[test]
fn files_bring_the_dictionary_back() {
    let (env, dictionary) = (sim(), filled(100));
    let save = |name: &str, count| {
        let origin = (TableId(1), TimelineId { number: 1, tag: 2 });
        let codes = dictionary.persisted()..count;
        let meta = write_symbols(&env, Path::new(DIR), name, origin, &dictionary, codes).unwrap();
        dictionary.set_persisted(count);
        meta
    };
    let files = [save("a.arrow", 40).unwrap(), save("b.arrow", 41).unwrap(), save("c.arrow", 100).unwrap()];
    assert_eq!(save("d.arrow", 100), None);
    assert_eq!((files[1].first_code, files[1].count), (40, 1));
    let loaded = load(&env, Path::new(DIR), COLUMN, &[files[2].clone(), files[0].clone(), files[1].clone()]).unwrap();
    assert_eq!(loaded.persisted(), 100);
    check(&loaded, 100);
    loaded.intern(&text(100)).unwrap();
    check(&loaded, 101);

    let gap = [files[0].clone(), files[2].clone()];
    assert!(matches!(load(&env, Path::new(DIR), COLUMN, &gap), Err(Error::Corrupt { .. })));
    assert!(matches!(load(&env, Path::new(DIR), ColumnId(4), &files), Err(Error::Corrupt { .. })));
}

#[test]
fn every_changed_byte_of_a_file_is_found() {
    let (env, dictionary) = (sim(), filled(8));
    let origin = (TableId(1), TimelineId { number: 1, tag: 2 });
    let meta = write_symbols(&env, Path::new(DIR), "a.arrow", origin, &dictionary, 0..8).unwrap().unwrap();
    let path = Path::new(DIR).join("a.arrow");
    let good = env.fs.read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        env.fs.unlink(&path).unwrap();
        crate::ipc::write_file(&env, &path, &bad).unwrap();
        let damaged = load(&env, Path::new(DIR), COLUMN, std::slice::from_ref(&meta)).map(|_| ());
        assert!(matches!(damaged, Err(Error::Corrupt { .. })), "byte {at}");
        // The same bytes with a matching checksum: an error or some texts, never a panic.
        let forged = SymbolFileMeta { crc32c: crc32c::crc32c(&bad), ..meta.clone() };
        if let Ok(dictionary) = load(&env, Path::new(DIR), COLUMN, &[forged]) {
            dictionary.values().to_data().validate_full().unwrap();
        }
    }
}

#[test]
fn ranks_are_the_order_of_the_texts_whenever_they_came() {
    let dictionary = Dictionary::new(COLUMN);
    assert!(dictionary.ranks().is_empty());
    for (text, ranks) in [("b", &[0][..]), ("", &[1, 0]), ("ä", &[1, 0, 2]), ("a", &[2, 0, 3, 1])] {
        dictionary.intern(text).unwrap();
        assert_eq!(dictionary.ranks()[..], *ranks);
        assert!(Arc::ptr_eq(&dictionary.ranks(), &dictionary.ranks()), "sorted once");
    }
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Writes the fixture anew; only for a new version of the format, under that version's name.
#[test]
#[ignore = "makes the fixture"]
#[expect(clippy::disallowed_methods, reason = "a fixture is a file of the source tree")]
fn make_fixture() {
    let (env, dictionary) = (sim(), filled(10));
    let origin = (TableId(1), TimelineId { number: 1, tag: 2 });
    let meta = write_symbols(&env, Path::new(DIR), "symbols-v1.arrow", origin, &dictionary, 0..10).unwrap();
    let bytes = env.fs.read(&Path::new(DIR).join("symbols-v1.arrow")).unwrap();
    std::fs::write(fixtures().join("symbols-v1.arrow"), bytes).unwrap();
    std::fs::write(fixtures().join("symbols-v1.json"), serde_json::to_string_pretty(&meta).unwrap() + "\n").unwrap();
}

#[test]
fn a_symbol_file_of_version_1_loads() {
    let json = std::fs::read_to_string(fixtures().join("symbols-v1.json")).unwrap();
    let meta: SymbolFileMeta = serde_json::from_str(&json).unwrap();
    check(&load(&Env::os(), &fixtures(), COLUMN, &[meta]).unwrap(), 10);
}
