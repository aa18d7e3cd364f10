//! `rondel connections`: one line for each connection of a running rondel.

use api::{BackendName, ConnectionStatus, Connections, LIMIT_MAX, Query};
use config::Prefix;

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Outcome, print, print_json, remark};
use crate::text::{number, read_prefix, span, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel connections
  rondel connections --backend web/a --limit 20
  rondel connections --client 203.0.113.0/24
  rondel connections --ended
  rondel connections --json | jq '.connections[] | select(.spliced)'

The oldest connections come first; with --ended, those that ended last. ID is for `rondel close`. \
TO-BACKEND and TO-CLIENT are bytes. STATE is connecting, held (waiting for a primary), queued \
(waiting for a backend that is not full), relaying, half_closed or closing; `spliced` is added \
while the kernel moves data without copying. Standard output has only the list; a note about an \
empty or incomplete list goes to standard error.

Exit codes: 0 success; 3 there is no such pool, listener or backend.")]
pub(crate) struct Arguments {
    /// List only connections of this pool
    #[arg(long, value_name = "POOL", add = names::pools())]
    pub(crate) pool: Option<String>,
    /// List only connections of this listener
    #[arg(long, value_name = "LISTENER", add = names::listeners())]
    pub(crate) listener: Option<String>,
    /// List only connections to this backend
    #[arg(long, value_name = "POOL/BACKEND", add = names::backends_and_removed())]
    pub(crate) backend: Option<BackendName>,
    /// List only connections of clients with this address, or with one of this prefix
    #[arg(long, value_name = "IP|PREFIX", value_parser = read_prefix)]
    pub(crate) client: Option<Prefix>,
    /// The maximum number of connections to list
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = number(1..=LIMIT_MAX))]
    pub(crate) limit: u32,
    /// List the connections that ended last, of listeners with an access log
    #[arg(long)]
    pub(crate) ended: bool,
    #[command(flatten)]
    pub(crate) admin: AdminClient,
}

pub(crate) fn connections(arguments: &Arguments) -> Outcome {
    let query = Query {
        listener: arguments.listener.clone(),
        pool: arguments.pool.clone(),
        backend: arguments.backend.clone(),
        client: arguments.client,
        limit: Some(arguments.limit),
    };
    let answer: Connections = arguments.admin.query("/connections", &query)?;
    if arguments.admin.json {
        return print_json(&answer);
    }
    let rows: Vec<_> = answer.connections.iter().map(row).collect();
    let shown = if answer.connections.iter().any(|connection| connection.via.is_some()) {
        // Where proxies are in front, which one it was.
        let via = |connection: &ConnectionStatus| {
            connection.via.map_or_else(|| "-".to_owned(), |via| via.to_string())
        };
        let vias = ["VIA".to_owned()].into_iter().chain(answer.connections.iter().map(via));
        let rows = [COLUMNS.map(str::to_owned)].into_iter().chain(rows);
        table(&rows.zip(vias).map(|(row, via)| with_via(row, via)).collect::<Vec<_>>())
    } else {
        table(&[COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>())
    };
    print(shown.trim_end())?;
    if answer.connections.is_empty() && answer.silent_workers.is_empty() {
        remark(&format!("there is no connection{} now", filter(arguments)));
    }
    if answer.left_out > 0 {
        remark(&format!(
            "and {} more: raise `--limit`, at most {LIMIT_MAX}, or use a filter such as `--pool`",
            answer.left_out
        ));
    }
    for worker in &answer.silent_workers {
        remark(&format!("worker {worker} did not answer within a second: its connections are missing"));
    }
    Ok(())
}

/// The filter in words, to be appended to `connection`.
pub(crate) fn filter(arguments: &Arguments) -> String {
    let Arguments { pool, listener, backend, client, .. } = arguments;
    let filters = [
        pool.as_ref().map(|pool| format!(" of pool {pool}")),
        listener.as_ref().map(|listener| format!(" of listener {listener}")),
        backend.as_ref().map(|backend| format!(" to backend {backend}")),
        client.map(|client| format!(" of client {client}")),
    ];
    filters.into_iter().flatten().collect()
}

const COLUMNS: [&str; 8] = ["ID", "CLIENT", "LISTENER", "BACKEND", "AGE", "TO-BACKEND", "TO-CLIENT", "STATE"];

/// A row with the proxy beside the client.
fn with_via(row: [String; COLUMNS.len()], via: String) -> [String; COLUMNS.len() + 1] {
    let [id, client, listener, backend, age, to_backend, to_client, state] = row;
    [id, client, via, listener, backend, age, to_backend, to_client, state]
}

fn row(connection: &ConnectionStatus) -> [String; COLUMNS.len()] {
    let spliced = if connection.spliced { ",spliced" } else { "" };
    [
        connection.id.to_string(),
        connection.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
        connection.listener.clone(),
        format!("{}/{}", connection.pool, connection.backend.as_deref().unwrap_or("-")),
        span(connection.age_seconds),
        connection.bytes_to_backend.to_string(),
        connection.bytes_to_client.to_string(),
        format!("{}{spliced}", connection.state),
    ]
}
