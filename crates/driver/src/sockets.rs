//! Plain sockets, without a ring: those that listen, those that connect, and the options that both live with.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::socket_error;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// What a listening socket is made with.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Length of its queue; the kernel clips it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether the address may be one that this host does not hold (`IP_FREEBIND`).
    pub freebind: bool,
    /// Whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`).
    pub v6only: bool,
    /// Keepalive of the sockets accepted from it.
    pub keepalive: SocketKeepalive,
}

/// TCP keepalive of a socket, tcp(7); times in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKeepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u8,
}

/// What a socket to connect with is made with.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// The address that it will connect to; decides the family.
    pub to: SocketAddr,
    /// The address to connect from; none lets the kernel choose.
    pub source: Option<IpAddr>,
    /// Whether the last ACK of the handshake waits for the first bytes sent, or for
    /// [`Driver::release_ack`](crate::Driver::release_ack); the kernel waits 200 ms at most.
    pub hold_ack: bool,
}

/// A socket that listens at `options.address`, one of a `SO_REUSEPORT` group: call it once per worker.
///
/// What is set here, accepted sockets inherit (`TCP_NODELAY`, keepalive: tcp(7)), so that accepting costs
/// no further system call.
///
/// # Errors
///
/// What socket(2), setsockopt(2), bind(2) or listen(2) say: most often `EADDRINUSE`, `EADDRNOTAVAIL` (an address
/// that this host does not hold) or `EACCES` (a port below `net.ipv4.ip_unprivileged_port_start`).
pub fn listen(options: ListenOptions) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(options.address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(options.v6only)?;
    }
    if options.freebind {
        // The IPv4 option serves IPv6 sockets too, ip(7).
        socket.set_freebind_v4(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    set_keepalive(&SockRef::from(&socket), options.keepalive)?;
    socket.bind(&options.address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Makes a listening socket of another process's what [`listen`] makes, as far as it can still be changed: all but its
/// address, and what the address was bound with.
///
/// # Errors
///
/// What fcntl(2), setsockopt(2) or listen(2) say: `EINVAL` for a socket that is connected.
pub fn inherit(socket: impl AsFd, options: ListenOptions) -> io::Result<()> {
    let fd = socket.as_fd();
    let socket = SockRef::from(&fd);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    relisten(fd, options.backlog, options.keepalive)
}

/// Gives a listening socket another `backlog` and other keepalive times while it listens.
///
/// # Errors
///
/// What listen(2) or setsockopt(2) say; neither is expected on a socket from [`listen`].
pub fn relisten(socket: impl AsFd, backlog: u32, keepalive: SocketKeepalive) -> io::Result<()> {
    let socket = socket.as_fd();
    let socket = SockRef::from(&socket);
    set_keepalive(&socket, keepalive)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Whether a connect that succeeded, so the kernel says, did connect;
/// [`Driver::confirm_connect`](crate::Driver::confirm_connect).
pub(crate) fn confirm(fd: BorrowedFd<'_>, options: &ConnectOptions) -> Result<(), Errno> {
    let socket = SockRef::from(&fd);
    let Ok(peer) = socket.peer_addr() else { return confirm_without_peer(fd) };
    // One that connects from another address cannot meet itself. For others this is a call that takes a hundredth of
    // what the connection costs: which addresses are this host's, and which ports it connects from, can change at any
    // time.
    let to = peer.as_socket().unwrap_or(options.to);
    let from_elsewhere = options.source.is_some_and(|source| source.to_canonical() != to.ip().to_canonical());
    if from_elsewhere || !is_its_own_peer(fd, to).unwrap_or(false) {
        return Ok(());
    }
    // Closed, it would keep the port of the server that is to listen there in TIME_WAIT.
    let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
    Err(Errno::CONNREFUSED)
}

/// Whether a connected socket is its own peer: where nothing listens at an address of this host, the kernel may
/// pick the very port that is connected to for the socket's own, which is a simultaneous open to TCP. `peer` is the
/// address of its peer; addresses of IPv6 are compared without scope and flow.
///
/// # Errors
///
/// What getsockname(2) says.
pub fn is_its_own_peer(socket: impl AsFd, peer: SocketAddr) -> io::Result<bool> {
    let socket = socket.as_fd();
    let local = SockRef::from(&socket).local_addr()?.as_socket();
    Ok(local.is_some_and(|local| (local.ip(), local.port()) == (peer.ip(), peer.port())))
}

/// Whether a socket whose connect succeeded, so the kernel says, was connected, now that it has no peer.
///
/// An ICMP error that comes while the SYN is on its way out, as from a local firewall, wakes the connect of
/// io_uring; it finds the error nowhere, and succeeds (seen on Linux 6.18), while TCP goes on repeating the SYN.
fn confirm_without_peer(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut polled = [PollFd::new(&socket, PollFlags::empty())];
    let ended =
        poll(&mut polled, Some(&Timespec::default())).is_ok() && polled[0].revents().contains(PollFlags::HUP);
    if ended {
        // It was connected and has ended already; a receive tells how.
        return Ok(());
    }
    socket_error(socket)?.and(Err(Errno::HOSTUNREACH))
}

/// How long ago the kernel last sent bytes; [`Driver::taken_ago`](crate::Driver::taken_ago).
pub(crate) fn taken_ago(socket: BorrowedFd<'_>) -> Option<Duration> {
    let info = tcp_info(socket)?;
    // Bytes that are sent again may not have arrived. Probes of a window that is shut carry none.
    (info.tcpi_retransmits == 0).then(|| Duration::from_millis(info.tcpi_last_data_sent.into()))
}

/// Reads what has arrived, and throws it away; [`Driver::discard_received`](crate::Driver::discard_received).
pub(crate) fn discard_received(socket: BorrowedFd<'_>) {
    // For TCP, MSG_TRUNC means not to copy, tcp(7).
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let mut untouched = [0; 16 * 1024];
    for _ in 0..DISCARDED_MAX / untouched.len() {
        match rustix::net::recv(socket, &mut untouched, flags) {
            Ok((_, 1..)) | Err(Errno::INTR) => {}
            Ok((_, 0)) | Err(_) => return,
        }
    }
}

/// How much is thrown away at most: more than a socket holds (`net.ipv4.tcp_rmem`: 6 MiB).
const DISCARDED_MAX: usize = 8 * 1024 * 1024;

pub(crate) fn set_keepalive(socket: &SockRef<'_>, keepalive: SocketKeepalive) -> io::Result<()> {
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(keepalive.idle)
            .with_interval(keepalive.interval)
            .with_retries(u32::from(keepalive.probes)),
    )
}

/// A socket to connect with, not connected yet; non-blocking.
///
/// # Errors
///
/// What socket(2), setsockopt(2) or bind(2) say: no descriptor is left, or the host does not have the source address.
pub fn open(options: &ConnectOptions) -> Result<OwnedFd, Errno> {
    let open = || {
        let domain = Domain::for_address(options.to);
        let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if options.hold_ack {
            // It lasts for the handshake: after that the kernel acknowledges at once again, for a while, tcp(7).
            socket.set_tcp_quickack(false)?;
        }
        if let Some(source) = options.source {
            // The port is chosen at connect, where it need be free only towards one destination, ip(7).
            set_bind_address_no_port(&socket)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        Ok(socket.into())
    };
    open().map_err(|error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Takes so many bytes and throws them away; [`Driver::skip`](crate::Driver::skip).
pub(crate) fn skip(socket: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    let mut left = bytes as usize;
    let mut untouched = [0; 4096];
    while left > 0 {
        let part = &mut untouched[..left.min(4096)];
        match rustix::net::recv(socket, part, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, 0)) => return Err(Errno::AGAIN),
            Ok((_, taken)) => left -= taken,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// How many bytes make a socket readable; [`Driver::low_water`](crate::Driver::low_water).
pub(crate) fn set_low_water(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set_option(socket, (libc::SOL_SOCKET, libc::SO_RCVLOWAT), bytes.cast_signed())
}

/// What the socket sends from now on ends at the first router;
/// [`Driver::stay_in_network`](crate::Driver::stay_in_network).
pub(crate) fn stay_in_network(socket: BorrowedFd<'_>) {
    // A socket has one of the two, and one of IPv6 that carries IPv4 has both.
    let _ = rustix::net::sockopt::set_ip_ttl(socket, 1);
    let _ = rustix::net::sockopt::set_ipv6_unicast_hops(socket, Some(1));
}

/// `IP_BIND_ADDRESS_NO_PORT`; it serves IPv6 sockets too.
fn set_bind_address_no_port(socket: &Socket) -> io::Result<()> {
    set_option(socket.as_fd(), (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT), 1)
}

/// An option that neither socket2 nor rustix offers, by its level and name.
fn set_option(
    socket: BorrowedFd<'_>,
    (level, name): (libc::c_int, libc::c_int),
    value: libc::c_int,
) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "an int has 4 bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the options' values are a C int, read during the call only.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), LENGTH) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `TCP_INFO`, which neither socket2 nor rustix offers.
fn tcp_info(socket: BorrowedFd<'_>) -> Option<libc::tcp_info> {
    #[expect(clippy::cast_possible_truncation, reason = "it has a few hundred bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::tcp_info>() as libc::socklen_t;
    let mut length = LENGTH;
    // SAFETY: the struct is nothing but integers, so zeroes are one; the kernel writes `length` bytes of it at most,
    // during the call only.
    unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let answer = libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        );
        (answer == 0).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::is_its_own_peer;

    #[test]
    fn a_socket_connected_to_itself_is_its_own_peer() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.bind(&address.into()).unwrap();
            let own = socket.local_addr().unwrap();
            socket.connect(&own).unwrap();
            assert!(is_its_own_peer(&socket, own.as_socket().unwrap()).unwrap(), "{address}");
        }
    }

    #[test]
    fn a_socket_connected_to_a_server_is_not_its_own_peer() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        assert!(!is_its_own_peer(&socket, socket.peer_addr().unwrap()).unwrap());
    }
}
