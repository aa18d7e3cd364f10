//! By when connections are to be gone whose backend or listener leaves. At first none has to go; over the last half of the time ever
//! more have, so that their clients do not all come back at once.
//!
//! ```text
//!   since                      half                       until
//!     ├──────── nobody ────────┼── 1/32, 2/32, ... ─────────┤ everybody
//! ```
//!
//! No worker has a clock for it: each step is another table, whose *cut* is higher. A connection draws a *lot* for life; those below
//! the cut go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connection::CloseReason;

use crate::chance::mix;

/// The time that connections are given to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainWindow {
    /// When it was given.
    pub since: Instant,
    /// When the last of them goes.
    pub until: Instant,
    /// Why those go that have not finished.
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

    /// When, after `now`, the cut rises again.
    pub(crate) fn due(self, now: Instant) -> Option<Instant> {
        self.steps().find(|step| *step > now)
    }

    fn cut(self, now: Instant) -> Cut {
        let taken = self.steps().filter(|step| *step <= now).count();
        Cut { height: u8::try_from(taken).expect("few steps"), reason: self.reason }
    }

    fn steps(self) -> impl Iterator<Item = Instant> {
        let half = (self.until - self.since) / 2;
        (1..=u32::from(STEPS)).map(move |step| self.since + half + half * step / u32::from(STEPS))
    }
}

/// What a connection draws when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrainBucket(u8);

impl DrainBucket {
    /// The lot of this tenant of a worker's slot.
    pub fn of(worker: usize, slot: u32, generation: u32) -> Self {
        let tenant = u64::from(generation) << 32 | u64::from(slot);
        let drawn = mix(tenant ^ mix(worker as u64)) % u64::from(STEPS);
        Self(u8::try_from(drawn).expect("less than the steps"))
    }
}

/// Which connections go: those whose lot is below the height.
#[derive(Clone, Copy, Debug)]
struct Cut {
    height: u8,
    reason: CloseReason,
}

/// The cuts of a table, by the identities of backends and listeners. Those that nobody is below are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts(BTreeMap<usize, Cut>);

impl Cuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why a connection of this lot goes, if it does, of the backend or the listener of this identity.
    pub(crate) fn of(&self, identity: usize, lot: DrainBucket) -> Option<CloseReason> {
        let cut = self.0.get(&identity)?;
        (lot.0 < cut.height).then_some(cut.reason)
    }

    pub(crate) fn set(&mut self, identity: usize, notice: DrainWindow, now: Instant) {
        let cut = notice.cut(now);
        if cut.height > 0 {
            self.0.insert(identity, cut);
        }
    }
}

/// In how many steps connections go: each is another table, and closes so many at once.
const STEPS: u8 = 32;
