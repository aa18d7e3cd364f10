//! Bytes per second, from two statuses.

use api::{BackendStatus, ListenerStatus, PoolStatus, Status};

/// A status, and an earlier one of the same process.
pub(super) struct Rates<'s> {
    now: &'s Status,
    before: Option<&'s Status>,
}

impl<'s> Rates<'s> {
    /// Without an earlier status there are no rates.
    pub(super) fn new(now: &'s Status, before: Option<&'s Status>) -> Self {
        Self { now, before }
    }

    pub(super) fn of_backend(
        &self,
        pool: &PoolStatus,
        backend: &BackendStatus,
        of: fn(&BackendStatus) -> u64,
    ) -> Option<f64> {
        let earlier = find(&self.before?.pools, &pool.name)?;
        let earlier = earlier.backends.iter().find(|other| other.address == backend.address)?;
        self.per_second(of(backend), of(earlier))
    }

    /// The sum over the backends that both statuses have.
    pub(super) fn of_pool(&self, pool: &PoolStatus, of: fn(&BackendStatus) -> u64) -> Option<f64> {
        let earlier = find(&self.before?.pools, &pool.name)?;
        let sum = |pool: &PoolStatus| pool.backends.iter().map(of).sum();
        self.per_second(sum(pool), sum(earlier))
    }

    pub(super) fn of_listener(
        &self,
        listener: &ListenerStatus,
        of: fn(&ListenerStatus) -> u64,
    ) -> Option<f64> {
        let earlier = self.before?.listeners.iter().find(|other| other.name == listener.name)?;
        self.per_second(of(listener), of(earlier))
    }

    /// Over all listeners.
    pub(super) fn of_all(&self, of: fn(&ListenerStatus) -> u64) -> Option<f64> {
        let sum = |status: &Status| status.listeners.iter().map(of).sum();
        self.per_second(sum(self.now), sum(self.before?))
    }

    /// The increase of a counter. One that is lower than before is of something that was added again.
    fn per_second(&self, now: u64, before: u64) -> Option<f64> {
        let seconds = self.now.uptime_seconds - self.before?.uptime_seconds;
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        (seconds > 0.0).then(|| now.saturating_sub(before) as f64 / seconds)
    }
}

fn find<'p>(pools: &'p [PoolStatus], name: &str) -> Option<&'p PoolStatus> {
    pools.iter().find(|pool| pool.name == name)
}
