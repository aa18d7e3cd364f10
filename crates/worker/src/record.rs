//! The record of a connection that has ended, and its way out of the worker: the access log is made of them elsewhere.
//!
//! A worker only puts what it has into a queue, and what the connection had goes with it: no name is copied, and nobody is waited for.
//! Whoever takes records looks for them every now and then; he is woken only when many have come since, so most connections cost no
//! call for it. When the queue is full a record is lost, and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Instant;

use connection::{CloseReason, Stage};
use driver::{Driver, Fd};
use rtrb::{Consumer, Producer, RingBuffer};
use table::{Backend, Listener};

use crate::stats::ConnectionStats;
use crate::worker::Worker;

/// What is told of a connection that has ended.
#[derive(Debug)]
pub struct Record {
    /// Where it was accepted, as that was when it got its backend, or ended without one.
    pub listener: Arc<Listener>,
    /// The backend it had, or the last one that was tried; none if none was.
    pub backend: Option<Arc<Backend>>,
    /// The client's address; none if it was gone before it could be asked for.
    pub client: Option<SocketAddr>,
    /// What it did.
    pub facts: ConnectionStats,
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
    /// Who takes them.
    taker: Thread,
    /// How many have come since he was woken.
    unannounced: usize,
}

/// Records of a worker that may wait to be taken; beyond, they are lost. Memory is taken as they are used.
pub const RECORDS_MAX: usize = 8192;

/// With so many more records, whoever takes them is woken, so that he need not look often.
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

impl<D: Driver> Worker<D> {
    /// Remembers who is in a slot, as it cannot be asked any more when the connection has ended.
    pub(crate) fn remember_client(&mut self, slot: u32, socket: Fd) {
        let slot = slot as usize;
        if self.clients.len() <= slot {
            self.clients.resize(slot + 1, None);
        }
        self.clients[slot] = self.driver.peer(socket);
    }

    /// Who is in a slot that is left, if that was remembered.
    pub(crate) fn forget_client(&mut self, slot: u32) -> Option<SocketAddr> {
        self.clients.get_mut(slot as usize).and_then(Option::take)
    }
}

impl<D> Worker<D> {
    /// Hands a record on.
    pub(crate) fn record(&mut self, record: Record) {
        if !self.recorder.put(record) {
            self.counters.of(self.index).records_lost.add(1);
        }
    }
}
