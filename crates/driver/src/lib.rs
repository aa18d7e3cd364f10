//! The kernel, as rondel uses it: operations are queued, completions returned; sockets, pipes, buffers.
//!
//! [`Driver`] is the seam; [`Ring`] is io_uring behind it. All `unsafe` of rondel is in this crate.

mod driver; // The seam. Start here.
mod uring;

mod buffers;
mod listen_group;
mod memory;
mod setup_error;
mod sockets;
mod waker;

pub use crate::buffers::{BUFFER_BYTES, BUFFER_SIZE, BUFFERS_MAX, BUFFERS_MIN};
pub use crate::driver::{
    BufferId, Bytes, Completion, ConnectOptions, Driver, Errno, Fd, Op, Pipe, Shortages, Token,
};
pub use crate::listen_group::{ListenGroup, Owner, address_of};
pub use crate::memory::give_back_large_memory;
pub use crate::setup_error::SetupError;
pub use crate::sockets::{ListenOptions, SocketKeepalive, inherit, listen, open, relisten};
pub use crate::uring::Ring;
pub use crate::waker::Waker;
