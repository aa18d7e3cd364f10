//! The state of everything at one moment, for the admin interface.

use std::path::{Path, absolute};
use std::time::Instant;

use access_log::AccessLog;
use api::{
    BackendStatus, ClosedCounts, Durations, FileDifference, LimitsStatus, ListenerStatus, Override, Permits,
    PoolStatus, ProbeStatus, ProxyHeaders, ReloadStatus, RemovedKind, RemovedStatus, RouteStatus,
    ShortageStatus, SourcesStatus, Status, WorkerStatus, WouldRefuse,
};
use config::{Config, Tier};
use connection::CloseReason;
use table::{
    Availability, Backend, BackendState, Counter, Drain, DrainWindow, Inputs, Limits, Listener, Overrides,
    PerWorker, Pool, Refused, Removed, Semaphore, Table, WorkerCounters,
};

use crate::access_view::AccessSources;
use crate::event_log::EventLog;
use crate::monitor::HealthMonitor;
use crate::peaks::{Peak, Peaks};
use crate::reloads::{Reloads, unix_seconds};
use crate::wire;

/// What a status is made of.
pub(crate) struct StatusSources<'a> {
    pub(crate) table: &'a Table,
    /// As the file says it.
    pub(crate) config: &'a Config,
    /// The same with the overrides: what the table was made from.
    pub(crate) effective: &'a Config,
    pub(crate) overrides: &'a Overrides,
    pub(crate) access: AccessSources<'a>,
    pub(crate) inputs: &'a Inputs,
    pub(crate) monitor: &'a HealthMonitor,
    pub(crate) semaphore: &'a Semaphore,
    pub(crate) connections_max: u32,
    pub(crate) reloads: &'a Reloads,
    pub(crate) workers: &'a PerWorker<WorkerCounters>,
    /// Requests to `admin.http` without a valid token.
    pub(crate) admin_refused: u64,
    pub(crate) access_log: &'a AccessLog,
    pub(crate) event_log: &'a EventLog,
    pub(crate) peaks: &'a Peaks,
    pub(crate) shortages: Vec<ShortageStatus>,
    /// The file of the configuration; none if there is none.
    pub(crate) file: Option<&'a Path>,
    pub(crate) difference: Option<&'a FileDifference>,
    /// In seconds since 1970.
    pub(crate) started_at: f64,
    pub(crate) now: Instant,
}

/// The status of all that.
pub(crate) fn take(known: &StatusSources<'_>) -> Status {
    let table = known.table;
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: wire::phase(table.phase),
        started_at: known.started_at,
        uptime_seconds: (unix_seconds() - known.started_at).max(0.0),
        connections: Permits { active: known.semaphore.active(), max: known.connections_max },
        workers: workers(table, known.workers),
        log_level: wire::log_level(log::max_level()),
        admin_refused: known.admin_refused,
        access_log: {
            let of_workers =
                |records: fn(&WorkerCounters) -> &Counter| known.workers.sum(|worker| records(worker).get());
            known.access_log.status(
                of_workers(|worker| &worker.records_lost),
                of_workers(|worker| &worker.records_left_out),
            )
        },
        config: ReloadStatus {
            // A reader of the status may be in another directory.
            file: known
                .file
                .map(|path| absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()),
            difference: known.difference.cloned(),
            ..known.reloads.status()
        },
        access: known.access.lists(),
        limits: table.limits.iter().map(|limits| limits_status(limits)).collect(),
        sources: SourcesStatus {
            known: table.sources.known() as u64,
            capacity: table.sources.capacity() as u64,
        },
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
        removed: removed(&table.removed, known.now),
        shortages: known.shortages.clone(),
        problems: Vec::new(),
        events: known.event_log.entries().cloned().collect(),
    };
    status.problems = api::problems(&status);
    status
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

fn removed(removed: &Removed, now: Instant) -> Vec<RemovedStatus> {
    let left = |notice: Option<DrainWindow>| notice.map(|notice| seconds_left(notice, now));
    let backends = removed.backends().map(|(pool, gone)| RemovedStatus {
        kind: RemovedKind::Backend,
        pool: pool.to_owned(),
        name: gone.backend.name.clone(),
        addresses: vec![gone.backend.address],
        active: gone.connections().into(),
        seconds_left: left(gone.drain_window),
    });
    let listeners = removed.listeners().map(|gone| RemovedStatus {
        kind: RemovedKind::Listener,
        pool: gone.pool.clone(),
        name: gone.name.clone(),
        addresses: gone.addresses.clone(),
        active: gone.connections(),
        seconds_left: left(gone.drain_window),
    });
    backends.chain(listeners).filter(|gone| gone.active > 0).collect()
}

fn override_status(it: table::Override, now: Instant) -> Override {
    let drain_seconds_left = match it.drain {
        Some(Drain::Until(window)) => Some(seconds_left(window, now)),
        Some(Drain::Open) | None => None,
    };
    Override { drained: it.drain.is_some(), drain_seconds_left, disabled: it.disabled, weight: it.weight }
}

/// The seconds until a drain window ends, rounded up.
fn seconds_left(window: DrainWindow, now: Instant) -> u64 {
    window.until.saturating_duration_since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

fn limits_status(limits: &Limits) -> LimitsStatus {
    LimitsStatus {
        name: limits.name.clone(),
        overflow: limits.counters.sum(|worker| worker.overflow.get()),
        evicted: limits.counters.sum(|worker| worker.evicted.get()),
    }
}

fn listener_status(listener: &Listener, peak: Peak) -> ListenerStatus {
    let counters = &listener.counters;
    ListenerStatus {
        name: listener.name.clone(),
        addresses: listener.addresses().collect(),
        pool: listener.pool.name.clone(),
        routes: listener
            .routes
            .iter()
            .flat_map(table::Routes::iter)
            .map(|route| route_status(route))
            .collect(),
        role: wire::listener_role(listener.target_role),
        active: counters.sum(|worker| worker.active.get()),
        active_max: peak.active_max.max(counters.sum(|worker| worker.active.get())),
        rate: peak.rate,
        rate_max: peak.rate_max,
        connections_max: listener.connections_max,
        held: listener.hold_semaphore.active(),
        openings: listener.opening_semaphore.active(),
        openings_max: listener.opening.connections_max,
        proxy_headers: {
            let [v1, v2, local] = [0, 1, 2].map(|kind| counters.sum(|worker| worker.headers[kind].get()));
            ProxyHeaders { v1, v2, local }
        },
        would_refuse: {
            let of = |why| counters.sum(|worker| worker.would_refuse(why).get());
            WouldRefuse {
                denied: of(Refused::Denied),
                source_limit: of(Refused::SourceLimit),
                source_rate: of(Refused::SourceRate),
            }
        },
        rate_pauses: counters.sum(|worker| worker.rate_pauses.get()),
        accepted: counters.sum(|worker| worker.accepted.get()),
        accept_errors: counters.sum(|worker| worker.accept_errors.get()),
        bytes_to_backend: counters.sum(|worker| worker.bytes_to_backend.get()),
        bytes_to_client: counters.sum(|worker| worker.bytes_to_client.get()),
        closed: closed(counters, |worker, reason| worker.closed(reason)),
    }
}

fn route_status(route: &table::Route) -> RouteStatus {
    RouteStatus {
        name: route.name.clone(),
        pool: route.pool.name.clone(),
        taken: route.taken.sum(table::Counter::get),
    }
}

fn closed<T>(counters: &PerWorker<T>, of: impl Fn(&T, CloseReason) -> &Counter) -> ClosedCounts {
    ClosedCounts::new(
        CloseReason::ALL.map(|reason| (reason, counters.sum(|worker| of(worker, reason).get()))),
    )
}

fn durations(durations: &table::Durations) -> Durations {
    let quantile = |permille| durations.quantile(permille).map(|duration| duration.as_secs_f64());
    Durations {
        count: durations.count,
        sum_seconds: durations.sum.as_secs_f64(),
        p50_seconds: quantile(500),
        p90_seconds: quantile(900),
        p99_seconds: quantile(990),
        buckets: durations.buckets.iter().map(|(bound, count)| (bound.as_secs_f64(), *count)).collect(),
    }
}

impl StatusSources<'_> {
    pub(crate) fn pool(&self, pool: &Pool, written: &config::Pool) -> PoolStatus {
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
            balance: wire::balance(pool.balance),
            serving: wire::tier(pool.tier()),
            queued: pool.queue_semaphore.active(),
            queued_max: self.peaks.queued_max(&pool.name).max(pool.queue_semaphore.active()),
            queue_size: pool.queue.connections_max,
            proxy_fields_left_out: pool.counters.sum(|worker| worker.fields_left_out.get()),
            conflict: written.backends.iter().filter(claims).map(|backend| backend.name.clone()).collect(),
            connect: durations(&pool.counters.durations(|worker| &worker.connect)),
            life: durations(&pool.counters.durations(|worker| &worker.life)),
            backends: pool.backends.iter().zip(&written.backends).map(backend).collect(),
        }
    }
}

fn backend_status(backend: &Backend, tier: Tier, standing: BackendState, peak: Peak) -> BackendStatus {
    let counters = &backend.counters;
    BackendStatus {
        name: backend.name.clone(),
        address: backend.address,
        tier: wire::tier(tier),
        state: match standing.availability {
            Availability::Unknown => api::BackendState::Unknown,
            Availability::Up => api::BackendState::Up,
            Availability::Down => api::BackendState::Down,
            Availability::Ejected => api::BackendState::Ejected,
        },
        role: standing.role.map(wire::backend_role),
        ejected_for_seconds: None,
        lag_seconds: None,
        weight: backend.weight,
        weight_permille: standing.weight_permille,
        overrides: Override::default(),
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

fn lag_seconds(known: &health::Status) -> Option<f64> {
    match &known.role {
        Some(health::Role::Replica(progress)) => progress.lag.map(|lag| lag.as_secs_f64()),
        Some(health::Role::Primary(_) | health::Role::Neither) | None => None,
    }
}

fn probe_status(known: &health::Status, now: Instant) -> ProbeStatus {
    ProbeStatus {
        verdict: wire::verdict(known.verdict),
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
