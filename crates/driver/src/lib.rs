//! The kernel, as rondel uses it: operations are queued, completions returned; sockets, pipes, buffers.
//!
//! [`Driver`] is the seam; [`Uring`] is io_uring behind it. All `unsafe` of rondel is in this crate.

mod driver; // The seam. Start here.
mod uring;

mod listen_group;
mod memory;
mod setup_error;
mod sockets;
mod waker;

pub use crate::driver::{
    BUFFER_SIZE, BUFFERS_MAX, BufferId, Bytes, Completion, Driver, ENDED, Errno, Fd, Op, Pipe, Shortages,
    Token,
};
pub use crate::listen_group::{ListenGroup, Owner, address_of};
pub use crate::memory::give_back_large_memory;
pub use crate::setup_error::SetupError;
pub use crate::sockets::{
    ConnectOptions, ListenOptions, SocketKeepalive, inherit, is_its_own_peer, listen, open, relisten,
};
pub use crate::uring::{BUFFER_BYTES, BUFFERS_MIN, Uring};
pub use crate::waker::Waker;
