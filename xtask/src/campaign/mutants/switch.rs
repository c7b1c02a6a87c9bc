//! What is chosen of the mutants that are built into a program: `MUTANT=7` chooses the seventh. The numbers that the program
//! comes by are added to the file that `MUTANTS_REACHED` names. This text goes into the copy of the tree.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::sync::{LazyLock, Mutex};

static CHOSEN: LazyLock<usize> =
    LazyLock::new(|| std::env::var("MUTANT").map_or(0, |number| number.parse().expect("MUTANT is a number")));

static REACHED: LazyLock<Option<Mutex<(File, BTreeSet<usize>)>>> = LazyLock::new(|| {
    let path = std::env::var_os("MUTANTS_REACHED")?;
    let file = File::options().create(true).append(true).open(path).expect("MUTANTS_REACHED can be written");
    Some(Mutex::new((file, BTreeSet::new())))
});

/// Returns the chosen one of these, or 0.
pub fn chosen(here: &[usize]) -> usize {
    if let Some(reached) = &*REACHED {
        let (file, seen) = &mut *reached.lock().expect("no holder panics");
        for number in here.iter().filter(|number| seen.insert(**number)) {
            writeln!(file, "{number}").expect("MUTANTS_REACHED can be written");
        }
    }
    if here.contains(&CHOSEN) { *CHOSEN } else { 0 }
}
