//! The life of one proxied connection, as state machines that do no I/O, read no clock and draw no
//! random number: a completion goes in, what to do next comes out.

mod half; // One direction of bytes. Start here.
mod queue;
mod relay;

mod close_reason;
mod parting;
mod termination;

pub use crate::close_reason::CloseReason;
pub use crate::half::{
    Fault, Half, HalfView, Next, Output, QUEUE_BUFFERS_MAX, QUEUE_BYTES_MAX, Receive, Spliced, Waiting,
};
pub use crate::parting::Parting;
pub use crate::queue::{Chunk, Chunks, Queue};
pub use crate::relay::{Direction, IdleTimeouts, Relay};
pub use crate::termination::{Stage, Termination};
