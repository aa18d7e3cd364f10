//! What is known of backends, made of their probes, of connects that failed, and of time; and what of it a table goes by.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use health::ejection::{self, Ejections};
use health::roles::{Decision, Roles};
use health::{Change, Prober, Report, Status, Target, Verdict};
use log::Level;
use table::{Availability, Backend, Health, PoolHealth, Role, Standing, Table};

use crate::chronicle::{Chronicle, Kind};

/// Watches over the backends of every pool.
///
/// Whoever drives it calls [`next`](Self::next), tells it what happened, and asks for [`health`](Self::health) after each.
pub(crate) struct Watch {
    prober: Prober,
    /// By the names of pools.
    pools: BTreeMap<String, Pool>,
}

/// What is remembered of a pool.
struct Pool {
    settings: config::Pool,
    /// Who has which role; none where probes do not tell.
    roles: Option<Roles<SocketAddr>>,
    /// Who is put aside; none where nobody ever is.
    ejections: Option<Ejections<SocketAddr>>,
    /// Who was down and came up, and when: those that start slowly.
    risen: BTreeMap<SocketAddr, Instant>,
    /// All that say they are the primary, if that is more than one.
    conflict: Vec<SocketAddr>,
}

impl Watch {
    /// Watches over the backends of `config`. Nothing is known of them yet.
    pub(crate) fn new(config: &Config) -> Self {
        // Which probe comes a little sooner than which is of no matter to anybody: the same each time.
        let mut watch = Self { prober: Prober::new(0), pools: BTreeMap::new() };
        watch.follow(config);
        watch
    }

    /// Goes over to another config. What is known of backends that are asked as before stays known.
    pub(crate) fn follow(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.pools);
        for settings in &config.pools {
            let pool = match before.remove(&settings.name) {
                Some(pool) => pool.follow(settings),
                None => Pool::new(settings),
            };
            self.pools.insert(settings.name.clone(), pool);
        }
        self.prober.set_targets(config.pools.iter().flat_map(targets).map(|(_, target)| target));
    }

    /// Asks every backend once, for `limit` at most.
    pub(crate) async fn first_round(&mut self, limit: Duration, chronicle: &mut Chronicle) {
        for report in self.prober.first_round(limit).await {
            self.on_report(&report, now(), chronicle);
        }
    }

    /// Waits until a probe ended, of which [`on_report`](Self::on_report) is to be told. Without probes it waits for ever.
    pub(crate) async fn next(&mut self) -> Report {
        self.prober.next().await
    }

    /// Takes note of a probe that ended, and says in the chronicle what it changed. Says whether [`health`](Self::health) may be
    /// another now; of most probes it is not.
    pub(crate) fn on_report(&mut self, report: &Report, now: Instant, chronicle: &mut Chronicle) -> bool {
        let mut matters = false;
        let passed = self.prober.status(&report.target).is_some_and(|status| status.error.is_none());
        for (name, pool) in &mut self.pools {
            if report.changes.is_empty() && !pool.heeds_every_probe(now) {
                continue;
            }
            let asked = targets(&pool.settings).find(|(_, target)| *target == report.target);
            let Some((backend, _)) = asked else { continue };
            matters = true;
            let address = backend.address;
            for change in &report.changes {
                let text = format!("pool {name}, backend {}: {change}", backend.name);
                chronicle.note(change.level(), kind(change), text);
            }
            if let Some(ejections) = pool.ejections.as_mut().filter(|_| passed) {
                ejections.on_probe_passed(address, now);
            }
            for change in &report.changes {
                match change {
                    Change::Verdict { before: Verdict::Down, after: Verdict::Up, .. } => {
                        pool.risen.insert(address, now);
                    }
                    Change::Verdict { .. } => drop(pool.risen.remove(&address)),
                    Change::Error(_) | Change::Recovered | Change::Role { .. } => {}
                }
            }
        }
        matters
    }

    /// Puts backends of `table` aside that too many connects in a row have failed to reach, and says so in the chronicle. Says
    /// whether there was one.
    pub(crate) fn on_failures(&mut self, table: &Table, now: Instant, chronicle: &mut Chronicle) -> bool {
        let mut any = false;
        for (of_table, backend) in
            table.pools.iter().flat_map(|pool| pool.backends.iter().map(move |of| (pool, of)))
        {
            let Some(pool) = self.pools.get_mut(&of_table.name) else { continue };
            let Some(eject) = pool.settings.eject else { continue };
            let in_a_row = backend.failures_in_a_row();
            if in_a_row >= eject.failures {
                // Acted upon or not: if it fails on, it is heard of again.
                backend.forget_failures();
                let Some(left) = pool.eject(backend, in_a_row, &self.prober, now) else { continue };
                any = true;
                let text = format!(
                    "pool {}, backend {}: put aside for {}: {in_a_row} connects in a row failed",
                    of_table.name,
                    backend.name,
                    config::show_duration(left)
                );
                chronicle.note(Level::Warn, Kind::Ejection, text);
            }
        }
        any
    }

    /// What a table is to go by from now on.
    pub(crate) fn health(&mut self, now: Instant, chronicle: &mut Chronicle) -> Health {
        let prober = &self.prober;
        let of_pool =
            |(name, pool): (&String, &mut Pool)| (name.clone(), pool.health(name, prober, now, chronicle));
        Health { now, pools: self.pools.iter_mut().map(of_pool).collect() }
    }

    /// What probes say of the backends of the pool of this name.
    pub(crate) fn known(&self, pool: &str) -> HashMap<SocketAddr, &Status> {
        self.pools.get(pool).map(|pool| pool.known(&self.prober)).unwrap_or_default()
    }

    /// All backends of the pool of this name that say they are the primary, if that is more than one.
    pub(crate) fn conflict(&self, pool: &str) -> &[SocketAddr] {
        self.pools.get(pool).map_or(&[], |pool| &pool.conflict)
    }

    /// When time alone changes something of it.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.pools.values().filter_map(|pool| pool.due(now)).min()
    }
}

impl Pool {
    fn new(settings: &config::Pool) -> Self {
        let tells_roles = settings.probe.as_ref().is_some_and(|probe| probe.tells_roles());
        Self {
            settings: settings.clone(),
            roles: tells_roles.then(|| Roles::new(settings.lag_max)),
            ejections: settings.eject.map(Ejections::new),
            risen: BTreeMap::new(),
            conflict: Vec::new(),
        }
    }

    /// The same pool by other settings.
    fn follow(self, settings: &config::Pool) -> Self {
        let new = Self::new(settings);
        let has = |address| settings.backends.iter().any(|backend| backend.address == address);
        let ejections = self.ejections.filter(|_| self.settings.eject == settings.eject).map(|mut kept| {
            kept.retain(has);
            kept
        });
        let roles = self.roles.filter(|_| self.settings.lag_max == settings.lag_max);
        let mut risen = self.risen;
        risen.retain(|address, _| has(*address));
        Self {
            roles: new.roles.map(|fresh| roles.unwrap_or(fresh)),
            ejections: ejections.or(new.ejections),
            risen,
            conflict: self.conflict,
            settings: new.settings,
        }
    }

    /// Whether a probe that changes nothing of its backend may change something all the same: replicas fall behind, and a
    /// probe that passes ends an ejection.
    fn heeds_every_probe(&self, now: Instant) -> bool {
        self.roles.is_some() || self.ejections.as_ref().is_some_and(|all| all.next_end(now).is_some())
    }

    fn health(&mut self, name: &str, prober: &Prober, now: Instant, chronicle: &mut Chronicle) -> PoolHealth {
        let known = self.known(prober);
        let decision = self.decide(&known);
        if let Some(decision) = &decision {
            self.tell_conflict(name, &decision.conflict, chronicle);
        }
        let standing = |backend: &config::Backend| {
            let address = backend.address;
            let standing = Standing {
                availability: self.availability(address, known.get(&address).copied(), now),
                role: decision.as_ref().and_then(|decision| role(address, decision)),
                weight_permille: self.weight_permille(address, now),
            };
            (address, standing)
        };
        PoolHealth { backends: self.settings.backends.iter().map(standing).collect(), failback: false }
    }

    /// What probes say of each backend that is probed.
    fn known<'a>(&self, prober: &'a Prober) -> HashMap<SocketAddr, &'a Status> {
        let each = targets(&self.settings);
        each.filter_map(|(backend, target)| Some((backend.address, prober.status(&target)?))).collect()
    }

    fn decide(&mut self, known: &HashMap<SocketAddr, &Status>) -> Option<Decision<SocketAddr>> {
        let roles = self.roles.as_mut()?;
        let backends = self.settings.backends.iter();
        let members: Vec<_> = backends
            .filter_map(|backend| Some(known.get(&backend.address)?.member(backend.address)))
            .collect();
        Some(roles.decide(&members))
    }

    /// Says it once that more than one backend takes writes, and once that it is over.
    fn tell_conflict(&mut self, name: &str, conflict: &[SocketAddr], chronicle: &mut Chronicle) {
        if self.conflict == conflict {
            return;
        }
        self.conflict = conflict.to_vec();
        if conflict.is_empty() {
            let text = format!("pool {name}: one primary at most, once more");
            return chronicle.note(Level::Info, Kind::Primaries, text);
        }
        let claimants: Vec<&str> = self
            .settings
            .backends
            .iter()
            .filter(|backend| conflict.contains(&backend.address))
            .map(|backend| backend.name.as_str())
            .collect();
        let text = format!(
            "pool {name}: backends {} all say that they are the primary; whoever was it before is written to, or nobody",
            claimants.join(", ")
        );
        chronicle.note(Level::Error, Kind::Primaries, text);
    }

    fn availability(&self, address: SocketAddr, status: Option<&Status>, now: Instant) -> Availability {
        let ejected = self.ejections.as_ref().is_some_and(|all| all.is_ejected(address, now));
        match status.map(|status| status.verdict) {
            Some(Verdict::Down) => Availability::Down,
            _ if ejected => Availability::Ejected,
            Some(Verdict::Up) => Availability::Up,
            Some(Verdict::Unknown) | None => Availability::Unknown,
        }
    }

    /// How much of its weight a backend takes: in steps, as each is another table.
    fn weight_permille(&self, address: SocketAddr, now: Instant) -> u16 {
        let Some(step) = self.step(address, now) else { return STEPS * STEP_PERMILLE };
        (step + 1) * STEP_PERMILLE
    }

    /// Which step of its slow start a backend is in; none once it is over.
    fn step(&self, address: SocketAddr, now: Instant) -> Option<u16> {
        let since = now.saturating_duration_since(*self.risen.get(&address)?);
        let length = self.settings.slow_start / u32::from(STEPS);
        (0..STEPS).find(|step| since < length * u32::from(step + 1))
    }

    /// When the next slow start takes its next step, or the next ejection ends.
    fn due(&self, now: Instant) -> Option<Instant> {
        let length = self.settings.slow_start / u32::from(STEPS);
        let step = |(address, risen): (&SocketAddr, &Instant)| {
            self.step(*address, now).map(|step| *risen + length * u32::from(step + 1))
        };
        let ejection = self.ejections.as_ref().and_then(|all| all.next_end(now));
        self.risen.iter().filter_map(step).chain(ejection).min()
    }

    /// Puts a backend aside, unless too many of the pool are; for how long it is, if it is.
    fn eject(&mut self, backend: &Backend, in_a_row: u32, prober: &Prober, now: Instant) -> Option<Duration> {
        let known = self.known(prober);
        let takes = |of: &&config::Backend| {
            of.weight > 0
                && self.availability(of.address, known.get(&of.address).copied(), now).is_available()
        };
        let available = self.settings.backends.iter().filter(takes).count();
        let pool = ejection::Pool { backends: self.settings.backends.len(), available };
        let ejections = self.ejections.as_mut()?;
        if !ejections.on_failures(backend.address, in_a_row, now, pool) {
            return None;
        }
        Some(ejections.end(backend.address).unwrap_or(now).saturating_duration_since(now))
    }
}

fn kind(change: &Change) -> Kind {
    match change {
        Change::Verdict { .. } => Kind::Verdict,
        Change::Error(_) | Change::Recovered => Kind::Probe,
        Change::Role { .. } => Kind::Role,
    }
}

/// The time, on the clock that probes go by.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The backends of a pool that are probed, each with what is asked.
fn targets(pool: &config::Pool) -> impl Iterator<Item = (&config::Backend, Target)> {
    let target = |backend: &'_ config::Backend, probe: &Arc<config::Probe>| Target {
        address: backend.address,
        probe: Arc::clone(probe),
    };
    let probe = pool.probe.as_ref();
    pool.backends.iter().filter_map(move |backend| Some((backend, target(backend, probe?))))
}

fn role(address: SocketAddr, decision: &Decision<SocketAddr>) -> Option<Role> {
    if decision.writer == Some(address) {
        Some(Role::Primary)
    } else if decision.readers.contains(&address) {
        Some(Role::Replica { lags: false })
    } else if decision.lagging.contains(&address) {
        Some(Role::Replica { lags: true })
    } else {
        None
    }
}

/// In how many steps a slow start goes: each makes another rotation.
const STEPS: u16 = 10;

/// How much of its weight a step is, in thousandths.
const STEP_PERMILLE: u16 = 100;
