//! Version 2: a signature, four bytes that say what follows and how much, addresses, fields.
//!
//! ```text
//! | signature: 12 | version: ½ | command: ½ | family: ½ | protocol: ½ | length of what follows: 2 |
//! | addresses: 12, 36 or 216 | fields, each: type 1, length 2, value |
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ends::Ends;
use crate::fault::{Fault, HEADER_BYTES_MAX, Stop};
use crate::header::{Header, Kind};
use crate::tlv::{self, Tlvs};

pub(crate) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses.
pub(crate) const FIXED_BYTES: usize = 16;

/// Bytes of the addresses, by family: two of them, and two ports; a path of 108 bytes each.
const V4_BYTES: usize = 12;
const V6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;

pub(crate) fn read(bytes: &[u8]) -> Result<Header<'_>, Stop> {
    let arrived = &bytes[..bytes.len().min(SIGNATURE.len())];
    if !SIGNATURE.starts_with(arrived) {
        return Err(Fault::NoHeader.into());
    }
    // Each byte is judged as soon as it is there.
    let kind = bytes.get(12).map(|byte| kind_of(*byte)).transpose()?;
    let family = bytes.get(13).copied();
    if let (Some(Kind::V2), Some(family)) = (kind, family)
        && (family >> 4 > 3 || family & 0xf > 2)
    {
        return Err(Fault::Family.into());
    }
    let (Some(kind), Some(family), Some(length)) = (kind, family, bytes.get(14..FIXED_BYTES)) else {
        return Err(Stop::Need(FIXED_BYTES));
    };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length > HEADER_BYTES_MAX {
        return Err(Fault::TooLong.into());
    }
    let Some(header) = bytes.get(..length) else { return Err(Stop::Need(length)) };
    let (ends, tlvs) = match kind {
        // Neither its addresses nor its fields mean anything.
        Kind::Local => (None, Tlvs::default()),
        Kind::V2 | Kind::V1 => read_body(header, family)?,
    };
    Ok(Header { kind, length, ends, tlvs })
}

fn kind_of(byte: u8) -> Result<Kind, Fault> {
    match (byte >> 4, byte & 0xf) {
        (2, 0) => Ok(Kind::Local),
        (2, 1) => Ok(Kind::V2),
        (2, _) => Err(Fault::Command),
        _ => Err(Fault::Version),
    }
}

/// Reads what follows the first 16 bytes. `family` is one of those that there are.
fn read_body(header: &[u8], family: u8) -> Result<(Option<Ends>, Tlvs<'_>), Fault> {
    let (family, protocol) = (family >> 4, family & 0xf);
    let length = match family {
        1 => V4_BYTES,
        2 => V6_BYTES,
        3 => UNIX_BYTES,
        // How long its addresses are is not said, so there is no telling where fields begin.
        _ => return Ok((None, Tlvs::default())),
    };
    if protocol == 0 {
        return Ok((None, Tlvs::default()));
    }
    let start = FIXED_BYTES + length;
    let addresses = header.get(FIXED_BYTES..start).ok_or(Fault::AddressesCut)?;
    let tlvs = tlv::check(header, start)?;
    // A path, or a datagram: the socket's own ends count.
    let is_tcp = protocol == 1;
    let ends = match family {
        1 if is_tcp => Some(ends(addresses, |octets: [u8; 4]| Ipv4Addr::from(octets).into())),
        2 if is_tcp => Some(ends(addresses, |octets: [u8; 16]| Ipv6Addr::from(octets).into())),
        _ => None,
    };
    Ok((ends, tlvs))
}

/// Both ends: two addresses, then two ports.
fn ends<const N: usize>(bytes: &[u8], address: fn([u8; N]) -> std::net::IpAddr) -> Ends {
    let (addresses, ports) = bytes.split_at(2 * N);
    let end = |index: usize| {
        let octets = addresses[index * N..][..N].try_into().expect("a slice of this length");
        let port = u16::from_be_bytes([ports[2 * index], ports[2 * index + 1]]);
        SocketAddr::new(address(octets), port)
    };
    Ends::new(end(0), end(1))
}
