//! What control asks of a worker: which connections it has, or to close some. A worker answers one query after the
//! other, a few slots each turn (`answer`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use connection::CloseReason;
use table::{Backend, Listener, Pool, Prefix};

use crate::introduction::Introduction;
use crate::view::ConnectionView;

/// One question about a worker's connections.
pub struct ConnectionQuery {
    /// Which it is about.
    pub filter: ConnectionFilter,
    /// What is to be done with them.
    pub action: ConnectionAction,
    /// What the answer is given to: once, from the worker's thread, which it must not hold up. A worker that ends
    /// drops it.
    pub answer: Box<dyn FnOnce(QueryResult) + Send>,
}

/// Connections that have all of this; the default means every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// In this slot, of this generation.
    pub tenant: Option<(u32, u32)>,
    /// Of the listener of this name.
    pub listener: Option<String>,
    /// Of the pool of this name.
    pub pool: Option<String>,
    /// To the backend at this address, or being connected to it.
    pub backend: Option<SocketAddr>,
    /// Of clients at these addresses.
    pub client: Option<Prefix>,
    /// Of listeners with the limits of this name.
    pub limits: Option<String>,
    /// Of clients whose address operators deny now, at the listener of the connection.
    pub denied: bool,
}

/// What is done with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionAction {
    /// So many are listed at most.
    List(usize),
    /// They are closed, for this reason.
    Close(CloseReason),
    /// They are counted by their source: all addresses with the same so many first bits, of IPv4 and of IPv6. Clients
    /// that were refused are told as well, whatever the filter says.
    CountSources([u8; 2]),
}

/// What a worker found.
///
/// A connection that lived from the question to the answer was seen once; one that came or went in between,
/// once or not at all.
#[derive(Debug, Default)]
pub struct QueryResult {
    /// Those that are listed.
    pub listed: Vec<Listed>,
    /// How many there are, or were closed.
    pub number: u64,
    /// How many there are of each source, if they were to be counted by it.
    pub sources: HashMap<Prefix, u64>,
    /// How often each client was refused for its address in the last minute, of those that were most often; if
    /// sources were to be counted.
    pub refused: Vec<(IpAddr, u64)>,
}

/// A connection, as it is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it looks like.
    pub view: ConnectionView,
    /// The client's address; none if the connection has ended already.
    pub client: Option<SocketAddr>,
    /// What is known about the client beyond its socket.
    pub introduction: Option<Box<Introduction>>,
    /// Its listener.
    pub listener: Arc<Listener>,
    /// The pool its backend comes from.
    pub pool: Arc<Pool>,
    /// Its backend, or the one it is being connected to; none between attempts.
    pub backend: Option<Arc<Backend>>,
}

/// Control's end: where it asks workers.
pub struct QuerySender(Vec<Inbox>);

struct Inbox {
    bell: Arc<AtomicBool>,
    queries: SyncSender<ConnectionQuery>,
}

/// A worker's end of it.
pub struct QueryReceiver {
    /// Rung after something was put into the queue.
    bell: Arc<AtomicBool>,
    queue: Receiver<ConnectionQuery>,
    /// Whether there may be more in the queue, rung or not: since one was taken, until none was found.
    more: bool,
    pub(crate) under_way: Option<UnderWay>,
}

/// A query that is being answered.
pub(crate) struct UnderWay {
    pub(crate) query: ConnectionQuery,
    /// The next slot to look at.
    pub(crate) next: u32,
    pub(crate) result: QueryResult,
}

/// How many queries may wait for a worker. Beyond, the worker is busy.
pub const QUERIES_MAX: usize = 8;

impl QuerySender {
    /// Control's end, and those of so many workers, by index.
    pub fn new(workers: usize) -> (Self, Vec<QueryReceiver>) {
        let pair = |_| {
            let bell = Arc::new(AtomicBool::new(false));
            let (queries, queue) = sync_channel(QUERIES_MAX);
            let end = QueryReceiver { bell: Arc::clone(&bell), queue, more: false, under_way: None };
            (Inbox { bell, queries }, end)
        };
        let (inboxes, ends) = (0..workers).map(pair).unzip();
        (Self(inboxes), ends)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.len()
    }

    /// Asks a worker, which is to be woken then; says whether there was room. One that has ended is asked as well:
    /// its answer is dropped.
    pub fn ask(&self, worker: usize, query: ConnectionQuery) -> bool {
        use std::sync::mpsc::TrySendError;
        let inbox = &self.0[worker];
        let asked = inbox.queries.try_send(query);
        // Release: a worker that sees the bell finds the query.
        inbox.bell.store(true, Ordering::Release);
        !matches!(asked, Err(TrySendError::Full(_)))
    }
}

impl QueryReceiver {
    /// The next query. While there is none, it costs a load.
    pub(crate) fn take(&mut self) -> Option<ConnectionQuery> {
        if !self.more && (!self.bell.load(Ordering::Relaxed) || !self.bell.swap(false, Ordering::Acquire)) {
            return None;
        }
        let query = self.queue.try_recv().ok();
        self.more = query.is_some();
        query
    }

    /// Whether the next turn is to come at once: one is under way, or there may be another.
    pub(crate) fn are_due(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionAction, ConnectionFilter, ConnectionQuery, QUERIES_MAX, QuerySender};

    #[test]
    fn they_are_taken_in_their_order_and_no_more_wait_than_may() {
        let (query_sender, mut ends) = QuerySender::new(2);
        assert!(ends[1].take().is_none());
        for number in 0..=QUERIES_MAX {
            assert_eq!(query_sender.ask(1, query(number)), number < QUERIES_MAX);
        }
        assert!(ends[0].take().is_none());
        for number in 0..QUERIES_MAX {
            assert_eq!(ends[1].take().unwrap().action, ConnectionAction::List(number));
            assert!(ends[1].are_due());
        }
        assert!(ends[1].take().is_none());
        assert!(!ends[1].are_due());
        assert!(query_sender.ask(1, query(9)));
        assert!(ends[1].take().is_some());
        drop(ends);
        assert!(query_sender.ask(0, query(0)), "a worker that has ended is not busy");
    }

    fn query(number: usize) -> ConnectionQuery {
        ConnectionQuery {
            filter: ConnectionFilter::default(),
            action: ConnectionAction::List(number),
            answer: Box::new(|_| ()),
        }
    }
}
