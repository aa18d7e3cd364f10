//! Addresses that are accepted on, as workers see them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driver::ListenGroup;

use crate::access::AccessList;
use crate::counter::PerWorker;
use crate::counters::ListenerCounters;
use crate::limits::Limits;
use crate::pool::Pool;
use crate::rate::Rate;
use crate::routes::Routes;
use crate::semaphore::Semaphore;

/// Addresses that are accepted on, with the pools their connections go to.
#[derive(Debug)]
pub struct Listener {
    /// Its name in logs and counters.
    pub name: String,
    /// How many connections of it live at once, over all workers. At the bound it stops accepting, and the
    /// kernel's queue holds the rest.
    pub connections_max: u32,
    /// How many clients may wait in the kernel's queue of one socket: as many as a multishot accept may take at
    /// once.
    pub backlog: u32,
    /// Where its connections go that no route takes.
    pub pool: Arc<Pool>,
    /// Which of its connections go where; none if nothing that clients send is read.
    pub routes: Option<Routes>,
    /// The headers that it requires of proxies; none if its peers are its clients.
    pub proxy_protocol: Option<config::ProxyProtocol>,
    /// Bounds for clients that have yet to show themselves.
    pub opening: config::Opening,
    /// Counts those clients, over all workers; outlives swaps.
    pub opening_semaphore: Arc<Semaphore>,
    /// Which clients may connect; none if every address may.
    pub access: Option<Arc<AccessList>>,
    /// How much one source may have; none if there are no limits.
    pub limits: Option<Arc<Limits>>,
    /// The time from one new connection to the next, on average over all workers; none if there is no rate.
    pub interval: Option<Duration>,
    /// When new ones came; outlives swaps.
    pub rate: Arc<Rate>,
    /// Whether its connections are recorded.
    pub access_log: bool,
    /// Which backends of the pool may serve it.
    pub target_role: config::TargetRole,
    /// Where it listens; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Counts its connections; outlives swaps.
    pub semaphore: Arc<Semaphore>,
    /// Counts its clients that are held until there is a primary; outlives swaps.
    pub hold_semaphore: Arc<Semaphore>,
    /// What it counted; outlives swaps.
    pub counters: Arc<PerWorker<ListenerCounters>>,
}

/// An address of a listener, with its sockets.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// As the config says it: port 0 stays 0 here.
    pub address: SocketAddr,
    /// The very same `Arc` in two tables says that the address stayed.
    pub sockets: Arc<ListenGroup>,
}

impl Listener {
    /// The first of its addresses.
    pub fn address(&self) -> SocketAddr {
        self.endpoints[0].address
    }

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.address)
    }

    /// Whether it accepts from these very sockets.
    pub fn accepts_from(&self, sockets: &Arc<ListenGroup>) -> bool {
        self.endpoints.iter().any(|endpoint| Arc::ptr_eq(&endpoint.sockets, sockets))
    }

    /// Whether the two are one listener, in tables that may differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// Whether some clients may be refused for their address.
    pub fn is_guarded(&self) -> bool {
        self.access.is_some() || self.limits.is_some()
    }

    /// Tells it from all others, over swaps, for as long as anything refers to it.
    pub(crate) fn identity(&self) -> usize {
        self.counters.identity()
    }
}
