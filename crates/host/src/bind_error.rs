//! Why a listener cannot listen, and what to do.

use std::net::SocketAddr;
use std::{fmt, io};

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
    /// What holds the address, if that is this process, or systemd for it.
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
        let held = holder.as_ref().map(|holder| format!("{holder} has it: choose another address"));
        match held.or_else(|| bind_cure(*address, error)) {
            Some(cure) => write!(f, "\n  {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// What to do where there is no IPv6.
pub(crate) const NO_IPV6: &str = "let the process use IPv6: `RestrictAddressFamilies=` in the unit has AF_INET6, \
     and the kernel runs without `ipv6.disable=1`";

/// What to do when an address cannot be bound.
pub fn bind_cure(address: SocketAddr, error: &io::Error) -> Option<String> {
    let port = address.port();
    if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) {
        let instead = if address.ip().is_unspecified() {
            format!("write `:{port}` for every address that the host has, or `0.0.0.0:{port}`")
        } else {
            "write an IPv4 address".to_owned()
        };
        return Some(format!("{NO_IPV6}; or {instead}"));
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => Some(format!(
            "another process listens there, perhaps another rondel; `ss -ltnp 'sport = :{port}'` names it"
        )),
        io::ErrorKind::PermissionDenied => Some(format!(
            "a port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE: \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, \
             or `sysctl -w net.ipv4.ip_unprivileged_port_start={port}`"
        )),
        io::ErrorKind::AddrNotAvailable => Some(
            "this host does not hold the address (`ip address` shows those it does); \
             if it comes later, say `freebind: true` at the listener"
                .to_owned(),
        ),
        _ => None,
    }
}
