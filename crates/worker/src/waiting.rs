//! Clients that wait until a backend can take them: in their listener's hold for a primary, in their pool's queue
//! for capacity.
//!
//! ```text
//!           no backend is the primary, or it cannot be reached: hold
//!           all that may take it are full: queue        as many wait as may, the time is up, the client reset
//! Picking ────────────────────────────────────▶ Waiting ────────────────────────────────────────────────────▶ Closing
//!         ◀────────────────────────────────────
//!           another table is in force, or a permit is free, and one is found; or the primary is tried again
//! ```
//!
//! A primary that cannot be reached is dead and not yet known to be, or restarts. A client that is held for that
//! goes to the next primary with all others, and tries the old one every [`RETRY_INTERVAL`], in case that it comes
//! back before it was missed.
//!
//! Within a worker those of a listener are served in the order in which they began to wait, and newcomers come
//! behind them. Over workers no order is promised: the worker that is awake first has the permit. What a client
//! sends meanwhile stays in its socket.
//!
//! A client that resets gives its place in the queue up at once. One that sends its FIN does not: it may have sent
//! all of its request, and wait for the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connection::{CloseReason, Direction};
use driver::Driver;
use table::{Listener, Pool, TargetRole};

use crate::core::Core;
use crate::state::{Connection, Step, Ticket, Wait, WaitFor};

/// The clients of a worker that wait.
#[derive(Default)]
pub(crate) struct WaitQueues {
    /// Few: each has a listener and a pool of its own.
    all: Vec<WaitQueue>,
    /// How many clients have begun to wait.
    tickets: u64,
    /// Whether a newcomer came to the end of a queue without a pick.
    unpicked: bool,
}

/// Clients of one listener and pool that wait for the same, in the order of their tickets.
struct WaitQueue {
    listener: Arc<Listener>,
    pool: Arc<Pool>,
    wait_for: WaitFor,
    /// Slots by ticket.
    slots: BTreeMap<u64, u32>,
}

impl WaitQueue {
    fn is_of(&self, listener: &Arc<Listener>, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.listener, listener) && Arc::ptr_eq(&self.pool, pool)
    }
}

impl WaitQueues {
    fn queue(&mut self, listener: &Arc<Listener>, pool: &Arc<Pool>, wait_for: WaitFor) -> &mut WaitQueue {
        let number = self.position(listener, pool, wait_for).unwrap_or(self.all.len());
        if number == self.all.len() {
            let (listener, pool) = (Arc::clone(listener), Arc::clone(pool));
            self.all.push(WaitQueue { listener, pool, wait_for, slots: BTreeMap::new() });
        }
        &mut self.all[number]
    }

    fn position(&self, listener: &Arc<Listener>, pool: &Arc<Pool>, wait_for: WaitFor) -> Option<usize> {
        self.all.iter().position(|queue| queue.wait_for == wait_for && queue.is_of(listener, pool))
    }

    fn remove(
        &mut self,
        listener: &Arc<Listener>,
        pool: &Arc<Pool>,
        wait_for: WaitFor,
        ticket: Option<Ticket>,
    ) {
        // While another table is gone over to, no connection is in a queue until it was tried again.
        if let (Some(number), Some(ticket)) = (self.position(listener, pool, wait_for), ticket) {
            self.all[number].slots.remove(&ticket.number);
        }
    }

    fn new_ticket(&mut self, since: Instant) -> Ticket {
        self.tickets += 1;
        Ticket { number: self.tickets, since }
    }

    /// The queues for capacity in which clients wait.
    fn for_capacity(&self) -> impl Iterator<Item = &WaitQueue> {
        self.all.iter().filter(|queue| queue.wait_for == WaitFor::Capacity && !queue.slots.is_empty())
    }

    /// Whether others of this listener and pool wait for capacity, so that a newcomer comes behind them.
    pub(crate) fn has_queue(&self, listener: &Arc<Listener>, pool: &Arc<Pool>) -> bool {
        self.for_capacity().any(|queue| queue.is_of(listener, pool))
    }

    /// A newcomer goes to the end of a queue without a pick: there may be a permit that it can have and those
    /// before it cannot.
    pub(crate) fn on_newcomer(&mut self) {
        self.unpicked = true;
    }

    /// Has a connection wait, or go on waiting, by the table in force.
    ///
    /// # Errors
    ///
    /// It may not: as many wait as may, or its time is up.
    pub(crate) fn wait<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        wait_for: WaitFor,
    ) -> Result<(), CloseReason> {
        let connection = core.slots.get(slot);
        let (listener, pool) = (&connection.listener, &connection.pool);
        let seeking = connection.state.seeking();
        let failed = seeking.attempts.failed;
        let (semaphore, bounds, full) = match (wait_for, listener.target_role) {
            (WaitFor::Primary, TargetRole::Primary(hold)) => {
                (&listener.hold_semaphore, hold, failed.unwrap_or(CloseReason::HoldFull))
            }
            (WaitFor::Primary, TargetRole::Any | TargetRole::Replica(_)) => {
                unreachable!("such a listener wants no primary")
            }
            (WaitFor::Capacity, _) => (&pool.queue_semaphore, pool.queue, CloseReason::QueueFull),
        };
        let has_candidates = pool.has_candidates(listener.target_role);
        if seeking.attempts.ticket.is_some_and(|ticket| ticket.since + bounds.timeout <= core.now) {
            return Err(reason_at_timeout(wait_for, failed, has_candidates));
        }
        let has_permit =
            matches!(&seeking.step, Step::Waiting(wait) if Arc::ptr_eq(&wait.semaphore, semaphore));
        if !has_permit && !semaphore.try_acquire(bounds.connections_max) {
            return Err(full);
        }
        if !has_permit {
            connection.stats.ahead = semaphore.active().saturating_sub(1);
        }
        seeking.book_time(&mut connection.stats, core.now);
        let ticket = *seeking.attempts.ticket.get_or_insert_with(|| self.new_ticket(core.now));
        let wait = Wait { wait_for, semaphore: Arc::clone(semaphore) };
        let before = std::mem::replace(&mut seeking.step, Step::Waiting(wait));
        self.queue(listener, pool, wait_for).slots.insert(ticket.number, slot);
        let client = connection.client;
        let end = ticket.since + bounds.timeout;
        let tries_again = wait_for == WaitFor::Primary && has_candidates;
        core.timers.set(slot, if tries_again { end.min(core.now + RETRY_INTERVAL) } else { end });
        if let (false, Step::Waiting(before)) = (has_permit, before) {
            core.wake(before.semaphore.release());
        }
        core.poll_hangup(slot, Direction::ToBackend, client);
        Ok(())
    }

    /// Ends the wait of a connection that waits: it is between two attempts. The poll for a hangup stays.
    pub(crate) fn end_wait<D>(&mut self, core: &mut Core<D>, slot: u32) {
        let Connection { listener, pool, state, stats, .. } = core.slots.get(slot);
        let seeking = state.seeking();
        seeking.book_time(stats, core.now);
        if let Step::Waiting(wait) = std::mem::replace(&mut seeking.step, Step::Picking) {
            self.remove(listener, pool, wait.wait_for, seeking.attempts.ticket);
            core.timers.clear(slot);
            release(core, &wait);
        }
    }

    /// A connection ends that waits.
    pub(crate) fn on_close<D>(&mut self, core: &mut Core<D>, slot: u32, ticket: Option<Ticket>, wait: &Wait) {
        let Connection { listener, pool, .. } = core.slots.get(slot);
        self.remove(listener, pool, wait.wait_for, ticket);
        release(core, wait);
    }

    /// Takes all that wait, in their order: another table is in force, and each is tried again.
    ///
    /// All in one turn, as a crowd that is accepted is: `hold.connections` and `queue.size` bound them.
    pub(crate) fn take_all(&mut self) -> Vec<u32> {
        let queues = std::mem::take(&mut self.all);
        let mut waiting: Vec<(u64, u32)> = queues.into_iter().flat_map(|queue| queue.slots).collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Whether this worker is to pick for those that wait for capacity: it was woken for a permit, or has not said
    /// yet that it waits. If so, it has said so when this returns.
    pub(crate) fn begin_serving(&mut self, worker: usize) -> bool {
        // The connection that left last may have been the last to have the listener.
        self.all.retain(|queue| !queue.slots.is_empty());
        let is_due = self.unpicked || self.for_capacity().any(|queue| !queue.pool.waiters.waits(worker));
        if is_due {
            self.unpicked = false;
            // First the worker says for all that it waits, then it picks; why in this order, `Pool::waiters` tells.
            // A permit that is released while it picks wakes it again.
            self.for_capacity().for_each(|queue| queue.pool.waiters.wait(worker));
        }
        is_due
    }

    /// How many queues there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The first client of the queue of this number, if that is one for capacity, whose ticket is not below `from`:
    /// its ticket and its slot.
    pub(crate) fn next_for_capacity(&self, number: usize, from: u64) -> Option<(u64, u32)> {
        let queue = self.all.get(number).filter(|queue| queue.wait_for == WaitFor::Capacity)?;
        queue.slots.range(from..).next().map(|(&ticket, &slot)| (ticket, slot))
    }
}

/// Releases the permit to wait. No worker waits for one; it is of a semaphore like any other, though.
fn release<D>(core: &Core<D>, wait: &Wait) {
    core.wake(wait.semaphore.release());
}

/// Why a wait ends whose time is up. `failed` is why the last attempt failed, if there was one; `has_candidates`
/// says that some backend may be picked, with a permit or without.
pub(crate) fn reason_at_timeout(
    wait_for: WaitFor,
    failed: Option<CloseReason>,
    has_candidates: bool,
) -> CloseReason {
    match wait_for {
        WaitFor::Primary => failed.filter(|_| has_candidates).unwrap_or(CloseReason::NoPrimary),
        WaitFor::Capacity => CloseReason::QueueTimedOut,
    }
}

/// How long a client is held before it tries a primary again that it could not reach. At the bound of clients that
/// are held, a thousand unless the config says otherwise, that is as many attempts a second.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
