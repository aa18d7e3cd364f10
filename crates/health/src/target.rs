//! What is probed.

use std::net::SocketAddr;
use std::sync::Arc;

use config::Probe;

/// A backend and the probe it is asked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the backend takes connections.
    pub address: SocketAddr,
    /// How it is asked.
    pub probe: Arc<Probe>,
}

/// What tells a server from all others, over reloads: a backend at this address, of the pool of this name.
///
/// The probe is no part of it: a server that is asked in another way is the same server. Two pools with a backend at
/// one address each ask it for themselves, because each may ask something else and count in another way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    /// The pool's name.
    pub pool: Arc<str>,
    /// Where the backend takes connections.
    pub address: SocketAddr,
}

impl Target {
    /// Where the probe connects to.
    pub fn probed_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.probe.port.unwrap_or_else(|| self.address.port()))
    }

    /// Whether an answer to this is an answer to the other, too: they differ at most in when they are asked and in
    /// what is made of it.
    pub(crate) fn asks_the_same(&self, other: &Self) -> bool {
        let asked = |target: &Self| (target.address, target.probe.port, target.probe.source);
        asked(self) == asked(other) && self.probe.kind == other.probe.kind
    }
}
