//! `rondel status`: the status of a running rondel on a page, which begins with what is wrong.

use std::fmt::Write as _;

use api::{ListenerStatus, PoolStatus, Problem, Severity, Status, Tier};
use config::{counted, show_addresses};

use crate::admin::AdminClient;
use crate::clock::Clock;
use crate::outcome::{Outcome, print, print_json};
use crate::text::span;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel status
  rondel status --json | jq .problems
  rondel status --json | jq '.problems[] | select(.severity == \"error\")'

The page begins with what is wrong: errors (clients are rejected or wait, or the file is not in \
force), then warnings. Notes are what operators and reloads have caused, such as drains. Backends \
of a pool with the same problem are one line; `rondel backends POOL` lists them.

Exit codes: 0 whatever the problems are; 1 rondel cannot be reached. `rondel health` exits with 1 if \
rondel, a pool or a listener takes no connections.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn status(arguments: &Arguments) -> Outcome {
    let status = arguments.admin.status()?;
    if arguments.admin.json {
        return print_json(&status);
    }
    print(page(&status, &Clock::local()).trim_end())
}

fn page(status: &Status, clock: &Clock) -> String {
    let mut page = problems(status, clock);
    page.push('\n');
    page.push_str(&process(status, clock));
    page.push('\n');
    status.listeners.iter().for_each(|listener| page.push_str(&listener_line(listener)));
    status.pools.iter().for_each(|pool| page.push_str(&pool_line(pool)));
    page
}

fn problems(status: &Status, clock: &Clock) -> String {
    let (notes, wrong): (Vec<&Problem>, Vec<&Problem>) =
        status.problems.iter().partition(|problem| problem.severity == Severity::Note);
    let sentence = |problem: &Problem| problem.sentence(|seconds| clock.minute(seconds));
    let mut lines = match wrong.len() {
        0 => "all well\n".to_owned(),
        number => format!("{}:\n", counted(number, "problem")),
    };
    // Writing to a `String` does not fail.
    for problem in wrong {
        let _ = writeln!(lines, "  {:<7}  {}", problem.severity, sentence(problem));
    }
    if !notes.is_empty() {
        let _ = writeln!(lines, "{}:", counted(notes.len(), "note"));
    }
    for note in notes {
        let _ = writeln!(lines, "  {}", sentence(note));
    }
    lines
}

fn process(status: &Status, clock: &Clock) -> String {
    let mut lines = String::new();
    let Status { version, phase, connections, config, access_log: log, .. } = status;
    let workers: Vec<_> = status.workers.iter().map(|worker| worker.active.to_string()).collect();
    // Writing to a `String` does not fail.
    let _ = writeln!(lines, "rondel {version}: {phase}, for {}", span(status.uptime_seconds));
    let _ = writeln!(
        lines,
        "connections: {} of {}; by worker: {}",
        connections.active,
        connections.max,
        workers.join(", ")
    );
    let file = config.file.as_ref().map_or_else(String::new, |file| format!("{file}, "));
    let _ = writeln!(
        lines,
        "configuration: {file}read at {}; reloads: {} applied, {} refused",
        clock.second(config.loaded_at),
        config.applied,
        config.refused
    );
    let _ = writeln!(lines, "log: {}", status.log_level);
    if log.to != "off" {
        let written = counted(log.written, "line");
        let left_out = if log.left_out > 0 { format!(", {} left out", log.left_out) } else { String::new() };
        let _ = writeln!(lines, "access log: {}, {written} written, {} lost{left_out}", log.to, log.lost);
    }
    lines
}

fn listener_line(listener: &ListenerStatus) -> String {
    let ListenerStatus { name, addresses, active, connections_max, accepted, .. } = listener;
    let address = show_addresses(addresses);
    let (pools, s) = (listener.pools(), if listener.pools().len() == 1 { "" } else { "s" });
    let role = listener.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
    let held = if listener.held > 0 { format!(", {} held", listener.held) } else { String::new() };
    format!(
        "listener {name} {address} -> pool{s} {}{role}: {active} of {}{held}, {accepted} accepted\n",
        pools.join(", "),
        counted(*connections_max, "connection")
    )
}

fn pool_line(pool: &PoolStatus) -> String {
    let available = pool.backends.iter().filter(|backend| backend.weight > 0 && backend.is_available());
    let mut line = format!(
        "pool {}: {}, {} of {} take{} connections",
        pool.name,
        pool.balance,
        available.count(),
        counted(pool.backends.len(), "backend"),
        if pool.backends.len() == 1 { "s" } else { "" }
    );
    if pool.serving == Tier::Backup {
        line.push_str("; the backup tier serves");
    }
    if pool.queued > 0 {
        let waits = if pool.queued == 1 { "waits" } else { "wait" };
        let _ = write!(line, "; {} {waits}", counted(pool.queued, "client"));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use api::{BackendState, PoolStatus, Status, problems};

    use super::page;
    use crate::clock::Clock;

    #[test]
    fn a_page_begins_with_what_is_wrong_and_has_a_line_for_each_pool() {
        for pools in [1, 15, 100] {
            let page = page(&status(pools, 60, 59), &Clock::local());
            let lines: Vec<&str> = page.lines().collect();
            assert_eq!(
                lines[0],
                if pools == 1 { "1 problem:".to_owned() } else { format!("{pools} problems:") }
            );
            assert!(
                lines[1].starts_with("  warning  pool app-0: 59 of 60 backends are down since 1970-01-01 "),
                "{page}"
            );
            assert!(lines[1].ends_with(": connection refused"), "{page}");
            // A problem and a line for each pool, one listener, and the process.
            assert_eq!(lines.len(), 2 * pools + 8, "{page}");
        }
    }

    #[test]
    fn a_page_without_problems_says_so_in_a_line() {
        let mut status = status(15, 2, 0);
        assert!(page(&status, &Clock::local()).starts_with("all well\n\nrondel 1.2.3: serving, for 1m\n"));
        status.pools[0].backends[0].overrides.drained = true;
        status.problems = problems(&status);
        assert!(page(&status, &Clock::local()).starts_with(
            "all well\n1 note:\n  pool app-0: backend b-0, 1 of 2, is drained: it has 0 connections\n\nrondel "
        ));
    }

    /// So many pools of so many backends, of which some are down.
    fn status(pools: usize, backends: usize, down: usize) -> Status {
        let mut status: Status = serde_json::from_str(include_str!("top/status.json")).unwrap();
        let like = status.pools.remove(0);
        let backend = |number: usize| {
            let mut backend = like.backends[0].clone();
            backend.name = format!("b-{number}");
            backend.active = 0;
            if number < down {
                backend.state = BackendState::Down;
                backend.probe.as_mut().unwrap().error = Some("connection refused".to_owned());
            }
            backend
        };
        let backends: Vec<_> = (0..backends).map(backend).collect();
        status.pools = (0..pools)
            .map(|number| PoolStatus {
                name: format!("app-{number}"),
                backends: backends.clone(),
                ..like.clone()
            })
            .collect();
        status.problems = problems(&status);
        status
    }
}
