//! What a worker looks like between two turns, for tests that drive one, and a connection, for lists of connections.

use std::time::Instant;

use connection::{Direction, HalfView};

use crate::acceptor::Mode;
use crate::core::Core;
use crate::held_acks::Ack;
use crate::state::{Connection, Seeking, State, Step};
use crate::stats::ConnectionStats;
use crate::waiting::WaitFor;

use super::Worker;

/// What a worker has and does.
#[derive(Clone, Debug, Default)]
pub struct WorkerView {
    /// Its connections, by slot.
    pub connections: Vec<ConnectionView>,
    /// Its acceptors: their numbers, what each does, and how many accepted clients it holds.
    pub acceptors: Vec<(usize, Mode, usize)>,
    /// Connections that it has and that are on their way to it, as workers tell each other.
    pub load: u32,
    /// Pipes that are open.
    pub pipes_open: u32,
    /// Of them, those that are in no relay.
    pub pipes_free: usize,
    /// Halves that are queued for their next pass; a half may be queued a few times.
    pub runnable: usize,
    /// Connections with a backend that its table would have it close.
    pub to_evict: usize,
    /// Clients that wait though its table has a backend for them, with a permit.
    pub overlooked: usize,
    /// Halves that are queued for a receive buffer, those of connections that ended since included.
    pub parked: usize,
}

/// A connection of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionView {
    /// Its slot.
    pub slot: u32,
    /// Which tenant of the slot it is.
    pub generation: u32,
    /// Operations that are in flight for it.
    pub in_flight: u8,
    /// Where it is in its life.
    pub state: StateView,
    /// Whether its backend was sent the last ACK of its handshake.
    pub ack: Ack,
    /// What it remembers of its life.
    pub stats: ConnectionStats,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateView {
    /// It was accepted, and no backend was asked for yet.
    Opening,
    /// It has no backend yet.
    Connecting,
    /// No backend can take it now.
    Waiting {
        /// What it waits for.
        wait_for: WaitFor,
        /// Since when it has, its attempts in between included.
        since: Instant,
    },
    /// It relays; its halves, by [`Direction`].
    Relaying([HalfView; 2]),
    /// It ended, and waits for the last of what is in flight.
    Closing,
}

impl<D> Worker<D> {
    /// What it has and does now.
    pub fn inspect(&self) -> WorkerView {
        let slots = &self.core.slots;
        let (pipes_open, pipes_free) = self.relays.count_pipes();
        WorkerView {
            connections: slots.live().into_iter().map(|slot| self.core.view(slot)).collect(),
            acceptors: self.acceptors.modes().collect(),
            load: self.balancer.load(),
            pipes_open,
            pipes_free,
            to_evict: slots.iter().filter(|(slot, .., of)| self.core.is_left_to_evict(*slot, of)).count(),
            overlooked: slots.iter().filter(|(.., connection)| self.core.overlooks(connection)).count(),
            runnable: self.relays.runnable(),
            parked: self.relays.parked(),
        }
    }
}

impl<D> Core<D> {
    /// What the connection in a slot that has one looks like.
    pub(super) fn view(&self, slot: u32) -> ConnectionView {
        let connection = self.slots.peek(slot).expect("the slot has a tenant");
        ConnectionView {
            slot,
            generation: self.slots.generation(slot),
            in_flight: self.slots.in_flight(slot),
            state: view_of(&connection.state),
            ack: ack_of(&connection.state),
            stats: connection.stats,
        }
    }

    /// Attempts are not: a connection whose listener was removed may make one at a backend that is evicted, and
    /// `on_connect` ends it.
    fn is_left_to_evict(&self, slot: u32, connection: &Connection) -> bool {
        matches!(connection.state, State::Relaying(_)) && self.eviction(slot).is_some()
    }

    fn overlooks(&self, connection: &Connection) -> bool {
        let State::Seeking(Seeking { attempts, step: Step::Waiting(wait) }) = &connection.state else {
            return false;
        };
        let listener = self.table.listener_on(&connection.listener.sockets);
        let pool = listener.map_or(&connection.pool, |listener| &listener.pool);
        let target_role = listener.unwrap_or(&connection.listener).target_role;
        match wait.wait_for {
            // One that could not reach the primary waits until it tries again.
            WaitFor::Primary => pool.has_candidates(target_role) && attempts.failed.is_none(),
            WaitFor::Capacity => pool.can_pick(target_role, attempts.tried()),
        }
    }
}

fn view_of(state: &State) -> StateView {
    match state {
        State::Opening => StateView::Opening,
        State::Seeking(Seeking { attempts, step: Step::Waiting(wait) }) => StateView::Waiting {
            wait_for: wait.wait_for,
            since: attempts.waits_since().expect("a connection that waits has a ticket"),
        },
        State::Seeking(_) => StateView::Connecting,
        State::Relaying(relaying) => {
            StateView::Relaying(Direction::BOTH.map(|direction| relaying.relay.view(direction)))
        }
        State::Closing(_) => StateView::Closing,
    }
}

fn ack_of(state: &State) -> Ack {
    match state {
        State::Seeking(Seeking { step: Step::Connecting(attempt), .. }) if attempt.hold_ack => Ack::Held,
        State::Relaying(relaying) => relaying.ack,
        State::Opening | State::Seeking(_) | State::Closing(_) => Ack::Sent,
    }
}
