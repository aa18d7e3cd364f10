//! What is known of backends, made of their probes, of connects that failed, and of time; and what of it a table goes by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use health::ejection::{self, Ejections};
use health::roles::{Decision, Roles};
use health::{Change, Prober, Report, ServerId, Status, Target, Verdict};
use log::Level;
use table::{Availability, Backend, BackendState, Inputs, PoolInputs, Role, Table};

use crate::event_log::EventLog;
use crate::overrides::{Drain, Overrides};
use api::EventKind;

/// Watches over the backends of every pool.
///
/// Whoever drives it calls [`next`](Self::next), tells it what happened, and has it [look](Self::look) if that matters. Most
/// answers do not, and cost one look-up.
pub(crate) struct HealthMonitor {
    prober: Prober,
    /// By the names of pools.
    pools: BTreeMap<Arc<str>, Pool>,
    /// When time alone changes something.
    due: Option<Instant>,
}

/// What is remembered of a pool.
struct Pool {
    name: Arc<str>,
    settings: config::Pool,
    /// Where in `settings` the backend at an address is.
    indices: HashMap<SocketAddr, usize>,
    /// Backends that an operator disabled: they are down and have no role, whatever they say.
    disabled: BTreeSet<SocketAddr>,
    /// Backends that an operator drains, and by when their connections are gone: from then on they have no role.
    drained: BTreeMap<SocketAddr, Instant>,
    /// Who has which role; none where probes do not tell.
    roles: Option<Roles<SocketAddr>>,
    /// Who is put aside; none where nobody ever is.
    ejections: Option<Ejections<SocketAddr>>,
    /// Who was down and came up, and when: those that start slowly.
    risen: BTreeMap<SocketAddr, Instant>,
    /// All that say they are the primary, if that is more than one.
    conflict: Vec<SocketAddr>,
    /// What came of all that when it was last looked at.
    health: PoolInputs,
    /// Whether it may be another since.
    stale: bool,
    /// When it is another by time alone.
    due: Option<Instant>,
}

impl HealthMonitor {
    /// Watches over the backends of `config`. Nothing is known of them yet.
    pub(crate) fn new(config: &Config) -> Self {
        // Which probe comes a little sooner than which is of no matter to anybody: the same each time.
        let mut watch = Self { prober: Prober::new(0), pools: BTreeMap::new(), due: None };
        watch.follow(config, &Overrides::default(), &mut EventLog::default());
        watch
    }

    /// Goes over to another config, and to what operators say besides. That decides nothing: what is known of a
    /// backend stays known for as long as the name of its pool and its address stay, until its next answer, whatever
    /// key of the pool or of its probe is another. What holds a role holds it, what is ejected is ejected, and the
    /// answers that were counted count.
    ///
    /// Without a probe nothing is known, and by one that does not ask for roles nothing of roles; so that is
    /// forgotten with it.
    pub(crate) fn follow(&mut self, config: &Config, overrides: &Overrides, chronicle: &mut EventLog) {
        let mut before = std::mem::take(&mut self.pools);
        for settings in &config.pools {
            let pool = match before.remove(settings.name.as_str()) {
                Some(pool) => pool.follow(settings, overrides, chronicle),
                None => Pool::new(settings, overrides),
            };
            self.pools.insert(Arc::clone(&pool.name), pool);
        }
        self.prober.set_targets(self.pools.values().flat_map(Pool::targets));
    }

    /// Asks every backend once, for `limit` at most.
    pub(crate) async fn first_round(&mut self, limit: Duration, chronicle: &mut EventLog) {
        for report in self.prober.first_round(limit).await {
            self.on_report(&report, now(), chronicle);
        }
    }

    /// Waits until a probe ended, of which [`on_report`](Self::on_report) is to be told. Without probes it waits for ever.
    pub(crate) async fn next(&mut self) -> Report {
        self.prober.next().await
    }

    /// Takes note of a probe that ended, and says in the chronicle what it changed. Says whether it is to be [looked](Self::look) at;
    /// after most probes there is nothing to see.
    pub(crate) fn on_report(&mut self, report: &Report, now: Instant, chronicle: &mut EventLog) -> bool {
        let Some(pool) = self.pools.get_mut(&report.server.pool) else { return false };
        let Some(status) = self.prober.status(&report.server) else { return false };
        let stale = pool.on_report(report, status, now, chronicle);
        if !report.held_back || !pool.lacks_a_primary_but(report.server.address, now) {
            return stale;
        }
        let Some(released) = self.prober.release(&report.server, now) else { return stale };
        let Some(status) = self.prober.status(&report.server) else { return stale };
        pool.on_report(&released, status, now, chronicle)
    }

    /// Puts backends of `table` aside that too many connects in a row have failed to reach, and says so in the chronicle. Says
    /// whether there was one.
    pub(crate) fn on_failures(&mut self, table: &Table, now: Instant, chronicle: &mut EventLog) -> bool {
        let mut any = false;
        for (of_table, backend) in
            table.pools.iter().flat_map(|pool| pool.backends.iter().map(move |of| (pool, of)))
        {
            let Some(pool) = self.pools.get_mut(of_table.name.as_str()) else { continue };
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
                chronicle.note(Level::Warn, EventKind::Ejection, text);
            }
        }
        any
    }

    /// Looks at those pools of which something may be another, and says whether something is.
    pub(crate) fn look(&mut self, now: Instant, chronicle: &mut EventLog) -> bool {
        let mut another = false;
        for pool in self.pools.values_mut() {
            if pool.stale || pool.due.is_some_and(|due| due <= now) {
                another |= pool.look(&self.prober, now, chronicle);
            }
        }
        self.due = self.pools.values().filter_map(|pool| pool.due).min();
        another
    }

    /// What a table is to go by from now on.
    pub(crate) fn health(&mut self, now: Instant, chronicle: &mut EventLog) -> Inputs {
        self.look(now, chronicle);
        let of_pool = |(name, pool): (&Arc<str>, &Pool)| (name.to_string(), pool.health.clone());
        Inputs { now, pools: self.pools.iter().map(of_pool).collect() }
    }

    /// What probes say of the backends of the pool of this name.
    pub(crate) fn known(&self, pool: &str) -> HashMap<SocketAddr, &Status> {
        let Some(pool) = self.pools.get(pool) else { return HashMap::new() };
        let each = pool.settings.backends.iter().map(|backend| backend.address);
        each.zip(pool.known(&self.prober)).filter_map(|(address, known)| Some((address, known?))).collect()
    }

    /// All backends of the pool of this name that say they are the primary, if that is more than one.
    pub(crate) fn conflict(&self, pool: &str) -> &[SocketAddr] {
        self.pools.get(pool).map_or(&[], |pool| &pool.conflict)
    }

    /// For how much longer a backend of the pool of this name is put aside; none if it is not.
    pub(crate) fn ejected_for(&self, pool: &str, backend: SocketAddr, now: Instant) -> Option<Duration> {
        let ejections = self.pools.get(pool)?.ejections.as_ref()?;
        let end = ejections.end(backend).filter(|_| ejections.is_ejected(backend, now));
        end.map(|end| end.saturating_duration_since(now))
    }

    /// When time alone changes something, and it is to be [looked](Self::look) at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Pool {
    fn new(settings: &config::Pool, overrides: &Overrides) -> Self {
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
            health: PoolInputs::default(),
            stale: true,
            due: None,
        };
        for backend in &settings.backends {
            let said = overrides.of(&settings.name, backend.address);
            if said.disabled {
                pool.disabled.insert(backend.address);
            }
            if let Some(Drain::Until(notice)) = said.drain {
                pool.drained.insert(backend.address, notice.until);
            }
        }
        pool
    }

    /// The same pool by other settings.
    fn follow(mut self, settings: &config::Pool, overrides: &Overrides, chronicle: &mut EventLog) -> Self {
        let new = Self::new(settings, overrides);
        if settings.eject.is_none() {
            self.tell_readmitted(chronicle);
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
            health: self.health,
            ..new
        }
    }

    fn id(&self, address: SocketAddr) -> ServerId {
        ServerId { pool: Arc::clone(&self.name), address }
    }

    /// The backends that are probed, each with what is asked.
    fn targets(&self) -> impl Iterator<Item = (ServerId, Target)> {
        let probe = self.settings.probe.as_ref();
        self.settings.backends.iter().filter_map(move |backend| {
            let target = Target { address: backend.address, probe: Arc::clone(probe?) };
            Some((self.id(backend.address), target))
        })
    }

    /// Whether what this backend says of roles counts. A disabled backend is out of service. A drained one serves its
    /// writers until its time is up, and nothing else may meanwhile; then it is out of service, too.
    fn has_a_say(&self, address: SocketAddr, now: Instant) -> bool {
        !self.disabled.contains(&address) && self.drained.get(&address).is_none_or(|until| now < *until)
    }

    /// Whether this backend has a say, and no backend that is well claims to be the primary.
    fn lacks_a_primary_but(&self, address: SocketAddr, now: Instant) -> bool {
        self.roles.as_ref().is_some_and(|roles| !roles.is_claimed()) && self.has_a_say(address, now)
    }

    /// Takes note of what came of a probe of a backend, after which this is known of it. Says whether it is to be looked at.
    fn on_report(
        &mut self,
        report: &Report,
        status: &Status,
        now: Instant,
        chronicle: &mut EventLog,
    ) -> bool {
        let has_a_say = self.has_a_say(report.server.address, now);
        let config::Backend { name, address, .. } =
            &self.settings.backends[self.indices[&report.server.address]];
        let pool = &self.name;
        for change in &report.changes {
            chronicle.note(change.level(), kind(change), format!("pool {pool}, backend {name}: {change}"));
        }
        let passed = status.error.is_none();
        let returns = passed && self.ejections.as_mut().is_some_and(|all| all.on_probe_passed(*address, now));
        if returns {
            let text = format!("pool {pool}, backend {name}: its probe passes: no longer put aside");
            chronicle.note(Level::Info, EventKind::Ejection, text);
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
        let roles = self.roles.as_mut().filter(|_| has_a_say);
        let stands = roles.is_none_or(|roles| roles.stands(&status.member(*address)));
        self.stale |= returns || report.differs || !stands;
        self.stale
    }

    /// Looks at what is known now, and says whether that is something else than before.
    fn look(&mut self, prober: &Prober, now: Instant, chronicle: &mut EventLog) -> bool {
        self.tell_expired(now, chronicle);
        let known = self.known(prober);
        let decision = self.decide(&known, now);
        if let Some(decision) = &decision {
            self.tell_conflict(decision, chronicle);
        }
        let roles = decision.map(roles_of).unwrap_or_default();
        let standing = |(backend, known): (&config::Backend, Option<&Status>)| {
            let address = backend.address;
            let standing = BackendState {
                availability: self.availability(address, known, now),
                role: roles.get(&address).copied(),
                weight_permille: self.weight_permille(address, now),
            };
            (address, standing)
        };
        let backends = self.settings.backends.iter().zip(known).map(standing).collect();
        let health = PoolInputs { backends, ..PoolInputs::default() };
        let another = health != self.health;
        self.health = health;
        self.stale = false;
        self.due = self.next_due(now);
        another
    }

    /// What probes say of each backend, in their order; none of those that are not probed.
    fn known<'a>(&self, prober: &'a Prober) -> Vec<Option<&'a Status>> {
        self.settings.backends.iter().map(|backend| prober.status(&self.id(backend.address))).collect()
    }

    fn decide(&mut self, known: &[Option<&Status>], now: Instant) -> Option<Decision<SocketAddr>> {
        let each = self.settings.backends.iter().zip(known);
        let with_a_say = each.filter(|(backend, _)| self.has_a_say(backend.address, now));
        let members: Vec<_> =
            with_a_say.filter_map(|(backend, known)| Some((*known)?.member(backend.address))).collect();
        Some(self.roles.as_mut()?.decide(&members))
    }

    /// Says who is put aside no longer, because the time is up.
    fn tell_expired(&mut self, now: Instant, chronicle: &mut EventLog) {
        let expired = self.ejections.as_mut().map(|all| all.take_expired(now)).unwrap_or_default();
        for backend in self.settings.backends.iter().filter(|backend| expired.contains(&backend.address)) {
            let text =
                format!("pool {}, backend {}: its time is up: no longer put aside", self.name, backend.name);
            chronicle.note(Level::Info, EventKind::Ejection, text);
        }
    }

    /// Says which backends are put aside no longer, because the pool puts none aside any more.
    fn tell_readmitted(&self, chronicle: &mut EventLog) {
        let is_ejected = |backend: &&config::Backend| {
            let standing = self.health.backends.get(&backend.address);
            standing.is_some_and(|standing| standing.availability == Availability::Ejected)
        };
        for backend in self.settings.backends.iter().filter(is_ejected) {
            let text =
                format!("pool {}, backend {}: `eject` is off: no longer put aside", self.name, backend.name);
            chronicle.note(Level::Info, EventKind::Ejection, text);
        }
    }

    /// Says it once that more than one backend takes writes, and once that it is over.
    fn tell_conflict(&mut self, decision: &Decision<SocketAddr>, chronicle: &mut EventLog) {
        let name = &self.name;
        if self.conflict == decision.conflict {
            return;
        }
        self.conflict.clone_from(&decision.conflict);
        if self.conflict.is_empty() {
            let text = format!("pool {name}: one primary at most, once more");
            return chronicle.note(Level::Info, EventKind::Primaries, text);
        }
        let names = |of: &[SocketAddr]| {
            let each = self.settings.backends.iter().filter(|backend| of.contains(&backend.address));
            each.map(|backend| backend.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let writer = decision.writer.map_or_else(|| "nobody".to_owned(), |writer| names(&[writer]));
        let text = format!(
            "pool {name}: backends {} all say that they are the primary; {writer} is written to",
            names(&decision.conflict)
        );
        chronicle.note(Level::Error, EventKind::Primaries, text);
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

    /// Puts a backend aside, unless too many of the pool are; for how long it is, if it is.
    fn eject(&mut self, backend: &Backend, in_a_row: u32, prober: &Prober, now: Instant) -> Option<Duration> {
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

/// The time, on the clock that probes go by.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Who has which role by this decision.
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
mod model;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use config::Config;
    use health::roles::Times;
    use health::{Answer, Outcome, ServerId};
    use table::Table;

    use super::{HealthMonitor, Pool, now};
    use crate::event_log::EventLog;
    use crate::overrides::Overrides;
    use crate::reload::tests::config;
    use crate::transitions::{self, Snapshot};
    use api::EventKind;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn who_came_up_takes_a_tenth_more_of_its_weight_with_each_step() {
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

    #[test]
    fn the_end_of_an_ejection_is_noted_once() {
        let second = Duration::from_secs(1);
        let off = eject("off");
        check_end("its time is up", |_, at, _| at + 10 * second);
        check_end("`eject` is off", |watch, at, chronicle| {
            watch.follow(&off, &Overrides::default(), chronicle);
            at
        });
        check_end("its probe passes", |watch, at, chronicle| {
            let server = ServerId { pool: "p".into(), address: "10.0.0.1:1".parse().unwrap() };
            let times = Times { asked: at, answered: at + second };
            let outcome = Outcome { answer: Ok(Answer::default()), latency: second };
            let report = watch.prober.on_outcome(&server, times, outcome).unwrap();
            watch.on_report(&report, times.answered, chronicle);
            times.answered
        });
    }

    /// What ends an ejection, and what is noted of that from one table to the next.
    #[track_caller]
    fn check_end(why: &str, ends: impl FnOnce(&mut HealthMonitor, Instant, &mut EventLog) -> Instant) {
        let config = eject("{ failures: 3, for: 10s, max: 300s }");
        let (mut watch, mut chronicle, begin) = (HealthMonitor::new(&config), EventLog::default(), now());
        let table = Table::build(&config, Vec::new(), 1, Some(&watch.health(begin, &mut chronicle)), None);
        for _ in 0..3 {
            table.pools[0].backends[0].on_connect_failed();
        }
        assert!(watch.on_failures(&table, begin, &mut chronicle));
        let ejected = watch.health(begin, &mut chronicle);

        let mut chronicle = EventLog::default();
        let at = ends(&mut watch, begin, &mut chronicle);
        let back = watch.health(at, &mut chronicle);
        let [before, after] = [&ejected, &back].map(|health| Snapshot { table: &table, health });
        transitions::note(before, after, &mut chronicle);
        let noted: Vec<&str> = chronicle
            .entries()
            .filter(|entry| entry.kind == EventKind::Ejection)
            .map(|entry| entry.text.as_str())
            .collect();
        assert_eq!(noted, [format!("pool p, backend a: {why}: no longer put aside")]);
    }

    fn eject(eject: &str) -> Config {
        let backends = r#"[{ name: a, address: "10.0.0.1:1" }, { name: b, address: "10.0.0.2:1" }]"#;
        let pool = format!("{{ name: p, backends: {backends}, probe: {{ tcp: {{}} }}, eject: {eject} }}");
        let listener = r#"{ name: l, address: "127.0.0.1:1", pool: p }"#;
        let text = format!("version: 1\nlisteners: [{listener}]\npools: [{pool}]\n");
        let mut config = Config::parse("test", text.as_bytes()).unwrap();
        config.listeners.clear();
        config
    }

    fn pool(slow_start: Duration) -> (Pool, SocketAddr) {
        let mut config = config(&["web 127.0.0.1:80"]);
        config.pools[0].slow_start = slow_start;
        (Pool::new(&config.pools[0], &Overrides::default()), config.pools[0].backends[0].address)
    }
}
