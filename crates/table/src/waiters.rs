//! Remembers which workers wait for something.

use crate::atomics::{AtomicU32, AtomicU64, Ordering};

/// A flag for each worker: whether it waits. All accesses are sequentially consistent; what that is good for,
/// [`Semaphore`](crate::Semaphore) and [`Pool::waiters`](crate::Pool::waiters) tell.
#[derive(Debug)]
pub struct Waiters {
    /// A bit for each worker that waits.
    flags: Box<[AtomicU64]>,
    /// The worker named last; the search for the next starts behind it, so that none waits forever.
    named: AtomicU32,
}

impl Waiters {
    /// None of so many workers waits.
    pub fn new(workers: usize) -> Self {
        assert!(workers > 0);
        Self {
            flags: (0..workers.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect(),
            named: AtomicU32::new(0),
        }
    }

    /// Notes that `worker` waits. It must check again for what it waits for before it sleeps.
    pub fn wait(&self, worker: usize) {
        self.flags[worker / WORD].fetch_or(bit(worker), Ordering::SeqCst);
    }

    /// Whether `worker` waits, and was not named since.
    pub fn waits(&self, worker: usize) -> bool {
        self.flags[worker / WORD].load(Ordering::SeqCst) & bit(worker) != 0
    }

    /// Notes that `worker` does not wait any more.
    pub(crate) fn done_waiting(&self, worker: usize) {
        self.flags[worker / WORD].fetch_and(!bit(worker), Ordering::SeqCst);
    }

    /// Names a worker that waits, the first behind the one named last. It no longer counts as waiting.
    pub(crate) fn claim(&self) -> Option<usize> {
        loop {
            let worker = self.next()?;
            // Another thread may have claimed it since; then look again. Each such loss is another's gain,
            // so the loop ends.
            let word = self.flags[worker / WORD].fetch_and(!bit(worker), Ordering::SeqCst);
            if word & bit(worker) != 0 {
                self.named.store(u32::try_from(worker).expect("few workers"), Ordering::Relaxed);
                return Some(worker);
            }
        }
    }

    /// Names all workers that wait. They no longer count as waiting.
    pub fn claim_all(&self) -> impl Iterator<Item = usize> {
        self.flags.iter().enumerate().flat_map(|(index, flags)| {
            // Mostly no worker waits, and reading costs less than writing.
            let word = if flags.load(Ordering::SeqCst) == 0 { 0 } else { flags.swap(0, Ordering::SeqCst) };
            (0..WORD).filter(move |bit| word & 1 << bit != 0).map(move |bit| index * WORD + bit)
        })
    }

    fn next(&self) -> Option<usize> {
        let words = self.flags.len();
        let start = self.named.load(Ordering::Relaxed) as usize + 1;
        // The starting word twice: first its bits from `start` on, last the others.
        (0..=words).find_map(|step| {
            let index = (start / WORD + step) % words;
            let mask = match step {
                0 if start / WORD < words => u64::MAX << (start % WORD),
                _ => u64::MAX,
            };
            let word = self.flags[index].load(Ordering::SeqCst) & mask;
            (word != 0).then(|| index * WORD + word.trailing_zeros() as usize)
        })
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % WORD)
}

/// Flags in a word.
const WORD: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    use super::Waiters;

    #[test]
    fn all_waiting_workers_are_named_once() {
        let waiters = Waiters::new(130);
        assert_eq!(waiters.claim_all().count(), 0);
        for worker in [129, 0, 63, 64, 0] {
            waiters.wait(worker);
        }
        assert!(waiters.waits(63));
        waiters.done_waiting(64);
        assert!(!waiters.waits(64));
        assert_eq!(waiters.claim_all().collect::<Vec<_>>(), [0, 63, 129]);
        assert!(!waiters.waits(63));
        assert_eq!(waiters.claim_all().count(), 0);
    }
}
