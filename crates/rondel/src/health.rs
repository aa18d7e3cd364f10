//! `rondel health`: reports by exit code whether a running rondel, a pool or a listener takes connections.

use std::net::{IpAddr, Ipv4Addr};

use api::{ListenerStatus, PoolStatus, Route, RouteOutcome, RouteQuery, Status};
use config::{counted, listener_named};
use serde_json::json;

use crate::admin::AdminClient;
use crate::backends::require_pool;
use crate::completions::names;
use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel health
  rondel health --pool web
  rondel health --listener :5432
  HEALTHCHECK CMD [\"rondel\", \"health\"]

A pool takes connections if at least one backend of it is neither down nor ejected and has a weight. \
A listener takes connections if a client that connects now gets such a backend, of the role that the \
listener needs; one with routes, if at least one of its pools does. With --pool and --listener it is also required that rondel itself serves.

Exit codes: 0 it takes connections; 1 it does not, rondel drains, or it cannot be reached; 3 there \
is no such pool or listener.")]
pub(crate) struct Arguments {
    /// Report whether this pool takes connections
    #[arg(long, value_name = "POOL", conflicts_with = "listener", add = names::pools())]
    pool: Option<String>,
    /// Report whether clients of this listener get a backend
    #[arg(long, value_name = "LISTENER", add = names::listeners())]
    listener: Option<String>,
    #[command(flatten)]
    admin: AdminClient,
}

/// Whether it takes connections, and why, or why not.
type Health = (bool, String);

pub(crate) fn health(arguments: &Arguments) -> Outcome {
    let (ready, why) = match (&arguments.pool, &arguments.listener) {
        (Some(pool), _) => pool_health(&arguments.admin, pool)?,
        (None, Some(listener)) => listener_health(&arguments.admin, listener)?,
        (None, None) => arguments.admin.is_ready()?,
    };
    if arguments.admin.json {
        print(&json!({ "ready": ready, "why": why }).to_string())?;
    }
    match (ready, arguments.admin.json) {
        (true, true) => Ok(()),
        (true, false) => print(&why),
        (false, _) => Err(Failed::Runtime(why)),
    }
}

fn pool_health(admin: &AdminClient, name: &str) -> Result<Health, Failed> {
    let status = admin.status()?;
    require_pool(&status, [], name)?;
    let Some(pool) = status.pools.iter().find(|pool| pool.name == name) else {
        return Ok((false, format!("pool {name}: a reload removed it")));
    };
    Ok(match admin.is_ready()? {
        (false, why) => (false, why),
        (true, _) => of_pool(pool),
    })
}

fn of_pool(pool: &PoolStatus) -> Health {
    let takes = pool.backends.iter().filter(|backend| backend.weight > 0 && backend.is_available()).count();
    let all = counted(pool.backends.len(), "backend");
    let s = if pool.backends.len() == 1 { "s" } else { "" };
    (takes > 0, format!("pool {}: {takes} of {all} take{s} connections", pool.name))
}

fn listener_health(admin: &AdminClient, name: &str) -> Result<Health, Failed> {
    // The address decides the choice of a backend at most, not whether there is one.
    let query = RouteQuery {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        listener: name.to_owned(),
        sni: None,
        alpn: Vec::new(),
        not_tls: false,
    };
    let route: Route = admin.query("/route", &query)?;
    let status = admin.status()?;
    let addresses = status
        .listeners
        .iter()
        .flat_map(|listener| listener.addresses.iter().map(|address| (listener.name.as_str(), *address)));
    let known: Vec<_> = addresses.collect();
    let found = listener_named(&known, name);
    let routed = status.listeners.iter().find(|listener| Some(listener.name.as_str()) == found);
    match routed.filter(|listener| !listener.routes.is_empty()) {
        Some(listener) if route.outcome != RouteOutcome::NotAccepted => Ok(of_routes(&status, listener)),
        _ => Ok(of_listener(name, &route)),
    }
}

/// Where a client goes depends on what it asks for: the listener takes connections if one of its pools does.
fn of_routes(status: &Status, listener: &ListenerStatus) -> Health {
    let pools: Vec<_> = status.pools.iter().filter(|pool| listener.goes_to(&pool.name)).collect();
    let takes = pools.iter().filter(|pool| of_pool(pool).0).count();
    let s = if pools.len() == 1 { "s" } else { "" };
    let all = counted(pools.len(), "pool");
    (takes > 0, format!("listener {}: {takes} of {all} take{s} connections", listener.name))
}

fn of_listener(name: &str, route: &Route) -> Health {
    let is_available = |chosen: &String| {
        route.backends.iter().any(|backend| backend.name == *chosen && backend.status.is_available())
    };
    match route.outcome {
        RouteOutcome::Backend | RouteOutcome::OneOf if route.chosen.iter().any(is_available) => {
            (true, format!("listener {name}: a client gets a backend of pool {}", route.pool))
        }
        RouteOutcome::Backend | RouteOutcome::OneOf => {
            (false, format!("listener {name}: no backend of pool {} is available", route.pool))
        }
        RouteOutcome::Held | RouteOutcome::Queued | RouteOutcome::Refused | RouteOutcome::NotAccepted => {
            (false, format!("listener {name}: a client gets no backend: {}", route.why))
        }
    }
}
