//! What is probed.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use config::Probe;

/// A backend and the probe it is asked by. Two that are equal are one: they share a verdict, over pools and over reloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the backend takes connections.
    pub address: SocketAddr,
    /// How it is asked.
    pub probe: Arc<Probe>,
}

impl Hash for Target {
    /// By its address: to hash all of the probe as well would cost more than it saves, because few are asked by two.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}

impl Target {
    /// Where the probe connects to.
    pub fn probed_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.probe.port.unwrap_or_else(|| self.address.port()))
    }
}
