//! Which backend must be picked, worked out a second time.
//!
//! The kernel sees every pick that came to something, as the attempt to open a socket. What its connection had tried
//! before, it sees as well: after an attempt failed a worker picks again before it asks the kernel for anything else.
//!
//! Round robin is followed pick by pick, where nothing but the configuration decides: which backend each must have
//! gone to. Where health or bounds decide, too, a pick that gave no backend shows nowhere; there it is checked
//! what is promised of each pick: that the backend may take it (`tables`), has a place, has the fewest
//! connections, or is the client's own.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use config::{Balance, Config, OnAllDown, Pool, Routing, Tier};
use driver::Fd;

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may be so, whichever others are")]
pub(crate) struct Picks {
    pools: Vec<Rotations>,
    /// By the socket of an attempt under way, or of a connection: what its connection has tried, this one included.
    under_way: HashMap<i32, Vec<SocketAddr>>,
    /// What the connection has tried whose attempt failed just now.
    failed: Option<Vec<SocketAddr>>,
    /// Sockets to each backend.
    active: HashMap<SocketAddr, u32>,
    /// The client of the last pick, where the pick depends on it.
    asked: Option<IpAddr>,
    /// Where clients were sent by the present table.
    affinity: HashMap<(SocketAddr, IpAddr), SocketAddr>,
    /// Whether a listener went from one pool to another, and connections that had failed at one tried the other.
    moved: bool,
    /// The pools of each listener, and its routes, by its address.
    listeners: BTreeMap<SocketAddr, (Vec<String>, Routing)>,
    /// Whether a connection that had failed somewhere may wait for others: what it has tried does not show once it
    /// goes on.
    waits: bool,
    /// Whether backends ever had states, or some were removed, so that attempts may have been evicted, which do
    /// not count.
    pub(crate) severs: bool,
    /// Whether clients are named by headers, so that the kernel does not know which one a pick is for.
    named: bool,
}

/// A pool over all tables that had it.
#[derive(Debug)]
struct Rotations {
    name: String,
    versions: Vec<Version>,
    /// How many places may have been taken. One number, unless it matters which table a connection used.
    taken: Vec<u64>,
}

/// A pool in one table.
#[derive(Debug)]
struct Version {
    rotation: Vec<SocketAddr>,
    /// Those that may be picked, in the order of the file.
    eligible: Vec<SocketAddr>,
    attempts: usize,
    balance: Balance,
    /// Of each backend: its weight, and its bound.
    backends: BTreeMap<SocketAddr, (u32, Option<u32>)>,
}

impl Picks {
    pub(crate) fn new(named: bool) -> Self {
        Self { named, ..Self::default() }
    }

    /// A table of this configuration was published.
    pub(crate) fn on_table(&mut self, config: &Config) {
        self.affinity.clear();
        for listener in &config.listeners {
            let names = listener.pools().into_iter().map(|pool| config.pools[pool.0].name.clone());
            let to = (names.collect::<Vec<_>>(), listener.routing.clone());
            for listen in &listener.addresses {
                let before = self.listeners.insert(listen.address, to.clone());
                self.moved |= before.is_some_and(|before| before != to);
            }
        }
        config.pools.iter().for_each(|pool| self.on_pool(pool));
    }

    fn on_pool(&mut self, pool: &Pool) {
        let version = Version::new(pool);
        let Some(known) = self.pools.iter_mut().find(|known| known.name == pool.name) else {
            let name = pool.name.clone();
            return self.pools.push(Rotations { name, versions: vec![version], taken: vec![0] });
        };
        known.versions.push(version);
    }

    /// A worker asked for the address of a client.
    pub(crate) fn on_peer(&mut self, client: IpAddr) {
        self.asked = Some(client);
    }

    /// A worker picked this backend.
    pub(crate) fn on_open(&mut self, to: SocketAddr, opened: Option<Fd>) {
        let mut tried = self.failed.take().unwrap_or_default();
        self.check_balance(to, &tried);
        let severs = self.severs;
        let pool = self.pool_of(to);
        if !severs && pool.is_exact() {
            let remembered = pool.remembered(&tried);
            let picked = |number: &u64| {
                let picks = |tried: &[SocketAddr]| {
                    pool.versions.iter().any(|version| version.pick(*number, tried) == Some(to))
                };
                picks(&tried) || picks(&remembered)
            };
            let before = std::mem::take(&mut pool.taken);
            let after: Vec<u64> = before.iter().copied().filter(picked).map(|number| number + 1).collect();
            assert!(!after.is_empty(), "of pool {}, pick {before:?} went to {to} past {tried:?}", pool.name);
            pool.taken = after;
        }
        tried.push(to);
        match opened {
            Some(fd) => {
                *self.active.entry(to).or_default() += 1;
                self.under_way.insert(fd.0, tried);
            }
            None => self.failed = Some(tried),
        }
    }

    fn check_balance(&mut self, to: SocketAddr, tried: &[SocketAddr]) {
        let client = self.asked.take();
        let active = std::mem::take(&mut self.active);
        let (severs, waits, named) = (self.severs, self.waits, self.named);
        let pool = self.pool_of(to);
        let count = |backend: &SocketAddr| active.get(backend).copied().unwrap_or(0);
        let bound = |version: &Version| version.backends.get(&to).map(|(_, bound)| bound.unwrap_or(u32::MAX));
        let most = pool.versions.iter().filter_map(bound).max().expect("some table has it");
        assert!(count(&to) < most, "{to} has {} connections, and was picked", count(&to));
        let last = pool.versions.last().expect("there is one");
        let fewest = || pool.versions.iter().any(|version| version.has_fewest(to, tried, count));
        if last.balance == Balance::LeastConnections && !severs && !waits {
            assert!(fewest(), "{to} was picked, which has not the fewest connections: {active:?}");
        }
        let is_alone = pool.versions.len() == 1 && !last.is_bounded() && !severs;
        if last.balance == Balance::First && !severs && !waits {
            let tried = pool.remembered(tried);
            let first = || pool.versions.iter().any(|version| version.is_first(to, &tried, count));
            assert!(first(), "{to} was picked past {tried:?}, which is not the first: {active:?}");
        }
        if last.balance == Balance::Maglev && tried.is_empty() && is_alone && !named {
            let client = client.expect("where clients go depends on their address");
            let any = *last.backends.keys().next().expect("a pool has a backend");
            let before = *self.affinity.entry((any, client)).or_insert(to);
            assert_eq!(before, to, "{client} was sent to another backend than before");
        }
        self.active = active;
    }

    /// A worker closed a socket. If the connect had failed, it picks another backend.
    pub(crate) fn on_close(&mut self, fd: Fd, failed: bool) {
        self.settle();
        let Some(tried) = self.under_way.remove(&fd.0) else { return };
        let last = tried.last().expect("a socket goes somewhere");
        *self.active.get_mut(last).expect("it was counted") -= 1;
        self.failed = Some(tried).filter(|_| failed);
    }

    /// A worker does something else: if an attempt had failed before, it makes no other.
    pub(crate) fn settle(&mut self) {
        let Some(tried) = self.failed.take() else { return };
        // After a move, a pick without a result may have been of another pool than where it had failed first.
        let (moved, severs) = (self.moved, self.severs);
        for pool in self.pools.iter_mut().filter(|pool| moved || pool.has(tried[0])) {
            if severs || !pool.is_exact() {
                self.waits |= pool.versions.iter().any(Version::is_bounded);
                continue;
            }
            let before = std::mem::take(&mut pool.taken);
            let after = |number: &u64| {
                let given_up = |version: &Version| version.give_up(*number, &tried);
                pool.versions.iter().filter_map(given_up).collect::<Vec<_>>()
            };
            pool.taken = before.iter().flat_map(after).collect();
            if moved {
                pool.taken.extend(before); // It may have been the other pool's.
            }
            pool.taken.sort_unstable();
            pool.taken.dedup();
            assert!(!pool.taken.is_empty(), "of pool {}, no backend was picked after {tried:?}", pool.name);
        }
    }

    fn pool_of(&mut self, backend: SocketAddr) -> &mut Rotations {
        let pool = self.pools.iter_mut().find(|pool| pool.has(backend));
        pool.unwrap_or_else(|| panic!("{backend} was picked, which no table has"))
    }
}

impl Rotations {
    fn has(&self, backend: SocketAddr) -> bool {
        self.versions.iter().any(|version| version.backends.contains_key(&backend))
    }

    /// Whether its picks depend on nothing but the configuration, as long as nothing is evicted.
    fn is_exact(&self) -> bool {
        let mut versions = self.versions.iter();
        versions.all(|version| version.balance == Balance::RoundRobin && !version.is_bounded())
    }

    /// Which backends a client that has tried these may not be given again, at the least. A backend that a table
    /// had not is another one when it comes back, and so are all of a pool when a listener comes back to it.
    fn remembered(&self, tried: &[SocketAddr]) -> Vec<SocketAddr> {
        let elsewhere = tried.iter().rposition(|backend| !self.has(*backend));
        let here = &tried[elsewhere.map_or(0, |last| last + 1)..];
        let stayed = |backend: &&SocketAddr| {
            self.versions.iter().all(|version| version.backends.contains_key(*backend))
        };
        here.iter().filter(stayed).copied().collect()
    }
}

impl Version {
    fn new(pool: &Pool) -> Self {
        let weights = |may: &dyn Fn(Tier) -> bool| -> Vec<i64> {
            pool.backends
                .iter()
                .map(|backend| if may(backend.tier) { backend.weight.into() } else { 0 })
                .collect()
        };
        let active = weights(&|tier| tier == Tier::Active);
        // Without an available backend, any backend is better than none.
        let none = active.iter().all(|weight| *weight == 0);
        let weights = if none && pool.on_all_down == OnAllDown::Open { weights(&|_| true) } else { active };
        let backends = pool.backends.iter().map(|backend| {
            (
                backend.address,
                (u32::from(backend.weight), backend.connections_max.map(std::num::NonZeroU32::get)),
            )
        });
        let may = pool.backends.iter().zip(&weights).filter(|(_, weight)| **weight > 0);
        Self {
            rotation: smooth(pool, &weights),
            eligible: may.map(|(backend, _)| backend.address).collect(),
            attempts: pool.attempts.into(),
            balance: pool.balance,
            backends: backends.collect(),
        }
    }

    fn is_bounded(&self) -> bool {
        self.backends.values().any(|(_, bound)| bound.is_some())
    }

    /// Whether one more connection is less for it than for any other that could have had it, all for their weights.
    fn has_fewest(
        &self,
        picked: SocketAddr,
        tried: &[SocketAddr],
        count: impl Fn(&SocketAddr) -> u32,
    ) -> bool {
        let Some((weight, _)) = self.backends.get(&picked) else { return false };
        self.rotation.contains(&picked)
            && self.rotation.iter().filter(|other| !tried.contains(other)).all(|other| {
                let (other_weight, bound) = self.backends[other];
                let is_full = bound.is_some_and(|bound| count(other) >= bound);
                is_full || (count(&picked) + 1) * other_weight <= (count(other) + 1) * weight
            })
    }

    /// Whether each one before it in the file is full, and none was tried.
    fn is_first(&self, picked: SocketAddr, tried: &[SocketAddr], count: impl Fn(&SocketAddr) -> u32) -> bool {
        let is_full =
            |backend: &SocketAddr| self.backends[backend].1.is_some_and(|bound| count(backend) >= bound);
        let mut before = self.eligible.iter().take_while(|backend| **backend != picked);
        self.eligible.contains(&picked) && tried.is_empty() && before.all(is_full)
    }

    /// The pick of this number after these were tried: the place of that number, or a substitute.
    fn pick(&self, number: u64, tried: &[SocketAddr]) -> Option<SocketAddr> {
        if tried.len() >= self.attempts {
            return None;
        }
        let length = self.rotation.len() as u64;
        let place = self.rotation[index(number.checked_rem(length)?)];
        if !tried.contains(&place) {
            return Some(place);
        }
        let untried: Vec<_> = self.rotation.iter().filter(|backend| !tried.contains(backend)).collect();
        let substitute = (number / length).checked_rem(untried.len() as u64)?;
        Some(*untried[index(substitute)])
    }

    /// How many places are taken once no backend was found, if none is to be found.
    fn give_up(&self, number: u64, tried: &[SocketAddr]) -> Option<u64> {
        if tried.len() >= self.attempts || self.rotation.is_empty() {
            return Some(number);
        }
        // A pick without a result takes a place, too.
        self.pick(number, tried).is_none().then_some(number + 1)
    }
}

/// One period of nginx's smooth weighted round robin.
fn smooth(pool: &Pool, weights: &[i64]) -> Vec<SocketAddr> {
    let total: i64 = weights.iter().sum();
    let period = weights.iter().fold(0, |a, &b| gcd(a, b));
    let mut credits = vec![0; weights.len()];
    let mut rotation = Vec::new();
    for _ in 0..total.checked_div(period).unwrap_or(0) {
        for (credit, weight) in credits.iter_mut().zip(weights) {
            *credit += weight;
        }
        let most =
            credits.iter().zip(weights).filter(|(_, weight)| **weight > 0).map(|(credit, _)| *credit).max();
        let best = (0..weights.len()).find(|&index| weights[index] > 0 && Some(credits[index]) == most);
        let best = best.expect("the total of none is 0");
        credits[best] -= total;
        rotation.push(pool.backends[best].address);
    }
    rotation
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("rotations are short")
}
