//! Pools and their backends.

use std::net::SocketAddr;

use std::collections::BTreeMap;

use connection::CloseReason;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Durations;

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How a backend is picked.
    pub balance: Balance,
    /// The tier that serves.
    pub serving: Tier,
    /// Clients that wait for a backend that is not full.
    pub queued: u32,
    /// The most clients that waited at once, sampled once a second.
    pub queued_max: u32,
    /// How many clients may wait.
    pub queue_size: u32,
    /// TLVs of `send_proxy` that were left out, as the header would have become longer than 1024 bytes.
    pub proxy_fields_left_out: u64,
    /// The names of backends that all report that they are the primary; empty unless there is more than one.
    pub conflict: Vec<String>,
    /// How long successful attempts to connect took.
    pub connect: Durations,
    /// How long connections lived that ended, from the accept on.
    pub life: Durations,
    /// The backends, in the order of the file.
    pub backends: Vec<BackendStatus>,
}

names! {
    /// How a pool picks a backend.
    pub enum Balance {
        /// In turn, by weight.
        RoundRobin = "round_robin",
        /// The first one of the file that is available.
        First = "first",
        /// The backend with the fewest connections for its weight.
        LeastConnections = "least_connections",
        /// The less loaded of two random ones.
        Random = "random",
        /// By a hash of the client's address.
        Maglev = "maglev",
    }
}

names! {
    /// A tier of a pool.
    pub enum Tier {
        /// The tier that serves as long as enough of it is available.
        Active = "active",
        /// The tier that serves otherwise.
        Backup = "backup",
    }
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Its tier.
    pub tier: Tier,
    /// Whether it can take connections.
    pub state: BackendState,
    /// How much longer its ejection lasts, in seconds, unless its probe passes before; `null` if it is not ejected.
    pub ejected_for_seconds: Option<f64>,
    /// Its role in its group; `null` if it has none, or none is known.
    pub role: Option<BackendRole>,
    /// How far it is behind the primary, in seconds; `null` if its probe does not report it.
    pub lag_seconds: Option<f64>,
    /// Its share of new connections, overrides included.
    pub weight: u16,
    /// The share of its weight that is effective during its slow start, in thousandths.
    pub weight_permille: u16,
    /// Its overrides.
    pub overrides: Override,
    /// Its limit of connections; `null` if there is none.
    pub connections_max: Option<u32>,
    /// Connections that exist.
    pub active: u64,
    /// The most connections that existed at once, sampled once a second.
    pub active_max: u64,
    /// New connections in the last second.
    pub rate: f64,
    /// The most new connections in a second.
    pub rate_max: f64,
    /// How long ago the last connection was made, in seconds, sampled once a second; `null` if there was none.
    pub last_seconds: Option<f64>,
    /// Attempts to connect, which is how often it was picked.
    pub picked: u64,
    /// Attempts that succeeded.
    pub connected: u64,
    /// Attempts that failed.
    pub connect_failed: u64,
    /// Failed attempts that were followed by one at another backend.
    pub retried: u64,
    /// Bytes that were sent to it.
    pub bytes_to_backend: u64,
    /// Bytes that it sent and that were sent on to clients.
    pub bytes_to_client: u64,
    /// Connections that ended, by reason, without reasons that never occurred.
    pub closed: ClosedCounts,
    /// The result of its probe; `null` if it has none.
    pub probe: Option<ProbeStatus>,
}

impl BackendStatus {
    /// Its state as text that people read: `no probe` instead of `unknown` if it has none, which is no problem.
    pub fn state_in_words(&self) -> String {
        match self.state {
            BackendState::Unknown if self.probe.is_none() => "no probe".to_owned(),
            state => state.to_string(),
        }
    }

    /// Whether it can take connections: it is neither down nor ejected.
    pub fn is_available(&self) -> bool {
        match self.state {
            BackendState::Unknown | BackendState::Up => true,
            BackendState::Down | BackendState::Ejected => false,
        }
    }
}

names! {
    /// Whether a backend can take connections.
    pub enum BackendState {
        /// No probe has answered yet, or there is none. It counts as available.
        Unknown = "unknown",
        /// Its probe passes.
        Up = "up",
        /// Its probe fails.
        Down = "down",
        /// Connects to it failed, so it gets no connections for a while.
        Ejected = "ejected",
    }
}

names! {
    /// The role of a backend in its group.
    pub enum BackendRole {
        /// It takes writes.
        Primary = "primary",
        /// It takes reads.
        Replica = "replica",
        /// It is a replica that is too far behind to take reads.
        Lagging = "lagging",
    }
}

/// The overrides of a backend: changes by operators that take precedence over the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// It gets no new connections.
    pub drained: bool,
    /// Seconds until the drain's deadline; `null` if there is none.
    pub drain_seconds_left: Option<u64>,
    /// It is treated as down.
    pub disabled: bool,
    /// Its weight; `null` is that of the file.
    pub weight: Option<u16>,
}

/// The result of the probe of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// The verdict from its answers.
    pub verdict: Verdict,
    /// How long ago that changed, in seconds.
    pub since_seconds: f64,
    /// How often the backend went down.
    pub downs: u64,
    /// How long it was down in total, in seconds.
    pub down_seconds: f64,
    /// Why the last probe failed; `null` if it passed.
    pub error: Option<String>,
    /// How long the last probe took, in seconds; `null` before the first.
    pub latency_seconds: Option<f64>,
    /// How late the last probe began, in seconds.
    pub late_seconds: f64,
    /// Probes that passed.
    pub passed: u64,
    /// Probes that count against the backend.
    pub failed: u64,
    /// Probes without a conclusion about the backend.
    pub inconclusive: u64,
    /// Probes that failed or were inconclusive, by the name of the error.
    pub errors: BTreeMap<String, u64>,
}

names! {
    /// The verdict of a probe on its backend.
    pub enum Verdict {
        /// There are too few answers yet.
        Unknown = "unknown",
        /// The backend works.
        Up = "up",
        /// The backend does not work.
        Down = "down",
    }
}

/// Connections that ended, by reason. In JSON an object: `{"done": 3, "idle": 1}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClosedCounts(Vec<(CloseReason, u64)>);

impl ClosedCounts {
    /// These counts; those that are 0 are left out.
    pub fn new(counts: impl IntoIterator<Item = (CloseReason, u64)>) -> Self {
        Self(counts.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    /// How many connections ended for this reason.
    pub fn get(&self, reason: CloseReason) -> u64 {
        self.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }

    /// The reasons that occurred, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (CloseReason, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl Serialize for ClosedCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(reason, count)| (reason.name(), count)))
    }
}

impl<'de> Deserialize<'de> for ClosedCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut known: Vec<(CloseReason, u64)> = counts
            .into_iter()
            .map(|(name, count)| {
                let reason = CloseReason::ALL.into_iter().find(|reason| reason.name() == name);
                Ok((reason.ok_or_else(|| D::Error::custom(format!("unknown close reason {name}")))?, count))
            })
            .collect::<Result<_, D::Error>>()?;
        known.sort_by_key(|(reason, _)| *reason as u8);
        Ok(Self::new(known))
    }
}

#[cfg(test)]
mod tests {
    use connection::CloseReason;

    use crate::ClosedCounts;

    #[test]
    fn counts_are_an_object_by_the_name_of_the_reason() {
        let counts = [(CloseReason::Done, 3), (CloseReason::Drained, 0), (CloseReason::Idle, 1)];
        let counts = ClosedCounts::new(counts);
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"done":3,"idle":1}"#);
        let reversed: ClosedCounts = serde_json::from_str(r#"{"idle":1,"done":3}"#).unwrap();
        assert_eq!(reversed, counts);
        assert_eq!((counts.get(CloseReason::Done), counts.get(CloseReason::Drained)), (3, 0));
        let unknown = serde_json::from_str::<ClosedCounts>(r#"{"bored":1}"#).unwrap_err();
        assert!(unknown.to_string().starts_with("unknown close reason bored"), "{unknown}");
    }
}
