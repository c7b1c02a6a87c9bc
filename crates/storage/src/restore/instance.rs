//! A restore without a trigger, as QuestDB does it: the configured instance id is another one than the snapshot's.
//!
//! There a left-over snapshot and a new id roll a live root back. Here the root must also lie in another place (machine,
//! inode of the root) than the snapshot was taken in, and no server may have run on it there: so it happens once, to a copy.

use super::trigger::Depth;
use super::{PinFile, RestoreReport, choose, identify, publish, read_pins, validate};
use crate::document;
use crate::layout::{Disk, list_or_none};
use crate::log::Place;
use crate::log::chain::{self, LogFiles};
use crate::root;
use crate::snapshot::{Pin, is_pin_name};
use crate::timeline;
use crate::{Error, Result};

/// The key, as sentences name it.
const KEY: &str = "cairo.snapshot.instance.id";

/// Restores the snapshot that was open when the root was copied, if it was taken under another id. Notices are sentences
/// for the operator.
///
/// # Errors
/// As [`super::run`]; nothing was modified.
pub fn run(
    disk: &Disk,
    instance_id: &str,
    grace_us: i64,
    notices: &mut Vec<String>,
    progress: &dyn Fn(&str),
) -> Result<Option<RestoreReport>> {
    let marker = disk.layout.marker();
    if instance_id.is_empty() || !disk.env.fs.exists(&marker).map_err(Error::io(&marker))? {
        return Ok(None);
    }
    let place = root::place(disk)?;
    let Some(last) = last_run(disk)? else { return Ok(None) };
    let is_meant = |pin: &Pin| !pin.instance_id.is_empty() && pin.instance_id != instance_id;
    if last == place {
        notices.extend(open_here(disk, instance_id, &is_meant)?);
        return Ok(None);
    }
    let marker = identify(disk).map_err(Error::of_copy)?;
    let is_elsewhere = |pin: &Pin| (pin.place_machine, pin.place_inode) != (place.machine, place.inode);
    // Without the live log a plain start is refused anyway, so nothing is lost by what was kept longer.
    let only_copy = list_or_none(disk, &disk.layout.live())?.is_empty();
    let pins = read_pins(disk).map_err(Error::of_copy)?;
    let meant = |found: &&PinFile| is_meant(&found.pin) && is_elsewhere(&found.pin) && (only_copy || !found.pin.kept);
    let Some(name) = the_one(disk, &pins.iter().filter(meant).collect::<Vec<_>>(), instance_id)? else {
        return Ok(None);
    };
    let root = disk.layout.root();
    let whole = disk.env.fs.file_system_of(root).map_err(Error::io(root))?;
    let plan = choose(disk, &marker, Some(&name), None).map_err(Error::of_copy)?;
    let taken_under = plan.chosen.instance_id.clone();
    let branch = validate(disk, &plan, Depth::Full, progress).map_err(Error::of_copy)?;
    let mut report = publish(disk, &marker, branch, &*whole, grace_us)?;
    report.lines.insert(
        0,
        format!("{KEY} is {instance_id}, the snapshot was taken in another place under {taken_under}: it is restored"),
    );
    Ok(Some(report))
}

/// Returns where the newest log file of the timeline in force was written; `None` when it has none, as after a restore.
fn last_run(disk: &Disk) -> Result<Option<Place>> {
    let files = LogFiles::list(disk)?;
    let Some(history) = timeline::history(disk, &files)? else { return Ok(None) };
    let Some(newest) = chain::newest(disk, &files, history.current().timeline)? else { return Ok(None) };
    let path = files.path(disk, newest).expect("the name was listed");
    Ok(chain::read_header(&disk.env, &path)?.map(|header| header.place))
}

/// Says that a changed id does nothing where the snapshot was taken.
fn open_here(disk: &Disk, instance_id: &str, is_meant: &dyn Fn(&Pin) -> bool) -> Result<Option<String>> {
    for entry in list_or_none(disk, &disk.layout.snapshot())?.iter().filter(|e| is_pin_name(&e.name)) {
        // A start deals with those that cannot be read.
        let Ok(pin) = document::read::<Pin>(&disk.env, &disk.layout.snapshot().join(&entry.name)) else { continue };
        if is_meant(&pin) && !pin.kept {
            return Ok(Some(format!(
                "{KEY} is {instance_id}, snapshot {} was taken under {}, but in this very place: nothing is rolled back; to go \
                 back to it touch {} and start again",
                pin.name,
                pin.instance_id,
                disk.layout.restore_trigger().display()
            )));
        }
    }
    Ok(None)
}

/// Returns the name of the file of the one that is meant, as an empty trigger would choose it.
fn the_one(disk: &Disk, pins: &[&PinFile], instance_id: &str) -> Result<Option<String>> {
    let key = |found: &&&PinFile| (found.pin.timeline.number, found.pin.seq, found.pin.settled.is_some());
    let Some(latest) = pins.iter().max_by_key(key) else { return Ok(None) };
    let mut names: Vec<&str> = pins.iter().map(|found| &*found.pin.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > 1 && latest.pin.name != "default" {
        return Err(Error::Refused(format!(
            "{KEY} is {instance_id}, and {} holds several snapshots that were taken in another place under another one ({}): \
             write snapshot=<name> into {}, or set cairo.snapshot.recovery.enabled=false to start without restoring",
            disk.layout.root().display(),
            names.join(", "),
            disk.layout.restore_trigger().display()
        )));
    }
    Ok(Some(latest.file_name().trim_end_matches(".json").to_owned()))
}
