//! Connections, one by one: which there are, and an end to some. Workers are asked, each for its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use connection::{CloseReason, HalfView};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use worker::{
    ConnectionAction, ConnectionFilter, ConnectionQuery, Listed, QueryResult, QuerySender, StateView, WaitFor,
};

use super::BackendName;

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
    pub(crate) worker: usize,
    slot: u32,
    generation: u32,
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
    /// `connecting`, `held` (for a primary), `queued` (for a place), `relaying`, `half_closed` or `closing`.
    pub state: String,
    /// Whether a direction of it goes through a pipe in the kernel now, rather than through buffers.
    pub spliced: bool,
    /// Attempts to connect, at most 255 of them counted.
    pub attempts: u8,
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

impl ConnectionId {
    /// Its slot and its generation.
    pub(crate) fn tenant(self) -> (u32, u32) {
        (self.slot, self.generation)
    }
}

impl Query {
    /// How many connections are listed at most.
    ///
    /// # Errors
    ///
    /// More were asked for than may be.
    pub(crate) fn limit(&self) -> Result<usize, String> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit if limit > LIMIT_MAX => {
                Err(format!("the limit {limit} is out of range: at most {LIMIT_MAX} connections are listed"))
            }
            limit => Ok(limit as usize),
        }
    }
}

/// Answers that are awaited.
pub(crate) struct Answers {
    asked: Vec<(usize, oneshot::Receiver<QueryResult>)>,
    /// Workers that have too much to answer already, and were not asked.
    busy: Vec<usize>,
}

/// Asks these workers, which are to be woken then.
pub(crate) fn query(
    query_sender: &QuerySender,
    workers: impl Iterator<Item = usize>,
    meant: &ConnectionFilter,
    errand: ConnectionAction,
) -> Answers {
    let mut answers = Answers { asked: Vec::new(), busy: Vec::new() };
    for worker in workers {
        let (sender, answer) = oneshot::channel();
        // Whoever asked may have left: then there is nobody to tell.
        let tell = move |found| drop(sender.send(found));
        if query_sender
            .ask(worker, ConnectionQuery { filter: meant.clone(), action: errand, answer: Box::new(tell) })
        {
            answers.asked.push((worker, answer));
        } else {
            answers.busy.push(worker);
        }
    }
    answers
}

impl Answers {
    /// Waits for them, for [`ANSWER_TIME_MAX`] in all. Says what each worker found, and which have not answered. One that has ended
    /// has no connections.
    async fn wait(self) -> (Vec<(usize, QueryResult)>, Vec<usize>) {
        let deadline = tokio::time::Instant::now() + ANSWER_TIME_MAX;
        let (mut found, mut silent) = (Vec::new(), self.busy);
        for (worker, answer) in self.asked {
            match timeout_at(deadline, answer).await {
                Ok(answer) => found.push((worker, answer.unwrap_or_default())),
                Err(_) => silent.push(worker),
            }
        }
        (found, silent)
    }

    /// The connections that they list, so many at most, as of `now`.
    pub(crate) async fn connections(self, limit: usize, now: Instant) -> Connections {
        let (found, silent_workers) = self.wait().await;
        let number: u64 = found.iter().map(|(_, found)| found.number).sum();
        let mut listed: Vec<_> = found
            .into_iter()
            .flat_map(|(worker, found)| found.listed.into_iter().map(move |listed| (worker, listed)))
            .collect();
        listed.sort_by_key(|(_, listed)| listed.view.stats.accepted_at);
        listed.truncate(limit);
        let connections: Vec<_> =
            listed.iter().map(|(worker, listed)| status(*worker, listed, now)).collect();
        Connections { left_out: number - connections.len() as u64, connections, silent_workers }
    }

    /// How many connections they say were closed, and which workers have not said.
    pub(crate) async fn closed(self) -> (u64, Vec<usize>) {
        let (found, silent) = self.wait().await;
        (found.iter().map(|(_, found)| found.number).sum(), silent)
    }
}

/// Has workers close what is meant.
pub(crate) const CLOSE: ConnectionAction = ConnectionAction::Close(CloseReason::ClosedByOperator);

fn status(worker: usize, listed: &Listed, now: Instant) -> ConnectionStatus {
    let Listed { view, client, listener, pool, backend } = listed;
    let [bytes_to_backend, bytes_to_client] = view.stats.bytes;
    let halves = match &view.state {
        StateView::Relaying(halves) => halves.as_slice(),
        StateView::Opening | StateView::Connecting | StateView::Waiting { .. } | StateView::Closing => &[],
    };
    let is_finished = |half: &HalfView| matches!(half, HalfView::Copying { finished: true, .. });
    let state = match view.state {
        StateView::Opening | StateView::Connecting => "connecting",
        StateView::Waiting { wait_for: WaitFor::Primary, .. } => "held",
        StateView::Waiting { wait_for: WaitFor::Capacity, .. } => "queued",
        StateView::Relaying(_) if halves.iter().any(is_finished) => "half_closed",
        StateView::Relaying(_) => "relaying",
        StateView::Closing => "closing",
    };
    ConnectionStatus {
        id: ConnectionId { worker, slot: view.slot, generation: view.generation },
        worker,
        client: client.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port())),
        listener: listener.name.clone(),
        pool: pool.name.clone(),
        backend: backend.as_ref().map(|backend| backend.name.clone()),
        backend_address: backend.as_ref().map(|backend| backend.address),
        age_seconds: now.saturating_duration_since(view.stats.accepted_at).as_secs_f64(),
        bytes_to_backend,
        bytes_to_client,
        state: state.to_owned(),
        spliced: halves.iter().any(|half| matches!(half, HalfView::Splicing { .. })),
        attempts: view.stats.attempts,
    }
}

/// As many as a terminal is scrolled through.
const LIMIT_DEFAULT: u32 = 1000;

/// A list beyond it is some megabytes; who wants all asks by listener, pool or backend.
const LIMIT_MAX: u32 = 10_000;

/// How long workers may take. A turn takes a few milliseconds at worst, and a list of a million connections a thousand of them.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::{Close, ConnectionId, Query};

    #[test]
    fn an_id_is_the_same_after_a_journey_as_text() {
        let id: ConnectionId = "3-1024-7".parse().unwrap();
        assert_eq!((id.worker, id.tenant(), id.to_string().as_str()), (3, (1024, 7), "3-1024-7"));
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
