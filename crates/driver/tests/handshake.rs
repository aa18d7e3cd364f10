//! What io_uring promises of the handshake with a backend, on the real kernel.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use driver::{BufferId, Bytes, ConnectOptions, Driver, Fd, Op, Token, Uring, Waker};

#[test]
fn an_ack_that_is_held_back_is_not_sent() {
    let mut peers = Peers::connected(true);
    assert!(!peers.is_accepted());
    peers.ring.release_ack(peers.socket);
    assert!(peers.is_accepted());
}

#[test]
fn an_ack_that_is_held_back_goes_with_the_first_bytes() {
    let mut peers = Peers::connected(true);
    let buffer = peers.received();
    assert!(!peers.is_accepted());
    let bytes = Bytes::Received { buffer, start: 0, length: 1 };
    assert_eq!(peers.ring.send(peers.socket, bytes, false), Ok(1));
    assert!(peers.is_accepted());
}

#[test]
fn an_ack_is_sent_at_once_unless_held_back() {
    assert!(Peers::connected(false).is_accepted());
}

/// A ring, and a socket of it that is connected to a listener as far as the ring can see.
struct Peers {
    ring: Uring,
    socket: Fd,
    listener: TcpListener,
}

impl Peers {
    fn connected(hold_ack: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let to = listener.local_addr().unwrap();
        let mut ring = Uring::new(1024, Arc::new([Waker::new().unwrap()]), 0).unwrap();
        let socket = ring.open(&ConnectOptions { to, source: None, hold_ack }).unwrap();
        ring.submit(Op::Connect { socket, to }, Token::new(0, 0, 0));
        let mut done = Vec::new();
        while done.is_empty() {
            ring.wait(None, &mut done).unwrap();
        }
        assert_eq!(done[0].result, Ok(0));
        Self { ring, socket, listener }
    }

    /// Whether the listener has its connection: it has once the last ACK of the handshake came, on loopback at once.
    fn is_accepted(&self) -> bool {
        match self.listener.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }

    /// A buffer with a byte in it, from elsewhere.
    fn received(&mut self) -> BufferId {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &theirs, b"x").unwrap();
        let socket = Fd(std::os::fd::AsRawFd::as_raw_fd(&ours));
        self.ring.submit(Op::Receive { socket, limit: 1, later: false }, Token::new(0, 0, 0));
        let mut done = Vec::new();
        while done.is_empty() {
            self.ring.wait(None, &mut done).unwrap();
        }
        done[0].buffer.unwrap()
    }
}
