//! What a worker looks like between two turns, for tests that drive one, and a connection, for lists of connections.

use std::time::Instant;

use connection::HalfView;
use driver::Fd;
use table::Place;

use crate::acceptor::Mode;
use crate::state::{Ack, WaitFor};
use crate::stats::ConnectionStats;

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
    /// The socket of its client.
    pub client: Fd,
    /// Operations that are in flight for it.
    pub in_flight: u8,
    /// Where it is in its life.
    pub state: StateView,
    /// Where its source counts it, if it does.
    pub source: Option<Place>,
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
    /// It relays; its halves, by [`Direction`](connection::Direction).
    Relaying([HalfView; 2]),
    /// It ended, and waits for the last of what is in flight.
    Closing,
}
