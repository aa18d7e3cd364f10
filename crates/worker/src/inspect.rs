//! What a worker looks like between two turns, for tests that drive one, and a connection, for whoever lists it.

use std::time::Instant;

use connection::{Direction, HalfView};

use crate::acceptor::Mode;
use crate::held_acks::Ack;
use crate::slots::{Connection, State};
use crate::stats::ConnectionStats;
use crate::waiting::WaitFor;
use crate::worker::Worker;

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
    /// Of them, those that no half has.
    pub pipes_free: usize,
    /// Halves that stand in line for their next pass; a connection's may stand in it a few times.
    pub runnable: usize,
    /// Connections with a backend that its table would have it close.
    pub severed: usize,
    /// Clients that wait though its table has somebody for them, with a place.
    pub overlooked: usize,
    /// Halves that stand in line for a receive buffer, those of connections that ended since included.
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
    /// Whether its backend knows that it was heard.
    pub ack: Ack,
    /// What it remembers of its life.
    pub facts: ConnectionStats,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateView {
    /// It has no backend yet.
    Connecting,
    /// No backend can take it now.
    Waiting {
        /// What it waits for.
        goal: WaitFor,
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
        let connections = self.slots.live().into_iter().map(|slot| self.view(slot));
        let (pipes_open, pipes_free) = self.pipes.count();
        WorkerView {
            connections: connections.collect(),
            acceptors: self.acceptors.modes().collect(),
            load: self.handover.load(),
            pipes_open,
            pipes_free,
            severed: self.slots.iter().filter(|(slot, .., of)| self.is_left_to_sever(*slot, of)).count(),
            overlooked: self.slots.iter().filter(|(.., connection)| self.overlooks(connection)).count(),
            runnable: self.runnable.len(),
            parked: self.parked.len(),
        }
    }

    /// What the connection in a slot that has one looks like.
    pub(crate) fn view(&self, slot: u32) -> ConnectionView {
        let connection = self.slots.peek(slot).expect("the slot has a tenant");
        let state = match &connection.state {
            State::Connecting(_) => StateView::Connecting,
            State::Waiting(wait) => StateView::Waiting { goal: wait.goal, since: wait.since() },
            State::Relaying(relay) => {
                StateView::Relaying(Direction::BOTH.map(|direction| relay.view(direction)))
            }
            State::Closing(_) => StateView::Closing,
        };
        ConnectionView {
            slot,
            generation: self.slots.generation(slot),
            in_flight: self.slots.in_flight(slot),
            state,
            ack: connection.ack,
            facts: connection.facts,
        }
    }

    /// Attempts are not: whoever goes by a listener that is gone may make one all the same, and `on_connect` sees to it.
    fn is_left_to_sever(&self, slot: u32, connection: &Connection) -> bool {
        matches!(connection.state, State::Relaying(_))
            && self.severed(slot).or_else(|| self.ousted(slot)).is_some()
    }

    fn overlooks(&self, connection: &Connection) -> bool {
        let State::Waiting(wait) = &connection.state else { return false };
        let listener = self.table.listener_on(&connection.listener.sockets).unwrap_or(&connection.listener);
        match wait.goal {
            // Who could not reach the primary waits until it tries once more.
            WaitFor::Primary => {
                listener.pool.has_candidates(listener.target_role) && wait.attempts.failed.is_none()
            }
            WaitFor::Place => listener.pool.can_pick(listener.target_role, wait.attempts.tried()),
        }
    }
}
