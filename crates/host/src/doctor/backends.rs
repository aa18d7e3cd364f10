//! Findings about backends, and about addresses and ports to connect from.

use std::time::Duration;

use config::{Backend, Config, OnAllDown, Pool, TargetRole, counted};
use health::ProbeError;

use super::asking::{Asked, BACKENDS_MAX, Passed, TIME_MAX};
use super::certificates::{Age, Validity};
use super::facts::HostFacts;
use super::finding::{Finding, Level, finding, ok};

/// Findings about the local end of connections to backends.
pub(super) fn assess_ports(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let connections_max = facts.sizes(config).map_or(0, |sizes| sizes.connections_max);
    let ports = config.pools.iter().map(|pool| source_ports(config, pool, connections_max, facts));
    ports.chain(config.pools.iter().filter_map(|pool| source(pool, facts))).collect()
}

/// Findings about the backends.
pub(super) fn assess(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    (0..config.pools.len()).flat_map(|number| answers(config, number, facts)).collect()
}

/// Each connection to a backend needs a local port of its own.
fn source_ports(config: &Config, pool: &Pool, connections_max: u32, facts: &HostFacts) -> Finding {
    let subject = format!("ports to pool {}", pool.name);
    let goes_to_it = |listener: &config::Listener| {
        listener.pools().iter().any(|index| config.pools[index.0].name == pool.name)
    };
    let to_it = config.listeners.iter().filter(|listener| goes_to_it(listener));
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
        let cure = "`ip address` lists the addresses of this host";
        return Some(finding(Level::Fail, subject, found, cure).starts("resets every client of the pool"));
    }
    Some(ok(subject, format!("this host holds {source}")))
}

fn answers(config: &Config, number: usize, facts: &HostFacts) -> Vec<Finding> {
    let pool = &config.pools[number];
    let asked: Vec<_> =
        (0..pool.backends.len()).map(|index| facts.found.backends.get(&(number, index))).collect();
    let fails = |asked: &Asked| failure(asked).is_some();
    let failing = Failing {
        level: if asked.iter().all(|asked| asked.is_some_and(fails)) { Level::Fail } else { Level::Warn },
        all_down: asked.iter().all(|asked| asked.is_some_and(is_down)),
    };
    let backends = pool.backends.iter().zip(&asked);
    let mut findings: Vec<_> =
        backends.flat_map(|(backend, asked)| answer(pool, backend, *asked, failing, facts)).collect();
    findings.extend(primaries(config, number, &asked));
    findings
}

/// What a failure of one backend means, by the others of its pool.
#[derive(Clone, Copy)]
struct Failing {
    level: Level,
    /// Whether the probes of all of them count against them.
    all_down: bool,
}

fn is_down(asked: &Asked) -> bool {
    matches!(&asked.probe, Some(Err(error)) if error.blames_server())
}

/// The first error of a backend.
fn failure(asked: &Asked) -> Option<&ProbeError> {
    let probe = asked.probe.as_ref().and_then(|probe| probe.as_ref().err());
    probe.or_else(|| asked.connect.as_ref().and_then(|connect| connect.as_ref().err()))
}

/// The findings about one backend.
fn answer(
    pool: &Pool,
    backend: &Backend,
    asked: Option<&Asked>,
    failing: Failing,
    facts: &HostFacts,
) -> Vec<Finding> {
    let subject = format!("backend {}/{}", pool.name, backend.name);
    let Some(asked) = asked else {
        return vec![finding(
            Level::Warn,
            subject,
            format!(
                "not checked: the first {BACKENDS_MAX} backends are asked, and for {} in total",
                config::show_duration(TIME_MAX)
            ),
            "`rondel backends` shows the state of each while rondel runs",
        )];
    };
    let (address, level) = (backend.address, failing.level);
    let mut findings = match &asked.probe {
        Some(Ok(passed)) => vec![ok(&subject, format!("{address} {}", describe(passed)))],
        Some(Err(error)) => vec![
            finding(level, &subject, format!("{address} fails its probe: {error}"), cure(error))
                .starts(consequence(pool, error, failing.all_down)),
        ],
        None => Vec::new(),
    };
    findings.extend(asked.connect.as_ref().map(|connect| {
        match connect {
            Ok(()) => ok(&subject, format!("{address} accepts connections")),
            Err(error) => {
                finding(level, &subject, format!("{address} accepts no connections: {error}"), cure(error))
                    .starts(if pool.eject.is_some() {
                        "ejects it after some connects that fail; their clients go on to the next backend"
                    } else {
                        "tries it again and again; clients go on to the next backend"
                    })
            }
        }
    }));
    if let Some(Ok(Passed { certificate: Some(certificate), .. })) = &asked.probe {
        findings.extend(ending(&subject, certificate, facts.now));
    }
    findings
}

fn describe(passed: &Passed) -> String {
    let role = passed.role.map_or_else(String::new, |role| match role {
        "neither" => ", and is neither a primary nor a replica".to_owned(),
        role => format!(", and is a {role}"),
    });
    format!("passes its probe within {} ms{role}", passed.latency.as_millis() + 1)
}

/// What a running rondel makes of a failed probe.
fn consequence(pool: &Pool, error: &ProbeError, all_down: bool) -> String {
    if !error.blames_server() {
        let tells_roles = pool.probe.as_ref().is_some_and(|probe| probe.tells_roles());
        let role = if tells_roles { ", without a role" } else { ", which counts as available" };
        return format!("keeps the state of the backend, `unknown` at first{role}");
    }
    match pool.on_all_down {
        _ if !all_down => "marks the backend down".to_owned(),
        OnAllDown::Open => {
            "marks every backend of the pool down, and uses all of them nevertheless (`on_all_down: open`)"
                .to_owned()
        }
        OnAllDown::Closed => {
            "marks every backend of the pool down, and rejects clients (`on_all_down: closed`)".to_owned()
        }
    }
}

fn cure(error: &ProbeError) -> &'static str {
    match error {
        ProbeError::Timeout | ProbeError::Refused | ProbeError::Unreachable(_) | ProbeError::Closed => {
            "check its service, its address, and the firewalls between"
        }
        ProbeError::Tls(_) => {
            "check the certificate of the server, and `authority` and `name` of the probe's `tls`"
        }
        ProbeError::Authentication(_) => "check the account of the probe, its password and its privileges",
        ProbeError::Overloaded(_) => {
            "raise the limit of connections of the server, or find what uses them up"
        }
        ProbeError::Local(_) => "correct what this host lacks; the server was not asked",
        ProbeError::UnexpectedAnswer(_) | ProbeError::NotReady(_) | ProbeError::Protocol(_) => {
            "check the server and its log, and that the probe is of its kind"
        }
    }
}

/// A certificate of a server that ends soon; TLS refuses one that has ended.
fn ending(subject: &str, certificate: &Validity, now: Duration) -> Option<Finding> {
    (certificate.age(now) == Age::Ends).then(|| {
        let (until, left) = (&certificate.until, certificate.left(now));
        finding(
            Level::Warn,
            subject,
            format!("its certificate expires in {left}, at {until}"),
            "renew the certificate of the server",
        )
        .starts("marks the backend down then")
    })
}

/// Whether listeners for the primary have one.
fn primaries(config: &Config, number: usize, asked: &[Option<&Asked>]) -> Option<Finding> {
    let pool = &config.pools[number];
    let goes_to_it = |listener: &&config::Listener| listener.pools().iter().any(|index| index.0 == number);
    let mut listeners = config.listeners.iter().filter(goes_to_it);
    let (name, hold) = listeners.find_map(|listener| match listener.target_role {
        TargetRole::Primary(hold) => Some((&listener.name, hold)),
        _ => None,
    })?;
    let role = |asked: &Asked| asked.probe.as_ref()?.as_ref().ok()?.role;
    let is_primary = |asked: Option<&Asked>| asked.and_then(role) == Some("primary");
    let backends = pool.backends.iter().zip(asked).filter(|(_, asked)| is_primary(**asked));
    let primaries: Vec<_> = backends.map(|(backend, _)| backend.name.as_str()).collect();
    let subject = format!("primary of pool {}", pool.name);
    match primaries[..] {
        [primary] => Some(ok(subject, primary)),
        [] => Some(
            finding(
                Level::Fail,
                subject,
                format!("no backend that answered is the primary, and listener {name} needs it"),
                "promote a server, or repair the probe of the primary",
            )
            .starts(format!(
                "holds its clients for {}, and then rejects them",
                config::show_duration(hold.timeout)
            )),
        ),
        _ => Some(
            finding(
                Level::Fail,
                subject,
                format!("{} report that they are the primary", primaries.join(" and ")),
                "stop the wrong one, or make it a replica",
            )
            .starts("uses one of them at most"),
        ),
    }
}
