//! What could be wrong: the list of cargo-mutants, and a sample of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::switched::body;
use crate::Result;
use crate::cargo::{cargo, output};
use crate::random::Random;

/// What is mutated, by room: files below `crates/storage/src`.
const ROOMS: [(&str, &[&str]); 4] = [
    ("log", &["log/**/*.rs"]),
    ("snapshot", &["snapshot.rs", "snapshot/**/*.rs"]),
    ("restore", &["restore.rs", "restore/**/*.rs", "timeline.rs", "bring_back.rs", "bring_back/**/*.rs"]),
    ("gc", &["gc.rs", "gc/**/*.rs"]),
];

/// Line and column of a begin and of an end, from 1.
pub type Span = [(usize, usize); 2];

/// One change of one file.
#[derive(Debug, Clone)]
pub struct Mutant {
    pub file: String,
    pub name: String,
    pub replacement: String,
    pub span: Span,
    /// The function around it.
    pub function: Span,
}

/// Returns as many mutants of each room as make up the sample.
pub fn sample(tree: &Path, seed: u64, count: usize) -> Result<Vec<Mutant>> {
    let mut rooms = ROOMS.iter().map(|room| mutants_of(tree, room)).collect::<Result<Vec<_>>>()?;
    Ok(drawn(&mut rooms, seed, count))
}

fn drawn(rooms: &mut [Vec<Mutant>], seed: u64, count: usize) -> Vec<Mutant> {
    let mut random = Random::new(seed);
    let mut sample = Vec::new();
    while sample.len() < count && rooms.iter().any(|room| !room.is_empty()) {
        for room in rooms.iter_mut().filter(|room| !room.is_empty()) {
            let at = random.below(room.len() as u64) as usize;
            sample.push(room.swap_remove(at));
        }
    }
    sample.truncate(count);
    sample
}

/// Returns the mutants of a room that the environment can choose.
fn mutants_of(tree: &Path, (room, files): &(&str, &[&str])) -> Result<Vec<Mutant>> {
    let mut command = cargo(&["mutants", "--list", "--json", "--no-config", "-p", "storage"]);
    command.args(files.iter().flat_map(|file| ["--file".to_owned(), format!("crates/storage/src/{file}")]));
    let listed = output(command.current_dir(tree)).map_err(|e| format!("{e}: cargo install cargo-mutants --locked"))?;
    let listed: Vec<Value> = serde_json::from_str(&listed)?;
    let mut mutants: Vec<Mutant> = listed.iter().filter_map(Mutant::read).collect();
    let mut texts = BTreeMap::new();
    for file in mutants.iter().map(|mutant| &mutant.file) {
        if !texts.contains_key(file) {
            texts.insert(file.clone(), std::fs::read_to_string(tree.join(file))?);
        }
    }
    mutants.retain(|mutant| body(&texts[&mutant.file], mutant.function).is_some());
    println!("mutants: {room}: {} of {} can be chosen by the environment", mutants.len(), listed.len());
    Ok(mutants)
}

impl Mutant {
    /// Reads what cargo-mutants lists; what stands in no function is none.
    fn read(listed: &Value) -> Option<Mutant> {
        let text = |key: &str| listed[key].as_str().map(str::to_owned);
        Some(Mutant {
            file: text("file")?,
            name: text("name")?,
            replacement: text("replacement")?,
            span: span(&listed["span"])?,
            function: span(&listed["function"]["span"])?,
        })
    }
}

fn span(listed: &Value) -> Option<Span> {
    let place = |end: &str| {
        let at = |key: &str| usize::try_from(listed[end][key].as_u64()?).ok();
        Some((at("line")?, at("column")?))
    };
    Some([place("start")?, place("end")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Value {
        let span = serde_json::json!({"start": {"line": 2, "column": 7}, "end": {"line": 2, "column": 9}});
        serde_json::json!({"file": "a.rs", "name": name, "replacement": "!=", "span": span, "function": {"span": span}})
    }

    #[test]
    fn what_cargo_mutants_lists_is_read() {
        let mutant = Mutant::read(&listed("a.rs:2:7: replace == with != in f")).expect("it is whole");
        assert_eq!((mutant.span, &*mutant.replacement), ([(2, 7), (2, 9)], "!="));
        let mut of_a_constant = listed("a.rs:2:7: replace + with -");
        of_a_constant["function"] = Value::Null;
        assert!(Mutant::read(&of_a_constant).is_none());
    }

    #[test]
    fn as_many_are_drawn_of_each_room_as_it_has() {
        let room = |name: &str, size: usize| vec![Mutant::read(&listed(name)).expect("it is whole"); size];
        let names = |count: usize| -> Vec<String> {
            let drawn = drawn(&mut [room("large", 9), room("small", 1)], 7, count);
            drawn.into_iter().map(|mutant| mutant.name).collect()
        };
        assert_eq!(names(4), ["large", "small", "large", "large"]);
        assert_eq!(names(99).len(), 10);
    }
}
