//! Headers of the PROXY protocol: from which peers they are accepted, and what is sent to backends.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::duration;
use crate::prefix::Prefix;

/// The headers that a listener requires of proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Which peers are proxies: each must send a header, which is believed.
    pub from: Proxies,
    /// What happens to other peers.
    pub others: Others,
    /// Which versions are accepted.
    pub versions: HeaderVersions,
}

/// Which peers are proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// Every peer.
    Any,
    /// Those with an address in one of these prefixes.
    Of(Arc<[Prefix]>),
}

impl Proxies {
    /// Whether a peer with this address is a proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Of(prefixes) => prefixes.iter().any(|prefix| prefix.contains(address)),
        }
    }
}

/// What happens to peers that are not proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They are reset.
    Refuse,
    /// They are clients of their own. What they send is not examined, not even for a header.
    Plain,
}

/// Which versions of the header are accepted; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderVersions {
    /// Lines of text.
    pub v1: bool,
    /// Binary.
    pub v2: bool,
}

/// Bounds for clients that have yet to show themselves, such as by a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// How long it may take in all, from the accept on.
    pub timeout: Duration,
    /// How many clients of the listener may be at it, over all workers. At the limit the oldest is reset.
    pub connections_max: u32,
}

/// The header that is sent to backends before the bytes of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendProxy {
    /// Its version.
    pub version: HeaderVersion,
    /// Its fields, in this order; none with version 1.
    pub fields: Vec<HeaderField>,
}

/// A version of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A field of a header of version 2 (TLV).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    /// An identifier of the connection, which the access log has as well.
    UniqueId,
    /// A checksum over the header.
    Crc32c,
    /// The fields of the header that came in, without the two below and without its checksum.
    Pass,
    /// The name that the client asked for, of the header that came in.
    PassAuthority,
    /// How the client spoke TLS, of the header that came in.
    PassSsl,
}

/// Whether probes send the header of their pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeHeader {
    Auto,
    Off,
}

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.from {
            Proxies::Any => "any".to_owned(),
            Proxies::Of(prefixes) => prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        write!(f, "{} from {from}, others: {}", self.versions, self.others)
    }
}

impl fmt::Display for HeaderVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.v1, self.v2) {
            (true, true) => "v1 and v2",
            (true, false) => "v1",
            (false, _) => "v2",
        })
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, connections_max } = self;
        write!(f, "{connections_max} clients at most, each up to {}", duration::show(*timeout))
    }
}

impl fmt::Display for SendProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.fmt(f)?;
        let fields: Vec<_> = self.fields.iter().map(ToString::to_string).collect();
        if fields.is_empty() { Ok(()) } else { write!(f, " with {}", fields.join(", ")) }
    }
}
