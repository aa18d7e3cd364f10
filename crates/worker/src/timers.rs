//! Deadlines of slots: a hierarchical timing wheel, at most one deadline for each slot.
//!
//! ```text
//! level 0   64 buckets of    8 ms    what is due within the present half second
//! level 1   64 buckets of  512 ms    … within the present 33 seconds
//! level 2   64 buckets of   33 s     … within the present 35 minutes
//!   ⋮                                 … and so on: eleven levels hold any 64-bit number of ticks
//! ```
//!
//! Seen as numbers in base 64, a deadline lies at the level of the first digit in which it differs from the
//! present, in the bucket of that digit. When time reaches the start of a bucket above level 0, its slots
//! move to lower levels (a *cascade*), each at most once per level.
//!
//! It reads no clock, and it wakes no thread: `next` says when one should wake.

use std::time::{Duration, Instant};

/// At most one deadline for each slot of a worker. Setting and clearing take constant time and no memory.
#[derive(Debug)]
pub struct Timers {
    /// The instant that ticks are counted from.
    origin: Instant,
    /// The tick up to which deadlines were handed out.
    ///
    /// Invariant: every deadline that is set lies behind it.
    elapsed: u64,
    /// By slot: the tick of its deadline; 0 is none.
    deadlines: Vec<u64>,
    /// By slot: its neighbours in the list of its bucket.
    links: Vec<[Link; 2]>,
    /// By level and bucket: the first slot of its list.
    buckets: [[Link; BUCKETS]; LEVELS],
    /// By level: a bit for each bucket that is not empty.
    occupied: [u64; LEVELS],
}

/// A slot's number plus one; 0 is none.
///
/// So an array of links starts out as zeroes, which the kernel hands out page by page as they are touched:
/// a worker with room for a million connections and ten of them pays for ten.
type Link = u32;

/// Where the deadline of a slot is kept.
#[derive(Clone, Copy)]
struct Position {
    level: usize,
    bucket: usize,
}

impl Timers {
    /// No deadline for any of `capacity` slots.
    pub fn new(capacity: u32, now: Instant) -> Self {
        assert!(capacity < Link::MAX);
        let capacity = capacity as usize;
        Self {
            origin: now,
            elapsed: 0,
            deadlines: vec![0; capacity],
            links: vec![[NONE; 2]; capacity],
            buckets: [[NONE; BUCKETS]; LEVELS],
            occupied: [0; LEVELS],
        }
    }

    /// Gives `slot` this deadline, in place of one that it may have. A deadline that has passed is due at the
    /// next tick.
    pub fn set(&mut self, slot: u32, deadline: Instant) {
        let tick = self.tick_from(deadline).max(self.elapsed + 1);
        let before = self.deadlines[slot as usize];
        if before == tick {
            return;
        }
        if before != 0 {
            self.unlink(slot);
        }
        self.deadlines[slot as usize] = tick;
        self.link(slot);
    }

    /// Takes the deadline of `slot` away, if it has one.
    pub fn clear(&mut self, slot: u32) {
        if self.deadlines[slot as usize] != 0 {
            self.unlink(slot);
            self.deadlines[slot as usize] = 0;
        }
    }

    /// Appends every slot whose deadline has passed to `due`, and takes those deadlines away.
    ///
    /// None is early, and none is late by more than one tick.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<u32>) {
        let until = self.tick_until(now);
        // It ends: every round empties a bucket, and fills only buckets of lower levels.
        while let Some((tick, position)) = self.first().filter(|&(tick, _)| tick <= until) {
            self.elapsed = tick;
            self.cascade(position, due);
        }
        self.elapsed = self.elapsed.max(until);
    }

    /// When to call [`expire`](Self::expire) next; none while no deadline is set.
    ///
    /// Not later than one tick after the earliest deadline. It may be earlier, by the cascades on the way: at
    /// most one for each level, so a lone deadline an hour off costs four wake-ups.
    pub fn next(&self) -> Option<Instant> {
        let (tick, _) = self.first()?;
        let nanos = u32::try_from(tick % TICKS_PER_SECOND).expect("few ticks in a second") * TICK_NANOS;
        Some(self.origin + Duration::new(tick / TICKS_PER_SECOND, nanos))
    }

    /// The bucket whose start comes first, and the tick of its start.
    ///
    /// It is at the lowest level that holds anything: what lies at a level shares its upper digits with the
    /// present, and so comes before all that lies higher.
    fn first(&self) -> Option<(u64, Position)> {
        let level = self.occupied.iter().position(|&occupied| occupied != 0)?;
        let bucket = self.occupied[level].trailing_zeros();
        let shift = DIGIT * u32::try_from(level).expect("few levels");
        // The present with this digit and all below it cut off. The two shifts are one of up to 66 bits.
        let upper = ((self.elapsed >> shift) >> DIGIT) << DIGIT;
        let start = (upper | u64::from(bucket)) << shift;
        debug_assert!(start > self.elapsed);
        Some((start, Position { level, bucket: bucket as usize }))
    }

    /// Empties the bucket that starts now: what is due is handed out, the rest moves to lower levels.
    fn cascade(&mut self, Position { level, bucket }: Position, due: &mut Vec<u32>) {
        self.occupied[level] &= !(1 << bucket);
        let mut link = std::mem::replace(&mut self.buckets[level][bucket], NONE);
        while link != NONE {
            let slot = link - 1;
            link = self.links[slot as usize][NEXT];
            if self.deadlines[slot as usize] == self.elapsed {
                self.deadlines[slot as usize] = 0;
                due.push(slot);
            } else {
                self.link(slot);
            }
        }
    }

    /// Puts `slot` at the head of the list where its deadline belongs.
    fn link(&mut self, slot: u32) {
        let Position { level, bucket } = self.position(slot);
        let head = std::mem::replace(&mut self.buckets[level][bucket], slot + 1);
        if head != NONE {
            self.links[head as usize - 1][PREVIOUS] = slot + 1;
        }
        self.links[slot as usize] = [head, NONE];
        self.occupied[level] |= 1 << bucket;
    }

    /// Takes `slot` out of its list.
    fn unlink(&mut self, slot: u32) {
        let [next, previous] = self.links[slot as usize];
        if next != NONE {
            self.links[next as usize - 1][PREVIOUS] = previous;
        }
        if previous != NONE {
            self.links[previous as usize - 1][NEXT] = next;
            return;
        }
        let Position { level, bucket } = self.position(slot);
        self.buckets[level][bucket] = next;
        if next == NONE {
            self.occupied[level] &= !(1 << bucket);
        }
    }

    /// Where the deadline of `slot` belongs, and is: time moves on, but as long as it has not reached the
    /// start of the bucket, the first digit that differs stays the same.
    fn position(&self, slot: u32) -> Position {
        let deadline = self.deadlines[slot as usize];
        debug_assert!(deadline > self.elapsed);
        let level = (deadline ^ self.elapsed).ilog2() / DIGIT;
        let bucket = (deadline >> (DIGIT * level)) % BUCKETS as u64;
        Position { level: level as usize, bucket: usize::try_from(bucket).expect("one of 64") }
    }

    /// The first tick that is not before `instant`: nothing is due early.
    fn tick_from(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin);
        since.as_secs() * TICKS_PER_SECOND + u64::from(since.subsec_nanos().div_ceil(TICK_NANOS))
    }

    /// The last tick that is not after `instant`.
    fn tick_until(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.origin);
        since.as_secs() * TICKS_PER_SECOND + u64::from(since.subsec_nanos() / TICK_NANOS)
    }
}

/// Ticks of 8 ms: no timeout of TCP is finer, and a worker with many deadlines wakes 125 times a second at
/// most.
const TICKS_PER_SECOND: u64 = 125;

/// A tick in nanoseconds.
const TICK_NANOS: u32 = 8_000_000;

/// Bits in a digit.
const DIGIT: u32 = 6;

/// Buckets of a level, one for each value of a digit; a word holds a bit for each.
const BUCKETS: usize = 1 << DIGIT;

/// Digits in a 64-bit number of ticks.
const LEVELS: usize = 11;

/// No slot.
const NONE: Link = 0;

/// Indices into an element of [`Timers::links`].
const NEXT: usize = 0;
const PREVIOUS: usize = 1;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do for an origin")]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{TICK_NANOS, Timers};

    const TICK: Duration = Duration::from_nanos(TICK_NANOS as u64);

    #[test]
    fn due_at_the_first_tick_not_before_the_deadline() {
        // Deadline, then the instants asked at, all in milliseconds; below, whether it was due.
        check(0, &[(0, false), (7, false), (8, true), (16, false)]);
        check(1, &[(1, false), (7, false), (8, true)]);
        check(8, &[(7, false), (8, true)]);
        check(9, &[(8, false), (15, false), (16, true)]);
        check(9, &[(5_000, true), (6_000, false)]);
        // Across the borders of levels 1, 2 and 3, in one step and in several.
        check(512, &[(511, false), (512, true)]);
        check(513, &[(512, false), (519, false), (520, true)]);
        check(32_768, &[(32_767, false), (32_768, true)]);
        check(3_600_000, &[(3_599_999, false), (3_600_000, true)]);
        check(3_600_000, &[(100, false), (2_000_000, false), (3_500_000, false), (3_600_001, true)]);
        // A year, and far beyond any uptime.
        check(31_536_000_000, &[(31_535_999_999, false), (31_536_000_000, true)]);
        check(1 << 60, &[(1 << 59, false), (1 << 60, true)]);
    }

    #[track_caller]
    fn check(deadline: u64, asked: &[(u64, bool)]) {
        let origin = Instant::now();
        let mut timers = Timers::new(1, origin);
        timers.set(0, origin + Duration::from_millis(deadline));
        for &(at, expected) in asked {
            let mut due = Vec::new();
            timers.expire(origin + Duration::from_millis(at), &mut due);
            assert_eq!(due, if expected { vec![0] } else { vec![] }, "at {at} ms");
        }
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_is_replaced_and_cleared() {
        let origin = Instant::now();
        let at = |millis| origin + Duration::from_millis(millis);
        let mut timers = Timers::new(4, origin);
        for slot in 0..4 {
            timers.set(slot, at(80));
        }
        timers.set(1, at(160));
        timers.clear(2);
        timers.clear(2);
        assert_eq!(expired(&mut timers, at(100)), [0, 3]);
        assert_eq!(timers.next(), Some(at(160)));
        assert_eq!(expired(&mut timers, at(200)), [1]);
        // A deadline in the past is due at the next tick.
        timers.set(2, at(10));
        assert_eq!(expired(&mut timers, at(200)), [] as [u32; 0]);
        assert_eq!(expired(&mut timers, at(208)), [2]);
    }

    #[test]
    fn an_idle_worker_sleeps() {
        // Connections that came within a second of each other, with an hour to go.
        let origin = Instant::now();
        let mut timers = Timers::new(5_000, origin);
        for slot in 0..5_000 {
            timers.set(slot, origin + Duration::from_secs(3600) + Duration::from_micros(200) * slot);
        }
        let mut wakes = 0;
        while let Some(next) = timers.next().filter(|&next| next < origin + Duration::from_secs(3600)) {
            assert_eq!(expired(&mut timers, next), [] as [u32; 0]);
            wakes += 1;
        }
        assert!(wakes <= 4, "{wakes} wake-ups in the hour before the first deadline");
    }

    /// Wakes at `next` and nowhere else, over a spread of deadlines, as a worker does.
    #[test]
    fn sleeping_until_next_is_never_late() {
        let origin = Instant::now();
        let mut timers = Timers::new(1_000, origin);
        let mut deadlines = Vec::new();
        let mut millis = 7;
        for slot in 0..1_000 {
            millis = millis * 48_271 % 0x7fff_ffff;
            deadlines.push(origin + Duration::from_millis(millis % 10_000_000));
            timers.set(slot, deadlines[slot as usize]);
        }
        let mut seen = 0;
        while let Some(next) = timers.next() {
            for slot in expired(&mut timers, next) {
                let deadline = deadlines[slot as usize];
                assert!(deadline.max(origin) <= next && next <= deadline + TICK);
                seen += 1;
            }
        }
        assert_eq!(seen, 1_000);
    }

    fn expired(timers: &mut Timers, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        timers.expire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set { slot: u32, millis: u64 },
        Clear { slot: u32 },
        Pass { micros: u64 },
        PassToNext,
    }

    const SLOTS: u32 = 8;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let reach = prop_oneof![0..20_u64, 0..1_000_u64, 0..100_000_u64, 0..20_000_000_u64, 0..1_u64 << 50];
        prop::collection::vec(
            prop_oneof![
                3 => (0..SLOTS, reach.clone()).prop_map(|(slot, millis)| Step::Set { slot, millis }),
                1 => (0..SLOTS).prop_map(|slot| Step::Clear { slot }),
                2 => reach.prop_map(|micros| Step::Pass { micros }),
                1 => Just(Step::PassToNext),
            ],
            0..200,
        )
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(steps in steps()) {
            let origin = Instant::now();
            let mut now = origin;
            let mut timers = Timers::new(SLOTS, origin);
            // By slot: its deadline, or the instant it was set at where that is later.
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set { slot, millis } => {
                        // From the last expiry backwards, so that passed deadlines occur as well.
                        let deadline = now + Duration::from_millis(millis);
                        let deadline = deadline.checked_sub(Duration::from_millis(5)).unwrap_or(deadline);
                        timers.set(slot, deadline);
                        model.insert(slot, (deadline, deadline.max(now)));
                    }
                    Step::Clear { slot } => {
                        timers.clear(slot);
                        model.remove(&slot);
                    }
                    Step::Pass { .. } | Step::PassToNext => {
                        now = match step {
                            Step::Pass { micros } => now + Duration::from_micros(micros),
                            _ => timers.next().unwrap_or(now),
                        };
                        for slot in expired(&mut timers, now) {
                            let (deadline, _) = model.remove(&slot).expect("it has a deadline");
                            prop_assert!(deadline <= now, "early");
                        }
                        for &(_, from) in model.values() {
                            prop_assert!(from + TICK > now, "late");
                        }
                    }
                }
                let earliest = model.values().map(|&(_, from)| from).min();
                prop_assert_eq!(timers.next().is_some(), earliest.is_some());
                if let (Some(next), Some(earliest)) = (timers.next(), earliest) {
                    prop_assert!(next <= earliest + TICK);
                    prop_assert!(next > now, "a wake-up that makes no progress");
                }
            }
        }
    }
}
