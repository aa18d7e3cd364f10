//! Version 1: a line of text, such as `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, that CR and LF end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ends::Ends;
use crate::fault::{Fault, Stop};
use crate::header::{Header, Kind};
use crate::tlv::Tlvs;

/// How long a line may be, in bytes, CR and LF included.
const LINE_BYTES_MAX: usize = 107;

const END: &[u8] = b"\r\n";

pub(crate) fn read(bytes: &[u8]) -> Result<Header<'_>, Stop> {
    let mut line = Line { bytes, at: 0 };
    line.word(b"PROXY ", Fault::NoHeader)?;
    let ends = match line.byte()? {
        b'U' => {
            line.word(b"NKNOWN", Fault::Protocol)?;
            line.unknown()?;
            None
        }
        b'T' => {
            line.word(b"CP", Fault::Protocol)?;
            let (longest, address): (_, fn(&str) -> Option<IpAddr>) = match line.byte()? {
                b'4' => (V4_BYTES_MAX, |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
                b'6' => (V6_BYTES_MAX, |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)),
                _ => return Err(Fault::Protocol.into()),
            };
            line.word(b" ", Fault::Protocol)?;
            let mut next = || {
                let text = line.field(longest, is_of_address, Fault::Address)?;
                address(text).ok_or(Stop::from(Fault::Address))
            };
            let (client, destination) = (next()?, next()?);
            let client = SocketAddr::new(client, port(line.field(PORT_BYTES_MAX, is_digit, Fault::Port)?)?);
            let destination = SocketAddr::new(destination, port(line.digits()?)?);
            line.word(END, Fault::LineEnd)?;
            Some(Ends::new(client, destination))
        }
        _ => return Err(Fault::Protocol.into()),
    };
    Ok(Header { kind: Kind::V1, length: line.at, ends, tlvs: Tlvs::default() })
}

/// The longest address of IPv4: `255.255.255.255`.
const V4_BYTES_MAX: usize = 15;

/// The longest address of IPv6, the last four bytes in the form of IPv4.
const V6_BYTES_MAX: usize = 45;

const PORT_BYTES_MAX: usize = 5;

fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn port(text: &str) -> Result<u16, Fault> {
    let port = text.parse().map_err(|_| Fault::Port)?;
    if text.len() > 1 && text.starts_with('0') { Err(Fault::Port) } else { Ok(port) }
}

/// A line, as far as it has arrived, and how far it was read.
struct Line<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Line<'a> {
    fn byte(&mut self) -> Result<u8, Stop> {
        if self.at == LINE_BYTES_MAX {
            return Err(Fault::LineTooLong.into());
        }
        let byte = *self.bytes.get(self.at).ok_or(Stop::Need(self.at + 1))?;
        self.at += 1;
        Ok(byte)
    }

    /// Takes exactly this.
    fn word(&mut self, word: &[u8], fault: Fault) -> Result<(), Stop> {
        word.iter()
            .try_for_each(|expected| if self.byte()? == *expected { Ok(()) } else { Err(fault.into()) })
    }

    /// Takes a field of at most `longest` such bytes, and the space behind it.
    fn field(&mut self, longest: usize, is_of: fn(u8) -> bool, fault: Fault) -> Result<&'a str, Stop> {
        let field = self.run(longest, is_of, fault)?;
        self.word(b" ", fault)?;
        Ok(field)
    }

    /// Takes the digits of a port.
    fn digits(&mut self) -> Result<&'a str, Stop> {
        self.run(PORT_BYTES_MAX, is_digit, Fault::Port)
    }

    /// Takes all such bytes, of which there is one at least.
    fn run(&mut self, longest: usize, is_of: fn(u8) -> bool, fault: Fault) -> Result<&'a str, Stop> {
        let start = self.at;
        while is_of(self.byte()?) {
            if self.at - start > longest {
                return Err(fault.into());
            }
        }
        self.at -= 1;
        let field = std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| fault)?;
        if field.is_empty() { Err(fault.into()) } else { Ok(field) }
    }

    /// Takes all up to the end of the line. Whatever follows `UNKNOWN` is to be ignored.
    fn unknown(&mut self) -> Result<(), Stop> {
        match self.byte()? {
            b' ' => {}
            b'\r' => return self.word(b"\n", Fault::LineEnd),
            _ => return Err(Fault::Protocol.into()),
        }
        while !self.bytes[..self.at].ends_with(END) {
            self.byte()?;
        }
        Ok(())
    }
}
