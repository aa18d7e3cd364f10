//! The drain windows of a run, worked out a second time: when, at the earliest, connections may be closed for each
//! reason.

use config::{Config, Listener, OnRemove};
use connection::CloseReason;

use crate::agenda::nanos;

/// Every drain window there ever was.
#[derive(Debug, Default)]
pub(crate) struct DrainWindows(Vec<(CloseReason, u64)>);

impl DrainWindows {
    /// A reload at this time, in nanoseconds.
    pub(crate) fn on_reload(&mut self, before: &Config, after: &Config, now: u64) {
        for (removed, pool) in before.pools.iter().zip(&after.pools) {
            let stays = |address| pool.backends.iter().any(|backend| backend.address == address);
            if removed.backends.iter().any(|backend| !stays(backend.address)) {
                self.on_removed(pool.on_remove, now);
            }
        }
        for removed in &before.listeners {
            // Another listener may have taken it over, which this need not know.
            if !after.listeners.iter().any(|listener| continues(listener, removed)) {
                self.on_removed(after.pools[removed.pool.0].on_remove, now);
            }
        }
    }

    fn on_removed(&mut self, on_remove: OnRemove, now: u64) {
        match on_remove {
            OnRemove::Drain(timeout) => self.0.push((CloseReason::Removed, now + nanos(timeout) / 2)),
            OnRemove::Keep => {}
            OnRemove::Close => self.0.push((CloseReason::Removed, now)),
        }
    }

    /// An operator drains a backend within this time, in nanoseconds.
    pub(crate) fn on_drain(&mut self, now: u64, timeout: u64) {
        self.0.push((CloseReason::BackendDrained, now + timeout / 2));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a connection may end for this reason by now.
    pub(crate) fn allow(&self, reason: CloseReason, now: u64) -> bool {
        self.0.iter().any(|(of, from)| *of == reason && *from <= now)
    }
}

/// Whether a listener surely is the one of the config before: they share a name and an address.
fn continues(listener: &Listener, before: &Listener) -> bool {
    listener.name == before.name && listener.addresses.iter().any(|at| before.addresses.contains(at))
}
