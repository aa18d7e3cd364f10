//! Turns answers into a verdict: up or down after enough in a row, with damping for backends that went down often.
//!
//! It does no I/O and reads no clock. Whether an answer says anything about the server is decided before
//! (`ProbeError::blames_server`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::probe::{Damping, Rhythm, Thresholds};

/// The health of a backend, as far as probes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No probe has ended yet. It counts as available, but never as a primary.
    Unknown,
    /// Its probes pass.
    Up,
    /// Its probes fail.
    Down,
}

/// The verdict of one backend, and the answers that count towards the next one.
#[derive(Clone, Debug)]
pub struct RiseFall {
    thresholds: Thresholds,
    damping: Damping,
    verdict: Verdict,
    /// Consecutive answers that contradict the verdict: fewer than would change it, unless thresholds were lowered
    /// since.
    against: u32,
    /// When it went down, oldest first, within the window. At most [`DOWNS_REMEMBERED`].
    downs: VecDeque<Instant>,
}

impl RiseFall {
    /// Unknown.
    pub fn new(thresholds: Thresholds, damping: Damping) -> Self {
        Self { thresholds, damping, verdict: Verdict::Unknown, against: 0, downs: VecDeque::new() }
    }

    /// Changes the thresholds from the next answer on, also for answers that were counted before. The verdict
    /// stays.
    pub fn change_settings(&mut self, thresholds: Thresholds, damping: Damping) {
        self.thresholds = thresholds;
        self.damping = damping;
    }

    /// The current verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// From the start of the last probe to the start of the next, before jitter.
    pub fn interval(&self, rhythm: &Rhythm) -> Duration {
        if self.against > 0 { rhythm.interval_in_transition.min(rhythm.interval) } else { rhythm.interval }
    }

    /// Records that the backend passed a probe that ended `now`.
    pub fn on_pass(&mut self, now: Instant) {
        match self.verdict {
            Verdict::Unknown => self.change(Verdict::Up),
            Verdict::Up => self.against = 0,
            Verdict::Down => {
                self.against += 1;
                if self.against >= self.rise(now) {
                    self.change(Verdict::Up);
                }
            }
        }
    }

    /// Records that the backend failed a probe that ended `now`.
    pub fn on_fail(&mut self, now: Instant) {
        match self.verdict {
            Verdict::Unknown => self.change(Verdict::Down),
            Verdict::Down => self.against = 0,
            Verdict::Up => {
                self.against += 1;
                if self.against >= self.thresholds.fall {
                    self.change(Verdict::Down);
                    self.remember_down(now);
                }
            }
        }
    }

    /// Whether it passed `rise` probes and is down only because of damping.
    pub fn is_held_back(&self) -> bool {
        self.verdict == Verdict::Down && self.against >= self.thresholds.rise
    }

    /// Marks it up at once. How often it went down stays recorded.
    pub fn release(&mut self) {
        self.change(Verdict::Up);
    }

    fn change(&mut self, verdict: Verdict) {
        self.verdict = verdict;
        self.against = 0;
    }

    fn remember_down(&mut self, now: Instant) {
        if self.downs.len() == DOWNS_REMEMBERED {
            self.downs.pop_front();
        }
        self.downs.push_back(now);
    }

    /// How many consecutive passed probes bring it up.
    fn rise(&mut self, now: Instant) -> u32 {
        let window = self.damping.window;
        while self.downs.front().is_some_and(|down| now.saturating_duration_since(*down) >= window) {
            self.downs.pop_front();
        }
        let downs = u32::try_from(self.downs.len()).expect("at most DOWNS_REMEMBERED");
        let doublings = downs.saturating_sub(self.damping.downs_free).min(DOUBLINGS_MAX);
        self.thresholds.rise.saturating_mul(1 << doublings)
    }
}

/// How often `rise` doubles at most: sixteen times the usual number of probes.
const DOUBLINGS_MAX: u32 = 4;

/// How many times of going down are kept; more would matter only if `downs_free` exceeded a dozen.
const DOWNS_REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{DOWNS_REMEMBERED, RiseFall, Verdict};
    use crate::samples::{DAMPING_OFF, RHYTHM, origin};
    use config::probe::{Damping, Thresholds};

    #[test]
    fn the_first_answer_decides() {
        check(Thresholds { rise: 2, fall: 3 }, ".", "U");
        check(Thresholds { rise: 2, fall: 3 }, "x", "D");
        check(Thresholds { rise: 2, fall: 3 }, "? ? .", "- - U");
    }

    #[test]
    fn enough_answers_in_a_row_change_the_verdict() {
        check(Thresholds { rise: 2, fall: 3 }, ". x x . x x x", "U U U U U U D");
        check(Thresholds { rise: 2, fall: 3 }, "x . x . . x", "D D D D U U");
        check(Thresholds { rise: 1, fall: 1 }, ". x . x", "U D U D");
    }

    #[test]
    fn inconclusive_probes_change_nothing() {
        check(Thresholds { rise: 2, fall: 3 }, ". x x ? ? x", "U U U U U D");
        check(Thresholds { rise: 2, fall: 3 }, "x . ? .", "D D D U");
    }

    #[test]
    fn changed_thresholds_apply_to_counted_answers() {
        // After this many probes `fall` is lowered from 4 to 2.
        for (probes_before, probes_after, verdicts) in [
            (". x", "x", "D"),
            (". x x x", ".", "U"),
            (". x x x", "x", "D"),
            (". x x x", ". x x", "U U D"),
            ("x", "x", "D"),
            ("?", "x", "D"),
        ] {
            let mut rise_fall = RiseFall::new(Thresholds { rise: 2, fall: 4 }, DAMPING_OFF);
            let before = probes_before.split(' ').map(|probe| record(&mut rise_fall, origin(), probe)).last();
            rise_fall.change_settings(Thresholds { rise: 2, fall: 2 }, DAMPING_OFF);
            assert_eq!(Some(record(&mut rise_fall, origin(), "?")), before, "new settings change no verdict");
            let told: Vec<&str> =
                probes_after.split(' ').map(|probe| record(&mut rise_fall, origin(), probe)).collect();
            assert_eq!(told.join(" "), verdicts, "{probes_before}");
        }
    }

    #[test]
    fn changed_settings_keep_the_downs() {
        let damping = Damping { downs_free: 1, window: Duration::from_secs(100) };
        let mut rise_fall = RiseFall::new(Thresholds { rise: 2, fall: 1 }, damping);
        rise_fall.on_pass(origin());
        assert_eq!(passes_to_come_up(&mut rise_fall, origin()), 2);
        rise_fall.change_settings(Thresholds { rise: 3, fall: 1 }, damping);
        assert_eq!(passes_to_come_up(&mut rise_fall, origin()), 6);
    }

    #[test]
    fn a_flapping_backend_is_held_back_until_it_is_released() {
        let damping = Damping { downs_free: 0, window: Duration::from_secs(100) };
        let mut rise_fall = RiseFall::new(Thresholds { rise: 2, fall: 1 }, damping);
        let held: Vec<bool> = ". x . . x . ."
            .split(' ')
            .map(|probe| {
                record(&mut rise_fall, origin(), probe);
                rise_fall.is_held_back()
            })
            .collect();
        assert_eq!(held, [false, false, false, true, false, false, true]);
        rise_fall.release();
        assert_eq!((rise_fall.verdict(), rise_fall.is_held_back()), (Verdict::Up, false));
        assert!(passes_to_come_up(&mut rise_fall, origin()) > 2, "it is damped the next time, too");
    }

    /// One column per probe: `.` passed, `x` failed, `?` inconclusive; below, the verdict after it.
    #[track_caller]
    fn check(thresholds: Thresholds, probes: &str, verdicts: &str) {
        let mut rise_fall = RiseFall::new(thresholds, DAMPING_OFF);
        let told: Vec<&str> =
            probes.split(' ').map(|probe| record(&mut rise_fall, origin(), probe)).collect();
        assert_eq!(told.join(" "), verdicts);
    }

    fn record(rise_fall: &mut RiseFall, now: Instant, probe: &str) -> &'static str {
        match probe {
            "." => rise_fall.on_pass(now),
            "x" => rise_fall.on_fail(now),
            _ => {}
        }
        match rise_fall.verdict() {
            Verdict::Unknown => "-",
            Verdict::Up => "U",
            Verdict::Down => "D",
        }
    }

    #[test]
    fn probes_are_faster_until_the_verdict_is_settled() {
        let mut rise_fall = RiseFall::new(Thresholds { rise: 2, fall: 3 }, DAMPING_OFF);
        let (slow, fast) = (RHYTHM.interval, RHYTHM.interval_in_transition);
        let mut intervals = Vec::new();
        for probe in [".", "x", "x", "x", "x", ".", "."] {
            record(&mut rise_fall, origin(), probe);
            intervals.push(rise_fall.interval(&RHYTHM));
        }
        assert_eq!(intervals, [slow, fast, fast, slow, slow, fast, slow]);
    }

    #[test]
    fn a_flapping_backend_comes_up_later_until_its_downs_expire() {
        let damping = Damping { downs_free: 1, window: Duration::from_secs(100) };
        let mut rise_fall = RiseFall::new(Thresholds { rise: 2, fall: 1 }, damping);
        let mut now = origin();
        rise_fall.on_pass(now);
        let passes: Vec<u32> = (0..8).map(|_| passes_to_come_up(&mut rise_fall, now)).collect();
        assert_eq!(passes, [2, 4, 8, 16, 32, 32, 32, 32]);

        now += damping.window;
        assert_eq!(passes_to_come_up(&mut rise_fall, now), 2);
    }

    fn passes_to_come_up(rise_fall: &mut RiseFall, now: Instant) -> u32 {
        rise_fall.on_fail(now);
        assert_eq!(rise_fall.verdict(), Verdict::Down);
        for passes in 1.. {
            rise_fall.on_pass(now);
            if rise_fall.verdict() == Verdict::Up {
                return passes;
            }
        }
        unreachable!()
    }

    proptest! {
        /// A backend goes down only after `fall` failed probes in a row, and up only after `rise` passed ones.
        #[test]
        fn no_verdict_without_enough_answers(
            rise in 1u32..5, fall in 1u32..5, downs_free in 0u32..3,
            answers in prop::collection::vec(any::<bool>(), 1..200),
        ) {
            let damping = Damping { downs_free, window: Duration::from_secs(30) };
            let mut rise_fall = RiseFall::new(Thresholds { rise, fall }, damping);
            let mut now = origin();
            let mut row = 0;
            let mut last = None;
            for passed in answers {
                now += Duration::from_secs(1);
                row = if last == Some(passed) { row + 1 } else { 1 };
                last = Some(passed);
                let before = rise_fall.verdict();
                if passed { rise_fall.on_pass(now) } else { rise_fall.on_fail(now) }
                match (before, rise_fall.verdict()) {
                    (Verdict::Unknown, after) => prop_assert_eq!(after == Verdict::Up, passed),
                    (Verdict::Up, Verdict::Down) => prop_assert!(!passed && row >= fall),
                    (Verdict::Down, Verdict::Up) => prop_assert!(passed && row >= rise),
                    (Verdict::Up, Verdict::Up) => prop_assert!(passed || row < fall),
                    (before, after) => prop_assert_eq!(before, after),
                }
                prop_assert!(rise_fall.downs.len() <= DOWNS_REMEMBERED);
            }
        }
    }
}
