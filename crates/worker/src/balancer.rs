//! A client that came to a busy worker is given to one that has less to do.
//!
//! The kernel spreads clients over the workers' sockets by a hash, which is even only for many: of eight
//! connections on two workers it often leaves one worker with none. So a worker that has clearly more connections
//! than another gives it the next one, with its permits, right after accepting it.
//!
//! A worker may end only when no other can give it a client any more: once every worker has closed its own giving,
//! which each does when it sees that the process drains.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use driver::Fd;
use table::{Listener, Place};

/// One worker's end of it.
pub struct Balancer {
    index: usize,
    shared: Arc<Shared>,
    given: Receiver<Client>,
    /// Whether this worker may still give.
    open: bool,
    /// The worker that the next search for the least loaded begins at.
    from: usize,
}

struct Shared {
    workers: Box<[Inbox]>,
    /// Workers that may still give.
    open: AtomicUsize,
}

/// Where a worker is given clients.
#[repr(align(128))]
struct Inbox {
    /// Connections that the worker has, and those on their way to it.
    load: AtomicU32,
    clients: SyncSender<Client>,
}

/// An accepted client.
pub(crate) struct Client {
    pub(crate) socket: Fd,
    pub(crate) accepted_at: Instant,
    pub(crate) listener: Arc<Listener>,
    /// Where its source counts it, if it does.
    pub(crate) source: Option<Place>,
}

/// How many clients may be on their way to a worker. Beyond, the worker that accepted them keeps them.
pub(crate) const GIVEN_MAX: usize = 64;

/// How many workers are compared for one client.
const COMPARED_MAX: usize = 16;

impl Balancer {
    /// The ends of so many workers, by index.
    pub fn new(workers: usize) -> Vec<Self> {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| sync_channel(GIVEN_MAX)).unzip();
        let inbox = |clients| Inbox { load: AtomicU32::new(0), clients };
        let shared = Arc::new(Shared {
            workers: senders.into_iter().map(inbox).collect(),
            open: AtomicUsize::new(workers),
        });
        let ends = receivers.into_iter().enumerate();
        ends.map(|(index, given)| Self { index, shared: Arc::clone(&shared), given, open: true, from: index })
            .collect()
    }

    /// Gives `client` to a worker with clearly less to do, and says to which; or hands it back, to be kept.
    pub(crate) fn give(&mut self, client: Client) -> Result<usize, Client> {
        let Some(worker) = self.least_loaded() else { return Err(self.keep(client)) };
        let inbox = &self.shared.workers[worker];
        inbox.load.fetch_add(1, Ordering::Relaxed);
        match inbox.clients.try_send(client) {
            Ok(()) => Ok(worker),
            Err(TrySendError::Full(client) | TrySendError::Disconnected(client)) => {
                inbox.load.fetch_sub(1, Ordering::Relaxed);
                Err(self.keep(client))
            }
        }
    }

    fn keep(&self, client: Client) -> Client {
        self.shared.workers[self.index].load.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Takes a client that was given to this worker.
    pub(crate) fn take(&mut self) -> Option<Client> {
        self.given.try_recv().ok()
    }

    /// A connection of this worker, kept or taken, ended.
    pub(crate) fn on_end(&self) {
        let before = self.shared.workers[self.index].load.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0);
    }

    /// Connections that the worker has, and those on their way to it.
    pub(crate) fn load(&self) -> u32 {
        self.shared.workers[self.index].load.load(Ordering::Relaxed)
    }

    /// Gives no more. Says whether no worker does any more, so that workers that wait for it can be woken.
    pub(crate) fn close(&mut self) -> bool {
        // Release: a worker that sees it sees what was given before.
        std::mem::take(&mut self.open) && self.shared.open.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether no worker gives any more: what [`take`](Self::take) does not find after this never comes.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.open.load(Ordering::Acquire) == 0
    }

    /// The worker with the least to do, if that is clearly less than what this one has.
    fn least_loaded(&mut self) -> Option<usize> {
        let workers = self.shared.workers.len();
        if workers == 1 || !self.open {
            return None;
        }
        let load = |worker: usize| self.shared.workers[worker].load.load(Ordering::Relaxed);
        let others =
            (0..workers).map(|step| (self.from + step) % workers).filter(|&worker| worker != self.index);
        let least = others.take(COMPARED_MAX).min_by_key(|&worker| load(worker))?;
        self.from = (self.from + 1) % workers;
        // A quarter more is no reason: short connections come and go, and each client that is given wakes a worker.
        (load(self.index) > load(least) + load(least) / 4).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Instant;

    use config::Config;
    use driver::Fd;
    use driver::{ListenGroup, Owner};
    use table::{Listener, Table};

    use super::{Balancer, Client, GIVEN_MAX};

    #[test]
    fn few_connections_are_spread_evenly() {
        // Which worker accepted each; how many each has then.
        check("00000000", &[4, 4]);
        check("11111111", &[4, 4]);
        check("01101001", &[4, 4]);
        check("000", &[2, 1]);
        check("00000000", &[2, 2, 2, 2]);
        check("000222222", &[3, 3, 3]);
        check("0000000000000000000000000", &[1; 25]);
    }

    #[track_caller]
    fn check(accepted: &str, expected: &[usize]) {
        let mut ends = Balancer::new(expected.len());
        let mut placed = vec![0; expected.len()];
        for worker in accepted.chars() {
            let own = worker.to_digit(10).unwrap() as usize;
            placed[ends[own].give(client()).unwrap_or(own)] += 1;
        }
        assert_eq!(placed, expected);
    }

    #[test]
    fn what_ended_counts_no_more() {
        let mut ends = Balancer::new(2);
        assert!(ends[0].give(client()).is_err());
        ends[0].on_end();
        assert!(ends[0].give(client()).is_err());
        assert_eq!(ends[0].give(client()).ok(), Some(1));
        assert!(ends[1].take().is_some());
        assert!(ends[1].take().is_none());
        ends[1].on_end();
        assert_eq!(ends[0].give(client()).ok(), Some(1));
    }

    #[test]
    fn a_worker_that_was_given_too_many_is_given_no_more() {
        let mut ends = Balancer::new(2);
        let given = (0..10 * GIVEN_MAX).filter(|_| ends[0].give(client()).is_ok()).count();
        assert_eq!(given, GIVEN_MAX);
        assert_eq!(std::iter::from_fn(|| ends[1].take()).count(), GIVEN_MAX);
        assert_eq!(ends[0].give(client()).ok(), Some(1));
    }

    #[test]
    fn it_is_closed_once_every_worker_has_closed_it() {
        let mut ends = Balancer::new(2);
        assert!(ends[1].give(client()).is_err());
        assert_eq!(ends[1].give(client()).ok(), Some(0));
        assert!(!ends[0].close());
        assert!(!ends[0].close(), "each counts once");
        assert!(!ends[0].is_closed());
        assert!(ends[1].close());
        assert!(ends[0].is_closed());
        assert!(ends[0].take().is_some());
        assert!(ends[1].give(client()).is_err());
        assert!(ends[1].give(client()).is_err());
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn client() -> Client {
        Client { socket: Fd(0), accepted_at: Instant::now(), listener: listener(), source: None }
    }

    fn listener() -> Arc<Listener> {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let config = Config::forward(address, &[address]);
        let table = Table::build(
            &config,
            vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))],
            1,
            None,
            None,
        );
        Arc::clone(&table.listeners[0])
    }
}
