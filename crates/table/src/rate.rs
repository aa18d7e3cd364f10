//! How fast a listener may accept, over all workers: a generic cell rate algorithm in one number.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::atomics::{AtomicU64, Ordering};

/// When the next connection would come if all came evenly.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Rate {
    /// When the first connection came.
    epoch: OnceLock<Instant>,
    /// Nanoseconds since `epoch`.
    arrival: AtomicU64,
}

/// So much of a rate may come at once.
const BURST: Duration = Duration::from_millis(100);

impl Rate {
    /// Lets one connection more come, when one may come every `interval`; a tenth of a second's may come at once.
    ///
    /// # Errors
    ///
    /// It may not come yet; this is when.
    pub fn take(&self, interval: Duration, now: Instant) -> Result<(), Instant> {
        let epoch = *self.epoch.get_or_init(|| now);
        let now = nanos(now.saturating_duration_since(epoch));
        let (interval, burst) = (nanos(interval), nanos(BURST));
        let next = |arrival: u64| {
            let next = arrival.max(now) + interval;
            // The first of a quiet time always may.
            (arrival <= now || next <= now + burst).then_some(next)
        };
        let taken = self.arrival.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        taken.map(|_| ()).map_err(|arrival| {
            let until = arrival.min((arrival + interval).saturating_sub(burst).max(now + 1));
            epoch + Duration::from_nanos(until)
        })
    }

    /// Takes back what [`take`](Self::take) took, as no connection came.
    pub fn give_back(&self, interval: Duration) {
        let before = self.arrival.fetch_sub(nanos(interval), Ordering::SeqCst);
        debug_assert!(before >= nanos(interval), "more was given back than taken");
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(all(test, not(interleave)))]
mod tests;
