//! The record of a connection that has ended, and its way out of the worker: the access log is made of them elsewhere.
//!
//! A worker only puts what it has into a queue, and what the connection had goes with it: no name is copied, and
//! the worker never waits. The thread that takes records looks for them at intervals; it is woken only when many
//! have come since, so most connections cost no call for it. When the queue is full a record is lost, and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use connection::{CloseReason, Stage};
use rtrb::{Consumer, Producer, RingBuffer};
use table::{Backend, Listener, Pool};

use crate::core::Core;
use crate::introduction::Introduction;
use crate::stats::ConnectionStats;

/// The record of a connection that has ended.
#[derive(Debug)]
pub struct Record {
    /// Where it was accepted, as that was when it got its backend, or ended without one.
    pub listener: Arc<Listener>,
    /// The pool that its backend came from, or was to come from.
    pub pool: Arc<Pool>,
    /// The backend it had, or the last one that was tried; none if none was.
    pub backend: Option<Arc<Backend>>,
    /// The client's address; none if the connection had ended before the kernel was asked.
    pub client: Option<SocketAddr>,
    /// What is known about the client beyond its socket.
    pub introduction: Option<Box<Introduction>>,
    /// What it did.
    pub stats: ConnectionStats,
    /// When it had ended, and all it had was given back.
    pub ended_at: Instant,
    /// Why it ended.
    pub reason: CloseReason,
    /// How far it was then.
    pub stage: Stage,
}

/// Records of one worker, where they are taken.
#[derive(Debug)]
pub struct Records(Consumer<Record>);

/// A worker's end of it.
pub struct Recorder {
    queue: Producer<Record>,
    /// The thread that takes them.
    taker: Thread,
    /// How many have come since it was woken.
    unannounced: usize,
}

/// Records of a worker that may wait to be taken; beyond, they are lost. Memory is taken as they are used.
pub const RECORDS_MAX: usize = 8192;

/// With so many more records, the thread that takes them is woken, so that it need not look often.
const RECORDS_PER_WAKE: usize = RECORDS_MAX / 4;

impl Recorder {
    /// A queue without records, and where `taker` may take them.
    pub fn new(taker: Thread) -> (Self, Records) {
        let (queue, records) = RingBuffer::new(RECORDS_MAX);
        (Self { queue, taker, unannounced: 0 }, Records(records))
    }

    /// Puts a record into the queue; says whether there was room for it.
    fn put(&mut self, record: Record) -> bool {
        let put = self.queue.push(record).is_ok();
        self.unannounced += usize::from(put);
        if self.unannounced == RECORDS_PER_WAKE {
            self.unannounced = 0;
            self.taker.unpark();
        }
        put
    }
}

impl Records {
    /// The oldest record.
    pub fn take(&mut self) -> Option<Record> {
        self.0.pop().ok()
    }
}

/// Records a second of clients that were refused for their address. Beyond, they are left out and counted: a flood of
/// them must not push out the records of others.
const REFUSED_MAX: u32 = 100;

/// What a worker records of its connections.
pub(crate) struct Recording {
    recorder: Recorder,
    /// Records of clients that were refused, since when.
    refused: Option<(u32, Instant)>,
    /// Clients whose records are wanted, by slot; none of them, and no memory, as long as no listener wants records.
    clients: Vec<Option<SocketAddr>>,
}

impl Recording {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self { recorder, refused: None, clients: Vec::new() }
    }

    /// Remembers the address of the client in a slot, as the kernel does not tell it any more when the connection
    /// has ended.
    pub(crate) fn remember_client(&mut self, slot: u32, client: Option<SocketAddr>) {
        let slot = slot as usize;
        if self.clients.len() <= slot {
            self.clients.resize(slot + 1, None);
        }
        self.clients[slot] = client;
    }

    /// The address of the client of a slot that is left, if it was remembered.
    pub(crate) fn forget_client(&mut self, slot: u32) -> Option<SocketAddr> {
        self.clients.get_mut(slot as usize).and_then(Option::take)
    }

    /// Counts one more client that was refused, in this second or the one that begins.
    fn has_room_for_refused(&mut self, now: Instant) -> bool {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        let (number, since) = match self.refused {
            Some((number, since)) if !is_over(since) => (number, since),
            _ => (0, now),
        };
        self.refused = Some(((number + 1).min(REFUSED_MAX), since));
        number < REFUSED_MAX
    }

    /// Hands a record on, unless it is one of too many.
    pub(crate) fn put<D>(&mut self, core: &Core<D>, record: Record) {
        if record.reason.refuses() && !self.has_room_for_refused(core.now) {
            return core.counters.of(core.index).records_left_out.add(1);
        }
        if !self.recorder.put(record) {
            core.counters.of(core.index).records_lost.add(1);
        }
    }
}
