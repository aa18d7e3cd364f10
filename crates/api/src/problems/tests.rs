//! Each test is a status in a few words, and its problems as `rondel status` prints them.

use std::collections::BTreeMap;

use super::problems;
use crate::Problem;
use crate::{
    AccessLogStatus, BackendRole, BackendState, BackendStatus, Balance, ClosedCounts, Durations,
    FileDifference, ListenerRole, ListenerStatus, LogLevel, Override, Permits, Phase, PoolStatus,
    ProbeStatus, ProxyHeaders, ReloadStatus, RemovedKind, RemovedStatus, ShortageStatus, SourcesStatus,
    Status, Tier, Verdict, WouldRefuse,
};

#[test]
fn nothing_is_wrong() {
    check(&["a", "b"], |_| (), &[]);
    // A weight of 0 in the file is no problem, as long as another backend takes connections.
    check(&["a", "b weight:0"], |_| (), &[]);
}

#[test]
fn backends_that_are_down_are_one_problem() {
    check(&["a down", "b"], |_| (), &["warning pool web: backend a, 1 of 2, is down since 990: refused"]);
    check(
        &["a down", "b", "c down"],
        |_| (),
        &["warning pool web: backends a and c, 2 of 3, are down since 990: refused"],
    );
    check(
        &["a down", "b down", "c down", "d down", "e"],
        |status| {
            let backends = &mut status.pools[0].backends;
            probe(&mut backends[2]).since_seconds = 200.0;
            probe(&mut backends[3]).error = Some("timed out".to_owned());
        },
        &[
            "warning pool web: 4 of 5 backends are down since 800, the last since 990: refused (3), timed out (1)",
        ],
    );
    check(&["a down"], |_| (), &["error pool web: its only backend, a, is down since 990: refused"]);
    check(&["a down", "b down"], |_| (), &["error pool web: all 2 backends are down since 990: refused"]);
}

#[test]
fn of_equally_severe_pools_the_one_with_the_smaller_available_part_is_first() {
    let mut status = status(&["a down", "b", "c"]);
    for (name, backends) in [("api", ["a down", "b down", "c"]), ("db", ["a drained", "b drained", "c"])] {
        status.pools.push(PoolStatus { name: name.to_owned(), ..pool(&backends) });
    }
    let order = problems(&status).into_iter().map(|problem| (problem.pool.unwrap(), problem.backends));
    let expected = [("api", 2), ("web", 1), ("db", 2)].map(|(pool, number)| (pool.to_owned(), Some(number)));
    assert_eq!(order.collect::<Vec<_>>(), expected);
}

#[test]
fn many_reasons_are_counted() {
    let sixty: Vec<String> = (0..60).map(|number| format!("{number} down")).collect();
    let sixty: Vec<&str> = sixty.iter().map(String::as_str).collect();
    check(
        &sixty,
        |status| {
            for (number, backend) in status.pools[0].backends.iter_mut().enumerate().skip(10) {
                probe(backend).error = Some(format!("error {number}"));
            }
            probe(&mut status.pools[0].backends[59]).error = Some("error 58".to_owned());
        },
        &["error pool web: all 60 backends are down since 990: refused (10), error 10 (1), error 11 (1), \
           other or no reasons (48)"],
    );
}

#[test]
fn what_an_operator_took_out_of_service_is_a_note() {
    check(
        &["a down drained", "b"],
        |_| (),
        &["note pool web: backend a, 1 of 2, is drained: it has 0 connections"],
    );
    check(
        &["a drained active:3 left:90", "b drained active:1", "c"],
        |_| (),
        &[
            "note pool web: backends a and b, 2 of 3, are drained: they have 4 connections, which end within 1m30s",
        ],
    );
    check(&["a down disabled", "b"], |_| (), &["note pool web: backend a, 1 of 2, is disabled"]);
    check(
        &["a override:7", "b"],
        |_| (),
        &["note pool web: backend a, 1 of 2, has another weight than in the file: 7"],
    );
    check(
        &["a drained", "b down", "c weight:0", "d disabled", "e ejected:10"],
        |_| (),
        &[
            "error pool web: no backend is available: 1 down, 1 disabled, 1 drained, 1 ejected and 1 of weight 0",
            "warning pool web: backend b, 1 of 5, is down since 990: refused",
            "warning pool web: backend e, 1 of 5, is ejected: connects failed, for at most 10s more",
            "note pool web: backend a, 1 of 5, is drained: it has 0 connections",
            "note pool web: backend d, 1 of 5, is disabled",
        ],
    );
}

#[test]
fn probes_that_conclude_nothing_are_warnings() {
    check(
        &["a unknown", "b"],
        |_| (),
        &["warning pool web: backend a, 1 of 2, has no verdict of its probe yet"],
    );
    check(
        &["a", "b"],
        |status| probe(&mut status.pools[0].backends[0]).error = Some("password rejected".to_owned()),
        &["warning pool web: backend a, 1 of 2, is up, and its last probe failed: password rejected"],
    );
}

#[test]
fn roles_and_tiers() {
    let for_writers = |held: u32| {
        move |status: &mut Status| {
            status.listeners[0].role = Some(ListenerRole::Primary);
            status.listeners[0].held = held;
        }
    };
    check(&["a primary", "b replica"], for_writers(0), &[]);
    check(&["a replica"], for_writers(0), &["error pool web: there is no primary"]);
    check(&["a replica"], for_writers(1), &["error pool web: there is no primary: 1 client waits for one"]);
    check(&["a primary"], for_writers(2), &["error listener in: 2 clients wait for the primary"]);
    check(
        &["a primary", "b lagging"],
        for_writers(0),
        &["warning pool web: backend b, 1 of 2, is too far behind to take reads: 3.5s behind"],
    );
    check(
        &["a", "b"],
        |status| {
            status.pools[0].serving = Tier::Backup;
            status.pools[0].conflict = vec!["a".to_owned(), "b".to_owned()];
        },
        &[
            "error pool web: a and b all report that they are the primary",
            "warning pool web: the backup tier serves",
        ],
    );
}

#[test]
fn limits() {
    check(
        &["a"],
        |status| {
            status.connections.active = 100;
            status.listeners[0].active = 9;
        },
        &[
            "error the process has 100 of 100 connections: further clients wait in the kernel's queue",
            "warning listener in: it has 9 of 10 connections, nearly its limit",
        ],
    );
    check(
        &["a max:2 active:2", "b"],
        |_| (),
        &["warning pool web: backend a, 1 of 2, has as many connections as it may"],
    );
    let queued = |queued: u32| move |status: &mut Status| status.pools[0].queued = queued;
    check(&["a"], queued(1), &["error pool web: 1 client waits for a backend that is not full"]);
    check(
        &["a max:2 active:2"],
        queued(5),
        &["error pool web: 5 clients wait for a backend that is not full, and the queue is full"],
    );
}

#[test]
fn the_process() {
    check(
        &["a"],
        |status| {
            status.phase = Phase::Draining;
            status.log_level = LogLevel::Debug;
            status.access_log.error = Some("no space left".to_owned());
            status.config.last_error = Some("rondel.yaml:7: wrong".to_owned());
            status.config.refused_at = Some(950.0);
            status.shortages = vec![ShortageStatus {
                pool: Some("web".to_owned()),
                listener: None,
                text: "pool web: connects fail (`no_source_port`)".to_owned(),
                why: "no local port was free".to_owned(),
                since: 940.0,
            }];
        },
        &[
            "error the process is draining and accepts no new connections",
            "error the last reload was refused, and the configuration before it is in force since 950: \
             rondel.yaml:7: wrong",
            "error pool web: connects fail (`no_source_port`) since 940: no local port was free",
            "warning the access log cannot be written: no space left",
            "note the log level is debug",
        ],
    );
}

#[test]
fn a_file_that_was_changed() {
    let differs = |changes: u64, error: Option<&str>| {
        let error = error.map(str::to_owned);
        move |status: &mut Status| {
            status.config.difference = Some(FileDifference { since: 900.0, changes, error: error.clone() });
        }
    };
    check(
        &["a"],
        differs(1, None),
        &["note the configuration file differs from the configuration in force since 900: 1 change; \
           `rondel reload` applies it"],
    );
    check(
        &["a"],
        differs(0, Some("rondel.yaml:7: wrong")),
        &["warning the configuration file has changed and is invalid since 900: rondel.yaml:7: wrong"],
    );
}

#[test]
fn what_a_reload_removed() {
    let removed = |kind, active, seconds_left| RemovedStatus {
        kind,
        pool: "web".to_owned(),
        name: "x".to_owned(),
        addresses: vec!["10.0.0.9:80".parse().unwrap()],
        active,
        seconds_left,
    };
    check(
        &["a"],
        |status| {
            status.removed =
                vec![removed(RemovedKind::Backend, 1, Some(90)), removed(RemovedKind::Listener, 2, None)];
        },
        &[
            "note pool web: a reload removed backend x, which still has 1 connection: those that are left are \
             closed in 1m30s",
            "note pool web: a reload removed listener x, which still has 2 connections: they may take any time",
        ],
    );
}

/// The problems of a pool `web` of these backends, each its name and words, after a change, at 1000 s.
#[track_caller]
fn check(backends: &[&str], change: impl Fn(&mut Status), expected: &[&str]) {
    let mut status = status(backends);
    change(&mut status);
    let line = |problem: &Problem| {
        format!("{} {}", problem.severity, problem.sentence(|seconds| format!("{seconds:.0}")))
    };
    let found: Vec<String> = problems(&status).iter().map(line).collect();
    assert_eq!(found, expected);
}

fn probe(backend: &mut BackendStatus) -> &mut ProbeStatus {
    backend.probe.as_mut().unwrap()
}

fn status(backends: &[&str]) -> Status {
    Status {
        version: "1.2.3".to_owned(),
        phase: Phase::Serving,
        started_at: 900.0,
        uptime_seconds: 100.0,
        connections: Permits { active: 2, max: 100 },
        workers: Vec::new(),
        log_level: LogLevel::Info,
        access: Vec::new(),
        limits: Vec::new(),
        sources: SourcesStatus::default(),
        admin_refused: 0,
        access_log: AccessLogStatus { to: "off".to_owned(), written: 0, lost: 0, left_out: 0, error: None },
        config: ReloadStatus::default(),
        listeners: vec![listener()],
        pools: vec![pool(backends)],
        removed: Vec::new(),
        shortages: Vec::new(),
        problems: Vec::new(),
        events: Vec::new(),
    }
}

fn listener() -> ListenerStatus {
    ListenerStatus {
        name: "in".to_owned(),
        addresses: vec!["0.0.0.0:80".parse().unwrap()],
        pool: "web".to_owned(),
        routes: Vec::new(),
        role: None,
        active: 2,
        active_max: 3,
        rate: 1.0,
        rate_max: 4.0,
        connections_max: 10,
        held: 0,
        openings: 0,
        openings_max: 1000,
        proxy_headers: ProxyHeaders::default(),
        would_refuse: WouldRefuse::default(),
        rate_pauses: 0,
        accepted: 5,
        accept_errors: 0,
        bytes_to_backend: 10,
        bytes_to_client: 20,
        closed: ClosedCounts::default(),
    }
}

fn pool(backends: &[&str]) -> PoolStatus {
    PoolStatus {
        name: "web".to_owned(),
        balance: Balance::RoundRobin,
        serving: Tier::Active,
        queued: 0,
        queued_max: 2,
        queue_size: 5,
        proxy_fields_left_out: 0,
        conflict: Vec::new(),
        connect: Durations::default(),
        life: Durations::default(),
        backends: backends.iter().map(|words| backend(words)).collect(),
    }
}

/// A backend of these words, which is up unless they say otherwise.
fn backend(words: &str) -> BackendStatus {
    let mut words = words.split(' ');
    let mut backend = BackendStatus {
        name: words.next().unwrap().to_owned(),
        address: "10.0.0.1:80".parse().unwrap(),
        tier: Tier::Active,
        state: BackendState::Up,
        ejected_for_seconds: None,
        role: None,
        lag_seconds: None,
        weight: 1,
        weight_permille: 1000,
        overrides: Override::default(),
        connections_max: None,
        active: 0,
        active_max: 0,
        rate: 0.0,
        rate_max: 0.0,
        last_seconds: None,
        picked: 0,
        connected: 0,
        connect_failed: 0,
        retried: 0,
        bytes_to_backend: 0,
        bytes_to_client: 0,
        closed: ClosedCounts::default(),
        probe: Some(passing_probe()),
    };
    for word in words {
        apply(&mut backend, word);
    }
    backend
}

fn apply(backend: &mut BackendStatus, word: &str) {
    let (word, number) = word.split_once(':').unwrap_or((word, "0"));
    let number: u16 = number.parse().unwrap();
    match word {
        "down" => {
            backend.state = BackendState::Down;
            probe(backend).error = Some("refused".to_owned());
        }
        "unknown" => backend.state = BackendState::Unknown,
        "ejected" => {
            backend.state = BackendState::Ejected;
            backend.ejected_for_seconds = Some(number.into());
        }
        "primary" => backend.role = Some(BackendRole::Primary),
        "replica" => backend.role = Some(BackendRole::Replica),
        "lagging" => {
            backend.role = Some(BackendRole::Lagging);
            backend.lag_seconds = Some(3.5);
        }
        "drained" => {
            backend.overrides.drained = true;
            backend.weight = 0;
        }
        "disabled" => {
            backend.overrides.disabled = true;
            backend.state = BackendState::Down;
            backend.weight = 0;
        }
        "override" => backend.overrides.weight = Some(number),
        "weight" => backend.weight = number,
        "left" => backend.overrides.drain_seconds_left = Some(number.into()),
        "active" => backend.active = number.into(),
        "max" => backend.connections_max = Some(number.into()),
        other => panic!("{other} is no word for a backend"),
    }
}

fn passing_probe() -> ProbeStatus {
    ProbeStatus {
        verdict: Verdict::Up,
        since_seconds: 10.0,
        downs: 0,
        down_seconds: 0.0,
        error: None,
        latency_seconds: Some(0.002),
        late_seconds: 0.0,
        passed: 10,
        failed: 0,
        inconclusive: 0,
        errors: BTreeMap::new(),
    }
}
