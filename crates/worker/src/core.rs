//! What every part of a worker works with: the kernel, the connections with their timers, and the table and the
//! time of this turn.

use std::sync::Arc;
use std::time::Instant;

use driver::{BufferId, Driver, Op, Waker};
use table::{Backend, Listener, PerWorker, Phase, Pool, Semaphore, Table, WorkerCounters};

use crate::places::Places;
use crate::refused_sources::RefusedSources;
use crate::slots::Slots;
use crate::timers::Timers;
use crate::token::Kind;

/// Shared by the parts of a worker. Each part has fields of its own beside it, which no other part sees.
pub(crate) struct Core<D> {
    pub(crate) driver: D,
    /// The number of the worker.
    pub(crate) index: usize,
    /// The time of this turn.
    pub(crate) now: Instant,
    /// The table of this turn.
    pub(crate) table: Arc<Table>,
    pub(crate) slots: Slots,
    /// One timer per slot: when an attempt, a wait or a relay may be over.
    pub(crate) timers: Timers,
    pub(crate) counters: Arc<PerWorker<WorkerCounters>>,
    /// Permits of the process, one for each connection, shared by all workers.
    pub(crate) semaphore: Arc<Semaphore>,
    /// How many of them there are.
    pub(crate) connections_max: u32,
    /// Of all workers, by index.
    pub(crate) wakers: Arc<[Waker]>,
    /// Which clients were refused most for their address.
    pub(crate) refused_sources: RefusedSources,
    /// Where sources count the connections.
    pub(crate) places: Places,
}

impl<D> Core<D> {
    /// Acquires the permits of one more connection of this listener: one of the process and one of the listener.
    ///
    /// # Errors
    ///
    /// The semaphore that has no permit left. An acceptor must wait at that one only: if it waited at both, it
    /// would be woken by the permit that its own attempt gives back, and two workers could wake each other
    /// without end.
    pub(crate) fn admit<'a>(&'a self, listener: &'a Listener) -> Result<(), &'a Semaphore> {
        if !self.semaphore.try_acquire(self.connections_max) {
            return Err(&self.semaphore);
        }
        if !listener.semaphore.try_acquire(listener.connections_max) {
            self.wake(self.semaphore.release());
            return Err(&listener.semaphore);
        }
        Ok(())
    }

    /// Releases the permits of a connection of this listener.
    pub(crate) fn dismiss(&self, listener: &Listener) {
        self.wake(listener.semaphore.release());
        self.wake(self.semaphore.release());
    }

    /// Releases the permit of a backend.
    pub(crate) fn release(&self, backend: &Backend) {
        backend.release().for_each(|worker| self.wake(Some(worker)));
    }

    pub(crate) fn wake(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.wakers[worker].wake();
        }
    }

    /// Whether every connection is to end now, and none may begin.
    pub(crate) fn is_ending(&self) -> bool {
        self.table.phase == Phase::Ending
    }

    /// Counts how long a connection of this pool has lived that ends now.
    pub(crate) fn count_life(&self, pool: &Pool, accepted_at: Instant) {
        let life = self.now.saturating_duration_since(accepted_at);
        pool.counters.of(self.index).life.add(life);
    }
}

impl<D: Driver> Core<D> {
    /// Begins an operation of a connection.
    pub(crate) fn submit(&mut self, slot: u32, kind: Kind, op: Op) {
        let token = self.slots.begin(slot, kind);
        self.driver.submit(op, token);
    }

    /// Cancels an operation of a connection.
    pub(crate) fn cancel(&mut self, slot: u32, kind: Kind) {
        let target = kind.token(self.slots.generation(slot), slot);
        self.submit(slot, Kind::Cancel, Op::Cancel { target });
    }

    pub(crate) fn give_back(&mut self, buffer: Option<BufferId>) {
        if let Some(buffer) = buffer {
            self.driver.give_back(buffer);
        }
    }
}
