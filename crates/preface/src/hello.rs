//! Reads which name and which protocols a TLS client asks for: the `ClientHello`, which it sends in clear text.
//!
//! A hello that is not understood is [`Invalid`](Step::Invalid), never one without a name: what a client is refused by
//! its name it must not get by spoiling its hello. Versions, ciphers and other extensions are not judged.

mod fault;
mod message;

use std::ops::Range;

pub use self::fault::{Fault, MESSAGE_BYTES_MAX, WIRE_BYTES_MAX};
pub use self::message::{Hello, Protocols};

/// What the bytes that have arrived come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// So far it is a hello, and this many bytes, from its first on, are needed at least: more than have arrived, and
    /// no more than a whole hello has, in whole records.
    Need(usize),
    /// A whole hello.
    Hello(Hello<'a>),
    /// It does not begin as TLS does: the first byte is not that of a handshake, or the major version is not 3.
    NotTls,
    /// It begins as TLS does, and is no hello, whatever follows.
    Invalid(Fault),
}

/// Reads the hello at the start of `bytes`, which is all that has arrived, or its first [`WIRE_BYTES_MAX`].
///
/// A hello that is fragmented over records is joined in place, so what `bytes` hold afterwards means nothing beside
/// the result.
pub fn read(bytes: &mut [u8]) -> Step<'_> {
    let found = join(bytes).and_then(|message| {
        let fields = message::parse(&bytes[..message.end], message)?;
        Ok(fields)
    });
    match found {
        Ok(fields) => Step::Hello(Hello::new(bytes, fields)),
        Err(Stop::Need(length)) => Step::Need(length),
        Err(Stop::NotTls) => Step::NotTls,
        Err(Stop::Invalid(fault)) => Step::Invalid(fault),
    }
}

/// Why reading stops before the end of a hello.
enum Stop {
    Need(usize),
    NotTls,
    Invalid(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault)
    }
}

/// The header of a record: type, version and length.
const RECORD_HEADER_BYTES: usize = 5;

/// The longest payload of a record, RFC 8446, 5.1.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The header of a message: type and length.
const MESSAGE_HEADER_BYTES: usize = 4;

const HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;
const CLIENT_HELLO: u8 = 1;

/// Joins the payloads of records behind the first header, up to the end of the message; says where that is.
fn join(bytes: &mut [u8]) -> Result<Range<usize>, Stop> {
    const START: usize = RECORD_HEADER_BYTES;
    let (mut at, mut end, mut message_end) = (0, START, START + MESSAGE_HEADER_BYTES);
    loop {
        let length = record_length(&bytes[at..], at, message_end - end)?;
        let (payload, next) = (at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
        let arrived = next.min(bytes.len());
        bytes.copy_within(payload..arrived, end);
        end += arrived - payload;
        message_end = START + message_length(&bytes[START..end])?;
        // What is not in this record takes another one.
        let beyond = message_end.saturating_sub(end + (next - arrived));
        let needed = next + if beyond == 0 { 0 } else { RECORD_HEADER_BYTES + beyond };
        if needed > WIRE_BYTES_MAX {
            return Err(Fault::TooManyRecords.into());
        }
        // A record is of use to a server only when it is whole.
        if arrived < next {
            return Err(Stop::Need(needed));
        }
        if beyond == 0 {
            return Ok(START..message_end);
        }
        at = next;
    }
}

/// The length of the record whose first bytes these are, `at` bytes behind the first; `missing` bytes of the message
/// are in it and those behind it.
fn record_length(record: &[u8], at: usize, missing: usize) -> Result<usize, Stop> {
    let is_first = at == 0;
    let other = || if is_first { Stop::NotTls } else { Fault::OtherRecord.into() };
    let need = |first: usize| Stop::Need(if is_first { first } else { at + RECORD_HEADER_BYTES + missing });
    match *record {
        [] => Err(need(1)),
        [kind, ..] if kind != HANDSHAKE => Err(other()),
        [_] => Err(need(2)),
        [_, major, ..] if major != MAJOR_VERSION => Err(other()),
        [_, _, _, high, low, ..] => match usize::from(u16::from_be_bytes([high, low])) {
            0 => Err(Fault::EmptyRecord.into()),
            RECORD_TOO_LONG.. => Err(Fault::RecordTooLong.into()),
            length => Ok(length),
        },
        _ => Err(need(RECORD_HEADER_BYTES)),
    }
}

const RECORD_TOO_LONG: usize = RECORD_BYTES_MAX + 1;

/// The length of the message whose first bytes these are, with its header; as far as it is known.
fn message_length(message: &[u8]) -> Result<usize, Fault> {
    match *message {
        [kind, ..] if kind != CLIENT_HELLO => Err(Fault::OtherMessage),
        [_, high, middle, low, ..] => {
            let length = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
            if length > MESSAGE_BYTES_MAX { Err(Fault::TooLong) } else { Ok(length) }
        }
        _ => Ok(MESSAGE_HEADER_BYTES),
    }
}
