//! The admin interface: how the process is asked and steered while it serves.
//!
//! ```text
//! rondel status ──▶ Unix socket ──┐                    ┌──▶ AdminRequest::Status ──▶ a Status: JSON, or metrics
//! curl ───────────▶ HTTP ─────────┤                    │
//! Prometheus ─────▶ TCP, to read ─┴─▶ server ─▶ routes ─┴──▶ AdminRequest::Command ─▶ an Answer
//! ```
//!
//! It decides nothing and publishes nothing: a connection puts an `AdminRequest` into the queue of the one writer, and waits for
//! what that answers.

mod answer;
mod command; // What may be asked for. Start here.
mod connections;
mod durations;
mod explanation;
mod feed;
mod metrics;
mod overrides;
mod pages;
mod routes;
mod server;
mod socket;
mod status;

use tokio::sync::oneshot;

use crate::access_log::Ended;

pub use self::answer::{Answer, Refused};
pub(crate) use self::answer::{Reloads, unix_seconds};
pub use self::command::{BackendName, Command};
pub(crate) use self::connections::{Answers, CLOSE, query};
pub use self::connections::{Close, ConnectionId, ConnectionStatus, Connections, Query};
pub use self::durations::DurationsStatus;
pub(crate) use self::explanation::explanation;
pub use self::explanation::{CaseStatus, ExplanationStatus, RouteQuery};
pub use self::metrics::{DescribedMetric, described_metrics};

pub(crate) use self::overrides::{Drain, Override, Overrides, Unknown, find};
pub(crate) use self::server::Admin;
pub use self::status::{
    BackendStatus, LeavingStatus, ListenerStatus, OverrideStatus, PhaseStatus, Places, PoolStatus,
    ProbeStatus, ReloadStatus, Status, WorkerStatus,
};
pub(crate) use self::status::{StatusSources, take};

/// What a connection of the admin interface wants of the one writer, and where the answer goes. Who asked may have left by then.
#[derive(Debug)]
pub(crate) enum AdminRequest {
    /// Whether it serves.
    Phase(oneshot::Sender<table::Phase>),
    /// How all of it is.
    Status(oneshot::Sender<Box<Status>>),
    /// Which connections there are.
    Connections(Query, oneshot::Sender<Result<Connections, Answer>>),
    /// What would become of a client.
    Explain(RouteQuery, oneshot::Sender<Result<ExplanationStatus, Answer>>),
    /// Which connections ended last.
    Ended(oneshot::Sender<Vec<Ended>>),
    /// To change something, or to say what a change would be; with who asked, for the log.
    Command(Command, String, oneshot::Sender<Answer>),
}

/// Asks that wait for the one writer. At the bound a connection waits with its ask.
pub(crate) const ASKS_MAX: usize = 16;
