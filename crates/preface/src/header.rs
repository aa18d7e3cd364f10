//! A header that was read.

use crate::ends::Ends;
use crate::tlv::Tlvs;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its version, and whether it speaks of a client.
    pub kind: Kind,
    /// How many bytes it has.
    pub length: usize,
    /// Both ends of the client's connection. None if the header does not say them, so that the socket's own count.
    pub ends: Option<Ends>,
    /// The fields of version 2.
    pub tlvs: Tlvs<'a>,
}

/// The version of a header, and whether it speaks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Version 1.
    V1,
    /// Version 2, for a client.
    V2,
    /// Version 2, for the proxy's own connection, such as a probe.
    Local,
}
