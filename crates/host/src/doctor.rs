//! Whether this host gives what a config asks of it: what `rondel doctor` says.
//!
//! `HostFacts` are read first, and judged then: `judge` is given values and returns findings.

mod facts; // What there is to know of a host.
mod probes;

use std::{fmt, io};

use config::{Config, Warning, counted};
use serde::Serialize;

use self::facts::{Holder, HostFacts, PortFact};
use crate::bind_error::{BindError, NO_IPV6};
use crate::limits::Host;
use crate::sizing::{Sizes, TooLittle};

/// Something that was looked at, and what is to be thought of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was looked at, in a word or two.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do about it; none where there is nothing to do.
    pub cure: Option<String>,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and less well or less far than it might.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// Looks at this host and says what is to be thought of it, for a balancer of this `config`.
///
/// # Errors
///
/// The CPU affinity cannot be read, or there is no runtime to connect with.
pub fn examine(config: Config, admin_descriptors: usize) -> io::Result<Vec<Finding>> {
    let host = Host::prepare()?;
    let config = host.adapt(config, |_| false);
    Ok(judge(&config, &HostFacts::read(&config, host, admin_descriptors)?))
}

/// What is to be thought of a host with these `facts`, for a balancer of this `config`.
fn judge(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let mut findings = vec![kernel(&facts.release), ring(facts), files(config, facts)];
    findings.extend(memory(config, facts));
    findings.push(cpus(config, facts));
    let connections = sizes(config, facts).map_or(0, |sizes| sizes.connections_max);
    findings.extend(conntrack(connections, facts));
    findings.push(pipes(config, facts));
    findings.push(backlogs(config, facts));
    findings.extend(ipv6(config, facts));
    findings.extend(config.pools.iter().map(|pool| source_ports(config, pool, connections, facts)));
    findings.extend(config.pools.iter().filter_map(|pool| source(pool, facts)));
    findings.extend(facts.loops.iter().map(own_backend));
    findings.extend(facts.ports.iter().map(port));
    findings.extend(config.pools.iter().flat_map(|pool| backends(pool, facts)));
    findings.extend(facts.probes.iter().map(probes::judge));
    findings.extend(facts.admin_folder.as_ref().map(admin_folder));
    findings.extend(facts.access_log.as_ref().map(access_log));
    findings.extend(
        facts
            .warnings
            .iter()
            .map(|Warning { subject, found, cure }| finding(Level::Warn, subject, found, cure)),
    );
    findings
}

fn ok(subject: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, subject: subject.into(), found: found.into(), cure: None }
}

fn finding(
    level: Level,
    subject: impl Into<String>,
    found: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { level, subject: subject.into(), found: found.into(), cure: Some(cure.into()) }
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL_MIN {
        return ok("kernel", format!("Linux {release}"));
    }
    // What it can do is found out by trying: the ring says whether it fails.
    let (major, minor) = KERNEL_MIN;
    finding(
        Level::Warn,
        "kernel",
        format!("Linux {release}"),
        format!("rondel needs Linux {major}.{minor} or later"),
    )
}

fn ring(facts: &HostFacts) -> Finding {
    match &facts.ring {
        Ok(()) => ok("io_uring", "a ring with its buffers can be had"),
        Err((found, cure)) => finding(Level::Fail, "io_uring", found, cure),
    }
}

fn sizes(config: &Config, facts: &HostFacts) -> Result<Sizes, TooLittle> {
    let probes =
        config.pools.iter().filter(|pool| pool.probe.is_some()).map(|pool| pool.backends.len()).sum();
    Sizes::new(&config.runtime, config.listeners.len(), probes, facts.admin_descriptors, &facts.host)
}

fn files(config: &Config, facts: &HostFacts) -> Finding {
    let limit = facts.host.descriptors_max;
    let raise = "raise it: `LimitNOFILE=` in the unit, or `ulimit -n`";
    match sizes(config, facts) {
        Err(TooLittle::Descriptors { .. }) => {
            finding(Level::Fail, "open files", format!("the limit of {limit} holds no connection"), raise)
        }
        Err(TooLittle::Memory { .. }) => ok("open files", format!("the limit is {limit}")),
        Ok(Sizes { clipped_from: Some(wanted), connections_max, .. }) => finding(
            Level::Warn,
            "open files",
            format!(
                "the limit of {limit} allows {connections_max} of the {wanted} connections of `runtime.max_connections`"
            ),
            raise,
        ),
        Ok(sizes) => ok(
            "open files",
            format!("the limit of {limit} is enough for {}", counted(sizes.connections_max, "connection")),
        ),
    }
}

/// What there is to say where the process may take too little memory.
fn memory(config: &Config, facts: &HostFacts) -> Option<Finding> {
    let Err(TooLittle::Memory { left, needed }) = sizes(config, facts) else { return None };
    let found =
        format!("the limit leaves {} MiB, and the workers need {} MiB", left >> 20, needed.div_ceil(1 << 20));
    let cure = "`LimitDATA=` and `LimitAS=` in the unit, or a smaller `runtime.max_connections` or `runtime.workers`";
    Some(finding(Level::Fail, "memory", found, cure))
}

fn cpus(config: &Config, facts: &HostFacts) -> Finding {
    let available = facts.host.cpus.len();
    let workers = sizes(config, facts).map_or(available, |sizes| sizes.cpus.len());
    if workers > available {
        return finding(
            Level::Warn,
            "cpus",
            format!("{workers} workers share {}, and are not pinned", counted(available, "CPU")),
            "say `workers: auto` in `runtime`, or give the process more CPUs",
        );
    }
    match facts.quota {
        // A worker that is throttled holds up all its connections until the next period.
        Some(percent) if percent < 100 * u64::try_from(workers).unwrap_or(u64::MAX) => finding(
            Level::Warn,
            "cpus",
            format!(
                "{}, and a cgroup that gives {percent} % of a CPU: when that is spent, everything halts",
                counted(workers, "worker")
            ),
            "give the cgroup a CPU for each worker (`CPUQuota=`, or the container's limit), or lower `runtime.workers`",
        ),
        _ => ok("cpus", format!("{} on {}", counted(workers, "worker"), counted(available, "CPU"))),
    }
}

fn conntrack(connections: u32, facts: &HostFacts) -> Option<Finding> {
    let entries = facts.conntrack_max?;
    // One for the client's side of a connection, one for the backend's.
    let needed = 2 * u64::from(connections);
    Some(if entries >= needed {
        ok("nf_conntrack_max", format!("{entries} entries are enough for {connections} connections"))
    } else {
        finding(
            Level::Warn,
            "nf_conntrack_max",
            format!(
                "{entries} entries, and {connections} connections take {needed}: beyond them the firewall drops packets"
            ),
            format!("`sysctl -w net.netfilter.nf_conntrack_max={needed}`, or exempt these ports (`notrack`)"),
        )
    })
}

fn pipes(config: &Config, facts: &HostFacts) -> Finding {
    match sizes(config, facts) {
        Ok(sizes) if sizes.pipes_per_worker == 0 => finding(
            Level::Warn,
            "pipes",
            "there are none to splice streams with: they are copied",
            "raise the limit of open files and `fs.pipe-user-pages-soft`",
        ),
        Ok(sizes) => ok("pipes", format!("{} for each worker", sizes.pipes_per_worker)),
        Err(_) => ok("pipes", "not looked at, for want of descriptors or memory"),
    }
}

fn backlogs(config: &Config, facts: &HostFacts) -> Finding {
    let most = facts.host.backlog_max;
    match config.listeners.iter().map(|listener| listener.backlog).max() {
        Some(backlog) if backlog > most => finding(
            Level::Warn,
            "somaxconn",
            format!("the kernel clips a `backlog` of {backlog} at {most}"),
            format!("`sysctl -w net.core.somaxconn={backlog}`"),
        ),
        _ => ok("somaxconn", format!("queues of up to {most} clients")),
    }
}

/// What there is to say where the host has no IPv6.
fn ipv6(config: &Config, facts: &HostFacts) -> Option<Finding> {
    if facts.host.ipv6 {
        return None;
    }
    let found = "the host has none, or keeps it from this process";
    let mut backends = config.pools.iter().flat_map(|pool| pool.backends.iter());
    if let Some(backend) = backends.find(|backend| backend.address.is_ipv6()) {
        let found = format!("{found}: {} cannot be reached", backend.address);
        return Some(finding(Level::Fail, "ipv6", found, NO_IPV6));
    }
    Some(ok("ipv6", format!("{found}: an address such as `:8080` is IPv4 alone")))
}

/// Towards one backend there is a port of this host for each connection.
fn source_ports(config: &Config, pool: &config::Pool, connections_max: u32, facts: &HostFacts) -> Finding {
    let subject = format!("ports to pool {}", pool.name);
    let to_it = config.listeners.iter().filter(|listener| config.pools[listener.pool.0].name == pool.name);
    let admitted = to_it.map(|listener| u64::from(listener.connections_max)).sum::<u64>();
    let backends = pool.backends.iter().filter(|backend| backend.weight > 0).count().max(1);
    let share = admitted.min(connections_max.into()).div_ceil(u64::try_from(backends).unwrap_or(u64::MAX));
    let bound = pool.backends.iter().filter_map(|backend| backend.connections_max).max();
    let each = bound.map_or(share, |bound| share.min(bound.get().into()));
    let ports = facts.source_ports;
    if each <= ports {
        return ok(subject, format!("{ports} for up to {} to each backend", counted(each, "connection")));
    }
    finding(
        Level::Warn,
        subject,
        format!(
            "{ports} for up to {each} connections to each backend: beyond them connects fail (`no_source_port`)"
        ),
        "`sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, more backends, or a smaller `max_connections`",
    )
}

/// Whether the host holds the address that a pool connects from.
fn source(pool: &config::Pool, facts: &HostFacts) -> Option<Finding> {
    let source = pool.source?;
    let subject = format!("source of pool {}", pool.name);
    if facts.missing_sources.contains(&source) {
        let found = format!("this host does not hold {source}: no connect can be made");
        return Some(finding(Level::Fail, subject, found, "`ip address` shows the addresses that it holds"));
    }
    Some(ok(subject, format!("this host holds {source}")))
}

fn own_backend(found: &String) -> Finding {
    finding(Level::Fail, "backends", found, "write the address of the server that is meant")
}

fn port(fact: &PortFact) -> Finding {
    let subject = format!("listener {}", fact.listener);
    let error = match &fact.bound {
        Ok(()) => return ok(subject, format!("{} is free", fact.address)),
        Err(error) => error,
    };
    if let Some(Holder { pid, name }) = &fact.holder {
        let found = format!("{} is held by {name}, process {pid}", fact.address);
        return match name.as_str() {
            // The one that runs, most likely, and that this is asked of.
            "rondel" => {
                finding(Level::Warn, subject, found, "as it should be, if that is the rondel of this file")
            }
            _ => {
                finding(Level::Fail, subject, found, "end that process, or give the listener another address")
            }
        };
    }
    let failure = BindError {
        listener: fact.listener.clone(),
        address: fact.address,
        error: io::Error::from_raw_os_error(*error),
        holder: None,
    };
    let text = failure.to_string();
    let (found, cure) = text.split_once("\n  ").unwrap_or((&text, ""));
    Finding {
        level: Level::Fail,
        subject,
        found: found.to_owned(),
        cure: (!cure.is_empty()).then(|| cure.to_owned()),
    }
}

fn backends(pool: &config::Pool, facts: &HostFacts) -> Vec<Finding> {
    let known: Vec<_> = pool
        .backends
        .iter()
        .map(|backend| (backend, facts.backends.get(&(backend.address, pool.source))))
        .collect();
    let none_answers = known.iter().all(|(_, reached)| matches!(reached, Some(Err(_))));
    let of_backend = |(backend, reached): (&config::Backend, Option<&Result<(), String>>)| {
        let subject = format!("backend {}/{}", pool.name, backend.name);
        match reached {
            None => finding(
                Level::Warn,
                subject,
                format!("not connected to: only {} backends are", facts::BACKENDS_MAX),
                "`rondel backends` says how each is while rondel runs",
            ),
            Some(Ok(())) => ok(subject, format!("{} takes connections", backend.address)),
            Some(Err(error)) => finding(
                if none_answers { Level::Fail } else { Level::Warn },
                subject,
                format!("{}: {error}", backend.address),
                if none_answers {
                    "no backend of the pool can be reached: look at its service, its address, and the firewalls between"
                } else {
                    "look at its service, its address, and the firewalls between"
                },
            ),
        }
    };
    known.into_iter().map(of_backend).collect()
}

fn admin_folder(fact: &facts::AdminFolder) -> Finding {
    let subject = "admin socket";
    let path = fact.socket.display();
    match (&fact.error, fact.is_default) {
        (None, _) => ok(subject, format!("{path} can be made")),
        (Some(error), true) => finding(
            Level::Warn,
            subject,
            format!("{path}: {error}: `rondel status` and others cannot reach the process"),
            "`RuntimeDirectory=rondel` in the unit makes the folder; or name a path in `admin.socket`",
        ),
        (Some(error), false) => finding(
            Level::Fail,
            subject,
            format!("{path}: {error}"),
            "choose another path in `admin.socket`, or say `off`",
        ),
    }
}

fn access_log(fact: &facts::AccessLogPlace) -> Finding {
    let path = fact.path.display();
    match &fact.error {
        None => ok("access log", format!("{path} can be written")),
        Some(error) => finding(
            Level::Fail,
            "access log",
            format!("{path}: {error}"),
            "choose another place in `access_log`; `LogsDirectory=rondel` in the unit makes /var/log/rondel",
        ),
    }
}

/// The first Linux that has all that a ring needs.
const KERNEL_MIN: (u32, u32) = (6, 1);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::num::{NonZeroU16, NonZeroU32};
    use std::path::PathBuf;

    use config::{ConnectionsMax, Workers};

    use health::{Local, Place};

    use super::facts::{AccessLogPlace, AdminFolder};
    use super::probes::ProbeFact;
    use super::*;

    #[test]
    fn a_host_that_has_all_of_it_is_well() {
        let findings = judge(&config(), &facts());
        let subjects: Vec<_> = findings.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(
            subjects,
            [
                "kernel",
                "io_uring",
                "open files",
                "cpus",
                "nf_conntrack_max",
                "pipes",
                "somaxconn",
                "ports to pool 10.0.0.1:80",
                "listener web",
                "backend 10.0.0.1:80/10.0.0.1:80",
                "password of pool app",
                "admin socket",
                "access log"
            ]
        );
        assert!(
            findings.iter().all(|finding| finding.level == Level::Ok && finding.cure.is_none()),
            "{findings:#?}"
        );
    }

    #[test]
    fn each_want_is_named_with_its_cure() {
        use Level::{Fail, Warn};
        check(Warn, "kernel", "6.1 or later", |_, facts| facts.release = "5.15.0-91-generic".to_owned());
        check(Fail, "io_uring", "sysctl", |_, facts| {
            facts.ring = Err(("io_uring_setup: not permitted".to_owned(), "`sysctl ...`".to_owned()));
        });
        check(Fail, "open files", "LimitNOFILE", |_, facts| facts.host.descriptors_max = 20);
        check(Fail, "memory", "LimitDATA", |_, facts| facts.host.memory_left = 32 << 20);
        check(Warn, "open files", "LimitNOFILE", |config, facts| {
            facts.host.descriptors_max = 1_024;
            config.runtime.connections_max = ConnectionsMax::Number(NonZeroU32::new(10_000).unwrap());
        });
        check(Warn, "cpus", "workers: auto", |config, _| {
            config.runtime.workers = Workers::Number(NonZeroU16::new(3).unwrap());
        });
        check(Warn, "cpus", "CPUQuota=", |_, facts| facts.quota = Some(150));
        check(Warn, "nf_conntrack_max", "nf_conntrack_max=", |_, facts| facts.conntrack_max = Some(1_000));
        check(Warn, "pipes", "pipe-user-pages-soft", |_, facts| facts.host.pipe_pages_max = 1);
        check(Warn, "somaxconn", "net.core.somaxconn=", |_, facts| facts.host.backlog_max = 128);
        check(Warn, "ports to pool 10.0.0.1:80", "ip_local_port_range", |_, facts| facts.source_ports = 100);
        check(Warn, "listener web", "if that is the rondel", |_, facts| facts.ports[0] = held("rondel"));
        check(Fail, "listener web", "end that process", |_, facts| facts.ports[0] = held("nginx"));
        check(Fail, "listener web", "CAP_NET_BIND_SERVICE", |_, facts| {
            facts.ports[0].bound = Err(rustix::io::Errno::ACCESS.raw_os_error());
        });
        check(Fail, "backend 10.0.0.1:80/10.0.0.1:80", "no backend of the pool", |config, facts| {
            let way = (config.pools[0].backends[0].address, None);
            facts.backends.insert(way, Err("connection refused".to_owned()));
        });
        check(Warn, "backend 10.0.0.1:80/10.0.0.1:80", "rondel backends", |_, facts| facts.backends.clear());
        check(Warn, "admin socket", "RuntimeDirectory", |_, facts| {
            facts.admin_folder.as_mut().unwrap().error = Some("not permitted".to_owned());
        });
        check(Fail, "admin socket", "admin.socket", |_, facts| {
            let folder = facts.admin_folder.as_mut().unwrap();
            (folder.error, folder.is_default) = (Some("not permitted".to_owned()), false);
        });
    }

    #[test]
    fn what_the_config_warns_of_is_a_finding() {
        check(Level::Warn, "pool app", "leave it so", |_, facts| {
            facts.warnings.push(Warning {
                subject: "pool app".to_owned(),
                found: "it is this process's own listener".to_owned(),
                cure: "leave it so if it is meant".to_owned(),
            });
        });
    }

    #[test]
    fn a_source_that_is_not_held_and_a_backend_that_is_the_process_itself_fail() {
        let source = "192.0.2.7".parse().unwrap();
        check(Level::Fail, "source of pool 10.0.0.1:80", "ip address", |config, facts| {
            config.pools[0].source = Some(source);
            facts.missing_sources.insert(source);
            let answers = facts.backends.values().next().unwrap().clone();
            facts.backends.insert((config.pools[0].backends[0].address, Some(source)), answers);
        });
        check(Level::Fail, "backends", "the server that is meant", |_, facts| {
            facts.loops.push("backend a is this process's own listener".to_owned());
        });
    }

    #[test]
    fn ipv6_that_is_missing_is_named_where_a_backend_needs_it() {
        check(Level::Fail, "ipv6", "RestrictAddressFamilies", |config, facts| {
            facts.host.ipv6 = false;
            config.pools[0].backends[0].address = "[2001:db8::1]:80".parse().unwrap();
        });
    }

    #[test]
    fn an_access_log_that_cannot_be_written_fails() {
        check(Level::Fail, "access log", "LogsDirectory", |_, facts| {
            facts.access_log.as_mut().unwrap().error = Some("not permitted".to_owned());
        });
    }

    #[test]
    fn a_password_that_cannot_be_read_fails_and_a_variable_may_be_set_elsewhere() {
        check(Level::Fail, "password of pool app", "the user that rondel runs as", |_, facts| {
            facts.probes[0].local.error =
                Some("the password in /etc/rondel/password: not permitted".to_owned());
        });
        check(Level::Warn, "password of pool app", "EnvironmentFile=", |_, facts| {
            facts.probes[0].local.place = Place::Variable("PASSWORD".to_owned());
            facts.probes[0].local.error = Some("the password in $PASSWORD: not found".to_owned());
        });
    }

    /// That one thing changed makes one finding that is not as it should be.
    #[track_caller]
    fn check(level: Level, subject: &str, cure: &str, change: impl FnOnce(&mut Config, &mut HostFacts)) {
        let (mut config, mut facts) = (config(), facts());
        change(&mut config, &mut facts);
        let findings = judge(&config, &facts);
        let bad: Vec<_> = findings.into_iter().filter(|finding| finding.level != Level::Ok).collect();
        let finding = bad.iter().find(|finding| finding.subject == subject);
        let finding = finding.unwrap_or_else(|| panic!("nothing of {subject} in {bad:#?}"));
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.cure.as_ref().is_some_and(|said| said.contains(cure)), "{finding:?}");
    }

    #[test]
    fn one_backend_of_several_that_is_away_is_a_warning() {
        let (mut config, mut facts) = (config(), facts());
        let address = "10.0.0.2:80".parse().unwrap();
        let second = config::Backend { address, name: "b".to_owned(), ..config.pools[0].backends[0].clone() };
        config.pools[0].backends.push(second);
        facts.backends.insert((address, None), Err("timed out".to_owned()));
        let levels: Vec<_> = backends(&config.pools[0], &facts).iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Warn]);
    }

    fn held(name: &str) -> PortFact {
        let holder = Some(Holder { pid: 7, name: name.to_owned() });
        PortFact {
            holder,
            bound: Err(rustix::io::Errno::ADDRINUSE.raw_os_error()),
            ..facts().ports.remove(0)
        }
    }

    fn config() -> Config {
        let mut config = Config::forward("127.0.0.1:80".parse().unwrap(), &["10.0.0.1:80".parse().unwrap()]);
        config.listeners[0].name = "web".to_owned();
        config.pools[0].name = "10.0.0.1:80".to_owned();
        config.listeners[0].connections_max = 10_000;
        config
    }

    fn facts() -> HostFacts {
        HostFacts {
            release: "6.18.2".to_owned(),
            ring: Ok(()),
            host: Host {
                cpus: vec![0, 1],
                descriptors_max: 100_000,
                pipe_pages_max: 16_384,
                backlog_max: 65_535,
                ipv6: true,
                memory_left: u64::MAX,
            },
            admin_descriptors: 50,
            quota: None,
            conntrack_max: Some(262_144),
            source_ports: 28_232,
            ports: vec![PortFact {
                listener: "web".to_owned(),
                address: "127.0.0.1:80".parse().unwrap(),
                bound: Ok(()),
                holder: None,
            }],
            backends: [(("10.0.0.1:80".parse::<SocketAddr>().unwrap(), None), Ok(()))].into(),
            missing_sources: [].into(),
            loops: Vec::new(),
            warnings: Vec::new(),
            probes: vec![ProbeFact {
                pool: "app".to_owned(),
                local: Local {
                    what: "password",
                    place: Place::File(PathBuf::from("/etc/rondel/password")),
                    error: None,
                },
            }],
            admin_folder: Some(AdminFolder {
                socket: PathBuf::from("/run/rondel/admin.sock"),
                is_default: true,
                error: None,
            }),
            access_log: Some(AccessLogPlace {
                path: PathBuf::from("/var/log/rondel/access.log"),
                error: None,
            }),
        }
    }
}
