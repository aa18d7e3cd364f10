//! When requests are due.
//!
//! At a rate, request k is due at start + k / rate, whatever happened to those before it. Due requests that are not
//! taken yet wait in a queue, which is a range of numbers and needs no memory.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What determines when a request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Whenever a connection is free.
    Answers,
    /// At this rate per second.
    Rate(NonZeroU32),
}

/// One of the parts of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    index: u32,
    count: u32,
}

/// The requests of one share of the load.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    time: Range<Instant>,
    share: Share,
    /// How many requests of the share were taken.
    taken: u64,
}

impl Share {
    /// All of `count` shares.
    pub(crate) fn all(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// How many of `number` items belong to it.
    pub(crate) fn of(self, number: u32) -> u32 {
        number / self.count + u32::from(self.index < number % self.count)
    }
}

impl Schedule {
    /// The requests that are due within `time`.
    pub(crate) fn new(pace: Pace, time: Range<Instant>, share: Share) -> Self {
        Self { pace, time, share, taken: 0 }
    }

    /// Takes the next request, if one is due by `now`, and returns since when.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        match self.pace {
            Pace::Answers => (now < self.time.end).then_some(now),
            Pace::Rate(_) => {
                let due = self.next_due().filter(|&due| due <= now)?;
                self.taken += 1;
                Some(due)
            }
        }
    }

    /// Takes the request that has waited longest, if more than [`WAITING_MAX`] wait.
    pub(crate) fn give_up(&mut self, now: Instant) -> Option<Instant> {
        let overfull = match self.pace {
            Pace::Answers => false,
            Pace::Rate(rate) => self.due(rate, self.taken + WAITING_MAX) <= now.min(self.time.end),
        };
        if overfull { self.take(now) } else { None }
    }

    /// When the next request is due, possibly in the past; none if that depends on responses, or if all were taken.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        match self.pace {
            Pace::Answers => None,
            Pace::Rate(rate) => Some(self.due(rate, self.taken)).filter(|&due| due < self.time.end),
        }
    }

    /// When the last request is due at the latest.
    pub(crate) fn end(&self) -> Instant {
        self.time.end
    }

    /// When the share's request `number` is due. Shares take turns, so together they are as even as one would be.
    fn due(&self, rate: NonZeroU32, number: u64) -> Instant {
        let number = number * u64::from(self.share.count) + u64::from(self.share.index);
        let (rate, second) = (u64::from(rate.get()), number / u64::from(rate.get()));
        self.time.start + Duration::new(second, nanos(number % rate, rate))
    }
}

fn nanos(number: u64, rate: u64) -> u32 {
    u32::try_from(number * 1_000_000_000 / rate).expect("less than a second")
}

/// How many requests may wait for a free connection. Beyond that, the one that has waited longest is dropped, which
/// counts as a timeout.
const WAITING_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::{Duration, Instant};

    use super::{Pace, Schedule, Share, WAITING_MAX};
    use crate::clock::clock;

    #[test]
    fn at_a_rate_requests_are_due_independently_of_each_other() {
        // Asked at, in microseconds; the requests taken, each by the instant it was due.
        check(1_000, &[(0, &[0]), (999, &[]), (1_000, &[1_000]), (4_500, &[2_000, 3_000, 4_000])]);
        check(3, &[(0, &[0]), (333_332, &[]), (333_334, &[333_333]), (999_999, &[666_666])]);
        // Nothing is due at the end or after it.
        check(2, &[(10_000_000, &[0, 500_000])]);
        check(1, &[(10_000_000, &[0])]);
    }

    #[track_caller]
    fn check(rate: u32, asked: &[(u64, &[u128])]) {
        let (start, mut schedule) = schedule(rate);
        for &(at, expected) in asked {
            let now = start + Duration::from_micros(at);
            let taken: Vec<u128> =
                std::iter::from_fn(|| schedule.take(now)).map(|due| (due - start).as_micros()).collect();
            assert_eq!(taken, expected, "at {at} us");
        }
    }

    #[test]
    fn says_when_to_wake() {
        let (start, mut schedule) = schedule(2);
        assert_eq!(schedule.next_due(), Some(start));
        schedule.take(start);
        assert_eq!(schedule.next_due(), Some(start + Duration::from_millis(500)));
        schedule.take(start + Duration::from_millis(700));
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn by_answers_one_is_due_until_the_end() {
        let start = clock();
        let mut schedule = Schedule::new(Pace::Answers, start..start + SECOND, whole());
        let late = start + Duration::from_millis(999);
        assert_eq!(schedule.take(start), Some(start));
        assert_eq!(schedule.take(late), Some(late));
        assert_eq!(schedule.take(start + SECOND), None);
        assert_eq!(schedule.give_up(late), None);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn the_line_is_bounded() {
        let (start, mut schedule) = schedule(1_000_000);
        let waiting = |number: u64| start + Duration::from_micros(number);
        assert_eq!(schedule.give_up(waiting(WAITING_MAX - 1)), None);
        assert_eq!(schedule.give_up(waiting(WAITING_MAX)), Some(start));
        assert_eq!(schedule.give_up(waiting(WAITING_MAX)), None);
        assert_eq!(schedule.take(waiting(WAITING_MAX)), Some(waiting(1)));
    }

    #[test]
    fn shares_make_up_the_whole() {
        let start = clock();
        let mut due: Vec<u128> = Share::all(3)
            .flat_map(|share| {
                let mut schedule = Schedule::new(rate(7), start..start + SECOND, share);
                std::iter::from_fn(move || schedule.take(start + SECOND))
            })
            .map(|due| (due - start).as_millis())
            .collect();
        due.sort_unstable();
        assert_eq!(due, [0, 142, 285, 428, 571, 714, 857]);
        assert_eq!(Share::all(3).map(|share| share.of(8)).collect::<Vec<_>>(), [3, 3, 2]);
    }

    /// This many requests per second, for one second.
    fn schedule(per_second: u32) -> (Instant, Schedule) {
        let start = clock();
        (start, Schedule::new(rate(per_second), start..start + SECOND, whole()))
    }

    fn rate(per_second: u32) -> Pace {
        Pace::Rate(NonZeroU32::new(per_second).unwrap())
    }

    fn whole() -> Share {
        Share::all(1).next().unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);
}
