//! What stands before the bytes of a connection: headers of the PROXY protocol, versions 1 and 2, read and written,
//! and the hello of a TLS client, read.
//!
//! Nothing here does I/O or asks for memory. [`read`] and [`hello::read`] are given all that has arrived so far, and
//! say how much more is needed at least, so that a caller that peeks waits for exactly that.

mod read; // The header that a proxy sent. Start here.
mod v1;
mod v2;

pub mod hello; // What a TLS client asks for.

mod write; // The header that is sent on.

mod crc32c;
mod ends;
mod fault;
mod header;
mod tlv;

pub use crate::ends::Ends;
pub use crate::fault::{Fault, HEADER_BYTES_MAX};
pub use crate::header::{Header, Kind};
pub use crate::read::{Step, Versions, read};
pub use crate::tlv::{Tlv, Tlvs, kind};
pub use crate::write::{Item, SENT_BYTES_MAX, Written};
