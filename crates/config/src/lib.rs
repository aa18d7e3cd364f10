//! Reads the operator's YAML and hands on a [`Config`] that cannot be wrong, or says where it is and
//! what would be right.
//!
//! It opens no socket and asks the host nothing: whether an address can be bound is for those who bind it.

mod address;
mod config; // What a file means. Start here.
mod defaults;
mod describe;
mod duration;
mod error; // ... and when it is reported.
mod fields;
mod file; // tree to what is written,
mod forward;
mod limits;
mod load; // From bytes to meaning, in three steps:
mod meaning; // what is written to what is meant.
mod problem; // A problem while the file is read ...
mod suggest;
mod syntax;
mod tree; // text to tree,

pub use crate::config::{
    Backend, Balance, Config, ConnectionsMax, Keepalive, Listener, Pool, PoolIndex, Runtime, Workers,
};
pub use crate::error::{ConfigError, Position, Problem};
pub use crate::forward::{AddressError, backend_address, listen_address};
