//! The fields that may stand behind the addresses of a header of version 2: type, length, value.

use crate::crc32c;
use crate::fault::Fault;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Its type; see [`kind`].
    pub kind: u8,
    /// At most 65535 bytes.
    pub value: &'a [u8],
}

/// Types of fields.
pub mod kind {
    /// The protocol that was negotiated by ALPN.
    pub const ALPN: u8 = 0x01;
    /// The name that the client asked for, such as the SNI.
    pub const AUTHORITY: u8 = 0x02;
    /// A checksum over the whole header.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// Identifies the connection; at most 128 bytes.
    pub const UNIQUE_ID: u8 = 0x05;
    /// TLS, as the client spoke it.
    pub const SSL: u8 = 0x20;
}

/// The fields of a header that was read, each within its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// Fields as a header has them. What cannot be one ends them.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the header has them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Tlvs<'a> {
    /// Each field, in the order of the header.
    pub fn iter(self) -> impl Iterator<Item = Tlv<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (tlv, after) = split(rest).ok()??;
            rest = after;
            Some(tlv)
        })
    }
}

/// The first field, and what follows; none if there is none.
fn split(bytes: &[u8]) -> Result<Option<(Tlv<'_>, &[u8])>, Fault> {
    match *bytes {
        [] => Ok(None),
        [kind, high, low, ref rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let (value, rest) = rest.split_at_checked(length).ok_or(Fault::TlvTooLong)?;
            Ok(Some((Tlv { kind, value }, rest)))
        }
        [_] | [_, _] => Err(Fault::TlvCut),
    }
}

/// Checks the fields of a header that is all of `header`, and begin at `start`: their lengths, and a checksum.
pub(crate) fn check(header: &[u8], start: usize) -> Result<Tlvs<'_>, Fault> {
    let tlvs = &header[start..];
    let mut rest = tlvs;
    while let Some((tlv, after)) = split(rest)? {
        if tlv.kind == kind::CRC32C {
            let said = tlv.value.try_into().map_err(|_| Fault::Checksum)?;
            let end = header.len() - after.len();
            if checksum(&header[..end - CHECKSUM_BYTES], after) != u32::from_be_bytes(said) {
                return Err(Fault::Checksum);
            }
        }
        rest = after;
    }
    Ok(Tlvs(tlvs))
}

/// The checksum of a header, from what stands before and behind the field's value, which counts as zeroes.
pub(crate) fn checksum(before: &[u8], behind: &[u8]) -> u32 {
    let sum = crc32c::add(crc32c::START, before);
    crc32c::finish(crc32c::add(crc32c::add(sum, &[0; CHECKSUM_BYTES]), behind))
}

/// Bytes of the value of a checksum.
pub(crate) const CHECKSUM_BYTES: usize = 4;
