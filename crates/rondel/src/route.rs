//! `rondel route CLIENT LISTENER`: which backend a client would get now, and why.

use std::net::IpAddr;

use api::{Route, RouteBackend, RouteOutcome, RouteQuery};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Outcome, print, print_json};
use crate::text::table;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel route 192.0.2.7 web

The command changes nothing: the rotation of the pool does not advance, and no connection is made. \
SHARE is the share of such connections that a backend gets. OBSTACLES are why it gets none, unless \
every backend has one and `on_all_down` is `open`.

Exit codes: 0 success; 3 there is no such listener.")]
pub(crate) struct Arguments {
    /// The address of the client
    #[arg(value_name = "CLIENT")]
    client: IpAddr,
    /// The name of the listener that it connects to
    #[arg(value_name = "LISTENER", add = names::listeners())]
    listener: String,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn route(arguments: &Arguments) -> Outcome {
    let query = RouteQuery { client: arguments.client, listener: arguments.listener.clone() };
    let route: Route = arguments.admin.query("/route", &query)?;
    if arguments.admin.json {
        return print_json(&route);
    }
    print(&page(&query, &route))
}

fn page(query: &RouteQuery, route: &Route) -> String {
    let RouteQuery { client, listener } = query;
    let chosen = match route.outcome {
        RouteOutcome::Backend | RouteOutcome::OneOf => route.chosen.join(", or "),
        RouteOutcome::Held => "held".to_owned(),
        RouteOutcome::Queued => "queued".to_owned(),
        RouteOutcome::Refused => "refused".to_owned(),
        RouteOutcome::NotAccepted => "not accepted".to_owned(),
    };
    let role = route.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(route.backends.iter().map(|backend| row(&route.pool, backend)));
    format!(
        "{client} at {listener}, pool {}{role}, {}: {chosen}\n  {}\n\n{}",
        route.pool,
        route.balance,
        route.why,
        table(&rows)
    )
}

const COLUMNS: [&str; 8] = ["BACKEND", "SHARE", "STATE", "ROLE", "TIER", "WEIGHT", "ACTIVE", "OBSTACLES"];

fn row(pool: &str, backend: &RouteBackend) -> [String; COLUMNS.len()] {
    let RouteBackend { name, share_percent, obstacles, status, .. } = backend;
    let limit = status.connections_max.map_or_else(String::new, |limit| format!("/{limit}"));
    [
        format!("{pool}/{name}"),
        format!("{share_percent:.0}%"),
        status.state_in_words(),
        status.role.map_or_else(|| "-".to_owned(), |role| role.to_string()),
        status.tier.to_string(),
        status.weight.to_string(),
        format!("{}{limit}", status.active),
        if obstacles.is_empty() { "-".to_owned() } else { obstacles.join("; ") },
    ]
}
