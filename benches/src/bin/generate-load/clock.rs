//! The one place that reads the clock.

use std::time::Instant;

/// Now. It is read for every event rather than once a turn: a latency is good to microseconds, also where many
/// answers came at once and were read one after the other.
#[expect(clippy::disallowed_methods, reason = "measuring time is what the load is for")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
