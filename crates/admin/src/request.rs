//! Requests of the admin interface to control.

use api::{
    AccessQuery, AccessView, Answer, Command, Connections, Ended, History, Phase, Query, Route, RouteQuery,
    SourcesQuery, SourcesView, Status,
};
use tokio::sync::oneshot;

/// A request to control, with the channel for its answer. The client may disconnect before it is sent.
#[derive(Debug)]
pub enum AdminRequest {
    /// The phase of the process.
    Phase(oneshot::Sender<Phase>),
    /// The state of everything.
    Status(oneshot::Sender<Box<Status>>),
    /// The last minutes of every listener and pool.
    History(oneshot::Sender<History>),
    /// The connections that match a query.
    Connections(Query, oneshot::Sender<Result<Connections, Answer>>),
    /// The backend that a client would get.
    Route(RouteQuery, oneshot::Sender<Result<Route, Answer>>),
    /// Access lists, and what operators say about addresses.
    Access(AccessQuery, oneshot::Sender<Result<AccessView, Answer>>),
    /// Sources with most connections, or refused most.
    Sources(SourcesQuery, oneshot::Sender<Result<SourcesView, Answer>>),
    /// The connections that ended last.
    Ended(oneshot::Sender<Vec<Ended>>),
    /// A command, with the peer's user and process for the log.
    Command(Command, String, oneshot::Sender<Answer>),
}

/// The size of the queue of requests. When it is full, a connection waits with its request.
pub const REQUESTS_MAX: usize = 16;
