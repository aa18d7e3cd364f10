//! Builds and publishes the immutable table that every worker reads, and picks a backend from it.
//!
//! It does no I/O, reads no clock and draws no random number. It does not know who is healthy, and it
//! binds nothing: listening sockets are handed to it.

mod changes;

mod ack_hold;
mod counters;
mod gate;
mod listener;
mod pool;
mod published;
mod rotation;
#[cfg(test)]
mod samples;
mod table; // What is frozen, and how it is made. Start here.

pub use crate::ack_hold::AckHold;
pub use crate::changes::Changes;
pub use crate::counters::{BackendCounters, Counter, Gauge, ListenerCounters, PerWorker};
pub use crate::gate::Gate;
pub use crate::listener::{Listener, Sockets};
pub use crate::pool::{Backend, BackendIndex, Pool};
pub use crate::published::{Published, Reader};
pub use crate::table::{Phase, Table};
