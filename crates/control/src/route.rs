//! Which backend a client would get, in words.

use api::{BackendStatus, Route, RouteBackend, RouteOutcome, RouteQuery};
use config::{TargetRole, counted, unknown};
use table::{Case, Listener, Obstacle, Outcome, Phase, explain};

use crate::status::StatusSources;
use crate::wire;

/// What would become of a client that connects now.
///
/// # Errors
///
/// There is no such listener.
pub(crate) fn route(known: &StatusSources<'_>, query: &RouteQuery) -> Result<Route, String> {
    let listeners = &known.table.listeners;
    let Some(listener) = listeners.iter().find(|listener| listener.name == query.listener) else {
        let known: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        return Err(unknown("listener", &query.listener, &known));
    };
    let pool = &listener.pool;
    let settings = |config: &'_ config::Config| config.pools.iter().position(|known| known.name == pool.name);
    let index = settings(known.effective).expect("the table was built from it");
    let nothing = table::PoolInputs::default();
    let health = known.inputs.pools.get(&pool.name).unwrap_or(&nothing);
    let told = explain(listener, &known.effective.pools[index], health, query.client);
    let names = |indices: &[table::BackendIndex]| -> Vec<String> {
        indices.iter().map(|index| pool.backend(*index).name.clone()).collect()
    };
    let status = known.pool(pool, &known.config.pools[index]);
    let all: u32 = told.cases.iter().map(|case| case.share).sum();
    let case = |(case, status): (&Case, BackendStatus)| RouteBackend {
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
        (Some(why), _) => (RouteOutcome::NotAccepted, Vec::new(), why),
        (None, Outcome::Backend(index)) => {
            (RouteOutcome::Backend, names(&[*index]), by_policy(listener).to_owned())
        }
        (None, Outcome::OneOf(indices)) => {
            (RouteOutcome::OneOf, names(indices), by_policy(listener).to_owned())
        }
        (None, Outcome::Held) => {
            (RouteOutcome::Held, Vec::new(), "there is no primary: it waits for one".to_owned())
        }
        (None, Outcome::Queued) => {
            let waiting = counted(pool.queue_semaphore.active(), "client");
            let why = format!("all that may take it are full: it waits for a place, beside {waiting}");
            (RouteOutcome::Queued, Vec::new(), why)
        }
        (None, Outcome::Refused(reason)) => (
            RouteOutcome::Refused,
            Vec::new(),
            format!("it would be reset with the reason {}", reason.name()),
        ),
    };
    Ok(Route {
        outcome,
        chosen,
        why,
        pool: status.name,
        balance: status.balance,
        role: wire::listener_role(listener.target_role),
        serving: status.serving,
        backends: told.cases.iter().zip(status.backends).map(case).collect(),
    })
}

/// Why no client is accepted, if none is.
fn not_accepted(known: &StatusSources<'_>, listener: &Listener) -> Option<String> {
    if known.table.phase != Phase::Serving {
        return Some("the process drains and does not listen".to_owned());
    }
    let waits = "it waits in the kernel's queue";
    if listener.semaphore.active() >= listener.connections_max {
        let its = counted(listener.connections_max, "connection");
        return Some(format!("the listener has its {its}: {waits}"));
    }
    let is_full = known.semaphore.active() >= known.connections_max;
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
        (Obstacle::Ejected, _) => "it is ejected: connects to it failed",
        (Obstacle::OtherTier, _) => "its tier does not serve now",
        (Obstacle::OtherRole, TargetRole::Primary(_)) => "it is not known to be the primary",
        (Obstacle::OtherRole, TargetRole::Any | TargetRole::Replica(_)) => "it is not known to be a replica",
        (Obstacle::Lags, _) => "it is too far behind",
        (Obstacle::OnlyFallback, _) => "it is the primary, for when no replica can",
        (Obstacle::Full, _) => "it has as many connections as it may",
    }
}
