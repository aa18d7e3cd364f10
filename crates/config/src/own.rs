//! Backends that are this process: one of its listeners, or its admin interface.
//!
//! A connection that comes back to a listener of its own pool takes another slot each time, until none is left: one
//! client is enough. This check knows only addresses. It does not see rules of the host that redirect packets, nor
//! another balancer that leads back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, PoolIndex};

/// An address that the process listens on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// Whether an IPv6 wildcard excludes IPv4.
    pub(crate) v6only: bool,
}

/// A backend that is this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnBackend {
    /// Its pool.
    pub pool: PoolIndex,
    /// Its index in [`Pool::backends`](crate::Pool::backends).
    pub backend: usize,
    /// What it leads to.
    pub is: OwnPlace,
}

/// An endpoint of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPlace {
    /// A listener whose connections lead back to the pool of the backend.
    Loop {
        /// Its index in [`Config::listeners`].
        listener: usize,
        /// Which of its addresses takes the connection.
        at: SocketAddr,
    },
    /// A listener that leads to another pool, and not back.
    Chain {
        /// Its index in [`Config::listeners`].
        listener: usize,
    },
    /// `admin.http`.
    Admin,
}

impl Config {
    /// The backends that are this process, on a host that holds the addresses for which `is_held` returns true. It
    /// is called only for backends that have the port of a wildcard listener.
    pub fn own_backends(&self, is_held: impl Fn(IpAddr) -> bool) -> Vec<OwnBackend> {
        let listener = |listener: &crate::Listener| {
            let pools = listener.pools().iter().map(|pool| pool.0).collect();
            let fronts = listener.addresses.iter();
            let fronts = fronts.map(|listen| Front { address: listen.address, v6only: listener.v6only });
            (fronts.collect(), pools)
        };
        let pools = self.pools.iter().map(|pool| pool.backends.iter().map(|backend| Some(backend.address)));
        let fronts = Fronts {
            listeners: self.listeners.iter().map(listener).collect(),
            http: self.admin.http.map(|http| Front { address: http.address, v6only: false }),
        };
        fronts.own_backends(pools, is_held)
    }
}

/// The endpoints of the process, and the pools they lead to. Invalid ones have been reported and are missing.
pub(crate) struct Fronts {
    pub(crate) listeners: Vec<(Vec<Front>, Vec<usize>)>,
    pub(crate) http: Option<Front>,
}

impl Fronts {
    /// Of these pools, given as the addresses of their backends.
    pub(crate) fn own_backends<Backends: Iterator<Item = Option<SocketAddr>>>(
        &self,
        pools: impl Iterator<Item = Backends>,
        is_held: impl Fn(IpAddr) -> bool,
    ) -> Vec<OwnBackend> {
        let mut by_port: BTreeMap<u16, Vec<(usize, Front)>> = BTreeMap::new();
        for (index, (fronts, _)) in self.listeners.iter().enumerate() {
            for front in fronts {
                by_port.entry(front.address.port()).or_default().push((index, *front));
            }
        }
        let leads_to = |listener: usize| &self.listeners[listener].1;
        // For each pool, the pools it leads to.
        let mut next: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut found = Vec::new();
        for (pool, backends) in pools.enumerate() {
            for (backend, address) in backends.enumerate() {
                let Some(address) = address else { continue };
                let takes = |(_, front): &&(usize, Front)| front.takes(address, &is_held);
                let of_port = by_port.get(&address.port()).into_iter().flatten();
                for (listener, front) in of_port.filter(takes) {
                    next.entry(pool).or_default().extend(leads_to(*listener));
                    found.push((pool, backend, Some((*listener, front.address))));
                }
                if self.http.is_some_and(|http| http.takes(address, &is_held)) {
                    found.push((pool, backend, None));
                }
            }
        }
        let mut reached = BTreeMap::new();
        let mut leads_back = |pool: usize, listener: usize| {
            leads_to(listener)
                .iter()
                .any(|from| reached.entry(from).or_insert_with(|| reachable(&next, *from)).contains(&pool))
        };
        let own = |(pool, backend, listener)| OwnBackend {
            pool: PoolIndex(pool),
            backend,
            is: match listener {
                None => OwnPlace::Admin,
                Some((listener, at)) if leads_back(pool, listener) => OwnPlace::Loop { listener, at },
                Some((listener, _)) => OwnPlace::Chain { listener },
            },
        };
        found.into_iter().map(own).collect()
    }
}

/// The pools that a connection to the pool `from` can reach, including `from`.
fn reachable(next: &BTreeMap<usize, BTreeSet<usize>>, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(pool) = open.pop() {
        open.extend(next.get(&pool).into_iter().flatten().copied().filter(|pool| reached.insert(*pool)));
    }
    reached
}

impl Front {
    /// Whether a connection to `to` reaches it, on a host that holds the addresses for which `is_held` returns
    /// true.
    fn takes(self, to: SocketAddr, is_held: impl Fn(IpAddr) -> bool) -> bool {
        if self.address.port() != to.port() {
            return false;
        }
        match (self.address.ip(), to.ip()) {
            // With the scope of a link-local address.
            _ if self.address == to => true,
            (IpAddr::V4(own), IpAddr::V4(_)) => own.is_unspecified() && is_held(to.ip()),
            (IpAddr::V6(own), IpAddr::V6(_)) => own.is_unspecified() && is_held(to.ip()),
            (IpAddr::V6(own), IpAddr::V4(_)) => own.is_unspecified() && !self.v6only && is_held(to.ip()),
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    /// Whether one connection could match both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let (a, b) = (self.address, other.address);
        // Port 0 is a different port each time.
        if a.port() != b.port() || a.port() == 0 {
            return false;
        }
        match (a.ip(), b.ip()) {
            (IpAddr::V4(v4_a), IpAddr::V4(v4_b)) => {
                v4_a == v4_b || v4_a.is_unspecified() || v4_b.is_unspecified()
            }
            (IpAddr::V6(v6_a), IpAddr::V6(v6_b)) => {
                v6_a.is_unspecified() || v6_b.is_unspecified() || a == b // With the scope of a link-local address.
            }
            (IpAddr::V6(v6), IpAddr::V4(_)) => v6.is_unspecified() && !self.v6only,
            (IpAddr::V4(_), IpAddr::V6(v6)) => v6.is_unspecified() && !other.v6only,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Front, Fronts, OwnPlace};

    #[test]
    fn a_connection_comes_to_the_listener_that_its_address_belongs_to() {
        takes("10.0.0.1:80", "10.0.0.1:80", true);
        takes("10.0.0.1:80", "10.0.0.1:81", false);
        takes("10.0.0.1:80", "10.0.0.2:80", false);
        takes("[fe80::1%2]:80", "[fe80::1%2]:80", true);
        takes("[fe80::1%2]:80", "[fe80::1%3]:80", false);
        // A wildcard takes what the host holds; here that is loopback and 192.0.2.1.
        takes("0.0.0.0:80", "127.0.0.1:80", true);
        takes("0.0.0.0:80", "127.1.2.3:80", true);
        takes("0.0.0.0:80", "192.0.2.1:80", true);
        takes("0.0.0.0:80", "192.0.2.2:80", false);
        takes("0.0.0.0:80", "[::1]:80", false);
        takes("[::]:80", "[::1]:80", true);
        takes("[::]:80", "127.0.0.1:80", true);
        takes("[::]:80 v6only", "127.0.0.1:80", false);
        takes("[::]:80 v6only", "[::1]:80", true);
        takes("[::]:80", "[2001:db8::1]:80", false);
    }

    #[track_caller]
    fn takes(own: &str, to: &str, expected: bool) {
        assert_eq!(front(own).takes(to.parse().unwrap(), is_held), expected, "{own} {to}");
    }

    fn is_held(ip: IpAddr) -> bool {
        ip.is_loopback() || ip == IpAddr::from([192, 0, 2, 1])
    }

    #[test]
    fn a_pool_that_leads_back_to_itself_is_a_loop_and_one_that_leads_elsewhere_is_a_chain() {
        // Listeners, each with the numbers of its pools, and for each pool its backends.
        check(&["127.0.0.1:1 0"], &["127.0.0.1:1"], "loop 0/0 at 0");
        check(&["127.0.0.1:1 0"], &["10.0.0.1:1 127.0.0.1:1"], "loop 0/1 at 0");
        // One to another, and no further.
        check(&["127.0.0.1:1 0", "127.0.0.1:2 1"], &["127.0.0.1:2", "10.0.0.1:1"], "chain 0/0 at 1");
        // And back.
        check(
            &["127.0.0.1:1 0", "127.0.0.1:2 1"],
            &["127.0.0.1:2", "127.0.0.1:1"],
            "loop 0/0 at 1, loop 1/0 at 0",
        );
        // Around three.
        check(
            &[":1 0", ":2 1", ":3 2"],
            &["127.0.0.1:2", "127.0.0.1:3", "192.0.2.1:1"],
            "loop 0/0 at 1, loop 1/0 at 2, loop 2/0 at 0",
        );
        // A tail that leads into a loop is no part of it.
        check(&[":1 0", ":2 1"], &["127.0.0.1:2", "127.0.0.1:2"], "chain 0/0 at 1, loop 1/0 at 1");
        // Two listeners of one pool.
        check(&["127.0.0.1:1 0", "127.0.0.1:2 0"], &["127.0.0.1:2"], "loop 0/0 at 1");
        check(&["127.0.0.1:1 0"], &["127.0.0.1:9907"], "admin 0/0");
        // By a route of a listener, whose own pool leads elsewhere.
        check(&["127.0.0.1:1 1 0"], &["127.0.0.1:1", "10.0.0.1:1"], "loop 0/0 at 0");
        check(&["127.0.0.1:1 1 2"], &["127.0.0.1:1", "10.0.0.1:1", "10.0.0.1:2"], "chain 0/0 at 0");
        // A pool that no listener has leads nowhere by itself.
        check(&["127.0.0.1:1 0"], &["10.0.0.1:1", "127.0.0.1:1"], "chain 1/0 at 0");
    }

    #[track_caller]
    fn check(listeners: &[&str], pools: &[&str], expected: &str) {
        let listener = |line: &&str| {
            let (address, pools) = line.split_once(' ').unwrap();
            let address =
                if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
            (vec![front(&address)], pools.split(' ').map(|pool| pool.parse().unwrap()).collect())
        };
        let fronts = Fronts {
            listeners: listeners.iter().map(listener).collect(),
            http: Some(front("127.0.0.1:9907")),
        };
        let backends = pools.iter().map(|pool| pool.split(' ').map(|address| address.parse().ok()));
        let found = fronts.own_backends(backends, is_held);
        let found: Vec<_> = found
            .iter()
            .map(|own| {
                let at = format!("{}/{}", own.pool.0, own.backend);
                match own.is {
                    OwnPlace::Loop { listener, .. } => format!("loop {at} at {listener}"),
                    OwnPlace::Chain { listener } => format!("chain {at} at {listener}"),
                    OwnPlace::Admin => format!("admin {at}"),
                }
            })
            .collect();
        assert_eq!(found.join(", "), expected);
    }

    #[test]
    fn places_overlap_where_one_connection_could_be_meant_for_both() {
        overlap("10.0.0.1:80", "10.0.0.1:80", true);
        overlap("10.0.0.1:80", "10.0.0.1:81", false);
        overlap("10.0.0.1:0", "10.0.0.1:0", false);
        overlap("10.0.0.1:80", "0.0.0.0:80", true);
        overlap("[::]:80", "0.0.0.0:80", true);
        overlap("[::]:80 v6only", "0.0.0.0:80", false);
        overlap("[::]:80", "10.0.0.1:80", true);
        overlap("[::]:80 v6only", "[2001:db8::1]:80", true);
        overlap("[fe80::1%2]:80", "[fe80::1%3]:80", false);
    }

    #[track_caller]
    fn overlap(a: &str, b: &str, expected: bool) {
        assert_eq!(front(a).overlaps(front(b)), expected, "{a} {b}");
        assert_eq!(front(b).overlaps(front(a)), expected, "{b} {a}");
    }

    fn front(text: &str) -> Front {
        let (address, v6only) = match text.strip_suffix(" v6only") {
            Some(address) => (address, true),
            None => (text, false),
        };
        Front { address: address.parse().unwrap(), v6only }
    }
}
