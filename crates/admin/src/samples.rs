//! A status for tests.

use std::collections::BTreeMap;

use api::{
    AccessAction, AccessLogStatus, BackendRole, BackendState, BackendStatus, Balance, ClosedCounts,
    Durations, Event, EventKind, LimitsStatus, ListView, ListenerStatus, LogLevel, Override, Permits, Phase,
    PoolStatus, ProbeStatus, ProxyHeaders, ReloadStatus, RemovedKind, RemovedStatus, RouteStatus, RuleView,
    SourcesStatus, Status, Tier, Verdict, WorkerStatus, WouldRefuse,
};
use connection::CloseReason;

/// One listener, and one pool with one backend, a lagging replica that is down. Every counter has a value.
pub(crate) fn status() -> Status {
    let backend = BackendStatus {
        name: "a".to_owned(),
        address: "10.0.0.1:80".parse().unwrap(),
        tier: Tier::Active,
        state: BackendState::Down,
        ejected_for_seconds: Some(2.5),
        role: Some(BackendRole::Lagging),
        lag_seconds: Some(3.5),
        weight: 7,
        weight_permille: 1000,
        overrides: Override { weight: Some(7), ..Override::default() },
        connections_max: None,
        active: 2,
        active_max: 3,
        rate: 1.0,
        rate_max: 4.0,
        last_seconds: Some(0.5),
        picked: 6,
        connected: 5,
        connect_failed: 1,
        retried: 1,
        bytes_to_backend: 10,
        bytes_to_client: 20,
        closed: ClosedCounts::new([(CloseReason::Done, 3)]),
        probe: Some(probe()),
    };
    Status {
        version: "1.2.3".to_owned(),
        phase: Phase::Serving,
        started_at: 1_000.0,
        uptime_seconds: 60.0,
        connections: Permits { active: 2, max: 100 },
        workers: vec![worker(2, 100), worker(0, 1)],
        log_level: LogLevel::Info,
        admin_refused: 7,
        access_log: AccessLogStatus {
            to: "/var/log/rondel/access.log".to_owned(),
            written: 3,
            lost: 1,
            left_out: 2,
            error: None,
        },
        config: ReloadStatus {
            loaded_at: 1_000.0,
            applied: 0,
            refused: 1,
            last_error: Some("wrong".to_owned()),
            last_seconds: Some(0.001),
            refused_at: Some(1_050.0),
            file: Some("/etc/rondel/rondel.yaml".to_owned()),
            difference: None,
        },
        listeners: vec![listener()],
        access: vec![access_list()],
        limits: vec![LimitsStatus { name: "visitors".to_owned(), overflow: 1, evicted: 2 }],
        sources: SourcesStatus { known: 3, capacity: 65_536 },
        pools: vec![PoolStatus {
            name: "app".to_owned(),
            balance: Balance::RoundRobin,
            serving: Tier::Active,
            queued: 0,
            queued_max: 2,
            queue_size: 100,
            proxy_fields_left_out: 4,
            conflict: Vec::new(),
            connect: Durations {
                count: 5,
                sum_seconds: 12.25,
                p50_seconds: Some(0.5),
                p90_seconds: Some(1.0),
                p99_seconds: Some(1.0),
                buckets: vec![(0.1, 1), (1.0, 3)],
            },
            life: Durations::default(),
            backends: vec![backend],
        }],
        removed: vec![removed()],
        shortages: Vec::new(),
        problems: Vec::new(),
        events: vec![Event {
            number: 1,
            at: 1_000.5,
            level: LogLevel::Warn,
            kind: EventKind::Verdict,
            pool: Some("app".to_owned()),
            text: "pool app, backend a: is down: connection refused".to_owned(),
            details: Vec::new(),
        }],
    }
}

fn access_list() -> ListView {
    ListView {
        name: Some("internet".to_owned()),
        listeners: vec!["web".to_owned()],
        rules: vec![RuleView {
            rule: "deny 10.0.0.0/8".to_owned(),
            action: AccessAction::Deny,
            prefixes: 1,
            hits: 2,
        }],
        otherwise: AccessAction::Allow,
        otherwise_hits: 3,
        allowed_hits: 4,
        denied_hits: 5,
        dry_run: false,
    }
}

fn listener() -> ListenerStatus {
    ListenerStatus {
        name: "web".to_owned(),
        addresses: vec!["0.0.0.0:80".parse().unwrap()],
        pool: "app".to_owned(),
        routes: vec![RouteStatus { name: "api.example.com".to_owned(), pool: "app".to_owned(), taken: 4 }],
        role: None,
        active: 2,
        active_max: 3,
        rate: 1.0,
        rate_max: 4.0,
        connections_max: 10,
        held: 1,
        openings: 1,
        openings_max: 1000,
        proxy_headers: ProxyHeaders { v1: 1, v2: 2, local: 3 },
        would_refuse: WouldRefuse { denied: 1, source_limit: 2, source_rate: 3 },
        rate_pauses: 4,
        accepted: 5,
        accept_errors: 0,
        bytes_to_backend: 10,
        bytes_to_client: 20,
        closed: ClosedCounts::new([(CloseReason::Done, 3)]),
    }
}

fn worker(active: u64, turns: u64) -> WorkerStatus {
    WorkerStatus {
        active,
        turns,
        early_submits: 4,
        overflows: 5,
        buffers: 1024,
        buffers_free: 1000,
        pipes_open: 3,
        pipes_free: 1,
    }
}

fn probe() -> ProbeStatus {
    ProbeStatus {
        verdict: Verdict::Down,
        since_seconds: 12.5,
        downs: 1,
        down_seconds: 12.5,
        error: Some("connection refused".to_owned()),
        latency_seconds: Some(0.002),
        late_seconds: 0.0,
        passed: 10,
        failed: 2,
        inconclusive: 0,
        errors: BTreeMap::from([("refused".to_owned(), 2)]),
    }
}

fn removed() -> RemovedStatus {
    RemovedStatus {
        kind: RemovedKind::Backend,
        pool: "app".to_owned(),
        name: "removed".to_owned(),
        addresses: vec!["10.0.0.9:80".parse().unwrap()],
        active: 1,
        seconds_left: Some(100),
    }
}

#[test]
fn a_status_survives_a_round_trip_as_json() {
    let json = serde_json::to_string(&status()).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status());
}
