//! The problems of one pool.

use config::{counted, listed, show_duration};

use super::group::Group;
use crate::problem::{Problem, ProblemKind, Severity};
use crate::{
    BackendRole, BackendState, BackendStatus, ListenerRole, ListenerStatus, PoolStatus, Status, Tier,
};

pub(super) fn problems(status: &Status, pool: &PoolStatus) -> Vec<Problem> {
    let now = status.started_at + status.uptime_seconds;
    let mut problems = Vec::new();
    problems.extend(no_backend(pool));
    if !pool.conflict.is_empty() {
        let text = format!("{} all report that they are the primary", listed(&pool.conflict));
        problems.push(Problem::of_pool(Severity::Error, ProblemKind::Conflict, &pool.name, &text));
    }
    problems.extend(no_primary(status, pool));
    problems.extend(queue(pool));
    if pool.serving == Tier::Backup {
        let text = "the backup tier serves";
        problems.push(Problem::of_pool(Severity::Warning, ProblemKind::Backup, &pool.name, text));
    }
    problems.extend(down(pool, now));
    problems.extend(ejected(pool));
    problems.extend(lagging(pool));
    problems.extend(by_probes(pool));
    problems.extend(overridden(pool));
    problems
}

pub(super) fn has_primary(pool: &PoolStatus) -> bool {
    pool.backends.iter().any(|backend| backend.role == Some(BackendRole::Primary))
}

/// `1 client waits`, `2 clients wait`.
pub(super) fn wait(clients: u32) -> String {
    format!("{} {}", counted(clients, "client"), if clients == 1 { "waits" } else { "wait" })
}

/// Whether an operator has taken it out of service, so that its state is no news.
fn is_out(backend: &BackendStatus) -> bool {
    backend.overrides.drained || backend.overrides.disabled
}

fn is_down(backend: &BackendStatus) -> bool {
    backend.state == BackendState::Down && !is_out(backend)
}

fn takes_connections(pool: &PoolStatus) -> bool {
    pool.backends.iter().any(is_taking)
}

fn is_taking(backend: &BackendStatus) -> bool {
    backend.weight > 0 && backend.is_available()
}

/// The part of the backends that takes connections, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a pool has at most 10,000 backends")]
pub(super) fn available_part(pool: &PoolStatus) -> f64 {
    let taking = pool.backends.iter().filter(|backend| is_taking(backend)).count();
    taking as f64 / pool.backends.len() as f64
}

/// That no backend is available, unless all of them are down, which is [another](down) sentence.
fn no_backend(pool: &PoolStatus) -> Option<Problem> {
    if takes_connections(pool) || pool.backends.iter().all(is_down) {
        return None;
    }
    let mut rest = pool.backends.len();
    let mut count = |word: &str, belongs: &dyn Fn(&BackendStatus) -> bool| {
        let number = pool.backends.iter().filter(|backend| belongs(backend)).count();
        rest -= number;
        (number > 0).then(|| format!("{number} {word}"))
    };
    let states = [
        count("down", &is_down),
        count("disabled", &|backend| backend.overrides.disabled),
        count("drained", &|backend| backend.overrides.drained && !backend.overrides.disabled),
        count("ejected", &|backend| backend.state == BackendState::Ejected && !is_out(backend)),
    ];
    let of_weight_0 = (rest > 0).then(|| format!("{rest} of weight 0"));
    let states: Vec<String> = states.into_iter().flatten().chain(of_weight_0).collect();
    let text = "no backend is available";
    let problem = Problem::of_pool(Severity::Error, ProblemKind::NoBackend, &pool.name, text);
    Some(problem.because(listed(&states)))
}

fn no_primary(status: &Status, pool: &PoolStatus) -> Option<Problem> {
    if !needs_primary(status, &pool.name) || has_primary(pool) {
        return None;
    }
    let of_pool = |listener: &&ListenerStatus| listener.goes_to(&pool.name);
    let held: u32 = status.listeners.iter().filter(of_pool).map(|listener| listener.held).sum();
    let text = "there is no primary";
    let problem = Problem::of_pool(Severity::Error, ProblemKind::NoPrimary, &pool.name, text);
    Some(if held > 0 { problem.because(format!("{} for one", wait(held))) } else { problem })
}

/// Whether a listener of this pool needs a primary.
fn needs_primary(status: &Status, pool: &str) -> bool {
    let needs = |listener: &&ListenerStatus| listener.role == Some(ListenerRole::Primary);
    status.listeners.iter().filter(needs).any(|listener| listener.goes_to(pool))
}

/// Clients that wait for a backend, or backends that are full.
fn queue(pool: &PoolStatus) -> Option<Problem> {
    let is_full = |backend: &BackendStatus| {
        backend.connections_max.is_some_and(|max| backend.active >= max.into()) && !is_out(backend)
    };
    let full = Group::new(pool, is_full);
    if pool.queued == 0 {
        let (one, many) = ("has as many connections as it may", "have as many connections as they may");
        return full.problem(Severity::Warning, ProblemKind::Limit, one, many);
    }
    let mut text = format!("{} for a backend that is not full", wait(pool.queued));
    if pool.queued >= pool.queue_size {
        text.push_str(", and the queue is full");
    }
    Some(Problem::of_pool(Severity::Error, ProblemKind::Waiting, &pool.name, &text))
}

fn down(pool: &PoolStatus, now: f64) -> Option<Problem> {
    let group = Group::new(pool, is_down);
    let (severity, kind) = if group.len() == pool.backends.len() {
        (Severity::Error, ProblemKind::NoBackend)
    } else {
        (Severity::Warning, ProblemKind::Down)
    };
    let problem = group.problem(severity, kind, "is down", "are down")?;
    let problem =
        group.since(problem, now, |backend| backend.probe.as_ref().map(|probe| probe.since_seconds));
    Some(Problem { why: group.reasons(probe_error), ..problem })
}

fn ejected(pool: &PoolStatus) -> Option<Problem> {
    let is_ejected = |backend: &BackendStatus| backend.state == BackendState::Ejected && !is_out(backend);
    let group = Group::new(pool, is_ejected);
    let problem = group.problem(Severity::Warning, ProblemKind::Ejected, "is ejected", "are ejected")?;
    let longest = group.iter().filter_map(|backend| backend.ejected_for_seconds).max_by(f64::total_cmp);
    let at_most = longest.map_or_else(String::new, |seconds| {
        let time = std::time::Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default();
        format!(", for at most {} more", show_duration(time))
    });
    Some(problem.because(format!("connects failed{at_most}")))
}

fn lagging(pool: &PoolStatus) -> Option<Problem> {
    let lags = |backend: &BackendStatus| {
        backend.role == Some(BackendRole::Lagging) && backend.is_available() && !is_out(backend)
    };
    let group = Group::new(pool, lags);
    let (one, many) = ("is too far behind to take reads", "are too far behind to take reads");
    let problem = group.problem(Severity::Warning, ProblemKind::Lagging, one, many)?;
    let most = group.iter().filter_map(|backend| backend.lag_seconds).max_by(f64::total_cmp);
    let lag =
        most.map(|seconds| format!("{}{seconds:.1}s behind", if group.len() == 1 { "" } else { "at most " }));
    Some(Problem { why: lag, ..problem })
}

/// Backends without a verdict, and backends whose last probe failed without another verdict.
fn by_probes(pool: &PoolStatus) -> impl Iterator<Item = Problem> {
    let has_no_verdict = |backend: &BackendStatus| {
        backend.state == BackendState::Unknown && backend.probe.is_some() && !is_out(backend)
    };
    let has_failed = |backend: &BackendStatus| {
        backend.state == BackendState::Up && probe_error(backend).is_some() && !is_out(backend)
    };
    let unknown = Group::new(pool, has_no_verdict);
    let failed = Group::new(pool, has_failed);
    let (one, many) = ("has no verdict of its probe yet", "have no verdict of their probes yet");
    let no_verdict = unknown.problem(Severity::Warning, ProblemKind::Unknown, one, many);
    let (one, many) = ("is up, and its last probe failed", "are up, and their last probes failed");
    let last_failed = failed.problem(Severity::Warning, ProblemKind::Probe, one, many);
    let no_verdict = no_verdict.map(|problem| Problem { why: unknown.reasons(probe_error), ..problem });
    let last_failed = last_failed.map(|problem| Problem { why: failed.reasons(probe_error), ..problem });
    no_verdict.into_iter().chain(last_failed)
}

fn probe_error(backend: &BackendStatus) -> Option<String> {
    backend.probe.as_ref()?.error.clone()
}

/// What operators have overridden.
fn overridden(pool: &PoolStatus) -> impl Iterator<Item = Problem> {
    let note =
        |group: &Group<'_>, kind, one: &str, many: &str| group.problem(Severity::Note, kind, one, many);
    let drained = Group::new(pool, |backend| backend.overrides.drained);
    let disabled = Group::new(pool, |backend| backend.overrides.disabled);
    let weighted = Group::new(pool, |backend| backend.overrides.weight.is_some());
    let connections: u64 = drained.iter().map(|backend| backend.active).sum();
    let left = drained.iter().filter_map(|backend| backend.overrides.drain_seconds_left).max();
    let has = if drained.len() == 1 { "it has" } else { "they have" };
    let left = left.filter(|_| connections > 0).map_or_else(String::new, |seconds| {
        format!(", which end within {}", show_duration(std::time::Duration::from_secs(seconds)))
    });
    let is_drained = note(&drained, ProblemKind::Drained, "is drained", "are drained")
        .map(|problem| problem.because(format!("{has} {}{left}", counted(connections, "connection"))));
    let is_disabled = note(&disabled, ProblemKind::Disabled, "is disabled", "are disabled");
    let weights = weighted.reasons(|backend| backend.overrides.weight.map(|weight| weight.to_string()));
    let is_weighted = note(
        &weighted,
        ProblemKind::Weight,
        "has another weight than in the file",
        "have other weights than in the file",
    )
    .map(|problem| Problem { why: weights, ..problem });
    is_drained.into_iter().chain(is_disabled).chain(is_weighted)
}
