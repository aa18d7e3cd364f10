//! The `listeners` of a file as written.

use std::net::SocketAddr;

use crate::access::{AccessIndex, LimitsIndex, Rate};
use crate::accessing;
use crate::address;
use crate::config::{Fallback, ListenAddress, Listener, PoolIndex, TargetRole, Waiting};
use crate::defaults;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::problem::{Finding, Problems};
use crate::proxy::{Opening, ProxyProtocol};
use crate::proxying;
use crate::routing::{self, WrittenRouting};
use crate::sections::Section;
use crate::sections::{BACKEND, HOLD, LISTENER, POOL, RUNTIME};
use crate::span::{At, Span};

/// A listener whose pools are not resolved yet.
pub(crate) struct WrittenListener {
    pub(crate) name: Option<At<String>>,
    /// Each with the place where it is written, or the range that it is of.
    pub(crate) addresses: Vec<At<ListenAddress>>,
    pub(crate) pool: Option<At<String>>,
    /// The names of its access list and of its limits.
    pub(crate) access: Option<At<String>>,
    pub(crate) limits: Option<At<String>>,
    pub(crate) v6only: bool,
    pub(crate) target_role: TargetRole,
    /// The place of its role.
    pub(crate) role: Option<Span>,
    pub(crate) routing: WrittenRouting,
    rest: ListenerRest,
}

/// The settings of a listener that nothing else refers to.
struct ListenerRest {
    proxy_protocol: Option<ProxyProtocol>,
    opening: Opening,
    rate: Option<Rate>,
    backlog: u32,
    connections_max: u32,
    freebind: bool,
    access_log: bool,
}

impl WrittenListener {
    /// The names of its pools: its own, then those of its routes.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &At<String>> {
        self.pool.iter().chain(self.routing.routes.iter().map(|route| &route.pool))
    }

    /// The listener, with the names that it refers to resolved: its pools in that order.
    pub(crate) fn bind(
        self,
        pool: PoolIndex,
        of_routes: Vec<PoolIndex>,
        access: Option<AccessIndex>,
        limits: Option<LimitsIndex>,
    ) -> Option<Listener> {
        let ListenerRest { proxy_protocol, opening, rate, backlog, connections_max, freebind, access_log } =
            self.rest;
        let addresses: Vec<_> = self.addresses.into_iter().map(|address| address.value).collect();
        (!addresses.is_empty()).then_some(())?;
        Some(Listener {
            name: self.name?.value,
            addresses,
            pool,
            target_role: self.target_role,
            proxy_protocol,
            opening,
            access,
            limits,
            rate,
            routing: self.routing.bind(of_routes),
            access_log,
            backlog,
            connections_max,
            freebind,
            v6only: self.v6only,
        })
    }
}

pub(crate) fn listeners(file: &Fields<'_>, problems: &mut Problems) -> Vec<WrittenListener> {
    let Some(value) = file.require("listeners", "listeners:", problems) else { return Vec::new() };
    let Some(items) = value.items("listeners", Some(&LISTENER), problems) else { return Vec::new() };
    if items.len() == 0 {
        let finding = Finding::at(value.span(), "no listener");
        problems.push(finding.help(format!("add one, such as `{}`", LISTENER.example)));
    }
    let mut listeners = Vec::new();
    let mut room = limits::LISTEN_ADDRESSES_MAX;
    for value in items {
        if problems.is_full() {
            break;
        }
        if room == 0 {
            problems.push(too_many(value.span()));
            break;
        }
        // With a default, its pool would change once there is a second pool.
        let alone = value.scalar().filter(|text| address::listen(text).is_ok());
        if let Some(text) = alone {
            let finding = Finding::at(value.span(), "a listener needs a pool beside its address");
            problems.push(finding.help(format!("write `- {{ address: \"{text}\", pool: web }}`")));
        } else if let Some(fields) = value.fields(&LISTENER, &[&POOL, &RUNTIME, &BACKEND], problems) {
            listeners.push(listener(&fields, &mut room, problems));
        }
    }
    listeners
}

/// What is wrong with one address more than a file may have.
fn too_many(span: Span) -> Finding {
    let most = limits::LISTEN_ADDRESSES_MAX;
    Finding::at(span, format!("more than {most} addresses to listen on, each port of a range counted"))
        .help("listen on fewer: each address takes a socket for each worker")
}

/// Reads the address of a listener: one, a range of ports at one, or a list of both. `room` is how many addresses
/// more the file may have.
fn addresses(value: Value<'_>, room: &mut usize, problems: &mut Problems) -> Vec<At<ListenAddress>> {
    let items = match value.scalar() {
        Some(_) => vec![value],
        None => match value.items("addresses", None, problems) {
            Some(items) if items.len() == 0 => {
                let finding = Finding::at(value.span(), "no address");
                problems.push(finding.help("write at least one, such as `\":8080\"`"));
                return Vec::new();
            }
            Some(items) => items.collect(),
            None => return Vec::new(),
        },
    };
    let mut addresses = Vec::new();
    for value in items {
        let Some(At { value: range, span }) = value.parse("an address", address::listen_range, problems)
        else {
            continue;
        };
        let Some(left) = room.checked_sub(range.len()) else {
            problems.push(too_many(span));
            break;
        };
        *room = left;
        addresses.extend(range.into_iter().map(|value| At { value, span }));
    }
    addresses
}

fn listener(fields: &Fields<'_>, room: &mut usize, problems: &mut Problems) -> WrittenListener {
    let address = fields.require("address", "address: \"0.0.0.0:8080\"", problems);
    let addresses = address.map_or_else(Vec::new, |value| addresses(value, room, problems));
    let first = addresses.first().map(|At { value, span }| At { value: value.address, span: *span });

    let pool = fields.require("pool", "pool: web", problems).and_then(|value| value.name(problems));
    let name = name(fields, first, problems);
    let named = |key: &str, problems: &mut Problems| fields.get(key).and_then(|value| value.name(problems));
    let (access, limits) = (named("access", problems), named("limits", problems));
    let (target_role, role) = target_role(fields, problems);

    let backlog = fields.get("backlog").and_then(|value| value.number(limits::BACKLOG, problems));
    let connections_max = fields.get("max_connections");
    let connections_max = connections_max.and_then(|value| value.number(limits::CONNECTIONS, problems));
    let freebind = fields.get("freebind").and_then(|value| value.boolean(problems));
    let access_log = fields.get("access_log").and_then(|value| value.boolean(problems));
    let v6only = fields.get("v6only");
    let v6only_span = v6only.map(|value| value.span());
    let v6only = v6only.and_then(|value| value.boolean(problems)).unwrap_or(defaults::V6ONLY);
    if let (true, Some(span)) = (v6only, v6only_span) {
        refuse_v6only(span, &addresses, problems);
    }
    WrittenListener {
        name,
        addresses,
        pool,
        access,
        limits,
        v6only,
        target_role,
        role,
        routing: routing::routing(fields, problems),
        rest: ListenerRest {
            proxy_protocol: proxying::proxy_protocol(fields, problems),
            opening: proxying::opening(fields, problems),
            rate: accessing::listener_rate(fields, problems),
            backlog: backlog.unwrap_or(defaults::BACKLOG),
            connections_max: connections_max.unwrap_or(defaults::LISTENER_CONNECTIONS_MAX),
            freebind: freebind.unwrap_or(defaults::FREEBIND),
            access_log: access_log.unwrap_or(defaults::LISTENER_ACCESS_LOG),
        },
    }
}

/// Reads which backends are eligible, and the place of that key.
fn target_role(fields: &Fields<'_>, problems: &mut Problems) -> (TargetRole, Option<Span>) {
    let value = fields.get("role").filter(|value| !value.is_nothing());
    let target_role =
        value.and_then(|value| value.choice("role", ROLES, problems)).unwrap_or(defaults::TARGET_ROLE);
    let mut refuse = |key: &str, why: &str, help: &str| {
        if let Some(value) = fields.get(key) {
            problems.push(Finding::at(value.span(), format!("`{key}` has no meaning {why}")).help(help));
        }
    };
    match target_role {
        TargetRole::Primary(_) => {
            refuse("fallback", "for a primary", "it is for listeners of `role: replica`");
        }
        TargetRole::Replica(_) => refuse("hold", "for replicas", "it is for listeners of `role: primary`"),
        // An invalid role has been reported; the keys that belong to it may be valid.
        TargetRole::Any if value.is_none() => {
            refuse("hold", "without a role", "add `role: primary`, or remove it");
            refuse("fallback", "without a role", "add `role: replica`, or remove it");
        }
        TargetRole::Any => {}
    }
    let target_role = match target_role {
        TargetRole::Any => TargetRole::Any,
        TargetRole::Primary(hold) => TargetRole::Primary(
            fields.get("hold").map_or(hold, |value| waiting(value, &HOLD, hold, problems)),
        ),
        TargetRole::Replica(fallback) => {
            let written = fields.get("fallback");
            let written = written.and_then(|value| value.choice("fallback", Fallback::ALL, problems));
            TargetRole::Replica(written.unwrap_or(fallback))
        }
    };
    (target_role, value.map(|value| value.span()))
}

/// Reads how many clients may wait, the first key of its section, and how long.
pub(crate) fn waiting(
    value: Value<'_>,
    section: &'static Section,
    default: Waiting,
    problems: &mut Problems,
) -> Waiting {
    let mut waiting = default;
    if value.is_off() {
        waiting.connections_max = 0;
        return waiting;
    }
    let Some(fields) = value.fields_or_on(section, &[&LISTENER, &POOL], problems) else { return waiting };
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

/// Reports a `v6only: true` that contradicts one of its addresses, or means none of them.
fn refuse_v6only(span: Span, addresses: &[At<ListenAddress>], problems: &mut Problems) {
    let every = addresses.iter().find(|address| address.value.every_address);
    let Some(address) = every.or(addresses.first()) else { return };
    let port = address.value.address.port();
    if every.is_some() {
        let message = format!("`v6only` contradicts the address `:{port}`, which is IPv4 too");
        let finding = Finding::at(span, message).see(address.span, "the address");
        problems.push(finding.help(format!("write the address as `\"[::]:{port}\"`, or remove `v6only`")));
    } else if addresses.iter().all(|address| address.value.address.is_ipv4()) {
        let finding =
            Finding::at(span, "`v6only` has no meaning for an IPv4 address").see(address.span, "the address");
        problems.push(finding.help("remove it"));
    }
}

/// The name of a listener or a backend; the default is its address.
pub(crate) fn name(
    fields: &Fields<'_>,
    address: Option<At<SocketAddr>>,
    problems: &mut Problems,
) -> Option<At<String>> {
    match fields.get("name") {
        Some(value) => value.name(problems),
        None => address.map(|At { value, span }| At { value: value.to_string(), span }),
    }
}

/// The defaults for the rest of a listener.
const ROLES: &[TargetRole] = &[TargetRole::Primary(defaults::HOLD), TargetRole::Replica(defaults::FALLBACK)];
