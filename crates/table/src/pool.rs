//! Backends with one balancing policy: strict round robin, weighted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ack_hold::AckHold;
use crate::counters::{BackendCounters, PerWorker};
use crate::rotation;

/// Backends with one balancing policy.
#[derive(Debug)]
pub struct Pool {
    /// Its name in logs and counters; its identity over reloads.
    pub name: String,
    /// How a backend is picked.
    pub balance: config::Balance,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How many backends are tried for one connection, each at most once; at least 1.
    pub attempts: u8,
    /// How long a connection lives with no byte in either direction.
    pub idle_timeout: Duration,
    /// How long a connection lives after one direction has ended.
    pub half_closed_timeout: Duration,
    /// TCP keepalive on both sockets of a connection.
    pub keepalive: config::Keepalive,
    /// The address to connect from; none lets the kernel choose.
    pub source: Option<IpAddr>,
    /// The backends, in the order of the config.
    pub backends: Vec<Arc<Backend>>,
    /// The sequence that round robin walks; empty when no backend has a weight.
    rotation: Box<[BackendIndex]>,
    /// How many places of the rotation were taken; shared by all workers, outlives swaps.
    cursor: Arc<Cursor>,
    /// Whether its clients speak first; outlives swaps.
    pub ack_hold: Arc<PerWorker<AckHold>>,
}

/// An index into [`Pool::backends`] of the pool it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendIndex(pub u16);

/// An address to connect to, with a weight.
#[derive(Debug)]
pub struct Backend {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens; with the pool's name, its identity over reloads.
    pub address: SocketAddr,
    /// Its share of new connections; 0 takes none.
    pub weight: u16,
    /// What became of connections to it; outlives swaps.
    pub counters: Arc<PerWorker<BackendCounters>>,
}

/// The number of places taken so far, alone on its cache line: every worker writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicU64);

impl Pool {
    /// The pool that `config` asks for, with what outlives a swap taken from the pool it was `before`.
    pub(crate) fn build(config: &config::Pool, workers: usize, before: Option<&Arc<Self>>) -> Self {
        assert!(config.backends.len() <= BACKENDS_MAX);
        // A look-up for each: 10 000 searches of 10 000 backends took 50 ms.
        let known: HashMap<SocketAddr, &Arc<Backend>> =
            before.iter().flat_map(|pool| &pool.backends).map(|backend| (backend.address, backend)).collect();
        let backends: Vec<Arc<Backend>> = config
            .backends
            .iter()
            .map(|backend| {
                let before = known.get(&backend.address);
                Arc::new(Backend {
                    name: backend.name.clone(),
                    address: backend.address,
                    weight: backend.weight,
                    counters: before.map_or_else(
                        || Arc::new(PerWorker::new(workers)),
                        |before| Arc::clone(&before.counters),
                    ),
                })
            })
            .collect();
        let weights: Vec<u16> = backends.iter().map(|backend| backend.weight).collect();
        Self {
            name: config.name.clone(),
            balance: config.balance,
            connect_timeout: config.connect_timeout,
            attempts: config.attempts,
            idle_timeout: config.idle_timeout,
            half_closed_timeout: config.half_closed_timeout,
            keepalive: config.keepalive,
            source: config.source,
            backends,
            rotation: rotation::smooth(&weights),
            cursor: before.map_or_else(Arc::default, |before| Arc::clone(&before.cursor)),
            ack_hold: before
                .map_or_else(|| Arc::new(PerWorker::new(workers)), |before| Arc::clone(&before.ack_hold)),
        }
    }

    /// The next backend in the rotation that is not among `tried`; none when there is none left.
    ///
    /// Strict: the n-th pick of the pool, over all workers and all tables that kept the pool, goes to place
    /// `n % len` of the rotation. A pick after a failed attempt takes a place of its own as well, so that
    /// the share of a dead backend does not fall to the one behind it alone. If that place belongs to one
    /// among `tried`, the round's number says which of the other places stands in, so that they take turns.
    ///
    /// Bound: a first pick looks at one place; a later one at each place of the rotation at most twice.
    pub fn pick(&self, tried: &[BackendIndex]) -> Option<BackendIndex> {
        let len = self.rotation.len() as u64;
        if len == 0 {
            return None;
        }
        // Relaxed: only the number matters, nothing is published with it.
        let number = self.cursor.0.fetch_add(1, Ordering::Relaxed);
        let picked = self.place(number % len);
        if !tried.contains(&picked) {
            return Some(picked);
        }
        let untried = || self.rotation.iter().filter(|index| !tried.contains(index));
        let round = number / len;
        let stand_in = round.checked_rem(untried().count() as u64)?;
        untried().nth(usize::try_from(stand_in).expect("less than the rotation's length")).copied()
    }

    /// The backend of this index.
    pub fn backend(&self, index: BackendIndex) -> &Arc<Backend> {
        &self.backends[usize::from(index.0)]
    }

    fn place(&self, number: u64) -> BackendIndex {
        self.rotation[usize::try_from(number).expect("less than the rotation's length")]
    }
}

/// How many backends a pool may have, so that a [`BackendIndex`] fits; `config` refuses more.
const BACKENDS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::{BackendIndex, Pool};
    use crate::samples;

    #[test]
    fn picks_in_turn_and_never_what_was_tried() {
        // Each pick is a word: the backends tried before it. Below, what it gives.
        check(&["a 1", "b 1", "c 1"], "- - - - - -", "a b c a b c");
        check(&["a 1", "b 0", "c 1"], "- - - -", "a c a c");
        check(&["a 1", "b 1"], "- a - ab -", "a b a - a");
        check(&["a 1"], "- a -", "a - a");
        check(&["a 0"], "- -", "- -");
        // `a` is dead: its places go to the others in turn.
        check(&["a 1", "b 1", "c 1"], "a - - a - - a - -", "b b c c b c b b c");
        check(&["a 2", "b 1"], "a a a a a", "b b b b b");
    }

    #[track_caller]
    fn check(backends: &[&str], tried: &str, expected: &str) {
        let pool = pool(backends);
        let index = |letter: char| BackendIndex(u16::from(letter as u8 - b'a'));
        let name = |picked: BackendIndex| pool.backend(picked).name.clone();
        let picked: Vec<String> = tried
            .split(' ')
            .map(|tried| tried.chars().filter(|&letter| letter != '-').map(index).collect::<Vec<_>>())
            .map(|tried| pool.pick(&tried).map_or("-".to_owned(), name))
            .collect();
        assert_eq!(picked.join(" "), expected);
    }

    /// Connections whose attempt at a dead backend fails late, among those of others, spread evenly.
    #[test]
    fn the_share_of_a_dead_backend_is_spread() {
        let pool = pool(&["a 1", "b 1", "c 1", "d 1"]);
        let dead = BackendIndex(1);
        let mut served = [0; 4];
        let mut failed = 0;
        for number in 0..40_000_u32 {
            match pool.pick(&[]) {
                Some(picked) if picked == dead => failed += 1,
                Some(picked) => served[usize::from(picked.0)] += 1,
                None => unreachable!("four have a weight"),
            }
            // The answers of a network come when they come.
            while failed > 0 && number % 7 < 3 {
                failed -= 1;
                served[usize::from(pool.pick(&[dead]).unwrap().0)] += 1;
            }
        }
        assert_eq!(served[1], 0);
        let (least, most) = (served[0].min(served[2]).min(served[3]), *served.iter().max().unwrap());
        assert!(most - least < 400, "{served:?}");
    }

    #[test]
    fn is_exact_over_threads() {
        const THREADS: u32 = 8;
        const PICKS: u32 = 3_500;
        let pool = pool(&["a 5", "b 1", "c 1"]);
        let picked: [AtomicU32; 3] = Default::default();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..PICKS {
                        let index = pool.pick(&[]).unwrap();
                        picked[usize::from(index.0)].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let rounds = THREADS * PICKS / 7;
        assert_eq!(picked.map(AtomicU32::into_inner), [5 * rounds, rounds, rounds]);
    }

    fn pool(backends: &[&str]) -> Pool {
        Pool::build(&samples::pool("web", backends), 1, None)
    }
}
