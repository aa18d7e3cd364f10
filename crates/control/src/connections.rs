//! Queries of workers for their connections, and for closing some of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api::{ConnectionId, ConnectionState, ConnectionStatus, Connections, SourceView, SourcesView};
use config::Prefix;
use connection::{CloseReason, HalfView};
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use worker::{
    ConnectionAction, ConnectionFilter, ConnectionQuery, Listed, QueryResult, QuerySender, StateView, WaitFor,
};

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
    filter: &ConnectionFilter,
    action: ConnectionAction,
) -> Answers {
    let mut answers = Answers { asked: Vec::new(), busy: Vec::new() };
    for worker in workers {
        let (sender, answer) = oneshot::channel();
        // The client may have disconnected.
        let tell = move |found| drop(sender.send(found));
        if query_sender
            .ask(worker, ConnectionQuery { filter: filter.clone(), action, answer: Box::new(tell) })
        {
            answers.asked.push((worker, answer));
        } else {
            answers.busy.push(worker);
        }
    }
    answers
}

impl Answers {
    /// Waits for them, for [`ANSWER_TIME_MAX`] in all. Says what each worker found, and which have not answered.
    /// One that has ended has no connections.
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

    /// The sources of the connections that they counted, and the clients that they refused, so many of each at most.
    pub(crate) async fn sources(self, top: usize) -> SourcesView {
        let (found, silent_workers) = self.wait().await;
        let (mut sources, mut refused) = (HashMap::new(), HashMap::new());
        for (_, found) in found {
            for (source, number) in found.sources {
                *sources.entry(source).or_default() += number;
            }
            for (client, number) in found.refused {
                *refused.entry(Prefix::of(client)).or_default() += number;
            }
        }
        SourcesView { sources: first(sources, top), refused: first(refused, top), silent_workers }
    }

    /// How many connections they say were closed, and which workers have not said.
    pub(crate) async fn closed(self) -> (u64, Vec<usize>) {
        let (found, silent) = self.wait().await;
        (found.iter().map(|(_, found)| found.number).sum(), silent)
    }
}

/// The sources with the highest numbers.
fn first(numbers: HashMap<Prefix, u64>, top: usize) -> Vec<SourceView> {
    let mut sources: Vec<_> =
        numbers.into_iter().map(|(source, number)| SourceView { source, number }).collect();
    sources.sort_unstable_by_key(|source| (Reverse(source.number), source.source));
    sources.truncate(top);
    sources
}

/// Has workers close what is meant.
pub(crate) const CLOSE: ConnectionAction = ConnectionAction::Close(CloseReason::ClosedByOperator);

fn status(worker: usize, listed: &Listed, now: Instant) -> ConnectionStatus {
    let Listed { view, client, introduction, listener, pool, backend } = listed;
    let introduction = introduction.as_deref();
    let asked = introduction.and_then(|introduction| introduction.asked.as_ref());
    let route = introduction.and_then(|introduction| introduction.route.as_ref());
    let [bytes_to_backend, bytes_to_client] = view.stats.bytes;
    let halves = match &view.state {
        StateView::Relaying(halves) => halves.as_slice(),
        StateView::Opening | StateView::Connecting | StateView::Waiting { .. } | StateView::Closing => &[],
    };
    let is_finished = |half: &HalfView| matches!(half, HalfView::Copying { finished: true, .. });
    let state = match view.state {
        StateView::Opening => ConnectionState::Opening,
        StateView::Connecting => ConnectionState::Connecting,
        StateView::Waiting { wait_for: WaitFor::Primary, .. } => ConnectionState::Held,
        StateView::Waiting { wait_for: WaitFor::Capacity, .. } => ConnectionState::Queued,
        StateView::Relaying(_) if halves.iter().any(is_finished) => ConnectionState::HalfClosed,
        StateView::Relaying(_) => ConnectionState::Relaying,
        StateView::Closing => ConnectionState::Closing,
    };
    ConnectionStatus {
        id: ConnectionId { worker, slot: view.slot, generation: view.generation },
        worker,
        client: client.map(canonical),
        via: introduction.and_then(|introduction| introduction.via).map(canonical),
        listener: listener.name.clone(),
        route: route.map(|route| route.name.clone()),
        sni: asked.and_then(worker::Asked::shown_name).map(str::to_owned),
        pool: pool.name.clone(),
        backend: backend.as_ref().map(|backend| backend.name.clone()),
        backend_address: backend.as_ref().map(|backend| backend.address),
        age_seconds: now.saturating_duration_since(view.stats.accepted_at).as_secs_f64(),
        bytes_to_backend,
        bytes_to_client,
        state,
        spliced: halves.iter().any(|half| matches!(half, HalfView::Splicing { .. })),
        attempts: view.stats.attempts,
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How long workers may take. A turn takes a few milliseconds at worst, and a list of a million connections a
/// thousand of them.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
