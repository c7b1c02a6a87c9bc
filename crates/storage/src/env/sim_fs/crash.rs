//! What a power cut leaves: [`Survive`].
//!
//! Owns the choice between the versions that a page, a length or a name had since the last sync; the rules and what
//! they stand on are in `docs/format/durability.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::rng::SeededRng;
use super::content::{Content, FileNode, PAGE_BYTES, Page, Slot, slot_bytes};
use super::machine::{DirNode, LastWrite, Machine, Node, ROOT, set_entry};

const SECTOR_BYTES: usize = 512;

/// What of the unsynced survives a power cut. Seeds choose; what was synced always survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Survive {
    /// Nothing.
    Nothing,
    /// Any version of any page, of any length and of any name, each chosen by itself; some pages as a mix of two
    /// versions by sector.
    Subset(u64),
    /// Everything, but of the latest write only a first (or, rarer, a last) part, torn at 512 B or 4 KiB.
    TornTail(u64),
    /// All bytes, but any version of any name.
    EntriesLost(u64),
    /// All names and lengths, no bytes: zeros stand where they should be.
    NamesOnly,
}

impl Survive {
    /// Returns the name of the mode, without the seed.
    pub fn name(self) -> &'static str {
        match self {
            Survive::Nothing => "nothing",
            Survive::Subset(_) => "subset",
            Survive::TornTail(_) => "torn tail",
            Survive::EntriesLost(_) => "entries lost",
            Survive::NamesOnly => "names only",
        }
    }
}

impl Machine {
    /// Cuts the power: what survives is all there is, and nothing runs.
    pub(super) fn crash(&mut self, survive: Survive) {
        if self.is_off() {
            return;
        }
        let seed = match survive {
            Survive::Subset(seed) | Survive::TornTail(seed) | Survive::EntriesLost(seed) => seed,
            Survive::Nothing | Survive::NamesOnly => 0,
        };
        let rng = SeededRng::new(seed ^ self.seed.rotate_left(32));
        let last_write = self.last_write.take();
        for (inode, node) in &mut self.nodes {
            if is_settled(node) {
                continue;
            }
            match Arc::make_mut(node) {
                Node::File(file) => {
                    let torn = last_write.as_ref().filter(|write| write.inode == *inode);
                    let content = surviving_content(file, survive, &rng, torn);
                    *file = FileNode::stored(content);
                }
                Node::Dir(dir) => {
                    let entries = surviving_entries(dir, survive, &rng);
                    *dir = DirNode { volatile: entries.clone(), durable: entries, pending: BTreeMap::new() };
                }
                Node::Symlink(_) => {}
            }
        }
        self.drop_unreachable();
        self.power_off();
    }

    /// Forgets inodes without a name and counts the names of the others anew.
    fn drop_unreachable(&mut self) {
        let mut links: BTreeMap<u64, u32> = BTreeMap::from([(ROOT, 1)]);
        let mut todo = vec![ROOT];
        let mut seen = BTreeSet::new();
        while let Some(inode) = todo.pop() {
            if !seen.insert(inode) {
                continue;
            }
            if let Ok(dir) = self.dir(inode) {
                for child in dir.volatile.values() {
                    *links.entry(*child).or_default() += 1;
                    todo.push(*child);
                }
            }
        }
        self.nodes.retain(|inode, _| links.contains_key(inode));
        for (inode, count) in links {
            if self.file(inode).is_ok_and(|file| file.links != count) {
                self.file_mut(inode).links = count;
            }
        }
    }
}

/// Returns whether all that is seen of an inode is durable.
fn is_settled(node: &Node) -> bool {
    match node {
        Node::File(file) => file.is_settled(),
        Node::Dir(dir) => dir.pending.is_empty() && dir.volatile == dir.durable,
        Node::Symlink(_) => true,
    }
}

fn surviving_content(file: &FileNode, survive: Survive, rng: &SeededRng, torn: Option<&LastWrite>) -> Content {
    match survive {
        Survive::Nothing => file.durable.clone(),
        Survive::EntriesLost(_) => file.written_back(),
        Survive::NamesOnly => {
            let mut content = file.durable.clone();
            if let Some(len_bytes) = file.lengths.last() {
                content.set_len(*len_bytes);
            }
            content
        }
        Survive::TornTail(_) => match torn {
            Some(write) => tear(file.written_back(), write, rng),
            None => file.written_back(),
        },
        Survive::Subset(_) => subset(file, rng),
    }
}

fn subset(file: &FileNode, rng: &SeededRng) -> Content {
    let mut content = file.durable.clone();
    let pick = rng.below(file.lengths.len() as u64 + 1) as usize;
    // Position 0 stands for the durable length, also when the file was made shorter since.
    let len_bytes = if pick == 0 { file.durable.len_bytes() } else { file.lengths[pick - 1] };
    for (index, versions) in &file.dirty {
        let slot = match rng.below(versions.len() as u64 + 1) as usize {
            0 => content.slot(*index),
            n => versions[n - 1].clone(),
        };
        let slot = if rng.below(4) == 0 { mix(&slot, &versions[versions.len() - 1], rng) } else { slot };
        content.set_slot(*index, slot);
    }
    content.set_len(len_bytes);
    content
}

/// Returns a page whose sectors come from one or the other version.
fn mix(a: &Slot, b: &Slot, rng: &SeededRng) -> Slot {
    let mut bytes = *slot_bytes(a);
    for start in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
        if rng.below(2) == 0 {
            let sector = start..start + SECTOR_BYTES;
            bytes[sector.clone()].copy_from_slice(&slot_bytes(b)[sector]);
        }
    }
    Some(Page::new(bytes))
}

/// Returns the content without a part of the write, as if the device had stored only some of its sectors.
fn tear(mut content: Content, write: &LastWrite, rng: &SeededRng) -> Content {
    let unit = if rng.below(2) == 0 { SECTOR_BYTES } else { PAGE_BYTES } as u64;
    let end = write.offset + write.len_bytes;
    let first = write.offset / unit;
    let units = end.div_ceil(unit) - first;
    let at = first + rng.below(units.max(1));
    // Something is lost always: the other modes have the whole write.
    let lost =
        if rng.below(4) == 0 { write.offset..((at + 1) * unit).min(end) } else { (at * unit).max(write.offset)..end };
    let len_bytes = content.len_bytes();
    for (index, before) in &write.before {
        let page_start = (*index * PAGE_BYTES) as u64;
        let from = lost.start.max(page_start);
        let to = lost.end.min(page_start + PAGE_BYTES as u64);
        if from < to {
            let range = (from - page_start) as usize..(to - page_start) as usize;
            let mut bytes = *slot_bytes(&content.slot(*index));
            bytes[range.clone()].copy_from_slice(&slot_bytes(before)[range]);
            content.set_slot(*index, Some(Page::new(bytes)));
        }
    }
    // The new length may have been stored without the bytes, or not.
    let keep_len = lost.end < end || rng.below(2) == 0;
    content.set_len(if keep_len { len_bytes } else { lost.start.max(write.before_len_bytes).min(len_bytes) });
    content
}

fn surviving_entries(dir: &DirNode, survive: Survive, rng: &SeededRng) -> BTreeMap<String, u64> {
    let mut entries = dir.durable.clone();
    for (name, changes) in &dir.pending {
        let keep = match survive {
            Survive::Nothing => 0,
            Survive::TornTail(_) | Survive::NamesOnly => changes.len(),
            Survive::Subset(_) | Survive::EntriesLost(_) => rng.below(changes.len() as u64 + 1) as usize,
        };
        if keep > 0 {
            set_entry(&mut entries, name, changes[keep - 1]);
        }
    }
    entries
}
