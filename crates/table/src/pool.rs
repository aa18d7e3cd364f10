//! Backends with one balancing policy, and which of them may be picked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use config::{Balance, OnDemotion, OnRemove, TargetRole, Tier};

use crate::ack_hold::AckHold;
use crate::attempt::Attempt;
use crate::backend::{Backend, BackendIndex, PoolShared};
use crate::candidates::{Candidates, Policy, TargetRoleKind, shares};
use crate::chance::Dice;
use crate::counter::PerWorker;
use crate::counters::PoolCounters;
use crate::drain_window::DrainWindow;
use crate::evictions::{EvictionRules, Evictions};
use crate::first;
use crate::least_connections;
use crate::picked::Picked;
use crate::random;
use crate::removed::RemovedBackend;
use crate::round_robin;
use crate::semaphore::Semaphore;
use crate::state::{BackendState, PoolInputs, Role};
use crate::tiers::{Rank, Serving, ranks, serving};
use crate::waiters::Waiters;

/// Backends with one balancing policy.
#[derive(Debug)]
pub struct Pool {
    /// Its name in logs and counters; its identity over reloads.
    pub name: String,
    /// How a backend is picked.
    pub balance: Balance,
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
    /// The PROXY header that backends are sent before the bytes of a client; none if none is.
    pub send_proxy: Option<config::SendProxy>,
    /// What becomes of connections when a reload removes their backend, their listener or the pool.
    pub on_remove: OnRemove,
    /// Clients that wait while every backend has as many connections as it may.
    pub queue: config::Waiting,
    /// Counts those clients; outlives swaps.
    pub queue_semaphore: Arc<Semaphore>,
    /// Workers whose clients wait for a permit of any backend; outlives swaps.
    ///
    /// A worker notes that it waits and *then* picks for its clients again, before it sleeps. [`Backend::release`]
    /// counts a permit as free and *then* names every waiting worker. Those accesses are sequentially consistent,
    /// so all of them are in one total order: either the pick came after the permit was free, and got it, or the
    /// worker was noted when `release` read the flags, and was named. So no wake-up is lost. All are named, not
    /// one as at a [`Semaphore`]: some of the clients may not go to that backend, for their target role or because
    /// they have tried it, and the one named may be of those.
    pub waiters: Arc<Waiters>,
    /// The backends, in the order of the config.
    pub backends: Vec<Arc<Backend>>,
    /// Which backends may be picked, by [`TargetRoleKind`].
    candidates: [Candidates; TargetRoleKind::ALL.len()],
    /// Whether any of its backends has a bound.
    bounded: bool,
    /// Which backends serve; none if no inputs were ever sources.
    serving: Option<Serving>,
    /// How many picks there were; shared by all workers, outlives swaps.
    cursor: Arc<Cursor>,
    /// Whether its clients send first; outlives swaps.
    pub ack_hold: Arc<PerWorker<AckHold>>,
    /// How long things took; outlives swaps.
    pub counters: Arc<PerWorker<PoolCounters>>,
}

/// The number of picks so far, alone on its cache line: every worker writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicU64);

/// What a pool is built from, besides its config.
pub(crate) struct PoolSources<'a> {
    pub(crate) workers: usize,
    /// Its inputs, and when they were taken; none leaves all states unknown.
    pub(crate) inputs: Option<(&'a PoolInputs, Instant)>,
    /// How long connections may take to finish in a drain.
    pub(crate) drain_timeout: Duration,
    /// The same pool of the table before.
    pub(crate) before: Option<&'a Arc<Pool>>,
    /// Backends that reloads removed from it.
    pub(crate) removed: &'a [RemovedBackend],
}

impl Pool {
    /// The pool that `config` asks for, with what outlives a swap taken from the pool it was before. Adds the
    /// evictions of its connections to `evictions`, and says when time alone changes something.
    pub(crate) fn build(
        config: &config::Pool,
        sources: &PoolSources<'_>,
        evictions: &mut Evictions,
    ) -> (Self, Option<Instant>) {
        let before = sources.before;
        // A backend that returns has connections that name those workers when they end.
        let waiters = before
            .map(|before| &before.waiters)
            .or_else(|| sources.removed.first().map(|removed| removed.backend.waiters()))
            .map_or_else(|| Arc::new(Waiters::new(sources.workers)), Arc::clone);
        let backends = backends(config, sources, &waiters);
        let states = states(config, sources.inputs.map(|(inputs, _)| inputs));
        let ranks = ranks(config, &states);
        let serving = sources.inputs.map(|(inputs, now)| {
            let before = before.and_then(|before| before.serving.as_ref());
            serving(before, &ranks, config.tiers.failback, inputs.failback, now)
        });
        let rank = serving.as_ref().map_or(Rank::Active, |serving| serving.rank);

        let inherited = before
            .filter(|before| before.backends.iter().map(|backend| backend.address).eq(addresses(config)));
        let candidates = TargetRoleKind::ALL.map(|target_role| {
            let shares = shares(target_role, config, &states, rank);
            let before = inherited.map(|before| &before.candidates[target_role as usize]);
            Candidates::build(config.balance, &backends, shares, before)
        });
        let mut due = None;
        if let (Some(serving), Some((_, now))) = (&serving, sources.inputs) {
            let drain = (config.tiers.on_demotion == OnDemotion::Drain).then_some(sources.drain_timeout);
            due = serving.due(&ranks, config.tiers.failback, drain, now);
            let drained = serving.since + sources.drain_timeout;
            let rules = EvictionRules { pool: config, candidates: &candidates, serving: rank, drained, now };
            for (index, (backend, state)) in backends.iter().zip(&states).enumerate() {
                evictions.set(backend, rules.reasons(index, *state));
            }
        }
        let pool = Self {
            name: config.name.clone(),
            balance: config.balance,
            connect_timeout: config.connect_timeout,
            attempts: config.attempts,
            idle_timeout: config.idle_timeout,
            half_closed_timeout: config.half_closed_timeout,
            keepalive: config.keepalive,
            source: config.source,
            send_proxy: config.send_proxy.clone(),
            on_remove: config.on_remove,
            queue: config.queue,
            queue_semaphore: before.map_or_else(
                || Arc::new(Semaphore::new(sources.workers)),
                |before| Arc::clone(&before.queue_semaphore),
            ),
            waiters,
            backends,
            candidates,
            bounded: config.backends.iter().any(|backend| backend.connections_max.is_some()),
            serving,
            cursor: before.map_or_else(Arc::default, |before| Arc::clone(&before.cursor)),
            ack_hold: before.map_or_else(
                || Arc::new(PerWorker::new(sources.workers)),
                |before| Arc::clone(&before.ack_hold),
            ),
            counters: before.map_or_else(
                || Arc::new(PerWorker::new(sources.workers)),
                |before| Arc::clone(&before.counters),
            ),
        };
        (pool, due)
    }

    /// Picks a backend for `target_role` that is not among `tried`, by the pool's policy.
    ///
    /// Round robin is strict: the n-th pick of the pool, over all workers and all tables that kept the pool, goes
    /// to place
    /// `n % len` of the rotation. A pick after a failed attempt takes a place of its own as well, so that
    /// the share of a dead backend does not go to the one after it alone.
    ///
    /// `client` is asked for the client's address by `maglev` alone, and chance is asked by `random` alone.
    pub fn pick(
        &self,
        target_role: TargetRole,
        tried: &[BackendIndex],
        dice: &mut Dice,
        client: impl FnOnce() -> IpAddr,
    ) -> Picked {
        self.attempt(target_role, tried, true, dice, client, || self.next_number())
    }

    /// What [`pick`](Self::pick) would give this client next: no permit is acquired and the cursor stays. Of a
    /// pool that picks by chance it is one of the possible results, as `dice` have it.
    pub fn peek(&self, target_role: TargetRole, dice: &mut Dice, client: IpAddr) -> Picked {
        self.attempt(target_role, &[], false, dice, || client, || self.cursor.0.load(Ordering::Relaxed))
    }

    fn attempt(
        &self,
        target_role: TargetRole,
        tried: &[BackendIndex],
        acquires: bool,
        dice: &mut Dice,
        client: impl FnOnce() -> IpAddr,
        number: impl FnOnce() -> u64,
    ) -> Picked {
        let Candidates { shares, policy } = &self.candidates[TargetRoleKind::from(target_role) as usize];
        let attempt = Attempt { backends: &self.backends, shares, tried, bounded: self.bounded, acquires };
        match policy {
            // A pick without candidates takes no number.
            Policy::RoundRobin(rotation) if rotation.is_empty() => Picked::None,
            Policy::RoundRobin(rotation) => round_robin::pick(rotation, number(), &attempt),
            Policy::First(members) if members.is_empty() => Picked::None,
            Policy::First(members) => first::pick(members, &attempt),
            Policy::LeastConnections(members) => least_connections::pick(members, number(), &attempt),
            Policy::Random(rotation) => random::pick(rotation, dice, &attempt),
            Policy::Maglev(maglev) => maglev.pick(client(), &attempt),
        }
    }

    /// Whether any backend may be picked for `target_role`, tried or not, full or not.
    pub fn has_candidates(&self, target_role: TargetRole) -> bool {
        self.candidates[TargetRoleKind::from(target_role) as usize].shares.iter().any(|share| *share > 0)
    }

    /// What the backend of this index is to have of all connections for `target_role`, against the others; 0 if it
    /// may not be picked.
    pub fn share(&self, target_role: TargetRole, index: BackendIndex) -> u32 {
        self.candidates[TargetRoleKind::from(target_role) as usize].shares[usize::from(index.0)]
    }

    /// Whether a pick for `target_role` after these were tried would give a backend.
    pub fn can_pick(&self, target_role: TargetRole, tried: &[BackendIndex]) -> bool {
        let Candidates { shares, policy } = &self.candidates[TargetRoleKind::from(target_role) as usize];
        if let Policy::First(members) = policy {
            return first::before_tried(members, tried).any(|index| !self.backend(index).is_full());
        }
        let mut candidates = (0..).map(BackendIndex).zip(shares).filter(|(_, share)| **share > 0);
        candidates.any(|(index, _)| !tried.contains(&index) && !self.backend(index).is_full())
    }

    /// The index of the backend at this address.
    pub fn index_of(&self, address: SocketAddr) -> Option<BackendIndex> {
        (0..)
            .map(BackendIndex)
            .zip(&self.backends)
            .find(|(_, backend)| backend.address == address)
            .map(|(index, _)| index)
    }

    /// The backend of this index.
    pub fn backend(&self, index: BackendIndex) -> &Arc<Backend> {
        &self.backends[usize::from(index.0)]
    }

    /// Whether the other one has the very same backends, in the same order.
    pub(crate) fn has_same_backends(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<Backend>, &Arc<Backend>)| one.identity() == other.identity();
        self.backends.len() == other.backends.len() && self.backends.iter().zip(&other.backends).all(same)
    }

    /// The drain windows of its backends, by their identities.
    pub(crate) fn drain_windows(&self) -> impl Iterator<Item = (usize, DrainWindow)> {
        let may_be_picked =
            |index: usize| self.candidates.iter().any(|candidates| candidates.contains(index));
        let each = self.backends.iter().enumerate();
        let each =
            each.filter_map(|(index, backend)| Some((index, backend.identity(), backend.drain_window?)));
        // A backend that may be picked keeps its connections; otherwise they would be opened and closed in turns.
        each.filter(move |(index, ..)| !may_be_picked(*index)).map(|(_, identity, window)| (identity, window))
    }

    /// The tier that serves listeners without a target role.
    pub fn tier(&self) -> Tier {
        self.rank().tier()
    }

    /// The backup that serves listeners without a target role alone, with `backups: first`; none if a whole tier does.
    pub fn serving_backup(&self) -> Option<SocketAddr> {
        match self.rank() {
            Rank::Active | Rank::Backups => None,
            Rank::Backup(address) => Some(address),
        }
    }

    /// Which backends serve listeners without a target role.
    pub(crate) fn rank(&self) -> Rank {
        self.serving.as_ref().map_or(Rank::Active, |serving| serving.rank)
    }

    fn next_number(&self) -> u64 {
        // Relaxed: only the number matters, nothing is published with it.
        self.cursor.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn backends(config: &config::Pool, sources: &PoolSources<'_>, waiters: &Arc<Waiters>) -> Vec<Arc<Backend>> {
    assert!(config.backends.len() <= BACKENDS_MAX);
    // A map: 10 000 searches of 10 000 backends took 50 ms.
    let removed = sources.removed.iter().map(|removed| &removed.backend);
    let before = sources.before.iter().flat_map(|pool| &pool.backends);
    let known: HashMap<SocketAddr, &Arc<Backend>> =
        removed.chain(before).map(|backend| (backend.address, backend)).collect();
    let drains = sources.inputs.map(|(inputs, _)| &inputs.drains);
    let failures_max = config.eject.map(|eject| eject.failures);
    let shared = PoolShared { workers: sources.workers, waiters, failures_max };
    let backend = |backend: &config::Backend| {
        let before = known.get(&backend.address).copied();
        let window = drains.and_then(|drains| drains.get(&backend.address)).copied();
        Arc::new(Backend::build(backend, &shared, window, before))
    };
    config.backends.iter().map(backend).collect()
}

/// The state of each backend, in the order of the config.
fn states(config: &config::Pool, inputs: Option<&PoolInputs>) -> Vec<BackendState> {
    let known = |address| inputs.and_then(|inputs| inputs.backends.get(&address)).copied();
    let states: Vec<BackendState> =
        addresses(config).map(|address| known(address).unwrap_or_default()).collect();
    let primaries = states.iter().filter(|state| state.role == Some(Role::Primary));
    assert!(primaries.count() <= 1, "two primaries of pool {}", config.name);
    states
}

fn addresses(config: &config::Pool) -> impl Iterator<Item = SocketAddr> {
    config.backends.iter().map(|backend| backend.address)
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
            .map(|tried| samples::pick(&pool, &tried).map_or("-".to_owned(), name))
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
            match samples::pick(&pool, &[]) {
                Some(picked) if picked == dead => failed += 1,
                Some(picked) => served[usize::from(picked.0)] += 1,
                None => unreachable!("four have a weight"),
            }
            // The answers of a network come when they come.
            while failed > 0 && number % 7 < 3 {
                failed -= 1;
                served[usize::from(samples::pick(&pool, &[dead]).unwrap().0)] += 1;
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
                        let index = samples::pick(&pool, &[]).unwrap();
                        picked[usize::from(index.0)].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let rounds = THREADS * PICKS / 7;
        assert_eq!(picked.map(AtomicU32::into_inner), [5 * rounds, rounds, rounds]);
    }

    fn pool(backends: &[&str]) -> Pool {
        samples::build(&samples::pool("web", backends))
    }
}
