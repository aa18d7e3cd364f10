//! Whom a client would be given, in words.

use std::net::{IpAddr, SocketAddr};

use config::TargetRole;
use serde::{Deserialize, Serialize};
use table::{Case, Listener, Obstacle, Outcome, Phase, explain};

use super::status::{BackendStatus, StatusSources};
use crate::words::{counted, unknown};

/// Who comes where. As JSON, the body of `POST /explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteQuery {
    /// The client's address.
    pub client: IpAddr,
    /// The name of the listener.
    pub listener: String,
}

/// What would become of a client that comes now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplanationStatus {
    /// What it would come to: `backend`, `one_of` (as chance has it), `held` (until there is a primary), `queued` (until there is a
    /// place), `refused`, or `not_accepted` (it waits in the kernel's queue, or nobody listens any more).
    pub outcome: String,
    /// The names of the backends that it may get: one, or those that chance picks from.
    pub chosen: Vec<String>,
    /// Why, in a sentence.
    pub why: String,
    /// The pool.
    pub pool: String,
    /// How a backend is picked, as the file says it.
    pub balance: String,
    /// The role that the listener wants; none if any will do.
    pub role: Option<String>,
    /// The tier that serves.
    pub serving: String,
    /// How things stand with each backend of the pool.
    pub backends: Vec<CaseStatus>,
}

/// How things stand with one backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// What it is to have of all such connections, in percent; 0 if it may not be picked.
    pub share_percent: f64,
    /// What speaks against it, in words.
    pub obstacles: Vec<String>,
    /// The same backend in the status.
    pub status: BackendStatus,
}

/// What would become of `coming`.
///
/// # Errors
///
/// There is no such listener.
pub(crate) fn explanation(
    known: &StatusSources<'_>,
    coming: &RouteQuery,
) -> Result<ExplanationStatus, String> {
    let listeners = &known.table.listeners;
    let Some(listener) = listeners.iter().find(|listener| listener.name == coming.listener) else {
        let known: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        return Err(unknown("listener", &coming.listener, &known));
    };
    let pool = &listener.pool;
    let settings = |config: &'_ config::Config| config.pools.iter().position(|known| known.name == pool.name);
    let index = settings(known.effective).expect("the table was built from it");
    let nothing = table::PoolInputs::default();
    let health = known.inputs.pools.get(&pool.name).unwrap_or(&nothing);
    let told = explain(listener, &known.effective.pools[index], health, coming.client);
    let names = |indices: &[table::BackendIndex]| -> Vec<String> {
        indices.iter().map(|index| pool.backend(*index).name.clone()).collect()
    };
    let status = known.pool(pool, &known.config.pools[index]);
    let all: u32 = told.cases.iter().map(|case| case.share).sum();
    let case = |(case, status): (&Case, BackendStatus)| CaseStatus {
        name: status.name.clone(),
        address: status.address,
        share_percent: f64::from(case.share) * 100.0 / f64::from(all.max(1)),
        obstacles: case
            .obstacles
            .iter()
            .map(|obstacle| words(*obstacle, listener.target_role).to_owned())
            .collect(),
        status,
    };
    let (outcome, chosen, why) = match (not_accepted(known, listener), &told.outcome) {
        (Some(why), _) => ("not_accepted", Vec::new(), why),
        (None, Outcome::Backend(index)) => ("backend", names(&[*index]), by_policy(listener).to_owned()),
        (None, Outcome::OneOf(indices)) => ("one_of", names(indices), by_policy(listener).to_owned()),
        (None, Outcome::Held) => ("held", Vec::new(), "nobody is the primary: it waits for one".to_owned()),
        (None, Outcome::Queued) => {
            let waiting = counted(pool.queue_semaphore.active(), "client");
            let why = format!("all that may take it are full: it waits for a place, beside {waiting}");
            ("queued", Vec::new(), why)
        }
        (None, Outcome::Refused(reason)) => {
            ("refused", Vec::new(), format!("it would be reset with the reason {}", reason.name()))
        }
    };
    Ok(ExplanationStatus {
        outcome: outcome.to_owned(),
        chosen,
        why,
        pool: status.name,
        balance: status.balance,
        role: match listener.target_role {
            TargetRole::Any => None,
            demand @ (TargetRole::Primary(_) | TargetRole::Replica(_)) => Some(demand.to_string()),
        },
        serving: status.serving,
        backends: told.cases.iter().zip(status.backends).map(case).collect(),
    })
}

/// Why nobody is accepted, if nobody is.
fn not_accepted(known: &StatusSources<'_>, listener: &Listener) -> Option<String> {
    if known.table.phase != Phase::Serving {
        return Some("the process drains: nobody listens any more".to_owned());
    }
    let waits = "it waits in the kernel's queue";
    if listener.semaphore.active() >= listener.connections_max {
        let its = counted(listener.connections_max, "connection");
        return Some(format!("the listener has its {its}: {waits}"));
    }
    let is_full = known.gate.active() >= known.connections_max;
    is_full.then(|| format!("the process has its {}: {waits}", counted(known.connections_max, "connection")))
}

fn by_policy(listener: &Listener) -> &'static str {
    match listener.pool.balance {
        config::Balance::RoundRobin => "it is this one's turn, unless another client comes first",
        config::Balance::LeastConnections => "it has the fewest connections for its weight now",
        config::Balance::Random => "the less busy of two that chance names by their weights",
        config::Balance::Maglev => "the client's address says so, each time",
    }
}

fn words(obstacle: Obstacle, demand: TargetRole) -> &'static str {
    match (obstacle, demand) {
        (Obstacle::NoWeight, _) => "its weight is 0",
        (Obstacle::Down, _) => "it is down",
        (Obstacle::Ejected, _) => "it was put aside: connects to it failed",
        (Obstacle::OtherTier, _) => "its tier does not serve now",
        (Obstacle::OtherRole, TargetRole::Primary(_)) => "it is not known to be the primary",
        (Obstacle::OtherRole, TargetRole::Any | TargetRole::Replica(_)) => "it is not known to be a replica",
        (Obstacle::Lags, _) => "it is too far behind",
        (Obstacle::OnlyFallback, _) => "it is the primary, for when no replica can",
        (Obstacle::Full, _) => "it has as many connections as it may",
    }
}
