//! The kernel, as rondel uses it: operations are queued, completions returned; sockets, pipes, buffers.

mod setup_error;
mod sockets;
mod waker;

pub use crate::setup_error::SetupError;
pub use crate::sockets::{ListenOptions, SocketKeepalive, listen, relisten};
pub use crate::waker::Waker;
