//! Findings about backends, and about addresses and ports to connect from.

use config::{Backend, Config, Pool, counted};

use super::facts::{BACKENDS_MAX, HostFacts};
use super::finding::{Finding, Level, finding, ok};

/// Findings about the local end of connections to backends.
pub(super) fn assess_ports(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let connections_max = facts.sizes(config).map_or(0, |sizes| sizes.connections_max);
    let ports = config.pools.iter().map(|pool| source_ports(config, pool, connections_max, facts));
    ports.chain(config.pools.iter().filter_map(|pool| source(pool, facts))).collect()
}

/// Findings about the backends.
pub(super) fn assess(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    config.pools.iter().flat_map(|pool| reachable(pool, facts)).collect()
}

/// Each connection to a backend needs a local port of its own.
fn source_ports(config: &Config, pool: &Pool, connections_max: u32, facts: &HostFacts) -> Finding {
    let subject = format!("ports to pool {}", pool.name);
    let to_it = config.listeners.iter().filter(|listener| config.pools[listener.pool.0].name == pool.name);
    let admitted = to_it.map(|listener| u64::from(listener.connections_max)).sum::<u64>();
    let backends = pool.backends.iter().filter(|backend| backend.weight > 0).count().max(1);
    let share = admitted.min(connections_max.into()).div_ceil(u64::try_from(backends).unwrap_or(u64::MAX));
    let limit = pool.backends.iter().filter_map(|backend| backend.connections_max).max();
    let each = limit.map_or(share, |limit| share.min(limit.get().into()));
    let ports = facts.source_ports;
    if each <= ports {
        return ok(subject, format!("{ports} for up to {} to each backend", counted(each, "connection")));
    }
    finding(
        Level::Warn,
        subject,
        format!(
            "{ports} for up to {} to each backend: further connects fail (`no_source_port`)",
            counted(each, "connection")
        ),
        "`sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, more backends, or a smaller `max_connections`",
    )
}

/// The address that a pool connects from.
fn source(pool: &Pool, facts: &HostFacts) -> Option<Finding> {
    let source = pool.source?;
    let subject = format!("source of pool {}", pool.name);
    if facts.missing_sources.contains(&source) {
        let found = format!("this host does not hold {source}: every connect fails");
        return Some(finding(Level::Fail, subject, found, "`ip address` lists the addresses of this host"));
    }
    Some(ok(subject, format!("this host holds {source}")))
}

fn reachable(pool: &Pool, facts: &HostFacts) -> Vec<Finding> {
    let connects: Vec<_> = pool
        .backends
        .iter()
        .map(|backend| (backend, facts.backends.get(&(backend.address, pool.source))))
        .collect();
    let is_every_one_down = connects.iter().all(|(_, result)| matches!(result, Some(Err(_))));
    let of_backend = |(backend, result): (&Backend, Option<&Result<(), String>>)| {
        let subject = format!("backend {}/{}", pool.name, backend.name);
        match result {
            None => finding(
                Level::Warn,
                subject,
                format!("not checked: only {BACKENDS_MAX} backends are connected to"),
                "`rondel backends` shows the state of each while rondel runs",
            ),
            Some(Ok(())) => ok(subject, format!("{} accepts connections", backend.address)),
            Some(Err(error)) => finding(
                if is_every_one_down { Level::Fail } else { Level::Warn },
                subject,
                format!("{}: {error}", backend.address),
                if is_every_one_down {
                    "no backend of the pool is reachable: check its service, its address, and the firewalls between"
                } else {
                    "check its service, its address, and the firewalls between"
                },
            ),
        }
    };
    connects.into_iter().map(of_backend).collect()
}
