//! Code to text: [`Texts`], an append-only list that is an Arrow view array without copying the texts.

use arrow_array::StringViewArray;
use arrow_buffer::{Buffer, ScalarBuffer};

use super::growing_buffer::GrowingBuffer;

/// Texts up to this length stand in the view itself (Arrow's layout of views).
const INLINE_LEN: usize = 12;
const VIEW_LEN: usize = 16;
/// A block is closed before it grows beyond this; offsets in views have 32 bits, and blocks move when they grow.
const BLOCK_LEN: usize = 1 << 20;

/// Texts by code.
#[derive(Default)]
pub(super) struct Texts {
    /// Arrow's views, 16 bytes each: length, then the text, or its first four bytes, block and offset.
    views: GrowingBuffer,
    blocks: Vec<Buffer>,
    /// The block that still grows; its number is `blocks.len()`.
    open: GrowingBuffer,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.views.len() / VIEW_LEN
    }

    /// Returns the text of a code, as bytes of UTF-8.
    ///
    /// # Panics
    /// When there is no such code.
    pub fn get(&self, code: usize) -> &[u8] {
        let view = &self.views.as_slice()[code * VIEW_LEN..(code + 1) * VIEW_LEN];
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
        if text.len() > INLINE_LEN && self.open.len() + text.len() > BLOCK_LEN {
            self.close();
        }
        self.views.extend(&view(text.as_bytes(), self.blocks.len(), self.open.len()));
        if text.len() > INLINE_LEN {
            self.open.extend(text.as_bytes());
        }
    }

    /// Adds the texts `block[ends[i - 1]..ends[i]]`, of which the first begins at 0; the block is kept, not copied.
    /// The caller has checked that the block is UTF-8 and the ends rise and fall between characters.
    pub fn push_block(&mut self, block: Buffer, ends: impl IntoIterator<Item = usize>) {
        self.close();
        let mut start = 0;
        for end in ends {
            self.views.extend(&view(&block[start..end], self.blocks.len(), start));
            start = end;
        }
        self.blocks.push(block);
    }

    fn close(&mut self) {
        if self.open.len() > 0 {
            self.blocks.push(std::mem::take(&mut self.open).buffer());
        }
    }

    /// Returns the texts as an array over the same memory; texts that come later do not show in it.
    pub fn to_array(&self) -> StringViewArray {
        let open = (self.open.len() > 0).then(|| self.open.buffer());
        let blocks: Vec<Buffer> = self.blocks.iter().cloned().chain(open).collect();
        // SAFETY: every view is inline or names a block that is in the list, at text that came as a str or was checked.
        unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(self.views.buffer()), blocks, None) }
    }
}

/// Returns Arrow's view of a text at a place in a block.
fn view(text: &[u8], block: usize, start: usize) -> [u8; VIEW_LEN] {
    let mut view = [0u8; VIEW_LEN];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_single_texts_mix() {
        let mut texts = Texts::default();
        let mut expected = Vec::new();
        let mut push = |texts: &mut Texts, text: String| {
            texts.push(&text);
            expected.push(text);
        };
        push(&mut texts, "long enough to need a block".to_owned());
        texts.push_block(Buffer::from(b"shorta text from a file".as_slice()), [5, 5, 23]);
        for i in 0..3 {
            push(&mut texts, format!("{i}").repeat(BLOCK_LEN / 2 + 1));
        }
        for (at, text) in ["short", "", "a text from a file"].into_iter().enumerate() {
            expected.insert(1 + at, text.to_owned());
        }
        let array = texts.to_array();
        assert_eq!(array.iter().flatten().collect::<Vec<_>>(), expected);
        assert!((0..expected.len()).all(|code| texts.text(code) == expected[code]));
        assert!(arrow_array::Array::to_data(&array).validate_full().is_ok());
    }
}
