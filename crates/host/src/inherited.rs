//! Socket activation: listening sockets that systemd passes, `sd_listen_fds(3)`, matched to listeners by address.
//!
//! All workers accept from one such socket, each through a duplicated descriptor. Adding `SO_REUSEPORT` sockets
//! of this process to it would lose, at each restart, the clients in the backlogs of those sockets, and is
//! permitted only to the user that created the first one. The kernel distributes clients between workers; the
//! balancer of workers evens this out.
//!
//! The socket belongs to systemd: it is never shut down, so clients that connect during a restart wait for the
//! next process. It stays open for the lifetime of the process, because a listener that one reload removes and
//! another adds back could not bind the address otherwise.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use config::Config;
use driver::{ListenGroup, ListenOptions, Owner};
use listenfd::ListenFd;
use rustix::net::sockopt;

/// The listening sockets that systemd passed.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes the sockets that the environment names for this process. Anything but a listening TCP socket is closed.
    pub fn from_environment() -> Self {
        let own = std::process::id().to_string();
        // If the variables were meant for another process, the numbers would refer to unrelated descriptors.
        if std::env::var("LISTEN_PID").ok() != Some(own) {
            return Self::default();
        }
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).filter_map(|index| match take(&mut passed, index) {
            Ok(socket) => Some(socket),
            Err(error) => {
                log::warn!("descriptor {index} passed by systemd is not used: {error}");
                None
            }
        });
        Self(sockets.collect())
    }

    /// Their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// The listen group at the address of `options`, with one descriptor for each worker; `None` if no socket was
    /// passed for it.
    ///
    /// # Errors
    ///
    /// There are more sockets than workers, so clients of the rest would never be accepted; or a socket does not
    /// listen.
    pub fn at(&self, options: ListenOptions, workers: usize) -> io::Result<Option<ListenGroup>> {
        let at_address = self.0.iter().filter(|(address, _)| *address == options.address);
        let passed: Vec<&TcpListener> = at_address.map(|(_, socket)| socket).collect();
        if passed.is_empty() {
            return Ok(None);
        }
        if passed.len() > workers {
            return Err(io::Error::other(format!(
                "systemd passes {} sockets for {workers} workers: the rest would never be accepted from",
                passed.len()
            )));
        }
        if options.address.is_ipv6() && sockopt::ipv6_v6only(passed[0])? != options.v6only {
            log::warn!(
                "{}: `BindIPv6Only=` in the socket unit decides whether it accepts IPv4; `v6only` has no effect",
                options.address
            );
        }
        let mut sockets = Vec::with_capacity(workers);
        for worker in 0..workers {
            let socket: OwnedFd = passed[worker % passed.len()].try_clone()?.into();
            driver::inherit(&socket, options)?;
            sockets.push(socket);
        }
        log::info!("{}: {} passed by systemd", options.address, config::counted(passed.len(), "socket"));
        Ok(Some(ListenGroup::new(sockets, Owner::Systemd)))
    }

    /// Warns of sockets that no listener uses.
    pub fn warn_of_unused(&self, config: &Config) {
        let is_used = |address| config.listen_addresses().any(|(_, listened)| listened == address);
        for address in self.addresses().filter(|address| !is_used(*address)) {
            log::warn!(
                "systemd passes a socket at {address}, which no listener uses; \
                 its clients wait until a listener has this address, or until the socket unit stops"
            );
        }
    }
}

/// Takes the socket with this index, and its address.
fn take(passed: &mut ListenFd, index: usize) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = match passed.take_tcp_listener(index) {
        Ok(socket) => socket.ok_or_else(|| io::Error::other("it was already taken"))?,
        Err(error) => {
            // Taking it as another kind of socket closes it.
            let _ = (
                passed.take_unix_listener(index),
                passed.take_unix_datagram(index),
                passed.take_udp_socket(index),
            );
            return Err(error);
        }
    };
    Ok((socket.local_addr()?, socket))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use driver::{ListenOptions, Owner, SocketKeepalive};

    use super::Inherited;

    #[test]
    fn all_workers_share_one_socket() {
        let (inherited, address) = inherited(1);
        let sockets = inherited.at(options(address), 3).unwrap().unwrap();
        assert_eq!(sockets.iter().len(), 3);
        assert_eq!(sockets.owner(), Owner::Systemd);
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        for socket in sockets.iter() {
            rustix::net::accept(socket).unwrap();
        }
        // They do not block: every client was accepted once.
        assert_eq!(rustix::net::accept(sockets.get(0)).unwrap_err(), rustix::io::Errno::AGAIN);
    }

    #[test]
    fn a_listener_that_is_added_back_gets_its_socket_again() {
        let (inherited, address) = inherited(1);
        for _ in 0..2 {
            let sockets = inherited.at(options(address), 1).unwrap().unwrap();
            let _client = TcpStream::connect(address).unwrap();
            rustix::net::accept(sockets.get(0)).unwrap();
        }
    }

    #[test]
    fn sockets_are_matched_by_address() {
        let (inherited, address) = inherited(1);
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(inherited.at(options(other), 2).unwrap().is_none());
        assert_eq!(inherited.addresses().collect::<Vec<_>>(), [address]);
    }

    #[test]
    fn more_sockets_than_workers_are_refused() {
        let (mut one, address) = inherited(1);
        let copy = one.0[0].1.try_clone().unwrap();
        one.0.push((address, copy));
        assert!(one.at(options(address), 1).unwrap_err().to_string().contains("2 sockets for 1 workers"));
    }

    fn inherited(number: usize) -> (Inherited, SocketAddr) {
        let sockets: Vec<_> = (0..number).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = sockets[0].local_addr().unwrap();
        (Inherited(sockets.into_iter().map(|socket| (address, socket)).collect()), address)
    }

    fn options(address: SocketAddr) -> ListenOptions {
        let second = Duration::from_secs(1);
        let keepalive = SocketKeepalive { idle: second, interval: second, probes: 1 };
        ListenOptions { address, backlog: 16, freebind: false, v6only: false, keepalive }
    }
}
