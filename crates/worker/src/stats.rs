//! What a connection remembers of its life, for queries and for the record of its end.
//!
//! It is written where the things happen, by the time of the turn: no clock is read and no call made for it.

use std::time::{Duration, Instant};

use connection::Direction;

/// What a connection remembers of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStats {
    /// When the client was accepted.
    pub accepted_at: Instant,
    /// How long it waited so far: for a permit of its listener, on its way to another worker, for a primary, for a
    /// permit of a backend.
    pub waited: Micros,
    /// How long it was connecting so far, all attempts together. With `waited` it is all the time until it had its
    /// backend.
    pub connecting: Micros,
    /// How many waited before it for the same, over all workers, when it began to wait for the last time; 0 if it
    /// never did.
    pub ahead: u32,
    /// Attempts to connect that were begun, at most 255 of them counted.
    pub attempts: u8,
    /// Which way bytes went last, so that the side that was given them is the one to go on; it is the client's turn
    /// until any went.
    pub last: Direction,
    /// Bytes that were delivered, by [`Direction`].
    pub bytes: [u64; 2],
}

/// A time in microseconds, up to 71 minutes: what is longer counts as that. Attempts to connect may take longer in
/// all, but not in practice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u32);

impl ConnectionStats {
    /// A client was accepted then.
    pub(crate) fn new(accepted_at: Instant) -> Self {
        Self {
            accepted_at,
            waited: Micros::default(),
            connecting: Micros::default(),
            ahead: 0,
            attempts: 0,
            last: Direction::ToClient,
            bytes: [0; 2],
        }
    }

    /// Bytes were delivered.
    pub(crate) fn on_delivered(&mut self, direction: Direction, bytes: u32) {
        self.bytes[direction as usize] += u64::from(bytes);
        self.last = direction;
    }
}

impl Micros {
    /// Adds the time from `since` until `now`.
    pub fn add(&mut self, since: Instant, now: Instant) {
        let passed = now.saturating_duration_since(since).as_micros();
        self.0 = self.0.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
    }
}

impl From<Micros> for Duration {
    fn from(Micros(micros): Micros) -> Self {
        Self::from_micros(micros.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Micros;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
    fn times_add_up_and_stop_at_the_most() {
        let now = Instant::now();
        let mut time = Micros::default();
        time.add(now, now + Duration::from_nanos(2_900));
        time.add(now, now + Duration::from_millis(1));
        assert_eq!(Duration::from(time), Duration::from_micros(1_002));
        time.add(now + Duration::from_secs(1), now);
        assert_eq!(Duration::from(time), Duration::from_micros(1_002), "time does not go back");
        time.add(now, now + Duration::from_secs(7_200));
        assert_eq!(Duration::from(time), Duration::from_micros(u32::MAX.into()));
    }
}
