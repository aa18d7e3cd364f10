//! How fast connections came and how many there were at most, as seen once a second while the process runs.
//!
//! Workers count what happens and know no time; what is between two looks, such as a moment of more connections,
//! is not seen.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use table::{Backend, Listener, Table};

/// What was seen of everything that the table in force has.
#[derive(Debug)]
pub(crate) struct Peaks {
    looked_at: Instant,
    /// By name.
    listeners: HashMap<String, Peak>,
    /// By the pool's name.
    pools: HashMap<String, PoolPeaks>,
}

#[derive(Debug, Default)]
struct PoolPeaks {
    queued_max: u32,
    backends: HashMap<SocketAddr, Peak>,
}

/// What was seen of a listener or a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Peak {
    /// Connections in all, when it was looked last.
    total: u64,
    /// Connections a second, between the last two looks.
    pub(crate) rate: f64,
    /// The most there was of that.
    pub(crate) rate_max: f64,
    /// The most connections at once.
    pub(crate) active_max: u64,
    /// When the last one was seen to have come; none if none ever did.
    pub(crate) last: Option<Instant>,
}

impl Peaks {
    /// Nothing was seen yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { looked_at: now, listeners: HashMap::new(), pools: HashMap::new() }
    }

    /// When to look next.
    pub(crate) fn due(&self) -> Instant {
        self.looked_at + INTERVAL
    }

    /// Reads all that `table` has, and forgets what it does not have.
    pub(crate) fn read(&mut self, table: &Table, now: Instant) {
        let seconds = now.saturating_duration_since(self.looked_at).as_secs_f64();
        self.looked_at = now;
        let before = std::mem::take(&mut self.listeners);
        for listener in &table.listeners {
            let counters = &listener.counters;
            let total = counters.sum(|worker| worker.accepted.get());
            let active = counters.sum(|worker| worker.active.get());
            let peak = Peak::after(before.get(&listener.name), total, active, seconds, now);
            self.listeners.insert(listener.name.clone(), peak);
        }
        let before = std::mem::take(&mut self.pools);
        for pool in &table.pools {
            let before = before.get(&pool.name);
            let queued = pool.queue_semaphore.active();
            let mut peaks = PoolPeaks {
                queued_max: before.map_or(queued, |before| before.queued_max.max(queued)),
                backends: HashMap::new(),
            };
            for backend in &pool.backends {
                let counters = &backend.counters;
                let total = counters.sum(|worker| worker.connected.get());
                let active = counters.sum(|worker| worker.active.get());
                let before = before.and_then(|before| before.backends.get(&backend.address));
                peaks.backends.insert(backend.address, Peak::after(before, total, active, seconds, now));
            }
            self.pools.insert(pool.name.clone(), peaks);
        }
    }

    pub(crate) fn of_listener(&self, listener: &Listener) -> Peak {
        self.listeners.get(&listener.name).copied().unwrap_or_default()
    }

    pub(crate) fn of_backend(&self, pool: &str, backend: &Backend) -> Peak {
        let pool = self.pools.get(pool);
        pool.and_then(|pool| pool.backends.get(&backend.address)).copied().unwrap_or_default()
    }

    /// The most clients that waited at once for a backend of the pool of this name.
    pub(crate) fn queued_max(&self, pool: &str) -> u32 {
        self.pools.get(pool).map_or(0, |pool| pool.queued_max)
    }
}

impl Peak {
    fn after(before: Option<&Self>, total: u64, active: u64, seconds: f64, now: Instant) -> Self {
        // One that was not there before began at 0 at some time since; what it had done before this process knew
        // it is none.
        let before = before.copied().unwrap_or_default();
        let new = u32::try_from(total.saturating_sub(before.total)).unwrap_or(u32::MAX);
        let rate = if seconds > 0.0 { f64::from(new) / seconds } else { before.rate };
        Self {
            total,
            rate,
            rate_max: before.rate_max.max(rate),
            active_max: before.active_max.max(active),
            last: if new > 0 { Some(now) } else { before.last },
        }
    }
}

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Peak;

    #[test]
    fn rates_rise_and_fall_and_peaks_stay() {
        // Seconds since the look before, connections in all and at once; then a second, and the most of both.
        let mut peak = Peak::default();
        let mut now = crate::monitor::now();
        let mut last = None;
        for (seconds, total, active, rate, rate_max, active_max) in [
            (1.0, 10, 5, 10.0, 10.0, 5),
            (2.0, 110, 60, 50.0, 50.0, 60),
            (1.0, 110, 0, 0.0, 50.0, 60),
            (1.0, 111, 1, 1.0, 50.0, 60),
        ] {
            now += Duration::from_secs_f64(seconds);
            last = if rate > 0.0 { Some(now) } else { last };
            peak = Peak::after(Some(&peak), total, active, seconds, now);
            assert_eq!(peak, Peak { total, rate, rate_max, active_max, last });
        }
    }
}
