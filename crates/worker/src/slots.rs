//! The places of a worker's connections. A place is reused, its generation never is.

use std::sync::Arc;
use std::time::Instant;

use connection::{CloseReason, Direction, Relay, Stage};
use driver::{Fd, Pipe, Token};
use table::{Backend, BackendIndex, Listener};

use crate::hangup::HangupPoll;
use crate::held_acks::Ack;
use crate::stats::ConnectionStats;
use crate::token::Kind;
use crate::waiting::{Ticket, Wait};

/// A client socket, a backend socket and the relay between them.
pub(crate) struct Connection {
    pub(crate) client: Fd,
    /// The socket and the backend it is connected or connecting to; none between attempts.
    pub(crate) backend: Option<(Fd, Arc<Backend>)>,
    /// As it was in the table by which the connection was given its backend; before, as the table has it that it goes by.
    pub(crate) listener: Arc<Listener>,
    pub(crate) state: State,
    pub(crate) facts: ConnectionStats,
    /// Why it ended, and how far it was; while it is closing.
    pub(crate) end: Option<(CloseReason, Stage)>,
    /// The pipe of each half, while it splices.
    pub(crate) pipes: [Option<Pipe>; 2],
    /// Whether the backend's socket has its keepalive. It is four system calls, which most connections end too
    /// soon to need; the client's socket has inherited its own.
    pub(crate) kept_alive: bool,
    /// Whether the backend was told that its answer to the connect was heard.
    pub(crate) ack: Ack,
    /// What says that a side is gone that nothing is received from, by the half that it sends to.
    pub(crate) alarms: [HangupPoll; 2],
}

/// Where a connection is in its life.
pub(crate) enum State {
    Connecting(Attempts),
    /// No backend can take it now.
    Waiting(Wait),
    Relaying(Relay),
    /// It ended, and waits for the last of what is in flight; what it left goes then.
    Closing(Left),
}

/// What a connection leaves that has ended.
pub(crate) enum Left {
    Nothing,
    /// It had a backend; here is what it had queued.
    Relay(Relay),
    /// It had none; here is whom it was last tried to connect to.
    Tried(Arc<Backend>),
}

/// The attempts to connect that were made for one connection.
pub(crate) struct Attempts {
    tried: [BackendIndex; ATTEMPTS_MAX],
    tried_count: u8,
    /// Not less than `tried_count`.
    made: u8,
    /// Why the last one failed.
    pub(crate) failed: Option<CloseReason>,
    /// Why the one in flight is being ended, if it is.
    pub(crate) given_up: Option<CloseReason>,
    /// Whom the last one was made at.
    pub(crate) last: Option<Arc<Backend>>,
    /// Of a client that waits, or has.
    pub(crate) ticket: Option<Ticket>,
    /// Until when the connection's time is booked.
    booked_until: Instant,
}

/// How many attempts a connection may make; `config` allows no more.
const ATTEMPTS_MAX: usize = 16;

impl Attempts {
    /// None yet, for a connection that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tried: [BackendIndex::default(); ATTEMPTS_MAX],
            tried_count: 0,
            made: 0,
            failed: None,
            given_up: None,
            last: None,
            ticket: None,
            booked_until: now,
        }
    }

    /// Whom it has tried, of the pool that it goes by.
    pub(crate) fn tried(&self) -> &[BackendIndex] {
        &self.tried[..usize::from(self.tried_count)]
    }

    /// Begins an attempt; says whom the one before was made at, if that was another.
    pub(crate) fn begin(&mut self, index: BackendIndex, backend: &Arc<Backend>) -> Option<Arc<Backend>> {
        self.count(index);
        self.given_up = None;
        let last = self.last.replace(Arc::clone(backend));
        last.filter(|last| last.address != backend.address)
    }

    /// One was made at this backend.
    pub(crate) fn count(&mut self, index: BackendIndex) {
        self.tried[usize::from(self.tried_count)] = index;
        self.tried_count += 1;
        self.made += 1;
    }

    /// The last attempt does not count; it was made at this one.
    pub(crate) fn take_back(&mut self) -> BackendIndex {
        self.made -= 1;
        self.tried_count -= 1;
        self.tried[usize::from(self.tried_count)]
    }

    /// The connection goes by another pool, where each of those it has tried has another index, or none.
    pub(crate) fn go_over(&mut self, index: impl Fn(BackendIndex) -> Option<BackendIndex>) {
        let before = self.tried;
        let kept = before[..usize::from(self.tried_count)].iter().copied().filter_map(index);
        self.tried_count = 0;
        for index in kept {
            self.tried[usize::from(self.tried_count)] = index;
            self.tried_count += 1;
        }
    }

    /// It may try everybody once more, as one that has just come.
    pub(crate) fn begin_anew(&mut self) {
        self.tried_count = 0;
        self.made = 0;
    }

    pub(crate) fn is_exhausted(&self, allowed: u8) -> bool {
        self.made >= allowed || usize::from(self.made) == ATTEMPTS_MAX
    }
}

/// The slots of a worker; how many was decided at its start.
pub(crate) struct Slots {
    all: Vec<Slot>,
    /// Slots that were used and are free, the last one freed first.
    free: Vec<u32>,
    active: u32,
    all_max: u32,
}

struct Slot {
    generation: u32,
    /// Operations the kernel has and has not answered for good.
    ///
    /// Invariant: 0 when the slot is freed.
    in_flight: u8,
    tenant: Option<Connection>,
}

impl Slots {
    pub(crate) fn new(slots_max: u32) -> Self {
        // Untouched capacity is address space, not memory.
        Self { all: Vec::with_capacity(slots_max as usize), free: Vec::new(), active: 0, all_max: slots_max }
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            let fresh = u32::try_from(self.all.len()).expect("slots are numbered by u32");
            assert!(fresh < self.all_max, "more connections were admitted than there are slots");
            self.all.push(Slot { generation: 0, in_flight: 0, tenant: None });
            fresh
        });
        let place = &mut self.all[slot as usize];
        assert!(place.tenant.is_none());
        assert!(place.in_flight == 0);
        place.tenant = Some(connection);
        self.active += 1;
        slot
    }

    /// Frees a slot. What comes for its old tenant from now on is known by its generation.
    pub(crate) fn remove(&mut self, slot: u32) -> Connection {
        let place = &mut self.all[slot as usize];
        assert!(place.in_flight == 0, "the kernel may still write for this connection");
        place.generation = (place.generation + 1) & Token::GENERATION_MASK;
        self.free.push(slot);
        self.active -= 1;
        place.tenant.take().expect("only a tenant leaves")
    }

    /// The connection in a slot that has one.
    pub(crate) fn get(&mut self, slot: u32) -> &mut Connection {
        self.all[slot as usize].tenant.as_mut().expect("the slot has a tenant")
    }

    /// The connection in a slot, if there is one.
    pub(crate) fn peek(&self, slot: u32) -> Option<&Connection> {
        self.all.get(slot as usize)?.tenant.as_ref()
    }

    /// How many slots were ever used; those beyond have no tenant.
    pub(crate) fn used(&self) -> u32 {
        u32::try_from(self.all.len()).expect("slots are numbered by u32")
    }

    /// Whether this generation still lives in the slot.
    pub(crate) fn lives(&self, slot: u32, generation: u32) -> bool {
        self.all
            .get(slot as usize)
            .is_some_and(|place| place.generation == generation && place.tenant.is_some())
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.all[slot as usize].generation
    }

    /// Notes that an operation begins, and gives it its token.
    pub(crate) fn begin(&mut self, slot: u32, kind: Kind) -> Token {
        let place = &mut self.all[slot as usize];
        assert!(place.in_flight < OPERATIONS_MAX);
        place.in_flight += 1;
        kind.token(place.generation, slot)
    }

    /// Notes that an operation ended for good.
    pub(crate) fn end(&mut self, slot: u32) {
        let place = &mut self.all[slot as usize];
        assert!(place.in_flight > 0);
        place.in_flight -= 1;
    }

    pub(crate) fn in_flight(&self, slot: u32) -> u8 {
        self.all[slot as usize].in_flight
    }

    /// How many connections there are.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Each connection, with its slot, its generation and how many operations are in flight for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, u8, &Connection)> {
        (0..).zip(&self.all).filter_map(|(slot, place)| {
            place.tenant.as_ref().map(|tenant| (slot, place.generation, place.in_flight, tenant))
        })
    }

    /// The slots that have a tenant.
    pub(crate) fn live(&self) -> Vec<u32> {
        let numbered = (0..).zip(&self.all);
        numbered.filter(|(_, place)| place.tenant.is_some()).map(|(slot, _)| slot).collect()
    }
}

/// Per half a receive and a wait, their cancels, and the alarm of its input; two more to cancel all.
const OPERATIONS_MAX: u8 = 16;

impl Connection {
    /// The socket that a half reads.
    pub(crate) fn input(&self, direction: Direction) -> Fd {
        match direction {
            Direction::ToBackend => self.client,
            Direction::ToClient => self.backend_socket(),
        }
    }

    /// The socket that a half writes.
    pub(crate) fn output(&self, direction: Direction) -> Fd {
        self.input(direction.other())
    }

    fn backend_socket(&self) -> Fd {
        self.backend.as_ref().expect("a relay has both sockets").0
    }

    /// The sockets that it has, by the direction in which they are written.
    pub(crate) fn sockets(&self) -> [Option<Fd>; 2] {
        [self.backend.as_ref().map(|(socket, _)| *socket), Some(self.client)]
    }

    /// The attempts of a connection that has no backend yet.
    pub(crate) fn attempts(&mut self) -> &mut Attempts {
        match &mut self.state {
            State::Connecting(attempts) | State::Waiting(Wait { attempts, .. }) => attempts,
            State::Relaying(_) | State::Closing(_) => unreachable!("it makes no attempt any more"),
        }
    }

    /// Books the time that passed to what a connection without a backend did meanwhile, connecting or waiting, and says since when.
    pub(crate) fn book_time(&mut self, now: Instant) -> Instant {
        let (attempts, time) = match &mut self.state {
            State::Connecting(attempts) => (attempts, &mut self.facts.connecting),
            State::Waiting(Wait { attempts, .. }) => (attempts, &mut self.facts.waited),
            State::Relaying(_) | State::Closing(_) => unreachable!("its time is no longer booked"),
        };
        let since = std::mem::replace(&mut attempts.booked_until, now);
        time.add(since, now);
        since
    }

    /// The relay of a connection that has one.
    pub(crate) fn relay(&mut self) -> &mut Relay {
        match &mut self.state {
            State::Relaying(relay) => relay,
            State::Connecting(_) | State::Waiting(_) | State::Closing(_) => {
                unreachable!("only a relay is asked to relay")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;

    /// The promise is 1 KiB of user memory per idle connection, all told; most of it is this.
    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 512, "{} bytes", size_of::<Slot>());
    }
}
