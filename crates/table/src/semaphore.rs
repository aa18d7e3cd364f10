//! Counts permits over all workers, and remembers which workers wait for one.
//!
//! What a worker does at a semaphore:
//!
//! ```text
//! try_acquire(max) ── true ──▶ has a permit ─────────────────────▶ … release(): wakes the worker it names
//!     │ false
//!     ▼
//! wait(worker); try_acquire(max) again ── true ──▶ done_waiting(): wakes the worker it names
//!     │ false                                           ▲
//!     ▼                                                 │ needs no permit any more
//! sleeps until woken, by anything ── try_acquire(max) ──┤
//!     ▲                                      │ false    │ true
//!     └── wait(worker); try_acquire(max) ◀───┘ ─────────┘
//! ```
//!
//! # Why no wake-up is lost
//!
//! Every access below is sequentially consistent, so all of them are in one total order. Suppose that worker B
//! sleeps with its flag set while a permit is free. B set its flag and *then* found the semaphore full. After
//! that, some `release` took the count below `max`; take the last one that did. It read the flags after B's
//! was set, so it named a worker, and if that was not B, it was some A. A, once awake, calls `try_acquire`. The
//! call does not fail, or the count would have reached `max` again and that `release` was not the last. So A has
//! its permit, or needs none, and calls `done_waiting`, which finds the count still below `max` and B's flag
//! still set, and names B, or a worker that does as A did. Each of them clears a flag and sets none, so B is
//! named after finitely many steps.
//!
//! `scripts/interleave` tries it: all interleavings of two workers, many of three.
//!
//! The proof needs `max` to be the same for all callers. When a reload raises it, every worker is woken anyway, and
//! tries again.

use crate::atomics::{AtomicU32, Ordering};
use crate::waiters::Waiters;

/// Permits over all workers: for connections of a listener, of the process, of a backend, or for waiting clients.
#[derive(Debug)]
#[repr(align(128))]
pub struct Semaphore {
    /// Permits acquired and not released.
    active: AtomicU32,
    /// Workers that wait for one.
    waiters: Waiters,
}

impl Semaphore {
    /// No permit acquired and no worker waiting, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { active: AtomicU32::new(0), waiters: Waiters::new(workers) }
    }

    /// Acquires a permit if fewer than `max` are acquired; exact over all workers.
    pub fn try_acquire(&self, max: u32) -> bool {
        self.active
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |active| (active < max).then(|| active + 1))
            .is_ok()
    }

    /// Acquires a permit, however many are acquired.
    pub(crate) fn acquire(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// Acquires a permit if exactly `active` are acquired.
    pub(crate) fn try_acquire_at(&self, active: u32) -> bool {
        self.active.compare_exchange(active, active + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Releases a permit, and names the worker that waits for one and must be woken. That worker no longer counts as
    /// waiting.
    #[must_use = "the worker that it names must be woken"]
    pub fn release(&self) -> Option<usize> {
        self.release_unawaited();
        self.waiters.claim()
    }

    /// Releases a permit of a semaphore that no worker waits at.
    pub(crate) fn release_unawaited(&self) {
        let before = self.active.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a permit was released that was not acquired");
    }

    /// Notes that `worker` waits for a permit. It must call [`try_acquire`](Self::try_acquire) again before it sleeps.
    pub fn wait(&self, worker: usize) {
        self.waiters.wait(worker);
    }

    /// Notes that `worker`, which waited, no longer does: it has a permit, or needs none. Names another worker that
    /// must be woken, because a wake-up may have gone to this one instead.
    #[must_use = "the worker that it names must be woken"]
    pub fn done_waiting(&self, worker: usize, max: u32) -> Option<usize> {
        self.waiters.done_waiting(worker);
        if self.is_full(max) { None } else { self.waiters.claim() }
    }

    /// Whether `max` permits or more are acquired.
    pub(crate) fn is_full(&self, max: u32) -> bool {
        self.active.load(Ordering::SeqCst) >= max
    }

    /// Permits acquired and not released.
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
    fn counts_permits() {
        let semaphore = Semaphore::new(1);
        assert!(!semaphore.try_acquire(0));
        assert!(semaphore.try_acquire(2));
        assert!(semaphore.try_acquire(2));
        assert!(!semaphore.try_acquire(2));
        assert_eq!(semaphore.active(), 2);
        assert_eq!(semaphore.release(), None);
        // A lower bound takes no permit away.
        assert!(!semaphore.try_acquire(1));
        assert!(semaphore.try_acquire(2));
    }

    #[test]
    #[should_panic(expected = "was not acquired")]
    fn a_permit_is_released_once() {
        let semaphore = Semaphore::new(1);
        let _ = semaphore.release();
    }

    #[test]
    fn wakes_waiting_workers_in_turn() {
        let workers = 130;
        let semaphore = Semaphore::new(workers);
        let waiting = [3, 0, 64, 129, 63];
        for _ in 0..10 {
            assert!(semaphore.try_acquire(10));
        }
        for worker in waiting {
            semaphore.wait(worker);
            semaphore.wait(worker);
        }
        let woken: Vec<_> = (0..6).map(|_| semaphore.release()).collect();
        assert_eq!(woken, [Some(3), Some(63), Some(64), Some(129), Some(0), None]);
        // A worker that waits again comes after the others.
        semaphore.wait(64);
        semaphore.wait(1);
        assert_eq!(semaphore.release(), Some(1));
        semaphore.wait(1);
        assert_eq!(semaphore.release(), Some(64));
        assert_eq!(semaphore.release(), Some(1));
    }

    #[test]
    fn a_worker_that_stops_waiting_wakes_another() {
        let semaphore = Semaphore::new(3);
        assert!(semaphore.try_acquire(1));
        semaphore.wait(1);
        semaphore.wait(2);
        // The semaphore is full: no worker has a reason to wake.
        assert_eq!(semaphore.done_waiting(0, 1), None);
        assert_eq!(semaphore.release(), Some(1));
        // Worker 1 needs no permit any more, so the wake-up goes to worker 2.
        assert_eq!(semaphore.done_waiting(1, 1), Some(2));
        assert_eq!(semaphore.done_waiting(2, 1), None);
    }

    /// Workers acquire permits, hold them for a moment and release them, with far too few permits; each sleeps when
    /// it must. In rounds: a lost wake-up shows only when no later one makes up for it.
    #[test]
    fn no_wake_up_is_lost() {
        for max in [1, 2, 3] {
            stress(max);
        }
    }

    const WORKERS: usize = 4;
    const ROUNDS: usize = 5_000;

    fn stress(max: u32) {
        let semaphore = Semaphore::new(WORKERS);
        let inside = AtomicU32::new(0);
        let failed = AtomicBool::new(false);
        let round = Barrier::new(WORKERS);
        let (wakers, sleepers): (Vec<Sender<()>>, Vec<Receiver<()>>) =
            (0..WORKERS).map(|_| channel()).unzip();
        thread::scope(|scope| {
            for (worker, sleeper) in sleepers.into_iter().enumerate() {
                let (semaphore, inside, failed, round) = (&semaphore, &inside, &failed, &round);
                let wakers = wakers.clone();
                let wake = move |worker: Option<usize>| {
                    if let Some(worker) = worker {
                        wakers[worker].send(()).expect("workers end together");
                    }
                };
                scope.spawn(move || {
                    let mut seed = worker as u64 + 1;
                    for _ in 0..ROUNDS {
                        // Some visit twice, so that the workers inside and waiting differ from round to round.
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        for _ in 0..=seed >> 63 {
                            // Now and then its clients leave while it sleeps, and it needs no permit.
                            let patient = seed >> 62 != 1;
                            if !visit(semaphore, worker, max, patient, inside, &sleeper, &wake) {
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
        assert!(!failed.into_inner(), "a worker slept while a permit was free: max {max}");
        assert_eq!(semaphore.active(), 0);
    }

    /// What a worker does for one client; false if it was not woken.
    fn visit(
        semaphore: &Semaphore,
        worker: usize,
        max: u32,
        patient: bool,
        inside: &AtomicU32,
        sleeper: &Receiver<()>,
        wake: &impl Fn(Option<usize>),
    ) -> bool {
        let mut entered = semaphore.try_acquire(max);
        if !entered {
            loop {
                semaphore.wait(worker);
                entered = semaphore.try_acquire(max);
                if entered {
                    break;
                }
                if sleeper.recv_timeout(Duration::from_secs(10)).is_err() {
                    return false;
                }
                if !patient {
                    break;
                }
                entered = semaphore.try_acquire(max);
                if entered {
                    break;
                }
            }
            wake(semaphore.done_waiting(worker, max));
        }
        if entered {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(now <= max, "{now} inside, at most {max}");
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            wake(semaphore.release());
        }
        true
    }
}
