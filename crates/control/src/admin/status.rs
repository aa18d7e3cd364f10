//! How everything is, at one moment: what `status`, `/status.json` and the metrics are made of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use config::{Config, TargetRole, Tier};
use connection::CloseReason;
use health::Verdict;
use serde::{Deserialize, Serialize};
use table::{
    Availability, Backend, BackendState, Counter, Drain, DrainWindow, Inputs, Listener, Override, Overrides,
    PerWorker, Phase, Pool, Removed, Role, Semaphore, Table, WorkerCounters,
};

use super::answer::{Reloads, unix_seconds};
use super::durations::DurationsStatus;
use crate::access_log::{AccessLog, AccessLogStatus};
use crate::event_log::{Entry, EventLog};
use crate::monitor::HealthMonitor;
use crate::peaks::{Peak, Peaks};

/// How everything is. Numbers count from the start of the process, or of the listener or the backend if that came later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Whether it serves.
    pub phase: PhaseStatus,
    /// When the process started, in seconds since 1970.
    pub started_at: f64,
    /// How long ago that is, in seconds.
    pub uptime_seconds: f64,
    /// Connections of the process.
    pub connections: Places,
    /// The workers, by number.
    pub workers: Vec<WorkerStatus>,
    /// How much is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(default)]
    pub log_level: String,
    /// The access log.
    pub access_log: AccessLogStatus,
    /// The configuration.
    pub config: ReloadStatus,
    /// The listeners, in the order of the file.
    pub listeners: Vec<ListenerStatus>,
    /// The pools, in the order of the file.
    pub pools: Vec<PoolStatus>,
    /// What reloads removed and has connections yet.
    #[serde(default)]
    pub leaving: Vec<LeavingStatus>,
    /// What happened of late, oldest first.
    pub chronicle: Vec<Entry>,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseStatus {
    /// Connections are accepted.
    Serving,
    /// No new connection; those that exist may finish.
    Draining,
    /// Every connection is closed now.
    Ending,
}

/// Places for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Those that are taken.
    pub active: u32,
    /// How many there are.
    pub max: u32,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Connections that it has, of listeners that the configuration names.
    pub active: u64,
    /// Passes of its loop.
    pub turns: u64,
    /// Its submission queue was full, and it gave the kernel what was in it before the turn's end.
    pub early_submits: u64,
    /// Its completion queue was full at the end of a wait, and the kernel kept the rest.
    pub overflows: u64,
    /// Receive buffers that it has.
    pub buffers: u64,
    /// Of them, those that could be received into.
    pub buffers_free: u64,
    /// Pipes for splicing that are open.
    pub pipes_open: u64,
    /// Of them, those that no connection has.
    pub pipes_free: u64,
}

/// How the configuration came to be in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// When the one in force was read, in seconds since 1970.
    pub loaded_at: f64,
    /// Reloads that were done.
    pub applied: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// Why the last one was refused; none if it was done, or there was none.
    pub last_error: Option<String>,
    /// How long the last one took, in seconds; none if there was none.
    pub last_seconds: Option<f64>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Its address, as the configuration says it.
    pub address: SocketAddr,
    /// The pool that its connections go to.
    pub pool: String,
    /// The role that its connections want; none if any will do.
    pub role: Option<String>,
    /// Connections that exist.
    pub active: u64,
    /// The most there were, as seen once a second.
    pub active_max: u64,
    /// Connections accepted in the last second.
    pub rate: f64,
    /// The most there were in a second.
    pub rate_max: f64,
    /// How many there may be at once.
    pub connections_max: u32,
    /// Clients that wait for a primary; they are among those.
    pub held: u32,
    /// Connections accepted.
    pub accepted: u64,
    /// accept(2) failed.
    pub accept_errors: u64,
    /// Bytes that clients sent and backends were given.
    pub bytes_to_backend: u64,
    /// Bytes that backends sent and clients were given.
    pub bytes_to_client: u64,
    /// Connections that ended, by the name of the reason; without those that never occurred.
    pub closed: BTreeMap<String, u64>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How a backend is picked, as the file says it.
    pub balance: String,
    /// The tier that serves: `active` or `backup`.
    pub serving: String,
    /// Clients that wait for a backend that is not full.
    pub queued: u32,
    /// The most that waited, as seen once a second.
    pub queued_max: u32,
    /// How many may wait.
    pub queue_size: u32,
    /// The names of backends that all say they are the primary, if that is more than one.
    pub conflict: Vec<String>,
    /// How long attempts to connect took that succeeded.
    pub connect: DurationsStatus,
    /// How long connections lived that have ended, from when the client was accepted.
    pub life: DurationsStatus,
    /// The backends, in the order of the file.
    pub backends: Vec<BackendStatus>,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Its tier: `active` or `backup`.
    pub tier: String,
    /// Whether it can take connections: `unknown`, `up`, `down` or `ejected`. Unknown counts as available.
    pub state: String,
    /// For how much longer it is put aside, in seconds, unless its probe passes before; none if it is not.
    pub ejected_for_seconds: Option<f64>,
    /// The role it has in its group: `primary`, `replica`, or `lagging`, a replica that is too far behind to be read from; none
    /// if it has none or nobody knows it.
    pub role: Option<String>,
    /// How far it is behind, in seconds; none where its probe does not say so.
    pub lag_seconds: Option<f64>,
    /// Its share of new connections: what the file and operators say.
    pub weight: u16,
    /// How much of that it takes while it starts slowly, in thousandths.
    pub weight_permille: u16,
    /// What operators said of it.
    pub overrides: OverrideStatus,
    /// How many connections it may have at once; none is no bound.
    pub connections_max: Option<u32>,
    /// Connections that exist.
    pub active: u64,
    /// The most there were, as seen once a second.
    pub active_max: u64,
    /// Connections that it got in the last second.
    pub rate: f64,
    /// The most it got in a second.
    pub rate_max: f64,
    /// How long ago it got the last one, as seen once a second; none if it never got one.
    pub last_seconds: Option<f64>,
    /// Attempts to connect: how often it was picked.
    pub picked: u64,
    /// Attempts that succeeded.
    pub connected: u64,
    /// Attempts that failed.
    pub connect_failed: u64,
    /// Attempts that failed and were followed by one at another backend.
    pub retried: u64,
    /// Bytes that clients sent and it was given.
    pub bytes_to_backend: u64,
    /// Bytes that it sent and clients were given.
    pub bytes_to_client: u64,
    /// Connections that ended, by the name of the reason; without those that never occurred.
    pub closed: BTreeMap<String, u64>,
    /// What its probe says; none if it has none.
    pub probe: Option<ProbeStatus>,
}

/// What operators said of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// It gets no new connections.
    pub drained: bool,
    /// How many seconds the connections have yet that it has; none lets them live on.
    pub drain_seconds_left: Option<u64>,
    /// It is treated as down.
    pub disabled: bool,
    /// Its weight; none leaves it to the file.
    pub weight: Option<u16>,
}

/// A backend or a listener that a reload removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingStatus {
    /// `backend` or `listener`.
    pub kind: String,
    /// The pool that it was of.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Connections that it has.
    pub active: u64,
    /// How many seconds those have yet; none lets them live on.
    pub seconds_left: Option<u64>,
}

/// What a probe says of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// What is made of its answers: `unknown`, `up` or `down`.
    pub verdict: String,
    /// How long it is that, in seconds.
    pub since_seconds: f64,
    /// How often it went down.
    pub downs: u64,
    /// How long it was down in all, in seconds.
    pub down_seconds: f64,
    /// Why the last one failed; none if it passed.
    pub error: Option<String>,
    /// How long the last one took, in seconds; none before the first.
    pub latency_seconds: Option<f64>,
    /// How long after its time it began, in seconds.
    pub late_seconds: f64,
    /// Those that passed.
    pub passed: u64,
    /// Those that count against the backend.
    pub failed: u64,
    /// Those that say nothing of it.
    pub inconclusive: u64,
    /// Those that failed, or say nothing, by the name of the error.
    pub errors: BTreeMap<String, u64>,
}

/// What the one writer knows.
pub(crate) struct StatusSources<'a> {
    pub(crate) table: &'a Table,
    /// As the file says it.
    pub(crate) config: &'a Config,
    /// The same, with what operators said laid over it: what the table was built from.
    pub(crate) effective: &'a Config,
    pub(crate) overrides: &'a Overrides,
    pub(crate) inputs: &'a Inputs,
    pub(crate) monitor: &'a HealthMonitor,
    pub(crate) gate: &'a Semaphore,
    pub(crate) connections_max: u32,
    pub(crate) reloads: &'a Reloads,
    pub(crate) workers: &'a PerWorker<WorkerCounters>,
    pub(crate) access_log: &'a AccessLog,
    pub(crate) event_log: &'a EventLog,
    pub(crate) peaks: &'a Peaks,
    /// In seconds since 1970.
    pub(crate) started_at: f64,
    pub(crate) now: Instant,
}

/// The status of all that.
pub(crate) fn take(known: &StatusSources<'_>) -> Status {
    let table = known.table;
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: table.phase.into(),
        started_at: known.started_at,
        uptime_seconds: (unix_seconds() - known.started_at).max(0.0),
        connections: Places { active: known.gate.active(), max: known.connections_max },
        workers: workers(table, known.workers),
        log_level: log::max_level().as_str().to_lowercase(),
        access_log: known.access_log.status(known.workers.sum(|worker| worker.records_lost.get())),
        config: known.reloads.status(),
        listeners: table
            .listeners
            .iter()
            .map(|listener| listener_status(listener, known.peaks.of_listener(listener)))
            .collect(),
        pools: table
            .pools
            .iter()
            .zip(&known.config.pools)
            .map(|(pool, written)| known.pool(pool, written))
            .collect(),
        leaving: leaving(&table.removed, known.now),
        chronicle: known.event_log.entries().cloned().collect(),
    }
}

impl From<Phase> for PhaseStatus {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Serving => Self::Serving,
            Phase::Draining => Self::Draining,
            Phase::Ending => Self::Ending,
        }
    }
}

fn workers(table: &Table, counters: &PerWorker<WorkerCounters>) -> Vec<WorkerStatus> {
    let status = |worker: &WorkerCounters| WorkerStatus {
        active: 0,
        turns: worker.turns.get(),
        early_submits: worker.early_submits.get(),
        overflows: worker.overflows.get(),
        buffers: worker.buffers.get(),
        buffers_free: worker.buffers_free.get(),
        pipes_open: worker.pipes_open.get(),
        pipes_free: worker.pipes_free.get(),
    };
    let mut workers: Vec<_> = counters.iter().map(status).collect();
    for listener in &table.listeners {
        for (worker, counters) in workers.iter_mut().zip(listener.counters.iter()) {
            worker.active += counters.active.get();
        }
    }
    workers
}

fn leaving(removed: &Removed, now: Instant) -> Vec<LeavingStatus> {
    let left = |notice: Option<DrainWindow>| notice.map(|notice| seconds_left(notice, now));
    let backends = removed.backends().map(|(pool, gone)| LeavingStatus {
        kind: "backend".to_owned(),
        pool: pool.to_owned(),
        name: gone.backend.name.clone(),
        address: gone.backend.address,
        active: gone.connections().into(),
        seconds_left: left(gone.drain_window),
    });
    let listeners = removed.listeners().map(|gone| LeavingStatus {
        kind: "listener".to_owned(),
        pool: gone.pool.clone(),
        name: gone.name.clone(),
        address: gone.address,
        active: gone.connections(),
        seconds_left: left(gone.drain_window),
    });
    backends.chain(listeners).filter(|gone| gone.active > 0).collect()
}

fn override_status(it: Override, now: Instant) -> OverrideStatus {
    let drain_seconds_left = match it.drain {
        Some(Drain::Until(window)) => Some(seconds_left(window, now)),
        Some(Drain::Open) | None => None,
    };
    OverrideStatus {
        drained: it.drain.is_some(),
        drain_seconds_left,
        disabled: it.disabled,
        weight: it.weight,
    }
}

/// How long connections have yet, in whole seconds, those begun included.
fn seconds_left(window: DrainWindow, now: Instant) -> u64 {
    window.until.saturating_duration_since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

fn listener_status(listener: &Listener, peak: Peak) -> ListenerStatus {
    let counters = &listener.counters;
    ListenerStatus {
        name: listener.name.clone(),
        address: listener.address,
        pool: listener.pool.name.clone(),
        role: match listener.target_role {
            TargetRole::Any => None,
            demand @ (TargetRole::Primary(_) | TargetRole::Replica(_)) => Some(demand.to_string()),
        },
        active: counters.sum(|worker| worker.active.get()),
        active_max: peak.active_max.max(counters.sum(|worker| worker.active.get())),
        rate: peak.rate,
        rate_max: peak.rate_max,
        connections_max: listener.connections_max,
        held: listener.hold_semaphore.active(),
        accepted: counters.sum(|worker| worker.accepted.get()),
        accept_errors: counters.sum(|worker| worker.accept_errors.get()),
        bytes_to_backend: counters.sum(|worker| worker.bytes_to_backend.get()),
        bytes_to_client: counters.sum(|worker| worker.bytes_to_client.get()),
        closed: closed(counters, |worker, reason| worker.closed(reason)),
    }
}

fn closed<T>(counters: &PerWorker<T>, of: impl Fn(&T, CloseReason) -> &Counter) -> BTreeMap<String, u64> {
    let count = |reason| counters.sum(|worker| of(worker, reason).get());
    let counts = CloseReason::ALL.map(|reason| (reason.name().to_owned(), count(reason)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

impl StatusSources<'_> {
    pub(super) fn pool(&self, pool: &Pool, written: &config::Pool) -> PoolStatus {
        let statuses = self.monitor.known(&pool.name);
        let standings = self.inputs.pools.get(&pool.name);
        let conflict = self.monitor.conflict(&pool.name);
        let claims = |backend: &&config::Backend| conflict.contains(&backend.address);
        let backend = |(backend, written): (&std::sync::Arc<Backend>, &config::Backend)| {
            let standing = standings.and_then(|pool| pool.backends.get(&backend.address));
            let peak = self.peaks.of_backend(&pool.name, backend);
            let mut status =
                backend_status(backend, written.tier, standing.copied().unwrap_or_default(), peak);
            let since = |last| self.now.saturating_duration_since(last).as_secs_f64();
            status.last_seconds = peak.last.map(since);
            status.overrides = override_status(self.overrides.of(&pool.name, backend.address), self.now);
            let ejected_for = self.monitor.ejected_for(&pool.name, backend.address, self.now);
            status.ejected_for_seconds = ejected_for.map(|left| left.as_secs_f64());
            if let Some(known) = statuses.get(&backend.address) {
                status.lag_seconds = lag_seconds(known);
                status.probe = Some(probe_status(known, self.now));
            }
            status
        };
        PoolStatus {
            name: pool.name.clone(),
            balance: pool.balance.to_string(),
            serving: pool.tier().to_string(),
            queued: pool.queue_semaphore.active(),
            queued_max: self.peaks.queued_max(&pool.name).max(pool.queue_semaphore.active()),
            queue_size: pool.queue.connections_max,
            conflict: written.backends.iter().filter(claims).map(|backend| backend.name.clone()).collect(),
            connect: pool.counters.durations(|worker| &worker.connect).into(),
            life: pool.counters.durations(|worker| &worker.life).into(),
            backends: pool.backends.iter().zip(&written.backends).map(backend).collect(),
        }
    }
}

fn backend_status(backend: &Backend, tier: Tier, standing: BackendState, peak: Peak) -> BackendStatus {
    let counters = &backend.counters;
    BackendStatus {
        name: backend.name.clone(),
        address: backend.address,
        tier: tier.to_string(),
        state: match standing.availability {
            Availability::Unknown => "unknown",
            Availability::Up => "up",
            Availability::Down => "down",
            Availability::Ejected => "ejected",
        }
        .to_owned(),
        role: standing.role.map(|role| {
            match role {
                Role::Primary => "primary",
                Role::Replica { lags: false } => "replica",
                Role::Replica { lags: true } => "lagging",
            }
            .to_owned()
        }),
        ejected_for_seconds: None,
        lag_seconds: None,
        weight: backend.weight,
        weight_permille: standing.weight_permille,
        overrides: OverrideStatus::default(),
        connections_max: backend.connections_max.map(std::num::NonZeroU32::get),
        active: counters.sum(|worker| worker.active.get()),
        active_max: peak.active_max.max(counters.sum(|worker| worker.active.get())),
        rate: peak.rate,
        rate_max: peak.rate_max,
        last_seconds: None,
        picked: counters.sum(|worker| worker.picked.get()),
        connected: counters.sum(|worker| worker.connected.get()),
        connect_failed: counters.sum(|worker| worker.connect_failed.get()),
        retried: counters.sum(|worker| worker.retried.get()),
        bytes_to_backend: counters.sum(|worker| worker.bytes_to_backend.get()),
        bytes_to_client: counters.sum(|worker| worker.bytes_to_client.get()),
        closed: closed(counters, |worker, reason| worker.closed(reason)),
        probe: None,
    }
}

impl BackendStatus {
    /// Whether connections may go to it: it is neither down nor ejected.
    pub fn is_available(&self) -> bool {
        matches!(self.state.as_str(), "unknown" | "up")
    }
}

fn lag_seconds(known: &health::Status) -> Option<f64> {
    match &known.role {
        Some(health::Role::Replica(progress)) => progress.lag.map(|lag| lag.as_secs_f64()),
        Some(health::Role::Primary(_) | health::Role::Neither) | None => None,
    }
}

fn probe_status(known: &health::Status, now: Instant) -> ProbeStatus {
    ProbeStatus {
        verdict: match known.verdict {
            Verdict::Unknown => "unknown",
            Verdict::Up => "up",
            Verdict::Down => "down",
        }
        .to_owned(),
        since_seconds: now.saturating_duration_since(known.since).as_secs_f64(),
        downs: known.downs,
        down_seconds: known.down_time(now).as_secs_f64(),
        error: known.error.as_ref().map(ToString::to_string),
        latency_seconds: known.latency.map(|latency| latency.as_secs_f64()),
        late_seconds: known.late.as_secs_f64(),
        passed: known.passed,
        failed: known.failed,
        inconclusive: known.inconclusive,
        errors: known.errors.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event_log::Kind;

    /// One listener, one pool, one backend that is down and was a lagging replica, everything of it counted.
    pub(in crate::admin) fn status() -> Status {
        let backend = BackendStatus {
            name: "a".to_owned(),
            address: "10.0.0.1:80".parse().unwrap(),
            tier: "active".to_owned(),
            state: "down".to_owned(),
            ejected_for_seconds: Some(2.5),
            role: Some("lagging".to_owned()),
            lag_seconds: Some(3.5),
            weight: 7,
            weight_permille: 1000,
            overrides: OverrideStatus { weight: Some(7), ..OverrideStatus::default() },
            connections_max: None,
            active: 2,
            active_max: 3,
            rate: 1.0,
            rate_max: 4.0,
            last_seconds: Some(0.5),
            picked: 6,
            connected: 5,
            connect_failed: 1,
            retried: 1,
            bytes_to_backend: 10,
            bytes_to_client: 20,
            closed: counts("done", 3),
            probe: Some(probe()),
        };
        Status {
            version: "1.2.3".to_owned(),
            phase: PhaseStatus::Serving,
            started_at: 1_000.0,
            uptime_seconds: 60.0,
            connections: Places { active: 2, max: 100 },
            workers: vec![worker(2, 100), worker(0, 1)],
            log_level: "info".to_owned(),
            access_log: AccessLogStatus {
                to: "/var/log/rondel/access.log".to_owned(),
                written: 3,
                lost: 1,
                error: None,
            },
            config: ReloadStatus {
                loaded_at: 1_000.0,
                applied: 0,
                refused: 1,
                last_error: Some("wrong".to_owned()),
                last_seconds: Some(0.001),
            },
            listeners: vec![ListenerStatus {
                name: "web".to_owned(),
                address: "0.0.0.0:80".parse().unwrap(),
                pool: "app".to_owned(),
                role: None,
                active: 2,
                active_max: 3,
                rate: 1.0,
                rate_max: 4.0,
                connections_max: 10,
                held: 1,
                accepted: 5,
                accept_errors: 0,
                bytes_to_backend: 10,
                bytes_to_client: 20,
                closed: counts("done", 3),
            }],
            pools: vec![PoolStatus {
                name: "app".to_owned(),
                balance: "round_robin".to_owned(),
                serving: "active".to_owned(),
                queued: 0,
                queued_max: 2,
                queue_size: 100,
                conflict: Vec::new(),
                connect: DurationsStatus {
                    count: 5,
                    sum_seconds: 12.25,
                    p50_seconds: Some(0.5),
                    p90_seconds: Some(1.0),
                    p99_seconds: Some(1.0),
                    buckets: vec![(0.1, 1), (1.0, 3)],
                },
                life: DurationsStatus::default(),
                backends: vec![backend],
            }],
            leaving: vec![leaving()],
            chronicle: vec![Entry {
                number: 1,
                at: 1_000.5,
                level: "warn".to_owned(),
                kind: Kind::Verdict,
                text: "pool app, backend a: is down: connection refused".to_owned(),
            }],
        }
    }

    fn worker(active: u64, turns: u64) -> WorkerStatus {
        WorkerStatus {
            active,
            turns,
            early_submits: 4,
            overflows: 5,
            buffers: 1024,
            buffers_free: 1000,
            pipes_open: 3,
            pipes_free: 1,
        }
    }

    fn counts(name: &str, count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(name.to_owned(), count)])
    }

    fn probe() -> ProbeStatus {
        ProbeStatus {
            verdict: "down".to_owned(),
            since_seconds: 12.5,
            downs: 1,
            down_seconds: 12.5,
            error: Some("connection refused".to_owned()),
            latency_seconds: Some(0.002),
            late_seconds: 0.0,
            passed: 10,
            failed: 2,
            inconclusive: 0,
            errors: counts("refused", 2),
        }
    }

    fn leaving() -> LeavingStatus {
        LeavingStatus {
            kind: "backend".to_owned(),
            pool: "app".to_owned(),
            name: "gone".to_owned(),
            address: "10.0.0.9:80".parse().unwrap(),
            active: 1,
            seconds_left: Some(100),
        }
    }

    #[test]
    fn is_the_same_after_a_journey_as_json() {
        let json = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status());
    }
}
