//! Both ends of a connection, scripted: backends with behaviour chosen by the test, and clients that may misbehave.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, SockRef, Socket, Type};

use crate::keyed;
use crate::place::{PATIENCE, SILENCE};
use crate::setup::{Target, target};

/// A backend that runs a script for each connection, on a separate thread.
pub(crate) struct Backend {
    target: Target,
    listener: Arc<TcpListener>,
    accepted: Arc<AtomicUsize>,
    acceptor: Option<JoinHandle<()>>,
}

impl Backend {
    /// Runs `script` for every connection to `port` of this process's address.
    pub(crate) fn scripted(name: &str, port: u16, script: impl Fn(Peer) + Clone + Send + 'static) -> Self {
        Self::at(target(name, port), script)
    }

    /// The same at any address.
    pub(crate) fn at(target: Target, script: impl Fn(Peer) + Clone + Send + 'static) -> Self {
        let listener = Arc::new(listen(target.address));
        let accepted = Arc::new(AtomicUsize::new(0));
        let acceptor = thread::spawn({
            let (listener, accepted) = (Arc::clone(&listener), Arc::clone(&accepted));
            move || {
                // Ends when `drop` shuts the listener down.
                while let Ok((stream, _)) = listener.accept() {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let script = script.clone();
                    let small = thread::Builder::new().stack_size(256 * 1024);
                    small.spawn(move || script(Peer::over(stream))).unwrap();
                }
            }
        });
        Self { target, listener, accepted, acceptor: Some(acceptor) }
    }

    /// Sends its name in a line and continues as an echo.
    pub(crate) fn named(name: &str, port: u16) -> Self {
        Self::named_at(target(name, port))
    }

    /// The same at any address.
    pub(crate) fn named_at(target: Target) -> Self {
        let greeting = format!("{}\n", target.name);
        Self::at(target, move |mut peer| {
            // A client that has already left is ignored.
            let _ = peer.0.write_all(greeting.as_bytes()).and_then(|()| peer.echo());
        })
    }

    /// Sends back what it receives.
    pub(crate) fn echo(port: u16) -> Self {
        Self::scripted("echo", port, |mut peer| drop(peer.echo()))
    }

    /// Sends the stream `key` without end.
    pub(crate) fn source(port: u16, key: u64) -> Self {
        Self::scripted("source", port, move |peer| drop(keyed::write(&peer.0, key, usize::MAX)))
    }

    /// Reads everything and sends nothing, not even a FIN.
    pub(crate) fn mute(port: u16) -> Self {
        Self::scripted("mute", port, |peer| {
            let _ = io::copy(&mut &peer.0, &mut io::sink());
            peer.wait_cut();
        })
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    /// The number of accepted connections.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// A listening socket with a long accept queue.
pub(crate) fn listen(address: SocketAddr) -> TcpListener {
    listen_with_backlog(address, 4096)
}

/// A listening socket with an accept queue of this length.
pub(crate) fn listen_with_backlog(address: SocketAddr, backlog: i32) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.listen(backlog).unwrap();
    socket.into()
}

/// Accepts one connection, within patience.
#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> Peer {
    SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
    Peer::over(listener.accept().expect("a connection comes").0)
}

/// A port without a listener: connections to it are refused.
pub(crate) fn refusing(name: &str, port: u16) -> Target {
    target(name, port)
}

/// A backend that does not answer: its accept queue is full, and the kernel drops further SYNs.
pub(crate) struct Unanswering {
    target: Target,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Unanswering {
    pub(crate) fn new(name: &str, port: u16) -> Self {
        let target = target(name, port);
        let listener = listen_with_backlog(target.address, 0);
        let mut queued = Vec::new();
        // The first without an answer proves that the queue is full.
        while let Ok(stream) = TcpStream::connect_timeout(&target.address, SILENCE) {
            queued.push(stream);
        }
        Self { target, _listener: listener, _queued: queued }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }
}

/// A client of the balancer.
pub(crate) type Client = Peer;

/// One end of a connection, with blocking calls that fail when patience runs out.
pub(crate) struct Peer(pub(crate) TcpStream);

/// How the other side ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a FIN.
    Finished,
    /// With a RST.
    Reset,
}

impl Peer {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE);
        Self::over(stream.unwrap_or_else(|error| panic!("connecting to {address}: {error}")))
    }

    /// A client with this address of the host. One that is refused may be reset before it knows that it is connected.
    pub(crate) fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&to.into())?;
        Ok(Self::over(socket.into()))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// The address of its own end.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_all(bytes).unwrap();
        self
    }

    /// Sends the stream `key` until no more fits on the way to a peer that does not read, or `limit` bytes are
    /// sent; returns the count.
    #[track_caller]
    pub(crate) fn stuff(&self, key: u64, limit: usize) -> usize {
        let mut sent = 0;
        while sent < limit && self.polled(PollFlags::OUT, SILENCE) {
            sent += self.send_now(key, sent, limit.min(sent + 64 * 1024));
        }
        sent
    }

    /// Sends the stream `key` from one position to another, as far as its socket accepts it now; returns the count.
    #[track_caller]
    pub(crate) fn send_now(&self, key: u64, from: usize, to: usize) -> usize {
        let mut bytes = vec![0; to - from];
        keyed::fill(key, from, &mut bytes);
        match send(&self.0, &bytes, SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(errno) => panic!("after {from} bytes: {errno}"),
        }
    }

    /// Reads the stream `key` from one position to another, as far as it has arrived, checks it, and returns the
    /// count.
    #[track_caller]
    pub(crate) fn receive_now(&self, key: u64, from: usize, to: usize) -> usize {
        let mut bytes = vec![0; to - from];
        match recv(&self.0, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((_, 0)) if to > from => panic!("the end after {from} bytes, {to} expected"),
            Ok((_, now)) => {
                keyed::check(key, from, &bytes[..now]);
                now
            }
            Err(Errno::AGAIN) => 0,
            Err(errno) => panic!("after {from} bytes: {errno}"),
        }
    }

    /// The row of `/proc/net/tcp` (proc(5)) of the socket at the other end. Both addresses tell it: a socket of an
    /// earlier test in TIME-WAIT may have had the same port on this side.
    pub(crate) fn row_of_other_end(&self) -> Option<Vec<String>> {
        let hex = |address: SocketAddr| {
            let SocketAddr::V4(address) = address else { panic!("an IPv4 address") };
            format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port())
        };
        let ends = [hex(self.0.peer_addr().unwrap()), hex(self.0.local_addr().unwrap())];
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows =
            sockets.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.find(|row| row.get(1..3).is_some_and(|found| found == ends))
    }

    /// Ends its own direction; the other one continues.
    pub(crate) fn finish(&mut self) -> &mut Self {
        self.0.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Closes with a RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{length} bytes expected: {error}"));
        bytes
    }

    /// One line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.try_line().unwrap_or_else(|error| panic!("a line expected: {error}"))
    }

    /// The same for a connection that may fail.
    pub(crate) fn try_line(&mut self) -> io::Result<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        loop {
            self.0.read_exact(&mut byte)?;
            match byte {
                [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
                [byte] => line.push(byte),
            }
        }
    }

    /// Everything that still arrives, up to a FIN.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// How the other side ends, if nothing arrives before that.
    #[track_caller]
    pub(crate) fn end(&mut self) -> End {
        match self.0.read(&mut [0]) {
            Ok(0) => End::Finished,
            Ok(_) => panic!("data instead of an end"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error} instead of an end"),
        }
    }

    /// Waits until the connection is over in both directions, without reading or sending.
    pub(crate) fn wait_cut(&self) -> bool {
        // Without requested events, poll(2) still reports an error and the end of both directions.
        self.polled(PollFlags::empty(), PATIENCE)
    }

    fn polled(&self, events: PollFlags, patience: Duration) -> bool {
        let timeout = Timespec::try_from(patience).unwrap();
        poll(&mut [PollFd::new(&self.0, events)], Some(&timeout)).unwrap() == 1
    }

    /// Whether nothing arrives for a while: neither a byte nor an end.
    pub(crate) fn silent(&self) -> bool {
        !self.polled(PollFlags::IN, SILENCE)
    }

    /// Whether a byte or an end can be read.
    pub(crate) fn heard(&self) -> bool {
        // Not peek(2), which would consume a reset before the next read.
        self.polled(PollFlags::IN, Duration::ZERO)
    }

    /// Sends `bytes` and asserts that they come back.
    #[track_caller]
    pub(crate) fn echoes(&mut self, bytes: &[u8]) {
        self.send(bytes);
        assert_eq!(self.receive(bytes.len()), bytes);
    }

    /// Sends bytes to an echo and receives them, unless the connection ends.
    pub(crate) fn try_echo(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.read_exact(&mut vec![0; bytes.len()])
    }

    /// Sends back what it receives up to the end, then finishes.
    pub(crate) fn echo(&mut self) -> io::Result<()> {
        self.0.set_read_timeout(None)?;
        io::copy(&mut &self.0, &mut &self.0)?;
        self.0.shutdown(Shutdown::Write)
    }
}
