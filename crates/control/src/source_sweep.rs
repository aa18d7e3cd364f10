//! Sweeps the counts of sources, a part at a time, before what is in them would come alive again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Instant;

use table::{SWEEP_INTERVAL, SWEEP_PARTS, Sources};

/// Which part is swept next, and when.
#[derive(Debug)]
pub(crate) struct SourceSweep {
    part: usize,
    due: Instant,
}

impl SourceSweep {
    pub(crate) fn new(now: Instant) -> Self {
        Self { part: 0, due: now + SWEEP_INTERVAL }
    }

    /// Sweeps the next part, if it is time for it.
    pub(crate) fn sweep(&mut self, sources: &Sources, now: Instant) {
        if now < self.due {
            return;
        }
        sources.sweep(self.part, now);
        self.part = (self.part + 1) % SWEEP_PARTS;
        self.due = now + SWEEP_INTERVAL;
    }
}

/// Counts of sources for so many connections, under a key that nothing outside of this process knows: clients cannot
/// choose addresses that share a place.
pub(crate) fn new_sources(connections_max: u32) -> Sources {
    // The standard library draws the keys of its hash maps from the system.
    let draw = || RandomState::new().build_hasher().finish();
    Sources::new([draw(), draw()], connections_max)
}
