//! Puts aside backends that clients' connections fail to reach, for a while, until a probe passes.
//!
//! It is for what probes have not seen yet. It counts connects alone, knows no verdicts, and reads no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When a backend is put aside, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Connects in a row that fail, at least 1; proposed: 3.
    pub failures: u32,
    /// How long it is put aside the first time; each time soon after, this much longer. Proposed: 10 s.
    pub base: Duration,
    /// How long at most; proposed: 300 s.
    pub cap: Duration,
}

/// What a pool has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How many backends it has.
    pub backends: usize,
    /// How many of them take connections: neither down nor ejected.
    pub available: usize,
}

/// Which backends of one pool are put aside. `K` names a backend.
#[derive(Clone, Debug)]
pub struct Ejections<K> {
    limits: Limits,
    /// Those that failed, or were put aside. Bound: the pool's backends, as long as those that leave it are forgotten.
    records: BTreeMap<K, Record>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Connects in a row that failed.
    failures: u32,
    last: Option<Ejection>,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    /// How often in a row it was put aside, 1 and up.
    times: u32,
    duration: Duration,
    /// When it ends, or ended.
    end: Instant,
}

impl<K: Copy + Ord> Ejections<K> {
    /// Nobody is put aside yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, records: BTreeMap::new() }
    }

    /// A client's connect to `backend` failed `now`. Says whether the backend is put aside for it, which it is not if
    /// more than half of the pool would be, or if nobody else were left.
    pub fn on_connect_failed(&mut self, backend: K, now: Instant, pool: Pool) -> bool {
        let may = pool.available > 1 && (self.ejected(now).count() + 1) * 2 <= pool.backends;
        let record = self.records.entry(backend).or_default();
        if record.is_ejected(now) {
            return false;
        }
        record.failures = record.failures.saturating_add(1);
        let due = record.failures >= self.limits.failures;
        if due && may {
            record.eject(now, &self.limits);
        }
        due && may
    }

    /// A client's connect to `backend` succeeded.
    pub fn on_connected(&mut self, backend: K) {
        if let Some(record) = self.records.get_mut(&backend) {
            record.failures = 0;
        }
    }

    /// An active probe of `backend` passed. Says whether that ended an ejection.
    pub fn on_probe_passed(&mut self, backend: K, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(&backend) else {
            return false;
        };
        let ends = record.is_ejected(now);
        if let Some(ejection) = record.last.as_mut().filter(|_| ends) {
            ejection.end = now;
        }
        ends
    }

    /// Whether `backend` is put aside.
    pub fn is_ejected(&self, backend: K, now: Instant) -> bool {
        self.records.get(&backend).is_some_and(|record| record.is_ejected(now))
    }

    /// Who is put aside.
    pub fn ejected(&self, now: Instant) -> impl Iterator<Item = K> {
        self.records.iter().filter(move |(_, record)| record.is_ejected(now)).map(|(backend, _)| *backend)
    }

    /// When the next ejection ends; none if nobody is put aside.
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        self.records.values().filter(|record| record.is_ejected(now)).filter_map(Record::end).min()
    }

    /// Forgets all but `backends`: what a reload leaves of the pool.
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

    fn eject(&mut self, now: Instant, limits: &Limits) {
        // Whoever has been back for longer than it was away begins anew.
        let before = self.last.filter(|last| now.saturating_duration_since(last.end) <= last.duration);
        let times = before.map_or(1, |last| last.times.saturating_add(1));
        let duration = limits.base.saturating_mul(times).min(limits.cap);
        self.last = Some(Ejection { times, duration, end: now + duration });
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Ejections, Limits, Pool};
    use crate::samples::origin;

    const LIMITS: Limits =
        Limits { failures: 3, base: Duration::from_secs(10), cap: Duration::from_secs(300) };
    const FOUR: Pool = Pool { backends: 4, available: 4 };

    #[test]
    fn three_failures_in_a_row_eject() {
        // One column per connect: `.` succeeded, `x` failed; below, whether the backend is put aside after it.
        check(FOUR, "x x x", "n n y");
        check(FOUR, "x x . x x x", "n n n n n y");
    }

    #[test]
    fn the_last_one_and_half_of_the_pool_stay() {
        check(Pool { backends: 1, available: 1 }, "x x x x", "n n n n");
        check(Pool { backends: 2, available: 1 }, "x x x x", "n n n n");
        check(Pool { backends: 2, available: 2 }, "x x x x", "n n y y");

        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        let mut ejected = 0;
        for backend in 0..5 {
            for _ in 0..10 {
                let pool = Pool { backends: 5, available: 5 - ejected };
                ejected += usize::from(ejections.on_connect_failed(backend, now, pool));
            }
        }
        assert_eq!(ejected, 2);
    }

    #[track_caller]
    fn check(pool: Pool, connects: &str, expected: &str) {
        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        let after = |connect| {
            match connect {
                "." => ejections.on_connected(1),
                _ => drop(ejections.on_connect_failed(1, now, pool)),
            }
            if ejections.is_ejected(1, now) { "y" } else { "n" }
        };
        assert_eq!(connects.split(' ').map(after).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn each_time_is_longer_until_it_has_been_back_for_long() {
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
        let told: Vec<bool> = (0..3).map(|_| ejections.on_connect_failed(1, now, FOUR)).collect();
        assert_eq!(told, [false, false, true]);
        ejections.next_end(now).unwrap()
    }

    #[test]
    fn a_probe_that_passes_ends_it() {
        let mut ejections = Ejections::new(LIMITS);
        let now = origin();
        eject(&mut ejections, now);
        assert!(ejections.on_probe_passed(1, now + Duration::from_secs(1)));
        assert!(!ejections.is_ejected(1, now + Duration::from_secs(1)));
        assert!(!ejections.on_probe_passed(1, now + Duration::from_secs(1)));
        assert!(!ejections.on_probe_passed(2, now));
    }

    proptest! {
        /// Whoever fails, in whatever order: at most half are put aside, and never the last.
        #[test]
        fn never_more_than_half(
            backends in 1usize..12,
            events in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..300),
        ) {
            let mut ejections = Ejections::new(LIMITS);
            let mut now = origin();
            for (backend, event) in events {
                let backend = backend.index(backends);
                let available = backends - ejections.ejected(now).count();
                match event {
                    0 => ejections.on_connected(backend),
                    1 => drop(ejections.on_probe_passed(backend, now)),
                    2 => now += Duration::from_secs(1),
                    _ => drop(ejections.on_connect_failed(backend, now, Pool { backends, available })),
                }
                let ejected = ejections.ejected(now).count();
                prop_assert!(ejected * 2 <= backends && ejected < backends);
            }
        }
    }
}
