//! Writes the header that is sent to a backend before a client's bytes.

use std::io::Write;
use std::net::Ipv6Addr;

use crate::ends::Ends;
use crate::tlv::{self, Tlv, kind};
use crate::v2::{FIXED_BYTES, SIGNATURE};

/// How long a header may become that is sent, in bytes. Fields that it has no room for are left out.
pub const SENT_BYTES_MAX: usize = 1024;

/// A header to send.
#[derive(Clone, Copy)]
pub struct Written {
    bytes: [u8; SENT_BYTES_MAX],
    length: usize,
    /// How many fields were left out, because the header would have become longer than [`SENT_BYTES_MAX`].
    pub left_out: usize,
}

/// A field of a header of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// This one.
    Tlv(Tlv<'a>),
    /// The checksum over the whole header.
    Crc32c,
}

impl Item<'_> {
    fn value_length(&self) -> usize {
        match self {
            Self::Tlv(tlv) => tlv.value.len(),
            Self::Crc32c => tlv::CHECKSUM_BYTES,
        }
    }
}

impl Written {
    /// The line of version 1. Where only one end is IPv4, both are written as IPv6.
    pub fn v1(ends: &Ends) -> Self {
        let mut header = Self::empty();
        let [client_port, destination_port] = ends.ports();
        let mut rest = &mut header.bytes[..];
        let written =
            if let (Some(_), client, destination) = (ends.as_v4(), ends.client.ip(), ends.destination.ip()) {
                write!(rest, "PROXY TCP4 {client} {destination} {client_port} {destination_port}\r\n")
            } else {
                let [client, destination] = ends.as_v6().map(Ipv6Addr::from);
                write!(rest, "PROXY TCP6 {client} {destination} {client_port} {destination_port}\r\n")
            };
        written.expect("a line has at most 107 bytes");
        header.length = SENT_BYTES_MAX - rest.len();
        header
    }

    /// The header of version 2 for the connection of a client, with these fields in this order. Where only one end is
    /// IPv4, both are written as IPv6. If there is no room for all fields, the last ones are left out.
    pub fn v2(ends: &Ends, items: &[Item<'_>]) -> Self {
        let mut header = Self::empty();
        if let Some(addresses) = ends.as_v4() {
            header.put_fixed(COMMAND_PROXY, FAMILY_TCP4);
            header.put(addresses.as_flattened());
        } else {
            header.put_fixed(COMMAND_PROXY, FAMILY_TCP6);
            header.put(ends.as_v6().as_flattened());
        }
        header.put(ends.ports().map(u16::to_be_bytes).as_flattened());
        let checksum = header.put_items(items);
        header.put_length();
        if let Some(at) = checksum {
            header.put_checksum(at);
        }
        header
    }

    /// The header of version 2 for a connection of the sender's own, such as a probe.
    pub fn local() -> Self {
        let mut header = Self::empty();
        header.put_fixed(COMMAND_LOCAL, FAMILY_UNSPECIFIED);
        header
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn empty() -> Self {
        Self { bytes: [0; SENT_BYTES_MAX], length: 0, left_out: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The first 16 bytes, the length left as zero.
    fn put_fixed(&mut self, command: u8, family: u8) {
        self.put(SIGNATURE);
        self.put(&[command, family, 0, 0]);
    }

    /// As many fields as there is room for; says where the value of a checksum begins.
    fn put_items(&mut self, items: &[Item<'_>]) -> Option<usize> {
        let mut room = SENT_BYTES_MAX - self.length;
        let fits = |item: &&Item<'_>| {
            let length = TLV_FIXED_BYTES + item.value_length();
            let rest = room.checked_sub(length);
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        let kept = items.iter().take_while(fits).count();
        self.left_out = items.len() - kept;
        let mut checksum = None;
        for item in &items[..kept] {
            let (kind, value) = match item {
                Item::Tlv(tlv) => (tlv.kind, tlv.value),
                Item::Crc32c => {
                    checksum = Some(self.length + TLV_FIXED_BYTES);
                    (kind::CRC32C, &[0; tlv::CHECKSUM_BYTES][..])
                }
            };
            let length = u16::try_from(value.len()).expect("it fits into a header");
            self.put(&[kind]);
            self.put(&length.to_be_bytes());
            self.put(value);
        }
        checksum
    }

    /// Says how long the header became. It is measured, so that it cannot differ from the bytes.
    fn put_length(&mut self) {
        let length = u16::try_from(self.length - FIXED_BYTES).expect("it fits into a header");
        self.bytes[FIXED_BYTES - 2..FIXED_BYTES].copy_from_slice(&length.to_be_bytes());
    }

    fn put_checksum(&mut self, at: usize) {
        let behind = at + tlv::CHECKSUM_BYTES;
        let sum = tlv::checksum(&self.bytes[..at], &self.bytes[behind..self.length]);
        self.bytes[at..behind].copy_from_slice(&sum.to_be_bytes());
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Written").field(&self.as_bytes().escape_ascii().to_string()).finish()
    }
}

/// Bytes of a field before its value.
const TLV_FIXED_BYTES: usize = 3;

const COMMAND_LOCAL: u8 = 0x20;
const COMMAND_PROXY: u8 = 0x21;
const FAMILY_UNSPECIFIED: u8 = 0x00;
const FAMILY_TCP4: u8 = 0x11;
const FAMILY_TCP6: u8 = 0x21;
