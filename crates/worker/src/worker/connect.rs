//! A connection begins: a backend is picked and connected to, and another one if that fails. Every pick but the
//! first, which uses the listener as it was accepted, uses the table in force.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use connection::{CloseReason, Direction, Relay};
use driver::{ConnectOptions, Driver, Errno, Op};
use table::{Backend, BackendIndex, Picked, TargetRole};

use super::Worker;
use super::evict::Eviction;
use crate::asked::destination;
use crate::core::Core;
use crate::state::{Ack, Attempt, Connection, Relaying, State, Step, WaitFor};
use crate::token::Kind;

impl<D> Core<D> {
    /// Has a connection without a backend use the table in force; says whether that is another than it used.
    /// One whose listener was removed goes on by what it last had.
    ///
    /// # Errors
    ///
    /// By the routes of that table it is to be refused, for this reason.
    fn adopt_table(&mut self, slot: u32) -> Result<bool, CloseReason> {
        let connection = self.slots.get(slot);
        let Some(listener) = self.table.current(&connection.listener) else { return Ok(false) };
        if Arc::ptr_eq(listener, &connection.listener) {
            return Ok(false);
        }
        let introduction = connection.introduction.as_deref_mut();
        let asked = introduction.as_ref().and_then(|introduction| introduction.asked.as_ref());
        let (route, pool) = destination(listener, asked)?;
        if let Some(introduction) = introduction {
            introduction.route = route;
        }
        connection.listener = Arc::clone(listener);
        let before = std::mem::replace(&mut connection.pool, pool);
        let now_at = |index| connection.pool.index_of(before.backend(index).address);
        connection.state.seeking().attempts.go_over(now_at);
        Ok(true)
    }
}

impl<D: Driver> Worker<D> {
    /// Finds a backend for a connection that has none: connects it, has it wait, or closes it.
    ///
    /// It ends. Each round makes an attempt, of which a connection has a bounded number, or changes to the table
    /// in force, which a connection does once in a turn.
    pub(super) fn connect(&mut self, slot: u32) {
        loop {
            let wait_for = match self.pick(slot) {
                Picked::Backend(picked) if self.attempt(slot, picked) => return,
                Picked::Backend(_) => continue,
                Picked::Full => WaitFor::Capacity,
                Picked::None => match self.on_no_candidate(slot) {
                    Ok(wait_for) => wait_for,
                    Err(reason) => return self.close(slot, reason),
                },
            };
            match self.adopt_table(slot) {
                Some(true) => {}
                Some(false) => return self.wait(slot, wait_for),
                None => return,
            }
        }
    }

    /// Has a connection without a backend use the table in force; says whether that is another than it used. None if
    /// it was closed, as that table has no route for it.
    pub(super) fn adopt_table(&mut self, slot: u32) -> Option<bool> {
        let adopted = self.core.adopt_table(slot);
        adopted.map_err(|reason| self.close(slot, reason)).ok()
    }

    /// Has a newcomer wait behind those that wait for capacity, unless another table is in force than it came by.
    pub(super) fn queue_up(&mut self, slot: u32) {
        self.queues.on_newcomer();
        match self.adopt_table(slot) {
            Some(true) => self.connect(slot),
            Some(false) => self.wait(slot, WaitFor::Capacity),
            None => {}
        }
    }

    fn wait(&mut self, slot: u32, wait_for: WaitFor) {
        if let Err(reason) = self.queues.wait(&mut self.core, slot, wait_for) {
            self.close(slot, reason);
        }
    }

    /// Picks a backend for a connection that has none.
    pub(super) fn pick(&mut self, slot: u32) -> Picked {
        let Core { driver, slots, .. } = &mut self.core;
        let Connection { client, listener, pool, state, introduction, .. } = slots.get(slot);
        let attempts = &state.seeking().attempts;
        if attempts.is_exhausted(pool.attempts) {
            return Picked::None;
        }
        // A client that has left already may go to any.
        let said = introduction.as_ref().and_then(|introduction| introduction.ends).map(|ends| ends.client);
        let address = || said.or_else(|| driver.peer(*client)).map_or(NO_ADDRESS, |address| address.ip());
        pool.pick(listener.target_role, attempts.tried(), &mut self.dice, address)
    }

    /// A pick found no backend that may be tried: says what the connection is to wait for.
    ///
    /// # Errors
    ///
    /// There is nothing to wait for, and this is why.
    fn on_no_candidate(&mut self, slot: u32) -> Result<WaitFor, CloseReason> {
        let connection = self.core.slots.get(slot);
        let target_role = connection.listener.target_role;
        let (has_candidates, allowed) =
            (connection.pool.has_candidates(target_role), connection.pool.attempts);
        let attempts = &mut connection.state.seeking().attempts;
        let is_missing = !has_candidates && !attempts.is_exhausted(allowed);
        let is_out_of_reach = attempts.failed.is_some_and(is_of_the_backend);
        if matches!(target_role, TargetRole::Primary(_)) && (is_missing || is_out_of_reach) {
            // The next primary may be one that has failed before. The hold is what bounds attempts: a few by each
            // table, and those that are an interval apart.
            attempts.reset();
            return Ok(WaitFor::Primary);
        }
        Err(attempts.failed.unwrap_or(CloseReason::NoBackend))
    }

    /// Connects to a backend of which a permit was acquired; or to another one, if there is nothing to connect with.
    pub(super) fn connect_to(&mut self, slot: u32, picked: BackendIndex) {
        if !self.attempt(slot, picked) {
            self.connect(slot);
        }
    }

    /// Begins an attempt at a backend of which a permit was acquired; says whether there was a socket for it.
    fn attempt(&mut self, slot: u32, picked: BackendIndex) -> bool {
        if let Step::Waiting(_) = self.core.slots.get(slot).state.seeking().step {
            self.queues.end_wait(&mut self.core, slot);
        }
        let core = &mut self.core;
        let Connection { pool, state, stats, .. } = core.slots.get(slot);
        let seeking = state.seeking();
        seeking.book_time(stats, core.now);
        stats.attempts = stats.attempts.saturating_add(1);
        let backend = Arc::clone(pool.backend(picked));
        if let Some(failed) = seeking.attempts.begin(picked, &backend) {
            failed.counters.of(core.index).retried.add(1);
        }
        backend.counters.of(core.index).picked.add(1);
        let to = backend.address;
        // A header goes with it at once.
        let hold_ack = pool.send_proxy.is_none() && pool.ack_hold.of(core.index).is_due();
        match core.driver.open(&ConnectOptions { to, source: pool.source, hold_ack }) {
            Ok(socket) => {
                backend.counters.of(core.index).active.add(1);
                seeking.step = Step::Connecting(Attempt { socket, backend, hold_ack, given_up: None });
                let timer = core.slots.get(slot).attempt_timer(core.now);
                core.timers.set(slot, timer);
                core.submit(slot, Kind::Connect, Op::Connect { socket, to });
                true
            }
            Err(errno) => {
                let reason = reason_without_socket(errno);
                seeking.attempts.failed = Some(reason);
                pool.counters.of(core.index).failed(reason).add(1);
                backend.counters.of(core.index).connect_failed.add(1);
                core.release(&backend);
                false
            }
        }
    }

    /// The timer of an attempt expired: begins to watch the client, or gives the attempt up.
    pub(super) fn on_attempt_timer(&mut self, slot: u32) {
        let core = &mut self.core;
        let Connection { client, pool, state, .. } = core.slots.get(slot);
        let (client, end) = (*client, state.seeking().attempts.booked_until + pool.connect_timeout);
        if core.now >= end {
            return self.give_up(slot, CloseReason::ConnectTimedOut);
        }
        core.poll_hangup(slot, Direction::ToBackend, client);
        core.timers.set(slot, end);
    }

    /// Ends the attempt under way, if that has not been done; the result is told to
    /// [`on_connect`](Self::on_connect).
    pub(super) fn give_up(&mut self, slot: u32, reason: CloseReason) {
        self.core.timers.clear(slot);
        let attempt = self.core.slots.get(slot).state.attempt();
        if attempt.given_up.replace(reason).is_none() {
            self.core.cancel(slot, Kind::Connect);
        }
    }

    pub(super) fn on_connect(&mut self, slot: u32, result: Result<u32, Errno>) {
        self.core.timers.clear(slot);
        let evicted = match self.core.eviction(slot) {
            Some(Eviction::Connection(reason)) => return self.close(slot, reason),
            Some(Eviction::OfBackend(reason)) => Some(reason),
            None => None,
        };
        let core = &mut self.core;
        let Connection { pool, state, .. } = core.slots.get(slot);
        let &mut Attempt { socket, ref backend, hold_ack, given_up } = state.attempt();
        let options = ConnectOptions { to: backend.address, source: pool.source, hold_ack };
        let confirmed = result.and_then(|_| core.driver.confirm_connect(socket, &options));
        match (evicted, confirmed) {
            (None, Ok(())) => self.on_connected(slot),
            (Some(reason), _) => self.attempt_elsewhere(slot, reason),
            (None, Err(errno)) => match given_up {
                Some(reason) if reason != CloseReason::ConnectTimedOut => {
                    self.attempt_elsewhere(slot, reason);
                }
                _ => self.attempt_again(slot, given_up.unwrap_or(reason_of(errno))),
            },
        }
    }

    fn on_connected(&mut self, slot: u32) {
        match self.introduce(slot) {
            Ok(()) => {}
            Err(CloseReason::ClientReset) => return self.close(slot, CloseReason::ClientReset),
            Err(reason) => return self.attempt_again(slot, reason),
        }
        let core = &mut self.core;
        core.stop_hangup_poll(slot);
        let Connection { pool, state, stats, introduction, .. } = core.slots.get(slot);
        if let Some(introduction) = introduction {
            introduction.shorten();
        }
        let begun = state.seeking().book_time(stats, core.now);
        pool.counters.of(core.index).connect.add(core.now.saturating_duration_since(begun));
        let Attempt { socket, backend, hold_ack, given_up: _ } = state.take_attempt();
        backend.on_connected();
        backend.counters.of(core.index).connected.add(1);
        let (relay, ack) = (Relay::new(core.now), if hold_ack { Ack::Held } else { Ack::Sent });
        *state = State::Relaying(Relaying { socket, backend, relay, ack, kept_alive: false });
        if let Err(reason) = self.relays.begin(core, slot) {
            self.close(slot, reason);
        }
    }

    /// An attempt failed: makes another one, if it may.
    fn attempt_again(&mut self, slot: u32, reason: CloseReason) {
        let backend = self.end_attempt(slot);
        if is_of_the_backend(reason) && backend.on_connect_failed() {
            self.control.wake();
        }
        let connection = self.core.slots.get(slot);
        connection.state.seeking().attempts.failed = Some(reason);
        connection.pool.counters.of(self.core.index).failed(reason).add(1);
        if self.adopt_table(slot).is_some() {
            self.connect(slot);
        }
    }

    /// An attempt was evicted: makes one by the table in force, and the other does not count. That has an end as
    /// long as there is one to tables.
    fn attempt_elsewhere(&mut self, slot: u32, reason: CloseReason) {
        self.end_attempt(slot);
        let evicted = self.core.slots.get(slot).state.seeking().attempts.take_back();
        let Some(adopted) = self.adopt_table(slot) else { return };
        if !adopted {
            // There is no other: the pool is the one that named this backend.
            let attempts = &mut self.core.slots.get(slot).state.seeking().attempts;
            attempts.count(evicted);
            attempts.failed = Some(reason);
        }
        self.connect(slot);
    }

    /// Takes back what an attempt had that came to nothing.
    fn end_attempt(&mut self, slot: u32) -> Arc<Backend> {
        let Attempt { socket, backend, .. } = self.core.slots.get(slot).state.take_attempt();
        let counters = backend.counters.of(self.core.index);
        counters.connect_failed.add(1);
        counters.active.sub(1);
        self.core.driver.close(socket);
        self.core.release(&backend);
        backend
    }
}

/// The address of a client that has none any more.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whether a connect that ended so says that the backend is not well, rather than that something is short here.
fn is_of_the_backend(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::ConnectRefused | CloseReason::ConnectTimedOut | CloseReason::ConnectUnreachable
    )
}

/// Why there is no socket to connect with, socket(2) and bind(2). The port is chosen at connect(2), so what bind(2)
/// lacks is the address.
fn reason_without_socket(errno: Errno) -> CloseReason {
    match errno {
        Errno::ADDRNOTAVAIL => CloseReason::NoSourceAddress,
        _ => reason_of(errno),
    }
}

/// Why a connection could not be made, connect(2) and socket(2).
pub(super) fn reason_of(errno: Errno) -> CloseReason {
    match errno {
        Errno::CONNREFUSED | Errno::CONNRESET => CloseReason::ConnectRefused,
        Errno::TIMEDOUT => CloseReason::ConnectTimedOut,
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => CloseReason::NoSourcePort,
        Errno::MFILE | Errno::NFILE => CloseReason::NoDescriptor,
        Errno::NOBUFS | Errno::NOMEM => CloseReason::NoResources,
        // ENETUNREACH, EHOSTUNREACH, ENETDOWN, and what a local rule answers: EPERM, EACCES, EINVAL.
        _ => CloseReason::ConnectUnreachable,
    }
}
