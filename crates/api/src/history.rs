//! The last minutes of listeners and pools, for charts. `/history.json` returns it.

use serde::{Deserialize, Serialize};

/// Samples of every listener and pool, one every two seconds, of the last five minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When samples were taken, in seconds since 1970, the oldest first.
    pub times: Vec<f64>,
    /// The listeners, in the order of the file.
    pub listeners: Vec<Series>,
    /// The pools, in the order of the file.
    pub pools: Vec<Series>,
}

/// The samples of a listener or a pool. The last sample is of the last time. One that a reload added since has fewer
/// samples than there are times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Connections that existed.
    pub active: Vec<u32>,
    /// New connections per second, since the sample before.
    pub rate: Vec<f64>,
    /// Bytes per second that were sent to backends.
    pub bytes_to_backend: Vec<f64>,
    /// Bytes per second that were sent to clients.
    pub bytes_to_client: Vec<f64>,
}
