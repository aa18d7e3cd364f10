//! The fields of a `ClientHello`, RFC 8446, 4.1.2; the name, RFC 6066, 3; the protocols, RFC 7301, 3.1.

use std::ops::Range;

use super::fault::Fault;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The name of the server (SNI): lower case, without the dot at its end. It may be an IP address, which clients
    /// are not to send. With an encrypted `ClientHello` (ECH) it is the outer one.
    pub name: Option<&'a str>,
    /// The protocols that the client offers (ALPN).
    pub protocols: Protocols<'a>,
}

/// A list of protocols, in the order of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocols<'a>(&'a [u8]);

impl<'a> Protocols<'a> {
    /// A list as a hello has it, each protocol behind its length. What cannot be one ends it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the hello has them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Each protocol; none is empty.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first()?;
            let (protocol, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(protocol)
        })
    }
}

impl<'a> Hello<'a> {
    /// The hello whose fields are there in `bytes`.
    pub(super) fn new(bytes: &'a mut [u8], fields: Fields) -> Self {
        if let Some(name) = fields.name.clone() {
            bytes[name].make_ascii_lowercase();
        }
        let bytes = &*bytes;
        let text = |name| std::str::from_utf8(&bytes[name]).expect("a name is of ASCII");
        Self { name: fields.name.map(text), protocols: Protocols(&bytes[fields.protocols.unwrap_or(0..0)]) }
    }
}

/// Where the fields of a hello are that are of use.
#[derive(Default)]
pub(super) struct Fields {
    name: Option<Range<usize>>,
    protocols: Option<Range<usize>>,
}

/// Finds the fields of the message at `range`, its header included.
pub(super) fn parse(bytes: &[u8], range: Range<usize>) -> Result<Fields, Fault> {
    let mut message = Reader { bytes, range };
    message.take(HEADER_BYTES + VERSION_BYTES + RANDOM_BYTES)?;
    let session = message.list(1, 0)?;
    let ciphers = message.list(2, 2)?;
    message.list(1, 1)?; // Compression methods.
    if session.len() > SESSION_BYTES_MAX || ciphers.len() % 2 == 1 {
        return Err(Fault::Length);
    }
    let mut fields = Fields::default();
    // Clients older than extensions send none.
    if message.is_empty() {
        return Ok(fields);
    }
    let mut extensions = message.within(2, 0)?;
    message.end()?;
    while !extensions.is_empty() {
        let kind = extensions.number(2)?;
        let extension = extensions.within(2, 0)?;
        match kind {
            SERVER_NAME if fields.name.is_some() => return Err(Fault::TwoNames),
            SERVER_NAME => fields.name = Some(name(extension)?),
            PROTOCOLS if fields.protocols.is_some() => return Err(Fault::TwoProtocolLists),
            PROTOCOLS => fields.protocols = Some(protocols(extension)?),
            _ => {}
        }
    }
    Ok(fields)
}

const HEADER_BYTES: usize = 4;
const VERSION_BYTES: usize = 2;
const RANDOM_BYTES: usize = 32;
const SESSION_BYTES_MAX: usize = 32;

/// The types of extensions.
const SERVER_NAME: usize = 0;
const PROTOCOLS: usize = 16;

/// The type of a name that is a host's, the only one that there is.
const HOST_NAME: usize = 0;

/// As long as names of DNS get.
const NAME_BYTES_MAX: usize = 255;

/// Finds the name of a host in a list of names.
fn name(mut extension: Reader<'_>) -> Result<Range<usize>, Fault> {
    let mut names = extension.within(2, 1)?;
    extension.end()?;
    let mut found = None;
    // How long a name of another type is is not known, so it ends the list.
    while !names.is_empty() && names.number(1)? == HOST_NAME {
        if found.replace(names.list(2, 1)?).is_some() {
            return Err(Fault::TwoNames);
        }
    }
    let Range { start, end } = found.ok_or(Fault::Name)?;
    let name = &extension.bytes[start..end];
    let length = name.strip_suffix(b".").unwrap_or(name).len();
    let is_name = length > 0 && name.len() <= NAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic);
    if is_name { Ok(start..start + length) } else { Err(Fault::Name) }
}

/// Finds a list of protocols, which is checked.
fn protocols(mut extension: Reader<'_>) -> Result<Range<usize>, Fault> {
    let mut protocols = extension.within(2, 1)?;
    extension.end()?;
    let range = protocols.range.clone();
    while !protocols.is_empty() {
        protocols.list(1, 1)?;
    }
    Ok(range)
}

/// A part of the bytes that has yet to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    range: Range<usize>,
}

impl Reader<'_> {
    fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Nothing may be left.
    fn end(&self) -> Result<(), Fault> {
        if self.is_empty() { Ok(()) } else { Err(Fault::Length) }
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, Fault> {
        if length > self.range.len() {
            return Err(Fault::Length);
        }
        let start = self.range.start;
        self.range.start += length;
        Ok(start..self.range.start)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, Fault> {
        let digits = self.take(bytes)?;
        Ok(self.bytes[digits].iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What stands behind a length of `digits` bytes, which is at least `shortest`.
    fn list(&mut self, digits: usize, shortest: usize) -> Result<Range<usize>, Fault> {
        let length = self.number(digits)?;
        if length < shortest { Err(Fault::Length) } else { self.take(length) }
    }

    /// The same, to be read.
    fn within(&mut self, digits: usize, shortest: usize) -> Result<Self, Fault> {
        let range = self.list(digits, shortest)?;
        Ok(Self { bytes: self.bytes, range })
    }
}
