//! How often what operators say about addresses makes a table: at once while there is little of it, and once for all
//! that is said meanwhile when there is much.
//!
//! Of commands that come one after the other, [`AT_ONCE`] make a table each, and after them one each [`INTERVAL`]: ten
//! a second at most. What was said is in force by then, [`INTERVAL`] after its command at the latest.

use std::time::{Duration, Instant};

/// When the next table may be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessPace {
    /// When the next table would be made if they came evenly.
    even: Instant,
}

impl AccessPace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { even: now }
    }

    /// Whether a table may be made now. It counts as made.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let may = self.next() <= now;
        if may {
            self.even = self.even.max(now) + INTERVAL;
        }
        may
    }

    /// When a table may be made.
    pub(crate) fn next(&self) -> Instant {
        // An early instant may be before the first one that there is.
        self.even.checked_sub(INTERVAL * (AT_ONCE - 1)).unwrap_or(self.even)
    }
}

/// How many tables may be made at once.
const AT_ONCE: u32 = 5;

/// The time from one table to the next while commands do not stop.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{AT_ONCE, AccessPace, INTERVAL};
    use crate::monitor::now;

    #[test]
    fn a_few_commands_make_a_table_each_and_many_share_ten_a_second() {
        let begun = now();
        let mut pace = AccessPace::new(begun);
        let mut tables: Vec<Instant> = Vec::new();
        // A command every millisecond, for five seconds.
        for millisecond in 0..5000 {
            let at = begun + Duration::from_millis(millisecond);
            if pace.take(at) {
                tables.push(at);
            } else {
                assert!(pace.next() <= at + INTERVAL, "it waits for {:?}", pace.next() - at);
            }
        }
        assert_eq!(tables.len(), AT_ONCE as usize + 24);
        let second = Duration::from_secs(1);
        for (index, &first) in tables.iter().enumerate() {
            let within = tables[index..].iter().take_while(|at| **at - first < second).count();
            assert!(within <= 10, "{within} tables in a second");
        }
        // After a pause it is as at the start.
        let later = begun + Duration::from_secs(10);
        assert_eq!((0..10).filter(|_| pace.take(later)).count(), AT_ONCE as usize);
    }
}
