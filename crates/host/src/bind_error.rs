//! The error of a listener that cannot listen, with its cure.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

/// A listener cannot listen on its address.
#[derive(Debug)]
pub struct BindError {
    /// The name of the listener.
    pub listener: String,
    /// The address.
    pub address: SocketAddr,
    /// The error of the kernel.
    pub error: io::Error,
    /// The holder of the address, if it is a socket of this process or of systemd for it.
    pub holder: Option<String>,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, address, error, holder } = self;
        if *listener == address.to_string() {
            write!(f, "cannot listen on {address}: {error}")?;
        } else {
            write!(f, "listener {listener}: cannot listen on {address}: {error}")?;
        }
        let held = holder.as_ref().map(|holder| format!("{holder} uses it: choose another address"));
        match held.or_else(|| bind_cure(*address, error)) {
            Some(cure) => write!(f, "\n  {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// The cure where IPv6 is missing.
pub(crate) const NO_IPV6: &str = "enable IPv6 for the process: add AF_INET6 to `RestrictAddressFamilies=` in the unit, \
     and boot the kernel without `ipv6.disable=1`";

/// The cure for an address that cannot be bound.
pub fn bind_cure(address: SocketAddr, error: &io::Error) -> Option<String> {
    let port = address.port();
    if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) {
        let instead = if address.ip().is_unspecified() {
            format!("use `:{port}` for every address of the host, or `0.0.0.0:{port}`")
        } else {
            "use an IPv4 address".to_owned()
        };
        return Some(format!("{NO_IPV6}; or {instead}"));
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => Some(format!(
            "another process listens on it, possibly another rondel; `ss -ltnp 'sport = :{port}'` shows which"
        )),
        io::ErrorKind::PermissionDenied => Some(format!(
            "a port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE: \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, \
             or `sysctl -w net.ipv4.ip_unprivileged_port_start={port}`"
        )),
        io::ErrorKind::AddrNotAvailable => Some(
            "this host does not have the address (`ip address` lists those it has); \
             if the address is added later, set `freebind: true` for the listener"
                .to_owned(),
        ),
        _ => None,
    }
}
