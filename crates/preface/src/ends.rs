//! Both ends of a client's connection.

use std::net::{IpAddr, SocketAddr};

/// Both ends of a client's connection, as a header says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

impl Ends {
    /// Both ends. An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is taken as IPv4, so that no rule and
    /// no limit sees one client as two.
    pub fn new(client: SocketAddr, destination: SocketAddr) -> Self {
        Self { client: canonical(client), destination: canonical(destination) }
    }

    /// Both addresses as IPv4, if both are.
    pub(crate) fn as_v4(&self) -> Option<[[u8; 4]; 2]> {
        match (self.client.ip(), self.destination.ip()) {
            (IpAddr::V4(client), IpAddr::V4(destination)) => Some([client.octets(), destination.octets()]),
            _ => None,
        }
    }

    /// Both addresses as IPv6; IPv4 is mapped.
    pub(crate) fn as_v6(&self) -> [[u8; 16]; 2] {
        [self.client.ip(), self.destination.ip()].map(|address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        })
    }

    pub(crate) fn ports(&self) -> [u16; 2] {
        [self.client.port(), self.destination.port()]
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
