//! Which backend a client would get.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{AccessCheck, BackendStatus, Balance, ListenerRole, Tier};

/// A client and the listener that it connects to. As JSON, the body of `POST /route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteQuery {
    /// The client's address.
    pub client: IpAddr,
    /// The name of the listener.
    pub listener: String,
    /// The name that it asks for in its TLS hello; none if it asks for none. Only routes look at it.
    #[serde(default)]
    pub sni: Option<String>,
    /// The protocols that it offers.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// Whether what it sends does not begin as TLS does.
    #[serde(default)]
    pub not_tls: bool,
}

/// The result of a [`RouteQuery`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The result.
    pub outcome: RouteOutcome,
    /// The names of the backends that the client may get: one, or the candidates of a random pick.
    pub chosen: Vec<String>,
    /// The reason, in a sentence.
    pub why: String,
    /// The route of the listener that takes it; absent if the listener has none, or refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The pool.
    pub pool: String,
    /// How a backend is picked.
    pub balance: Balance,
    /// The role that the listener needs; `null` if any backend will do.
    pub role: Option<ListenerRole>,
    /// The tier that serves.
    pub serving: Tier,
    /// What decides about the client's address; `null` if the listener has no access list and operators said nothing.
    #[serde(default)]
    pub access: Option<AccessCheck>,
    /// What the limits of the listener know about the client's source; `null` if it has none.
    #[serde(default)]
    pub limits: Option<RouteLimits>,
    /// The backends of the pool.
    pub backends: Vec<RouteBackend>,
}

/// The state of the limits of a listener for the source of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLimits {
    /// The name of the limits.
    pub name: String,
    /// The addresses that are one source with the client; `null` if it is exempt.
    pub source: Option<String>,
    /// Connections of the source now, over all listeners with these limits.
    pub connections: u32,
    /// How many it may have; `null` without such a limit.
    pub connections_max: Option<u16>,
    /// New connections that it may make, such as `20/s after 200`; `null` without such a limit.
    pub rate: Option<String>,
    /// Why another connection would be refused now: `source_limit` or `source_rate`; `null` if it would not be.
    pub refused: Option<String>,
    /// Whether that is only counted, and the client served.
    pub dry_run: bool,
}

names! {
    /// The outcome for the client.
    pub enum RouteOutcome {
        /// A backend.
        Backend = "backend",
        /// A backend that is picked at random.
        OneOf = "one_of",
        /// It waits until there is a primary.
        Held = "held",
        /// It waits until a backend is not full.
        Queued = "queued",
        /// It is reset.
        Refused = "refused",
        /// It is not accepted: it waits in the kernel's queue, or the process does not listen.
        NotAccepted = "not_accepted",
    }
}

/// A backend that a client may get, or the reasons against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteBackend {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Its share of such connections, in percent; 0 if it cannot be picked.
    pub share_percent: f64,
    /// Why it cannot be picked, in words.
    pub obstacles: Vec<String>,
    /// The same backend in the status.
    pub status: BackendStatus,
}
