//! A connection, and the states of its life. Each state holds what is true in it alone.
//!
//! ```text
//!      header, hello      backend connected         both halves done        nothing in flight
//! Opening ─────────▶ Seeking ────────────────▶ Relaying ────────────────▶ Closing ───────────────▶ slot free
//!                       │ refused, timed out      │ reset, idle, evicted    ▲
//!                       └─────────────────────────┴─────────────────────────┘
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use connection::{CloseReason, Direction, Relay, Stage};
use driver::{Fd, Pipe};
use table::{Backend, BackendIndex, Listener, Pool, Semaphore};

use crate::introduction::Introduction;
use crate::stats::ConnectionStats;

/// A client that was accepted, and what is done for it.
pub(crate) struct Connection {
    pub(crate) client: Fd,
    /// As it was in the table by which the connection was given its backend; before, as the table has it that it
    /// uses.
    pub(crate) listener: Arc<Listener>,
    /// The pool that its backend comes from, of the same table as `listener`.
    pub(crate) pool: Arc<Pool>,
    pub(crate) state: State,
    pub(crate) stats: ConnectionStats,
    /// What is known about the client beyond its socket. Most clients have none.
    pub(crate) introduction: Option<Box<Introduction>>,
    /// Polls for a hangup, by the half that the polled side sends to. They outlive the states that begin them.
    pub(crate) hangup: [HangupPoll; 2],
}

/// Where a connection is in its life.
pub(crate) enum State {
    /// The client was accepted, and is not admitted yet. Without a header to wait for, no turn ends in this state.
    Opening(Opening),
    /// It has no backend yet.
    Seeking(Seeking),
    Relaying(Relaying),
    /// It ended, and waits for the last of what is in flight.
    Closing(Closing),
}

/// A client that has yet to show itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Opening {
    /// Its place among those that have yet to, in their order; 0 before it has one.
    pub(crate) number: u64,
    /// The address of the peer, if that is a proxy.
    pub(crate) peer: Option<SocketAddr>,
    /// How many bytes make its socket readable.
    pub(crate) low_water: u32,
    /// How often what has arrived was peeked at, for what it is to show now.
    pub(crate) peeks: u8,
    /// What it is to show now.
    pub(crate) awaits: Awaits,
}

/// What a client has yet to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// The header of a proxy.
    #[default]
    Header,
    /// What it asks for: a TLS hello, or what is none.
    Hello,
}

/// A connection without a backend.
pub(crate) struct Seeking {
    pub(crate) attempts: Attempts,
    pub(crate) step: Step,
}

/// What a connection without a backend does.
pub(crate) enum Step {
    /// It is between two attempts. No turn ends in this step.
    Picking,
    Connecting(Attempt),
    /// No backend can take it now.
    Waiting(Wait),
}

/// An attempt to connect that is under way.
pub(crate) struct Attempt {
    pub(crate) socket: Fd,
    pub(crate) backend: Arc<Backend>,
    /// Whether the last ACK of the handshake is held back.
    pub(crate) hold_ack: bool,
    /// Why it is being ended, if it is.
    pub(crate) given_up: Option<CloseReason>,
}

/// A wait for a backend.
pub(crate) struct Wait {
    pub(crate) wait_for: WaitFor,
    /// Where its permit to wait is from.
    pub(crate) semaphore: Arc<Semaphore>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A table that knows a primary.
    Primary,
    /// A permit of a backend.
    Capacity,
}

/// A connection with a backend.
pub(crate) struct Relaying {
    pub(crate) socket: Fd,
    pub(crate) backend: Arc<Backend>,
    pub(crate) relay: Relay<Pipe>,
    /// Whether the backend was sent the last ACK of its handshake.
    pub(crate) ack: Ack,
    /// Whether the backend's socket has its keepalive. It is four system calls, which most connections end too
    /// soon to need; the client's socket has inherited its own.
    pub(crate) kept_alive: bool,
}

/// The ACK that tells a backend that its answer to the connect was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It was sent, and nothing is to be learnt from this connection.
    Sent,
    /// It waits for the client's first bytes, or for its time to be up.
    Held,
    /// Its time was up, and neither side has sent a byte yet.
    Released,
}

/// A connection that ended.
pub(crate) struct Closing {
    /// Why.
    pub(crate) reason: CloseReason,
    /// How far it was.
    pub(crate) stage: Stage,
    pub(crate) left: Left,
}

/// What a connection that ended has yet to give back.
pub(crate) enum Left {
    /// It has its client's socket alone.
    Client {
        /// The backend of its last attempt.
        tried: Option<Arc<Backend>>,
    },
    /// It was being connected.
    Attempt(Fd, Arc<Backend>),
    /// It has what it had queued.
    Relay(Fd, Arc<Backend>, Relay<Pipe>),
}

/// The attempts to connect that were made for one connection.
pub(crate) struct Attempts {
    tried: [BackendIndex; ATTEMPTS_MAX],
    tried_count: u8,
    /// Not less than `tried_count`.
    made: u8,
    /// Why the last one failed.
    pub(crate) failed: Option<CloseReason>,
    /// The backend of the last one.
    pub(crate) last: Option<Arc<Backend>>,
    /// Of a client that waits, or has.
    pub(crate) ticket: Option<Ticket>,
    /// Until when the connection's time is booked: the start of the attempt under way.
    pub(crate) booked_until: Instant,
}

/// What a client is given that waits for the first time. It keeps it, so that it waits no longer in all than it
/// may, and loses its turn neither to a permit that came to nothing nor to another table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) since: Instant,
}

/// The poll of one side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HangupPoll {
    #[default]
    Off,
    On,
    /// The connection has a backend, and it is being cancelled.
    Stopping,
}

/// How many attempts a connection may make; `config` allows no more.
const ATTEMPTS_MAX: usize = 16;

impl Connection {
    /// The backend that it has, or is being connected to.
    pub(crate) fn backend(&self) -> Option<&Arc<Backend>> {
        match &self.state {
            State::Seeking(Seeking { step: Step::Connecting(attempt), .. }) => Some(&attempt.backend),
            State::Relaying(relaying) => Some(&relaying.backend),
            State::Closing(closing) => closing.left.backend().map(|(_, backend)| backend),
            State::Opening(_) | State::Seeking(_) => None,
        }
    }

    /// The address of the client, if a header said it.
    pub(crate) fn said_address(&self) -> Option<SocketAddr> {
        let ends = self.introduction.as_ref()?.ends?;
        Some(ends.client)
    }

    /// How far it is; none of one that has ended.
    pub(crate) fn stage(&self) -> Option<Stage> {
        match &self.state {
            State::Opening(_) => Some(Stage::Opening),
            State::Seeking(Seeking { step: Step::Waiting(_), .. }) => Some(Stage::Waiting),
            State::Seeking(_) => Some(Stage::Connecting),
            State::Relaying(relaying) => {
                Some(Stage::Relaying { last: self.stats.last, finished: relaying.relay.finished_alone() })
            }
            State::Closing(_) => None,
        }
    }
}

impl State {
    /// The search for a backend of a connection that has none.
    pub(crate) fn seeking(&mut self) -> &mut Seeking {
        match self {
            Self::Seeking(seeking) => seeking,
            Self::Opening(_) | Self::Relaying(_) | Self::Closing(_) => unreachable!("it seeks no backend"),
        }
    }

    /// The attempt under way, of a connection that is being connected.
    pub(crate) fn attempt(&mut self) -> &mut Attempt {
        match &mut self.seeking().step {
            Step::Connecting(attempt) => attempt,
            Step::Picking | Step::Waiting(_) => unreachable!("no attempt is under way"),
        }
    }

    /// Ends the attempt under way, of a connection that is being connected.
    pub(crate) fn take_attempt(&mut self) -> Attempt {
        match std::mem::replace(&mut self.seeking().step, Step::Picking) {
            Step::Connecting(attempt) => attempt,
            Step::Picking | Step::Waiting(_) => unreachable!("no attempt is under way"),
        }
    }

    /// The relay of a connection that has a backend.
    pub(crate) fn relaying(&mut self) -> &mut Relaying {
        match self {
            Self::Relaying(relaying) => relaying,
            Self::Opening(_) | Self::Seeking(_) | Self::Closing(_) => unreachable!("it relays nothing"),
        }
    }
}

impl Seeking {
    /// No attempt was made yet, for a connection that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { attempts: Attempts::new(now), step: Step::Picking }
    }

    /// Books the time that passed to what it did meanwhile, and says since when.
    pub(crate) fn book_time(&mut self, stats: &mut ConnectionStats, now: Instant) -> Instant {
        let time = match self.step {
            Step::Picking | Step::Connecting(_) => &mut stats.connecting,
            Step::Waiting(_) => &mut stats.waited,
        };
        let since = std::mem::replace(&mut self.attempts.booked_until, now);
        time.add(since, now);
        since
    }
}

impl Relaying {
    /// The socket that a half reads; `client` is the other one.
    pub(crate) fn input(&self, client: Fd, direction: Direction) -> Fd {
        match direction {
            Direction::ToBackend => client,
            Direction::ToClient => self.socket,
        }
    }

    /// The socket that a half writes.
    pub(crate) fn output(&self, client: Fd, direction: Direction) -> Fd {
        self.input(client, direction.other())
    }
}

impl Left {
    /// The backend that it had or was being connected to, with the socket.
    pub(crate) fn backend(&self) -> Option<(Fd, &Arc<Backend>)> {
        match self {
            Self::Client { .. } => None,
            Self::Attempt(socket, backend) | Self::Relay(socket, backend, _) => Some((*socket, backend)),
        }
    }

    /// The backend that it had, or the last one that was tried.
    pub(crate) fn into_tried(self) -> Option<Arc<Backend>> {
        match self {
            Self::Client { tried } => tried,
            Self::Attempt(_, backend) | Self::Relay(_, backend, _) => Some(backend),
        }
    }
}

impl Attempts {
    fn new(now: Instant) -> Self {
        Self {
            tried: [BackendIndex::default(); ATTEMPTS_MAX],
            tried_count: 0,
            made: 0,
            failed: None,
            last: None,
            ticket: None,
            booked_until: now,
        }
    }

    /// When the client began to wait for the first time, if it has.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.ticket.map(|ticket| ticket.since)
    }

    /// The backends that were tried, of the pool that the connection uses.
    pub(crate) fn tried(&self) -> &[BackendIndex] {
        &self.tried[..usize::from(self.tried_count)]
    }

    /// Begins an attempt; says which backend the one before was made at, if that was another.
    pub(crate) fn begin(&mut self, index: BackendIndex, backend: &Arc<Backend>) -> Option<Arc<Backend>> {
        self.count(index);
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

    /// The connection uses another pool, where each of those that were tried has another index, or none.
    pub(crate) fn go_over(&mut self, index: impl Fn(BackendIndex) -> Option<BackendIndex>) {
        let before = self.tried;
        let kept = before[..usize::from(self.tried_count)].iter().copied().filter_map(index);
        self.tried_count = 0;
        for index in kept {
            self.tried[usize::from(self.tried_count)] = index;
            self.tried_count += 1;
        }
    }

    /// Every backend may be tried again, as by a connection that has just come.
    pub(crate) fn reset(&mut self) {
        self.tried_count = 0;
        self.made = 0;
    }

    pub(crate) fn is_exhausted(&self, allowed: u8) -> bool {
        self.made >= allowed || usize::from(self.made) == ATTEMPTS_MAX
    }
}
