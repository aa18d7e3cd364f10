//! Connections that ended.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A connection that ended; in JSON, a line of the access log. `S` is `&str` while a line is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended<S = String> {
    /// When the client was accepted, in UTC: `2026-11-25T20:15:00.123456Z`.
    pub accepted_at: S,
    /// When it ended, in UTC; absent in a line of the log, which has `duration_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<S>,
    /// The client's address; `null` if the connection was lost before the address could be read.
    pub client: Option<SocketAddr>,
    /// The proxy that named the client in a PROXY header; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<SocketAddr>,
    /// The listener's name.
    pub listener: S,
    /// The pool's name.
    pub pool: S,
    /// The name of its backend, or of the one that was tried last; `null` if none was tried.
    pub backend: Option<S>,
    /// Its address.
    pub backend_address: Option<SocketAddr>,
    /// The route that took it; absent if its listener has none, or it ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<S>,
    /// The name that its TLS hello asked for, as far as 64 characters; absent if its listener has no routes, or it
    /// asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<S>,
    /// The protocols that its TLS hello offered, separated by commas and escaped, as far as 64 characters; absent if
    /// its listener has no routes, or it offered none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// How long it took the client to show itself by a PROXY header, a TLS hello or both, from the accept on, in
    /// milliseconds; absent if none was required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_ms: Option<f64>,
    /// How long it waited in a queue or for a primary, in milliseconds.
    pub waited_ms: f64,
    /// How long all attempts to connect took together, in milliseconds; `null` if it never had a backend.
    pub connect_ms: Option<f64>,
    /// How long it lived, from the accept on, in milliseconds.
    pub duration_ms: f64,
    /// Bytes of the client that were sent to the backend.
    pub bytes_to_backend: u64,
    /// Bytes of the backend that were sent to the client.
    pub bytes_to_client: u64,
    /// How it ended.
    pub termination: Termination<S>,
    /// Attempts to connect after the first.
    pub retries: u8,
    /// How many clients waited before it when it last began to wait.
    pub waited_behind: u32,
    /// How many connections existed when the line was written, without this one.
    pub connections: ConnectionCounts,
    /// The number of the worker that had it.
    pub worker: usize,
    /// The `unique_id` of the PROXY header that its backend was sent, in hexadecimal; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<String>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termination<S = String> {
    /// The two-letter code.
    pub code: S,
    /// The close reason, as in the metrics.
    pub reason: S,
    /// The meaning of the code.
    pub text: S,
}

/// How many connections existed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// In the process.
    pub process: u32,
    /// Of the listener.
    pub listener: u32,
    /// To the pool's backends.
    pub pool: u32,
    /// To the backend.
    pub backend: u32,
}
