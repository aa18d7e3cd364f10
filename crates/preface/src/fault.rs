//! Why bytes are no header, or none yet.

use std::fmt;

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
