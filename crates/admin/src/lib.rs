//! The admin interface: status, metrics, dashboard and commands, over a Unix socket and HTTP.
//!
//! ```text
//! rondel status ──▶ Unix socket ──┐                     ┌──▶ AdminRequest::Status ──▶ a Status: JSON, or metrics
//! curl ───────────▶ HTTP ─────────┤                     │
//! Prometheus ─────▶ HTTP ─────────┴─▶ server ─▶ routes ─┴──▶ AdminRequest::Command ─▶ an Answer
//! ```
//!
//! It decides and changes nothing: it sends an [`AdminRequest`] to control and awaits the answer.

mod gate;
mod routes; // From paths to requests. Start here.
mod server;
mod socket;

mod feed;
mod metrics;
mod pages;
mod request;

#[cfg(test)]
mod samples;

pub use crate::metrics::{DescribedMetric, described_metrics};
pub use crate::request::{AdminRequest, REQUESTS_MAX};
pub use crate::server::{Admin, ListenError};
