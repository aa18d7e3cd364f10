//! The time that connections of a drained or removed backend or listener have to finish. For the first half none
//! is closed; over the second half they are closed step by step, so that their clients do not all reconnect at
//! once.
//!
//! ```text
//!   since                      half                       until
//!     ├──────── none ──────────┼── 1/32, 2/32, ... ─────────┤ all
//! ```
//!
//! Workers have no clock for it: each step is another table, with one more *drained bucket*. A connection is in
//! one bucket for life, and is closed when that is drained.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connection::CloseReason;

use crate::chance::mix;

/// The time that connections have to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainWindow {
    /// When it began.
    pub since: Instant,
    /// When the last of them is closed.
    pub until: Instant,
    /// Why those are closed that have not finished.
    pub reason: CloseReason,
}

impl DrainWindow {
    /// Of a backend that an operator drains.
    pub fn drained(since: Instant, timeout: Duration) -> Self {
        Self { since, until: since + timeout, reason: CloseReason::BackendDrained }
    }

    /// Of what a reload removed.
    pub fn removed(since: Instant, timeout: Duration) -> Self {
        Self { since, until: since + timeout, reason: CloseReason::Removed }
    }

    /// When, after `now`, another bucket is drained.
    pub(crate) fn due(self, now: Instant) -> Option<Instant> {
        self.steps().find(|step| *step > now)
    }

    fn drained_buckets(self, now: Instant) -> u8 {
        let passed = self.steps().filter(|step| *step <= now).count();
        u8::try_from(passed).expect("few steps")
    }

    fn steps(self) -> impl Iterator<Item = Instant> {
        let half = (self.until - self.since) / 2;
        (1..=u32::from(BUCKETS)).map(move |step| self.since + half + half * step / u32::from(BUCKETS))
    }
}

/// Which step of a drain closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrainBucket(u8);

impl DrainBucket {
    /// The bucket of this tenant of a worker's slot.
    pub fn of(worker: usize, slot: u32, generation: u32) -> Self {
        let tenant = u64::from(generation) << 32 | u64::from(slot);
        let bucket = mix(tenant ^ mix(worker as u64)) % u64::from(BUCKETS);
        Self(u8::try_from(bucket).expect("less than the number of buckets"))
    }
}

/// The drained buckets of a table, by the identities of backends and listeners. Those with none are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrainedBuckets(BTreeMap<usize, Drained>);

/// How many buckets of a backend or listener are drained, the lowest first.
#[derive(Clone, Copy, Debug)]
struct Drained {
    buckets: u8,
    reason: CloseReason,
}

impl DrainedBuckets {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why a connection in this bucket of the backend or the listener of this identity is closed, if it is.
    pub(crate) fn of(&self, identity: usize, bucket: DrainBucket) -> Option<CloseReason> {
        let drained = self.0.get(&identity)?;
        (bucket.0 < drained.buckets).then_some(drained.reason)
    }

    pub(crate) fn set(&mut self, identity: usize, window: DrainWindow, now: Instant) {
        let buckets = window.drained_buckets(now);
        if buckets > 0 {
            self.0.insert(identity, Drained { buckets, reason: window.reason });
        }
    }
}

/// In how many steps connections are closed: each is another table, and closes about as many.
const BUCKETS: u8 = 32;
