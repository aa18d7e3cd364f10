//! `rondel route CLIENT LISTENER`: which backend a client would get now, and why.

use std::net::IpAddr;

use api::{Route, RouteBackend, RouteLimits, RouteOutcome, RouteQuery};

use crate::access::check_line;
use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Outcome, print, print_json};
use crate::text::table;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel route 192.0.2.7 web
  rondel route 192.0.2.7 edge --sni api.example.com --alpn h2
  rondel route 192.0.2.7 edge --no-tls

The command changes nothing: the rotation of the pool does not advance, and no connection is made. \
SHARE is the share of such connections that a backend gets. OBSTACLES are why it gets none, unless every backend has \
one and `on_all_down` is `open`. If the listener has an access list or limits, or operators deny or allow addresses, \
what decides about the client is shown as well.

Exit codes: 0 success; 3 there is no such listener.")]
pub(crate) struct Arguments {
    /// The address of the client
    #[arg(value_name = "CLIENT")]
    client: IpAddr,
    /// The name of the listener that it connects to
    #[arg(value_name = "LISTENER", add = names::listeners())]
    listener: String,
    /// The name that its TLS hello asks for; without it, it asks for none
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// A protocol that its TLS hello offers; may be repeated
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// What it sends is not TLS
    #[arg(long, conflicts_with_all = ["sni", "alpn"])]
    no_tls: bool,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn route(arguments: &Arguments) -> Outcome {
    let query = RouteQuery {
        client: arguments.client,
        listener: arguments.listener.clone(),
        sni: arguments.sni.clone(),
        alpn: arguments.alpn.clone(),
        not_tls: arguments.no_tls,
    };
    let route: Route = arguments.admin.query("/route", &query)?;
    if arguments.admin.json {
        return print_json(&route);
    }
    print(&page(&query, &route))
}

fn page(query: &RouteQuery, route: &Route) -> String {
    let RouteQuery { client, listener, .. } = query;
    let by = route.route.as_ref().map_or_else(String::new, |route| format!(" by route {route}"));
    let chosen = match route.outcome {
        RouteOutcome::Backend | RouteOutcome::OneOf => route.chosen.join(", or "),
        RouteOutcome::Held => "held".to_owned(),
        RouteOutcome::Queued => "queued".to_owned(),
        RouteOutcome::Refused => "refused".to_owned(),
        RouteOutcome::NotAccepted => "not accepted".to_owned(),
    };
    let role = route.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
    let access = route.access.as_ref().map(|check| format!("  access: {}\n", check_line(*client, check)));
    let limits = route.limits.as_ref().map(|limits| format!("  limits: {}\n", limits_line(limits)));
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(route.backends.iter().map(|backend| row(&route.pool, backend)));
    format!(
        "{client} at {listener}{by}, pool {}{role}, {}: {chosen}\n  {}\n{}{}\n{}",
        route.pool,
        route.balance,
        route.why,
        access.unwrap_or_default(),
        limits.unwrap_or_default(),
        table(&rows)
    )
}

/// The state of limits: `visitors, 192.0.2.7 has 3 of 256 connections; 20/s after 200`.
fn limits_line(limits: &RouteLimits) -> String {
    let Some(source) = &limits.source else {
        return format!("{}, which the client is exempt from", limits.name);
    };
    let of = limits.connections_max.map_or_else(String::new, |most| format!(" of {most}"));
    let connections = if limits.connections == 1 && of.is_empty() { "connection" } else { "connections" };
    let rate = limits.rate.as_ref().map_or_else(String::new, |rate| format!("; {rate}"));
    let refused = limits.refused.as_ref().map_or_else(String::new, |reason| {
        let trial = if limits.dry_run { ", which is only counted: it is a trial" } else { "" };
        format!("; another would be refused now with the reason {reason}{trial}")
    });
    format!("{}, {source} has {}{of} {connections}{rate}{refused}", limits.name, limits.connections)
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
