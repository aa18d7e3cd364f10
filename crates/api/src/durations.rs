//! How long things took, as the status says it.

use serde::{Deserialize, Serialize};

/// How long things of one kind took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations {
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

impl Durations {
    /// The buckets with a last one for those beyond every bound, which is infinite.
    pub fn all_buckets(&self) -> Vec<(f64, u64)> {
        let within: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        let beyond = (f64::INFINITY, self.count.saturating_sub(within));
        self.buckets.iter().copied().chain([beyond]).collect()
    }
}
