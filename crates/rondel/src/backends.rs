//! `rondel backends`: one line for each backend of a running rondel.

use api::{BackendStatus, RemovedKind, RemovedStatus, Status};
use config::{show_addresses, unknown};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Failed, Outcome, print, print_json};
use crate::text::{left, overrides, span, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel backends
  rondel backends web
  rondel backends --json | jq '.[].backends[] | select(.state == \"down\")'

STATE combines the verdict of the probe with ejections; a backend without a probe counts as available. SINCE is the time since the verdict changed. \
OVERRIDE lists changes by operators: drained, disabled, or another weight. \
Removed backends are listed while they have connections.")]
pub(crate) struct Arguments {
    /// List only the backends of this pool
    #[arg(value_name = "POOL", add = names::pools())]
    pool: Option<String>,
    /// The same, as other commands have it
    #[arg(long = "pool", value_name = "POOL", conflicts_with = "pool", add = names::pools())]
    of_pool: Option<String>,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn backends(arguments: &Arguments) -> Outcome {
    let mut status = arguments.admin.status()?;
    if let Some(wanted) = arguments.pool.as_ref().or(arguments.of_pool.as_ref()) {
        require_pool(&status, [], wanted)?;
        status.pools.retain(|pool| pool.name == *wanted);
        status.removed.retain(|removed| removed.pool == *wanted);
    }
    if arguments.admin.json {
        return print_json(&status.pools);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for pool in &status.pools {
        rows.extend(pool.backends.iter().map(|backend| row(&pool.name, backend)));
    }
    rows.extend(
        status.removed.iter().filter(|removed| removed.kind == RemovedKind::Backend).map(removed_row),
    );
    print(table(&rows).trim_end())
}

/// Fails unless a pool has this name, or a removed backend or listener belongs to it, or it is one of `others`.
pub(crate) fn require_pool<'a>(
    status: &'a Status,
    others: impl IntoIterator<Item = &'a str>,
    name: &str,
) -> Result<(), Failed> {
    let known: Vec<&str> = status.pools.iter().map(|pool| pool.name.as_str()).collect();
    let removed = status.removed.iter().map(|removed| removed.pool.as_str());
    if removed.chain(others).chain(known.iter().copied()).any(|pool| pool == name) {
        return Ok(());
    }
    Err(Failed::Unknown(unknown("pool", name, &known)))
}

const COLUMNS: [&str; 14] = [
    "BACKEND",
    "ADDRESS",
    "TIER",
    "STATE",
    "ROLE",
    "LAG",
    "WEIGHT",
    "ACTIVE",
    "PICKED",
    "CONNECTED",
    "FAILED",
    "SINCE",
    "OVERRIDE",
    "ERROR",
];

fn row(pool: &str, backend: &BackendStatus) -> [String; COLUMNS.len()] {
    let none = || "-".to_owned();
    let probe = backend.probe.as_ref();
    [
        format!("{pool}/{}", backend.name),
        backend.address.to_string(),
        backend.tier.to_string(),
        backend.state_in_words(),
        backend.role.map_or_else(none, |role| role.to_string()),
        backend.lag_seconds.map_or_else(none, |lag| format!("{lag:.1}s")),
        backend.weight.to_string(),
        backend.active.to_string(),
        backend.picked.to_string(),
        backend.connected.to_string(),
        backend.connect_failed.to_string(),
        probe.map_or_else(none, |probe| span(probe.since_seconds)),
        overrides(backend.overrides),
        probe.and_then(|probe| probe.error.clone()).unwrap_or_else(none),
    ]
}

fn removed_row(removed: &RemovedStatus) -> [String; COLUMNS.len()] {
    let mut row = COLUMNS.map(|_| "-".to_owned());
    row[0] = format!("{}/{}", removed.pool, removed.name);
    row[1] = show_addresses(&removed.addresses);
    "removed".clone_into(&mut row[3]);
    row[7] = removed.active.to_string();
    row[12] = left(removed);
    row
}
