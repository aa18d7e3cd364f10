//! A configuration without a file: one listener, one pool, and defaults.

use std::error::Error;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::address;
use crate::config::{Backend, Config, ListenAddress, Listener, PoolIndex, Runtime};
use crate::defaults;
use crate::duration;
use crate::limits;
use crate::problem::Wrong;

impl Config {
    /// A configuration that forwards connections to `listen` to the addresses `to`, in turn.
    ///
    /// An address that is given twice gets twice as many connections.
    ///
    /// # Panics
    ///
    /// If `to` is empty: a pool has at least one backend.
    pub fn forward(listen: SocketAddr, to: &[SocketAddr]) -> Self {
        assert!(!to.is_empty(), "a pool has at least one backend");
        let mut backends: Vec<Backend> = Vec::new();
        for &address in to {
            if let Some(backend) = backends.iter_mut().find(|backend| backend.address == address) {
                backend.weight = (backend.weight + 1).min(*limits::WEIGHT.end());
            } else {
                backends.push(defaults::backend(address));
            }
        }
        Self {
            runtime: Runtime {
                workers: defaults::WORKERS,
                connections_max: defaults::CONNECTIONS_MAX,
                drain_timeout: defaults::DRAIN_TIMEOUT,
                state: None,
            },
            admin: defaults::admin(),
            access_log: None,
            access: Vec::new(),
            limits: Vec::new(),
            listeners: vec![Listener {
                name: NAME.to_owned(),
                addresses: vec![listen.into()],
                pool: PoolIndex(0),
                target_role: defaults::TARGET_ROLE,
                proxy_protocol: None,
                opening: defaults::OPENING,
                access: None,
                limits: None,
                rate: None,
                routing: defaults::ROUTING,
                access_log: defaults::LISTENER_ACCESS_LOG,
                backlog: defaults::BACKLOG,
                connections_max: defaults::LISTENER_CONNECTIONS_MAX,
                freebind: defaults::FREEBIND,
                v6only: defaults::V6ONLY,
            }],
            pools: vec![defaults::pool(NAME.to_owned(), backends)],
        }
    }
}

/// Reads an address to accept connections on, as in a file: `0.0.0.0:8080`, `[::]:8080`, or `:8080` for all.
///
/// # Errors
///
/// If it is not such an address; the error says what is.
pub fn listen_address(text: &str) -> Result<ListenAddress, TextError> {
    address::listen(text).map_err(TextError)
}

impl FromStr for ListenAddress {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        listen_address(text)
    }
}

/// Reads the address of a backend, as in a file: `10.0.0.1:80` or `[2001:db8::2]:80`.
///
/// # Errors
///
/// If it is not such an address; the error says what is.
pub fn backend_address(text: &str) -> Result<SocketAddr, TextError> {
    address::backend(text).map_err(TextError)
}

/// Reads a duration, as in a file: `500ms`, `5s` or `1m30s`.
///
/// # Errors
///
/// If it is not a duration; the error says what is.
pub fn read_duration(text: &str) -> Result<Duration, TextError> {
    duration::parse(text).map_err(TextError)
}

/// Why a text is not an address or a duration, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub struct TextError(Wrong);

impl Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        self.0.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl Error for TextError {}

/// The name of the listener and of the pool.
const NAME: &str = "tcp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_file_would_be() {
        let listen = "127.0.0.1:8080".parse().unwrap();
        let to = ["10.0.0.1:80", "[2001:db8::2]:80", "10.0.0.1:80"].map(|address| address.parse().unwrap());
        let text = "
listeners: [{ name: tcp, address: '127.0.0.1:8080', pool: tcp }]
pools: [{ name: tcp, backends: [{ address: '10.0.0.1:80', weight: 2 }, { address: '[2001:db8::2]:80' }] }]
";
        assert_eq!(Config::forward(listen, &to), Config::parse("rondel.yaml", text.as_bytes()).unwrap());
    }

    #[test]
    fn addresses_are_those_of_a_file() {
        let every = listen_address(":80").unwrap();
        assert_eq!((every.address.to_string().as_str(), every.to_string().as_str()), ("[::]:80", ":80"));
        for address in [":0", "127.0.0.1:0", "[::1]:0"] {
            assert!(listen_address(address).is_err(), "{address}");
        }
        assert_eq!(
            backend_address("db.example.org:5432").unwrap_err().to_string(),
            "`db.example.org` is a name, and names are not resolved yet; \
             write its IP address, as in `10.0.0.1:5432`; `getent ahosts NAME` shows it"
        );
        assert!(backend_address("10.0.0.1:0").is_err());
    }
}
