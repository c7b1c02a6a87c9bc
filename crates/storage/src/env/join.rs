//! Work on two threads at once, where there may be threads: [`Join`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs two pieces of work, at once if it can, and returns when both are done.
pub type Join = fn(&(dyn Fn() + Sync), &(dyn Fn() + Sync));

/// Runs two pieces of work one after the other, where nothing may start threads.
pub fn in_turn(first: &(dyn Fn() + Sync), second: &(dyn Fn() + Sync)) {
    first();
    second();
}

/// Runs two pieces of work at once, or one after the other where the system has no further thread.
pub fn at_once(first: &(dyn Fn() + Sync), second: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        let begun = std::thread::Builder::new().spawn_scoped(scope, second).is_ok();
        first();
        if !begun {
            second();
        }
    });
}

/// Does something with each item, by two workers that take one after the other.
///
/// # Errors
/// Of the first item, in their order, with which it could not be done. Those behind it are left out.
pub fn each<T: Sync, E: Send>(join: Join, items: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let first_error: Mutex<Option<(usize, E)>> = Mutex::new(None);
    let worker = || {
        // An item that is taken is done: so what fails first is known, whoever finds it.
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            if let Err(error) = work(item) {
                failed.store(true, Ordering::Relaxed);
                let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(before, _)| at < *before) {
                    *first = Some((at, error));
                }
            }
        }
    };
    join(&worker, &worker);
    first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_taken_once_and_the_first_that_fails_is_told() {
        let items: Vec<usize> = (0..1_000).collect();
        for join in [in_turn, at_once] as [Join; 2] {
            let taken: Vec<AtomicUsize> = items.iter().map(|_| AtomicUsize::new(0)).collect();
            let take = |item: &usize| {
                taken[*item].fetch_add(1, Ordering::Relaxed);
                if *item >= 400 && item.is_multiple_of(7) { Err(*item) } else { Ok(()) }
            };
            assert_eq!(each(join, &items[..400], take), Ok(()));
            assert!(taken[..400].iter().all(|times| times.load(Ordering::Relaxed) == 1));
            assert_eq!(each(join, &items[400..], take), Err(406));
            assert!(taken.iter().all(|times| times.load(Ordering::Relaxed) <= 1));
            assert!(taken[900..].iter().all(|times| times.load(Ordering::Relaxed) == 0));
        }
    }
}
