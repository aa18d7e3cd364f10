//! Ejects backends that clients fail to connect to, for a while or until a probe passes.
//!
//! It covers failures that probes have not detected yet. It counts only connection attempts, does not use verdicts,
//! and reads no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use config::Eject;

/// The state of the rest of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The number of backends.
    pub backends: usize,
    /// How many of them take connections: neither down nor ejected.
    pub available: usize,
}

/// The ejected backends of one pool. `K` identifies a backend.
#[derive(Clone, Debug)]
pub struct Ejections<K> {
    limits: Eject,
    /// Backends that failed or were ejected. Bound: the backends of the pool, as long as removed ones are
    /// forgotten.
    records: BTreeMap<K, Record>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    last: Option<Ejection>,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    /// The number of ejections in a row, starting at 1.
    times: u32,
    duration: Duration,
    /// When it ends or ended.
    end: Instant,
    /// Whether its end has been reported.
    over: bool,
}

impl<K: Copy + Ord> Ejections<K> {
    /// No backend is ejected.
    pub fn new(limits: Eject) -> Self {
        Self { limits, records: BTreeMap::new() }
    }

    /// Changes the limits of future ejections. Current ejections end when they would have.
    pub fn set_limits(&mut self, limits: Eject) {
        self.limits = limits;
    }

    /// Records that this many consecutive connection attempts to `backend` have failed, and returns whether that
    /// ejects it. It is not ejected if more than half of the pool would be, or if no backend would be left.
    pub fn on_failures(&mut self, backend: K, in_a_row: u32, now: Instant, pool: Pool) -> bool {
        let may = pool.available > 1 && (self.ejected(now).count() + 1) * 2 <= pool.backends;
        if !may || in_a_row < self.limits.failures || self.is_ejected(backend, now) {
            return false;
        }
        self.records.entry(backend).or_default().eject(now, &self.limits);
        true
    }

    /// Records that an active probe of `backend` passed, and returns whether that ended an ejection.
    pub fn on_probe_passed(&mut self, backend: K, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(&backend) else {
            return false;
        };
        let ends = record.is_ejected(now);
        if let Some(ejection) = record.last.as_mut().filter(|_| ends) {
            ejection.end = now;
            ejection.over = true;
        }
        ends
    }

    /// The backends whose ejection has ended by `now` because it expired. Each is returned once.
    pub fn take_expired(&mut self, now: Instant) -> Vec<K> {
        let expired = |(backend, record): (&K, &mut Record)| {
            let ejection = record.last.as_mut().filter(|last| !last.over && last.end <= now)?;
            ejection.over = true;
            Some(*backend)
        };
        self.records.iter_mut().filter_map(expired).collect()
    }

    /// Whether `backend` is ejected.
    pub fn is_ejected(&self, backend: K, now: Instant) -> bool {
        self.records.get(&backend).is_some_and(|record| record.is_ejected(now))
    }

    /// When the last ejection of `backend` ends or ended; none if it was never ejected.
    pub fn end(&self, backend: K) -> Option<Instant> {
        self.records.get(&backend)?.end()
    }

    /// The ejected backends.
    pub fn ejected(&self, now: Instant) -> impl Iterator<Item = K> {
        self.records.iter().filter(move |(_, record)| record.is_ejected(now)).map(|(backend, _)| *backend)
    }

    /// When the next ejection ends; none if no backend is ejected.
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        self.records.values().filter(|record| record.is_ejected(now)).filter_map(Record::end).min()
    }

    /// Forgets all but `backends`, which are those that a reload leaves in the pool.
    pub fn retain(&mut self, backends: impl Fn(K) -> bool) {
        self.records.retain(|backend, _| backends(*backend));
    }
}

impl Record {
    fn is_ejected(&self, now: Instant) -> bool {
        self.end().is_some_and(|end| now < end)
    }

    fn end(&self) -> Option<Instant> {
        self.last.map(|ejection| ejection.end)
    }

    fn eject(&mut self, now: Instant, limits: &Eject) {
        // A backend that has been back for longer than it was ejected starts over.
        let before = self.last.filter(|last| now.saturating_duration_since(last.end) <= last.duration);
        let times = before.map_or(1, |last| last.times.saturating_add(1));
        let duration = limits.base.saturating_mul(times).min(limits.cap);
        self.last = Some(Ejection { times, duration, end: now + duration, over: false });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use config::Eject;

    use super::{Ejections, Pool};
    use crate::samples::origin;

    const LIMITS: Eject = Eject { failures: 3, base: Duration::from_secs(10), cap: Duration::from_secs(300) };
    const FOUR: Pool = Pool { backends: 4, available: 4 };

    #[test]
    fn three_failures_in_a_row_eject_a_backend() {
        check(FOUR, &[1, 2], false);
        check(FOUR, &[1, 2, 3], true);
        check(FOUR, &[7], true);
    }

    #[test]
    fn the_last_backend_and_half_of_the_pool_stay() {
        check(Pool { backends: 1, available: 1 }, &[3, 4], false);
        check(Pool { backends: 2, available: 1 }, &[3, 4], false);
        check(Pool { backends: 2, available: 2 }, &[3], true);

        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        let mut ejected = 0;
        for backend in 0..5 {
            let pool = Pool { backends: 5, available: 5 - ejected };
            ejected += usize::from(ejections.on_failures(backend, 10, now, pool));
        }
        assert_eq!(ejected, 2);
    }

    /// Consecutive failures, as they are reported, and whether the backend is ejected after the last one.
    #[track_caller]
    fn check(pool: Pool, failures: &[u32], expected: bool) {
        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        for in_a_row in failures {
            ejections.on_failures(1, *in_a_row, now, pool);
        }
        assert_eq!(ejections.is_ejected(1, now), expected);
    }

    #[test]
    fn an_expired_ejection_is_reported_once() {
        let (now, second) = (origin(), Duration::from_secs(1));
        let mut ejections = Ejections::new(LIMITS);
        assert!(ejections.on_failures(1, 3, now, FOUR) && ejections.on_failures(2, 3, now + second, FOUR));
        assert_eq!(ejections.take_expired(now + 9 * second), []);
        assert!(ejections.on_probe_passed(2, now + 9 * second));
        assert_eq!(ejections.take_expired(now + 10 * second), [1]);
        assert_eq!(ejections.take_expired(now + 20 * second), []);
        // The next ejection is another one.
        assert!(ejections.on_failures(1, 3, now + 20 * second, FOUR));
        assert_eq!(ejections.take_expired(now + 40 * second), [1]);
    }

    #[test]
    fn ejections_grow_until_a_backend_has_been_back_for_long() {
        let mut ejections = Ejections::new(LIMITS);
        let mut now = origin();
        for seconds in [10, 20, 30] {
            let end = eject(&mut ejections, now);
            assert_eq!(end - now, Duration::from_secs(seconds));
            assert!(ejections.is_ejected(1, end.checked_sub(Duration::from_nanos(1)).unwrap()));
            assert!(!ejections.is_ejected(1, end));
            now = end;
        }
        now += Duration::from_secs(31);
        assert_eq!(eject(&mut ejections, now) - now, Duration::from_secs(10));

        for _ in 0..100 {
            now = ejections.next_end(now).unwrap_or(now);
            let end = eject(&mut ejections, now);
            assert!(end - now <= LIMITS.cap);
            now = end;
        }
        assert_eq!(eject(&mut ejections, now) - now, LIMITS.cap);
    }

    fn eject(ejections: &mut Ejections<u32>, now: Instant) -> Instant {
        assert!(ejections.on_failures(1, 3, now, FOUR));
        ejections.next_end(now).unwrap()
    }

    #[test]
    fn changed_limits_end_no_ejection() {
        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        let end = eject(&mut ejections, now);
        ejections.set_limits(Eject {
            failures: 1,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(5),
        });
        assert_eq!(ejections.end(1), Some(end));
        assert!(ejections.is_ejected(1, end.checked_sub(Duration::from_nanos(1)).unwrap()));
        // It is the second in a row, with the limits of that time.
        assert!(ejections.on_failures(1, 1, end, FOUR));
        assert_eq!(ejections.end(1), Some(end + Duration::from_secs(2)));
    }

    #[test]
    fn a_passed_probe_ends_an_ejection() {
        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        eject(&mut ejections, now);
        assert!(ejections.on_probe_passed(1, now + Duration::from_secs(1)));
        assert!(!ejections.is_ejected(1, now + Duration::from_secs(1)));
        assert!(!ejections.on_probe_passed(1, now + Duration::from_secs(1)));
        assert!(!ejections.on_probe_passed(2, now));
    }

    proptest! {
        /// With any order of failures, at most half of the backends are ejected, and never the last one.
        #[test]
        fn at_most_half_of_a_pool_is_ejected(
            backends in 1usize..12,
            events in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..300),
        ) {
            let mut ejections = Ejections::new(LIMITS);
            let mut now = origin();
            for (backend, event) in events {
                let backend = backend.index(backends);
                let available = backends - ejections.ejected(now).count();
                match event {
                    0 | 1 => drop(ejections.on_probe_passed(backend, now)),
                    2 => now += Duration::from_secs(1),
                    _ => drop(ejections.on_failures(backend, 3, now, Pool { backends, available })),
                }
                let ejected = ejections.ejected(now).count();
                prop_assert!(ejected * 2 <= backends && ejected < backends);
            }
        }
    }
}
