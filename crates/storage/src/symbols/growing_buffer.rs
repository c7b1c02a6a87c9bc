//! Bytes that only grow, shared with the arrays made of them: [`GrowingBuffer`].
//!
//! An array sees the bytes that were there when it was made; later bytes go behind them into the same memory. So an
//! array of all texts costs no copy, however often the dictionary grew. When the memory is full the bytes move to twice as much,
//! and earlier arrays keep the old.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;

/// Bytes of the first memory.
const FIRST_LEN: usize = 256;
/// Arrow's own alignment of buffers.
const ALIGNMENT: usize = 64;

/// A buffer that only grows.
#[derive(Default)]
pub(super) struct GrowingBuffer {
    memory: Option<Arc<Memory>>,
    len: usize,
}

/// Memory of which the owner writes only behind the bytes that anyone else may read.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the bytes below an owner's length never change; those behind are touched by the one GrowingBuffer only, through `&mut`.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(len: usize) -> Memory {
        let layout = Layout::from_size_align(len, ALIGNMENT).expect("the size fits the address space");
        // SAFETY: the size is not 0: memory is made for at least FIRST_LEN bytes.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Memory { start, layout }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; the last owner is going.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl GrowingBuffer {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.memory {
            None => &[],
            // SAFETY: `extend` wrote the first `len` bytes, and they never change.
            Some(memory) => unsafe { std::slice::from_raw_parts(memory.start.as_ptr(), self.len) },
        }
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        let len = self.len + bytes.len();
        let memory = match &self.memory {
            Some(memory) if len <= memory.layout.size() => memory.clone(),
            _ => self.grow(len),
        };
        // SAFETY: the target lies within the memory, behind every byte that a buffer made here covers.
        unsafe { memory.start.add(self.len).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.len = len;
    }

    fn grow(&mut self, len: usize) -> Arc<Memory> {
        let memory = Arc::new(Memory::new(len.next_power_of_two().max(FIRST_LEN)));
        // SAFETY: the new memory is larger than the bytes so far, and nobody else knows it yet.
        unsafe { memory.start.copy_from_nonoverlapping(NonNull::from(self.as_slice()).cast(), self.len) };
        self.memory = Some(memory.clone());
        memory
    }

    /// Returns the bytes so far; later ones do not show in it.
    pub fn buffer(&self) -> Buffer {
        match &self.memory {
            None => Buffer::default(),
            // SAFETY: the first `len` bytes are written, never change, and the memory lives as long as the buffer.
            Some(memory) => unsafe { Buffer::from_custom_allocation(memory.start, self.len, memory.clone()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_keep_the_bytes_of_their_moment() {
        let mut growing = GrowingBuffer::default();
        let (mut plain, mut taken) = (Vec::<u8>::new(), Vec::new());
        for i in 0..2_000usize {
            let bytes = vec![i as u8; i % 7];
            growing.extend(&bytes);
            plain.extend(&bytes);
            taken.push((growing.buffer(), plain.len()));
        }
        assert_eq!(growing.as_slice(), plain);
        for (buffer, len) in &taken {
            assert_eq!(buffer.as_slice(), &plain[..*len]);
        }
        drop(growing);
        assert_eq!(taken[1_999].0.as_slice(), plain);
        let places: std::collections::BTreeSet<_> = taken.iter().skip(1).map(|(b, _)| b.as_ptr()).collect();
        assert!(places.len() < 8, "bytes moved {} times", places.len());
    }
}
