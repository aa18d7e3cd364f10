//! The simulated kernel behaves like Linux: one script is run on both.
//!
//! Each test is a script over [`Side`], run on the simulated kernel, and on a real ring with real sockets on
//! loopback, where everything sent has arrived when the call returns.

use std::net::SocketAddr;
use std::time::Duration;

use driver::{BUFFER_SIZE, BufferId, Bytes, Completion, ConnectOptions, Driver, Errno, Fd, Op, Token};
use sim::Read;

/// A kernel, and the peers of its sockets.
trait Side {
    type Kernel: Driver;
    type Peer;
    fn kernel(&mut self) -> &mut Self::Kernel;
    /// A listening socket, and its address.
    fn listen(&mut self) -> (SocketAddr, Fd);
    fn stop_listening(&mut self);
    fn connect(&mut self, to: SocketAddr) -> Self::Peer;
    fn serving(&mut self) -> SocketAddr;
    fn refusing(&mut self) -> SocketAddr;
    /// An address that does not answer.
    fn silent(&mut self) -> SocketAddr;
    fn accepted(&mut self) -> Self::Peer;
    fn send(&mut self, peer: &mut Self::Peer, length: u32);
    /// Sends these bytes, the first of all that it sends.
    fn say(&mut self, peer: &mut Self::Peer, bytes: &[u8]);
    fn finish(&mut self, peer: &mut Self::Peer);
    fn reset(&mut self, peer: Self::Peer);
    fn read(&mut self, peer: &mut Self::Peer, most: u32) -> Read;
    /// A socket to connect with, and the address at which it connects to itself.
    fn meeting_itself(&mut self) -> (SocketAddr, Fd);
    fn wake(&mut self);
}

/// Runs a script on both sides.
macro_rules! scripts {
    ($($script:ident)*) => {
        mod simulated { $(#[test] fn $script() { super::$script(&mut crate::simulated::Simulated::new()); })* }
        mod real { $(#[test] fn $script() { super::$script(&mut crate::real::Real::new()); })* }
    };
}

mod accepting;
mod closing;
mod connecting;
mod peeking;
mod polling;
mod receiving;
mod sending;
mod splicing;
mod waiting;

mod real;
mod simulated;

const ACCEPT: u8 = 0;
const CONNECT: u8 = 1;
const RECEIVE: u8 = 2;
const POLL: u8 = 3;
const CANCEL: u8 = 4;
const LIMIT: u32 = 64 * 1024;
const BUFFERS: u16 = 128;

fn token(kind: u8) -> Token {
    Token::new(kind, 1, 2)
}

/// A client, and the socket it was accepted as.
fn connected<S: Side>(side: &mut S) -> (S::Peer, Fd) {
    let (address, listener) = side.listen();
    let client = side.connect(address);
    let socket = side.kernel().accept_now(listener).unwrap();
    (client, socket)
}

fn open(side: &mut impl Side, to: SocketAddr) -> Fd {
    side.kernel().open(&options(to)).unwrap()
}

fn options(to: SocketAddr) -> ConnectOptions {
    ConnectOptions { to, source: None, hold_ack: false }
}

fn close(side: &mut impl Side, fd: Fd) {
    side.kernel().close(fd);
}

fn receive(side: &mut impl Side, socket: Fd, limit: u32) {
    side.kernel().submit(Op::Receive { socket, limit, later: false }, token(RECEIVE));
}

fn stop_receiving(side: &mut impl Side, socket: Fd) {
    side.kernel().submit(Op::CancelAll { fd: socket }, token(CANCEL));
    both_complete(side, RECEIVE, CANCEL);
    close(side, socket);
}

fn give_back(side: &mut impl Side, completion: &Completion) {
    side.kernel().give_back(completion.buffer.expect("bytes come in a buffer"));
}

/// A buffer with this many bytes.
fn buffer_of(side: &mut impl Side, length: u32) -> BufferId {
    let (mut client, socket) = connected(side);
    side.send(&mut client, length);
    receive(side, socket, length);
    let completion = completes(side, RECEIVE);
    assert_eq!(completion.result, Ok(length));
    if completion.more {
        stop_receiving(side, socket);
    } else {
        close(side, socket);
    }
    completion.buffer.unwrap()
}

/// Sends until the socket takes no more, and returns the count.
fn fill(side: &mut impl Side, socket: Fd) -> u64 {
    fn fill_from<S: Side>(side: &mut S, client: &mut S::Peer, source: Fd, socket: Fd) -> u64 {
        let mut filled = 0;
        loop {
            side.send(client, BUFFER_SIZE);
            receive(side, source, BUFFER_SIZE);
            let part = completes(side, RECEIVE);
            if part.more {
                side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
                both_complete(side, RECEIVE, CANCEL);
            }
            let (buffer, length) = (part.buffer.unwrap(), part.result.unwrap());
            let mut start = 0;
            while start < length {
                let bytes = Bytes::Received { buffer, start, length: length - start };
                match side.kernel().send(socket, bytes, false) {
                    Ok(sent) => start += sent,
                    Err(errno) => {
                        assert_eq!(errno, Errno::AGAIN);
                        side.kernel().give_back(buffer);
                        return filled + u64::from(start);
                    }
                }
            }
            filled += u64::from(length);
            side.kernel().give_back(buffer);
        }
    }
    let (mut client, source) = connected(side);
    let filled = fill_from(side, &mut client, source, socket);
    side.kernel().reset_on_close(source);
    close(side, source);
    filled
}

fn read_all<S: Side>(side: &mut S, peer: &mut S::Peer) -> u64 {
    let mut read = 0;
    while let Read::Bytes(length) = side.read(peer, 1 << 20) {
        read += u64::from(length);
    }
    read
}

fn fd(accepted: &Completion) -> Fd {
    Fd(accepted.result.unwrap().cast_signed())
}

fn wait(side: &mut impl Side, done: &mut Vec<Completion>) {
    // So that a script that waits for an event that never comes fails.
    let deadline = side.kernel().now() + Duration::from_secs(10);
    let before = done.len();
    side.kernel().wait(Some(deadline), done).unwrap();
    assert!(done.len() > before || side.kernel().now() < deadline, "nothing completes; so far {done:?}");
}

/// The next completion, which is that of this operation.
fn completes(side: &mut impl Side, kind: u8) -> Completion {
    PENDING.with_borrow_mut(|pending| {
        while pending.is_empty() {
            wait(side, pending);
        }
        let completion = pending.remove(0);
        assert_eq!(completion.token, token(kind), "{completion:?}");
        completion
    })
}

/// The last completions of two operations, in either order.
fn both_complete(side: &mut impl Side, one: u8, other: u8) -> [Completion; 2] {
    PENDING.with_borrow_mut(|pending| {
        while pending.len() < 2 {
            wait(side, pending);
        }
        assert_eq!(pending.len(), 2, "{pending:?}");
        let of =
            |kind| *pending.iter().find(|completion| completion.token == token(kind)).expect("it completes");
        let both = [of(one), of(other)];
        pending.clear();
        both
    })
}

fn nothing_completes(side: &mut impl Side) {
    PENDING.with_borrow_mut(|pending| {
        // Once to hand over, and again for what the first found.
        for _ in 0..2 {
            let now = side.kernel().now();
            side.kernel().wait(Some(now), pending).unwrap();
        }
        assert_eq!(pending[..], [], "nothing was to complete");
    });
}

thread_local! {
    /// What completed together with the awaited event. A test is a thread.
    static PENDING: std::cell::RefCell<Vec<Completion>> = const { std::cell::RefCell::new(Vec::new()) };
}
