//! Resolves what is written: names that refer to something, and names and addresses that must be distinct.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::access::{AccessIndex, LimitsIndex};
use crate::accessing::Named;
use crate::config::{
    ADMIN_SOCKET_DEFAULT, AccessLog, Admin, AdminSocket, Balance, Config, LogTarget, OnLoss, PoolIndex,
};
use crate::file::{File, Places, WrittenListener, WrittenPool};
use crate::own::{Front, Fronts, OwnPlace};
use crate::probe::{Kind, Probe};
use crate::problem::{Finding, Problems, Quoted};
use crate::span::{At, Span};
use crate::suggest::nearest;

/// The configuration of a file. If this adds a problem, the result must not be used.
pub(crate) fn resolve(file: File, problems: &mut Problems) -> Config {
    let File { runtime, admin, access_log, places, access, limits, listeners, pools } = file;
    let names = listeners.iter().map(|listener| {
        let first = listener.addresses.first();
        (listener.name.as_ref(), first.map(|At { value, span }| At { value: value.address, span: *span }))
    });
    names_distinct("listeners", names, problems);
    clashes(&listeners, problems);
    admin_clashes(&admin, access_log.as_ref(), &listeners, &places, problems);
    names_distinct("access lists", access.iter().map(|list| (Some(&list.name), None)), problems);
    names_distinct("limits", limits.iter().map(|limits| (Some(&limits.name), None)), problems);
    names_distinct("pools", pools.iter().map(|pool| (pool.name.as_ref(), None)), problems);
    for pool in &pools {
        let names = pool.backends.iter().map(|backend| (backend.name.as_ref(), backend.address));
        names_distinct("backends of this pool", names, problems);
        addresses_distinct(pool, problems);
        families(pool, problems);
        tiers(pool, problems);
        needs_probe(pool, problems);
        slow_start(pool, problems);
        max_lag(pool, problems);
    }

    let indices: HashMap<_, _> = pools
        .iter()
        .enumerate()
        .filter_map(|(index, pool)| Some((pool.name.as_ref()?.value.clone(), PoolIndex(index))))
        .collect();
    own_backends(&admin, &places, &listeners, &pools, &indices, problems);
    let mut used_by_role: HashSet<PoolIndex> = HashSet::new();
    let listeners = listeners.into_iter().filter_map(|listener| {
        let of_access = referred("access list", "access:", listener.access.as_ref(), &access, problems);
        let of_limits = referred("limits", "limits:", listener.limits.as_ref(), &limits, problems);
        let found = listener.pools().map(|pool| {
            let index = indices.get(&pool.value).copied();
            // Without any pool, one problem already says why, such as a misspelled `pools`.
            if index.is_none() && !pools.is_empty() {
                problems.push(unknown_pool(pool, &pools));
            }
            index
        });
        let found: Vec<_> = found.collect();
        let mut of_routes = found.into_iter().collect::<Option<Vec<_>>>()?;
        if let Some(role) = listener.role {
            used_by_role.extend(&of_routes);
            for index in &of_routes {
                roles(role, &pools[index.0], problems);
            }
        }
        listener.pool.as_ref()?;
        let own = of_routes.remove(0);
        listener.bind(own, of_routes, of_access.map(AccessIndex), of_limits.map(LimitsIndex))
    });
    let listeners = listeners.collect();
    let pools = pools.into_iter().enumerate();
    let pools =
        pools.filter_map(|(index, pool)| pool.complete(used_by_role.contains(&PoolIndex(index)))).collect();
    let access = access.into_iter().filter_map(|list| list.value).collect();
    let limits = limits.into_iter().filter_map(|limits| limits.value).collect();
    Config { runtime, admin, access_log, access, limits, listeners, pools }
}

/// The index of what a listener names; reports a name that nothing has.
fn referred<T>(
    what: &str,
    section: &str,
    name: Option<&At<String>>,
    known: &[Named<T>],
    problems: &mut Problems,
) -> Option<usize> {
    let name = name?;
    let index = known.iter().position(|known| known.name.value == name.value);
    if index.is_none() {
        let names: Vec<_> = known.iter().map(|known| known.name.value.as_str()).collect();
        let help = match nearest(&name.value, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("define it under `{section}`"),
        };
        let message = match what {
            "limits" => format!("there are no limits {}", Quoted(&name.value)),
            _ => format!("there is no {what} {}", Quoted(&name.value)),
        };
        problems.push(Finding::at(name.span, message).help(help));
    }
    index
}

/// Reports duplicate names. Each comes with its address, which is also the default of the name.
fn names_distinct<'a>(
    whose: &str,
    names: impl Iterator<Item = (Option<&'a At<String>>, Option<At<SocketAddr>>)>,
    problems: &mut Problems,
) {
    let mut firsts = HashMap::new();
    for (name, address) in names {
        let Some(name) = name else { continue };
        let own = address.is_none_or(|address| address.span != name.span);
        let Some((first, first_own)) = firsts.insert(&name.value, (name.span, own)) else { continue };
        // If both have the default name, their addresses are equal, and that is reported instead.
        if own || first_own {
            problems.push(
                Finding::at(name.span, format!("two {whose} have the name {}", Quoted(&name.value)))
                    .see(first, "the other one")
                    .help("give each a name of its own; logs and counters tell them apart by it"),
            );
        }
    }
}

/// Reports backends of a pool with the same address.
fn addresses_distinct(pool: &WrittenPool, problems: &mut Problems) {
    let mut firsts = HashMap::new();
    for address in pool.backends.iter().filter_map(|backend| backend.address) {
        if let Some(first) = firsts.insert(address.value, address.span) {
            problems.push(
                Finding::at(
                    address.span,
                    format!("two backends of this pool have the address `{}`", address.value),
                )
                .see(first, "the other one")
                .help("keep one, and give it a larger `weight` if it is to take more"),
            );
        }
    }
}

/// Reports listeners whose addresses conflict.
fn clashes(listeners: &[WrittenListener], problems: &mut Problems) {
    let mut by_port: HashMap<u16, Vec<(usize, At<Front>)>> = HashMap::new();
    let mut last = None;
    let each = listeners.iter().enumerate();
    for (index, front) in
        each.flat_map(|(index, listener)| fronts_of(listener).map(move |front| (index, front)))
    {
        if problems.is_full() {
            break;
        }
        let others = by_port.entry(front.value.address.port()).or_default();
        let overlapping = others.iter().find(|(_, other)| front.value.overlaps(other.value));
        // Of a range, the first port is enough.
        if let Some((of, other)) = overlapping.filter(|_| last != Some(front.span)) {
            last = Some(front.span);
            let (this, that) = (front.value.address, other.value.address);
            let finding = if this == that && *of == index {
                Finding::at(front.span, format!("the address `{this}` is here twice")).help("remove one")
            } else if this == that {
                Finding::at(front.span, format!("two listeners have the address `{this}`"))
                    .help("remove one, or give it another port")
            } else {
                let other = that;
                let help = if this.is_ipv4() == other.is_ipv4() {
                    "use another port, or give each listener a specific address"
                } else {
                    "use another port, or set `v6only: true` for the one of `[::]`"
                };
                let whose = if *of == index { "the same listener" } else { "another listener" };
                Finding::at(front.span, format!("`{this}` overlaps with `{other}` of {whose}")).help(help)
            };
            problems.push(finding.see(other.span, "the other one"));
        }
        others.push((index, front));
    }
}

/// The addresses that a listener listens on.
fn fronts_of(listener: &WrittenListener) -> impl Iterator<Item = At<Front>> {
    listener.addresses.iter().map(|At { value, span }| At {
        value: Front { address: value.address, v6only: listener.v6only },
        span: *span,
    })
}

/// The address the admin interface listens on over TCP.
fn http_front(admin: &Admin) -> Option<Front> {
    admin.http.map(|http| Front { address: http.address, v6only: false })
}

/// Reports conflicts between the admin interface and other parts of the process.
fn admin_clashes(
    admin: &Admin,
    access_log: Option<&AccessLog>,
    listeners: &[WrittenListener],
    places: &Places,
    problems: &mut Problems,
) {
    if let (Some(http), Some(span)) = (http_front(admin), places.admin_http) {
        for At { value: front, span: at } in listeners.iter().flat_map(fronts_of) {
            if front.overlaps(http) {
                let message = format!(
                    "`{}` overlaps with `{}`, where the admin interface is",
                    front.address, http.address
                );
                problems.push(
                    Finding::at(at, message)
                        .see(span, "the admin interface")
                        .help("give one of the two another port, or a specific address each"),
                );
            }
        }
    }
    let socket = match &admin.socket {
        AdminSocket::Off => return,
        AdminSocket::Auto => Path::new(ADMIN_SOCKET_DEFAULT),
        AdminSocket::At(path) => path,
    };
    let log = access_log.map(|log| &log.to);
    if let (Some(LogTarget::File(to) | LogTarget::Syslog(to)), Some(span)) = (log, places.access_log)
        && to == socket
    {
        let finding = Finding::at(span, format!("`{}` is the socket of the admin interface", to.display()));
        let finding = finding.help("write the access log to a path of its own");
        problems.push(match places.admin_socket {
            Some(at) => finding.see(at, "the admin interface"),
            None => finding,
        });
    }
}

/// Reports backends that are this process, as far as addresses alone show it.
fn own_backends(
    admin: &Admin,
    places: &Places,
    listeners: &[WrittenListener],
    pools: &[WrittenPool],
    indices: &HashMap<String, PoolIndex>,
    problems: &mut Problems,
) {
    let leads_to = |listener: &WrittenListener| {
        let pools = listener.pools().filter_map(|pool| indices.get(&pool.value));
        pools.map(|index| index.0).collect()
    };
    let fronts = Fronts {
        listeners: listeners
            .iter()
            .map(|listener| (fronts_of(listener).map(|front| front.value).collect(), leads_to(listener)))
            .collect(),
        http: http_front(admin),
    };
    let addresses =
        |pool: &WrittenPool| pool.backends.iter().map(|backend| backend.address.map(|at| at.value)).collect();
    let addresses: Vec<Vec<_>> = pools.iter().map(addresses).collect();
    // The file does not show which other addresses the host holds.
    let is_held = |ip: IpAddr| ip.is_loopback();
    for own in fronts.own_backends(addresses.iter().map(|pool| pool.iter().copied()), is_held) {
        if problems.is_full() {
            break;
        }
        let backend = &pools[own.pool.0].backends[own.backend];
        let Some(address) = backend.address else { continue };
        let finding =
            |is: String| Finding::at(address.span, format!("the backend `{}` is {is}", address.value));
        let help = "write the address of the intended server";
        problems.push(match own.is {
            OwnPlace::Chain { .. } => continue,
            OwnPlace::Loop { listener, at } => {
                let listener = &listeners[listener];
                let name = listener.name.as_ref().map_or("", |name| &name.value);
                let finding = finding(format!(
                    "the listener {} of this file, and its connections come back here",
                    Quoted(name)
                ));
                let front = fronts_of(listener).find(|front| front.value.address == at);
                match front {
                    Some(at) => finding.see(at.span, "the listener"),
                    None => finding,
                }
                .help(help)
            }
            OwnPlace::Admin => {
                let finding = finding("the admin interface of this process".to_owned());
                match places.admin_http {
                    Some(at) => finding.see(at, "the admin interface"),
                    None => finding,
                }
                .help(help)
            }
        });
    }
}

/// Reports a source address of another family than a backend of the pool.
fn families(pool: &WrittenPool, problems: &mut Problems) {
    let Some(source) = pool.source else { return };
    let mut addresses = pool.backends.iter().filter_map(|backend| backend.address);
    let Some(other) = addresses.find(|address| address.value.is_ipv4() != source.value.is_ipv4()) else {
        return;
    };
    let family = |ipv4| if ipv4 { "IPv4" } else { "IPv6" };
    let (of_source, of_other) = (family(source.value.is_ipv4()), family(other.value.is_ipv4()));
    problems.push(
        Finding::at(source.span, format!("from an {of_source} source, no {of_other} backend can be reached"))
            .see(other.span, "such a backend")
            .help("use backends of one family in a pool with a source, or leave the source out"),
    );
}

/// Reports an active tier that cannot serve, and a backup tier that never does.
fn tiers(pool: &WrittenPool, problems: &mut Problems) {
    let mut backups = pool.backends.iter().filter(|backend| backend.is_backup());
    let Some(tier) = backups.next().and_then(|backend| backend.tier) else {
        return min_active(pool, pool.backends.len(), problems);
    };
    let active = pool.backends.len() - 1 - backups.count();
    if active == 0 {
        problems.push(
            Finding::at(tier.span, "the pool has backups and no active backend")
                .help("remove `tier: backup` from the backends that should serve first"),
        );
    } else {
        min_active(pool, active, problems);
    }
    if pool.probe.is_none() && pool.rest.eject.is_none() {
        problems.push(
            Finding::at(tier.span, "the backup would never serve: nothing marks an active backend down")
                .help("add a `probe` to the pool, such as `probe: { tcp: {} }`"),
        );
    }
}

/// Reports a `min_active` larger than the active tier.
fn min_active(pool: &WrittenPool, active: usize, problems: &mut Problems) {
    let active_min = pool.rest.tiers.active_min;
    let Some(span) = pool.places.min_active.filter(|_| usize::from(active_min) > active) else { return };
    let message = format!("`min_active` is {active_min}, and the pool has {active} active");
    problems.push(Finding::at(span, message).help(format!("write a number from 1 to {active}")));
}

/// Reports settings for backends that go down or come up, in a pool without a probe.
fn needs_probe(pool: &WrittenPool, problems: &mut Problems) {
    if pool.probe.is_some() {
        return;
    }
    let closes = pool.places.on_down.filter(|_| pool.rest.on_down == OnLoss::Close);
    let starts = pool.places.slow_start.filter(|_| !pool.rest.slow_start.is_zero());
    for (key, span) in [("on_down: close", closes), ("slow_start", starts)] {
        if let Some(span) = span {
            problems.push(
                Finding::at(span, format!("`{key}` needs a probe: nothing else marks a backend down"))
                    .help("add a `probe` to the pool, such as `probe: { tcp: {} }`, or remove it"),
            );
        }
    }
}

/// Reports a slow start that would move every client twice, or none.
fn slow_start(pool: &WrittenPool, problems: &mut Problems) {
    let starts = pool.places.slow_start.filter(|_| !pool.rest.slow_start.is_zero());
    let why = match pool.rest.balance {
        Balance::Maglev => "which keeps each client on its backend",
        Balance::First => "where one backend takes all connections",
        Balance::RoundRobin | Balance::LeastConnections | Balance::Random => return,
    };
    if let Some(span) = starts {
        let message = format!("`slow_start` conflicts with `balance: {}`, {why}", pool.rest.balance);
        problems.push(Finding::at(span, message).help("remove it, or use another policy"));
    }
}

/// Reports a maximum lag that the servers of the pool do not report.
fn max_lag(pool: &WrittenPool, problems: &mut Problems) {
    let Some(span) = pool.places.max_lag else { return };
    let lag_max = pool.rest.lag_max;
    let probe = pool.probe.as_ref().map(|probe| probe.value.as_ref());
    let (what, help) = match probe {
        // An invalid probe has been reported.
        Some(None) => return,
        None => ("`max_lag` needs a probe that asks for it", "add a `probe` to the pool, such as `postgres`"),
        Some(Some(probe)) => match probe.kind {
            Kind::Tcp | Kind::Exchange(_) => ("this probe does not ask for the lag", ROLE_PROBES),
            Kind::Http(_) => (
                "an `http` probe does not ask for the lag",
                "let the server decide: with Patroni, write `roles: { replica: '/replica?lag=16MB' }`",
            ),
            Kind::Mysql(_) if lag_max.bytes.is_some() => {
                ("MySQL does not report its lag in bytes", "write it in time, as in `10s`")
            }
            Kind::Redis(_) if lag_max.time.is_some() => {
                ("Redis does not report its lag in time", "write it in bytes, as in `1MiB`")
            }
            Kind::Postgres(_) | Kind::Mysql(_) | Kind::Redis(_) => return,
        },
    };
    if lag_max.bytes.is_some() || lag_max.time.is_some() {
        problems.push(Finding::at(span, what).help(help));
    }
}

/// Reports the role of a listener whose pool has no roles, or has tiers as well.
fn roles(role: Span, pool: &WrittenPool, problems: &mut Problems) {
    match pool.probe.as_ref().map(|probe| (probe.span, probe.value.as_ref().map(Probe::tells_roles))) {
        Some((_, None | Some(true))) => {}
        Some((span, Some(false))) => problems.push(
            Finding::at(role, "the roles of this pool are unknown: its probe does not ask for them")
                .see(span, "its probe")
                .help(ROLE_PROBES),
        ),
        None => problems.push(
            Finding::at(role, "the roles of this pool are unknown: it has no probe")
                .help(format!("add one to the pool: {ROLE_PROBES}")),
        ),
    }
    let backup = pool.backends.iter().find(|backend| backend.is_backup());
    if let Some(tier) = backup.and_then(|backend| backend.tier) {
        problems.push(
            Finding::at(
                tier.span,
                "a tier conflicts with the role of a listener: the roles decide which backends serve",
            )
            .see(role, "the role")
            .help("remove one of the two, or use a pool for each"),
        );
    }
}

const ROLE_PROBES: &str = "`postgres`, `mysql`, `redis`, and `http` with `roles`, ask for the role";

fn unknown_pool(pool: &At<String>, pools: &[WrittenPool]) -> Finding {
    let names = || pools.iter().filter_map(|pool| pool.name.as_ref()).map(|name| name.value.as_str());
    let finding = Finding::at(pool.span, format!("there is no pool {}", Quoted(&pool.value)));
    if let Some(meant) = nearest(&pool.value, names()) {
        return finding.help(format!("did you mean `{meant}`?"));
    }
    let shown: Vec<_> = names().take(POOLS_SHOWN).map(|name| format!("`{name}`")).collect();
    match (shown.len(), names().nth(POOLS_SHOWN)) {
        (0, _) => finding.help("define it under `pools:`"),
        (_, None) => finding.help(format!("the pools are {}", shown.join(", "))),
        (_, Some(_)) => finding.help(format!("the pools are {} and others", shown.join(", "))),
    }
}

/// The number of names that a message lists.
const POOLS_SHOWN: usize = 8;
