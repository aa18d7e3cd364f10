//! Reads the header that a proxy sends before a client's bytes.

use std::fmt;

use crate::ends::Ends;
use crate::tlv::Tlvs;
use crate::{v1, v2};

/// What the bytes that have arrived come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// So far it is a header, and this many bytes of it, from its first on, are needed at least: more than have
    /// arrived, and no more than a whole header has.
    Need(usize),
    /// A whole header. What follows it is the client's.
    Header(Header<'a>),
    /// It is none, whatever follows.
    Invalid(Fault),
}

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

/// Which versions a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Lines of text.
    pub v1: bool,
    /// Binary.
    pub v2: bool,
}

impl Versions {
    /// Each of them.
    pub const ALL: Self = Self { v1: true, v2: true };
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first bytes are of no version that is taken.
    NoHeader,
    /// Version 1 with another protocol than `TCP4`, `TCP6` and `UNKNOWN`.
    Protocol,
    /// Version 1 with what is no address of the announced family.
    Address,
    /// Version 1 with what is no port: decimal, 0 to 65535, without sign and leading zeroes.
    Port,
    /// Version 1 without CR and LF behind its last field.
    LineEnd,
    /// Version 1 with a line of more than 107 bytes.
    LineTooLong,
    /// Another version than 2 behind the signature of version 2.
    Version,
    /// Version 2 with another command than `LOCAL` and `PROXY`.
    Command,
    /// Version 2 with a family or protocol that it does not have.
    Family,
    /// Version 2 with less than the addresses of its family.
    AddressesCut,
    /// Version 2 with more than [`HEADER_BYTES_MAX`].
    TooLong,
    /// A field of version 2 that is longer than what is left.
    TlvTooLong,
    /// A field of version 2 without all of its length.
    TlvCut,
    /// A checksum that is wrong, or not of 4 bytes.
    Checksum,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "no PROXY header of a version that is accepted",
            Self::Protocol => "a protocol other than TCP4, TCP6 and UNKNOWN",
            Self::Address => "an address that is not of the announced family",
            Self::Port => "a port that is not a decimal from 0 to 65535",
            Self::LineEnd => "no CRLF behind the last field",
            Self::LineTooLong => "a line of more than 107 bytes",
            Self::Version => "a version other than 2 in a binary header",
            Self::Command => "a command other than LOCAL and PROXY",
            Self::Family => "an unknown address family or protocol",
            Self::AddressesCut => "less than the addresses of its family",
            Self::TooLong => "a header of more than 4096 bytes",
            Self::TlvTooLong => "a TLV that exceeds the header",
            Self::TlvCut => "stray bytes behind the last TLV",
            Self::Checksum => "a wrong CRC32C",
        })
    }
}

/// How long a header may be, in bytes. A longer one is invalid as soon as it says its length. It is what nginx takes.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Reads the header at the start of `bytes`, which is all that has arrived.
pub fn read(bytes: &[u8], versions: Versions) -> Step<'_> {
    let read = match bytes {
        [] => return Step::Need(1),
        [b'P', ..] if versions.v1 => v1::read(bytes),
        [b'\r', ..] if versions.v2 => v2::read(bytes),
        _ => Err(Fault::NoHeader.into()),
    };
    match read {
        Ok(header) => Step::Header(header),
        Err(Stop::Need(length)) => Step::Need(length),
        Err(Stop::Invalid(fault)) => Step::Invalid(fault),
    }
}

/// Why reading stops before the end of a header.
#[derive(Debug)]
pub(crate) enum Stop {
    Need(usize),
    Invalid(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault)
    }
}
