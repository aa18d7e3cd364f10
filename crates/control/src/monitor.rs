//! The states of backends, made of their probes, of connects that failed, and of time.

mod pool; // The backends of one pool.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::EventKind;
use health::{Prober, Report, Status};
use log::Level;
use table::{EffectiveConfig, Inputs, Table};

use self::pool::Pool;
use crate::event_log::EventLog;

/// Monitors the backends of every pool.
///
/// Its driver waits for [`next`](Self::next), reports what happened, and has it [evaluate](Self::evaluate) the
/// backends if that matters. Most reports do not, and cost one look-up.
pub(crate) struct HealthMonitor {
    prober: Prober,
    /// By the names of pools.
    pools: BTreeMap<Arc<str>, Pool>,
    /// When time alone changes something.
    due: Option<Instant>,
}

impl HealthMonitor {
    /// Monitors the backends of `config`, all in an unknown state.
    pub(crate) fn new(config: &EffectiveConfig) -> Self {
        // The seed spreads probes over time. It is the same each time, as the order does not matter.
        let mut monitor = Self { prober: Prober::new(0), pools: BTreeMap::new(), due: None };
        monitor.set_pools(config, |settings, _| Pool::new(settings, config.overrides()));
        monitor
    }

    /// Changes to another config, evaluates, and returns what the next table is to be built from. That decides
    /// nothing: the state of a backend stays for as long as the name of its pool and its address stay, until its
    /// next answer, whatever key of the pool or of its probe is another. What holds a role holds it, what is
    /// ejected is ejected, and the answers that were counted count.
    ///
    /// Without a probe the state is unknown, and by one that does not query roles the role is; so that is dropped
    /// with it.
    pub(crate) fn reconfigure(
        &mut self,
        config: &EffectiveConfig,
        now: Instant,
        event_log: &mut EventLog,
    ) -> Inputs {
        self.set_pools(config, |settings, before| match before {
            Some(pool) => pool.reconfigure(settings, config.overrides(), now, event_log),
            None => Pool::new(settings, config.overrides()),
        });
        self.evaluate(now, event_log);
        self.inputs(now)
    }

    fn set_pools(
        &mut self,
        config: &EffectiveConfig,
        mut pool: impl FnMut(&config::Pool, Option<Pool>) -> Pool,
    ) {
        let mut before = std::mem::take(&mut self.pools);
        for settings in &config.effective().pools {
            let pool = pool(settings, before.remove(settings.name.as_str()));
            self.pools.insert(Arc::clone(pool.name()), pool);
        }
        self.prober.set_targets(self.pools.values().flat_map(Pool::targets));
    }

    /// Probes every backend once, for `limit` at most.
    pub(crate) async fn first_round(&mut self, limit: Duration, event_log: &mut EventLog) {
        for report in self.prober.first_round(limit).await {
            self.on_report(&report, now(), event_log);
        }
    }

    /// Waits until a probe ended, for [`on_report`](Self::on_report). Without probes it never returns.
    pub(crate) async fn next(&mut self) -> Report {
        self.prober.next().await
    }

    /// A probe that has ended, for [`on_report`](Self::on_report); none if none has.
    pub(crate) fn try_next(&mut self) -> Option<Report> {
        self.prober.try_next()
    }

    /// Takes in a probe that ended, and writes to the event log what it changed. Says whether the backends are to be
    /// [evaluated](Self::evaluate); after most probes they are not.
    pub(crate) fn on_report(&mut self, report: &Report, now: Instant, event_log: &mut EventLog) -> bool {
        let Some(pool) = self.pools.get_mut(&report.server.pool) else { return false };
        let Some(status) = self.prober.status(&report.server) else { return false };
        let stale = pool.on_report(report, status, now, event_log);
        if !report.held_back || !pool.lacks_a_primary_but(report.server.address, now) {
            return stale;
        }
        let Some(released) = self.prober.release(&report.server, now) else { return stale };
        let Some(status) = self.prober.status(&report.server) else { return stale };
        pool.on_report(&released, status, now, event_log)
    }

    /// Ejects backends of `table` to which too many connects in a row have failed, and says so in the event log.
    /// Says whether the backends are to be [evaluated](Self::evaluate).
    pub(crate) fn on_failures(&mut self, table: &Table, now: Instant, event_log: &mut EventLog) -> bool {
        let mut any = false;
        let backends = table.pools.iter().flat_map(|pool| pool.backends.iter().map(move |of| (pool, of)));
        for (of_table, backend) in backends {
            let Some(pool) = self.pools.get_mut(of_table.name.as_str()) else { continue };
            let in_a_row = backend.failures_in_a_row();
            if pool.failures_max().is_none_or(|max| in_a_row < max) {
                continue;
            }
            // Ejected or not: if connects go on to fail, it is reported again.
            backend.forget_failures();
            let Some(left) = pool.eject(backend, in_a_row, &self.prober, now) else { continue };
            any = true;
            let text = format!(
                "pool {}, backend {}: ejected for {}: {in_a_row} connects in a row failed",
                of_table.name,
                backend.name,
                config::show_duration(left)
            );
            event_log.note_of(&of_table.name, Level::Warn, EventKind::Ejection, text);
        }
        any
    }

    /// Evaluates the backends of those pools in which something may have changed, and says whether something has.
    pub(crate) fn evaluate(&mut self, now: Instant, event_log: &mut EventLog) -> bool {
        let mut changed = false;
        for pool in self.pools.values_mut() {
            if pool.is_stale(now) {
                changed |= pool.evaluate(&self.prober, now, event_log);
            }
        }
        self.due = self.pools.values().filter_map(Pool::due).min();
        changed
    }

    /// The states of all backends, as of the last [evaluation](Self::evaluate).
    pub(crate) fn inputs(&self, now: Instant) -> Inputs {
        let of_pool = |(name, pool): (&Arc<str>, &Pool)| (name.to_string(), pool.inputs().clone());
        Inputs { now, pools: self.pools.iter().map(of_pool).collect(), access: Arc::default() }
    }

    /// The results of the probes of the pool of this name.
    pub(crate) fn known(&self, pool: &str) -> HashMap<SocketAddr, &Status> {
        self.pools.get(pool).map(|pool| pool.known_by_address(&self.prober)).unwrap_or_default()
    }

    /// All backends of the pool of this name that claim to be the primary, if that is more than one.
    pub(crate) fn conflict(&self, pool: &str) -> &[SocketAddr] {
        self.pools.get(pool).map_or(&[], Pool::conflict)
    }

    /// For how much longer a backend of the pool of this name is ejected; none if it is not.
    pub(crate) fn ejected_for(&self, pool: &str, backend: SocketAddr, now: Instant) -> Option<Duration> {
        self.pools.get(pool)?.ejected_for(backend, now)
    }

    /// When time alone changes something, and the backends are to be [evaluated](Self::evaluate).
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// The time, on the clock of the probes.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
