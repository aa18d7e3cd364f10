//! Reads the operator's YAML and hands on a [`Config`] that cannot be wrong, or says where it is and
//! what would be right.
//!
//! It opens no socket and asks the host nothing: whether an address can be bound is for those who bind it.

// What a file means. Start here.
mod config;
pub mod probe;

// From a path or bytes to that, in three steps: text to tree, tree to what is written, what is written to
// what is meant.
mod load;
mod regular;

mod precheck;
mod shape;
mod tree;

mod file;
mod listening;
mod pooling;
mod probing;
mod sections;

mod own;
mod resolve;

// What the steps use: readers for the nodes of a tree and for the texts in them, and the numbers they hold to.
mod address;
mod defaults;
mod duration;
mod escaped;
mod fields;
mod limits;
mod scalar;
mod size;
mod tokens;

// What is wrong: while it is found, the guesses about it, and the report.
mod problem;
mod span;

mod foreign;
mod place;
mod recognise;
mod suggest;
mod syntax;

mod error;

// What else there is to a configuration: its words, the one that needs no file, what one changes, and all keys.
mod changes;
mod describe;
mod forward;
pub mod reference;

// Sentences that other crates build about names and numbers.
mod sentences;

// What is right, and likely to be meant otherwise.
mod warning;

pub use crate::changes::Changes;
pub use crate::config::{
    ADMIN_SOCKET_DEFAULT, AccessLog, Admin, AdminSocket, Backend, Balance, Config, ConnectionsMax, Eject,
    Failback, Fallback, Keepalive, LagMax, ListenAddress, Listener, LogFormat, LogTarget, OnAllDown,
    OnDemotion, OnLoss, OnRemove, Pool, PoolIndex, Runtime, TargetRole, Tier, Tiers, Waiting, Workers,
};
pub use crate::duration::show as show_duration;
pub use crate::error::{ConfigError, Position, Problem};
pub use crate::forward::{TextError, backend_address, listen_address, read_duration};
pub use crate::own::{OwnBackend, OwnPlace};
pub use crate::probe::Probe;
pub use crate::regular::read_file;
pub use crate::sentences::{counted, listed, unknown};
pub use crate::size::show as show_size;
pub use crate::warning::Warning;
