//! `rondel connections`: a line for each connection of a running rondel.

use std::net::IpAddr;

use api::{BackendName, ConnectionStatus, Connections, Query};

use crate::admin::Reach;
use crate::ended::ended;
use crate::outcome::{Outcome, print, print_json, remark};
use crate::text::{span, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel connections
  rondel connections --backend web/a --limit 20
  rondel connections --ended
  rondel connections --json | jq '.connections[] | select(.state == \"half_closed\")'

The oldest of those that are listed come first; with --ended, those that ended last. STATE is connecting, held (for a primary), queued (for a place), relaying,
half_closed or closing, and whether the kernel splices its bytes at the moment. TO-BACKEND and TO-CLIENT are bytes. ID is what
`rondel close` takes. A pool, a listener or a backend that does not exist is refused. Standard output has the list alone; that it is
empty, or not all of it, is said on standard error.
Exit codes: 0 as asked, 3 there is no such pool, listener or backend.")]
pub(crate) struct Arguments {
    /// Only those of this pool
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// Only those of this listener
    #[arg(long, value_name = "LISTENER")]
    pub(crate) listener: Option<String>,
    /// Only those to this backend
    #[arg(long, value_name = "POOL/BACKEND")]
    pub(crate) backend: Option<BackendName>,
    /// Only those of clients at this address
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<IpAddr>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Those that ended last, of listeners that have an access log; the latest comes first
    #[arg(long)]
    ended: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

pub(crate) fn connections(arguments: &Arguments) -> Outcome {
    if arguments.ended {
        return ended(arguments);
    }
    let query = Query {
        listener: arguments.listener.clone(),
        pool: arguments.pool.clone(),
        backend: arguments.backend.clone(),
        client: arguments.client,
        limit: Some(arguments.limit),
    };
    let answer: Connections = arguments.reach.question("/connections", &query)?;
    if arguments.reach.json {
        return print_json(&answer);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(answer.connections.iter().map(row));
    print(table(&rows).trim_end())?;
    if answer.connections.is_empty() && answer.silent_workers.is_empty() {
        remark(&format!("there is no connection{} now", wanted(arguments)));
    }
    if answer.left_out > 0 {
        remark(&format!("and {} more: --limit lists up to 10000, --pool and others choose", answer.left_out));
    }
    for worker in &answer.silent_workers {
        remark(&format!("worker {worker} has not answered within a second: its connections are missing"));
    }
    Ok(())
}

/// What was chosen, in words that go on after `connection`.
pub(crate) fn wanted(arguments: &Arguments) -> String {
    let Arguments { pool, listener, backend, client, .. } = arguments;
    let chosen = [
        pool.as_ref().map(|pool| format!(" of pool {pool}")),
        listener.as_ref().map(|listener| format!(" of listener {listener}")),
        backend.as_ref().map(|backend| format!(" to backend {backend}")),
        client.map(|client| format!(" of client {client}")),
    ];
    chosen.into_iter().flatten().collect()
}

const COLUMNS: [&str; 8] = ["ID", "CLIENT", "LISTENER", "BACKEND", "AGE", "TO-BACKEND", "TO-CLIENT", "STATE"];

fn row(connection: &ConnectionStatus) -> [String; COLUMNS.len()] {
    let spliced = if connection.spliced { ",spliced" } else { "" };
    [
        connection.id.to_string(),
        connection.client.map_or_else(|| "gone".to_owned(), |client| client.to_string()),
        connection.listener.clone(),
        format!("{}/{}", connection.pool, connection.backend.as_deref().unwrap_or("-")),
        span(connection.age_seconds),
        connection.bytes_to_backend.to_string(),
        connection.bytes_to_client.to_string(),
        format!("{}{spliced}", connection.state),
    ]
}
