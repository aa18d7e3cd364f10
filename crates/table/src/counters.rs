//! Numbers that workers keep and others read. Each has one writer, so counting takes no locked instruction.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connection::CloseReason;

use crate::histogram::{self, Histogram};

/// One `T` for each worker, none sharing a cache line with another.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

/// What happened at a listener, as one worker counts it.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections that exist.
    pub active: Gauge,
    /// accept(2) failed.
    pub accept_errors: Counter,
    /// Connections that ended, by [`CloseReason`] as a number.
    pub closed: [Counter; CloseReason::ALL.len()],
    /// Bytes that clients sent and backends were given.
    pub bytes_to_backend: Counter,
    /// Bytes that backends sent and clients were given.
    pub bytes_to_client: Counter,
}

/// What became of connections to a backend, as one worker counts it.
#[derive(Debug, Default)]
pub struct BackendCounters {
    /// Attempts to connect: how often it was picked.
    pub picked: Counter,
    /// Attempts that succeeded.
    pub connected: Counter,
    /// Connections that exist.
    pub active: Gauge,
    /// Attempts that failed.
    pub connect_failed: Counter,
    /// Attempts that failed and were followed by one at another backend.
    pub retried: Counter,
    /// Connections that ended, by [`CloseReason`] as a number.
    pub closed: [Counter; CloseReason::ALL.len()],
    /// Bytes that clients sent and it was given.
    pub bytes_to_backend: Counter,
    /// Bytes that it sent and clients were given.
    pub bytes_to_client: Counter,
}

/// What a worker did, as it counts it itself.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Passes of its loop.
    pub turns: Counter,
    /// Its submission queue was full, and it gave the kernel what was in it before the turn's end.
    pub early_submits: Counter,
    /// Its completion queue was full at the end of a wait, and the kernel kept the rest.
    pub overflows: Counter,
    /// Receive buffers that could be received into.
    pub buffers_free: Gauge,
    /// Receive buffers that it has.
    pub buffers: Gauge,
    /// Pipes that are open.
    pub pipes_open: Gauge,
    /// Of them, those that no half has.
    pub pipes_free: Gauge,
    /// Records of connections that were lost, because too many waited to be taken.
    pub records_lost: Counter,
}

/// How long it took what became of a pool's connections, as one worker counts it.
#[derive(Debug)]
pub struct PoolCounters {
    /// Attempts to connect that succeeded.
    pub connect: Histogram,
    /// Connections that ended, from when the client was accepted.
    pub life: Histogram,
    /// Attempts to connect that failed, by [`CloseReason`] as a number.
    pub failed: [Counter; CloseReason::ALL.len()],
}

/// A number that only grows. One thread writes it, any may read it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that grows and shrinks. One thread writes it, any may read it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl<T: Default> PerWorker<T> {
    /// Everything at its default, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Padded::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// Tells their owner from all others, over swaps, for as long as anything refers to them.
    pub(crate) fn identity(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// What `worker` writes.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker]
    }

    /// What each worker wrote, to be summed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(Deref::deref)
    }

    /// The sum of one number over all workers.
    pub fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        // Readers may see one worker's `active` rise before another's falls; sums wrap rather than panic.
        self.iter().map(number).fold(0, u64::wrapping_add)
    }
}

impl Default for PoolCounters {
    fn default() -> Self {
        Self {
            connect: Histogram::new(&histogram::SHORT),
            life: Histogram::new(&histogram::LONG),
            failed: Default::default(),
        }
    }
}

impl PoolCounters {
    /// How often an attempt to connect failed for this reason.
    pub fn failed(&self, reason: CloseReason) -> &Counter {
        &self.failed[reason as usize]
    }
}

impl ListenerCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        &self.closed[reason as usize]
    }
}

impl BackendCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        &self.closed[reason as usize]
    }
}

impl Counter {
    /// Adds `n`. Only the one writer may call this: a second one would lose counts.
    pub fn add(&self, n: u64) {
        // A load and a store rather than `fetch_add`: with one writer nothing comes between them, and
        // there is no lock prefix. Relaxed: readers want the number, not an order.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Makes it `n`, which is no less than it was. Only the one writer may call this.
    pub fn reach(&self, n: u64) {
        // Most often it stays, and a cache line that is not written stays with all its readers.
        if self.get() != n {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds `n`. Only the one writer may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    /// Makes it `n`. Only the one writer may call this.
    pub fn set(&self, n: u64) {
        // As in `Counter::reach`.
        if self.get() != n {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    /// Subtracts `n`. Only the one writer may call this.
    pub fn sub(&self, n: u64) {
        let before = self.get();
        debug_assert!(before >= n, "a gauge fell below 0");
        self.0.store(before.wrapping_sub(n), Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Two cache lines: the prefetcher of x86 fetches them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use connection::CloseReason;

    use super::{ListenerCounters, PerWorker};

    #[test]
    fn workers_count_apart_and_are_summed() {
        let counters: PerWorker<ListenerCounters> = PerWorker::new(3);
        counters.of(0).accepted.add(1);
        counters.of(2).accepted.add(41);
        counters.of(1).active.add(3);
        counters.of(1).active.sub(2);
        counters.of(1).closed(CloseReason::Idle).add(2);
        assert_eq!(counters.sum(|worker| worker.accepted.get()), 42);
        assert_eq!(counters.sum(|worker| worker.active.get()), 1);
        assert_eq!(counters.sum(|worker| worker.closed(CloseReason::Idle).get()), 2);
        assert_eq!(counters.sum(|worker| worker.closed(CloseReason::Done).get()), 0);
        assert_eq!(counters.iter().len(), 3);
    }

    #[test]
    fn workers_share_no_cache_line() {
        let counters: PerWorker<u8> = PerWorker::new(2);
        let address = |worker| std::ptr::from_ref(counters.of(worker)).addr();
        assert!(address(1) - address(0) >= 128);
        assert_eq!(address(0) % 128, 0);
    }
}
