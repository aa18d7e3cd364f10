//! What connections are given notice of, told again: when, at the earliest, ends of each reason may come, and by when all have.

use config::{Config, OnRemove};
use connection::CloseReason;

use crate::agenda::nanos;

/// Every notice that was ever given.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<(CloseReason, u64)>);

impl Notices {
    /// A reload at this time, in nanoseconds.
    pub(crate) fn on_reload(&mut self, before: &Config, after: &Config, now: u64) {
        for (gone, pool) in before.pools.iter().zip(&after.pools) {
            let stays = |address| pool.backends.iter().any(|backend| backend.address == address);
            if gone.backends.iter().any(|backend| !stays(backend.address)) {
                self.on_removed(pool.on_remove, now);
            }
        }
        for gone in &before.listeners {
            if !after.listeners.iter().any(|listener| listener.address == gone.address) {
                self.on_removed(after.pools[gone.pool.0].on_remove, now);
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

    /// An operator gives a backend's connections so long, in nanoseconds.
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
