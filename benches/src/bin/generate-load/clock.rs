//! The only place that reads the clock.

use std::time::Instant;

/// Now. It is read for every event rather than once per turn: a latency is exact to microseconds, also if many
/// responses arrived at once and were read one after another.
#[expect(clippy::disallowed_methods, reason = "measuring time is what the load is for")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
