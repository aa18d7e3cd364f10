//! How long things took, as the status says it.

use serde::{Deserialize, Serialize};
use table::Durations;

/// How long things of one kind took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DurationsStatus {
    /// How many there were.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum_seconds: f64,
    /// How long the shorter half took at most, in seconds; none if there were none. It is read from the buckets, so it is as exact
    /// as those are narrow, and at most the last bound.
    pub p50_seconds: Option<f64>,
    /// Likewise, nine of ten.
    pub p90_seconds: Option<f64>,
    /// Likewise, 99 of 100.
    pub p99_seconds: Option<f64>,
    /// Bounds in seconds, each with how many took no longer than it, and longer than the bound before; those beyond the last
    /// are the rest of `count`.
    pub buckets: Vec<(f64, u64)>,
}

impl From<Durations> for DurationsStatus {
    fn from(durations: Durations) -> Self {
        let quantile = |permille| durations.quantile(permille).map(|duration| duration.as_secs_f64());
        Self {
            count: durations.count,
            sum_seconds: durations.sum.as_secs_f64(),
            p50_seconds: quantile(500),
            p90_seconds: quantile(900),
            p99_seconds: quantile(990),
            buckets: durations.buckets.iter().map(|(bound, count)| (bound.as_secs_f64(), *count)).collect(),
        }
    }
}

impl DurationsStatus {
    /// The buckets with a last one for those beyond every bound, which is infinite.
    pub(crate) fn all_buckets(&self) -> Vec<(f64, u64)> {
        let within: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        let beyond = (f64::INFINITY, self.count.saturating_sub(within));
        self.buckets.iter().copied().chain([beyond]).collect()
    }
}
