use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use config::{ConnectionsMax, OnAllDown, TargetRole, TokenError, Waiting, Warning, Workers};
use health::{Local, Place, ProbeError, Text};

use super::asking::{Asked, Passed};
use super::certificates::tests::validity;
use super::facts::{AccessLogFact, AdminSocketFact, Found, PortFact, PortHolder, TokenFact, UserFact};
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
        findings
            .iter()
            .all(|finding| finding.level == Level::Ok && finding.cure.is_none() && finding.run.is_none()),
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
    check(Fail, "backend 10.0.0.1:80/10.0.0.1:80", "check its service", |config, facts| {
        config.pools[0].eject = None;
        facts.found.backends.insert((0, 0), connects(Err(ProbeError::Refused)));
    });
    check(Warn, "backend 10.0.0.1:80/10.0.0.1:80", "rondel backends", |_, facts| {
        facts.found.backends.clear();
    });
    check(Warn, "admin socket", "RuntimeDirectory", |_, facts| {
        facts.found.admin_socket.as_mut().unwrap().error = Some("not permitted".to_owned());
    });
    check(Fail, "admin socket", "admin.socket", |_, facts| {
        let socket = facts.found.admin_socket.as_mut().unwrap();
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
fn a_token_that_cannot_be_used_or_that_others_read_has_a_finding() {
    use Level::{Fail, Ok, Warn};
    let fact = |read| Some(TokenFact { path: "/etc/rondel/token".into(), read });
    let warning = Warning { subject: "admin token".into(), found: "f".into(), cure: "chmod".into() };
    let error = TokenError {
        path: "/etc/rondel/token".into(),
        what: "it is empty".into(),
        cure: "openssl rand".into(),
    };
    for (level, read, cure) in [
        (Ok, Result::Ok(None), None),
        (Warn, Result::Ok(Some(warning)), Some("chmod")),
        (Fail, Err(error), Some("openssl rand")),
    ] {
        let mut facts = facts();
        facts.found.token = fact(read);
        let findings = assess(&config(), &facts);
        let found = findings.iter().find(|finding| finding.subject == "admin token").unwrap();
        assert_eq!((found.level, found.cure.as_deref()), (level, cure));
    }
}

#[test]
fn an_access_log_that_cannot_be_written_fails() {
    check(Level::Fail, "access log", "LogsDirectory", |_, facts| {
        facts.found.access_log.as_mut().unwrap().error = Some("not permitted".to_owned());
    });
}

#[test]
fn an_unreadable_password_fails_and_an_unset_variable_is_a_warning() {
    check(Level::Fail, "password of pool app", "the user that rondel runs as", |_, facts| {
        facts.found.probes[0].local.error =
            Some("the password in /etc/rondel/password: not permitted".to_owned());
    });
    check(Level::Warn, "password of pool app", "EnvironmentFile=", |_, facts| {
        facts.found.probes[0].local.place = Place::Variable("PASSWORD".to_owned());
        facts.found.probes[0].local.error = Some("the password in $PASSWORD: not found".to_owned());
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
    let (config, mut facts) = two_backends();
    facts.found.backends.insert((0, 1), connects(Err(ProbeError::Timeout)));
    let levels: Vec<_> = backends::assess(&config, &facts).iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Ok, Level::Warn]);
}

#[test]
fn each_finding_says_what_a_run_does() {
    let run = |answers: [Asked; 2], change: &dyn Fn(&mut Config)| {
        let (mut config, mut facts) = two_backends();
        change(&mut config);
        facts.found.backends =
            answers.into_iter().enumerate().map(|(index, asked)| ((0, index), asked)).collect();
        let findings = backends::assess(&config, &facts).into_iter();
        findings
            .map(|finding| format!("{} {}", finding.level, finding.run.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let nothing = |_: &mut Config| {};
    let closed = |config: &mut Config| config.pools[0].on_all_down = OnAllDown::Closed;
    let refused = || probed(Err(ProbeError::Refused));
    let denied = || probed(Err(ProbeError::Authentication(Text::new("password"))));
    let down = "warn starts, and marks the backend down";
    assert_eq!(run([probed(Ok(None)), refused()], &nothing), ["ok ", down]);
    let all = "fail starts, and marks every backend of the pool down, and ";
    let open = format!("{all}uses all of them nevertheless (`on_all_down: open`)");
    assert_eq!(run([refused(), refused()], &nothing), [open.as_str(), &open]);
    let rejects = format!("{all}rejects clients (`on_all_down: closed`)");
    assert_eq!(run([refused(), refused()], &closed), [rejects.as_str(), &rejects]);
    let unknown = "starts, and keeps the state of the backend, `unknown` at first, which counts as available";
    assert_eq!(run([probed(Ok(None)), denied()], &nothing), ["ok ".to_owned(), format!("warn {unknown}")]);
    let without_probe = connects(Err(ProbeError::Refused));
    let next = "warn starts, and tries it again and again; clients go on to the next backend";
    let no_ejection = |config: &mut Config| config.pools[0].eject = None;
    assert_eq!(run([connects(Ok(())), without_probe], &no_ejection), ["ok ", next]);
    // A probe of another port passes, and clients do not get there.
    let other_port = Asked { connect: Some(Err(ProbeError::Refused)), ..probed(Ok(None)) };
    assert_eq!(run([probed(Ok(None)), other_port], &no_ejection), ["ok ", "ok ", next]);
}

#[test]
fn a_listener_for_the_primary_needs_exactly_one() {
    let level = |roles: [&'static str; 2]| {
        let (mut config, mut facts) = two_backends();
        let hold = Waiting { connections_max: 10, timeout: Duration::from_secs(5) };
        config.listeners[0].target_role = TargetRole::Primary(hold);
        for (index, role) in roles.into_iter().enumerate() {
            facts.found.backends.insert((0, index), probed(Ok(Some(role))));
        }
        let mut findings = backends::assess(&config, &facts).into_iter();
        let finding = findings.find(|finding| finding.subject == "primary of pool 10.0.0.1:80").unwrap();
        (finding.level, finding.found)
    };
    assert_eq!(level(["replica", "primary"]), (Level::Ok, "b".to_owned()));
    assert_eq!(level(["replica", "neither"]).0, Level::Fail);
    let both = (Level::Fail, "10.0.0.1:80 and b report that they are the primary".to_owned());
    assert_eq!(level(["primary", "primary"]), both);
}

#[test]
fn a_certificate_of_a_server_that_ends_soon_is_a_warning() {
    let (config, mut facts) = two_backends();
    let Asked { probe: Some(Ok(passed)), connect } = probed(Ok(None)) else { unreachable!("it passed") };
    let passed = Passed { certificate: Some(validity(0, 100)), ..passed };
    facts.found.backends.insert((0, 0), Asked { probe: Some(Ok(passed)), connect });
    facts.now = Duration::from_secs(90 * 24 * 3600);
    let findings = backends::assess(&config, &facts);
    assert_eq!(findings[1].level, Level::Warn);
    assert_eq!(findings[1].found, "its certificate expires in 10 days, at day 100");
}

#[test]
fn obstacles_to_the_start_have_the_exit_code_of_a_run() {
    let code = |subject: &str, change: &dyn Fn(&mut Config, &mut HostFacts)| {
        let (mut config, mut facts) = (config(), facts());
        change(&mut config, &mut facts);
        let mut findings = assess(&config, &facts).into_iter();
        findings
            .find(|finding| finding.subject == subject && finding.level == Level::Fail)
            .unwrap()
            .run_exit_code
    };
    let no_ring = |_: &mut Config, facts: &mut HostFacts| facts.ring = Err((String::new(), String::new()));
    assert_eq!(code("io_uring", &no_ring), Some(5));
    assert_eq!(code("open files", &|_, facts| facts.host.descriptors_max = 20), Some(1));
    assert_eq!(code("backends", &|_, facts| facts.loops.push("a loop".to_owned())), Some(3));
    assert_eq!(code("listener web", &|_, facts| facts.ports[0] = held("nginx")), Some(4));
    let unwritable = |_: &mut Config, facts: &mut HostFacts| {
        facts.found.access_log.as_mut().unwrap().error = Some("denied".to_owned());
    };
    assert_eq!(code("access log", &unwritable), Some(4));
    let unreadable =
        |_: &mut Config, facts: &mut HostFacts| facts.found.file = Some(Err("denied".to_owned()));
    assert_eq!(code("configuration", &unreadable), Some(3));
    let refused = |_: &mut Config, facts: &mut HostFacts| {
        facts.found.backends.insert((0, 0), probed(Err(ProbeError::Refused)));
    };
    assert_eq!(code("backend 10.0.0.1:80/10.0.0.1:80", &refused), None);
}

fn connects(connect: Result<(), ProbeError>) -> Asked {
    Asked { probe: None, connect: Some(connect) }
}

fn probed(role: Result<Option<&'static str>, ProbeError>) -> Asked {
    let latency = Duration::from_millis(3);
    Asked { probe: Some(role.map(|role| Passed { latency, role, certificate: None })), connect: None }
}

fn two_backends() -> (Config, HostFacts) {
    let (mut config, mut facts) = (config(), facts());
    let address = "10.0.0.2:80".parse().unwrap();
    let second = config::Backend { address, name: "b".to_owned(), ..config.pools[0].backends[0].clone() };
    config.pools[0].backends.push(second);
    facts.found.backends.insert((0, 1), connects(Ok(())));
    (config, facts)
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
        missing_sources: [].into(),
        loops: Vec::new(),
        warnings: Vec::new(),
        user: UserFact { name: None, is_root: false },
        found: Found {
            file: None,
            backends: [((0, 0), connects(Ok(())))].into(),
            probes: vec![ProbeFact {
                pool: "app".to_owned(),
                local: Local {
                    what: "password",
                    place: Place::File(PathBuf::from("/etc/rondel/password")),
                    error: None,
                    certificates: Vec::new(),
                },
            }],
            admin_socket: Some(AdminSocketFact {
                path: PathBuf::from("/run/rondel/admin.sock"),
                is_default: true,
                error: None,
            }),
            token: None,
            access_log: Some(AccessLogFact { to: "/var/log/rondel/access.log".to_owned(), error: None }),
        },
        now: Duration::ZERO,
    }
}
