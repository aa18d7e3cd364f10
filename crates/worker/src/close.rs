//! A connection ends: what is in flight is cancelled and waited for, then everything it had goes back.
//!
//! A descriptor is closed only when nothing is in flight on it. Before that the kernel would keep the socket,
//! send no FIN, and could still write into a buffer.

use std::net::SocketAddr;

use connection::{CloseReason, Direction, Stage};
use uring::{BufferId, Driver, Op};

use crate::record::Record;
use crate::slots::{Connection, Left, State};
use crate::token::Kind;
use crate::worker::Worker;

impl<D: Driver> Worker<D> {
    /// Ends a connection, for a reason that is counted.
    ///
    /// Only what both sides finished is finished. All else is reset, so that neither side can take a part for the
    /// whole.
    pub(crate) fn close(&mut self, slot: u32, reason: CloseReason) {
        let waits = matches!(self.slots.get(slot).state, State::Waiting(_));
        if waits {
            self.end_wait(slot);
        }
        let connection = self.slots.get(slot);
        if let State::Connecting(_) = connection.state {
            connection.book_time(self.now);
        }
        let (left, stage) = match std::mem::replace(&mut connection.state, State::Closing(Left::Nothing)) {
            State::Connecting(attempts) => {
                let stage = if waits { Stage::Waiting } else { Stage::Connecting };
                (attempts.last.map_or(Left::Nothing, Left::Tried), stage)
            }
            State::Waiting(_) => unreachable!("its wait has ended"),
            State::Relaying(relay) => {
                let (last, finished) = (connection.facts.last, relay.finished_alone());
                (Left::Relay(relay), Stage::Relaying { last, finished })
            }
            // Already under way, and counted.
            closing @ State::Closing(_) => return connection.state = closing,
        };
        connection.state = State::Closing(left);
        connection.end = Some((reason, stage));
        connection.listener.counters.of(self.index).closed(reason).add(1);
        let client = connection.client;
        let backend = connection.backend.as_ref().map(|(socket, backend)| {
            backend.counters.of(self.index).closed(reason).add(1);
            *socket
        });
        self.timers.clear(slot);
        let in_flight = self.slots.in_flight(slot) > 0;
        for socket in [Some(client), backend].into_iter().flatten() {
            if reason != CloseReason::Done {
                self.driver.reset_on_close(socket);
            }
            if in_flight {
                let token = self.slots.begin(slot, Kind::Cancel);
                self.driver.submit(Op::CancelAll { fd: socket }, token);
            }
        }
        if !in_flight {
            self.close_finish(slot);
        }
    }

    /// Something of a closing connection came back.
    pub(crate) fn close_join(&mut self, slot: u32, buffer: Option<BufferId>) {
        self.give_back(buffer.map(|buffer| buffer.0));
        if self.slots.in_flight(slot) == 0 {
            self.close_finish(slot);
        }
    }

    fn close_finish(&mut self, slot: u32) {
        let mut connection = self.slots.remove(slot);
        let State::Closing(left) = &mut connection.state else { unreachable!("`close` comes first") };
        if let Left::Relay(relay) = left {
            for direction in Direction::BOTH {
                let half = relay.half(direction);
                while let Some(buffer) = half.discard(&mut self.chunks) {
                    self.driver.give_back(BufferId(buffer));
                }
                if let Some(pipe) = connection.pipes[direction as usize].take() {
                    if half.is_pipe_filled() {
                        self.pipes.discard(&mut self.driver, pipe);
                    } else {
                        self.pipes.give_back(pipe);
                    }
                }
            }
        }
        // Whether it is wanted or not, or the next one in this slot would be taken for him.
        let client = self.forget_client(slot);
        let logged = connection.listener.access_log;
        // One who came before anybody wanted to know it is asked now, and may be gone.
        let client = client.or_else(|| if logged { self.driver.peer(connection.client) } else { None });
        self.driver.close(connection.client);
        if let Some((socket, backend)) = &connection.backend {
            self.driver.close(*socket);
            backend.counters.of(self.index).active.sub(1);
            self.leave(backend);
        }
        connection.listener.counters.of(self.index).active.sub(1);
        self.count_life(&connection.listener, connection.facts.accepted_at);
        self.handover.on_end();
        self.dismiss(&connection.listener);
        if logged {
            self.record_end(connection, client);
        }
    }

    /// What is left of a connection becomes its record.
    fn record_end(&mut self, connection: Connection, client: Option<SocketAddr>) {
        let Connection { listener, backend, state, facts, end, .. } = connection;
        let (reason, stage) = end.expect("`close` comes first");
        let tried = match state {
            State::Closing(Left::Tried(backend)) => Some(backend),
            _ => None,
        };
        let backend = backend.map(|(_, backend)| backend).or(tried);
        self.record(Record { listener, backend, client, facts, ended_at: self.now, reason, stage });
    }
}
