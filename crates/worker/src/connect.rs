//! A connection begins: a backend is picked and connected to, and another one if that fails.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use config::Demand;
use connection::{CloseReason, Direction, Relay};
use table::{Listener, Picked};
use uring::{ConnectOptions, Driver, Errno, Op};

use crate::handover::Client;
use crate::held_acks::Ack;
use crate::slots::{Attempts, Connection, State};
use crate::token::Kind;
use crate::worker::Worker;

impl<D: Driver> Worker<D> {
    /// Takes in a client for whom there is a place.
    pub(crate) fn begin_connection(&mut self, client: Client) {
        let Client { socket: client, listener } = client;
        listener.counters.of(self.index).active.add(1);
        let state = State::Connecting(Attempts::default());
        let slot = self.slots.insert(Connection {
            client,
            backend: None,
            listener,
            state,
            pipes: [None; 2],
            kept_alive: false,
            ack: Ack::Sent,
        });
        self.connect(slot);
    }

    /// Makes attempts until one is under way or none is left.
    fn connect(&mut self, slot: u32) {
        loop {
            let connection = self.slots.get(slot);
            let listener = Arc::clone(&connection.listener);
            let State::Connecting(attempts) = &mut connection.state else {
                unreachable!("only a connection that has no backend yet connects")
            };
            let pool = &listener.pool;
            let picked = if attempts.is_exhausted(pool.attempts) {
                Picked::None
            } else {
                // A client that has left already may go to any.
                let client = || self.driver.peer(connection.client).map_or(NOBODY, |address| address.ip());
                pool.pick(listener.demand, attempts.tried(), &mut self.dice, client)
            };
            let Picked::Backend(picked) = picked else {
                let reason = attempts.failed.unwrap_or(reason_of_none(picked, &listener));
                return self.close(slot, reason);
            };
            if let Some(tried) = attempts.tried().last() {
                pool.backend(*tried).counters.of(self.index).retried.add(1);
            }
            attempts.begin(picked);
            let backend = Arc::clone(pool.backend(picked));
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
                    return self.timers.set(slot, self.now + pool.connect_timeout);
                }
                Err(errno) => {
                    attempts.failed = Some(reason_of(errno));
                    backend.counters.of(self.index).connect_failed.add(1);
                    self.wake(backend.leave());
                }
            }
        }
    }

    pub(crate) fn on_connect_timeout(&mut self, slot: u32) {
        let State::Connecting(attempts) = &mut self.slots.get(slot).state else {
            unreachable!("the caller has looked")
        };
        attempts.timed_out = true;
        let target = Kind::Connect.token(self.slots.generation(slot), slot);
        let token = self.slots.begin(slot, Kind::Cancel);
        self.driver.submit(Op::Cancel { target }, token);
    }

    pub(crate) fn on_connect(&mut self, slot: u32, result: Result<u32, Errno>) {
        self.timers.clear(slot);
        let connection = self.slots.get(slot);
        let (socket, backend) = connection.backend.as_ref().expect("an attempt has a backend");
        let socket = *socket;
        let counters = backend.counters.of(self.index);
        match result.and_then(|_| self.driver.confirm_connect(socket, backend.address)) {
            Ok(()) => {
                counters.connected.add(1);
                connection.state = State::Relaying(Relay::new(self.now));
                self.set_patience(slot);
                self.hold_ack(slot);
                for direction in Direction::BOTH {
                    self.run_later(slot, direction);
                }
            }
            Err(errno) => {
                counters.connect_failed.add(1);
                counters.active.sub(1);
                let left = backend.leave();
                connection.backend = None;
                let State::Connecting(attempts) = &mut connection.state else {
                    unreachable!("an attempt is part of connecting")
                };
                let timed_out = attempts.timed_out;
                attempts.failed =
                    Some(if timed_out { CloseReason::ConnectTimedOut } else { reason_of(errno) });
                self.driver.close(socket);
                self.wake(left);
                self.connect(slot);
            }
        }
    }
}

/// Why there is nobody to connect to.
fn reason_of_none(picked: Picked, listener: &Listener) -> CloseReason {
    match (picked, listener.demand) {
        (Picked::Full, _) => CloseReason::QueueFull,
        (_, Demand::Primary(_)) => CloseReason::NoPrimary,
        (_, Demand::Any | Demand::Replica(_)) => CloseReason::NoBackend,
    }
}

/// The address of whoever has none any more.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

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
