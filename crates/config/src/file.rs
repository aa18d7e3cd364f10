//! The file as written: its sections, their keys, and for each key what its value may be by itself.
//!
//! What values mean to each other - names that refer, addresses that clash - is for `meaning`.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::address;
use crate::config::{
    AccessLog, Admin, AdminSocket, Backend, Balance, ConnectionsMax, Demand, Eject, Failback, Fallback,
    Keepalive, LagMax, Listener, LogFormat, LogTarget, OnAllDown, OnDemotion, OnLoss, OnRemove, Pool,
    PoolIndex, Runtime, SYSLOG_DEFAULT, Tier, Waiting, Workers,
};
use crate::defaults;
use crate::duration;
use crate::fields::{Fields, Section, Value};
use crate::limits;
use crate::probe::Probe;
use crate::probing;
use crate::problem::{At, Finding, Problems, Quoted, Span, Wrong};
use crate::size;
use crate::tree::Tree;

/// What a file says. A part that is missing here was wrong and has been reported.
pub(crate) struct File {
    pub(crate) runtime: Runtime,
    pub(crate) admin: Admin,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) places: Places,
    pub(crate) listeners: Vec<WrittenListener>,
    pub(crate) pools: Vec<WrittenPool>,
}

/// Where the settings of the process are that may be at odds with others; none that are not written.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) admin_socket: Option<Span>,
    pub(crate) admin_http: Option<Span>,
    pub(crate) access_log: Option<Span>,
}

/// A listener whose pool is still a name.
pub(crate) struct WrittenListener {
    pub(crate) name: Option<At<String>>,
    pub(crate) address: Option<At<SocketAddr>>,
    pub(crate) pool: Option<At<String>>,
    every_address: bool,
    pub(crate) v6only: bool,
    pub(crate) demand: Demand,
    /// Where its role is.
    pub(crate) role: Option<Span>,
    rest: ListenerRest,
}

/// What of a listener concerns nobody else.
struct ListenerRest {
    backlog: u32,
    connections_max: u32,
    freebind: bool,
    access_log: bool,
}

/// A pool, and where the parts of it stand that may be at odds with others.
pub(crate) struct WrittenPool {
    pub(crate) name: Option<At<String>>,
    pub(crate) source: Option<At<IpAddr>>,
    /// The probe, unless it was wrong; and where it is.
    pub(crate) probe: Option<At<Option<Probe>>>,
    pub(crate) on_all_down: Option<OnAllDown>,
    pub(crate) places: PoolPlaces,
    pub(crate) backends: Vec<WrittenBackend>,
    /// Everything else; what is above is not set yet.
    pub(crate) rest: Pool,
}

/// Where the settings of a pool are; none that are not written.
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

impl File {
    /// Reads the sections of a document.
    pub(crate) fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self> {
        let file = Fields::of_file(tree, &FILE, &[&RUNTIME, &ADMIN, &LISTENER, &POOL], problems)?;
        version(&file, problems);
        let mut places = Places::default();
        Some(Self {
            runtime: runtime(&file, problems),
            admin: admin(&file, &mut places, problems),
            access_log: access_log(&file, &mut places, problems),
            places,
            listeners: listeners(&file, problems),
            pools: pools(&file, problems),
        })
    }
}

impl WrittenListener {
    /// The listener, given the pool that its name stands for.
    pub(crate) fn bind(self, pool: PoolIndex) -> Option<Listener> {
        let ListenerRest { backlog, connections_max, freebind, access_log } = self.rest;
        Some(Listener {
            name: self.name?.value,
            address: self.address?.value,
            every_address: self.every_address,
            pool,
            demand: self.demand,
            access_log,
            backlog,
            connections_max,
            freebind,
            v6only: self.v6only,
        })
    }
}

impl WrittenPool {
    /// The pool, if nothing of it was wrong. Its default for `on_all_down` depends on who uses it.
    pub(crate) fn complete(self, used_by_role: bool) -> Option<Pool> {
        let backends = self.backends.into_iter().map(WrittenBackend::complete).collect::<Option<_>>()?;
        let source = self.source.map(|source| source.value);
        let probe = match self.probe {
            Some(probe) => Some(Arc::new(Probe { source, ..probe.value? })),
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

fn version(file: &Fields<'_>, problems: &mut Problems) {
    let version = file.get("version").and_then(|value| value.text("a version", problems));
    if let Some(At { value, span }) = version.filter(|version| version.value != VERSION) {
        let finding = Finding::at(span, format!("version {} of the format is not known", Quoted(value)));
        problems.push(finding.help(format!("this program reads `version: {VERSION}`")));
    }
}

fn runtime(file: &Fields<'_>, problems: &mut Problems) -> Runtime {
    let mut runtime = Runtime {
        workers: defaults::WORKERS,
        connections_max: defaults::CONNECTIONS_MAX,
        drain_timeout: defaults::DRAIN_TIMEOUT,
    };
    let fields = file
        .get("runtime")
        .and_then(|value| value.fields(&RUNTIME, &[&FILE, &ADMIN, &LISTENER, &POOL], problems));
    let Some(fields) = fields else { return runtime };

    if let Some(number) =
        fields.get("workers").and_then(|value| value.number_or_auto(limits::WORKERS, problems))
    {
        runtime.workers = number.and_then(NonZeroU16::new).map_or(Workers::Auto, Workers::Number);
    }
    let connections_max = fields.get("max_connections");
    if let Some(number) =
        connections_max.and_then(|value| value.number_or_auto(limits::CONNECTIONS, problems))
    {
        runtime.connections_max =
            number.and_then(NonZeroU32::new).map_or(ConnectionsMax::Auto, ConnectionsMax::Number);
    }
    let drain_timeout = fields.get("drain_timeout");
    if let Some(drain_timeout) =
        drain_timeout.and_then(|value| value.duration(limits::DRAIN_TIMEOUT, problems))
    {
        runtime.drain_timeout = drain_timeout;
    }
    runtime
}

fn admin(file: &Fields<'_>, places: &mut Places, problems: &mut Problems) -> Admin {
    let mut admin = defaults::admin();
    let fields = file.get("admin").and_then(|value| value.fields(&ADMIN, &[&FILE, &RUNTIME], problems));
    let Some(fields) = fields else { return admin };
    if let Some(value) = fields.get("socket") {
        places.admin_socket = Some(value.span());
        let socket = value.parse("`off`, `auto` or the path of a socket", socket, problems);
        admin.socket = socket.map_or(admin.socket, |socket| socket.value);
    }
    if let Some(value) = fields.get("http").filter(|value| !value.is_off()) {
        places.admin_http = Some(value.span());
        let address = value.parse("`off` or an address", address::listen, problems);
        admin.http = address.map(|address| address.value);
    }
    admin
}

fn socket(text: &str) -> Result<AdminSocket, Wrong> {
    match text {
        "off" => return Ok(AdminSocket::Off),
        "auto" => return Ok(AdminSocket::Auto),
        _ => {}
    }
    if !text.starts_with('/') || text.ends_with('/') || text.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} is not the path of a socket", Quoted(text)))
            .help("write `off`, `auto`, or a whole path such as `/run/rondel/admin.sock`"));
    }
    if text.len() > limits::SOCKET_PATH_BYTES_MAX {
        return Err(Wrong::new(format!("the path {} is too long", Quoted(text)))
            .help(format!("the path of a socket is at most {} bytes", limits::SOCKET_PATH_BYTES_MAX)));
    }
    Ok(AdminSocket::At(PathBuf::from(text)))
}

/// Reads `off`, where it goes alone, or that with the rest.
fn access_log(file: &Fields<'_>, places: &mut Places, problems: &mut Problems) -> Option<AccessLog> {
    let value = file.get("access_log").filter(|value| !value.is_off())?;
    places.access_log = Some(value.span());
    if value.is_scalar() {
        return log_target(value, problems).map(defaults::access_log);
    }
    let fields = value.fields(&ACCESS_LOG, &[&FILE, &ADMIN, &LISTENER], problems)?;
    let to = fields.require("to", "to: /var/log/rondel/access.log", problems);
    let format = fields.get("format");
    let format = format.and_then(|value| value.choice("format", LogFormat::ALL, problems));
    let skip_empty = fields.get("skip_empty").and_then(|value| value.boolean(problems));
    places.access_log = to.map(|to| to.span());
    let mut log = defaults::access_log(log_target(to?, problems)?);
    log.format = format.unwrap_or(log.format);
    log.skip_empty = skip_empty.unwrap_or(log.skip_empty);
    Some(log)
}

fn log_target(value: Value<'_>, problems: &mut Problems) -> Option<LogTarget> {
    let target = value.parse("`off`, `stderr`, `syslog` or the path of a file", parse_log_target, problems);
    target.map(|target| target.value)
}

fn parse_log_target(text: &str) -> Result<LogTarget, Wrong> {
    let (path, is_socket) = match text {
        "stderr" => return Ok(LogTarget::Stderr),
        "syslog" => return Ok(LogTarget::Syslog(SYSLOG_DEFAULT.into())),
        _ => match text.strip_prefix("syslog:") {
            Some(path) => (path, true),
            None => (text, false),
        },
    };
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} is nowhere for an access log to go", Quoted(text))).help(
            "write `off`, `stderr`, `syslog`, `syslog:/PATH/OF/SOCKET`, or a whole path such as \
             `/var/log/rondel/access.log`",
        ));
    }
    if !is_socket {
        return Ok(LogTarget::File(path.into()));
    }
    if path.len() > limits::SOCKET_PATH_BYTES_MAX {
        return Err(Wrong::new(format!("the path {} is too long", Quoted(path)))
            .help(format!("the path of a socket is at most {} bytes", limits::SOCKET_PATH_BYTES_MAX)));
    }
    Ok(LogTarget::Syslog(path.into()))
}

fn listeners(file: &Fields<'_>, problems: &mut Problems) -> Vec<WrittenListener> {
    let Some(value) = file.require("listeners", "listeners:", problems) else { return Vec::new() };
    let Some(items) = value.items("listeners", problems) else { return Vec::new() };
    if items.len() == 0 {
        let finding = Finding::at(value.span(), "no listener");
        problems.push(finding.help(format!("add one, such as `{}`", LISTENER.example)));
    }
    let mut listeners = Vec::new();
    for value in items {
        if problems.is_full() {
            break;
        }
        if listeners.len() == limits::LISTENERS_MAX {
            problems
                .push(Finding::at(value.span(), format!("more than {} listeners", limits::LISTENERS_MAX)));
            break;
        }
        if let Some(fields) = value.fields(&LISTENER, &[&POOL, &RUNTIME, &BACKEND], problems) {
            listeners.push(listener(&fields, problems));
        }
    }
    listeners
}

fn listener(fields: &Fields<'_>, problems: &mut Problems) -> WrittenListener {
    let address = fields.require("address", "address: \"0.0.0.0:8080\"", problems);
    let address = address.and_then(|value| value.parse("an address", address::listen, problems));
    let every_address = address.is_some_and(|address| address.value.every_address);
    let address = address.map(|At { value, span }| At { value: value.address, span });

    let pool = fields.require("pool", "pool: web", problems).and_then(|value| value.name(problems));
    let name = name(fields, address, problems);
    let (demand, role) = demand(fields, problems);

    let backlog = fields.get("backlog").and_then(|value| value.number(limits::BACKLOG, problems));
    let connections_max = fields.get("max_connections");
    let connections_max = connections_max.and_then(|value| value.number(limits::CONNECTIONS, problems));
    let freebind = fields.get("freebind").and_then(|value| value.boolean(problems));
    let access_log = fields.get("access_log").and_then(|value| value.boolean(problems));
    let v6only = fields.get("v6only");
    let v6only_span = v6only.map(|value| value.span());
    let v6only = v6only.and_then(|value| value.boolean(problems)).unwrap_or(defaults::V6ONLY);
    if let (true, Some(span), Some(address)) = (v6only, v6only_span, address) {
        refuse_v6only(span, address, every_address, problems);
    }
    WrittenListener {
        name,
        address,
        every_address,
        pool,
        v6only,
        demand,
        role,
        rest: ListenerRest {
            backlog: backlog.unwrap_or(defaults::BACKLOG),
            connections_max: connections_max.unwrap_or(defaults::LISTENER_CONNECTIONS_MAX),
            freebind: freebind.unwrap_or(defaults::FREEBIND),
            access_log: access_log.unwrap_or(defaults::LISTENER_ACCESS_LOG),
        },
    }
}

/// Reads which backends a listener's connections may go to, and where its role is.
fn demand(fields: &Fields<'_>, problems: &mut Problems) -> (Demand, Option<Span>) {
    let value = fields.get("role").filter(|value| !value.is_nothing());
    let demand = value.and_then(|value| value.choice("role", ROLES, problems)).unwrap_or(defaults::DEMAND);
    let mut refuse = |key: &str, why: &str, help: &str| {
        if let Some(value) = fields.get(key) {
            problems.push(Finding::at(value.span(), format!("`{key}` has no meaning {why}")).help(help));
        }
    };
    match demand {
        Demand::Primary(_) => refuse("fallback", "for a primary", "it is for listeners of `role: replica`"),
        Demand::Replica(_) => refuse("hold", "for replicas", "it is for listeners of `role: primary`"),
        // A role that is wrong has been reported; what belongs to it may be right.
        Demand::Any if value.is_none() => {
            refuse("hold", "without a role", "add `role: primary`, or remove it");
            refuse("fallback", "without a role", "add `role: replica`, or remove it");
        }
        Demand::Any => {}
    }
    let demand = match demand {
        Demand::Any => Demand::Any,
        Demand::Primary(hold) => {
            Demand::Primary(fields.get("hold").map_or(hold, |value| waiting(value, &HOLD, hold, problems)))
        }
        Demand::Replica(fallback) => {
            let written = fields.get("fallback");
            let written = written.and_then(|value| value.choice("fallback", Fallback::ALL, problems));
            Demand::Replica(written.unwrap_or(fallback))
        }
    };
    (demand, value.map(|value| value.span()))
}

/// Reads how many clients wait, which is the first key of its section, and how long.
fn waiting(
    value: Value<'_>,
    section: &'static Section,
    default: Waiting,
    problems: &mut Problems,
) -> Waiting {
    let mut waiting = default;
    let Some(fields) = value.fields(section, &[&LISTENER, &POOL], problems) else { return waiting };
    let number = fields.get(section.keys[0]).and_then(|value| value.number(limits::WAITING, problems));
    if let Some(number) = number {
        waiting.connections_max = number;
    }
    let timeout = fields.get("timeout").and_then(|value| value.duration(limits::WAITING_TIMEOUT, problems));
    if let Some(timeout) = timeout {
        waiting.timeout = timeout;
    }
    waiting
}

/// Reports a `v6only: true` that contradicts its address.
fn refuse_v6only(span: Span, address: At<SocketAddr>, every: bool, problems: &mut Problems) {
    let port = address.value.port();
    if every {
        let message = format!("`v6only` contradicts the address `:{port}`, which is IPv4 too");
        let finding = Finding::at(span, message).see(address.span, "the address");
        problems.push(finding.help(format!("write the address as `\"[::]:{port}\"`, or remove `v6only`")));
    } else if address.value.is_ipv4() {
        let finding =
            Finding::at(span, "`v6only` has no meaning for an IPv4 address").see(address.span, "the address");
        problems.push(finding.help("remove it"));
    }
}

fn pools(file: &Fields<'_>, problems: &mut Problems) -> Vec<WrittenPool> {
    let Some(value) = file.require("pools", "pools:", problems) else { return Vec::new() };
    let Some(items) = value.items("pools", problems) else { return Vec::new() };
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
            value.fields(&POOL, &[&LISTENER, &RUNTIME, &BACKEND, &KEEPALIVE, &probing::PROBE], problems)
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
    // Keys whose default is nothing.
    let source = fields.get("source").filter(|value| !value.is_nothing());
    let source = source.and_then(|value| value.parse("an IP address", address::source, problems));
    let probe = fields.get("probe").filter(|value| !value.is_nothing());
    let probe = probe
        .map(|value| At { value: probing::probe(value, &[&POOL, &BACKEND], problems), span: value.span() });
    if let Some(value) = fields.get("eject") {
        pool.eject = (!value.is_off()).then(|| eject(value, problems));
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

/// Reads what becomes of connections whose backend is not what it was, and when a replica is not.
fn losses(pool: &mut Pool, fields: &Fields<'_>, problems: &mut Problems) {
    for (key, what, on_loss) in [
        ("on_down", "`on_down`", &mut pool.on_down),
        ("on_role_loss", "`on_role_loss`", &mut pool.on_role_loss),
    ] {
        if let Some(written) = fields.get(key).and_then(|value| value.choice(what, OnLoss::ALL, problems)) {
            *on_loss = written;
        }
    }
    let lag_max = fields.get("max_lag").filter(|value| !value.is_nothing());
    if let Some(At { value, .. }) =
        lag_max.and_then(|value| value.parse("a size or a duration", lag, problems))
    {
        pool.lag_max = value;
    }
}

/// Reads what becomes of connections whose backend or listener a reload removes.
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

/// Reads how far a replica may be behind: `16MiB` or `10s`.
fn lag(text: &str) -> Result<LagMax, Wrong> {
    if text.ends_with('B') {
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
    let Some(fields) = value.fields(&EJECT, &[&POOL], problems) else { return eject };
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
    let Some(fields) = value.fields(&KEEPALIVE, &[&POOL], problems) else { return keepalive };
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
        Some(value) => match value.items("backends", problems) {
            Some(items) => Some(items),
            None => return Vec::new(),
        },
        None => None,
    };
    let Some(items) = items.filter(|items| items.len() > 0) else {
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
        if let Some(fields) = value.fields(&BACKEND, &[&POOL, &LISTENER], problems) {
            backends.push(backend(&fields, problems));
        }
    }
    backends
}

fn backend(fields: &Fields<'_>, problems: &mut Problems) -> WrittenBackend {
    let address = fields.require("address", "address: \"10.0.0.1:80\"", problems);
    let address = address.and_then(|value| value.parse("an address", address::backend, problems));
    let name = name(fields, address, problems);
    let weight = fields.get("weight").and_then(|value| value.number(limits::WEIGHT, problems));
    let tier = fields.get("tier").and_then(|value| {
        let tier = value.choice("tier", Tier::ALL, problems)?;
        Some(At { value: tier, span: value.span() })
    });
    let connections_max = fields.get("max_connections");
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

/// The name of a listener or a backend, which is its address unless the file gives one.
fn name(fields: &Fields<'_>, address: Option<At<SocketAddr>>, problems: &mut Problems) -> Option<At<String>> {
    match fields.get("name") {
        Some(value) => value.name(problems),
        None => address.map(|At { value, span }| At { value: value.to_string(), span }),
    }
}

/// The version of the format that this program reads.
const VERSION: &str = "1";

/// With what holds where the listener says nothing more.
const ROLES: &[Demand] = &[Demand::Primary(defaults::HOLD), Demand::Replica(defaults::FALLBACK)];

const FAILBACKS: &[Failback] = &[Failback::Auto(Duration::ZERO), Failback::Manual];

const ON_REMOVES: &[OnRemove] =
    &[OnRemove::Drain(defaults::ON_REMOVE_TIMEOUT), OnRemove::Keep, OnRemove::Close];

const FILE: Section = Section {
    name: "the file",
    keys: &["version", "runtime", "admin", "access_log", "listeners", "pools"],
    example: "listeners:",
};

const RUNTIME: Section = Section {
    name: "`runtime`",
    keys: &["workers", "max_connections", "drain_timeout"],
    example: "runtime: { workers: auto }",
};

const ADMIN: Section = Section {
    name: "`admin`",
    keys: &["socket", "http"],
    example: "admin: { socket: auto, http: \"127.0.0.1:9907\" }",
};

const ACCESS_LOG: Section = Section {
    name: "`access_log`",
    keys: &["to", "format", "skip_empty"],
    example: "access_log: { to: /var/log/rondel/access.log, format: json }",
};

const LISTENER: Section = Section {
    name: "a listener",
    keys: &[
        "name",
        "address",
        "pool",
        "role",
        "hold",
        "fallback",
        "access_log",
        "backlog",
        "max_connections",
        "freebind",
        "v6only",
    ],
    example: "- { address: \"0.0.0.0:8080\", pool: web }",
};

const POOL: Section = Section {
    name: "a pool",
    keys: &[
        "name",
        "balance",
        "connect_timeout",
        "attempts",
        "idle_timeout",
        "half_closed_timeout",
        "keepalive",
        "source",
        "probe",
        "eject",
        "on_all_down",
        "on_down",
        "slow_start",
        "min_active",
        "failback",
        "failback_delay",
        "on_demotion",
        "on_role_loss",
        "on_remove",
        "on_remove_timeout",
        "max_lag",
        "queue",
        "backends",
    ],
    example: "- { name: web, backends: [{ address: \"10.0.0.1:80\" }] }",
};

const KEEPALIVE: Section = Section {
    name: "`keepalive`",
    keys: &["idle", "interval", "probes"],
    example: "keepalive: { idle: 60s, interval: 10s, probes: 6 }",
};

const HOLD: Section = Section {
    name: "`hold`",
    keys: &["connections", "timeout"],
    example: "hold: { connections: 1000, timeout: 10s }",
};

const QUEUE: Section =
    Section { name: "`queue`", keys: &["size", "timeout"], example: "queue: { size: 1000, timeout: 10s }" };

const EJECT: Section = Section {
    name: "`eject`",
    keys: &["failures", "for", "max"],
    example: "eject: { failures: 3, for: 10s, max: 300s }` or as `eject: off",
};

const BACKEND: Section = Section {
    name: "a backend",
    keys: &["name", "address", "weight", "tier", "max_connections"],
    example: "- { address: \"10.0.0.1:80\" }",
};
