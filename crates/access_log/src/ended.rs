//! The connections that ended last, of all workers.

use std::collections::VecDeque;
use std::time::Instant;

use api::Ended;

/// The connections that ended last, in the order in which they ended; at most [`ENDED_MAX`].
#[derive(Default)]
pub(crate) struct LastEnded(VecDeque<(Instant, Ended)>);

/// How many ended connections are kept.
pub(crate) const ENDED_MAX: usize = 100;

impl LastEnded {
    /// Inserts a connection by the time of its end. Workers deliver their records independently of each other, so
    /// records do not arrive in order.
    pub(crate) fn insert(&mut self, ended_at: Instant, ended: Ended) {
        let index = self.0.partition_point(|(other, _)| *other <= ended_at);
        self.0.insert(index, (ended_at, ended));
        if self.0.len() > ENDED_MAX {
            self.0.pop_front();
        }
    }

    pub(crate) fn latest_first(&self) -> Vec<Ended> {
        self.0.iter().rev().map(|(_, ended)| ended.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{ENDED_MAX, LastEnded};
    use crate::line::tests::ended;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn the_latest_end_comes_first_in_any_order_of_delivery() {
        let start = Instant::now();
        let mut last = LastEnded::default();
        // Two workers with every second end each, delivered one worker after the other.
        let seconds = (0..ENDED_MAX as u64 + 10).filter(|second| second % 2 == 0);
        for second in seconds.clone().chain(seconds.map(|second| second + 1)) {
            last.insert(start + Duration::from_secs(second), ended(second));
        }
        let latest_first: Vec<u64> = last.latest_first().iter().map(|ended| ended.bytes_to_client).collect();
        let expected: Vec<u64> = (10..ENDED_MAX as u64 + 10).rev().collect();
        assert_eq!(latest_first, expected);
    }
}
