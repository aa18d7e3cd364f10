//! Builds and publishes the immutable table that every worker reads, and picks a backend from it.
//!
//! It does no I/O, reads no clock and draws no random number. It does not probe backends, it is given their
//! states; and it binds nothing: listening sockets are handed to it.

mod table; // What is frozen. Start here.
mod writer; // What makes the next one, and from what.

mod effective;
mod overrides;

mod listener;
mod pool;
mod routes; // Which pool a connection goes to. // Which backends may be picked, and how one is.

// Which backends may be picked, by their states.
mod candidates;
mod evictions;
mod state;
mod tiers;

// How one of them is picked: a file for each policy, and what they share.
mod attempt;
mod chance;
mod explain; // Foretold, and why.
mod least_connections;
mod load;
mod maglev;
mod picked;
mod random;
mod rotation;
mod round_robin;

// What outlives a swap, and how one is made.
mod ack_hold;
mod atomics;
mod backend;
mod counter;
mod counters;
mod drain_window;
mod failures;
mod first;
mod histogram;
mod published;
mod removed;
mod retired;
#[cfg(test)]
mod samples;
mod semaphore;
mod waiters;

// Which clients may connect, how much one source may have, and how fast clients may come.
mod access;
mod access_overrides;
mod guards;
mod limits;
mod rate;
mod sources;

// What a listener needs; the data plane knows the configuration by the table alone.
pub use config::{
    Action, HeaderField, HeaderVersion, Others, Prefix, Refusal, Refuse, SendProxy, TargetRole,
};

pub use crate::access::{AccessCounters, AccessList, Decider};
pub use crate::access_overrides::{
    ACCESS_OVERRIDES_MAX, AccessKey, AccessLayers, AccessOverride, AccessOverrides,
};
pub use crate::ack_hold::AckHold;
pub use crate::backend::{Backend, BackendIndex};
pub use crate::chance::Dice;
pub use crate::counter::{Counter, Gauge, PerWorker};
pub use crate::counters::{
    BackendCounters, ByReason, ListenerCounters, PoolCounters, Refused, WorkerCounters,
};
pub use crate::drain_window::{DrainBucket, DrainWindow};
pub use crate::effective::EffectiveConfig;
pub use crate::explain::{BackendRoute, Outcome, Reason, RouteExplanation, explain_route};
pub use crate::histogram::{Durations, Histogram};
pub use crate::limits::{Limits, LimitsCounters};
pub use crate::listener::{Endpoint, Listener};
pub use crate::overrides::{BackendKey, Drain, Override, Overrides};
pub use crate::picked::Picked;
pub use crate::pool::Pool;
pub use crate::published::{Published, Reader};
pub use crate::rate::Rate;
pub use crate::removed::{Removed, RemovedBackend, RemovedListener};
pub use crate::routes::{Route, Routes};
pub use crate::semaphore::Semaphore;
pub use crate::sources::{
    BURST_TIME_MAX, Entry, Pace, Place, SWEEP_INTERVAL, SWEEP_PARTS, Scope, SourceBounds, SourceHash,
    SourceState, Sources,
};
pub use crate::state::{Availability, BackendState, Inputs, PoolInputs, Role};
pub use crate::table::{Phase, Table};
pub use crate::waiters::Waiters;
pub use crate::writer::{Origin, TableWriter, Written};
