//! Established connections: queries for a list, and requests to close some.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use config::Prefix;
use serde::{Deserialize, Serialize};

use crate::BackendName;

/// A query for connections that match every given field. As JSON, the body of `POST /connections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// The name of the listener.
    pub listener: Option<String>,
    /// The name of the pool.
    pub pool: Option<String>,
    /// The backend, which may be one that a reload removed.
    pub backend: Option<BackendName>,
    /// The client's address, any port, or a prefix of addresses.
    #[serde(with = "crate::prefix::option")]
    pub client: Option<Prefix>,
    /// The maximum number of results: at most 10 000, by default 1000.
    pub limit: Option<u32>,
}

/// Connections to close. As JSON, in the body of `POST /command`: `{"close": {"connection": "0-12-3"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// One connection.
    Connection(ConnectionId),
    /// Every connection of a backend, which may be one that a reload removed.
    Backend(BackendName),
    /// Every connection of clients with an address, or with any of a prefix.
    Client(#[serde(with = "crate::prefix")] Prefix),
}

/// The ID of a connection, `worker-slot-generation`. The process never uses an ID twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionId {
    /// The worker.
    pub worker: usize,
    /// The slot in the worker.
    pub slot: u32,
    /// The generation of the slot, which tells its connections apart.
    pub generation: u32,
}

/// The result of a [`Query`], the oldest connection first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// The connections.
    pub connections: Vec<ConnectionStatus>,
    /// How many more match.
    pub left_out: u64,
    /// Workers that did not answer within a second. Their connections are missing.
    pub silent_workers: Vec<usize>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// The ID, which `rondel close` takes.
    pub id: ConnectionId,
    /// The worker.
    pub worker: usize,
    /// The client's address; `null` if the client disconnected before it could be read.
    pub client: Option<SocketAddr>,
    /// The proxy that named the client in a PROXY header; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<SocketAddr>,
    /// The name of the listener.
    pub listener: String,
    /// The route that took it; absent if its listener has none, or it has yet to show itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The name that its TLS hello asks for, as far as 64 characters; absent if its listener has no routes, or it
    /// asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The name of the pool.
    pub pool: String,
    /// The name of the backend it has or is being connected to; `null` if there is none.
    pub backend: Option<String>,
    /// The address of that backend.
    pub backend_address: Option<SocketAddr>,
    /// How long ago it was accepted, in seconds.
    pub age_seconds: f64,
    /// Bytes of the client that were sent to the backend.
    pub bytes_to_backend: u64,
    /// Bytes of the backend that were sent to the client.
    pub bytes_to_client: u64,
    /// The state.
    pub state: ConnectionState,
    /// Whether at least one direction is spliced through a kernel pipe instead of copied through buffers.
    pub spliced: bool,
    /// Attempts to connect. The counter stops at 255.
    pub attempts: u8,
}

names! {
    /// The state of a connection.
    pub enum ConnectionState {
        /// It has yet to show itself, by a PROXY header or a TLS hello.
        Opening = "opening",
        /// A connect to a backend is in progress.
        Connecting = "connecting",
        /// It waits for a primary.
        Held = "held",
        /// It waits for a backend that is not full.
        Queued = "queued",
        /// Bytes go both ways.
        Relaying = "relaying",
        /// One side has finished sending.
        HalfClosed = "half_closed",
        /// It is being closed.
        Closing = "closing",
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

impl FromStr for ConnectionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = || {
            let mut numbers = text.split('-');
            let worker = numbers.next()?.parse().ok()?;
            let (slot, generation) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
            numbers.next().is_none().then_some(Self { worker, slot, generation })
        };
        id().ok_or_else(|| "expected an ID from `rondel connections`, such as `0-12-3`".to_owned())
    }
}

impl TryFrom<String> for ConnectionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ConnectionId> for String {
    fn from(id: ConnectionId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for Close {
    /// The arguments on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => write!(f, "{id}"),
            Self::Backend(name) => write!(f, "--backend {name}"),
            Self::Client(address) => write!(f, "--client {address}"),
        }
    }
}

impl Query {
    /// The maximum number of results.
    ///
    /// # Errors
    ///
    /// The limit exceeds [`LIMIT_MAX`].
    pub fn limit(&self) -> Result<usize, String> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit if limit > LIMIT_MAX => {
                Err(format!("the limit {limit} is out of range: the maximum is {LIMIT_MAX} connections"))
            }
            limit => Ok(limit as usize),
        }
    }
}

/// The limit of a query that gives none.
const LIMIT_DEFAULT: u32 = 1000;

/// The highest limit of a query. A longer list would be several megabytes; a query by listener, pool or backend
/// is shorter.
pub const LIMIT_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use crate::{Close, ConnectionId, Query};

    #[test]
    fn an_id_survives_a_round_trip_as_text() {
        let id: ConnectionId = "3-1024-7".parse().unwrap();
        assert_eq!((id.worker, id.slot, id.generation, id.to_string().as_str()), (3, 1024, 7, "3-1024-7"));
        for wrong in ["", "3", "3-1024", "3-1024-7-1", "a-1-2", "3--7", "-1-1-1", "1-4294967296-1"] {
            assert!(wrong.parse::<ConnectionId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn queries_and_close_requests_are_json() {
        let close = Close::Connection("0-1-2".parse().unwrap());
        assert_eq!(serde_json::to_string(&close).unwrap(), r#"{"connection":"0-1-2"}"#);
        assert_eq!(serde_json::from_str::<Query>("{}").unwrap(), Query::default());
        assert!(serde_json::from_str::<Query>(r#"{"listner": "web"}"#).is_err());
        let client: Close = serde_json::from_str(r#"{"client":"192.0.2.0/24"}"#).unwrap();
        assert_eq!(client.to_string(), "--client 192.0.2.0/24");
        let query = r#"{"listener":null,"pool":null,"backend":null,"client":"192.0.2.7","limit":null}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Query>(query).unwrap()).unwrap(), query);
        let wrong = serde_json::from_str::<Query>(r#"{"client": "192.0.2.7/24"}"#).unwrap_err().to_string();
        assert!(wrong.contains("has bits beyond its prefix: write `192.0.2.0/24`"), "{wrong}");
        assert_eq!(Query { limit: Some(10_000), ..Query::default() }.limit(), Ok(10_000));
        assert!(Query { limit: Some(10_001), ..Query::default() }.limit().is_err());
    }
}
