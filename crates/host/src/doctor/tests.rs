use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use config::{ConnectionsMax, Workers};

use health::{Local, Place};

use super::facts::{AccessLogFact, AdminSocketFact, PortFact, PortHolder};
use super::probes::ProbeFact;
use super::*;

#[test]
fn a_suitable_host_has_no_warning() {
    let findings = assess(&config(), &facts());
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
fn each_deficiency_has_a_finding_with_a_cure() {
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
    check(Warn, "listener web", "if that rondel runs", |_, facts| facts.ports[0] = held("rondel"));
    check(Fail, "listener web", "end that process", |_, facts| facts.ports[0] = held("nginx"));
    check(Fail, "listener web", "CAP_NET_BIND_SERVICE", |_, facts| {
        facts.ports[0].bound = Err(rustix::io::Errno::ACCESS.raw_os_error());
    });
    check(Fail, "backend 10.0.0.1:80/10.0.0.1:80", "no backend of the pool", |config, facts| {
        let to_backend = (config.pools[0].backends[0].address, None);
        facts.backends.insert(to_backend, Err("connection refused".to_owned()));
    });
    check(Warn, "backend 10.0.0.1:80/10.0.0.1:80", "rondel backends", |_, facts| facts.backends.clear());
    check(Warn, "admin socket", "RuntimeDirectory", |_, facts| {
        facts.admin_socket.as_mut().unwrap().error = Some("not permitted".to_owned());
    });
    check(Fail, "admin socket", "admin.socket", |_, facts| {
        let socket = facts.admin_socket.as_mut().unwrap();
        (socket.error, socket.is_default) = (Some("not permitted".to_owned()), false);
    });
}

#[test]
fn a_warning_of_the_config_is_a_finding() {
    check(Level::Warn, "pool app", "ignore this", |_, facts| {
        facts.warnings.push(Warning {
            subject: "pool app".to_owned(),
            found: "it is this process's own listener".to_owned(),
            cure: "ignore this if it is intended".to_owned(),
        });
    });
}

#[test]
fn a_missing_source_and_a_backend_that_is_the_process_itself_fail() {
    let source = "192.0.2.7".parse().unwrap();
    check(Level::Fail, "source of pool 10.0.0.1:80", "ip address", |config, facts| {
        config.pools[0].source = Some(source);
        facts.missing_sources.insert(source);
        let answers = facts.backends.values().next().unwrap().clone();
        facts.backends.insert((config.pools[0].backends[0].address, Some(source)), answers);
    });
    check(Level::Fail, "backends", "the intended server", |_, facts| {
        facts.loops.push("backend a is this process's own listener".to_owned());
    });
}

#[test]
fn missing_ipv6_fails_if_a_backend_needs_it() {
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
fn an_unreadable_password_fails_and_an_unset_variable_is_a_warning() {
    check(Level::Fail, "password of pool app", "the user that rondel runs as", |_, facts| {
        facts.probes[0].local.error = Some("the password in /etc/rondel/password: not permitted".to_owned());
    });
    check(Level::Warn, "password of pool app", "EnvironmentFile=", |_, facts| {
        facts.probes[0].local.place = Place::Variable("PASSWORD".to_owned());
        facts.probes[0].local.error = Some("the password in $PASSWORD: not found".to_owned());
    });
}

/// Checks that one change causes a finding of this level and subject.
#[track_caller]
fn check(level: Level, subject: &str, cure: &str, change: impl FnOnce(&mut Config, &mut HostFacts)) {
    let (mut config, mut facts) = (config(), facts());
    change(&mut config, &mut facts);
    let findings = assess(&config, &facts);
    let bad: Vec<_> = findings.into_iter().filter(|finding| finding.level != Level::Ok).collect();
    let finding = bad.iter().find(|finding| finding.subject == subject);
    let finding = finding.unwrap_or_else(|| panic!("nothing of {subject} in {bad:#?}"));
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.cure.as_ref().is_some_and(|text| text.contains(cure)), "{finding:?}");
}

#[test]
fn one_unreachable_backend_of_several_is_a_warning() {
    let (mut config, mut facts) = (config(), facts());
    let address = "10.0.0.2:80".parse().unwrap();
    let second = config::Backend { address, name: "b".to_owned(), ..config.pools[0].backends[0].clone() };
    config.pools[0].backends.push(second);
    facts.backends.insert((address, None), Err("timed out".to_owned()));
    let levels: Vec<_> = backends::assess(&config, &facts).iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Ok, Level::Warn]);
}

fn held(name: &str) -> PortFact {
    let holder = Some(PortHolder { pid: 7, name: name.to_owned() });
    PortFact { holder, bound: Err(rustix::io::Errno::ADDRINUSE.raw_os_error()), ..facts().ports.remove(0) }
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
        admin_socket: Some(AdminSocketFact {
            path: PathBuf::from("/run/rondel/admin.sock"),
            is_default: true,
            error: None,
        }),
        access_log: Some(AccessLogFact { path: PathBuf::from("/var/log/rondel/access.log"), error: None }),
    }
}
