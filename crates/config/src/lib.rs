//! Reads the operator's YAML and hands on a [`Config`] that cannot be wrong, or says where it is and
//! what would be right.
//!
//! It opens no socket and asks the host nothing: whether an address can be bound is for those who bind it.

mod config; // What a file means. Start here.

pub use crate::config::{
    Backend, Balance, Config, ConnectionsMax, Keepalive, Listener, Pool, PoolIndex, Runtime, Workers,
};
