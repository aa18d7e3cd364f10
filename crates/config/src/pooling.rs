//! The `pools` of a file as written, with their backends.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::address;
use crate::config::{
    Backend, Backups, Balance, Eject, Failback, Keepalive, LagMax, OnAllDown, OnDemotion, OnLoss, OnRemove,
    Pool, Tier,
};
use crate::defaults;
use crate::duration;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::listening::{name, waiting};
use crate::probe::Probe;
use crate::probing;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::proxying;
use crate::sections::{BACKEND, EJECT, KEEPALIVE, LISTENER, POOL, PROBE, QUEUE, RUNTIME};
use crate::size;
use crate::span::{At, Span};

/// A pool, and the places of settings that may conflict with others.
pub(crate) struct WrittenPool {
    pub(crate) name: Option<At<String>>,
    pub(crate) source: Option<At<IpAddr>>,
    /// The probe, unless it was invalid, and its place.
    pub(crate) probe: Option<At<Option<Probe>>>,
    pub(crate) on_all_down: Option<OnAllDown>,
    pub(crate) places: PoolPlaces,
    pub(crate) backends: Vec<WrittenBackend>,
    /// Everything else; the fields above are not set in it.
    pub(crate) rest: Pool,
}

/// The places of settings; none for those that are not written.
#[derive(Default)]
pub(crate) struct PoolPlaces {
    pub(crate) min_active: Option<Span>,
    pub(crate) on_down: Option<Span>,
    pub(crate) slow_start: Option<Span>,
    pub(crate) max_lag: Option<Span>,
}

/// A backend.
pub(crate) struct WrittenBackend {
    pub(crate) name: Option<At<String>>,
    pub(crate) address: Option<At<SocketAddr>>,
    pub(crate) tier: Option<At<Tier>>,
    weight: u16,
    connections_max: Option<NonZeroU32>,
}

impl WrittenBackend {
    /// Whether it is of the backup tier.
    pub(crate) fn is_backup(&self) -> bool {
        self.tier.is_some_and(|tier| tier.value == Tier::Backup)
    }
}

impl WrittenPool {
    /// The pool, if all of it was valid. The default of `on_all_down` depends on its listeners.
    pub(crate) fn complete(self, used_by_role: bool) -> Option<Pool> {
        let backends = self.backends.into_iter().map(WrittenBackend::complete).collect::<Option<_>>()?;
        let source = self.source.map(|source| source.value);
        let sent = self.rest.send_proxy.as_ref().map(|send_proxy| send_proxy.version);
        let probe = match self.probe {
            Some(probe) => {
                let probe = probe.value?;
                Some(Arc::new(Probe { source, send_proxy: probe.send_proxy.and(sent), ..probe }))
            }
            None => None,
        };
        let on_all_down = self.on_all_down.unwrap_or_else(|| defaults::on_all_down(used_by_role));
        Some(Pool { name: self.name?.value, source, probe, on_all_down, backends, ..self.rest })
    }
}

impl WrittenBackend {
    fn complete(self) -> Option<Backend> {
        Some(Backend {
            name: self.name?.value,
            address: self.address?.value,
            weight: self.weight,
            tier: self.tier.map_or(Tier::Active, |tier| tier.value),
            connections_max: self.connections_max,
        })
    }
}

pub(crate) fn pools(file: &Fields<'_>, problems: &mut Problems) -> Vec<WrittenPool> {
    let Some(value) = file.require("pools", "pools:", problems) else { return Vec::new() };
    let Some(items) = value.items("pools", Some(&POOL), problems) else { return Vec::new() };
    if items.len() == 0 {
        let finding = Finding::at(value.span(), "no pool");
        problems.push(finding.help(format!("add one, such as `{}`", POOL.example)));
    }
    let mut pools = Vec::new();
    let mut backends_total = 0;
    for value in items {
        if problems.is_full() {
            break;
        }
        if pools.len() == limits::POOLS_MAX {
            problems.push(Finding::at(value.span(), format!("more than {} pools", limits::POOLS_MAX)));
            break;
        }
        if let Some(fields) =
            value.fields(&POOL, &[&LISTENER, &RUNTIME, &BACKEND, &KEEPALIVE, &PROBE], problems)
        {
            pools.push(pool(&fields, &mut backends_total, problems));
        }
    }
    pools
}

fn pool(fields: &Fields<'_>, backends_total: &mut usize, problems: &mut Problems) -> WrittenPool {
    let name = fields.require("name", "name: web", problems).and_then(|value| value.name(problems));
    let mut pool = defaults::pool(String::new(), Vec::new());
    if let Some(balance) =
        fields.get("balance").and_then(|value| value.choice("balancing policy", Balance::ALL, problems))
    {
        pool.balance = balance;
    }
    timeouts(&mut pool, fields, problems);
    if let Some(attempts) = fields.get("attempts").and_then(|value| value.number(limits::ATTEMPTS, problems))
    {
        pool.attempts = attempts;
    }
    if let Some(value) = fields.get("keepalive") {
        pool.keepalive = keepalive(value, problems);
    }
    pool.send_proxy = proxying::send_proxy(fields, problems);
    // Keys that have no default.
    let source = fields.get("source").filter(|value| !value.is_nothing());
    let source = source.and_then(|value| value.parse("an IP address", address::source, problems));
    let probe = fields.get("probe").filter(|value| !value.is_nothing() && !value.is_off());
    let probe = probe
        .map(|value| At { value: probing::probe(value, &[&POOL, &BACKEND], problems), span: value.span() });
    if let Some(value) = fields.get("eject") {
        pool.eject = if value.is_off() { None } else { Some(eject(value, problems)) };
    }
    if let Some(value) = fields.get("queue") {
        pool.queue = waiting(value, &QUEUE, pool.queue, problems);
    }
    tiers(&mut pool, fields, problems);
    losses(&mut pool, fields, problems);
    removal(&mut pool, fields, problems);
    let on_all_down = fields.get("on_all_down");
    let on_all_down = on_all_down.and_then(|value| value.choice("`on_all_down`", OnAllDown::ALL, problems));
    let place = |key: &str| fields.get(key).map(|value| value.span());
    WrittenPool {
        source,
        probe,
        on_all_down,
        places: PoolPlaces {
            min_active: place("min_active"),
            on_down: place("on_down"),
            slow_start: place("slow_start"),
            max_lag: place("max_lag"),
        },
        backends: backends(fields, name.as_ref(), backends_total, problems),
        name,
        rest: pool,
    }
}

fn timeouts(pool: &mut Pool, fields: &Fields<'_>, problems: &mut Problems) {
    for (key, range, timeout) in [
        ("connect_timeout", limits::CONNECT_TIMEOUT, &mut pool.connect_timeout),
        ("idle_timeout", limits::IDLE_TIMEOUT, &mut pool.idle_timeout),
        ("half_closed_timeout", limits::HALF_CLOSED_TIMEOUT, &mut pool.half_closed_timeout),
        ("slow_start", limits::SLOW_START, &mut pool.slow_start),
    ] {
        if let Some(written) = fields.get(key).and_then(|value| value.duration(range, problems)) {
            *timeout = written;
        }
    }
}

/// Reads when the backup tier serves.
fn tiers(pool: &mut Pool, fields: &Fields<'_>, problems: &mut Problems) {
    let active_min = fields.get("min_active").and_then(|value| value.number(limits::MIN_ACTIVE, problems));
    if let Some(active_min) = active_min {
        pool.tiers.active_min = active_min;
    }
    let backups = fields.get("backups").and_then(|value| value.choice("`backups`", Backups::ALL, problems));
    if let Some(backups) = backups {
        pool.tiers.backups = backups;
    }
    let delay = fields.get("failback_delay");
    let delay_span = delay.map(|value| value.span());
    let delay = delay.and_then(|value| value.duration(limits::FAILBACK_DELAY, problems));
    let failback = fields.get("failback").and_then(|value| value.choice("`failback`", FAILBACKS, problems));
    pool.tiers.failback = match (failback, delay) {
        (Some(Failback::Manual), delay) => {
            if let (Some(span), Some(false)) = (delay_span, delay.map(|delay| delay.is_zero())) {
                let finding = Finding::at(span, "`failback_delay` has no meaning for `failback: manual`");
                problems.push(finding.help("remove it, or write `failback: auto`"));
            }
            Failback::Manual
        }
        (_, Some(delay)) => Failback::Auto(delay),
        (Some(failback), None) => failback,
        (None, None) => pool.tiers.failback,
    };
    let on_demotion = fields.get("on_demotion");
    let on_demotion = on_demotion.and_then(|value| value.choice("`on_demotion`", OnDemotion::ALL, problems));
    if let Some(on_demotion) = on_demotion {
        pool.tiers.on_demotion = on_demotion;
    }
}

/// Reads what happens to connections when the state of their backend changes, and the maximum lag.
fn losses(pool: &mut Pool, fields: &Fields<'_>, problems: &mut Problems) {
    for (key, what, on_loss) in [
        ("on_down", "`on_down`", &mut pool.on_down),
        ("on_role_loss", "`on_role_loss`", &mut pool.on_role_loss),
    ] {
        if let Some(written) = fields.get(key).and_then(|value| value.choice(what, OnLoss::ALL, problems)) {
            *on_loss = written;
        }
    }
    let lag_max = fields.get("max_lag").filter(|value| !value.is_nothing() && !value.is_off());
    if let Some(At { value, .. }) =
        lag_max.and_then(|value| value.parse("a size or a duration", lag, problems))
    {
        pool.lag_max = value;
    }
}

/// Reads what happens to connections when a reload removes their backend or listener.
fn removal(pool: &mut Pool, fields: &Fields<'_>, problems: &mut Problems) {
    let timeout = fields.get("on_remove_timeout");
    let timeout_span = timeout.map(|value| value.span());
    let timeout = timeout.and_then(|value| value.duration(limits::ON_REMOVE_TIMEOUT, problems));
    let on_remove =
        fields.get("on_remove").and_then(|value| value.choice("`on_remove`", ON_REMOVES, problems));
    pool.on_remove = match (on_remove, timeout) {
        (Some(on_remove @ (OnRemove::Keep | OnRemove::Close)), _) => {
            if let Some(span) = timeout_span {
                let message = format!("`on_remove_timeout` has no meaning for `on_remove: {on_remove}`");
                problems.push(Finding::at(span, message).help("remove it, or write `on_remove: drain`"));
            }
            on_remove
        }
        (_, Some(timeout)) => OnRemove::Drain(timeout),
        (Some(on_remove), None) => on_remove,
        (None, None) => pool.on_remove,
    };
}

/// Reads the maximum lag of a replica: `16MiB` or `10s`.
fn lag(text: &str) -> Result<LagMax, Wrong> {
    // `M` alone is parsed as a size, which rejects it: minutes are `m`.
    if text.ends_with(['B', 'b', 'K', 'M', 'G']) {
        return size::parse(text).map(|bytes| LagMax { time: None, bytes: Some(bytes) });
    }
    let help = "write it in bytes, as in `16MiB`, or in time, as in `10s`";
    let time = duration::parse(text).map_err(|wrong| wrong.help(help))?;
    if limits::LAG.contains(&time) {
        return Ok(LagMax { time: Some(time), bytes: None });
    }
    let (least, most) = (duration::show(*limits::LAG.start()), duration::show(*limits::LAG.end()));
    Err(Wrong::new("the lag is out of its range").help(format!("write a duration from {least} to {most}")))
}

fn eject(value: Value<'_>, problems: &mut Problems) -> Eject {
    let mut eject = defaults::EJECT;
    let Some(fields) = value.fields_or_on(&EJECT, &[&POOL], problems) else { return eject };
    let failures = fields.get("failures").and_then(|value| value.number(limits::EJECT_FAILURES, problems));
    if let Some(failures) = failures {
        eject.failures = failures;
    }
    if let Some(base) = fields.get("for").and_then(|value| value.duration(limits::EJECT_TIME, problems)) {
        eject.base = base;
        eject.cap = eject.cap.max(base);
    }
    if let Some(value) = fields.get("max")
        && let Some(cap) = value.duration(limits::EJECT_TIME, problems)
    {
        eject.cap = cap;
        if cap < eject.base {
            let message = format!("`max` is shorter than `for`, which is {}", duration::show(eject.base));
            problems.push(Finding::at(value.span(), message).help("make it as long, or longer"));
        }
    }
    eject
}

fn keepalive(value: Value<'_>, problems: &mut Problems) -> Keepalive {
    let mut keepalive = defaults::KEEPALIVE;
    if value.is_off() {
        let finding = Finding::at(value.span(), "`keepalive` cannot be off");
        problems.push(finding.help("make it rarer, as in `keepalive: { idle: 9h }`"));
        return keepalive;
    }
    let Some(fields) = value.fields_or_on(&KEEPALIVE, &[&POOL], problems) else { return keepalive };
    if let Some(idle) = fields.get("idle").and_then(|value| value.seconds(limits::KEEPALIVE_TIME, problems)) {
        keepalive.idle = idle;
    }
    let interval = fields.get("interval").and_then(|value| value.seconds(limits::KEEPALIVE_TIME, problems));
    if let Some(interval) = interval {
        keepalive.interval = interval;
    }
    if let Some(probes) =
        fields.get("probes").and_then(|value| value.number(limits::KEEPALIVE_PROBES, problems))
    {
        keepalive.probes = probes;
    }
    keepalive
}

fn backends(
    fields: &Fields<'_>,
    pool: Option<&At<String>>,
    backends_total: &mut usize,
    problems: &mut Problems,
) -> Vec<WrittenBackend> {
    let value = fields.get("backends");
    let items = match value {
        Some(value) => match value.items("backends", Some(&BACKEND), problems) {
            Some(items) => Some(items),
            None => return Vec::new(),
        },
        None => None,
    };
    let Some(items) = items.filter(|items| items.len() > 0) else {
        if value.is_none() && fields.is_meant("backends") {
            return Vec::new();
        }
        let message = match pool {
            Some(pool) => format!("the pool {} has no backend", Quoted(&pool.value)),
            None => "a pool has no backend".to_owned(),
        };
        let finding = Finding::at(value.map_or(fields.span(), |value| value.span()), message);
        problems.push(finding.help(format!("add one under its `backends:`, such as `{}`", BACKEND.example)));
        return Vec::new();
    };
    let mut backends = Vec::new();
    for value in items {
        if problems.is_full() || *backends_total > limits::BACKENDS_MAX {
            break;
        }
        *backends_total += 1;
        if *backends_total > limits::BACKENDS_MAX {
            problems.push(Finding::at(
                value.span(),
                format!("more than {} backends in all", limits::BACKENDS_MAX),
            ));
            break;
        }
        if backends.len() == limits::BACKENDS_PER_POOL_MAX {
            let message = format!("more than {} backends in one pool", limits::BACKENDS_PER_POOL_MAX);
            problems.push(Finding::at(value.span(), message));
            break;
        }
        if value.scalar().is_some() {
            let address = value.parse("an address", address::backend, problems);
            backends.push(backend(&value.no_fields(&BACKEND), address, problems));
        } else if let Some(fields) = value.fields(&BACKEND, &[&POOL, &LISTENER], problems) {
            let address = fields.require("address", "address: \"10.0.0.1:80\"", problems);
            let address = address.and_then(|value| value.parse("an address", address::backend, problems));
            backends.push(backend(&fields, address, problems));
        }
    }
    backends
}

fn backend(fields: &Fields<'_>, address: Option<At<SocketAddr>>, problems: &mut Problems) -> WrittenBackend {
    let name = name(fields, address, problems);
    let weight = fields.get("weight").and_then(|value| value.number(limits::WEIGHT, problems));
    let tier = fields.get("tier").and_then(|value| {
        let tier = value.choice("tier", Tier::ALL, problems)?;
        Some(At { value: tier, span: value.span() })
    });
    let connections_max = fields.get("max_connections").filter(|value| !value.is_off());
    let connections_max =
        connections_max.and_then(|value| value.number(limits::BACKEND_CONNECTIONS, problems));
    WrittenBackend {
        name,
        address,
        tier,
        weight: weight.unwrap_or(defaults::WEIGHT),
        connections_max: connections_max.and_then(NonZeroU32::new),
    }
}

const FAILBACKS: &[Failback] = &[Failback::Auto(Duration::ZERO), Failback::Manual];

const ON_REMOVES: &[OnRemove] =
    &[OnRemove::Drain(defaults::ON_REMOVE_TIMEOUT), OnRemove::Keep, OnRemove::Close];
