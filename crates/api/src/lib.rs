//! The types of the admin interface, as JSON: shared by a running rondel and its commands.
//!
//! States, roles, kinds and results are enums; an unknown word is an error. The crate has no logic beyond
//! serialization, except for what derives the problems of a status, which every view of it shows.

#[macro_use]
mod names;

mod status; // The state of the process at one moment. Start here.

mod access;
mod answer;
mod backend_name;
mod command;
mod connections;
mod durations;
mod ended;
mod event;
mod history;
mod pool;
mod prefix;
mod problem;
mod problems; // Derived from a status.
mod route;
mod sources;

pub use crate::access::{
    AccessAction, AccessCheck, AccessOrder, AccessQuery, AccessView, FOR_SECONDS_MAX, ListView, OverrideView,
    RuleView, WHY_CHARS_MAX,
};
pub use crate::answer::{Answer, Refused};
pub use crate::backend_name::BackendName;
pub use crate::command::Command;
pub use crate::connections::{
    Close, ConnectionId, ConnectionState, ConnectionStatus, Connections, LIMIT_MAX, Query,
};
pub use crate::durations::Durations;
pub use crate::ended::{ConnectionCounts, Ended, Termination};
pub use crate::event::{EVENT_CHARS_MAX, EVENT_DETAILS_MAX, Event, EventKind};
pub use crate::history::{History, Series};
pub use crate::pool::{
    BackendRole, BackendState, BackendStatus, Balance, ClosedCounts, Override, PoolStatus, ProbeStatus, Tier,
    Verdict,
};
pub use crate::problem::{Problem, ProblemKind, Severity};
pub use crate::problems::problems;
pub use crate::route::{Route, RouteBackend, RouteLimits, RouteOutcome, RouteQuery};
pub use crate::sources::{SourceView, SourcesQuery, SourcesView, TOP_MAX};
pub use crate::status::{
    AccessLogStatus, FileDifference, LimitsStatus, ListenerRole, ListenerStatus, LogLevel, Permits, Phase,
    ProxyHeaders, ReloadStatus, RemovedKind, RemovedStatus, RouteStatus, ShortageStatus, SourcesStatus,
    Status, WorkerStatus, WouldRefuse,
};
