//! What is wrong, in words: one line for each kind of problem of a pool, errors first.

use std::collections::BTreeMap;

use api::{
    BackendRole, BackendState, BackendStatus, ListenerRole, ListenerStatus, Phase, PoolStatus, Status, Tier,
};
use config::counted;

use crate::top::clock::Clock;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// A pool takes no connections.
    Outage,
    /// Clients are affected, or soon.
    Error,
    /// Worth knowing.
    Warning,
}

/// The problems, errors first, otherwise of the process, then in the order of the file.
pub(super) fn problems(status: &Status, clock: &Clock) -> Vec<Problem> {
    let mut problems = of_process(status);
    status.listeners.iter().for_each(|listener| of_listener(listener, &mut problems));
    for pool in &status.pools {
        let primary = status.listeners.iter().any(|listener| {
            listener.pool == pool.name && matches!(listener.role, Some(ListenerRole::Primary))
        });
        of_pool(pool, primary, clock, &mut problems);
    }
    // The sort is stable.
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// Whether something is wrong with a pool itself.
pub(super) fn is_sick(pool: &PoolStatus) -> bool {
    pool.backends.iter().any(|backend| !backend.is_available())
        || !pool.conflict.is_empty()
        || pool.serving == Tier::Backup
        || pool.queued > 0
}

fn error(text: String) -> Problem {
    Problem { severity: Severity::Error, text }
}

fn warning(text: String) -> Problem {
    Problem { severity: Severity::Warning, text }
}

fn of_process(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    match status.phase {
        Phase::Serving => {}
        Phase::Draining => problems.push(error("it drains: no new connection is accepted".to_owned())),
        Phase::Ending => problems.push(error("it ends: every connection is closed".to_owned())),
    }
    if status.connections.active >= status.connections.max {
        let max = status.connections.max;
        problems.push(error(format!("the process has all of its {max} connections: new clients wait")));
    }
    if let Some(why) = &status.config.last_error {
        problems.push(warning(format!("the last reload was refused: {}", first_line(why))));
    }
    if let Some(why) = &status.access_log.error {
        problems.push(warning(format!("the access log cannot be written: {}", first_line(why))));
    }
    problems
}

fn of_listener(listener: &ListenerStatus, problems: &mut Vec<Problem>) {
    let ListenerStatus { name, active, connections_max, held, .. } = listener;
    if *active >= u64::from(*connections_max) {
        problems.push(error(format!(
            "listener {name}: it has all of its {connections_max} connections: new clients wait"
        )));
    }
    if *held > 0 {
        let held = counted(*held, "client");
        problems.push(error(format!("listener {name}: {held} held until there is a primary")));
    }
}

fn of_pool(pool: &PoolStatus, needs_primary: bool, clock: &Clock, problems: &mut Vec<Problem>) {
    let name = &pool.name;
    let total = pool.backends.len();
    let any = pool.backends.iter().any(BackendStatus::is_available);
    let by =
        |holds: fn(&BackendStatus) -> bool| pool.backends.iter().filter(|backend| holds(backend)).collect();
    let down: Vec<_> = by(|backend| backend.state == BackendState::Down && !backend.overrides.disabled);
    let disabled: Vec<_> = by(|backend| backend.overrides.disabled);
    let ejected: Vec<_> = by(|backend| backend.state == BackendState::Ejected);
    let drained: Vec<_> = by(|backend| backend.overrides.drained && !backend.overrides.disabled);
    let lagging: Vec<_> = by(|backend| backend.role == Some(BackendRole::Lagging));
    // A backend that is down is an error even if others take its connections; one that is disabled is intended.
    let or_outage = |severity| if any { severity } else { Severity::Outage };
    if !down.is_empty() {
        let text = format!("{}{}", which(name, total, &down, "down"), since_and_why(&down, clock));
        problems.push(Problem { severity: or_outage(Severity::Error), text });
    }
    if !ejected.is_empty() {
        let text = format!("{}, because connects fail", which(name, total, &ejected, "ejected"));
        problems.push(Problem { severity: or_outage(Severity::Error), text });
    }
    if !disabled.is_empty() {
        let text = which(name, total, &disabled, "disabled by an operator");
        problems.push(Problem { severity: or_outage(Severity::Warning), text });
    }
    if !pool.conflict.is_empty() {
        let names = shown(pool.conflict.iter().map(String::as_str));
        problems.push(error(format!("{name}: {names} all report that they are the primary")));
    }
    let has_primary = pool.backends.iter().any(|backend| backend.role == Some(BackendRole::Primary));
    if needs_primary && !has_primary {
        problems.push(error(format!("{name}: no primary")));
    }
    if pool.queued > 0 {
        let PoolStatus { queued, queue_size, .. } = pool;
        let waits = if *queued == 1 { "waits" } else { "wait" };
        problems.push(warning(format!(
            "{name}: {} of at most {queue_size} {waits} for a backend that is not full",
            counted(*queued, "client")
        )));
    }
    if pool.serving == Tier::Backup {
        problems.push(warning(format!("{name}: the backup tier serves")));
    }
    if !lagging.is_empty() {
        problems.push(warning(which(name, total, &lagging, "too far behind the primary")));
    }
    if !drained.is_empty() {
        problems.push(warning(which(name, total, &drained, "drained by an operator")));
    }
}

/// `web/a: down`, or `web: 59 of 60 down`.
fn which(pool: &str, total: usize, backends: &[&BackendStatus], what: &str) -> String {
    match backends {
        [one] => format!("{pool}/{}: {what}", one.name),
        several => format!("{pool}: {} of {total} {what}", several.len()),
    }
}

/// Since when the first of them is down, and the most frequent error.
fn since_and_why(down: &[&BackendStatus], clock: &Clock) -> String {
    let probes = || down.iter().filter_map(|backend| backend.probe.as_ref());
    let since = probes().map(|probe| probe.since_seconds).max_by(f64::total_cmp);
    let mut errors = BTreeMap::<&str, usize>::new();
    for error in probes().filter_map(|probe| probe.error.as_deref()) {
        *errors.entry(first_line(error)).or_default() += 1;
    }
    let since = since.map(|seconds| format!(" since {}", clock.ago(seconds))).unwrap_or_default();
    let why = errors.iter().max_by_key(|(_, count)| **count).map(|(error, _)| format!(", {error}"));
    let others = match errors.len() {
        0 | 1 => String::new(),
        number => format!(", and {}", counted(number - 1, "other error")),
    };
    format!("{since}{}{others}", why.unwrap_or_default())
}

/// The first names, and how many more there are.
fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let first = names[..names.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The most names in one line.
const NAMES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use api::{BackendState, ListenerRole, Status, Tier};

    use super::problems;
    use crate::top::clock::Clock;

    /// A pool of this many backends, the first ones of which are down for the reason.
    fn status(backends: usize, down: usize, why: &str) -> Status {
        let mut status: Status = serde_json::from_str(include_str!("status.json")).unwrap();
        let sample = status.pools[0].backends[0].clone();
        status.pools[0].backends = (0..backends)
            .map(|number| {
                let mut backend = sample.clone();
                backend.name = format!("b{number}");
                if number < down {
                    backend.state = BackendState::Down;
                    let probe = backend.probe.as_mut().unwrap();
                    probe.error = Some(why.to_owned());
                    probe.since_seconds = 60.0;
                }
                backend
            })
            .collect();
        status
    }

    #[track_caller]
    fn check(status: &Status, expected: &[&str]) {
        let clock = Clock::utc(status);
        let found: Vec<_> = problems(status, &clock).into_iter().map(|problem| problem.text).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_wrong_with_a_pool_whose_backends_are_up() {
        check(&status(60, 0, ""), &[]);
    }

    #[test]
    fn backends_that_are_down_are_one_line_of_their_pool() {
        // The process started at 00:16:40 of 1970 and has been running for a minute.
        check(&status(60, 59, "connection refused"), &["app: 59 of 60 down since 00:16, connection refused"]);
        check(&status(3, 1, "connection refused"), &["app/b0: down since 00:16, connection refused"]);
        let mut mixed = status(3, 3, "connection refused");
        mixed.pools[0].backends[2].probe.as_mut().unwrap().error = Some("no answer".to_owned());
        mixed.pools[0].backends[2].probe.as_mut().unwrap().since_seconds = 1060.0;
        check(&mixed, &["app: 3 of 3 down since 00:00, connection refused, and 1 other error"]);
        // A pool that takes no connections is before one that takes some.
        let mut two = status(60, 1, "connection refused");
        let mut dead = status(1, 1, "no answer").pools.remove(0);
        dead.name = "dead".to_owned();
        two.pools.push(dead);
        check(
            &two,
            &["dead/b0: down since 00:16, no answer", "app/b0: down since 00:16, connection refused"],
        );
    }

    #[test]
    fn errors_are_before_warnings() {
        let mut status = status(3, 1, "no answer");
        status.config.last_error = Some("rondel.yaml:7:1: wrong\nand more".to_owned());
        status.pools[0].serving = Tier::Backup;
        status.pools[0].queued = 1;
        status.pools[0].queue_size = 5;
        status.pools[0].backends[0].role = None;
        status.pools[0].backends[1].role = None;
        status.pools[0].backends[2].role = None;
        status.pools[0].backends[2].overrides.drained = true;
        status.listeners[0].role = Some(ListenerRole::Primary);
        status.listeners[0].held = 2;
        check(
            &status,
            &[
                "listener web: 2 clients held until there is a primary",
                "app/b0: down since 00:16, no answer",
                "app: no primary",
                "the last reload was refused: rondel.yaml:7:1: wrong",
                "app: 1 client of at most 5 waits for a backend that is not full",
                "app: the backup tier serves",
                "app/b2: drained by an operator",
            ],
        );
    }
}
