//! The kernel, as rondel uses it: operations are queued, completions returned; sockets, pipes, buffers.

mod sockets;

pub use crate::sockets::{ListenOptions, SocketKeepalive, listen, relisten};
