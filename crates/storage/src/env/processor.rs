//! On which processor a thread runs, and how it gets off one that it shares: [`current`], [`leave`]. Linux only; elsewhere nothing is known
//! and nothing is done.
//!
//! The C library is called by its own names: rustix is in the tree without its room for threads.

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn current() -> Option<usize> {
        None
    }

    pub fn leave(_: usize) {}
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::c_int;

    /// As many processors as the C library's own set has; a machine with more refuses the call, and then nothing is done.
    const SET_BITS: usize = 1024;

    /// Processors that a thread may run on, one bit each.
    #[derive(Debug, PartialEq, Eq)]
    #[repr(C, align(8))]
    pub struct Set([u8; SET_BITS / 8]);

    // SAFETY: these are the C library's own signatures.
    unsafe extern "C" {
        fn sched_getcpu() -> c_int;
        fn sched_getaffinity(thread: c_int, len_bytes: usize, set: *mut Set) -> c_int;
        fn sched_setaffinity(thread: c_int, len_bytes: usize, set: *const Set) -> c_int;
    }

    impl Set {
        /// Returns those that the calling thread may run on.
        pub fn allowed() -> Option<Set> {
            let mut set = Set([0; SET_BITS / 8]);
            // SAFETY: the set is as long as is said, and 0 is the calling thread.
            (unsafe { sched_getaffinity(0, size_of::<Set>(), &raw mut set) } == 0).then_some(set)
        }

        /// Returns the set without one; None when none would be left.
        pub fn without(&self, processor: usize) -> Option<Set> {
            let mut set = Set(self.0);
            *set.0.get_mut(processor / 8)? &= !(1 << (processor % 8));
            set.0.iter().any(|bits| *bits != 0).then_some(set)
        }

        /// Lets the calling thread run on these only; it has moved when this returns.
        pub fn allow(&self) -> bool {
            // SAFETY: the set is as long as is said, and 0 is the calling thread.
            unsafe { sched_setaffinity(0, size_of::<Set>(), &raw const *self) == 0 }
        }
    }

    pub fn current() -> Option<usize> {
        // SAFETY: it has no arguments and changes nothing.
        usize::try_from(unsafe { sched_getcpu() }).ok()
    }

    pub fn leave(processor: usize) {
        if let Some(allowed) = Set::allowed()
            && let Some(others) = allowed.without(processor)
            && others.allow()
        {
            allowed.allow();
        }
    }
}

/// Returns the processor that the calling thread runs on; it may run on another one right after.
#[must_use]
pub fn current() -> Option<usize> {
    system::current()
}

/// Moves the calling thread off this processor to another one that it may run on, and leaves it free to be moved again. Nothing
/// happens where it may run on no other.
pub fn leave(processor: usize) {
    system::leave(processor);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::Set;
    use super::*;

    #[test]
    fn a_thread_leaves_its_processor_and_may_run_on_all_again() {
        let here = || current().expect("Linux tells where a thread runs");
        let allowed = || Set::allowed().expect("a thread may run somewhere");
        let (before, first) = (allowed(), here());
        leave(first);
        assert_eq!(allowed(), before);
        let Some(others) = before.without(first) else { return };
        assert!(others.allow());
        assert_ne!(current(), Some(first));
        // now it may run on these only, and on none of them in the end
        while let Some(fewer) = current().and_then(|here| allowed().without(here)) {
            leave(here());
            assert!(fewer.allow());
        }
        let last = here();
        leave(last);
        assert_eq!((current(), allowed().without(last)), (Some(last), None));
    }
}
