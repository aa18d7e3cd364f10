//! `rondel connections --ended`: a line for each of the connections that ended last, as the access log has them.

use control::access_log::Ended;

use crate::backends::table;
use crate::connections::Arguments;
use crate::outcome::{Outcome, print, print_json};

pub(crate) fn ended(arguments: &Arguments) -> Outcome {
    let mut ended: Vec<Ended> = arguments.reach.read("/ended.json")?;
    ended.retain(|connection| is_meant(arguments, connection));
    ended.truncate(arguments.limit as usize);
    if arguments.reach.json {
        return print_json(&ended);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(ended.iter().map(row));
    print(&table(&rows))?;
    if ended.is_empty() && arguments.reach.status()?.access_log.to == "off" {
        return print("none is remembered: `access_log` is off");
    }
    Ok(())
}

fn is_meant(arguments: &Arguments, connection: &Ended) -> bool {
    let Arguments { pool, listener, backend, client, .. } = arguments;
    let Ended { pool: of_pool, backend: of_backend, backend_address, .. } = connection;
    let named = |wanted: &str| {
        let address = backend_address.map(|address| address.to_string());
        [of_backend.clone(), address].into_iter().flatten().any(|name| wanted == format!("{of_pool}/{name}"))
    };
    pool.as_ref().is_none_or(|pool| pool == of_pool)
        && listener.as_ref().is_none_or(|listener| *listener == connection.listener)
        && backend.as_ref().is_none_or(|backend| named(&backend.to_string()))
        && client.is_none_or(|client| connection.client.is_some_and(|address| address.ip() == client))
}

const COLUMNS: [&str; 8] =
    ["ACCEPTED", "CLIENT", "LISTENER", "BACKEND", "LIVED-MS", "TO-BACKEND", "TO-CLIENT", "END"];

fn row(connection: &Ended) -> [String; COLUMNS.len()] {
    let end = &connection.termination;
    [
        connection.accepted_at.clone(),
        connection.client.map_or_else(|| "gone".to_owned(), |client| client.to_string()),
        connection.listener.clone(),
        format!("{}/{}", connection.pool, connection.backend.as_deref().unwrap_or("-")),
        connection.duration_ms.to_string(),
        connection.bytes_to_backend.to_string(),
        connection.bytes_to_client.to_string(),
        format!("{} {}", end.code, end.reason),
    ]
}
