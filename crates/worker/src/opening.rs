//! Clients that have yet to show themselves: each is to send a PROXY header before it is routed.
//!
//! ```text
//!          a part of it came: wait for what is missing
//!          ┌────┐
//! accept ─▶│ peek ├─▶ whole: skip it, admission
//!          └────┘
//!          invalid, ended, too slow, too many ─▶ Closing
//! ```
//!
//! The header is peeked at in the socket, so a client that takes its time holds no buffer, and what follows the header
//! is left for the relay. The socket's low-water mark holds a wake-up back until what is certainly missing has come.
//!
//! One deadline, from the accept on, is set once: no byte that comes moves it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use connection::{CloseReason, Direction};
use driver::{Driver, ENDED, Errno, Op};
use preface::{HEADER_BYTES_MAX, Header, Kind as HeaderKind, Step, Versions};
use table::{Listener, Semaphore};

use crate::core::Core;
use crate::introduction::{Introduction, passes};
use crate::relay::{fault_of, reason_of};
use crate::state::{Connection, Opening, State};
use crate::stats::Micros;
use crate::token::Kind;

/// How often what has arrived is peeked at. It bounds what reading the same bytes again costs; a line of version 1
/// that comes byte by byte takes 107.
const PEEKS_MAX: u8 = 128;

/// The clients of a worker that have yet to show themselves.
pub(crate) struct Openings {
    /// Few: each has a listener of its own. None is empty.
    all: Vec<Queue>,
    /// How many there were.
    numbers: u64,
    /// What was peeked at last; the longest header fits.
    peeked: Box<[u8; HEADER_BYTES_MAX]>,
}

/// Those of one listener, in the order in which they came.
struct Queue {
    /// Counts them, over all workers.
    semaphore: Arc<Semaphore>,
    slots: BTreeMap<u64, u32>,
}

impl Default for Openings {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: 0, peeked: Box::new([0; HEADER_BYTES_MAX]) }
    }
}

impl Openings {
    fn position(&self, listener: &Listener) -> Option<usize> {
        self.all.iter().position(|queue| Arc::ptr_eq(&queue.semaphore, &listener.opening_semaphore))
    }

    /// The client of this listener that came first.
    pub(crate) fn oldest(&self, listener: &Listener) -> Option<u32> {
        let queue = &self.all[self.position(listener)?];
        queue.slots.first_key_value().map(|(_, slot)| *slot)
    }

    /// The client that came first, of any listener.
    pub(crate) fn oldest_of_all(&self) -> Option<u32> {
        let oldest = self.all.iter().filter_map(|queue| queue.slots.first_key_value()).min();
        oldest.map(|(_, slot)| *slot)
    }

    /// Waits for the header of a proxy. A permit was acquired for it.
    pub(crate) fn begin<D: Driver>(&mut self, core: &mut Core<D>, slot: u32, peer: SocketAddr) {
        self.numbers += 1;
        let Connection { client, listener, state, stats, .. } = core.slots.get(slot);
        *state = State::Opening(Opening { number: self.numbers, peer: Some(peer), low_water: 1, peeks: 0 });
        let (socket, deadline) = (*client, stats.accepted_at + listener.opening.timeout);
        let queue = self.position(listener).unwrap_or_else(|| {
            let semaphore = Arc::clone(&listener.opening_semaphore);
            self.all.push(Queue { semaphore, slots: BTreeMap::new() });
            self.all.len() - 1
        });
        self.all[queue].slots.insert(self.numbers, slot);
        core.timers.set(slot, deadline);
        core.submit(slot, Kind::Opening, Op::PollReadable { socket });
    }

    /// A client has shown itself, or ends.
    pub(crate) fn end<D>(&mut self, core: &mut Core<D>, listener: &Listener, opening: &Opening) {
        let Some(position) = self.position(listener) else { return };
        let queue = &mut self.all[position];
        if queue.slots.remove(&opening.number).is_none() {
            return;
        }
        core.wake(queue.semaphore.release());
        if queue.slots.is_empty() {
            self.all.swap_remove(position);
        }
    }

    /// Something came, or nothing more does, as `result` says: reads the header, if it is whole.
    ///
    /// # Errors
    ///
    /// It is none, or the client is gone.
    pub(crate) fn look<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        result: Result<u32, Errno>,
    ) -> Result<Option<Introduction>, CloseReason> {
        let connection = core.slots.get(slot);
        let client = connection.client;
        let State::Opening(opening) = &mut connection.state else { unreachable!("it has shown itself") };
        let ended = result.is_ok_and(|events| events & ENDED != 0);
        opening.peeks += 1;
        let may_wait = !ended && opening.peeks < PEEKS_MAX;
        let length = match core.driver.peek(client, &mut self.peeked[..]) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(reason_of(Direction::ToBackend, fault_of(errno))),
        };
        let accepted = connection.listener.proxy_protocol.as_ref().map(|headers| headers.versions);
        let versions =
            accepted.map_or(Versions::ALL, |accepted| Versions { v1: accepted.v1, v2: accepted.v2 });
        match preface::read(&self.peeked[..length], versions) {
            Step::Need(needed) if may_wait => {
                let needed = u32::try_from(needed).expect("a header is short");
                if std::mem::replace(&mut opening.low_water, needed) != needed {
                    core.driver.low_water(client, needed);
                }
                core.submit(slot, Kind::Opening, Op::PollReadable { socket: client });
                Ok(None)
            }
            Step::Need(_) | Step::Invalid(_) => Err(CloseReason::ProxyInvalid),
            Step::Header(header) => take(core, slot, &header, length > header.length).map(Some),
        }
    }
}

/// Takes a whole header out of the socket.
fn take<D: Driver>(
    core: &mut Core<D>,
    slot: u32,
    header: &Header<'_>,
    more_follows: bool,
) -> Result<Introduction, CloseReason> {
    let Connection { client, listener, state, stats, pool, .. } = core.slots.get(slot);
    let State::Opening(opening) = state else { unreachable!("it has shown itself") };
    // What is relayed must not wait for as many bytes as a header has.
    if opening.low_water != 1 {
        core.driver.low_water(*client, 1);
    }
    let length = u32::try_from(header.length).expect("a header is short");
    let skipped = core.driver.skip(*client, length);
    skipped.map_err(|errno| reason_of(Direction::ToBackend, fault_of(errno)))?;
    listener.counters.of(core.index).headers[number_of(header.kind)].add(1);
    let mut opened = Micros::default();
    opened.add(stats.accepted_at, core.now);
    let tlvs = if passes(pool.send_proxy.as_ref()) { header.tlvs.as_bytes() } else { &[] };
    Ok(Introduction {
        via: opening.peer.filter(|_| header.ends.is_some()),
        ends: header.ends,
        opening: Some(opened),
        unique_id: None,
        is_local: header.kind == HeaderKind::Local,
        more_follows,
        tlvs: tlvs.into(),
    })
}

/// Where a kind of header is counted.
fn number_of(kind: HeaderKind) -> usize {
    match kind {
        HeaderKind::V1 => 0,
        HeaderKind::V2 => 1,
        HeaderKind::Local => 2,
    }
}
