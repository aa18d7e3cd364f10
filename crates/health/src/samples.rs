//! Settings and times for unit tests.

use std::time::{Duration, Instant};

use config::probe::{Damping, Rhythm};

pub(crate) const DAMPING_OFF: Damping = Damping { downs_free: 0, window: Duration::ZERO };

pub(crate) const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_secs(2),
    interval_in_transition: Duration::from_millis(500),
    timeout: Duration::from_secs(1),
    jitter_percent: 10,
};

/// A time to count from.
#[expect(clippy::disallowed_methods, reason = "there is no other way to come by an `Instant`")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}
