//! A TCP connection as the network has it: two ways of bytes, and two ends.

use std::net::SocketAddr;
use std::sync::Weak;

use driver::{Errno, ListenGroup};

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndId {
    pub(crate) link: usize,
    pub(crate) side: usize,
}

/// A connection as the network has it.
#[derive(Debug)]
pub(crate) struct Link {
    /// By the side that sends.
    pub(crate) ways: [Way; 2],
    pub(crate) ends: [End; 2],
    /// How long a part is on its way at most, in nanoseconds; 0 is at once.
    pub(crate) latency: u64,
    /// The link whose bytes this one carries, and the other way round, as found by the bytes.
    pub(crate) partner: Option<usize>,
    /// Whether a worker was told that it has this connection.
    pub(crate) taken: bool,
    /// When a worker last moved something of it, in nanoseconds; at first, when it began.
    pub(crate) moved_at: u64,
    /// What befell it that is not the worker's doing.
    pub(crate) trouble: Trouble,
    pub(crate) to_backend: bool,
    /// Of a client's: the sockets it knocked at.
    pub(crate) knocked_at: Weak<ListenGroup>,
    /// Of a worker's: the backend, and how many tables there were when it was picked.
    pub(crate) picked: Option<(SocketAddr, usize)>,
}

/// What may have ended a link other than the worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a link may have each, whichever others it has")]
pub(crate) struct Trouble {
    /// Its peer reset it, or closed it and would not hear the rest.
    pub(crate) reset: bool,
    /// Its peer was given up.
    pub(crate) lost: bool,
    /// Its peer stalls, permanently or for a while.
    pub(crate) still: bool,
    /// Its peer acts no more, so it does not get what is yet to come.
    pub(crate) over: bool,
    /// Its peer sent bytes to a worker's socket that was closed, and was reset by the kernel for that.
    pub(crate) unheard: bool,
}

/// Bytes one way.
#[derive(Debug)]
pub(crate) struct Way {
    /// The stream whose bytes these are, once there are any.
    pub(crate) stream: Option<EndId>,
    /// Bytes that were sent since the beginning.
    pub(crate) sent: u64,
    /// Of them, those that arrived.
    pub(crate) arrived: u64,
    /// Of them, those that were read.
    pub(crate) read: u64,
    /// How many may be sent and not read.
    pub(crate) room: u64,
    /// Of them, how many may have arrived; the others wait at the end that sent them.
    pub(crate) window: u64,
    /// When the last of them arrived, in nanoseconds; at first, when the link began.
    pub(crate) taken_at: u64,
    pub(crate) fin: Fin,
    /// The first bytes, where these have values: a header, a hello. The others are known by their stream alone.
    pub(crate) literal: Vec<u8>,
    /// How many of them are a header at most, which goes no further.
    pub(crate) header: u64,
    /// Whether a delivery is on the agenda.
    pub(crate) delivering: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    No,
    Sent,
    Arrived,
    /// The reader was told.
    Read,
    /// It was sent after bytes that a reset took with it, and never arrives.
    Cut,
}

/// What one end knows.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// The peer that acts here; a worker's socket has none.
    pub(crate) peer: Option<usize>,
    /// The error of its next operation.
    pub(crate) error: Option<Errno>,
    /// The connection is no more: it was reset by either, or given up.
    pub(crate) dead: bool,
    /// When it was found to be, by no doing of its own, in nanoseconds.
    pub(crate) died_at: Option<u64>,
    pub(crate) closed: bool,
    /// It neither sends nor receives any more, and no error says so.
    pub(crate) vanished: bool,
}

impl EndId {
    pub(crate) fn other(self) -> Self {
        Self { link: self.link, side: 1 - self.side }
    }
}

impl Trouble {
    pub(crate) fn any(self) -> bool {
        self.reset || self.lost || self.still
    }
}

impl Link {
    pub(crate) fn new(now: u64, latency: u64, (room, window): (u64, u64), to_backend: bool) -> Self {
        Self {
            ways: [Way::new(now, room, window), Way::new(now, room, window)],
            ends: [End::default(), End::default()],
            latency,
            partner: None,
            taken: false,
            moved_at: now,
            trouble: Trouble::default(),
            to_backend,
            knocked_at: Weak::new(),
            picked: None,
        }
    }

    /// Whether a worker made it, rather than a client.
    pub(crate) fn is_to_backend(&self) -> bool {
        self.to_backend
    }
}

impl Way {
    fn new(now: u64, room: u64, window: u64) -> Self {
        Self {
            stream: None,
            sent: 0,
            arrived: 0,
            read: 0,
            room,
            window,
            taken_at: now,
            fin: Fin::No,
            literal: Vec::new(),
            header: u64::MAX,
            delivering: false,
        }
    }

    /// Whether the FIN was sent after the last byte.
    pub(crate) fn is_finished(&self) -> bool {
        self.fin != Fin::No
    }

    /// Whether the FIN was discarded on its way.
    pub(crate) fn is_cut(&self) -> bool {
        self.fin == Fin::Cut
    }

    /// Whether the reader received the FIN.
    pub(crate) fn is_read_to_the_end(&self) -> bool {
        self.fin == Fin::Read
    }

    pub(crate) fn free(&self) -> u64 {
        self.room - (self.sent - self.read)
    }

    /// How many bytes come before those of the stream.
    pub(crate) fn before(&self) -> u64 {
        self.header.min(self.literal.len() as u64)
    }

    /// How many bytes of the stream were sent, and not discarded by a reset.
    pub(crate) fn body(&self) -> u64 {
        self.sent.saturating_sub(self.before())
    }

    /// Forgets what is still on its way.
    pub(crate) fn cut(&mut self) {
        if self.fin == Fin::Sent && self.sent > self.arrived {
            self.fin = Fin::Cut;
        }
        self.sent = self.arrived;
    }
}
