//! What is wrong or unusual in a status: the one derivation for `rondel status`, `rondel top` and the dashboard.
//!
//! Backends of one pool that have the same problem are one problem, so a pool of a thousand backends that are all
//! down has one line.

mod group; // Backends that have the same problem.
mod pool; // The problems of a pool.

use config::{counted, show_duration};

use self::pool::{available_part, has_primary, wait};
use crate::problem::{Problem, ProblemKind, Severity};
use crate::{ListenerStatus, LogLevel, Phase, PoolStatus, RemovedStatus, Status};

/// The problems of a status: the most severe first; then those of the process, of listeners, and of pools, of which
/// one with a smaller part of its backends available comes first. Equal ones have the order of the file. Empty if
/// there is none.
///
/// It reads nothing of [`Status::problems`].
pub fn problems(status: &Status) -> Vec<Problem> {
    let mut problems = of_process(status);
    problems.extend(status.shortages.iter().map(shortage));
    for listener in &status.listeners {
        problems.extend(of_listener(status, listener));
    }
    let mut pools: Vec<&PoolStatus> = status.pools.iter().collect();
    pools.sort_by(|one, other| available_part(one).total_cmp(&available_part(other)));
    for pool in pools {
        problems.extend(pool::problems(status, pool));
    }
    problems.extend(status.removed.iter().map(removed));
    problems.sort_by_key(|problem| problem.severity as u8);
    problems
}

fn of_process(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    match status.phase {
        Phase::Serving => {}
        Phase::Draining | Phase::Ending => problems.push(Problem::of_process(
            Severity::Error,
            ProblemKind::Phase,
            format!("the process is {} and accepts no new connections", status.phase),
        )),
    }
    problems.extend(of_config(status));
    problems.extend(limit(status.connections.active.into(), status.connections.max).map(|limit| Problem {
        why: limit.why,
        ..Problem::of_process(limit.severity, ProblemKind::Limit, format!("the process has {}", limit.text))
    }));
    if let Some(error) = &status.access_log.error {
        let text = "the access log cannot be written";
        problems.push(Problem::of_process(Severity::Warning, ProblemKind::AccessLog, text).because(error));
    }
    match status.log_level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => {}
        LogLevel::Off | LogLevel::Debug | LogLevel::Trace => problems.push(Problem::of_process(
            Severity::Note,
            ProblemKind::LogLevel,
            format!("the log level is {}", status.log_level),
        )),
    }
    problems
}

/// A refused reload, or a file that was changed and not reloaded.
fn of_config(status: &Status) -> Option<Problem> {
    let config = &status.config;
    if let Some(error) = &config.last_error {
        let text = "the last reload was refused, and the configuration before it is in force";
        let problem = Problem::of_process(Severity::Error, ProblemKind::Reload, text);
        return Some(problem.since(config.refused_at).because(error));
    }
    let difference = config.difference.as_ref()?;
    let (severity, text, why) = match &difference.error {
        Some(error) => {
            (Severity::Warning, "the configuration file has changed and is invalid", error.clone())
        }
        None => (
            Severity::Note,
            "the configuration file differs from the configuration in force",
            format!("{}; `rondel reload` applies it", counted(difference.changes, "change")),
        ),
    };
    Some(Problem::of_process(severity, ProblemKind::File, text).since(Some(difference.since)).because(why))
}

fn shortage(shortage: &crate::ShortageStatus) -> Problem {
    Problem {
        pool: shortage.pool.clone(),
        listener: shortage.listener.clone(),
        ..Problem::of_process(Severity::Error, ProblemKind::Shortage, &shortage.text)
            .since(Some(shortage.since))
            .because(&shortage.why)
    }
}

fn of_listener(status: &Status, listener: &ListenerStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(limit(listener.active, listener.connections_max).map(|limit| Problem {
        why: limit.why,
        ..Problem::of_listener(
            limit.severity,
            ProblemKind::Limit,
            listener,
            &format!("it has {}", limit.text),
        )
    }));
    // Without a primary the pool says it.
    let lacks_primary = status.pools.iter().any(|pool| listener.goes_to(&pool.name) && !has_primary(pool));
    if listener.held > 0 && !lacks_primary {
        let text = format!("{} for the primary", wait(listener.held));
        problems.push(Problem::of_listener(Severity::Error, ProblemKind::Waiting, listener, &text));
    }
    problems
}

/// A limit that is reached, or nearly.
struct Limit {
    severity: Severity,
    /// The numbers.
    text: String,
    why: Option<String>,
}

fn limit(active: u64, max: u32) -> Option<Limit> {
    let text = format!("{active} of {}", counted(max, "connection"));
    if active >= max.into() {
        let why = Some("further clients wait in the kernel's queue".to_owned());
        return Some(Limit { severity: Severity::Error, text, why });
    }
    let is_near = active * 100 > u64::from(max) * NEARLY_FULL_PERCENT;
    is_near.then(|| Limit {
        severity: Severity::Warning,
        text: format!("{text}, nearly its limit"),
        why: None,
    })
}

fn removed(removed: &RemovedStatus) -> Problem {
    let RemovedStatus { kind, pool, name, active, seconds_left, .. } = removed;
    let left = match seconds_left {
        Some(seconds) => {
            let left = show_duration(std::time::Duration::from_secs(*seconds));
            format!("those that are left are closed in {left}")
        }
        None => "they may take any time".to_owned(),
    };
    let has = counted(*active, "connection");
    let text = format!("a reload removed {kind} {name}, which still has {has}");
    let problem = Problem::of_pool(Severity::Note, ProblemKind::Removed, pool, &text).because(left);
    let is_listener = *kind == crate::RemovedKind::Listener;
    Problem { listener: is_listener.then(|| name.clone()), ..problem }
}

/// Above this share of a limit, in percent, it is nearly reached; as in the alerts.
const NEARLY_FULL_PERCENT: u64 = 80;

#[cfg(test)]
mod tests;
