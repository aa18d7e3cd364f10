//! An address to connect to, and how many connections it has.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::counter::PerWorker;
use crate::counters::BackendCounters;
use crate::drain_window::DrainWindow;
use crate::failures::Failures;
use crate::semaphore::Semaphore;
use crate::waiters::Waiters;

/// An address to connect to, with a weight.
#[derive(Debug)]
pub struct Backend {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens; with the pool's name, its identity over reloads.
    pub address: SocketAddr,
    /// Its share of new connections; 0 takes none.
    pub weight: u16,
    /// How many connections it takes at once, over all workers; none is no bound.
    pub connections_max: Option<NonZeroU32>,
    /// The time that its connections have to finish, because an operator drains it; none keeps them.
    pub drain_window: Option<DrainWindow>,
    /// Counts its connections, attempts to connect included; outlives swaps. Workers wait at `waiters`, not at it.
    pub semaphore: Arc<Semaphore>,
    /// Of its pool: workers with clients that wait for a permit.
    waiters: Arc<Waiters>,
    /// How connections to it ended; outlives swaps.
    pub counters: Arc<PerWorker<BackendCounters>>,
    /// Connects to it that failed in a row; outlives swaps.
    failures: Arc<Failures>,
    /// With how many of them its pool ejects it; none never does.
    failures_max: Option<u32>,
}

/// What a backend shares with the others of its pool.
pub(crate) struct PoolShared<'a> {
    pub(crate) workers: usize,
    pub(crate) waiters: &'a Arc<Waiters>,
    pub(crate) failures_max: Option<u32>,
}

/// An index into [`Pool::backends`](crate::Pool::backends) of the pool it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendIndex(pub u16);

impl Backend {
    /// The backend that `config` asks for, with what outlives a swap taken from the one it was `before`.
    pub(crate) fn build(
        config: &config::Backend,
        pool: &PoolShared<'_>,
        drain_window: Option<DrainWindow>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let semaphore = before.map(|before| Arc::clone(&before.semaphore));
        let counters = before.map(|before| Arc::clone(&before.counters));
        let failures = before.map(|before| Arc::clone(&before.failures));
        Self {
            name: config.name.clone(),
            address: config.address,
            weight: config.weight,
            connections_max: config.connections_max,
            drain_window,
            semaphore: semaphore.unwrap_or_else(|| Arc::new(Semaphore::new(pool.workers))),
            waiters: Arc::clone(pool.waiters),
            counters: counters.unwrap_or_else(|| Arc::new(PerWorker::new(pool.workers))),
            failures: failures.unwrap_or_default(),
            failures_max: pool.failures_max,
        }
    }

    /// Releases the permit that a pick acquired at this backend; names the workers that wait for one at any
    /// backend of the pool, and must be woken.
    pub fn release(&self) -> impl Iterator<Item = usize> {
        self.semaphore.release_unawaited();
        self.waiters.claim_all()
    }

    /// A connect to it failed, and not for lack of something on this host; says whether control is to be told: as
    /// many have failed in a row now as its pool ejects it for.
    pub fn on_connect_failed(&self) -> bool {
        self.failures_max == Some(self.failures.add())
    }

    /// A connect to it succeeded: it has not failed any more.
    pub fn on_connected(&self) {
        self.failures.forget();
    }

    /// How many connects to it have failed since one succeeded, over all workers, or since
    /// [`forget_failures`](Self::forget_failures).
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures.in_a_row()
    }

    /// Counts its failures from 0: they have been acted upon.
    pub fn forget_failures(&self) {
        self.failures.forget();
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// Tells it from all others, over swaps, for as long as anything refers to it.
    pub(crate) fn identity(&self) -> usize {
        self.counters.identity()
    }

    /// Acquires a permit, if one is free.
    pub(crate) fn try_acquire(&self) -> bool {
        if let Some(max) = self.connections_max {
            return self.semaphore.try_acquire(max.get());
        }
        self.semaphore.acquire();
        true
    }

    /// Acquires a permit if one is free and `active` are acquired.
    pub(crate) fn try_acquire_at(&self, active: u32) -> bool {
        self.connections_max.is_none_or(|max| active < max.get()) && self.semaphore.try_acquire_at(active)
    }

    /// Whether it has as many connections as it may.
    pub fn is_full(&self) -> bool {
        self.connections_max.is_some_and(|max| self.semaphore.is_full(max.get()))
    }
}
