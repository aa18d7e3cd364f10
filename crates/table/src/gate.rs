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
//! The proof needs `max` to be the same for all. When a reload raises it, every worker is woken anyway, and
//! tries again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Places over all workers: of a listener, or of the process.
#[derive(Debug)]
#[repr(align(128))]
pub struct Gate {
    /// Places taken.
    active: AtomicU32,
    /// The worker woken last; the search for the next starts behind it, so that none waits forever.
    woken: AtomicU32,
    /// A bit for each worker that waits.
    waiting: Box<[AtomicU64]>,
}

impl Gate {
    /// No place taken, nobody waiting, for so many workers.
    pub fn new(workers: usize) -> Self {
        assert!(workers > 0);
        Self {
            active: AtomicU32::new(0),
            woken: AtomicU32::new(0),
            waiting: (0..workers.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Takes a place if fewer than `max` are taken; exact over all workers.
    pub fn enter(&self, max: u32) -> bool {
        self.active
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |active| (active < max).then(|| active + 1))
            .is_ok()
    }

    /// Gives a place back; says which worker waits for one and must be woken. It no longer counts as
    /// waiting.
    #[must_use = "the worker that it names must be woken"]
    pub fn leave(&self) -> Option<usize> {
        let before = self.active.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a place was given back that nobody had taken");
        self.claim()
    }

    /// Notes that `worker` waits for a place. It must try [`enter`](Self::enter) once more before it sleeps.
    pub fn wait(&self, worker: usize) {
        self.waiting[worker / WORD].fetch_or(bit(worker), Ordering::SeqCst);
    }

    /// Notes that `worker`, which waited, does not any more: it has a place, or wants none. Says which other
    /// worker must be woken, because a wake-up meant for whoever waits may have gone to this one.
    #[must_use = "the worker that it names must be woken"]
    pub fn done_waiting(&self, worker: usize, max: u32) -> Option<usize> {
        self.waiting[worker / WORD].fetch_and(!bit(worker), Ordering::SeqCst);
        if self.active.load(Ordering::SeqCst) < max { self.claim() } else { None }
    }

    /// Places taken.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Clears the flag of one worker that waits, and names it.
    fn claim(&self) -> Option<usize> {
        loop {
            let worker = self.next_waiting()?;
            // Another thread may have claimed it since; then look again. Each such loss is another's gain,
            // so the loop ends.
            let word = self.waiting[worker / WORD].fetch_and(!bit(worker), Ordering::SeqCst);
            if word & bit(worker) != 0 {
                self.woken.store(u32::try_from(worker).expect("few workers"), Ordering::Relaxed);
                return Some(worker);
            }
        }
    }

    /// A worker that waits, the first behind the one woken last.
    fn next_waiting(&self) -> Option<usize> {
        let words = self.waiting.len();
        let start = self.woken.load(Ordering::Relaxed) as usize + 1;
        // The starting word twice: first its bits from `start` on, last the others.
        (0..=words).find_map(|step| {
            let index = (start / WORD + step) % words;
            let mask = match step {
                0 if start / WORD < words => u64::MAX << (start % WORD),
                _ => u64::MAX,
            };
            let word = self.waiting[index].load(Ordering::SeqCst) & mask;
            (word != 0).then(|| index * WORD + word.trailing_zeros() as usize)
        })
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % WORD)
}

/// Flags in a word.
const WORD: usize = u64::BITS as usize;
