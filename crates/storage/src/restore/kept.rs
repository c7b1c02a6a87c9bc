//! Which kept snapshots go on when another one is restored: those that were live at its cut and are whole.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{require_plain_path, verify_lengths};
use crate::Result;
use crate::catalog::DbState;
use crate::layout::Disk;
use crate::snapshot::{Pin, content};

/// Returns the ids of those that are whole, and sentences about those that are not.
///
/// What the state at the cut says of a snapshot may be old: when it has settled since, its pin's file says so. A settled
/// snapshot's own base lists no other snapshots; their files do.
pub fn find(
    disk: &Disk,
    chosen: &Pin,
    chosen_path: &Path,
    state: &DbState,
    files: &[&Pin],
) -> Result<(Vec<String>, Vec<String>)> {
    Ok(those_whole(disk, candidates(disk, chosen, chosen_path, state, files)?))
}

/// Returns those that go on if they are whole, in the order of their cuts.
pub fn candidates<'a>(
    disk: &Disk,
    chosen: &Pin,
    chosen_path: &Path,
    state: &'a DbState,
    files: &[&'a Pin],
) -> Result<Vec<&'a Pin>> {
    let settled = files.iter().copied().filter(|pin| pin.settled.is_some() && pin.id != chosen.id);
    let settled: HashMap<&str, &Pin> = settled.map(|pin| (&*pin.id, pin)).collect();
    let history = content::history(disk, chosen, chosen_path, &|_| Ok(()))?;
    let at_cut = state.snapshots.values().filter(|s| s.standing().kept && s.pin.id != chosen.id);
    let at_cut = at_cut.map(|s| *settled.get(&*s.pin.id).unwrap_or(&&s.pin));
    let by_file = settled.values().copied().filter(|pin| chosen.settled.is_some() && history.goes_on(pin, chosen.seq));
    let mut pins: Vec<&Pin> = at_cut.chain(by_file).collect();
    pins.sort_by_key(|pin| (pin.timeline.number, pin.seq));
    Ok(pins)
}

/// As [`find`], at the end of a timeline, where what has happened to a snapshot is known but for what came on another one.
pub fn find_at_end(disk: &Disk, state: &DbState, files: &[&Pin]) -> (Vec<String>, Vec<String>) {
    let settled = |id: &str| files.iter().copied().find(|pin| pin.settled.is_some() && pin.id == id);
    let at_end = state.snapshots.values().filter(|s| s.standing().kept);
    let mut pins: Vec<&Pin> = at_end.map(|s| settled(&s.pin.id).unwrap_or(&s.pin)).collect();
    pins.sort_by_key(|pin| (pin.timeline.number, pin.seq));
    those_whole(disk, pins)
}

fn those_whole(disk: &Disk, pins: Vec<&Pin>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut gone, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for pin in pins {
        match look_at(disk, pin, &mut seen) {
            Ok(()) => kept.push(pin.id.clone()),
            Err(why) => gone.push(format!("kept snapshot {} (seq {}) is gone: {why}", pin.name, pin.seq)),
        }
    }
    (kept, gone)
}

/// Looks whether every file that a kept snapshot names is there, in its length; `seen` are tables' files of others.
fn look_at(disk: &Disk, pin: &Pin, seen: &mut HashSet<String>) -> Result<()> {
    let path = disk.layout.snapshot().join(pin.file_name());
    let check = |file: &str| require_plain_path(disk, file);
    let Some(named) = &pin.settled else {
        let state = content::read_files(disk, pin, &path, &check)?;
        return verify_lengths(disk, &content::files(disk, pin, &path, &state)?);
    };
    content::history(disk, pin, &path, &check)?;
    for table in content::own_base(disk, pin, named, &check)?.table_files {
        if !seen.contains(&table.file) {
            verify_lengths(disk, &content::files_of_table(disk, &table)?)?;
            seen.insert(table.file);
        }
    }
    Ok(())
}
