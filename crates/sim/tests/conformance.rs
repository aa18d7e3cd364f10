//! What the simulated kernel does is what Linux does: one script, played to both.
//!
//! Each test is a script over [`Side`], run on the simulated kernel, and on a real ring with real sockets on loopback,
//! where what is sent has arrived when the call returns.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use sim::{Kernel, Read, Stage};
use table::Sockets;
use uring::{
    BUFFER_SIZE, BufferId, Bytes, Completion, ConnectOptions, Driver, Errno, Fd, ListenOptions, Op, Ring,
    SocketKeepalive, Token, Waker, listen,
};

/// A kernel, and those at the other ends of its sockets.
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
    fn finish(&mut self, peer: &mut Self::Peer);
    fn reset(&mut self, peer: Self::Peer);
    fn read(&mut self, peer: &mut Self::Peer, most: u32) -> Read;
    fn wake(&mut self);
}

/// Plays a script on both sides.
macro_rules! scripts {
    ($($script:ident)*) => {
        mod simulated { $(#[test] fn $script() { super::$script(&mut super::Simulated::new()); })* }
        mod real { $(#[test] fn $script() { super::$script(&mut super::Real::new()); })* }
    };
}

scripts! {
    accepts_until_cancelled
    accepts_now
    a_listener_that_stopped
    connects
    is_refused
    gives_a_connect_up
    receives_until_the_fin
    receives_up_to_a_limit
    receives_from_who_resets
    receives_no_more_when_cancelled
    has_no_buffer
    cancels_what_is_done
    cancels_all
    polls_for_reading
    polls_for_writing
    polls_for_writing_past_a_fin
    polls_for_a_reset
    sends_what_fits
    sends_to_who_reset
    sends_a_fin
    resets_on_close
    resets_what_was_not_read
    splices
    splices_until_the_pipe_is_full
    a_waker_ends_a_wait
    a_deadline_ends_a_wait
}

fn accepts_until_cancelled(side: &mut impl Side) {
    let (address, listener) = side.listen();
    side.kernel().submit(Op::Accept { listener }, token(ACCEPT));
    nothing_completes(side);
    for _ in 0..2 {
        side.connect(address);
        let accepted = completes(side, ACCEPT);
        assert!(accepted.more);
        close(side, fd(&accepted));
    }
    side.kernel().submit(Op::Cancel { target: token(ACCEPT) }, token(CANCEL));
    let ended = both_complete(side, ACCEPT, CANCEL);
    assert_eq!(ended[0].result, Err(Errno::CANCELED));
    assert!(!ended[0].more);
    assert!(ended[1].result.is_ok());
}

fn accepts_now(side: &mut impl Side) {
    let (address, listener) = side.listen();
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::AGAIN));
    let mut client = side.connect(address);
    side.kernel().submit(Op::PollReadable { socket: listener }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let socket = side.kernel().accept_now(listener).unwrap();
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::AGAIN));
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Fin);
}

fn a_listener_that_stopped(side: &mut impl Side) {
    let (_, listener) = side.listen();
    side.kernel().submit(Op::Accept { listener }, token(ACCEPT));
    nothing_completes(side);
    side.stop_listening();
    let ended = completes(side, ACCEPT);
    assert_eq!(ended.result, Err(Errno::INVAL));
    assert!(!ended.more);
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::INVAL));

    // Whoever waited in its queue is reset.
    let (address, _) = side.listen();
    let mut waiting = side.connect(address);
    side.stop_listening();
    assert_eq!(side.read(&mut waiting, 1), Read::Reset);
}

fn connects(side: &mut impl Side) {
    let to = side.serving();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    assert_eq!(completes(side, CONNECT).result, Ok(0));
    assert_eq!(side.kernel().confirm_connect(socket, to), Ok(()));
    let mut backend = side.accepted();
    close(side, socket);
    assert_eq!(side.read(&mut backend, 1), Read::Fin);
}

fn is_refused(side: &mut impl Side) {
    let to = side.refusing();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    assert_eq!(completes(side, CONNECT).result, Err(Errno::CONNREFUSED));
    close(side, socket);
}

fn gives_a_connect_up(side: &mut impl Side) {
    let to = side.silent();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(CONNECT) }, token(CANCEL));
    let ended = both_complete(side, CONNECT, CANCEL);
    assert_eq!(ended[0].result, Err(Errno::CANCELED));
    close(side, socket);
}

fn receives_until_the_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    receive(side, socket, LIMIT);
    nothing_completes(side);
    side.send(&mut client, 5);
    let first = completes(side, RECEIVE);
    assert_eq!((first.result, first.more), (Ok(5), true));
    give_back(side, &first);
    side.send(&mut client, 7);
    let second = completes(side, RECEIVE);
    assert_eq!((second.result, second.more), (Ok(7), true));
    give_back(side, &second);
    side.finish(&mut client);
    let last = completes(side, RECEIVE);
    assert_eq!((last.result, last.more, last.buffer), (Ok(0), false, None));
    // The end stays the end.
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
}

fn receives_up_to_a_limit(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    // A part that began below the limit may go beyond it.
    let limit = BUFFER_SIZE + 100;
    side.send(&mut client, 2 * BUFFER_SIZE + 50);
    receive(side, socket, limit);
    let mut received = 0;
    loop {
        let part = completes(side, RECEIVE);
        received += part.result.unwrap();
        give_back(side, &part);
        if !part.more {
            break;
        }
    }
    assert_eq!(received, 2 * BUFFER_SIZE);
    nothing_completes(side);
    receive(side, socket, limit);
    let rest = completes(side, RECEIVE);
    assert_eq!((rest.result, rest.more), (Ok(50), true));
    give_back(side, &rest);
    stop_receiving(side, socket);
}

fn receives_from_who_resets(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.send(&mut client, 5);
    side.reset(client);
    // What had arrived before is still there.
    receive(side, socket, LIMIT);
    let first = completes(side, RECEIVE);
    assert_eq!((first.result, first.more), (Ok(5), true));
    give_back(side, &first);
    let last = completes(side, RECEIVE);
    assert_eq!((last.result, last.more), (Err(Errno::CONNRESET), false));
    // It is said once.
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
}

fn receives_no_more_when_cancelled(side: &mut impl Side) {
    let (_client, socket) = connected(side);
    side.kernel().submit(Op::Receive { socket, limit: LIMIT, later: true }, token(RECEIVE));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    let ended = both_complete(side, RECEIVE, CANCEL);
    assert_eq!((ended[0].result, ended[0].more), (Err(Errno::CANCELED), false));
    assert!(ended[1].result.is_ok());
    close(side, socket);
}

fn has_no_buffer(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    receive(side, socket, LIMIT);
    let mut taken = Vec::new();
    while side.kernel().buffers_free() > 0 {
        side.send(&mut client, 1);
        let part = completes(side, RECEIVE);
        assert_eq!(part.result, Ok(1));
        taken.push(part);
        if !part.more {
            receive(side, socket, LIMIT);
        }
    }
    assert_eq!(taken.len(), usize::from(BUFFERS));
    side.send(&mut client, 1);
    let starved = completes(side, RECEIVE);
    assert_eq!((starved.result, starved.more, starved.buffer), (Err(Errno::NOBUFS), false, None));
    // A receive that looks at once is told so even if nothing is there; one that waits first is not.
    for part in taken.drain(..1) {
        give_back(side, &part);
    }
    receive(side, socket, LIMIT);
    let part = completes(side, RECEIVE);
    assert_eq!((part.result, part.more), (Ok(1), true));
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    both_complete(side, RECEIVE, CANCEL);
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Err(Errno::NOBUFS));
    side.kernel().submit(Op::Receive { socket, limit: LIMIT, later: true }, token(RECEIVE));
    nothing_completes(side);
    taken.push(part);
    for part in taken {
        give_back(side, &part);
    }
    stop_receiving(side, socket);
}

fn cancels_what_is_done(side: &mut impl Side) {
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
}

fn cancels_all(side: &mut impl Side) {
    let (_client, socket) = connected(side);
    fill(side, socket);
    receive(side, socket, LIMIT);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    // A wait for writability has another name in the kernel: only all can be cancelled.
    side.kernel().submit(Op::Cancel { target: token(POLL) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
    side.kernel().submit(Op::CancelAll { fd: socket }, token(CANCEL));
    let mut done = Vec::new();
    while done.len() < 3 {
        wait(side, &mut done);
    }
    let of = |kind| done.iter().find(|completion: &&Completion| completion.token == token(kind)).unwrap();
    assert_eq!(of(CANCEL).result, Ok(2));
    for kind in [RECEIVE, POLL] {
        assert_eq!((of(kind).result, of(kind).more), (Err(Errno::CANCELED), false));
    }
    close(side, socket);
}

fn polls_for_reading(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollReadable { socket }, token(POLL));
    nothing_completes(side);
    side.send(&mut client, 1);
    let readable = completes(side, POLL);
    assert!(readable.result.is_ok() && !readable.more);
    // It is there still.
    side.kernel().submit(Op::PollReadable { socket }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let (mut client, other) = connected(side);
    side.finish(&mut client);
    side.kernel().submit(Op::PollReadable { socket: other }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let (client, third) = connected(side);
    side.kernel().submit(Op::PollReadable { socket: third }, token(POLL));
    nothing_completes(side);
    side.reset(client);
    assert!(completes(side, POLL).result.is_ok());
    for socket in [socket, other, third] {
        close(side, socket);
    }
}

fn polls_for_writing(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    assert!(!completes(side, POLL).more);
    fill(side, socket);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    fill(side, socket);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    side.reset(client);
    assert!(!completes(side, POLL).more);
    close(side, socket);
}

fn polls_for_writing_past_a_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    fill(side, socket);
    side.finish(&mut client);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    // And when the FIN comes while it waits.
    let (mut client, other) = connected(side);
    fill(side, other);
    side.kernel().submit(Op::PollWritable { socket: other }, token(POLL));
    nothing_completes(side);
    side.finish(&mut client);
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    close(side, socket);
    close(side, other);
}

fn polls_for_a_reset(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    side.send(&mut client, 1);
    nothing_completes(side);
    side.finish(&mut client);
    nothing_completes(side);
    side.reset(client);
    assert!(!completes(side, POLL).more);
    // It is so still, also for who asks only now.
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    assert!(!completes(side, POLL).more);
    close(side, socket);

    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(POLL) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
    side.kernel().submit(Op::CancelAll { fd: socket }, token(CANCEL));
    let ended = both_complete(side, POLL, CANCEL);
    assert_eq!((ended[0].result, ended[0].more), (Err(Errno::CANCELED), false));
    close(side, socket);
}

fn sends_what_fits(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let sent = fill(side, socket);
    assert_eq!(read_all(side, &mut client), sent);
    assert_eq!(side.read(&mut client, 1), Read::Nothing);
    let sent = fill(side, socket);
    assert!(sent > 0);
    side.kernel().shutdown_write(socket).unwrap();
    assert_eq!(read_all(side, &mut client), sent);
    assert_eq!(side.read(&mut client, 1), Read::Fin);
    close(side, socket);
}

fn sends_to_who_reset(side: &mut impl Side) {
    let (client, socket) = connected(side);
    let buffer = buffer_of(side, 10);
    side.reset(client);
    let bytes = Bytes { buffer, start: 0, length: 10, more: false };
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::CONNRESET));
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    assert_eq!(side.kernel().shutdown_write(socket), Err(Errno::NOTCONN));
    close(side, socket);
    // After its FIN, the reset has another name.
    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.reset(client);
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
    side.kernel().give_back(buffer);
}

fn sends_a_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().shutdown_write(socket).unwrap();
    assert_eq!(side.read(&mut client, 1), Read::Fin);
    // The other direction lives.
    side.send(&mut client, 3);
    receive(side, socket, LIMIT);
    let part = completes(side, RECEIVE);
    assert_eq!(part.result, Ok(3));
    let bytes = Bytes { buffer: part.buffer.unwrap(), start: 0, length: 3, more: false };
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    give_back(side, &part);
    stop_receiving(side, socket);
}

fn resets_on_close(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().reset_on_close(socket);
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Reset);
}

fn resets_what_was_not_read(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.send(&mut client, 1);
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Reset);
}

fn splices(side: &mut impl Side) {
    let (mut client, from) = connected(side);
    let (mut backend, to) = connected(side);
    let pipe = side.kernel().open_pipe().unwrap();
    let kernel = side.kernel();
    assert_eq!(kernel.splice(from, pipe.write, pipe.capacity), Err(Errno::AGAIN));
    assert_eq!(kernel.splice(pipe.read, to, 10), Err(Errno::AGAIN));
    side.send(&mut client, 1000);
    assert_eq!(side.kernel().splice(from, pipe.write, 600), Ok(600));
    assert_eq!(side.kernel().splice(from, pipe.write, 600), Ok(400));
    assert_eq!(side.kernel().splice(pipe.read, to, 1000), Ok(1000));
    assert_eq!(side.read(&mut backend, 2000), Read::Bytes(1000));
    side.finish(&mut client);
    assert_eq!(side.kernel().splice(from, pipe.write, 10), Ok(0));
    side.send(&mut backend, 1);
    assert_eq!(side.kernel().splice(to, pipe.write, 10), Ok(1));
    side.reset(backend);
    assert_eq!(side.kernel().splice(to, pipe.write, 10), Err(Errno::CONNRESET));
    assert_eq!(side.kernel().splice(pipe.read, to, 1), Err(Errno::PIPE));
    for fd in [from, to, pipe.read, pipe.write] {
        close(side, fd);
    }
}

fn splices_until_the_pipe_is_full(side: &mut impl Side) {
    let (mut client, from) = connected(side);
    let (mut backend, to) = connected(side);
    let pipe = side.kernel().open_pipe().unwrap();
    // A socket may hold less than a pipe; and a pipe more than it was sized for, if it came in large pieces.
    let mut filled = 0;
    loop {
        side.send(&mut client, 16 * 1024);
        match side.kernel().splice(from, pipe.write, pipe.capacity) {
            Ok(length) => filled += length,
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                break;
            }
        }
    }
    assert!(filled >= pipe.capacity / 2);
    let mut moved = 0;
    while moved < filled {
        moved += side.kernel().splice(pipe.read, to, filled).unwrap();
        read_all(side, &mut backend);
    }
    assert!(side.kernel().splice(from, pipe.write, pipe.capacity).is_ok());
    for fd in [from, to, pipe.read, pipe.write] {
        close(side, fd);
    }
}

fn a_waker_ends_a_wait(side: &mut impl Side) {
    side.wake();
    let mut done = Vec::new();
    side.kernel().wait(None, &mut done).unwrap();
    assert_eq!(done, []);
    // It ended one wait.
    nothing_completes(side);
}

fn a_deadline_ends_a_wait(side: &mut impl Side) {
    let deadline = side.kernel().now() + Duration::from_millis(20);
    let mut done = Vec::new();
    side.kernel().wait(Some(deadline), &mut done).unwrap();
    assert_eq!(done, []);
    assert!(side.kernel().now() >= deadline);
}

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

/// A client, and the socket that it was accepted as.
fn connected<S: Side>(side: &mut S) -> (S::Peer, Fd) {
    let (address, listener) = side.listen();
    let client = side.connect(address);
    let socket = side.kernel().accept_now(listener).unwrap();
    (client, socket)
}

fn open(side: &mut impl Side, to: SocketAddr) -> Fd {
    side.kernel().open(&ConnectOptions { to, source: None, hold_ack: false }).unwrap()
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

/// A buffer with so many bytes in it.
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

/// Sends until the socket takes no more; says how much it took.
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
                let bytes = Bytes { buffer, start, length: length - start, more: false };
                match side.kernel().send(socket, bytes) {
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
    // So that a script that waits for what never comes fails.
    let deadline = side.kernel().now() + Duration::from_secs(10);
    let before = done.len();
    side.kernel().wait(Some(deadline), done).unwrap();
    assert!(done.len() > before || side.kernel().now() < deadline, "nothing completes; so far {done:?}");
}

/// The next completion, which is this operation's.
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

/// The last completions of two operations, in whatever order.
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
        // Once to hand over, once more for what the first found.
        for _ in 0..2 {
            let now = side.kernel().now();
            side.kernel().wait(Some(now), pending).unwrap();
        }
        assert_eq!(pending[..], [], "nothing was to complete");
    });
}

thread_local! {
    /// What completed together with what was waited for. A test is a thread.
    static PENDING: std::cell::RefCell<Vec<Completion>> = const { std::cell::RefCell::new(Vec::new()) };
}

struct Simulated {
    stage: Stage,
    kernel: Kernel,
    listening: Vec<Arc<Sockets>>,
}

impl Simulated {
    fn new() -> Self {
        let stage = Stage::new(1, BUFFERS);
        Self { kernel: stage.kernel(), stage, listening: Vec::new() }
    }
}

impl Side for Simulated {
    type Kernel = Kernel;
    type Peer = sim::Peer;

    fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn listen(&mut self) -> (SocketAddr, Fd) {
        let (address, sockets) = self.stage.listen();
        let fd = Fd(sockets.get(0).as_raw_fd());
        self.listening.push(sockets);
        (address, fd)
    }

    fn stop_listening(&mut self) {
        let last = self.listening.last().expect("it listens");
        self.stage.stop_listening(last);
        self.stage.pass(Duration::ZERO);
    }

    fn connect(&mut self, to: SocketAddr) -> sim::Peer {
        self.stage.connect(to)
    }

    fn serving(&mut self) -> SocketAddr {
        self.stage.serving()
    }

    fn refusing(&mut self) -> SocketAddr {
        self.stage.refusing()
    }

    fn silent(&mut self) -> SocketAddr {
        self.stage.silent()
    }

    fn accepted(&mut self) -> sim::Peer {
        self.stage.accepted().expect("it connected")
    }

    fn send(&mut self, peer: &mut sim::Peer, length: u32) {
        peer.send(length);
    }

    fn finish(&mut self, peer: &mut sim::Peer) {
        peer.finish();
    }

    fn reset(&mut self, peer: sim::Peer) {
        peer.reset();
        self.stage.pass(Duration::ZERO);
    }

    fn read(&mut self, peer: &mut sim::Peer, most: u32) -> Read {
        self.stage.pass(Duration::ZERO);
        peer.read(most)
    }

    fn wake(&mut self) {
        self.stage.wakers()[0].wake();
        self.stage.notice_wakes();
    }
}

struct Real {
    ring: Ring,
    wakers: Arc<[Waker]>,
    listening: Vec<TcpListener>,
    serving: Option<TcpListener>,
    /// Connections that fill the queue of who does not answer.
    queued: Vec<TcpStream>,
}

impl Real {
    fn new() -> Self {
        let wakers: Arc<[Waker]> = Arc::new([Waker::new().unwrap()]);
        let ring = Ring::new(BUFFERS.into(), Arc::clone(&wakers), 0).unwrap();
        Self { ring, wakers, listening: Vec::new(), serving: None, queued: Vec::new() }
    }
}

fn listener(backlog: u32) -> TcpListener {
    let keepalive =
        SocketKeepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    listen(ListenOptions { address, backlog, freebind: false, v6only: false, keepalive }).unwrap().into()
}

impl Side for Real {
    type Kernel = Ring;
    type Peer = TcpStream;

    fn kernel(&mut self) -> &mut Ring {
        &mut self.ring
    }

    fn listen(&mut self) -> (SocketAddr, Fd) {
        let listener = listener(16);
        let made = (listener.local_addr().unwrap(), Fd(listener.as_raw_fd()));
        self.listening.push(listener);
        made
    }

    fn stop_listening(&mut self) {
        let last = self.listening.last().unwrap();
        socket2::SockRef::from(last).shutdown(Shutdown::Both).unwrap();
    }

    fn connect(&mut self, to: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(to).unwrap();
        client.set_nonblocking(true).unwrap();
        client
    }

    fn serving(&mut self) -> SocketAddr {
        self.serving.insert(listener(16)).local_addr().unwrap()
    }

    fn refusing(&mut self) -> SocketAddr {
        listener(1).local_addr().unwrap()
    }

    fn silent(&mut self) -> SocketAddr {
        // A queue for none holds one; Linux drops who comes then.
        let silent = listener(0);
        let address = silent.local_addr().unwrap();
        self.queued.push(TcpStream::connect(address).unwrap());
        self.listening.push(silent);
        address
    }

    fn accepted(&mut self) -> TcpStream {
        let (backend, _) = self.serving.as_ref().unwrap().accept().unwrap();
        backend.set_nonblocking(true).unwrap();
        backend
    }

    fn send(&mut self, peer: &mut TcpStream, length: u32) {
        peer.set_nonblocking(false).unwrap();
        peer.write_all(&vec![b'x'; length as usize]).unwrap();
        peer.set_nonblocking(true).unwrap();
    }

    fn finish(&mut self, peer: &mut TcpStream) {
        peer.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(&mut self, peer: TcpStream) {
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn read(&mut self, peer: &mut TcpStream, most: u32) -> Read {
        let mut bytes = vec![0; most as usize];
        match peer.read(&mut bytes) {
            Ok(0) => Read::Fin,
            Ok(length) => Read::Bytes(u32::try_from(length).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read::Nothing,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                Read::Reset
            }
        }
    }

    fn wake(&mut self) {
        self.wakers[0].wake();
    }
}
