//! The target of probes.

use std::net::SocketAddr;
use std::sync::Arc;

use config::Probe;

/// A backend and its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address of the backend.
    pub address: SocketAddr,
    /// The probe.
    pub probe: Arc<Probe>,
}

/// The identity of a server over reloads: a backend at this address in the pool of this name.
///
/// The probe is not part of it: a server with another probe is the same server. If two pools have a backend at the
/// same address, each probes it, because their probes and thresholds may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The address of the backend.
    pub address: SocketAddr,
}

impl Target {
    /// The address that the probe connects to.
    pub fn probed_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.probe.port.unwrap_or_else(|| self.address.port()))
    }

    /// Whether an answer to this probe is an answer to the other one: they differ at most in schedule and
    /// thresholds.
    pub(crate) fn asks_the_same(&self, other: &Self) -> bool {
        let asked =
            |target: &Self| (target.address, target.probe.port, target.probe.source, target.probe.send_proxy);
        asked(self) == asked(other) && self.probe.kind == other.probe.kind
    }
}
