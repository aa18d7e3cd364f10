//! An address to connect to, and how many connections it has.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::counters::{BackendCounters, PerWorker};
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
    /// By when its connections are to be gone, because an operator drains it; none lets them live on.
    pub notice: Option<DrainWindow>,
    /// Counts its connections, those it is being connected to for included; outlives swaps. Nobody waits at it but at `waiters`.
    pub gate: Arc<Semaphore>,
    /// Of its pool: workers with clients that wait for a place.
    waiters: Arc<Waiters>,
    /// What became of connections to it; outlives swaps.
    pub counters: Arc<PerWorker<BackendCounters>>,
    /// Connects to it that failed in a row; outlives swaps.
    failures: Arc<Failures>,
    /// With how many of them its pool puts it aside; none never does.
    failures_max: Option<u32>,
}

/// What a backend has of its pool.
pub(crate) struct OfPool<'a> {
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
        pool: &OfPool<'_>,
        notice: Option<DrainWindow>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let gate = before.map(|before| Arc::clone(&before.gate));
        let counters = before.map(|before| Arc::clone(&before.counters));
        let failures = before.map(|before| Arc::clone(&before.failures));
        Self {
            name: config.name.clone(),
            address: config.address,
            weight: config.weight,
            connections_max: config.connections_max,
            notice,
            gate: gate.unwrap_or_else(|| Arc::new(Semaphore::new(pool.workers))),
            waiters: Arc::clone(pool.waiters),
            counters: counters.unwrap_or_else(|| Arc::new(PerWorker::new(pool.workers))),
            failures: failures.unwrap_or_default(),
            failures_max: pool.failures_max,
        }
    }

    /// Gives back the place that a pick took at this backend; says which workers wait for one at any backend of the pool, and must
    /// be woken.
    pub fn leave(&self) -> impl Iterator<Item = usize> {
        self.gate.give_back();
        self.waiters.claim_all()
    }

    /// A connect to it failed, and that was not for want of something here; says whether control is to be told: as many have failed
    /// in a row now as it is put aside for.
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

    /// What tells it from all others, over swaps, for as long as anybody has it.
    pub(crate) fn identity(&self) -> usize {
        self.counters.identity()
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(&self) -> bool {
        if let Some(max) = self.connections_max {
            return self.gate.enter(max.get());
        }
        self.gate.take();
        true
    }

    /// Takes a place if there is one and `active` are taken.
    pub(crate) fn enter_as(&self, active: u32) -> bool {
        self.connections_max.is_none_or(|max| active < max.get()) && self.gate.enter_as(active)
    }

    /// Whether it has as many connections as it may.
    pub fn is_full(&self) -> bool {
        self.connections_max.is_some_and(|max| self.gate.is_full(max.get()))
    }
}
