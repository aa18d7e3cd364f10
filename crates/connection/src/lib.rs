//! The life of one proxied connection, as state machines that do no I/O, read no clock and draw no
//! random number: a completion goes in, what to do next comes out.

mod close_reason;

pub use crate::close_reason::CloseReason;
