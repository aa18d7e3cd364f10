//! The seam between the worker and the kernel: operations are data, so no pointer crosses it and a kernel
//! made for tests is an ordinary implementation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use rustix::io::Errno;

use crate::sockets::{ConnectOptions, SocketKeepalive};

/// A kernel that a worker drives.
///
/// Operations given to [`submit`](Self::submit) are answered by completions out of [`wait`](Self::wait);
/// all other calls answer at once and never block.
pub trait Driver {
    /// Queues `op`. The kernel gets it no later than the next [`wait`](Self::wait).
    ///
    /// Each operation is answered by exactly one completion with `more: false`, and multishot ones by any
    /// number with `more: true` before it, all carrying `token`.
    fn submit(&mut self, op: Op, token: Token);

    /// Hands over what is queued and sleeps until something completes, the worker's waker is woken, or
    /// `deadline` passes; appends what completed to `done`.
    ///
    /// # Errors
    ///
    /// The ring is broken; no completion can be had from it any more.
    fn wait(&mut self, deadline: Option<Instant>, done: &mut Vec<Completion>) -> Result<(), Errno>;

    /// The time, on a clock that no one sets (`CLOCK_MONOTONIC`).
    fn now(&self) -> Instant;

    /// Gives a buffer back that a [`Completion`] handed out. Each is given back exactly once.
    fn give_back(&mut self, buffer: BufferId);

    /// How many buffers could be received into now.
    fn buffers_free(&self) -> u32;

    /// How often its queues were short so far.
    fn shortages(&self) -> Shortages;

    /// A socket to connect with.
    ///
    /// # Errors
    ///
    /// What socket(2), setsockopt(2) or bind(2) say: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, or
    /// `EADDRNOTAVAIL` for a source address that this host does not hold.
    fn open(&mut self, options: &ConnectOptions) -> Result<Fd, Errno>;

    /// Accepts one connection that waits in the queue of `listener`, now.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when none waits; otherwise what accept4(2) says.
    fn accept_now(&mut self, listener: Fd) -> Result<Fd, Errno>;

    /// Whether a connect that succeeded, so the kernel says, did connect. `options` are those that the socket was
    /// opened with.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the socket is connected to itself, as a connect to a free port on an address of this host can
    /// be, if the kernel picks that very port to connect from; the error of the socket, such as `EHOSTUNREACH`, if it
    /// is not connected at all.
    fn confirm_connect(&mut self, socket: Fd, options: &ConnectOptions) -> Result<(), Errno>;

    /// The address that the other end of a connected socket has; none if the connection has ended already.
    fn peer(&mut self, socket: Fd) -> Option<SocketAddr>;

    /// The address that this end of a connected socket has: what its client connected to, if it was accepted. None if
    /// the connection has ended already.
    fn local(&mut self, socket: Fd) -> Option<SocketAddr>;

    /// Has what the socket sends from now on end at the first router (`IP_TTL` and `IPV6_UNICAST_HOPS` of 1, ip(7)),
    /// so that a client beyond it hears nothing of a reset.
    fn stay_in_network(&mut self, socket: Fd);

    /// How many bytes must have arrived for [`Op::PollReadable`] to complete (`SO_RCVLOWAT`); 1 at first. The end of
    /// the stream and a reset complete it whatever has arrived. It stays set, and holds for every read that waits: it
    /// must be 1 again before the socket is relayed.
    fn low_water(&mut self, socket: Fd, bytes: u32);

    /// Copies what has arrived to `into`, as far as it fits, and leaves it in the socket (`MSG_PEEK`); 0 is the end of
    /// the stream.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if nothing has arrived; otherwise what recv(2) says.
    fn peek(&mut self, socket: Fd, into: &mut [u8]) -> Result<usize, Errno>;

    /// Takes exactly `bytes`, which have arrived, out of the socket and throws them away, such as those of a header
    /// that [`peek`](Self::peek) has shown.
    ///
    /// # Errors
    ///
    /// What recv(2) says; `EAGAIN` if less has arrived.
    fn skip(&mut self, socket: Fd, bytes: u32) -> Result<(), Errno>;

    /// Random bytes that cannot be foreseen, such as those of an identifier.
    fn random(&mut self) -> [u8; 16];

    /// How long ago the kernel last sent bytes to the peer: it holds what it was given until the peer has room, so a
    /// peer that reads slowly takes bytes long after they were given. None if that is not known, or the last were sent
    /// a second time only, as no acknowledgement came.
    fn taken_ago(&mut self, socket: Fd) -> Option<Duration>;

    /// Why the connection failed, if it did and no other call has told yet.
    fn failure(&mut self, socket: Fd) -> Option<Errno>;

    /// Has the kernel find out when the peer of a connected socket is lost. It counts from the last that was
    /// heard of the peer, not from this call.
    fn keep_alive(&mut self, socket: Fd, keepalive: SocketKeepalive);

    /// Sends the ACK that [`ConnectOptions::hold_ack`] holds back, if it was not yet sent.
    fn release_ack(&mut self, socket: Fd);

    /// Sends bytes, as many as the socket takes now. `more` says that more is sent at once, or the FIN: the kernel
    /// may wait for it, to send both in one segment (`MSG_MORE`).
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it takes none; otherwise what send(2) says.
    fn send(&mut self, socket: Fd, bytes: Bytes<'_>, more: bool) -> Result<u32, Errno>;

    /// Sends the FIN after what was sent (`SHUT_WR`).
    ///
    /// # Errors
    ///
    /// `ENOTCONN`: the connection has ended already.
    fn shutdown_write(&mut self, socket: Fd) -> Result<(), Errno>;

    /// Makes [`close`](Self::close) reset the connection instead of finishing it (`SO_LINGER` with 0).
    fn reset_on_close(&mut self, socket: Fd);

    /// Reads what has arrived, and throws it away; 8 MiB at most. A socket that is closed with bytes unread is reset,
    /// whatever it has yet to deliver.
    fn discard_received(&mut self, socket: Fd);

    /// Closes a descriptor. Nothing may be in flight on it: the kernel would keep the socket, and send no
    /// FIN, until that ends.
    fn close(&mut self, fd: Fd);

    /// A pipe for splicing.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, or `EPERM` where the user's budget of pipe pages is used up (pipe(7)).
    fn open_pipe(&mut self) -> Result<Pipe, Errno>;

    /// Moves up to `length` bytes from a socket into a pipe or out of a pipe into a socket (splice(2)),
    /// without copying and without blocking; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when nothing can move; otherwise what the socket says.
    fn splice(&mut self, from: Fd, to: Fd, length: u32) -> Result<u32, Errno>;

    /// A descriptor to hold in reserve, for the day when no other can be had.
    ///
    /// # Errors
    ///
    /// `EMFILE` or `ENFILE`: that day is today.
    fn open_reserve(&mut self) -> Result<Fd, Errno>;
}

/// How often the queues between worker and kernel were short. Nothing is lost by it, but time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortages {
    /// The submission queue was full, and what was in it went to the kernel before the turn's end.
    pub early_submits: u64,
    /// The completion queue was full at the end of a wait, and the kernel kept the rest.
    pub overflows: u64,
}

/// An operation whose answer comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Accepts connections, one completion each, until cancelled or failed. The result is the descriptor.
    Accept {
        /// The listening socket.
        listener: Fd,
    },
    /// Connects a socket.
    Connect {
        /// From [`Driver::open`].
        socket: Fd,
        /// The address to connect to.
        to: SocketAddr,
    },
    /// Receives into buffers of the driver's, one completion each, until the stream ends, fails, is cancelled,
    /// or about `limit` bytes came; `Ok(0)` without a buffer is the end of the stream.
    Receive {
        /// The socket to read.
        socket: Fd,
        /// After this many bytes it ends by itself. Kernels before 6.17 do not know limits and go on.
        limit: u32,
        /// Whether to wait before the first look, as nothing is expected to be there yet.
        later: bool,
    },
    /// Completes when the socket can be read, has ended or failed; see [`Driver::low_water`]. The result has the bits
    /// of [`ENDED`] if no more comes than has arrived.
    PollReadable {
        /// The socket.
        socket: Fd,
    },
    /// Completes when the socket can be written or has failed.
    PollWritable {
        /// The socket.
        socket: Fd,
    },
    /// Completes when the connection was reset or has failed, whatever there is to read, and FIN or none.
    PollReset {
        /// The socket.
        socket: Fd,
    },
    /// Cancels the operation with this token; it still completes, with `ECANCELED` or what it had come to. For a
    /// `PollWritable` or a `PollReset`, there is `CancelAll`.
    Cancel {
        /// Of the operation.
        target: Token,
    },
    /// Cancels every operation on a descriptor; each still completes.
    CancelAll {
        /// The descriptor.
        fd: Fd,
    },
}

/// The bits of the result of an [`Op::PollReadable`] that say that no more comes: the peer has sent its FIN
/// (`POLLRDHUP`), or the connection is no more (`POLLHUP`).
pub const ENDED: u32 = (libc::POLLRDHUP | libc::POLLHUP) as u32;

/// The answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Of the operation.
    pub token: Token,
    /// Bytes moved, or a descriptor, or 0.
    pub result: Result<u32, Errno>,
    /// Whether further completions of this operation will come.
    pub more: bool,
    /// The buffer that was received into; it is the receiver's until given back.
    pub buffer: Option<BufferId>,
}

/// What a completion proves its identity with.
///
/// | 0: 1 | kind: 7 | generation: 24 | slot: 32 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// Puts the parts together; of `kind` the lower 7 bits count, of `generation` the lower 24.
    pub fn new(kind: u8, generation: u32, slot: u32) -> Self {
        let kind = kind & 0x7f; // The highest bit is the ring's own.
        Self(u64::from(kind) << 56 | u64::from(generation & Self::GENERATION_MASK) << 32 | u64::from(slot))
    }

    /// Which kind of operation it is, in the submitter's own numbering, 0 to 127.
    pub fn kind(self) -> u8 {
        u8::try_from(self.0 >> 56).expect("8 bits are left")
    }

    /// Which tenant of the slot it belongs to.
    pub fn generation(self) -> u32 {
        u32::try_from(self.0 >> 32 & u64::from(Self::GENERATION_MASK)).expect("masked")
    }

    /// Which slot it belongs to.
    pub fn slot(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).expect("masked")
    }

    /// The bits of a generation that a token carries.
    pub const GENERATION_MASK: u32 = 0x00ff_ffff;

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A descriptor, by number: owned by the caller that got it from the driver, until [`Driver::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fd(pub i32);

/// One of the driver's receive buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub u16);

/// Size of a receive buffer, in bytes.
///
/// 32 KiB takes most answers whole, 16 KiB of body and its header among them; what streams is spliced, not copied.
pub const BUFFER_SIZE: u32 = 32 * 1024;

/// How many buffers a driver may have: their numbers are 16 bits wide.
pub const BUFFERS_MAX: u32 = 1 << 16;

/// What to send; at least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes<'a> {
    /// Bytes that were received.
    Received {
        /// A buffer that a completion handed out, and that was not given back.
        buffer: BufferId,
        /// Where the bytes begin in it.
        start: u32,
        /// How many there are.
        length: u32,
    },
    /// Bytes of the caller's own, such as a header that is sent before those of a client.
    Own(&'a [u8]),
}

/// Both ends of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// The end that is read.
    pub read: Fd,
    /// The end that is written.
    pub write: Fd,
    /// How many bytes it was sized for.
    pub capacity: u32,
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_carries_its_parts() {
        let token = Token::new(7, 0x0134_5678, 0xfedc_ba98);
        assert_eq!((token.kind(), token.generation(), token.slot()), (7, 0x34_5678, 0xfedc_ba98));
        assert_eq!(Token::from_bits(token.to_bits()), token);
    }
}
