//! Histograms of durations.

use serde::{Deserialize, Serialize};

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// The number of durations.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum_seconds: f64,
    /// The 50th percentile, in seconds; `null` if `count` is 0. It is interpolated within a bucket, and at most
    /// the last bound.
    pub p50_seconds: Option<f64>,
    /// The 90th percentile, in seconds.
    pub p90_seconds: Option<f64>,
    /// The 99th percentile, in seconds.
    pub p99_seconds: Option<f64>,
    /// Buckets: the upper bound in seconds, and how many durations are above the bound before and at most this
    /// one. Durations above the last bound are the rest of `count`.
    pub buckets: Vec<(f64, u64)>,
}

impl Durations {
    /// The buckets, followed by one with an infinite bound.
    pub fn all_buckets(&self) -> Vec<(f64, u64)> {
        let within: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        let beyond = (f64::INFINITY, self.count.saturating_sub(within));
        self.buckets.iter().copied().chain([beyond]).collect()
    }
}
