//! Listening sockets: one for each worker and listener, on addresses where no other process listens.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use config::Keepalive;
use driver::{ListenGroup, ListenOptions, Owner, SocketKeepalive, address_of};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use crate::bind_error::BindError;
use crate::inherited::Inherited;

/// Opens the listen groups of these listeners, with `inherited` sockets or new ones; all or none.
///
/// `held` are addresses where this process listens already; `http` is the address of the admin interface.
///
/// # Errors
///
/// An address is in use or cannot be bound.
#[expect(clippy::disallowed_methods, reason = "at start and at a reload, not on the data path")]
pub fn listen(
    listeners: &[(&str, ListenOptions)],
    workers: usize,
    held: &[SocketAddr],
    http: Option<SocketAddr>,
    inherited: &Inherited,
) -> Result<Vec<ListenGroup>, BindError> {
    let failure = |listener: &str, address, error: io::Error| {
        let in_use = error.kind() == io::ErrorKind::AddrInUse;
        let holder = if in_use { holder(address, http, inherited) } else { None };
        BindError { listener: listener.to_owned(), address, error, holder }
    };
    // All are probed before the first is bound, because a probe fails where another listener of this call is bound.
    let deadline = Instant::now() + IN_USE_TIMEOUT;
    let held: Vec<_> = inherited.addresses().chain(held.iter().copied()).collect();
    for &(listener, options) in listeners {
        if options.address.port() != 0 && !held.iter().any(|&other| overlap(options.address, other)) {
            probe_until(deadline, options).map_err(|error| failure(listener, options.address, error))?;
        }
    }
    let listen = |&(listener, options): &(&str, ListenOptions)| {
        let sockets = match inherited.at(options, workers) {
            Ok(Some(sockets)) => Ok(sockets),
            Ok(None) => listen_group(options, workers),
            Err(error) => Err(error),
        };
        sockets.map_err(|error| failure(listener, options.address, error))
    };
    listeners.iter().map(listen).collect()
}

/// The holder of an address in use, if it belongs to this process. It is never a listener: listeners share their
/// address.
fn holder(address: SocketAddr, http: Option<SocketAddr>, inherited: &Inherited) -> Option<String> {
    if let Some(http) = http.filter(|http| overlap(address, *http)) {
        return Some(format!("`admin.http` of this process, {http},"));
    }
    let passed = inherited.addresses().find(|passed| overlap(address, *passed))?;
    Some(format!("a socket at {passed} that systemd passes to this process"))
}

/// The options of the sockets of a listener at one of its addresses. `pool` is its own pool. Clients inherit its
/// keepalive, whichever pool a route takes them to: it is set before they send anything.
pub fn options(listener: &config::Listener, address: SocketAddr, pool: &config::Pool) -> ListenOptions {
    ListenOptions {
        address,
        backlog: listener.backlog,
        freebind: listener.freebind,
        v6only: listener.v6only,
        keepalive: keepalive(pool.keepalive),
    }
}

fn keepalive(keepalive: Keepalive) -> SocketKeepalive {
    let Keepalive { idle, interval, probes } = keepalive;
    SocketKeepalive { idle, interval, probes }
}

fn listen_group(mut options: ListenOptions, workers: usize) -> io::Result<ListenGroup> {
    let first = driver::listen(options)?;
    // With port 0 the kernel chooses a port, which the other workers share.
    options.address = address_of(&first)?;
    let rest = (1..workers).map(|_| driver::listen(options));
    Ok(ListenGroup::new(std::iter::once(Ok(first)).chain(rest).collect::<io::Result<_>>()?, Owner::Process))
}

/// Repeats the probe while the address is in use, until the deadline.
///
/// The kernel destroys a ring after its process has ended, and releases the listening sockets only then: for a
/// moment, the address of a killed rondel is still in use. No event signals the release.
#[expect(clippy::disallowed_methods, reason = "at start and at a reload, not on the data path")]
fn probe_until(deadline: Instant, options: ListenOptions) -> io::Result<()> {
    loop {
        match probe(options) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(PROBE_INTERVAL);
            }
            probed => return probed,
        }
    }
}

/// Fails if a socket listens on the address.
///
/// The sockets of a listen group share an address (`SO_REUSEPORT`), and the kernel lets every process of the same
/// user join: a second rondel would silently take half of the connections. A socket without that option may not
/// join, so its bind detects listening sockets. With `SO_REUSEADDR` it conflicts with nothing else: not with
/// established connections of an earlier process, nor with those in TIME-WAIT. Between the probe and the bind
/// another process may still join; the kernel has no means against that.
pub(crate) fn probe(options: ListenOptions) -> io::Result<()> {
    let family = match options.address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, options.v6only)?;
    }
    if options.freebind {
        sockopt::set_ip_freebind(&socket, true)?;
    }
    Ok(bind(&socket, &options.address)?)
}

/// Whether two addresses may conflict: the same port, and the same IP address or a wildcard that covers it.
///
/// A process may listen on a wildcard and on one address beside it, which the probe cannot tell from another
/// process. An IPv6 wildcard counts as covering IPv4 even with `v6only`: this skips a probe, but refuses no
/// address.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (ip_a, ip_b) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (ip_a == ip_b || covers(ip_a, ip_b) || covers(ip_b, ip_a))
}

fn covers(wildcard: IpAddr, other: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || other.is_ipv4())
}

/// How long an address may be in use before the bind fails.
const IN_USE_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval between probes of an address in use.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use driver::ListenGroup;
    use driver::{ListenOptions, SocketKeepalive};

    use super::overlap;
    use crate::bind_error::BindError;
    use crate::inherited::Inherited;

    fn listen(
        listeners: &[(&str, ListenOptions)],
        workers: usize,
        held: &[SocketAddr],
    ) -> Result<Vec<ListenGroup>, BindError> {
        super::listen(listeners, workers, held, None, &Inherited::default())
    }

    #[test]
    fn all_workers_share_the_port_chosen_for_port_0() {
        let sockets = listen(&[("web", options("127.0.0.1:0"))], 3, &[]).unwrap().remove(0);
        let bound = sockets.address().unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(sockets.iter().len(), 3);
        for socket in sockets.iter() {
            assert_eq!(super::address_of(socket).unwrap(), bound);
        }
    }

    #[test]
    fn a_port_of_another_process_is_not_joined() {
        // The other sockets have `SO_REUSEPORT`, as those of another rondel.
        let other = listen(&[("web", options("127.0.0.1:0"))], 1, &[]).unwrap().remove(0);
        let port = other.address().unwrap().port();
        for taken in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
            check_refused(&taken, io::ErrorKind::AddrInUse);
        }
        // Another address is free, and so is the port after the other socket is closed.
        assert!(listen(&[("web", options(&format!("127.0.0.2:{port}")))], 1, &[]).is_ok());
        drop(other);
        assert!(listen(&[("web", options(&format!("127.0.0.1:{port}")))], 1, &[]).is_ok());
    }

    #[test]
    fn a_wildcard_of_another_process_covers_every_address() {
        let other = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = other.local_addr().unwrap().port();
        check_refused(&format!("127.0.0.1:{port}"), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_of_the_admin_interface_is_named() {
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let _holds = TcpListener::bind(http).unwrap();
        let any = SocketAddr::from(([0, 0, 0, 0], http.port()));
        let refused =
            super::listen(&[("web", options(&any.to_string()))], 1, &[], Some(http), &Inherited::default());
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&format!("`admin.http` of this process, {http}, uses it")), "{text}");
        assert!(!text.contains("another process"), "{text}");
    }

    #[test]
    fn a_wildcard_and_an_address_of_this_process_coexist() {
        let ours = listen(&[("any", options("0.0.0.0:0"))], 1, &[]).unwrap().remove(0);
        let any = ours.address().unwrap();
        let beside = options(&format!("127.0.0.1:{}", any.port()));
        assert!(listen(&[("one", beside)], 2, &[any]).is_ok());
        // Both in one call.
        drop(ours);
        let any = options(&any.to_string());
        assert!(listen(&[("any", any), ("one", beside)], 2, &[]).is_ok());
    }

    #[test]
    fn connections_of_an_earlier_process_do_not_block_the_address() {
        let before = listen(&[("web", options("127.0.0.1:0"))], 1, &[]).unwrap().remove(0);
        let bound = before.address().unwrap();
        let client = TcpStream::connect(bound).unwrap();
        // One connection stays established; one is closed by this side first, and is in TIME-WAIT.
        let accept = || rustix::net::accept(before.get(0));
        let stays = accept_retrying(accept);
        let other = TcpStream::connect(bound).unwrap();
        drop(accept_retrying(accept));
        drop(before);
        assert_eq!(io::Read::read(&mut &other, &mut [0]).unwrap(), 0);
        drop(other);
        assert!(listen(&[("web", options(&bound.to_string()))], 1, &[]).is_ok());
        drop((stays, client));
    }

    #[test]
    fn a_stopped_group_refuses_clients_and_frees_the_address() {
        let ours = listen(&[("web", options("127.0.0.1:0"))], 2, &[]).unwrap().remove(0);
        let bound = ours.address().unwrap();
        assert!(TcpStream::connect(bound).is_ok());
        ours.stop();
        assert_eq!(TcpStream::connect(bound).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        ours.stop();
        // The sockets are still open, but the address is free, even without `held`.
        let next = listen(&[("web", options(&bound.to_string()))], 2, &[]).unwrap();
        assert!(TcpStream::connect(bound).is_ok());
        drop((ours, next));
    }

    fn accept_retrying<T>(mut accept: impl FnMut() -> rustix::io::Result<T>) -> T {
        loop {
            match accept() {
                Err(rustix::io::Errno::AGAIN) => std::thread::yield_now(),
                accepted => return accepted.unwrap(),
            }
        }
    }

    #[test]
    fn addresses_of_other_hosts_need_freebind() {
        // TEST-NET-1, RFC 5737.
        check_refused("192.0.2.1:8080", io::ErrorKind::AddrNotAvailable);
        let freebind = ListenOptions { freebind: true, ..options("192.0.2.1:18080") };
        assert!(listen(&[("web", freebind)], 1, &[]).is_ok());
    }

    #[track_caller]
    fn check_refused(taken: &str, expected: io::ErrorKind) {
        match listen(&[("web", options(taken))], 1, &[]) {
            Err(BindError { listener, address, error, .. }) => {
                assert_eq!((listener.as_str(), address.to_string().as_str()), ("web", taken));
                assert_eq!(error.kind(), expected, "{taken}: {error}");
            }
            other => panic!("{taken}: {other:?}"),
        }
    }

    #[test]
    fn overlaps() {
        check("10.0.0.1:80", "10.0.0.1:80", true);
        check("10.0.0.1:80", "10.0.0.1:81", false);
        check("10.0.0.1:80", "10.0.0.2:80", false);
        check("0.0.0.0:80", "10.0.0.2:80", true);
        check("0.0.0.0:80", "[2001:db8::1]:80", false);
        check("[::]:80", "[2001:db8::1]:80", true);
        check("[::]:80", "10.0.0.1:80", true);
        check("[::]:80", "0.0.0.0:80", true);
        check("[::ffff:10.0.0.1]:80", "10.0.0.1:80", true);
    }

    #[track_caller]
    fn check(a: &str, b: &str, expected: bool) {
        let (a, b): (SocketAddr, SocketAddr) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(overlap(a, b), expected);
        assert_eq!(overlap(b, a), expected);
    }

    fn options(address: &str) -> ListenOptions {
        let second = Duration::from_secs(1);
        ListenOptions {
            address: address.parse().unwrap(),
            backlog: 16,
            freebind: false,
            v6only: false,
            keepalive: SocketKeepalive { idle: second, interval: second, probes: 1 },
        }
    }
}
