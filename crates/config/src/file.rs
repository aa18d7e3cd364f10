//! The file as written: its sections, their keys, and for each key what its value may be by itself.
//!
//! What values mean to each other - names that refer, addresses that clash - is for `meaning`.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};

use crate::address;
use crate::config::{
    Backend, Balance, ConnectionsMax, Keepalive, Listener, Pool, PoolIndex, Runtime, Workers,
};
use crate::defaults;
use crate::fields::{Fields, Section, Value};
use crate::limits;
use crate::problem::{At, Finding, Problems, Quoted, Span};
use crate::suggest::nearest;
use crate::tree::Tree;

/// What a file says. A part that is missing here was wrong and has been reported.
pub(crate) struct File {
    pub(crate) runtime: Runtime,
    pub(crate) listeners: Vec<WrittenListener>,
    pub(crate) pools: Vec<WrittenPool>,
}

/// A listener whose pool is still a name.
pub(crate) struct WrittenListener {
    pub(crate) name: Option<At<String>>,
    pub(crate) address: Option<At<SocketAddr>>,
    pub(crate) pool: Option<At<String>>,
    pub(crate) v6only: bool,
    rest: ListenerRest,
}

/// What of a listener concerns nobody else.
struct ListenerRest {
    backlog: u32,
    connections_max: u32,
    freebind: bool,
}

/// A pool, and where the parts of it stand that may be at odds with others.
pub(crate) struct WrittenPool {
    pub(crate) name: Option<At<String>>,
    pub(crate) source: Option<At<IpAddr>>,
    pub(crate) backends: Vec<WrittenBackend>,
    /// Everything else; its name, source and backends are not set yet.
    rest: Pool,
}

/// A backend.
pub(crate) struct WrittenBackend {
    pub(crate) name: Option<At<String>>,
    pub(crate) address: Option<At<SocketAddr>>,
    weight: u16,
}

impl File {
    /// Reads the sections of a document.
    pub(crate) fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self> {
        let file = Fields::of_file(tree, &FILE, &[&RUNTIME, &LISTENER, &POOL], problems)?;
        version(&file, problems);
        Some(Self {
            runtime: runtime(&file, problems),
            listeners: listeners(&file, problems),
            pools: pools(&file, problems),
        })
    }
}

impl WrittenListener {
    /// The listener, given the pool that its name stands for.
    pub(crate) fn bind(self, pool: PoolIndex) -> Option<Listener> {
        let ListenerRest { backlog, connections_max, freebind } = self.rest;
        Some(Listener {
            name: self.name?.value,
            address: self.address?.value,
            pool,
            backlog,
            connections_max,
            freebind,
            v6only: self.v6only,
        })
    }
}

impl WrittenPool {
    /// The pool, if nothing of it was wrong.
    pub(crate) fn complete(self) -> Option<Pool> {
        let backends = self.backends.into_iter().map(WrittenBackend::complete).collect::<Option<_>>()?;
        let source = self.source.map(|source| source.value);
        Some(Pool { name: self.name?.value, source, backends, ..self.rest })
    }
}

impl WrittenBackend {
    fn complete(self) -> Option<Backend> {
        Some(Backend { name: self.name?.value, address: self.address?.value, weight: self.weight })
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
    let fields =
        file.get("runtime").and_then(|value| value.fields(&RUNTIME, &[&FILE, &LISTENER, &POOL], problems));
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
    let parse = |text: &str| Ok((address::listen(text)?, address::every_address(text).is_some()));
    let address = address.and_then(|value| value.parse("an address", parse, problems));
    let every = address.is_some_and(|address| address.value.1);
    let address = address.map(|At { value: (value, _), span }| At { value, span });

    let pool = fields.require("pool", "pool: web", problems).and_then(|value| value.name(problems));
    let name = name(fields, address, problems);

    let backlog = fields.get("backlog").and_then(|value| value.number(limits::BACKLOG, problems));
    let connections_max = fields.get("max_connections");
    let connections_max = connections_max.and_then(|value| value.number(limits::CONNECTIONS, problems));
    let freebind = fields.get("freebind").and_then(|value| value.boolean(problems));
    let v6only = fields.get("v6only");
    let v6only_span = v6only.map(|value| value.span());
    let v6only = v6only.and_then(|value| value.boolean(problems)).unwrap_or(defaults::V6ONLY);
    if let (true, Some(span), Some(address)) = (v6only, v6only_span, address) {
        refuse_v6only(span, address, every, problems);
    }
    WrittenListener {
        name,
        address,
        pool,
        v6only,
        rest: ListenerRest {
            backlog: backlog.unwrap_or(defaults::BACKLOG),
            connections_max: connections_max.unwrap_or(defaults::LISTENER_CONNECTIONS_MAX),
            freebind: freebind.unwrap_or(defaults::FREEBIND),
        },
    }
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
        if let Some(fields) = value.fields(&POOL, &[&LISTENER, &RUNTIME, &BACKEND, &KEEPALIVE], problems) {
            pools.push(pool(&fields, &mut backends_total, problems));
        }
    }
    pools
}

fn pool(fields: &Fields<'_>, backends_total: &mut usize, problems: &mut Problems) -> WrittenPool {
    let name = fields.require("name", "name: web", problems).and_then(|value| value.name(problems));
    let balance = fields.get("balance").and_then(|value| balance(value, problems));
    let connect_timeout = fields.get("connect_timeout");
    let connect_timeout = connect_timeout.and_then(|value| value.duration(limits::CONNECT_TIMEOUT, problems));
    let attempts = fields.get("attempts").and_then(|value| value.number(limits::ATTEMPTS, problems));
    let idle_timeout = fields.get("idle_timeout");
    let idle_timeout = idle_timeout.and_then(|value| value.duration(limits::IDLE_TIMEOUT, problems));
    let half_closed_timeout = fields.get("half_closed_timeout");
    let half_closed_timeout =
        half_closed_timeout.and_then(|value| value.duration(limits::HALF_CLOSED_TIMEOUT, problems));
    let keepalive = fields.get("keepalive").map(|value| keepalive(value, problems));
    // The one key whose default is nothing.
    let source = fields.get("source").filter(|value| !value.is_nothing());
    let source = source.and_then(|value| value.parse("an IP address", address::source, problems));
    WrittenPool {
        source,
        backends: backends(fields, name.as_ref(), backends_total, problems),
        name,
        rest: Pool {
            name: String::new(),
            balance: balance.unwrap_or(defaults::BALANCE),
            connect_timeout: connect_timeout.unwrap_or(defaults::CONNECT_TIMEOUT),
            attempts: attempts.unwrap_or(defaults::ATTEMPTS),
            idle_timeout: idle_timeout.unwrap_or(defaults::IDLE_TIMEOUT),
            half_closed_timeout: half_closed_timeout.unwrap_or(defaults::HALF_CLOSED_TIMEOUT),
            keepalive: keepalive.unwrap_or(defaults::KEEPALIVE),
            source: None,
            backends: Vec::new(),
        },
    }
}

fn balance(value: Value<'_>, problems: &mut Problems) -> Option<Balance> {
    let At { value, span } = value.text("the name of a policy", problems)?;
    let known = BALANCES.iter().find(|(name, _)| *name == value);
    if known.is_none() {
        let names = BALANCES.iter().map(|(name, _)| *name);
        let help = match nearest(value, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the policies are: `{}`", names.collect::<Vec<_>>().join("`, `")),
        };
        problems.push(Finding::at(span, format!("unknown balancing policy {}", Quoted(value))).help(help));
    }
    known.map(|(_, balance)| *balance)
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
    WrittenBackend { name, address, weight: weight.unwrap_or(defaults::WEIGHT) }
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

const BALANCES: &[(&str, Balance)] = &[("round_robin", Balance::RoundRobin)];

const FILE: Section =
    Section { name: "the file", keys: &["version", "runtime", "listeners", "pools"], example: "listeners:" };

const RUNTIME: Section = Section {
    name: "`runtime`",
    keys: &["workers", "max_connections", "drain_timeout"],
    example: "runtime: { workers: auto }",
};

const LISTENER: Section = Section {
    name: "a listener",
    keys: &["name", "address", "pool", "backlog", "max_connections", "freebind", "v6only"],
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
        "backends",
    ],
    example: "- { name: web, backends: [{ address: \"10.0.0.1:80\" }] }",
};

const KEEPALIVE: Section = Section {
    name: "`keepalive`",
    keys: &["idle", "interval", "probes"],
    example: "keepalive: { idle: 60s, interval: 10s, probes: 6 }",
};

const BACKEND: Section = Section {
    name: "a backend",
    keys: &["name", "address", "weight"],
    example: "- { address: \"10.0.0.1:80\" }",
};
