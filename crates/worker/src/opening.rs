//! Clients that have yet to show themselves: each is to send a PROXY header, a TLS hello, or one after the other,
//! before it is routed.
//!
//! ```text
//!          a part of it came: wait for what is missing
//!          ┌────┐
//! accept ─▶│ peek ├─▶ header: skip it, admission ──▶ without routes: routed
//!          └────┘                                    └──▶ with routes, peek again ──▶ hello: left there, routed
//!          invalid, ended, too slow, too many ─▶ Closing
//! ```
//!
//! What they send is peeked at in the socket, so a client that takes its time holds no buffer, and what follows the
//! header is left for the relay, the hello included: each attempt to connect has all of it. The socket's low-water
//! mark holds a wake-up back until what is certainly missing has come.
//!
//! One deadline, from the accept on, is set once: no byte that comes moves it.

mod header;
mod hello;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use connection::{CloseReason, Direction};
use driver::{Driver, ENDED, Errno, Fd, Op};
use table::{Listener, Semaphore};

use crate::asked::Asked;
use crate::core::Core;
use crate::introduction::Introduction;
use crate::relay::{fault_of, reason_of};
use crate::state::{Awaits, Connection, Opening, State};
use crate::token::Kind;

/// How often what has arrived is peeked at, for a header and for a hello. It bounds what reading the same bytes again
/// costs; a line of version 1 that comes byte by byte takes 107.
const PEEKS_MAX: u8 = 128;

/// How many bytes are peeked at, if it is not known that more are needed: all of a header, and of most hellos.
const PEEK_BYTES: usize = preface::HEADER_BYTES_MAX;

/// The clients of a worker that have yet to show themselves.
#[derive(Default)]
pub(crate) struct Openings {
    /// Few: each has a listener of its own. None is empty.
    all: Vec<Queue>,
    /// How many there were.
    numbers: u64,
    /// What was peeked at last; as long as that ever was.
    peeked: Vec<u8>,
}

/// Those of one listener, in the order in which they came.
struct Queue {
    /// Counts them, over all workers.
    semaphore: Arc<Semaphore>,
    slots: BTreeMap<u64, u32>,
}

/// What a client has shown.
pub(crate) enum Shown {
    /// A header.
    Header(Introduction),
    /// What it asks for.
    Asked(Asked),
}

/// What was peeked at.
struct Peeked {
    client: Fd,
    /// How many bytes it is.
    length: usize,
    /// Whether it is waited for more, if that is needed.
    may_wait: bool,
    /// Whether nothing more comes.
    ended: bool,
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

    /// Waits for what a client is to show: for the header of a proxy, whose address is `peer`, or for a hello. A
    /// permit was acquired for it.
    pub(crate) fn begin<D: Driver>(&mut self, core: &mut Core<D>, slot: u32, peer: Option<SocketAddr>) {
        self.numbers += 1;
        let Connection { client, listener, state, stats, .. } = core.slots.get(slot);
        let awaits = if peer.is_some() { Awaits::Header } else { Awaits::Hello };
        *state = State::Opening(Opening { number: self.numbers, peer, low_water: 1, peeks: 0, awaits });
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

    /// Something came, or nothing more does, as `result` says: reads what the client is to show, if it is whole.
    ///
    /// # Errors
    ///
    /// It is none, or the client is gone.
    pub(crate) fn look<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        result: Result<u32, Errno>,
    ) -> Result<Option<Shown>, CloseReason> {
        let connection = core.slots.get(slot);
        let client = connection.client;
        let State::Opening(opening) = &mut connection.state else { unreachable!("it has shown itself") };
        let ended = result.is_ok_and(|events| events & ENDED != 0);
        opening.peeks += 1;
        let may_wait = !ended && opening.peeks < PEEKS_MAX;
        let awaits = opening.awaits;
        let most = PEEK_BYTES.max(opening.low_water as usize);
        if self.peeked.len() < most {
            self.peeked.resize(most, 0);
        }
        let length = match core.driver.peek(client, &mut self.peeked[..most]) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(reason_of(Direction::ToBackend, fault_of(errno))),
        };
        let peeked = Peeked { client, length, may_wait, ended };
        match awaits {
            Awaits::Header => Ok(self.look_for_header(core, slot, &peeked)?.map(Shown::Header)),
            Awaits::Hello => Ok(self.look_for_hello(core, slot, &peeked)?.map(Shown::Asked)),
        }
    }
}

/// Waits until so many bytes have arrived in all.
fn wait_for<D: Driver>(core: &mut Core<D>, slot: u32, client: Fd, needed: usize) {
    set_low_water(core, slot, u32::try_from(needed).expect("it is bounded"));
    core.submit(slot, Kind::Opening, Op::PollReadable { socket: client });
}

/// Has so many bytes make the socket readable. What is relayed must not wait for more than one.
fn set_low_water<D: Driver>(core: &mut Core<D>, slot: u32, bytes: u32) {
    let Connection { client, state, .. } = core.slots.get(slot);
    let State::Opening(opening) = state else { unreachable!("it has shown itself") };
    if std::mem::replace(&mut opening.low_water, bytes) != bytes {
        core.driver.low_water(*client, bytes);
    }
}
