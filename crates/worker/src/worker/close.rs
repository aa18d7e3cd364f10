//! A connection ends: what is in flight is cancelled and waited for, then everything it had goes back.
//!
//! A descriptor is closed only when nothing is in flight on it. Before that the kernel would keep the socket,
//! send no FIN, and could still write into a buffer.

use std::sync::Arc;

use connection::{CloseReason, Direction, Parting};
use driver::{BufferId, Driver, Op};

use crate::record::Record;
use crate::state::{Closing, Connection, Left, Relaying, Seeking, State, Step};
use crate::token::Kind;

use super::Worker;

impl Left {
    /// How each socket ends, by the direction in which its socket is written.
    fn partings(&self, reason: CloseReason) -> [Parting; 2] {
        Direction::BOTH.map(|to| {
            let handed_over = matches!(self, Self::Relay(_, _, relay) if relay.is_handed_over(to));
            Parting::of(reason, to, handed_over)
        })
    }
}

impl<D: Driver> Worker<D> {
    /// Ends a connection, for a reason that is counted.
    ///
    /// A side that was handed a part is reset, so that it cannot take that for the whole; one that was handed
    /// everything is closed, and the kernel goes on delivering ([`Parting`]).
    pub(super) fn close(&mut self, slot: u32, reason: CloseReason) {
        let core = &mut self.core;
        let connection = core.slots.get(slot);
        // If it has none, its end is under way, and counted.
        let Some(stage) = connection.stage() else { return };
        let closing = Closing { reason, stage, left: Left::Client { tried: None } };
        let left = match std::mem::replace(&mut connection.state, State::Closing(closing)) {
            State::Opening(opening) => {
                let listener = Arc::clone(&connection.listener);
                self.openings.end(core, &listener, &opening);
                Left::Client { tried: None }
            }
            State::Seeking(mut seeking) => {
                seeking.book_time(&mut connection.stats, core.now);
                self.leave_seeking(slot, seeking)
            }
            State::Relaying(Relaying { socket, backend, relay, .. }) => Left::Relay(socket, backend, relay),
            State::Closing(closing) => closing.left,
        };
        self.close_begin(slot, reason, left);
    }

    /// What a connection leaves that ends without a backend.
    fn leave_seeking(&mut self, slot: u32, Seeking { attempts, step }: Seeking) -> Left {
        match step {
            Step::Picking => {}
            Step::Connecting(attempt) => return Left::Attempt(attempt.socket, attempt.backend),
            Step::Waiting(wait) => self.queues.on_close(&mut self.core, slot, attempts.ticket, &wait),
        }
        Left::Client { tried: attempts.last }
    }

    /// Counts the end, and cancels what is in flight.
    fn close_begin(&mut self, slot: u32, reason: CloseReason, left: Left) {
        let core = &mut self.core;
        let connection = core.slots.get(slot);
        let partings = left.partings(reason);
        let sockets = [left.backend().map(|(socket, _)| socket), Some(connection.client)];
        connection.listener.counters.of(core.index).closed(reason).add(1);
        if let Some((_, backend)) = left.backend() {
            backend.counters.of(core.index).closed(reason).add(1);
        }
        if let State::Closing(closing) = &mut connection.state {
            closing.left = left;
        }
        core.timers.clear(slot);
        let in_flight = core.slots.in_flight(slot) > 0;
        for (socket, parting) in sockets.into_iter().zip(partings) {
            let Some(socket) = socket else { continue };
            if parting == Parting::Reset {
                core.driver.reset_on_close(socket);
            }
            if in_flight {
                core.submit(slot, Kind::Cancel, Op::CancelAll { fd: socket });
            }
        }
        if !in_flight {
            self.close_finish(slot);
        }
    }

    /// Something of a closing connection came back.
    pub(super) fn close_join(&mut self, slot: u32, buffer: Option<BufferId>) {
        self.core.give_back(buffer);
        if self.core.slots.in_flight(slot) == 0 {
            self.close_finish(slot);
        }
    }

    fn close_finish(&mut self, slot: u32) {
        let core = &mut self.core;
        let Connection { client: socket, listener, pool, state, stats, introduction, .. } =
            core.slots.remove(slot);
        let State::Closing(Closing { reason, stage, mut left }) = state else {
            unreachable!("`close` comes first")
        };
        if let Left::Relay(backend_socket, _, relay) = &mut left {
            self.relays.discard(core, socket, *backend_socket, relay);
        }
        // Whether it is wanted or not, or it would be taken for that of the next connection in this slot.
        let client = self.recording.forget_client(slot);
        // The kernel is asked now for one that came before records were wanted; the connection may have ended.
        let client = client.or_else(|| if listener.access_log { core.driver.peer(socket) } else { None });
        core.driver.close(socket);
        if let Some((socket, backend)) = left.backend() {
            core.driver.close(socket);
            backend.counters.of(core.index).active.sub(1);
            core.release(backend);
        }
        listener.counters.of(core.index).active.sub(1);
        core.count_life(&pool, stats.accepted_at);
        let source = core.places.take(slot);
        core.leave_source(source);
        self.balancer.on_end();
        core.dismiss(&listener);
        if listener.access_log {
            let (backend, ended_at) = (left.into_tried(), core.now);
            let record =
                Record { listener, pool, backend, client, introduction, stats, ended_at, reason, stage };
            self.recording.put(core, record);
        }
    }
}
