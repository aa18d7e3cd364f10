//! Connections, one by one: which there are, and an end to some. Workers are asked, each for its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::BackendName;

/// Which connections are to be listed: those that have all of this. As JSON, the body of `POST /connections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Of the listener of this name.
    pub listener: Option<String>,
    /// Of the pool of this name.
    pub pool: Option<String>,
    /// To this backend, one that a reload removed included.
    pub backend: Option<BackendName>,
    /// Of clients at this address.
    pub client: Option<IpAddr>,
    /// How many at most, up to 10 000; 1000 if it is not said.
    pub limit: Option<u32>,
}

/// What is to be closed. As JSON, in the body of `POST /command`: `{"close": {"connection": "0-12-3"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// One connection.
    Connection(ConnectionId),
    /// All that a backend has now, one that a reload removed included.
    Backend(BackendName),
    /// All that a client has now.
    Client(IpAddr),
}

/// What tells a connection from all others of the process, for as long as that runs: `worker-slot-generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionId {
    /// The worker that has the connection.
    pub worker: usize,
    /// Its slot in that worker.
    pub slot: u32,
    /// Which of the connections that had the slot it is.
    pub generation: u32,
}

/// Connections, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Those that are listed.
    pub connections: Vec<ConnectionStatus>,
    /// How many more there are.
    pub left_out: u64,
    /// Workers that have not answered within a second: theirs are missing.
    pub silent_workers: Vec<usize>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// What `rondel close` calls it.
    pub id: ConnectionId,
    /// The worker that has it.
    pub worker: usize,
    /// The client's address; none if it is gone already.
    pub client: Option<SocketAddr>,
    /// The listener that it came to.
    pub listener: String,
    /// Its pool.
    pub pool: String,
    /// The name of its backend, or of the one it is being connected to; none if it has none.
    pub backend: Option<String>,
    /// The address of that.
    pub backend_address: Option<SocketAddr>,
    /// How long ago it was accepted, in seconds.
    pub age_seconds: f64,
    /// Bytes that the client sent and the backend was given.
    pub bytes_to_backend: u64,
    /// Bytes that the backend sent and the client was given.
    pub bytes_to_client: u64,
    /// What it does now.
    pub state: ConnectionState,
    /// Whether a direction of it goes through a pipe in the kernel now, rather than through buffers.
    pub spliced: bool,
    /// Attempts to connect, at most 255 of them counted.
    pub attempts: u8,
}

names! {
    /// What a connection does.
    pub enum ConnectionState {
        /// It is being connected to a backend.
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
        id().ok_or_else(|| "write it as `rondel connections` does, such as `0-12-3`".to_owned())
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
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => write!(f, "{id}"),
            Self::Backend(name) => write!(f, "--backend {name}"),
            Self::Client(address) => write!(f, "--client {address}"),
        }
    }
}

impl Query {
    /// How many connections are listed at most.
    ///
    /// # Errors
    ///
    /// More were asked for than may be.
    pub fn limit(&self) -> Result<usize, String> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit if limit > LIMIT_MAX => {
                Err(format!("the limit {limit} is out of range: at most {LIMIT_MAX} connections are listed"))
            }
            limit => Ok(limit as usize),
        }
    }
}

/// How many connections a query lists that gives no limit.
const LIMIT_DEFAULT: u32 = 1000;

/// The most connections that one query lists. A longer list is several megabytes; a query by listener, pool or backend is shorter.
pub const LIMIT_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use crate::{Close, ConnectionId, Query};

    #[test]
    fn an_id_is_the_same_after_a_journey_as_text() {
        let id: ConnectionId = "3-1024-7".parse().unwrap();
        assert_eq!((id.worker, id.slot, id.generation, id.to_string().as_str()), (3, 1024, 7, "3-1024-7"));
        for wrong in ["", "3", "3-1024", "3-1024-7-1", "a-1-2", "3--7", "-1-1-1", "1-4294967296-1"] {
            assert!(wrong.parse::<ConnectionId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_meant_is_written_as_json() {
        let close = Close::Connection("0-1-2".parse().unwrap());
        assert_eq!(serde_json::to_string(&close).unwrap(), r#"{"connection":"0-1-2"}"#);
        assert_eq!(serde_json::from_str::<Query>("{}").unwrap(), Query::default());
        assert!(serde_json::from_str::<Query>(r#"{"listner": "web"}"#).is_err());
        assert_eq!(Query { limit: Some(10_000), ..Query::default() }.limit(), Ok(10_000));
        assert!(Query { limit: Some(10_001), ..Query::default() }.limit().is_err());
    }
}
