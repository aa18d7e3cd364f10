//! The real kernel as a side of a script: a ring, and sockets on loopback.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Arc;
use std::time::Duration;

use driver::{Fd, ListenOptions, SocketKeepalive, Uring, Waker, listen};
use sim::Read;
use socket2::{Domain, Socket, Type};

use crate::{BUFFERS, Side};

pub(crate) struct Real {
    ring: Uring,
    wakers: Arc<[Waker]>,
    listening: Vec<TcpListener>,
    serving: Option<TcpListener>,
    /// Connections that fill the queue of a listener that does not answer.
    queued: Vec<TcpStream>,
}

impl Real {
    pub(crate) fn new() -> Self {
        let wakers: Arc<[Waker]> = Arc::new([Waker::new().unwrap()]);
        let ring = Uring::new(BUFFERS.into(), Arc::clone(&wakers), 0).unwrap();
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
    type Kernel = Uring;
    type Peer = TcpStream;

    fn kernel(&mut self) -> &mut Uring {
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
        // A queue for none holds one; Linux drops the ones after it.
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

    fn say(&mut self, peer: &mut TcpStream, bytes: &[u8]) {
        peer.set_nonblocking(false).unwrap();
        peer.write_all(bytes).unwrap();
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

    fn meeting_itself(&mut self) -> (SocketAddr, Fd) {
        // The kernel picks ports from a range that can change at any time; this one is mostly not in it.
        let [.., one, other] = std::process::id().to_be_bytes();
        let to = SocketAddr::from(([127, 77, one, other], 2000));
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        socket.bind(&to.into()).unwrap();
        (to, Fd(socket.into_raw_fd()))
    }

    fn wake(&mut self) {
        self.wakers[0].wake();
    }
}
