//! `rondel connections --ended`: one line for each of the connections that ended last, the latest first.

use std::net::SocketAddr;

use api::{Ended, RemovedKind, Status};
use config::{listener_named, unknown};

use crate::backends::require_pool;
use crate::connections::{Arguments, filter};
use crate::outcome::{Failed, Outcome, print, print_json, remark};
use crate::text::table;

pub(crate) fn ended(arguments: &Arguments) -> Outcome {
    let mut ended: Vec<Ended> = arguments.admin.get("/ended.json")?;
    let status = arguments.admin.status()?;
    let listener = check_names(arguments, &status, &ended)?;
    ended.retain(|connection| matches_filter(arguments, listener.as_deref(), connection));
    ended.truncate(arguments.limit as usize);
    if arguments.admin.json {
        return print_json(&ended);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(ended.iter().map(row));
    print(&table(&rows))?;
    if ended.is_empty() {
        let is_off = if status.access_log.to == "off" { ": `access_log` is off" } else { "" };
        remark(&format!("no ended connection{} is recorded{is_off}", filter(arguments)));
    }
    Ok(())
}

/// Fails unless every name in the filter exists, or occurs in an ended connection. Returns the name of the listener.
fn check_names(arguments: &Arguments, status: &Status, ended: &[Ended]) -> Result<Option<String>, Failed> {
    let Status { pools, listeners, removed, .. } = status;
    if let Some(wanted) = &arguments.pool {
        require_pool(status, ended.iter().map(|connection| connection.pool.as_str()), wanted)?;
    }
    let mut found = None;
    if let Some(wanted) = &arguments.listener {
        let of_removed = removed.iter().filter(|removed| removed.kind == RemovedKind::Listener);
        let of_removed = of_removed.map(|removed| (&removed.name, &removed.addresses));
        let all = listeners.iter().map(|listener| (&listener.name, &listener.addresses)).chain(of_removed);
        let known: Vec<_> =
            all.flat_map(|(name, addresses)| addresses.iter().map(|at| (name.as_str(), *at))).collect();
        let mut of_ended = ended.iter().map(|connection| connection.listener.as_str());
        let named = listener_named(&known, wanted).or_else(|| of_ended.find(|name| name == wanted));
        let Some(named) = named else {
            let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(Failed::Unknown(unknown("listener", wanted, &known)));
        };
        found = Some(named.to_owned());
    }
    if let Some(wanted) = arguments.backend.as_ref().map(ToString::to_string) {
        let backends = pools.iter().flat_map(|pool| {
            pool.backends
                .iter()
                .map(move |backend| (pool.name.as_str(), backend.name.as_str(), backend.address))
        });
        let of_removed = removed.iter().filter(|removed| removed.kind == RemovedKind::Backend);
        let of_removed = of_removed.flat_map(|removed| {
            removed.addresses.iter().map(|at| (removed.pool.as_str(), removed.name.as_str(), *at))
        });
        let of_ended = ended.iter().filter_map(|connection| {
            Some((connection.pool.as_str(), connection.backend.as_deref()?, connection.backend_address?))
        });
        let is_it = |(pool, name, address): (&str, &str, SocketAddr)| {
            wanted == format!("{pool}/{name}") || wanted == format!("{pool}/{address}")
        };
        if !backends.clone().chain(of_removed).chain(of_ended).any(is_it) {
            let known: Vec<String> = backends.map(|(pool, name, _)| format!("{pool}/{name}")).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(Failed::Unknown(unknown("backend", &wanted, &known)));
        }
    }
    Ok(found)
}

fn matches_filter(arguments: &Arguments, listener: Option<&str>, connection: &Ended) -> bool {
    let Arguments { pool, backend, client, .. } = arguments;
    let Ended { pool: of_pool, backend: of_backend, backend_address, .. } = connection;
    let named = |wanted: &str| {
        let address = backend_address.map(|address| address.to_string());
        [of_backend.clone(), address].into_iter().flatten().any(|name| wanted == format!("{of_pool}/{name}"))
    };
    pool.as_ref().is_none_or(|pool| pool == of_pool)
        && listener.is_none_or(|listener| listener == connection.listener)
        && backend.as_ref().is_none_or(|backend| named(&backend.to_string()))
        && client.is_none_or(|client| connection.client.is_some_and(|address| client.contains(address.ip())))
}

const COLUMNS: [&str; 8] =
    ["ENDED", "CLIENT", "LISTENER", "BACKEND", "LIVED-MS", "TO-BACKEND", "TO-CLIENT", "END"];

fn row(connection: &Ended) -> [String; COLUMNS.len()] {
    let end = &connection.termination;
    [
        connection.ended_at.clone().unwrap_or_else(|| "-".to_owned()),
        connection.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
        connection.listener.clone(),
        format!("{}/{}", connection.pool, connection.backend.as_deref().unwrap_or("-")),
        connection.duration_ms.to_string(),
        connection.bytes_to_backend.to_string(),
        connection.bytes_to_client.to_string(),
        format!("{} {}", end.code, end.reason),
    ]
}
