//! Numbers that workers keep and others read. Each has one writer, so counting takes no locked instruction.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One `T` for each worker, none sharing a cache line with another.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

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
    /// What `make` makes, for so many workers.
    pub fn of_each(workers: usize, make: impl Fn() -> T) -> Self {
        Self((0..workers).map(|_| Padded(make())).collect())
    }

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
