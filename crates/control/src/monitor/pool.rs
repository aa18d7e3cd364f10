//! The backends of one pool: their probes, roles, ejections and slow starts, and the states that these make.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::EventKind;
use health::ejection::{self, Ejections};
use health::roles::{Decision, Roles};
use health::{Change, Prober, Report, ServerId, Status, Target, Verdict};
use log::Level;
use table::{Availability, Backend, BackendState, Drain, Overrides, PoolInputs, Role};

use crate::event_log::EventLog;

/// The backends of a pool, and what their states are made of.
pub(super) struct Pool {
    name: Arc<str>,
    settings: config::Pool,
    /// Where in `settings` the backend at an address is.
    indices: HashMap<SocketAddr, usize>,
    /// Backends that an operator disabled: they are down and have no role, whatever their probes say.
    disabled: BTreeSet<SocketAddr>,
    /// Backends that an operator drains, and when the drain ends: from then on they have no role.
    drained: BTreeMap<SocketAddr, Instant>,
    /// Which backend has which role; none where probes do not query it.
    roles: Option<Roles<SocketAddr>>,
    /// Which backends are ejected; none where the pool ejects none.
    ejections: Option<Ejections<SocketAddr>>,
    /// Backends that were down and came up, and when: those that start slowly.
    risen: BTreeMap<SocketAddr, Instant>,
    /// All that claim to be the primary, if that is more than one.
    conflict: Vec<SocketAddr>,
    /// The states as of the last evaluation.
    inputs: PoolInputs,
    /// Whether they may have changed since.
    stale: bool,
    /// When time alone changes them.
    due: Option<Instant>,
}

impl Pool {
    pub(super) fn new(settings: &config::Pool, overrides: &Overrides) -> Self {
        let tells_roles = settings.probe.as_ref().is_some_and(|probe| probe.tells_roles());
        let mut pool = Self {
            name: settings.name.as_str().into(),
            settings: settings.clone(),
            indices: settings
                .backends
                .iter()
                .enumerate()
                .map(|(at, backend)| (backend.address, at))
                .collect(),
            disabled: BTreeSet::new(),
            drained: BTreeMap::new(),
            roles: tells_roles.then(|| Roles::new(settings.lag_max)),
            ejections: settings.eject.map(Ejections::new),
            risen: BTreeMap::new(),
            conflict: Vec::new(),
            inputs: PoolInputs::default(),
            stale: true,
            due: None,
        };
        for backend in &settings.backends {
            let it = overrides.of(&settings.name, backend.address);
            if it.disabled {
                pool.disabled.insert(backend.address);
            }
            if let Some(Drain::Until(window)) = it.drain {
                pool.drained.insert(backend.address, window.until);
            }
        }
        pool
    }

    /// The same pool by other settings.
    pub(super) fn reconfigure(
        mut self,
        settings: &config::Pool,
        overrides: &Overrides,
        now: Instant,
        event_log: &mut EventLog,
    ) -> Self {
        let new = Self::new(settings, overrides);
        if settings.eject.is_none() {
            self.note_readmitted(now, event_log);
        }
        let ejections = settings.eject.zip(self.ejections).map(|(limits, mut kept)| {
            kept.set_limits(limits);
            kept.retain(|address| new.indices.contains_key(&address));
            kept
        });
        let roles = new.roles.is_some().then_some(self.roles).flatten().map(|mut kept| {
            kept.set_lag_max(settings.lag_max);
            kept
        });
        self.risen.retain(|address, _| new.indices.contains_key(address));
        Self {
            name: self.name,
            conflict: if new.roles.is_some() { self.conflict } else { Vec::new() },
            roles: roles.or(new.roles),
            ejections: ejections.or(new.ejections),
            risen: self.risen,
            inputs: self.inputs,
            ..new
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The states as of the last evaluation.
    pub(super) fn inputs(&self) -> &PoolInputs {
        &self.inputs
    }

    pub(super) fn conflict(&self) -> &[SocketAddr] {
        &self.conflict
    }

    /// When time alone changes something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether something may have changed since the last evaluation.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.stale || self.due.is_some_and(|due| due <= now)
    }

    /// With how many failed connects in a row a backend is ejected.
    pub(super) fn failures_max(&self) -> Option<u32> {
        self.settings.eject.map(|eject| eject.failures)
    }

    pub(super) fn ejected_for(&self, backend: SocketAddr, now: Instant) -> Option<Duration> {
        let ejections = self.ejections.as_ref()?;
        let end = ejections.end(backend).filter(|_| ejections.is_ejected(backend, now));
        end.map(|end| end.saturating_duration_since(now))
    }

    /// The results of its probes.
    pub(super) fn known_by_address<'a>(&self, prober: &'a Prober) -> HashMap<SocketAddr, &'a Status> {
        let each = self.settings.backends.iter().map(|backend| backend.address);
        each.zip(self.known(prober)).filter_map(|(address, known)| Some((address, known?))).collect()
    }

    fn id(&self, address: SocketAddr) -> ServerId {
        ServerId { pool: Arc::clone(&self.name), address }
    }

    /// The backends that are probed, each with what is asked.
    pub(super) fn targets(&self) -> impl Iterator<Item = (ServerId, Target)> {
        let probe = self.settings.probe.as_ref();
        self.settings.backends.iter().filter_map(move |backend| {
            let target = Target { address: backend.address, probe: Arc::clone(probe?) };
            Some((self.id(backend.address), target))
        })
    }

    /// Whether the role that this backend reports counts. A disabled backend is out of service. A drained one
    /// serves its writers until its drain ends, and no other backend may meanwhile; then it is out of service,
    /// too.
    fn role_counts(&self, address: SocketAddr, now: Instant) -> bool {
        !self.disabled.contains(&address) && self.drained.get(&address).is_none_or(|until| now < *until)
    }

    /// Whether the role of this backend counts, and no backend that is up claims to be the primary.
    pub(super) fn lacks_a_primary_but(&self, address: SocketAddr, now: Instant) -> bool {
        self.roles.as_ref().is_some_and(|roles| !roles.is_claimed()) && self.role_counts(address, now)
    }

    /// Takes in a probe of a backend, after which that has this status. Says whether the pool is to be evaluated.
    pub(super) fn on_report(
        &mut self,
        report: &Report,
        status: &Status,
        now: Instant,
        event_log: &mut EventLog,
    ) -> bool {
        let role_counts = self.role_counts(report.server.address, now);
        let config::Backend { name, address, .. } =
            &self.settings.backends[self.indices[&report.server.address]];
        let pool = &self.name;
        for change in &report.changes {
            event_log.note_of(
                pool,
                change.level(),
                kind(change),
                format!("pool {pool}, backend {name}: {change}"),
            );
        }
        let passed = status.error.is_none();
        let returns = passed && self.ejections.as_mut().is_some_and(|all| all.on_probe_passed(*address, now));
        if returns {
            let text = format!("pool {pool}, backend {name}: its probe passes: no longer ejected");
            event_log.note_of(pool, Level::Info, EventKind::Ejection, text);
        }
        for change in &report.changes {
            match change {
                Change::Verdict { before: Verdict::Down, after: Verdict::Up, .. } => {
                    self.risen.insert(*address, now);
                }
                Change::Verdict { .. } => drop(self.risen.remove(address)),
                Change::Error(_) | Change::Recovered | Change::Role { .. } => {}
            }
        }
        let roles = self.roles.as_mut().filter(|_| role_counts);
        let stands = roles.is_none_or(|roles| roles.stands(&status.member(*address)));
        self.stale |= returns || report.differs || !stands;
        self.stale
    }

    /// Evaluates the states of all backends, and says whether one changed.
    pub(super) fn evaluate(&mut self, prober: &Prober, now: Instant, event_log: &mut EventLog) -> bool {
        self.note_expired(now, event_log);
        let known = self.known(prober);
        let decision = self.decide(&known, now);
        if let Some(decision) = &decision {
            self.note_conflict(decision, event_log);
        }
        let roles = decision.map(roles_of).unwrap_or_default();
        let state = |(backend, known): (&config::Backend, Option<&Status>)| {
            let address = backend.address;
            let state = BackendState {
                availability: self.availability(address, known, now),
                role: roles.get(&address).copied(),
                weight_permille: self.weight_permille(address, now),
            };
            (address, state)
        };
        let backends = self.settings.backends.iter().zip(known).map(state).collect();
        let inputs = PoolInputs { backends, ..PoolInputs::default() };
        let changed = inputs != self.inputs;
        self.inputs = inputs;
        self.stale = false;
        self.due = self.next_due(now);
        changed
    }

    /// The result of the probes of each backend, in their order; none of those that are not probed.
    fn known<'a>(&self, prober: &'a Prober) -> Vec<Option<&'a Status>> {
        self.settings.backends.iter().map(|backend| prober.status(&self.id(backend.address))).collect()
    }

    fn decide(&mut self, known: &[Option<&Status>], now: Instant) -> Option<Decision<SocketAddr>> {
        let each = self.settings.backends.iter().zip(known);
        let counted = each.filter(|(backend, _)| self.role_counts(backend.address, now));
        let members: Vec<_> =
            counted.filter_map(|(backend, known)| Some((*known)?.member(backend.address))).collect();
        Some(self.roles.as_mut()?.decide(&members))
    }

    /// Notes the backends that are no longer ejected because the time is up.
    fn note_expired(&mut self, now: Instant, event_log: &mut EventLog) {
        let expired = self.ejections.as_mut().map(|all| all.take_expired(now)).unwrap_or_default();
        for backend in self.settings.backends.iter().filter(|backend| expired.contains(&backend.address)) {
            let text =
                format!("pool {}, backend {}: its time is up: no longer ejected", self.name, backend.name);
            event_log.note_of(&self.name, Level::Info, EventKind::Ejection, text);
        }
    }

    /// Notes the backends that are no longer ejected because the pool ejects none any more.
    fn note_readmitted(&mut self, now: Instant, event_log: &mut EventLog) {
        self.note_expired(now, event_log);
        let Some(ejections) = &self.ejections else { return };
        let ejected = |backend: &&config::Backend| ejections.is_ejected(backend.address, now);
        for backend in self.settings.backends.iter().filter(ejected) {
            let text =
                format!("pool {}, backend {}: `eject` is off: no longer ejected", self.name, backend.name);
            event_log.note_of(&self.name, Level::Info, EventKind::Ejection, text);
        }
    }

    /// Notes once that more than one backend claims to be the primary, and once that this is over.
    fn note_conflict(&mut self, decision: &Decision<SocketAddr>, event_log: &mut EventLog) {
        let name = &self.name;
        if self.conflict == decision.conflict {
            return;
        }
        self.conflict.clone_from(&decision.conflict);
        if self.conflict.is_empty() {
            let text = format!("pool {name}: one primary at most again");
            return event_log.note_of(name, Level::Info, EventKind::Primaries, text);
        }
        let names = |of: &[SocketAddr]| {
            let each = self.settings.backends.iter().filter(|backend| of.contains(&backend.address));
            each.map(|backend| backend.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let writer = decision.writer.map_or_else(|| "none".to_owned(), |writer| names(&[writer]));
        let text = format!(
            "pool {name}: backends {} all report that they are the primary; {writer} is written to",
            names(&decision.conflict)
        );
        event_log.note_of(name, Level::Error, EventKind::Primaries, text);
    }

    fn availability(&self, address: SocketAddr, status: Option<&Status>, now: Instant) -> Availability {
        let ejected = self.ejections.as_ref().is_some_and(|all| all.is_ejected(address, now));
        match status.map(|status| status.verdict) {
            _ if self.disabled.contains(&address) => Availability::Down,
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

    /// When the next slow start takes its next step, or the next ejection or drain ends.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let length = self.settings.slow_start / u32::from(STEPS);
        let step = |(address, risen): (&SocketAddr, &Instant)| {
            self.step(*address, now).map(|step| *risen + length * u32::from(step + 1))
        };
        let ejection = self.ejections.as_ref().and_then(|all| all.next_end(now));
        let drain = self.drained.values().copied().filter(|until| *until > now);
        self.risen.iter().filter_map(step).chain(ejection).chain(drain).min()
    }

    /// Ejects a backend, unless too many of the pool are ejected; says for how long.
    pub(super) fn eject(
        &mut self,
        backend: &Backend,
        in_a_row: u32,
        prober: &Prober,
        now: Instant,
    ) -> Option<Duration> {
        let known = self.known(prober);
        let takes = |(of, known): &(&config::Backend, Option<&Status>)| {
            of.weight > 0 && self.availability(of.address, *known, now).is_available()
        };
        let available = self.settings.backends.iter().zip(known).filter(takes).count();
        let pool = ejection::Pool { backends: self.settings.backends.len(), available };
        let ejections = self.ejections.as_mut()?;
        if !ejections.on_failures(backend.address, in_a_row, now, pool) {
            return None;
        }
        self.stale = true;
        Some(ejections.end(backend.address).unwrap_or(now).saturating_duration_since(now))
    }
}

fn kind(change: &Change) -> EventKind {
    match change {
        Change::Verdict { .. } => EventKind::Verdict,
        Change::Error(_) | Change::Recovered => EventKind::Probe,
        Change::Role { .. } => EventKind::Role,
    }
}

/// The roles by this decision.
fn roles_of(decision: Decision<SocketAddr>) -> HashMap<SocketAddr, Role> {
    let replicas = |all: Vec<SocketAddr>, lags| all.into_iter().map(move |one| (one, Role::Replica { lags }));
    let primary = decision.writer.map(|writer| (writer, Role::Primary));
    let readers = replicas(decision.readers, false);
    readers.chain(replicas(decision.lagging, true)).chain(primary).collect()
}

/// In how many steps a slow start goes: each makes another rotation.
const STEPS: u16 = 10;

/// How much of its weight a step is, in thousandths.
const STEP_PERMILLE: u16 = 100;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use table::Overrides;

    use super::Pool;
    use crate::monitor::now;
    use crate::reload::tests::config;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_backend_that_came_up_takes_a_tenth_more_of_its_weight_with_each_step() {
        let (mut pool, backend) = pool(10 * HOUR);
        let risen = now();
        assert_eq!((pool.weight_permille(backend, risen), pool.next_due(risen)), (1000, None));
        pool.risen.insert(backend, risen);
        for step in 0..10 {
            let next = Some(risen + HOUR * (u32::from(step) + 1));
            for at in [risen + HOUR * step.into(), risen + HOUR * step.into() + HOUR.mul_f32(0.9)] {
                assert_eq!(pool.weight_permille(backend, at), 100 * (step + 1), "{step}");
                assert_eq!(pool.next_due(at), next, "{step}");
            }
        }
        let end = risen + 10 * HOUR;
        assert_eq!((pool.weight_permille(backend, end), pool.next_due(end)), (1000, None));
    }

    #[test]
    fn a_slow_start_of_no_length_is_none() {
        let (mut pool, backend) = pool(Duration::ZERO);
        let risen = now();
        pool.risen.insert(backend, risen);
        assert_eq!((pool.weight_permille(backend, risen), pool.next_due(risen)), (1000, None));
    }

    fn pool(slow_start: Duration) -> (Pool, SocketAddr) {
        let mut config = config(&["web 127.0.0.1:80"]);
        config.pools[0].slow_start = slow_start;
        (Pool::new(&config.pools[0], &Overrides::default()), config.pools[0].backends[0].address)
    }
}
