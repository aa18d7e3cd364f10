//! The admin interface: status, metrics, dashboard and commands, over a Unix socket and HTTP.
//!
//! ```text
//! rondel status ──▶ Unix socket ──┐                     ┌──▶ AdminRequest::Status ──▶ a Status: JSON, or metrics
//! curl ───────────▶ HTTP ─────────┤                     │
//! Prometheus ─────▶ HTTP ─────────┴─▶ server ─▶ routes ─┴──▶ AdminRequest::Command ─▶ an Answer
//! ```
//!
//! It decides nothing and changes nothing: it puts an [`AdminRequest`] into the queue of the one writer and awaits the answer.

mod routes; // Which path leads where. Start here.
mod server;
mod socket;

mod feed;
mod metrics;
mod pages;

#[cfg(test)]
mod samples;

use api::{Answer, Command, Connections, Ended, Phase, Query, Route, RouteQuery, Status};
use tokio::sync::oneshot;

pub use crate::metrics::{DescribedMetric, described_metrics};
pub use crate::server::{Admin, ListenError};

/// A request to the one writer, with the channel for its answer. The client may have disconnected by then.
#[derive(Debug)]
pub enum AdminRequest {
    /// The phase of the process.
    Phase(oneshot::Sender<Phase>),
    /// The state of everything.
    Status(oneshot::Sender<Box<Status>>),
    /// The connections that match a query.
    Connections(Query, oneshot::Sender<Result<Connections, Answer>>),
    /// The backend that a client would get.
    Route(RouteQuery, oneshot::Sender<Result<Route, Answer>>),
    /// The connections that ended last.
    Ended(oneshot::Sender<Vec<Ended>>),
    /// A command, with the operator's process for the log.
    Command(Command, String, oneshot::Sender<Answer>),
}

/// How many requests wait for the one writer. When the queue is full, a connection waits with its request.
pub const REQUESTS_MAX: usize = 16;
