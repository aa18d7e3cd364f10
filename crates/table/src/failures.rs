//! Counts connects to a backend that failed in a row, for its ejection.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many connects to a backend have failed in a row, over all workers.
///
/// Relaxed accesses, as nothing is published with the number. A success beside failures may come first or last;
/// either was so.
#[derive(Debug, Default)]
pub(crate) struct Failures(AtomicU32);

impl Failures {
    /// One more; says how many it is now.
    pub(crate) fn add(&self) -> u32 {
        // It stays at the most that it can be: a number that wraps would make all failures forgotten.
        let more = |number: u32| Some(number.saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.map_or(u32::MAX, |before| before.saturating_add(1))
    }

    pub(crate) fn forget(&self) {
        // Every connect comes here, and mostly finds that there is nothing to write.
        if self.in_a_row() != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn in_a_row(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
