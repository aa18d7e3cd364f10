//! A connection begins: a backend is picked and connected to, and another one if that fails. Every pick but the first, which comes
//! with its listener, goes by the table in force.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use connection::{CloseReason, Direction, Relay};
use driver::{ConnectOptions, Driver, Errno, Op};
use table::{Backend, BackendIndex, Picked};

use crate::balancer::Client;
use crate::held_acks::Ack;
use crate::slots::{Attempts, Connection, State};
use crate::stats::ConnectionStats;
use crate::token::Kind;
use crate::worker::Worker;

impl<D: Driver> Worker<D> {
    /// Takes in a client for whom there is a place.
    pub(crate) fn begin_connection(&mut self, client: Client) {
        let Client { socket: client, accepted_at, listener } = client;
        listener.counters.of(self.index).active.add(1);
        let queues = self.has_queue(&listener);
        let logged = listener.access_log;
        let mut facts = ConnectionStats::new(accepted_at);
        facts.waited.add(accepted_at, self.now);
        let slot = self.slots.insert(Connection {
            client,
            backend: None,
            listener,
            state: State::Connecting(Attempts::new(self.now)),
            facts,
            end: None,
            pipes: [None; 2],
            kept_alive: false,
            ack: Ack::Sent,
            alarms: Default::default(),
        });
        if logged {
            self.remember_client(slot, client);
        }
        if queues { self.queue_up(slot) } else { self.connect(slot) }
    }

    /// Has a connection without a backend go by the table in force; says whether that is another than it went by. One whose
    /// listener is gone goes on by what it last had.
    pub(crate) fn go_by_table(&mut self, slot: u32) -> bool {
        let connection = self.slots.get(slot);
        let Some(listener) = self.table.listener_on(&connection.listener.sockets) else { return false };
        if Arc::ptr_eq(listener, &connection.listener) {
            return false;
        }
        let before = std::mem::replace(&mut connection.listener, Arc::clone(listener));
        let now_at = |index| listener.pool.index_of(before.pool.backend(index).address);
        connection.attempts().go_over(now_at);
        true
    }

    /// Finds a backend for a connection that has none, as long as it may try any.
    pub(crate) fn connect(&mut self, slot: u32) {
        match self.pick(slot) {
            Picked::Backend(picked) => self.connect_to(slot, picked),
            nobody @ (Picked::Full | Picked::None) => self.on_nobody(slot, nobody),
        }
    }

    /// Picks a backend for a connection that has none.
    pub(crate) fn pick(&mut self, slot: u32) -> Picked {
        let connection = self.slots.get(slot);
        let listener = Arc::clone(&connection.listener);
        let client = connection.client;
        let attempts = connection.attempts();
        if attempts.is_exhausted(listener.pool.attempts) {
            return Picked::None;
        }
        // A client that has left already may go to any.
        let address = || self.driver.peer(client).map_or(NOBODY, |address| address.ip());
        listener.pool.pick(listener.target_role, attempts.tried(), &mut self.dice, address)
    }

    /// Begins an attempt at a backend where a place was taken; or at another one, if there is nothing to connect with.
    pub(crate) fn connect_to(&mut self, slot: u32, picked: BackendIndex) {
        if let State::Waiting(_) = self.slots.get(slot).state {
            self.end_wait(slot);
            self.stop_alarm(slot);
        }
        let connection = self.slots.get(slot);
        connection.book_time(self.now);
        connection.facts.attempts = connection.facts.attempts.saturating_add(1);
        let listener = Arc::clone(&connection.listener);
        let pool = &listener.pool;
        let backend = Arc::clone(pool.backend(picked));
        let attempts = connection.attempts();
        if let Some(failed) = attempts.begin(picked, &backend) {
            failed.counters.of(self.index).retried.add(1);
        }
        backend.counters.of(self.index).picked.add(1);
        let to = backend.address;
        let hold_ack = pool.ack_hold.of(self.index).is_due();
        match self.driver.open(&ConnectOptions { to, source: pool.source, hold_ack }) {
            Ok(socket) => {
                connection.ack = if hold_ack { Ack::Held } else { Ack::Sent };
                backend.counters.of(self.index).active.add(1);
                connection.backend = Some((socket, backend));
                let token = self.slots.begin(slot, Kind::Connect);
                self.driver.submit(Op::Connect { socket, to }, token);
                self.timers.set(slot, self.now + pool.connect_timeout);
            }
            Err(errno) => {
                let reason = reason_without_socket(errno);
                attempts.failed = Some(reason);
                pool.counters.of(self.index).failed(reason).add(1);
                backend.counters.of(self.index).connect_failed.add(1);
                self.leave(&backend);
                // It ends: each time a backend is tried that was not.
                self.connect(slot);
            }
        }
    }

    /// Ends the attempt under way, if that has not been done; what comes of it is told to [`on_connect`](Self::on_connect).
    pub(crate) fn give_up(&mut self, slot: u32, reason: CloseReason) {
        self.timers.clear(slot);
        let attempts = self.slots.get(slot).attempts();
        if attempts.given_up.replace(reason).is_none() {
            let target = Kind::Connect.token(self.slots.generation(slot), slot);
            let token = self.slots.begin(slot, Kind::Cancel);
            self.driver.submit(Op::Cancel { target }, token);
        }
    }

    pub(crate) fn on_connect(&mut self, slot: u32, result: Result<u32, Errno>) {
        self.timers.clear(slot);
        if let Some(reason) = self.ousted(slot) {
            return self.close(slot, reason);
        }
        let severed = self.severed(slot);
        let connection = self.slots.get(slot);
        let given_up = connection.attempts().given_up;
        let (socket, backend) = connection.backend.as_ref().expect("an attempt has a backend");
        let (to, source) = (backend.address, connection.listener.pool.source);
        let options = ConnectOptions { to, source, hold_ack: connection.ack == Ack::Held };
        let confirmed = result.and_then(|_| self.driver.confirm_connect(*socket, &options));
        match (severed, confirmed) {
            (None, Ok(())) => {
                backend.on_connected();
                backend.counters.of(self.index).connected.add(1);
                let begun = connection.book_time(self.now);
                let counters = connection.listener.pool.counters.of(self.index);
                counters.connect.add(self.now.saturating_duration_since(begun));
                connection.state = State::Relaying(Relay::new(self.now));
                self.set_patience(slot);
                self.hold_ack(slot);
                for direction in Direction::BOTH {
                    self.run_later(slot, direction);
                }
            }
            (Some(reason), _) => self.attempt_elsewhere(slot, reason),
            (None, Err(errno)) => match given_up {
                Some(reason) if reason != CloseReason::ConnectTimedOut => {
                    self.attempt_elsewhere(slot, reason);
                }
                _ => self.attempt_again(slot, given_up.unwrap_or(reason_of(errno))),
            },
        }
    }

    /// An attempt failed: makes another one, if it may.
    fn attempt_again(&mut self, slot: u32, reason: CloseReason) {
        let backend = self.end_attempt(slot);
        if is_of_the_backend(reason) && backend.on_connect_failed() {
            self.control.wake();
        }
        let connection = self.slots.get(slot);
        connection.attempts().failed = Some(reason);
        connection.listener.pool.counters.of(self.index).failed(reason).add(1);
        self.go_by_table(slot);
        self.connect(slot);
    }

    /// A table severed an attempt: makes one by the table in force, and the other does not count. That has an end as long as there
    /// is one to tables.
    fn attempt_elsewhere(&mut self, slot: u32, reason: CloseReason) {
        self.end_attempt(slot);
        let severed = self.slots.get(slot).attempts().take_back();
        if !self.go_by_table(slot) {
            // There is none to go by: the pool is the one that named this backend.
            let attempts = self.slots.get(slot).attempts();
            attempts.count(severed);
            attempts.failed = Some(reason);
        }
        self.connect(slot);
    }

    /// Takes back what an attempt had that came to nothing.
    fn end_attempt(&mut self, slot: u32) -> Arc<Backend> {
        let (socket, backend) = self.slots.get(slot).backend.take().expect("an attempt has a backend");
        let counters = backend.counters.of(self.index);
        counters.connect_failed.add(1);
        counters.active.sub(1);
        self.driver.close(socket);
        self.leave(&backend);
        backend
    }

    /// Gives back the place at a backend.
    pub(crate) fn leave(&self, backend: &Backend) {
        backend.release().for_each(|worker| self.wake(Some(worker)));
    }
}

/// The address of whoever has none any more.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whether a connect that ended so says that the backend is not well, rather than that something is short here.
pub(crate) fn is_of_the_backend(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::ConnectRefused | CloseReason::ConnectTimedOut | CloseReason::ConnectUnreachable
    )
}

/// Why there is no socket to connect with, socket(2) and bind(2). The port is chosen at connect(2), so what bind(2) lacks is the
/// address.
fn reason_without_socket(errno: Errno) -> CloseReason {
    match errno {
        Errno::ADDRNOTAVAIL => CloseReason::NoSourceAddress,
        _ => reason_of(errno),
    }
}

/// Why a connection could not be made, connect(2) and socket(2).
fn reason_of(errno: Errno) -> CloseReason {
    match errno {
        Errno::CONNREFUSED | Errno::CONNRESET => CloseReason::ConnectRefused,
        Errno::TIMEDOUT => CloseReason::ConnectTimedOut,
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => CloseReason::NoSourcePort,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => CloseReason::NoResources,
        // ENETUNREACH, EHOSTUNREACH, ENETDOWN, and what a local rule answers: EPERM, EACCES, EINVAL.
        _ => CloseReason::ConnectUnreachable,
    }
}
