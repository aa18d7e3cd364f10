//! `rondel status`: the status of a running rondel on a page.

use std::fmt::Write as _;

use api::{ListenerStatus, PoolStatus, RemovedStatus, Status, Tier};
use config::counted;

use crate::admin::AdminClient;
use crate::outcome::{Outcome, print, print_json};
use crate::text::{left, span};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel status
  rondel status --json | jq .pools

`rondel backends` lists the backends.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn status(arguments: &Arguments) -> Outcome {
    let status = arguments.admin.status()?;
    if arguments.admin.json {
        return print_json(&status);
    }
    print(page(&status).trim_end())
}

fn page(status: &Status) -> String {
    let mut page = String::new();
    let phase = status.phase;
    let workers: Vec<_> = status.workers.iter().map(|worker| worker.active.to_string()).collect();
    // Writing to a `String` does not fail.
    let _ = writeln!(page, "rondel {}: {phase}, for {}", status.version, span(status.uptime_seconds));
    let _ = writeln!(
        page,
        "connections: {} of {}; by worker: {}",
        status.connections.active,
        status.connections.max,
        workers.join(", ")
    );
    let config = &status.config;
    let age = status.started_at + status.uptime_seconds - config.loaded_at;
    let _ = writeln!(
        page,
        "configuration: read {} ago; reloads: {} applied, {} refused",
        span(age),
        config.applied,
        config.refused
    );
    if let Some(error) = &config.last_error {
        let _ = writeln!(page, "  the last reload was refused: {error}");
    }
    let _ = writeln!(page, "log: {}", status.log_level);
    let log = &status.access_log;
    if log.to != "off" {
        let written = counted(log.written, "line");
        let _ = writeln!(page, "access log: {}, {written} written, {} lost", log.to, log.lost);
    }
    if let Some(error) = &log.error {
        let _ = writeln!(page, "  it cannot be written: {error}");
    }
    page.push('\n');
    status.listeners.iter().for_each(|listener| page.push_str(&listener_line(listener)));
    status.pools.iter().for_each(|pool| page.push_str(&pool_lines(pool)));
    for removed in &status.removed {
        let RemovedStatus { kind, pool, name, address, active, .. } = removed;
        let _ = writeln!(
            page,
            "removed {kind} {name} {address} of pool {pool}: {}, {}",
            counted(*active, "connection"),
            left(removed)
        );
    }
    page
}

fn listener_line(listener: &ListenerStatus) -> String {
    let ListenerStatus { name, address, pool, active, connections_max, accepted, .. } = listener;
    let role = listener.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
    let held = if listener.held > 0 { format!(", {} held", listener.held) } else { String::new() };
    format!(
        "listener {name} {address} -> pool {pool}{role}: {active} of {connections_max} connections{held}, \
         {accepted} accepted\n"
    )
}

fn pool_lines(pool: &PoolStatus) -> String {
    let available = pool.backends.iter().filter(|backend| backend.weight > 0 && backend.is_available());
    let mut lines = format!(
        "pool {}: {}, {} of {} take{} connections",
        pool.name,
        pool.balance,
        available.count(),
        counted(pool.backends.len(), "backend"),
        if pool.backends.len() == 1 { "s" } else { "" }
    );
    if pool.serving == Tier::Backup {
        lines.push_str("; the backup tier serves");
    }
    if pool.queued > 0 {
        let waits = if pool.queued == 1 { "waits" } else { "wait" };
        let _ = write!(lines, "; {} {waits}", counted(pool.queued, "client"));
    }
    lines.push('\n');
    if !pool.conflict.is_empty() {
        let _ =
            writeln!(lines, "  conflict: {} all report that they are the primary", pool.conflict.join(", "));
    }
    lines
}
