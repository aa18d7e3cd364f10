//! `rondel explain CLIENT LISTENER`: whom a client would be given now, and why.

use std::net::IpAddr;

use control::admin::{CaseStatus, ExplanationStatus, RouteQuery};

use crate::admin::Reach;
use crate::backends::table;
use crate::outcome::{Failed, Outcome, print, print_json};

pub(crate) fn route(reach: &Reach, client: &str, listener: &str) -> Outcome {
    let client: IpAddr = client
        .parse()
        .map_err(|_| Failed::Usage(format!("`{client}` is not an IP address, such as 192.0.2.7")))?;
    let coming = RouteQuery { client, listener: listener.to_owned() };
    let told: ExplanationStatus = reach.question("/explain", &coming)?;
    if reach.json {
        return print_json(&told);
    }
    print(&page(&coming, &told))
}

fn page(coming: &RouteQuery, told: &ExplanationStatus) -> String {
    let RouteQuery { client, listener } = coming;
    let chosen = match told.outcome.as_str() {
        "backend" | "one_of" => told.chosen.join(", or "),
        other => other.replace('_', " "),
    };
    let wanted = told.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(told.backends.iter().map(|case| row(&told.pool, case)));
    format!(
        "{client} at {listener}, pool {}{wanted}, {}: {chosen}\n  {}\n\n{}",
        told.pool,
        told.balance,
        told.why,
        table(&rows)
    )
}

const COLUMNS: [&str; 8] = ["BACKEND", "SHARE", "STATE", "ROLE", "TIER", "WEIGHT", "ACTIVE", "AGAINST IT"];

fn row(pool: &str, case: &CaseStatus) -> [String; COLUMNS.len()] {
    let CaseStatus { name, share_percent, obstacles, status, .. } = case;
    let most = status.connections_max.map_or_else(String::new, |most| format!("/{most}"));
    [
        format!("{pool}/{name}"),
        format!("{share_percent:.0}%"),
        status.state.clone(),
        status.role.clone().unwrap_or_else(|| "-".to_owned()),
        status.tier.clone(),
        status.weight.to_string(),
        format!("{}{most}", status.active),
        if obstacles.is_empty() { "-".to_owned() } else { obstacles.join("; ") },
    ]
}
