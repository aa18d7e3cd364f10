//! The host of the process: limits, listening sockets, systemd, and `rondel doctor`.

mod limits; // CPUs, descriptors, memory and limits of the kernel. Start here.
mod sizing;

mod bind_error;
mod inherited;
mod sockets;

mod notify;
mod stall;

mod own;

pub mod doctor;

pub use crate::bind_error::{BindError, bind_cure};
pub use crate::inherited::Inherited;
pub use crate::limits::{Host, holds};
pub use crate::notify::Notify;
pub use crate::own::{refuse_loops, warnings};
pub use crate::sizing::{Sizes, TooLittle};
pub use crate::sockets::{listen, options};
pub use driver::give_back_large_memory;
