//! An address that is accepted on, as workers see it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::counters::{ListenerCounters, PerWorker};
use crate::pool::Pool;
use crate::semaphore::Semaphore;

/// An address that is accepted on, bound to one pool.
#[derive(Debug)]
pub struct Listener {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens, as the config says it: port 0 stays 0 here.
    pub address: SocketAddr,
    /// How many connections of it live at once, over all workers. At the bound it stops accepting, and the
    /// kernel's queue holds the rest.
    pub connections_max: u32,
    /// How many clients may wait in the kernel's queue of one socket: as many as a multishot accept may take at
    /// once.
    pub backlog: u32,
    /// Where its connections go.
    pub pool: Arc<Pool>,
    /// Whether its connections are recorded.
    pub access_log: bool,
    /// Which backends of the pool may serve it.
    pub target_role: config::TargetRole,
    /// Its listening sockets. The very same `Arc` in two tables says that the listener stayed.
    pub sockets: Arc<Sockets>,
    /// Counts its connections; outlives swaps.
    pub semaphore: Arc<Semaphore>,
    /// Counts its clients that are held until there is a primary; outlives swaps.
    pub hold_semaphore: Arc<Semaphore>,
    /// What it counted; outlives swaps.
    pub counters: Arc<PerWorker<ListenerCounters>>,
}

impl Listener {
    /// Tells it from all others, over swaps, for as long as anything refers to it.
    pub(crate) fn identity(&self) -> usize {
        self.counters.identity()
    }
}

/// Listening sockets of one address, one per worker. They close when the last table with them is removed.
#[derive(Debug)]
pub struct Sockets {
    by_worker: Vec<OwnedFd>,
    inherited: bool,
}

impl Sockets {
    /// Sockets by worker index.
    pub fn new(by_worker: Vec<OwnedFd>) -> Self {
        Self { by_worker, inherited: false }
    }

    /// Sockets by worker index that another process made, and holds.
    pub fn inherited(by_worker: Vec<OwnedFd>) -> Self {
        Self { by_worker, inherited: true }
    }

    /// Whether another process made them: then this one does not end their listening.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The socket that `worker` accepts from.
    pub fn get(&self, worker: usize) -> BorrowedFd<'_> {
        self.by_worker[worker].as_fd()
    }

    /// Every socket, by worker index.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.by_worker.iter().map(AsFd::as_fd)
    }
}
