//! Which backend a client would get, in words.

use api::{
    AccessAction, AccessCheck, BackendStatus, Override, Route, RouteBackend, RouteLimits, RouteOutcome,
    RouteQuery,
};
use config::{TargetRole, counted, listener_named, unknown};
use connection::CloseReason;
use table::{BackendRoute, Listener, Outcome, Phase, Pool, Reason, explain_route};

use crate::status::StatusSources;
use crate::wire;

/// What would become of a client that connects now.
///
/// # Errors
///
/// There is no such listener.
pub(crate) fn route(known: &StatusSources<'_>, query: &RouteQuery) -> Result<Route, String> {
    let listeners = &known.table.listeners;
    let endpoints = listeners.iter().flat_map(|listener| {
        listener.endpoints.iter().map(|endpoint| (listener.name.as_str(), endpoint.address))
    });
    let addresses: Vec<_> = endpoints.collect();
    let wanted = listener_named(&addresses, &query.listener);
    let Some(listener) = listeners.iter().find(|listener| Some(listener.name.as_str()) == wanted) else {
        let known: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        return Err(unknown("listener", &query.listener, &known));
    };
    let access = known.access.of_listener(listener, query.client);
    let limits = known.access.limits_of(listener, query.client);
    // A client is refused for its address before it is asked what it wants.
    let refused = refused(access.as_ref(), limits.as_ref());
    let (by, pool) = match by_routes(listener, query) {
        Ok(found) => found,
        Err(reason) => {
            let route = without_route(listener, query, reason);
            return Ok(Route { why: refused.unwrap_or(route.why), access, limits, ..route });
        }
    };
    let settings = |config: &'_ config::Config| config.pools.iter().position(|known| known.name == pool.name);
    let index = settings(known.effective).expect("the table was built from it");
    let nothing = table::PoolInputs::default();
    let health = known.inputs.pools.get(&pool.name).unwrap_or(&nothing);
    let explanation = explain_route(listener, pool, &known.effective.pools[index], health, query.client);
    let names = |indices: &[table::BackendIndex]| -> Vec<String> {
        indices.iter().map(|index| pool.backend(*index).name.clone()).collect()
    };
    let status = known.pool(pool, &known.config.pools[index]);
    let all: u32 = explanation.backends.iter().map(|backend| backend.share).sum();
    let backend = |(route, status): (&BackendRoute, BackendStatus)| RouteBackend {
        name: status.name.clone(),
        address: status.address,
        share_percent: f64::from(route.share) * 100.0 / f64::from(all.max(1)),
        obstacles: route
            .reasons_against
            .iter()
            .map(|reason| words(*reason, listener.target_role, status.overrides).to_owned())
            .collect(),
        status,
    };
    let has_available = explanation.backends.iter().any(|backend| backend.reasons_against.is_empty());
    let is_open = if has_available { "" } else { "no backend is available, and `on_all_down` is `open`; " };
    let picked = || format!("{is_open}{}", by_policy(pool));
    let stopped = not_accepted(known, listener).map(|why| (RouteOutcome::NotAccepted, why));
    let stopped = stopped.or_else(|| Some((RouteOutcome::Refused, refused?)));
    let (outcome, chosen, why) = match (stopped, &explanation.outcome) {
        (Some((outcome, why)), _) => (outcome, Vec::new(), why),
        (None, Outcome::Backend(index)) => (RouteOutcome::Backend, names(&[*index]), picked()),
        (None, Outcome::OneOf(indices)) => (RouteOutcome::OneOf, names(indices), picked()),
        (None, Outcome::Held) => {
            (RouteOutcome::Held, Vec::new(), "there is no primary: it waits for one".to_owned())
        }
        (None, Outcome::Queued) => {
            let waiting = counted(pool.queue_semaphore.active(), "other client");
            let why = format!("all eligible backends are full: it waits in the queue, with {waiting}");
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
        route: by.map(|route| route.name.clone()),
        pool: status.name,
        balance: status.balance,
        role: wire::listener_role(listener.target_role),
        serving: status.serving,
        access,
        limits,
        backends: explanation.backends.iter().zip(status.backends).map(backend).collect(),
    })
}

/// Why a client is refused for its address, if it is.
fn refused(access: Option<&AccessCheck>, limits: Option<&RouteLimits>) -> Option<String> {
    if let Some(AccessCheck { decided_by, .. }) =
        access.filter(|access| access.action == AccessAction::Deny && !access.dry_run)
    {
        return Some(format!("its address is denied: {decided_by}"));
    }
    let limits = limits.filter(|limits| !limits.dry_run)?;
    let reason = limits.refused.as_deref()?;
    let source = limits.source.as_deref().unwrap_or_default();
    let has = counted(limits.connections, "connection");
    Some(format!("{source} has {has}, and limits {} refuse another now: {reason}", limits.name))
}

/// The route that takes a client that asks for this, if the listener has routes, and its pool.
///
/// # Errors
///
/// It would be reset, for this reason.
fn by_routes<'a>(
    listener: &'a Listener,
    query: &RouteQuery,
) -> Result<(Option<&'a table::Route>, &'a Pool), CloseReason> {
    let Some(routes) = &listener.routes else { return Ok((None, &listener.pool)) };
    let name = query.sni.as_ref().map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
    let offers = |protocol: &[u8]| query.alpn.iter().any(|offered| offered.as_bytes() == protocol);
    let (route, reason) = if query.not_tls {
        (routes.not_tls(), CloseReason::HelloInvalid)
    } else {
        (routes.of_hello(name.as_deref(), offers), CloseReason::NoRoute)
    };
    let route = route.ok_or(reason)?;
    Ok((Some(&**route), &*route.pool))
}

/// What becomes of a client that no route takes.
fn without_route(listener: &Listener, query: &RouteQuery, reason: CloseReason) -> Route {
    let why = match (&query.sni, query.not_tls) {
        (_, true) => "no route has `tls: none`".to_owned(),
        (Some(name), false) => format!("no route takes the name {name}, and `unknown` is `refuse`"),
        (None, false) => "it asks for no name, and `unknown` is `refuse`".to_owned(),
    };
    Route {
        outcome: RouteOutcome::Refused,
        chosen: Vec::new(),
        why: format!("{why}: it would be reset with the reason {}", reason.name()),
        route: None,
        pool: listener.pool.name.clone(),
        balance: wire::balance(listener.pool.balance),
        role: wire::listener_role(listener.target_role),
        serving: wire::tier(listener.pool.tier()),
        access: None,
        limits: None,
        backends: Vec::new(),
    }
}

/// Why no client is accepted, if none is.
fn not_accepted(known: &StatusSources<'_>, listener: &Listener) -> Option<String> {
    if known.table.phase != Phase::Serving {
        return Some("the process drains and does not listen".to_owned());
    }
    let waits = "it waits in the kernel's queue";
    if listener.semaphore.active() >= listener.connections_max {
        let its = counted(listener.connections_max, "connection");
        return Some(format!("the listener is at its limit of {its}: {waits}"));
    }
    let is_full = known.semaphore.active() >= known.connections_max;
    is_full.then(|| {
        let its = counted(known.connections_max, "connection");
        format!("the process is at its limit of {its}: {waits}")
    })
}

fn by_policy(pool: &Pool) -> &'static str {
    match pool.balance {
        config::Balance::RoundRobin => "it is next in the rotation, unless another client comes first",
        config::Balance::First => "it is the first in the file that is available and not full",
        config::Balance::LeastConnections => "it has the fewest connections for its weight now",
        config::Balance::Random => {
            "of two random backends, drawn by weight, the one with fewer connections for its weight"
        }
        config::Balance::Maglev => "by the hash of the client's address, as each time",
    }
}

fn words(reason: Reason, target_role: TargetRole, overrides: Override) -> &'static str {
    match (reason, target_role) {
        (Reason::NoWeight, _) if overrides.disabled => "it is disabled",
        (Reason::NoWeight, _) if overrides.drained => "it is drained",
        (Reason::NoWeight, _) => "its weight is 0",
        (Reason::Down, _) => "it is down",
        (Reason::Ejected, _) => "it is ejected: connects to it failed",
        (Reason::OtherTier, _) => "its tier does not serve now",
        (Reason::OtherBackup, _) => "another backup serves now",
        (Reason::OtherRole, TargetRole::Primary(_)) => "it is not known to be the primary",
        (Reason::OtherRole, TargetRole::Any | TargetRole::Replica(_)) => "it is not known to be a replica",
        (Reason::Lags, _) => "it is too far behind",
        (Reason::OnlyFallback, _) => "it is the primary, and a replica can serve",
        (Reason::Full, _) => "it is at its `max_connections`",
    }
}
