//! `rondel backends`: a line for each backend of a running rondel.

use control::admin::{BackendStatus, LeavingStatus, OverrideStatus, Status};
use control::unknown;

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print, print_json};
use crate::status::span;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel backends
  rondel backends --pool web
  rondel backends --json | jq '.[].backends[] | select(.state == \"down\")'

STATE is what is made of its probe and of failed connects; SINCE is how long its probe says so. SAID is what operators said:
drained, disabled, or another weight. What reloads removed is listed while it has connections: `removed`, and how long they have yet.")]
pub(crate) struct Arguments {
    /// Only those of this pool
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn backends(arguments: &Arguments) -> Outcome {
    let mut status = arguments.reach.status()?;
    if let Some(wanted) = &arguments.pool {
        check_pool(&status, [], wanted)?;
        status.pools.retain(|pool| pool.name == *wanted);
        status.leaving.retain(|gone| gone.pool == *wanted);
    }
    if arguments.reach.json {
        return print_json(&status.pools);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for pool in &status.pools {
        rows.extend(pool.backends.iter().map(|backend| row(&pool.name, backend)));
    }
    rows.extend(status.leaving.iter().filter(|gone| gone.kind == "backend").map(row_of_removed));
    print(table(&rows).trim_end())
}

/// Whether there is a pool of this name, or one with connections yet that a reload removed, or one of `others`.
pub(crate) fn check_pool<'a>(
    status: &'a Status,
    others: impl IntoIterator<Item = &'a str>,
    name: &str,
) -> Result<(), Failed> {
    let known: Vec<&str> = status.pools.iter().map(|pool| pool.name.as_str()).collect();
    let removed = status.leaving.iter().map(|gone| gone.pool.as_str());
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
    "SAID",
    "ERROR",
];

fn row(pool: &str, backend: &BackendStatus) -> [String; COLUMNS.len()] {
    let none = || "-".to_owned();
    let probe = backend.probe.as_ref();
    [
        format!("{pool}/{}", backend.name),
        backend.address.to_string(),
        backend.tier.clone(),
        backend.state.clone(),
        backend.role.clone().unwrap_or_else(none),
        backend.lag_seconds.map_or_else(none, |lag| format!("{lag:.1}s")),
        backend.weight.to_string(),
        backend.active.to_string(),
        backend.picked.to_string(),
        backend.connected.to_string(),
        backend.connect_failed.to_string(),
        probe.map_or_else(none, |probe| span(probe.since_seconds)),
        said(backend.overrides),
        probe.and_then(|probe| probe.error.clone()).unwrap_or_else(none),
    ]
}

fn row_of_removed(gone: &LeavingStatus) -> [String; COLUMNS.len()] {
    let mut row = COLUMNS.map(|_| "-".to_owned());
    row[0] = format!("{}/{}", gone.pool, gone.name);
    row[1] = gone.address.to_string();
    "removed".clone_into(&mut row[3]);
    row[7] = gone.active.to_string();
    row[12] = left(gone);
    row
}

/// How long the connections of what was removed have yet.
pub(crate) fn left(gone: &LeavingStatus) -> String {
    gone.seconds_left.map_or_else(|| "kept".to_owned(), |seconds| format!("{seconds}s left"))
}

pub(crate) fn said(said: OverrideStatus) -> String {
    let mut words = Vec::new();
    let left = said.drain_seconds_left.map(|seconds| format!("({seconds}s left)"));
    words.extend(said.drained.then(|| format!("drained{}", left.unwrap_or_default())));
    words.extend(said.disabled.then(|| "disabled".to_owned()));
    words.extend(said.weight.map(|weight| format!("weight={weight}")));
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// Columns of one width each, but for the last.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N - 1).map(width).chain([0]).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["A", "B", "C"], ["longer", "1", "the rest, as it is"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A       B  C\nlonger  1  the rest, as it is");
    }
}
