//! A connection ends: what is in flight is cancelled and waited for, then everything it had goes back.
//!
//! A descriptor is closed only when nothing is in flight on it. Before that the kernel would keep the socket,
//! send no FIN, and could still write into a buffer.

use std::net::SocketAddr;

use connection::{CloseReason, Direction, Parting, Stage};
use driver::{BufferId, Driver, Op};

use crate::record::Record;
use crate::slots::{Connection, Left, State};
use crate::token::Kind;
use crate::worker::Worker;

impl Left {
    /// How each side is let go, by the direction in which its socket is written.
    fn partings(&self, reason: CloseReason) -> [Parting; 2] {
        Direction::BOTH.map(|to| {
            let handed_over = matches!(self, Self::Relay(relay) if relay.is_handed_over(to));
            Parting::of(reason, to, handed_over)
        })
    }
}

impl<D: Driver> Worker<D> {
    /// Ends a connection, for a reason that is counted.
    ///
    /// A side that was handed a part is reset, so that it cannot take that for the whole; one that was handed
    /// everything is closed, and the kernel goes on delivering ([`Parting`]).
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
        let sockets = connection.sockets();
        let partings = left.partings(reason);
        connection.state = State::Closing(left);
        connection.end = Some((reason, stage));
        connection.listener.counters.of(self.index).closed(reason).add(1);
        if let Some((_, backend)) = &connection.backend {
            backend.counters.of(self.index).closed(reason).add(1);
        }
        self.timers.clear(slot);
        let in_flight = self.slots.in_flight(slot) > 0;
        for (socket, parting) in sockets.into_iter().zip(partings) {
            let Some(socket) = socket else { continue };
            if parting == Parting::Reset {
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
        let sockets = connection.sockets();
        let State::Closing(left) = &mut connection.state else { unreachable!("`close` comes first") };
        if let Left::Relay(relay) = left {
            for (direction, output) in Direction::BOTH.into_iter().zip(sockets) {
                if relay.is_handed_over(direction) && !relay.half(direction.other()).has_ended() {
                    // What it sent is for nobody; left unread, it would make the kernel discard what it is to get.
                    self.driver.discard_received(output.expect("a relay has both sockets"));
                }
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
