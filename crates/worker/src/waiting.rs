//! A client that no backend can take now waits until one can: in its listener's hold for a primary, in its pool's queue for a place.
//!
//! ```text
//!              nobody is the primary, or it cannot be reached: hold
//!              all that may take it are full: queue       as many wait as may, the time is up, the client reset
//! Connecting ────────────────────────────────────▶ Waiting ────────────────────────────────────────────────────▶ Closing
//!            ◀────────────────────────────────────
//!              another table is in force, or a place is free, and one is found; or the primary is tried once more
//! ```
//!
//! A primary that cannot be reached is dead and not yet known to be, or restarts. Who is held for that goes to the next primary with
//! all others, and tries the old one every [`RETRY_INTERVAL`], in case that it comes back before anybody has missed it.
//!
//! Within a worker those of a listener are served in the order in which they began to wait, and newcomers come behind them. Over
//! workers no order is promised: who is awake first has the place. What a client sends meanwhile stays in its socket.
//!
//! A client that resets gives its place up at once. One that sends its FIN does not: it may have said all it has to say, and
//! wait for the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::TargetRole;
use connection::{CloseReason, Direction};
use driver::Driver;
use table::{Listener, Picked, Semaphore};

use crate::connect::is_of_the_backend;
use crate::slots::{Attempts, Left, State};
use crate::worker::Worker;

/// The clients of a worker that wait.
#[derive(Default)]
pub(crate) struct Lines {
    /// Few: each has a listener of its own.
    all: Vec<WaitQueue>,
    /// How many clients have begun to wait.
    tickets: u64,
    /// Whether somebody came to the end of a queue without having looked for a place.
    unlooked: bool,
}

/// Clients of one listener that wait for the same, in the order of their tickets.
struct WaitQueue {
    listener: Arc<Listener>,
    goal: WaitFor,
    /// Slots by ticket.
    slots: BTreeMap<u64, u32>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A table that knows a primary.
    Primary,
    /// A place at a backend.
    Place,
}

/// A connection that waits.
pub(crate) struct Wait {
    pub(crate) goal: WaitFor,
    /// Those made so far, with the ticket.
    pub(crate) attempts: Attempts,
    /// Where it has its place among those who wait.
    gate: Arc<Semaphore>,
}

/// What a client is given that waits for the first time. It keeps it, so that it waits no longer in all than it may, and
/// loses its turn neither to a place that came to nothing nor to another table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    number: u64,
    since: Instant,
}

impl Wait {
    /// When it began to wait for the first time.
    pub(crate) fn since(&self) -> Instant {
        self.attempts.ticket.expect("who waits has a ticket").since
    }
}

impl Lines {
    fn line(&mut self, listener: &Arc<Listener>, goal: WaitFor) -> &mut WaitQueue {
        let number = self.position(listener, goal).unwrap_or(self.all.len());
        if number == self.all.len() {
            self.all.push(WaitQueue { listener: Arc::clone(listener), goal, slots: BTreeMap::new() });
        }
        &mut self.all[number]
    }

    fn position(&self, listener: &Arc<Listener>, goal: WaitFor) -> Option<usize> {
        self.all.iter().position(|line| line.goal == goal && Arc::ptr_eq(&line.listener, listener))
    }

    fn remove(&mut self, listener: &Arc<Listener>, goal: WaitFor, ticket: u64) {
        // While another table is gone over to, nobody stands in a line until it has looked once more.
        if let Some(number) = self.position(listener, goal) {
            self.all[number].slots.remove(&ticket);
        }
    }

    fn new_ticket(&mut self, since: Instant) -> Ticket {
        self.tickets += 1;
        Ticket { number: self.tickets, since }
    }

    /// Whether a worker of this number is to look for places: it was told of one, or never said that it waits.
    fn are_due(&self, worker: usize) -> bool {
        self.unlooked || self.queues().any(|line| !line.listener.pool.waiters.waits(worker))
    }

    fn queues(&self) -> impl Iterator<Item = &WaitQueue> {
        self.all.iter().filter(|line| line.goal == WaitFor::Place && !line.slots.is_empty())
    }
}

impl<D: Driver> Worker<D> {
    /// Whether others of this listener wait for a place, so that whoever comes now comes behind them.
    pub(crate) fn has_queue(&self, listener: &Arc<Listener>) -> bool {
        self.waiting.queues().any(|line| Arc::ptr_eq(&line.listener, listener))
    }

    /// A newcomer comes behind those who wait. There may be a place that it can have and they cannot.
    pub(crate) fn queue_up(&mut self, slot: u32) {
        self.waiting.unlooked = true;
        self.wait(slot, WaitFor::Place);
    }

    /// A pick gave nobody: the connection waits, if there is hope, or ends.
    pub(crate) fn on_nobody(&mut self, slot: u32, picked: Picked) {
        let connection = self.slots.get(slot);
        let Listener { pool, target_role: demand, .. } = &*Arc::clone(&connection.listener);
        let attempts = connection.attempts();
        if picked == Picked::Full {
            return self.wait(slot, WaitFor::Place);
        }
        let is_missing = !pool.has_candidates(*demand) && !attempts.is_exhausted(pool.attempts);
        let is_out_of_reach = attempts.failed.is_some_and(is_of_the_backend);
        if matches!(demand, TargetRole::Primary(_)) && (is_missing || is_out_of_reach) {
            // Whoever is the primary next may be one that has failed before. The hold is what bounds attempts: a few by each table, and
            // those that are an interval apart.
            attempts.begin_anew();
            return self.wait(slot, WaitFor::Primary);
        }
        let reason = attempts.failed.unwrap_or(CloseReason::NoBackend);
        self.close(slot, reason);
    }

    /// Has the connection wait, or go on waiting, by the table in force.
    fn wait(&mut self, slot: u32, goal: WaitFor) {
        if self.go_by_table(slot) {
            return self.connect(slot);
        }
        let connection = self.slots.get(slot);
        let listener = Arc::clone(&connection.listener);
        let attempts = connection.attempts();
        let (failed, begun) = (attempts.failed, attempts.ticket);
        let (gate, bounds, full) = match (goal, listener.target_role) {
            (WaitFor::Primary, TargetRole::Primary(hold)) => {
                (&listener.hold_semaphore, hold, failed.unwrap_or(CloseReason::HoldFull))
            }
            (WaitFor::Primary, TargetRole::Any | TargetRole::Replica(_)) => {
                unreachable!("nobody else wants a primary")
            }
            (WaitFor::Place, _) => {
                (&listener.pool.queue_semaphore, listener.pool.queue, CloseReason::QueueFull)
            }
        };
        if begun.is_some_and(|ticket| ticket.since + bounds.timeout <= self.now) {
            return self.on_wait_end(slot, goal);
        }
        let has_place = matches!(&connection.state, State::Waiting(wait) if Arc::ptr_eq(&wait.gate, gate));
        if !has_place && !gate.try_acquire(bounds.connections_max) {
            return self.close(slot, full);
        }
        if !has_place {
            connection.facts.ahead = gate.active().saturating_sub(1);
        }
        connection.book_time(self.now);
        let mut attempts = match std::mem::replace(&mut connection.state, State::Closing(Left::Nothing)) {
            State::Connecting(attempts) => attempts,
            State::Waiting(Wait { attempts, gate, .. }) => {
                if !has_place {
                    self.leave_wait(&gate);
                }
                attempts
            }
            State::Relaying(_) | State::Closing(_) => unreachable!("only who has no backend waits"),
        };
        let ticket = *attempts.ticket.get_or_insert_with(|| self.waiting.new_ticket(self.now));
        self.slots.get(slot).state = State::Waiting(Wait { goal, attempts, gate: Arc::clone(gate) });
        self.waiting.line(&listener, goal).slots.insert(ticket.number, slot);
        let end = ticket.since + bounds.timeout;
        let tries_again = goal == WaitFor::Primary && listener.pool.has_candidates(listener.target_role);
        self.timers.set(slot, if tries_again { end.min(self.now + RETRY_INTERVAL) } else { end });
        self.set_alarm(slot, Direction::ToBackend);
    }

    /// The connection waits no longer: it connects, or ends. Its alarm stays set.
    pub(crate) fn end_wait(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        connection.book_time(self.now);
        let State::Waiting(Wait { goal, attempts, gate }) =
            std::mem::replace(&mut connection.state, State::Closing(Left::Nothing))
        else {
            unreachable!("the caller has looked")
        };
        let ticket = attempts.ticket.expect("who waits has a ticket").number;
        self.waiting.remove(&connection.listener, goal, ticket);
        connection.state = State::Connecting(attempts);
        self.timers.clear(slot);
        self.leave_wait(&gate);
    }

    fn leave_wait(&self, gate: &Semaphore) {
        // Nobody waits for a place among those who wait; it is a gate like any other all the same.
        self.wake(gate.release());
    }

    /// Has all who wait try again, in their order, because another table is in force.
    ///
    /// All in one turn, as a crowd that is accepted is: `hold.connections` and `queue.size` bound them.
    pub(crate) fn retry_waiting(&mut self) {
        let lines = std::mem::take(&mut self.waiting.all);
        let mut waiting: Vec<(u64, u32)> = lines.into_iter().flat_map(|line| line.slots).collect();
        waiting.sort_unstable();
        for (_, slot) in waiting {
            self.go_by_table(slot);
            self.connect(slot);
        }
    }

    /// Gives places to those who wait for one, if this worker was told of any.
    pub(crate) fn serve_waiting(&mut self) {
        // Whoever left last may have been the last to have the listener.
        self.waiting.all.retain(|line| !line.slots.is_empty());
        if !self.waiting.are_due(self.index) {
            return;
        }
        self.waiting.unlooked = false;
        // At first all say that they wait, then all look; why in this order, `Pool::waiters` tells. A place that is given back
        // while they look wakes this worker once more.
        self.waiting.queues().for_each(|line| line.listener.pool.waiters.wait(self.index));
        for number in 0..self.waiting.all.len() {
            if self.waiting.all[number].goal == WaitFor::Place {
                self.serve_line(number);
            }
        }
    }

    fn serve_line(&mut self, number: usize) {
        // Each is looked at once: who comes back to the line does so by its old ticket.
        let mut from = 0;
        while let Some((&ticket, &slot)) = self.waiting.all[number].slots.range(from..).next() {
            from = ticket + 1;
            match self.pick(slot) {
                Picked::Backend(picked) => self.connect_to(slot, picked),
                // Who has tried none could go to any that those behind it can.
                Picked::Full if self.slots.get(slot).attempts().tried().is_empty() => return,
                Picked::Full => {}
                Picked::None => unreachable!("in the same table somebody was full for it"),
            }
        }
    }

    /// The time is up for a client that waits, or it tries the primary once more.
    pub(crate) fn on_wait_timeout(&mut self, slot: u32, goal: WaitFor) {
        let connection = self.slots.get(slot);
        let State::Waiting(wait) = &connection.state else { unreachable!("the caller has looked") };
        let since = wait.since();
        match connection.listener.target_role {
            TargetRole::Primary(hold) if goal == WaitFor::Primary && self.now < since + hold.timeout => {
                self.end_wait(slot);
                self.stop_alarm(slot);
                self.connect(slot);
            }
            TargetRole::Any | TargetRole::Primary(_) | TargetRole::Replica(_) => self.on_wait_end(slot, goal),
        }
    }

    /// The time is up for a client that waits.
    fn on_wait_end(&mut self, slot: u32, goal: WaitFor) {
        let connection = self.slots.get(slot);
        let Listener { pool, target_role: demand, .. } = &*Arc::clone(&connection.listener);
        let out_of_reach = connection.attempts().failed.filter(|_| pool.has_candidates(*demand));
        let reason = match goal {
            WaitFor::Primary => out_of_reach.unwrap_or(CloseReason::NoPrimary),
            WaitFor::Place => CloseReason::QueueTimedOut,
        };
        self.close(slot, reason);
    }
}

/// How long a client is held before it tries a primary again that it could not reach. At the bound of clients who are held, a
/// thousand unless the config says otherwise, that is as many attempts a second.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
