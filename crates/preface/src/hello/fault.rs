//! Why what begins as TLS does is no hello.

use std::fmt;

/// Why what begins as TLS does is no hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A record that is no handshake, before the end of the hello.
    OtherRecord,
    /// A record without a payload.
    EmptyRecord,
    /// A record of more than 16384 bytes.
    RecordTooLong,
    /// Another message than a `ClientHello`.
    OtherMessage,
    /// More than [`MESSAGE_BYTES_MAX`].
    TooLong,
    /// More than [`WIRE_BYTES_MAX`], because its records are short.
    TooManyRecords,
    /// A length that disagrees with another one, or is out of its range.
    Length,
    /// More than one name, or a list of names twice.
    TwoNames,
    /// A name that is empty, longer than 255 bytes or not of printable ASCII, or a list without a name of a host.
    Name,
    /// A list of protocols twice.
    TwoProtocolLists,
}

/// How long a hello may be, in bytes, with the four that say its type and length. It fits in one record.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// How much of what arrives a hello may take, in bytes, with the headers of its records.
pub const WIRE_BYTES_MAX: usize = 64 * 1024;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherRecord => "a record that is no handshake",
            Self::EmptyRecord => "a record without a payload",
            Self::RecordTooLong => "a record of more than 16384 bytes",
            Self::OtherMessage => "a message other than a ClientHello",
            Self::TooLong => "a ClientHello of more than 16384 bytes",
            Self::TooManyRecords => "a ClientHello in records of more than 65536 bytes",
            Self::Length => "lengths that disagree",
            Self::TwoNames => "two server names",
            Self::Name => "a server name that is none",
            Self::TwoProtocolLists => "two lists of protocols",
        })
    }
}
