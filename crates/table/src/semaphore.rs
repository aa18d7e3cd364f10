//! Counts places over all workers, and remembers who waits for one.
//!
//! What a worker does at a gate:
//!
//! ```text
//! enter(max) ── true ──▶ has a place ─────────────────────────▶ … leave(): wake the one it names
//!     │ false
//!     ▼
//! wait(worker); enter(max) again ── true ──▶ done_waiting(): wake the one it names
//!     │ false                                     ▲
//!     ▼                                           │ wants no place any more
//! sleeps until woken, by whatever ── enter(max) ──┤
//!     ▲                                │ false    │ true
//!     └── wait(worker); enter(max) ◀───┘ ─────────┘
//! ```
//!
//! # Why no wake-up is lost
//!
//! Every access below is sequentially consistent, so all of them stand in one order. Suppose that worker B
//! sleeps with its flag set while a place is free. B set its flag and *then* found the gate full. So after
//! that some `leave` took the count below `max`; take the last that did. It looked at the flags after B's
//! was set, so it named a worker, and if it was not B, it was some A. A, once awake, tries `enter`. It does
//! not fail, or the count would have reached `max` again and that `leave` was not the last. So A has its
//! place, or wants none, and calls `done_waiting`, which finds the count still below `max` and B's flag
//! still set, and names B, or a worker that does as A did. Each of them clears a flag and sets none, so B's
//! turn comes: it does not sleep on.
//!
//! `scripts/interleave` tries it: all orders there are of two workers, many of three.
//!
//! The proof needs `max` to be the same for all. When a reload raises it, every worker is woken anyway, and
//! tries again.

use crate::atomics::{AtomicU32, Ordering};
use crate::waiters::Waiters;

/// Places over all workers: of a listener, of the process, at a backend, or among those who wait.
#[derive(Debug)]
#[repr(align(128))]
pub struct Semaphore {
    /// Places taken.
    active: AtomicU32,
    /// Workers that wait for one.
    waiters: Waiters,
}

impl Semaphore {
    /// No place taken, nobody waiting, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { active: AtomicU32::new(0), waiters: Waiters::new(workers) }
    }

    /// Takes a place if fewer than `max` are taken; exact over all workers.
    pub fn enter(&self, max: u32) -> bool {
        self.active
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |active| (active < max).then(|| active + 1))
            .is_ok()
    }

    /// Takes a place, however many are taken.
    pub(crate) fn take(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes a place if exactly `active` are taken.
    pub(crate) fn enter_as(&self, active: u32) -> bool {
        self.active.compare_exchange(active, active + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Gives a place back; says which worker waits for one and must be woken. It no longer counts as
    /// waiting.
    #[must_use = "the worker that it names must be woken"]
    pub fn leave(&self) -> Option<usize> {
        self.give_back();
        self.waiters.claim()
    }

    /// Gives a place back, where nobody waits at this gate.
    pub(crate) fn give_back(&self) {
        let before = self.active.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a place was given back that nobody had taken");
    }

    /// Notes that `worker` waits for a place. It must try [`enter`](Self::enter) once more before it sleeps.
    pub fn wait(&self, worker: usize) {
        self.waiters.wait(worker);
    }

    /// Notes that `worker`, which waited, does not any more: it has a place, or wants none. Says which other
    /// worker must be woken, because a wake-up meant for whoever waits may have gone to this one.
    #[must_use = "the worker that it names must be woken"]
    pub fn done_waiting(&self, worker: usize, max: u32) -> Option<usize> {
        self.waiters.done_waiting(worker);
        if self.is_full(max) { None } else { self.waiters.claim() }
    }

    /// Whether `max` places or more are taken.
    pub(crate) fn is_full(&self, max: u32) -> bool {
        self.active.load(Ordering::SeqCst) >= max
    }

    /// Places taken.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::Duration;

    use super::Semaphore;

    #[test]
    fn counts_places() {
        let gate = Semaphore::new(1);
        assert!(!gate.enter(0));
        assert!(gate.enter(2));
        assert!(gate.enter(2));
        assert!(!gate.enter(2));
        assert_eq!(gate.active(), 2);
        assert_eq!(gate.leave(), None);
        // A lower bound lets those be who are in.
        assert!(!gate.enter(1));
        assert!(gate.enter(2));
    }

    #[test]
    #[should_panic(expected = "nobody had taken")]
    fn a_place_is_given_back_once() {
        let gate = Semaphore::new(1);
        let _ = gate.leave();
    }

    #[test]
    fn wakes_those_who_wait_in_turn() {
        let workers = 130;
        let gate = Semaphore::new(workers);
        let waiting = [3, 0, 64, 129, 63];
        for _ in 0..10 {
            assert!(gate.enter(10));
        }
        for worker in waiting {
            gate.wait(worker);
            gate.wait(worker);
        }
        let woken: Vec<_> = (0..6).map(|_| gate.leave()).collect();
        assert_eq!(woken, [Some(3), Some(63), Some(64), Some(129), Some(0), None]);
        // One that waits again comes behind the others.
        gate.wait(64);
        gate.wait(1);
        assert_eq!(gate.leave(), Some(1));
        gate.wait(1);
        assert_eq!(gate.leave(), Some(64));
        assert_eq!(gate.leave(), Some(1));
    }

    #[test]
    fn who_does_not_wait_any_more_wakes_another() {
        let gate = Semaphore::new(3);
        assert!(gate.enter(1));
        gate.wait(1);
        gate.wait(2);
        // The gate is full: nobody has reason to wake.
        assert_eq!(gate.done_waiting(0, 1), None);
        assert_eq!(gate.leave(), Some(1));
        // Worker 1 wants no place any more, so it is for worker 2.
        assert_eq!(gate.done_waiting(1, 1), Some(2));
        assert_eq!(gate.done_waiting(2, 1), None);
    }

    /// Workers take places, hold them for a moment and give them back, through a gate that is far too narrow;
    /// each sleeps when it must. In rounds: a lost wake-up shows only when no later one makes up for it.
    #[test]
    fn no_wake_up_is_lost() {
        for max in [1, 2, 3] {
            stress(max);
        }
    }

    const WORKERS: usize = 4;
    const ROUNDS: usize = 5_000;

    fn stress(max: u32) {
        let gate = Semaphore::new(WORKERS);
        let inside = AtomicU32::new(0);
        let failed = AtomicBool::new(false);
        let round = Barrier::new(WORKERS);
        let (wakers, sleepers): (Vec<Sender<()>>, Vec<Receiver<()>>) =
            (0..WORKERS).map(|_| channel()).unzip();
        thread::scope(|scope| {
            for (worker, sleeper) in sleepers.into_iter().enumerate() {
                let (gate, inside, failed, round) = (&gate, &inside, &failed, &round);
                let wakers = wakers.clone();
                let wake = move |worker: Option<usize>| {
                    if let Some(worker) = worker {
                        wakers[worker].send(()).expect("workers end together");
                    }
                };
                scope.spawn(move || {
                    let mut seed = worker as u64 + 1;
                    for _ in 0..ROUNDS {
                        // Some visit twice, so that who is inside and who waits differs from round to round.
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        for _ in 0..=seed >> 63 {
                            // Now and then its clients leave while it sleeps, and it wants no place.
                            let patient = seed >> 62 != 1;
                            if !visit(gate, worker, max, patient, inside, &sleeper, &wake) {
                                failed.store(true, Ordering::Relaxed);
                            }
                        }
                        round.wait();
                        if failed.load(Ordering::Relaxed) {
                            return;
                        }
                        round.wait();
                    }
                });
            }
        });
        assert!(!failed.into_inner(), "a worker slept while there was a place: max {max}");
        assert_eq!(gate.active(), 0);
    }

    /// What a worker does for one client; false if it was not woken.
    fn visit(
        gate: &Semaphore,
        worker: usize,
        max: u32,
        patient: bool,
        inside: &AtomicU32,
        sleeper: &Receiver<()>,
        wake: &impl Fn(Option<usize>),
    ) -> bool {
        let mut entered = gate.enter(max);
        if !entered {
            loop {
                gate.wait(worker);
                entered = gate.enter(max);
                if entered {
                    break;
                }
                if sleeper.recv_timeout(Duration::from_secs(10)).is_err() {
                    return false;
                }
                if !patient {
                    break;
                }
                entered = gate.enter(max);
                if entered {
                    break;
                }
            }
            wake(gate.done_waiting(worker, max));
        }
        if entered {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(now <= max, "{now} inside, at most {max}");
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            wake(gate.leave());
        }
        true
    }
}
