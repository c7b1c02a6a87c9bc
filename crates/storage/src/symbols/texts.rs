//! Code to text: [`Texts`], an append-only list that becomes an Arrow view array without copying the texts.

use arrow_array::StringViewArray;
use arrow_buffer::{Buffer, ScalarBuffer};

/// Texts up to this length stand in the view itself (Arrow's layout of views).
const INLINE_LEN: usize = 12;
/// A block that reached this size is closed. The open block is copied when an array is made, so it stays small.
const BLOCK_LEN: usize = 64 << 10;

/// Texts by code.
#[derive(Default)]
pub(super) struct Texts {
    /// Arrow's views: length, then the text, or its first four bytes, block and offset.
    views: Vec<[u8; 16]>,
    blocks: Vec<Buffer>,
    /// The open block; its number is `blocks.len()`.
    open: Vec<u8>,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Returns the text of a code, as bytes of UTF-8.
    ///
    /// # Panics
    /// When there is no such code.
    pub fn get(&self, code: usize) -> &[u8] {
        let view = &self.views[code];
        let number = |at: usize| u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]) as usize;
        let len = number(0);
        if len <= INLINE_LEN { &view[4..4 + len] } else { &self.block(number(8))[number(12)..number(12) + len] }
    }

    /// Returns the text of a code.
    ///
    /// # Panics
    /// When there is no such code.
    pub fn text(&self, code: usize) -> String {
        String::from_utf8(self.get(code).to_owned()).expect("texts come as a str or were checked")
    }

    fn block(&self, block: usize) -> &[u8] {
        self.blocks.get(block).map_or(self.open.as_slice(), Buffer::as_slice)
    }

    /// Adds a text, which gets the next code.
    pub fn push(&mut self, text: &str) {
        if text.len() <= INLINE_LEN {
            self.views.push(view(text.as_bytes(), 0, 0));
            return;
        }
        if !self.open.is_empty() && self.open.len() + text.len() > BLOCK_LEN {
            self.close();
        }
        self.views.push(view(text.as_bytes(), self.blocks.len(), self.open.len()));
        self.open.extend_from_slice(text.as_bytes());
    }

    /// Adds the texts `block[ends[i - 1]..ends[i]]`, of which the first begins at 0; the block is kept, not copied.
    /// The caller has checked that the block is UTF-8 and the ends rise and fall between characters.
    pub fn push_block(&mut self, block: Buffer, ends: impl IntoIterator<Item = usize>) {
        self.close();
        let mut start = 0;
        for end in ends {
            self.views.push(view(&block[start..end], self.blocks.len(), start));
            start = end;
        }
        self.blocks.push(block);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.blocks.push(Buffer::from_vec(std::mem::take(&mut self.open)));
        }
    }

    /// Returns the texts as an array over the same blocks.
    pub fn to_array(&self) -> StringViewArray {
        let mut blocks = self.blocks.clone();
        if !self.open.is_empty() {
            blocks.push(Buffer::from(self.open.as_slice()));
        }
        let views = ScalarBuffer::from(Buffer::from(self.views.as_flattened()));
        // SAFETY: every view is inline or names a block that is in the list, at text that came as a str or was checked.
        unsafe { StringViewArray::new_unchecked(views, blocks, None) }
    }
}

/// Returns Arrow's view of a text at a place in a block.
fn view(text: &[u8], block: usize, start: usize) -> [u8; 16] {
    let mut view = [0u8; 16];
    view[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
    if text.len() <= INLINE_LEN {
        view[4..4 + text.len()].copy_from_slice(text);
    } else {
        view[4..8].copy_from_slice(&text[..4]);
        view[8..12].copy_from_slice(&(block as u32).to_le_bytes());
        view[12..].copy_from_slice(&(start as u32).to_le_bytes());
    }
    view
}
