//! The rotation, told again: which backend each pick must have gone to.
//!
//! The kernel sees every pick that came to something, as the attempt to open a socket. What its connection had tried
//! before, it sees as well: after an attempt failed a worker picks again before it asks the kernel for anything else.

use std::collections::HashMap;
use std::net::SocketAddr;

use config::Pool;
use uring::Fd;

#[derive(Debug, Default)]
pub(crate) struct Picks {
    pools: Vec<Rotations>,
    /// By the socket of an attempt under way: what its connection has tried, this one included.
    under_way: HashMap<i32, Vec<SocketAddr>>,
    /// What the connection has tried whose attempt failed just now.
    failed: Option<Vec<SocketAddr>>,
}

/// A pool over all tables that had it.
#[derive(Debug)]
struct Rotations {
    name: String,
    versions: Vec<Version>,
    /// How many places may have been taken. One number, unless it matters which table a connection went by.
    taken: Vec<u64>,
}

/// A pool in one table.
#[derive(Debug)]
struct Version {
    rotation: Vec<SocketAddr>,
    attempts: usize,
}

impl Picks {
    /// A table with this pool was published.
    pub(crate) fn on_table(&mut self, pool: &Pool) {
        let version = Version { rotation: smooth(pool), attempts: pool.attempts.into() };
        if let Some(known) = self.pools.iter_mut().find(|known| known.name == pool.name) {
            known.versions.push(version);
        } else {
            let name = pool.name.clone();
            self.pools.push(Rotations { name, versions: vec![version], taken: vec![0] });
        }
    }

    /// A worker picked this backend.
    pub(crate) fn on_open(&mut self, to: SocketAddr, opened: Option<Fd>) {
        let mut tried = self.failed.take().unwrap_or_default();
        let pool = self.pool_of(to);
        let picked =
            |number: &u64| pool.versions.iter().any(|version| version.pick(*number, &tried) == Some(to));
        let before = std::mem::take(&mut pool.taken);
        let after: Vec<u64> = before.iter().copied().filter(picked).map(|number| number + 1).collect();
        assert!(!after.is_empty(), "of pool {}, pick {before:?} went to {to} past {tried:?}", pool.name);
        pool.taken = after;
        tried.push(to);
        match opened {
            Some(fd) => drop(self.under_way.insert(fd.0, tried)),
            None => self.failed = Some(tried),
        }
    }

    /// A worker closed a socket. If it had been told that the connect failed, it picks another backend.
    pub(crate) fn on_close(&mut self, fd: Fd, failed: bool) {
        self.settle();
        self.failed = self.under_way.remove(&fd.0).filter(|_| failed);
    }

    /// A worker does something else: if an attempt had failed before, it makes no other.
    pub(crate) fn settle(&mut self) {
        let Some(tried) = self.failed.take() else { return };
        let pool = self.pool_of(tried[0]);
        let before = std::mem::take(&mut pool.taken);
        let after = |number: &u64| {
            let given_up = |version: &Version| version.give_up(*number, &tried);
            pool.versions.iter().filter_map(given_up).collect::<Vec<_>>()
        };
        pool.taken = before.iter().flat_map(after).collect();
        pool.taken.sort_unstable();
        pool.taken.dedup();
        assert!(!pool.taken.is_empty(), "of pool {}, nobody was picked after {tried:?}", pool.name);
    }

    fn pool_of(&mut self, backend: SocketAddr) -> &mut Rotations {
        let has =
            |pool: &&mut Rotations| pool.versions.iter().any(|version| version.rotation.contains(&backend));
        self.pools.iter_mut().find(has).unwrap_or_else(|| panic!("{backend} was picked, which no table has"))
    }
}

impl Version {
    /// Who is picked as the how manieth by who has tried these: the place of that number, or a stand-in.
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
        let stand_in = (number / length).checked_rem(untried.len() as u64)?;
        Some(*untried[index(stand_in)])
    }

    /// How many places are taken once nobody was found, if nobody is to be found.
    fn give_up(&self, number: u64, tried: &[SocketAddr]) -> Option<u64> {
        if tried.len() >= self.attempts || self.rotation.is_empty() {
            return Some(number);
        }
        // To look takes a place, too.
        self.pick(number, tried).is_none().then_some(number + 1)
    }
}

/// One period of nginx's smooth weighted round robin.
fn smooth(pool: &Pool) -> Vec<SocketAddr> {
    let weights: Vec<i64> = pool.backends.iter().map(|backend| backend.weight.into()).collect();
    let total: i64 = weights.iter().sum();
    let period = weights.iter().fold(0, |a, &b| gcd(a, b));
    let mut credits = vec![0; weights.len()];
    let mut rotation = Vec::new();
    for _ in 0..total.checked_div(period).unwrap_or(0) {
        for (credit, weight) in credits.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let most =
            credits.iter().zip(&weights).filter(|(_, weight)| **weight > 0).map(|(credit, _)| *credit).max();
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
