//! A file's bytes in pages: [`Content`], and what is known of a file: [`FileNode`].
//!
//! Owns the difference between the bytes that are seen and those that are durable, page by page, with every version
//! that a page had since the last sync (write-back may have stored any of them). Next: `crash`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, OnceLock};

use arrow_buffer::{Buffer, MutableBuffer};

pub(super) const PAGE_BYTES: usize = 4096;

/// A page keeps at most so many versions between two syncs; beyond them older ones are forgotten.
const VERSIONS: usize = 8;

/// The bytes of one page, shared between versions, views and forks.
#[derive(Clone)]
pub(super) struct Page(Arc<PageBytes>);

struct PageBytes {
    bytes: [u8; PAGE_BYTES],
    hash: OnceLock<u64>,
}

static ZERO_PAGE: LazyLock<Page> =
    LazyLock::new(|| Page(Arc::new(PageBytes { bytes: [0; PAGE_BYTES], hash: OnceLock::new() })));

impl Page {
    pub(super) fn new(bytes: [u8; PAGE_BYTES]) -> Page {
        if bytes == ZERO_PAGE.0.bytes {
            return ZERO_PAGE.clone();
        }
        Page(Arc::new(PageBytes { bytes, hash: OnceLock::new() }))
    }

    fn hash(&self) -> u64 {
        *self.0.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.0.bytes.hash(&mut hasher);
            hasher.finish()
        })
    }
}

/// A page's place in a file: a hole reads as zeros and takes no space.
pub(super) type Slot = Option<Page>;

/// Returns the bytes of a page or hole.
pub(super) fn slot_bytes(slot: &Slot) -> &[u8; PAGE_BYTES] {
    match slot {
        Some(page) => &page.0.bytes,
        None => &ZERO_PAGE.0.bytes,
    }
}

/// Bytes and length of a file. Bytes of the last page beyond the length are zero.
#[derive(Clone, Default)]
pub(super) struct Content {
    slots: Vec<Slot>,
    len_bytes: u64,
}

impl Content {
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    pub(super) fn slot(&self, index: usize) -> Slot {
        self.slots.get(index).cloned().flatten()
    }

    pub(super) fn set_slot(&mut self, index: usize, slot: Slot) {
        if index >= self.slots.len() {
            if slot.is_none() {
                return;
            }
            self.slots.resize(index + 1, None);
        }
        self.slots[index] = slot;
    }

    /// Sets the length; what a shorter length cuts off is gone and reads as zeros when the file grows again.
    pub(super) fn set_len(&mut self, len_bytes: u64) {
        self.len_bytes = len_bytes;
        let whole = (len_bytes / PAGE_BYTES as u64) as usize;
        let rest = (len_bytes % PAGE_BYTES as u64) as usize;
        self.slots.truncate(whole + usize::from(rest > 0));
        if rest > 0
            && let Some(Some(page)) = self.slots.get(whole)
            && page.0.bytes[rest..].iter().any(|b| *b != 0)
        {
            let mut bytes = page.0.bytes;
            bytes[rest..].fill(0);
            self.slots[whole] = Some(Page::new(bytes));
        }
    }

    pub(super) fn allocated_bytes(&self) -> u64 {
        self.slots.iter().flatten().count() as u64 * PAGE_BYTES as u64
    }

    pub(super) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let count = (self.len_bytes.saturating_sub(offset)).min(bytes.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let within = (at % PAGE_BYTES as u64) as usize;
            let n = (PAGE_BYTES - within).min(count - done);
            let slot = self.slots.get((at / PAGE_BYTES as u64) as usize).unwrap_or(&None);
            bytes[done..done + n].copy_from_slice(&slot_bytes(slot)[within..within + n]);
            done += n;
        }
        count
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len_bytes as usize];
        self.read_at(0, &mut bytes);
        bytes
    }

    /// Adds length and bytes to a hash; a hole and a page of zeros count as equal.
    pub(super) fn hash_into(&self, hasher: &mut impl Hasher) {
        self.len_bytes.hash(hasher);
        for index in 0..self.len_bytes.div_ceil(PAGE_BYTES as u64) as usize {
            let slot = self.slots.get(index).cloned().flatten();
            slot.unwrap_or_else(|| ZERO_PAGE.clone()).hash().hash(hasher);
        }
    }
}

/// A file.
#[derive(Clone, Default)]
pub(super) struct FileNode {
    /// What processes see.
    pub(super) volatile: Content,
    /// What a power cut leaves for certain.
    pub(super) durable: Content,
    /// Versions, oldest first, of the pages written since the last sync.
    pub(super) dirty: BTreeMap<usize, Vec<Slot>>,
    /// Lengths since the last sync, oldest first.
    pub(super) lengths: Vec<u64>,
    /// Names that processes see.
    pub(super) links: u32,
    /// Whether a failed sync has dropped pages, so that bytes may be seen that will never be durable.
    dropped: bool,
    mapped: OnceLock<Buffer>,
}

impl FileNode {
    /// Returns a file of which all is durable.
    pub(super) fn stored(content: Content) -> FileNode {
        FileNode { volatile: content.clone(), durable: content, ..FileNode::default() }
    }

    /// Writes bytes that lie within one page.
    pub(super) fn write_page(&mut self, offset: u64, bytes: &[u8]) {
        let index = (offset / PAGE_BYTES as u64) as usize;
        let within = (offset % PAGE_BYTES as u64) as usize;
        let mut page = *slot_bytes(&self.volatile.slot(index));
        page[within..within + bytes.len()].copy_from_slice(bytes);
        self.put(index, Some(Page::new(page)));
        let end = offset + bytes.len() as u64;
        if end > self.volatile.len_bytes {
            self.volatile.len_bytes = end;
            self.lengths.push(end);
        }
        self.mapped = OnceLock::new();
    }

    /// Returns how many bytes a write there would newly take.
    pub(super) fn page_cost(&self, offset: u64) -> u64 {
        let index = (offset / PAGE_BYTES as u64) as usize;
        if self.volatile.slots.get(index).is_some_and(Option::is_some) { 0 } else { PAGE_BYTES as u64 }
    }

    pub(super) fn set_len(&mut self, len_bytes: u64) {
        let before = self.volatile.slots.clone();
        self.volatile.set_len(len_bytes);
        for (index, slot) in before.iter().enumerate().skip((len_bytes / PAGE_BYTES as u64) as usize) {
            if slot.is_some() {
                let now = self.volatile.slot(index);
                self.remember(index, now);
            }
        }
        self.lengths.push(len_bytes);
        self.mapped = OnceLock::new();
    }

    /// Makes content and length durable, except pages that a failed sync has dropped.
    pub(super) fn make_durable(&mut self) {
        self.durable = self.written_back();
        self.dirty.clear();
        self.lengths.clear();
    }

    /// Forgets what is not durable yet, as a failed sync does: it stays visible and will not become durable.
    pub(super) fn drop_dirty(&mut self) {
        self.dropped |= !self.dirty.is_empty() || !self.lengths.is_empty();
        self.dirty.clear();
        self.lengths.clear();
    }

    /// Returns whether all that is seen is durable.
    pub(super) fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.lengths.is_empty() && !self.dropped
    }

    /// Returns what a full write-back would make durable.
    pub(super) fn written_back(&self) -> Content {
        let mut content = self.durable.clone();
        content.set_len(self.volatile.len_bytes);
        for index in self.dirty.keys() {
            content.set_slot(*index, self.volatile.slot(*index));
        }
        content.set_len(self.volatile.len_bytes);
        content
    }

    /// Returns the file's bytes in one aligned piece, as a map would show them.
    pub(super) fn map(&self) -> Buffer {
        let make = || {
            let mut buffer = MutableBuffer::from_len_zeroed(self.volatile.len_bytes as usize);
            self.volatile.read_at(0, buffer.as_slice_mut());
            buffer.into()
        };
        self.mapped.get_or_init(make).clone()
    }

    fn put(&mut self, index: usize, slot: Slot) {
        self.volatile.set_slot(index, slot.clone());
        self.remember(index, slot);
    }

    fn remember(&mut self, index: usize, slot: Slot) {
        let versions = self.dirty.entry(index).or_default();
        if versions.len() == VERSIONS {
            versions.remove(VERSIONS / 2);
        }
        versions.push(slot);
    }
}

/// Lets a buffer stand for a map.
pub(super) struct MappedBytes(pub(super) Buffer);

impl AsRef<[u8]> for MappedBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
