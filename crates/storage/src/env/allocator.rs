//! Memory that was freed and that the allocator keeps for the next time: [`give_back`]. Linux with the C library of GNU only; elsewhere
//! nothing is done.
//!
//! The C library is called by its own name: no crate in the tree has it.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::c_int;

    // SAFETY: this is the C library's own signature.
    unsafe extern "C" {
        fn malloc_trim(kept_bytes: usize) -> c_int;
    }

    pub fn give_back() -> bool {
        // SAFETY: it may be called from any thread at any time, and touches no memory that is in use.
        unsafe { malloc_trim(0) == 1 }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub fn give_back() -> bool {
        false
    }
}

/// Gives the system back what is free in whole pages; returns whether there was any. It takes as long as it takes to look through
/// all that is free, and who needs the memory next waits for the system to give it anew.
pub fn give_back() -> bool {
    system::give_back()
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn free_pages_below_what_is_in_use_are_given_back() {
        let mut pieces: Vec<Box<[u8; 1024]>> = (0..8 << 10).map(|_| Box::new([1; 1024])).collect();
        let above = pieces.pop();
        drop(pieces);
        assert!(give_back());
        assert_eq!(above.map(|piece| piece[1023]), Some(1));
    }
}
