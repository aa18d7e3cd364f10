//! What is going to happen, in the order of its time. Time passes only when the run lets it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use driver::Errno;

use crate::link::EndId;

/// The clock, and what is due by it.
pub(crate) struct Agenda {
    /// What the worker's instants are counted from.
    base: Instant,
    /// Nanoseconds since then.
    now: u64,
    due: BinaryHeap<Reverse<Due>>,
    count: u64,
}

/// Something that will happen, outside of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes that this end sent arrive at the other, or its FIN.
    Deliver(EndId),
    /// The RST that this end sent arrives at the other.
    Reset(EndId),
    /// The kernel gives the peer of this end up.
    GiveUp(EndId, Errno),
    /// A client knocks at a listener.
    Knock {
        /// Which of the run's clients.
        client: usize,
    },
    /// A connect of a worker's comes to an end.
    Connected {
        /// Whose it is.
        worker: usize,
        /// The worker's end.
        end: EndId,
        /// Where it connects to.
        to: SocketAddr,
        /// What becomes of it.
        answer: Answer,
    },
    /// The kernel sends an ACK that was held back for as long as it may be.
    SendAck(EndId),
    /// A peer does something.
    Act(usize),
}

/// How a connect ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// It succeeds, and confirming it says that it did not: it met itself, or an ICMP error woke it.
    Unconfirmed(Errno),
    Failed(Errno),
}

#[derive(Debug, PartialEq, Eq)]
struct Due {
    at: u64,
    number: u64,
    event: Event,
}

impl Agenda {
    #[expect(
        clippy::disallowed_methods,
        reason = "where simulated time begins is of no matter, and an `Instant` \
        can be had in no other way"
    )]
    pub(crate) fn new() -> Self {
        Self { base: Instant::now(), now: 0, due: BinaryHeap::new(), count: 0 }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    /// The first whole nanosecond that is not before `instant`.
    pub(crate) fn nanos(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.base))
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.due.push(Reverse(Due { at: self.now + delay, number: self.count, event }));
    }

    /// When the next of it happens.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    /// Takes the next of it, and lets the time until then pass.
    pub(crate) fn take(&mut self) -> Option<Event> {
        let Reverse(due) = self.due.pop()?;
        self.now = self.now.max(due.at);
        Some(due.event)
    }

    pub(crate) fn pass_until(&mut self, at: u64) {
        self.now = self.now.max(at);
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a run lasts no 500 years")
}

/// Nanoseconds.
pub(crate) const MICROSECOND: u64 = 1_000;

/// Nanoseconds.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
