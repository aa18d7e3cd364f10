//! Valid files: those of `configs/`, and the defaults.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{
    ADMIN_SOCKET_DEFAULT, AdminSocket, Config, ConnectionsMax, Fallback, OnAllDown, PoolIndex, TargetRole,
    Workers,
};

#[test]
fn every_example_is_a_configuration() {
    let files = files();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        if let Err(error) = Config::load(&path) {
            panic!("{error}");
        }
    }
}

#[test]
fn full_shows_the_defaults() {
    let full = Config::load(&configs().join("full.yaml")).unwrap();
    let bare = "
listeners: [{ name: web, address: '0.0.0.0:8080', pool: web }]
pools: [{ name: web, backends: [{ name: a, address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }]
";
    assert_eq!(full, parse(bare));
}

#[test]
fn probes_show_the_defaults() {
    let full = Config::load(&configs().join("probes.yaml")).unwrap();
    let bare = "
listeners: [{ address: '127.0.0.1:8080', pool: tcp }]
pools:
- { name: tcp, probe: { tcp: }, backends: [{ address: '10.0.0.1:80' }] }
- { name: http, probe: { http: }, backends: [{ address: '10.0.0.1:80' }] }
- { name: exchange, probe: { exchange: { expect: '220 ' } }, backends: [{ address: '10.0.0.1:25' }] }
- name: postgres
  probe:
    postgres:
      user: rondel
      password_file: /etc/rondel/postgres.password
      tls: { authority: /etc/rondel/ca.pem, name: db.example.org }
  backends: [{ address: '10.0.0.1:5432' }]
- name: mysql
  probe: { mysql: { user: rondel, password_env: RONDEL_MYSQL_PASSWORD } }
  backends: [{ address: '10.0.0.1:3306' }]
- { name: redis, probe: { redis: }, backends: [{ address: '10.0.0.1:6379' }] }
- { name: patroni, probe: { http: { roles: }, port: 8008 }, backends: [{ address: '10.0.0.1:5432' }] }
";
    assert_eq!(full, parse(bare));
}

#[test]
fn without_ipv6_a_port_alone_is_every_ipv4_address() {
    let text = "
admin: { http: ':9907' }
listeners:
- { address: ':80', pool: web }
- { name: named, address: ':81', pool: web }
- { address: '[::]:82', pool: web }
- { address: '[::1]:83', pool: web }
- { address: ':84', pool: web }
- { name: '0.0.0.0:85', address: '127.0.0.1:86', pool: web }
- { address: ':85', pool: web }
pools: [{ name: web, backends: [{ address: '10.0.0.1:80' }] }]
";
    let config = parse(text).without_ipv6(|address| address.port() == 84);
    let listeners =
        config.listeners.iter().map(|listener| (listener.name.as_str(), listener.address().to_string()));
    let expected = [
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("named", "0.0.0.0:81"),
        // An address that is written out stays.
        ("[::]:82", "[::]:82"),
        ("[::1]:83", "[::1]:83"),
        // Kept.
        ("[::]:84", "[::]:84"),
        // Another listener has the name.
        ("0.0.0.0:85", "127.0.0.1:86"),
        ("[::]:85", "0.0.0.0:85"),
    ];
    assert_eq!(listeners.collect::<Vec<_>>(), expected.map(|(name, address)| (name, address.to_owned())));
    assert_eq!(config.admin.http.unwrap().address.to_string(), "0.0.0.0:9907");
}

#[test]
fn a_pool_that_a_role_uses_is_closed_when_all_are_down() {
    let text = |role: &str, pool: &str| {
        let listeners = "listeners: [{ address: ':80', pool: db }, { address: ':81', pool: db";
        let backends = "backends: [{ address: '10.0.0.1:80' }]";
        format!("{listeners}{role} }}]\npools: [{{ name: db, probe: {{ redis: }}, {pool}{backends} }}]")
    };
    for (role, pool, expected) in [
        ("", "", OnAllDown::Open),
        (", role: replica", "", OnAllDown::Closed),
        (", role: primary", "", OnAllDown::Closed),
        (", role: replica", "on_all_down: open, ", OnAllDown::Open),
        ("", "on_all_down: closed, ", OnAllDown::Closed),
    ] {
        assert_eq!(parse(&text(role, pool)).pools[0].on_all_down, expected, "{role} {pool}");
    }
    let target_role = |role: &str| parse(&text(role, "")).listeners[1].target_role;
    assert_eq!(target_role(", role: null"), TargetRole::Any);
    assert_eq!(target_role(", role: replica"), TargetRole::Replica(Fallback::None));
    assert_eq!(target_role(", role: replica, fallback: primary"), TargetRole::Replica(Fallback::Primary));
    let TargetRole::Primary(hold) = target_role(", role: primary, hold: { timeout: 3s }") else {
        panic!("a role")
    };
    assert_eq!((hold.connections_max, hold.timeout), (1000, Duration::from_secs(3)));
}

#[test]
fn an_admin_socket_is_a_path_a_word_or_nothing() {
    let web = "\nlisteners: [{ address: ':80', pool: a }]\npools: [{ name: a, backends: [{ address: '10.0.0.1:80' }] }]";
    let admin = |settings: &str| parse(&format!("admin: {{ {settings} }}{web}")).admin;
    assert_eq!(admin("socket: off").socket, AdminSocket::Off);
    assert_eq!(admin("socket: auto, http: off"), parse(web).admin);
    assert_eq!(admin("socket: /run/rondel/admin.sock").socket, AdminSocket::At(ADMIN_SOCKET_DEFAULT.into()));
}

#[test]
fn minimal_is_named_by_its_addresses() {
    let config = Config::load(&configs().join("minimal.yaml")).unwrap();
    assert_eq!(config.listeners[0].name, "0.0.0.0:8080");
    assert_eq!(config.pools[0].backends[1].name, "10.0.0.2:80");
}

#[test]
fn every_value_is_read() {
    let config = parse(
        "
runtime: { workers: 3, max_connections: 1000, drain_timeout: 0s }
admin: { socket: /run/other.sock, http: '127.0.0.1:9907' }
listeners:
  - { name: a, address: ':80', pool: api, backlog: 7, max_connections: 8, freebind: true }
  - { address: '[::1]:81', pool: web, v6only: true }
pools:
  - { name: web, backends: [{ address: '10.0.0.1:80', weight: 0 }] }
  - name: api
    connect_timeout: 250ms
    attempts: 16
    idle_timeout: 1m30s
    half_closed_timeout: 1h
    keepalive: { idle: 2m, probes: 1 }
    source: 192.0.2.10
    backends: [{ name: b, address: '10.0.0.2:80', weight: 256 }]
",
    );
    assert_eq!(config.runtime.workers, Workers::Number(3.try_into().unwrap()));
    assert_eq!(config.runtime.connections_max, ConnectionsMax::Number(1000.try_into().unwrap()));
    assert_eq!(config.runtime.drain_timeout, Duration::ZERO);
    assert_eq!(config.admin.socket, AdminSocket::At("/run/other.sock".into()));
    assert_eq!(config.admin.http, Some("127.0.0.1:9907".parse().unwrap()));

    let [a, b] = &config.listeners[..] else { panic!("two listeners") };
    assert_eq!((a.name.as_str(), a.address().to_string().as_str(), a.pool), ("a", "[::]:80", PoolIndex(1)));
    assert_eq!((a.backlog, a.connections_max, a.freebind, a.v6only), (7, 8, true, false));
    assert_eq!((b.name.as_str(), b.pool, b.v6only), ("[::1]:81", PoolIndex(0), true));

    let [web, api] = &config.pools[..] else { panic!("two pools") };
    assert_eq!(web.backends[0].weight, 0);
    assert_eq!(api.connect_timeout, Duration::from_millis(250));
    assert_eq!(api.attempts, 16);
    assert_eq!(api.idle_timeout, Duration::from_secs(90));
    assert_eq!(api.half_closed_timeout, Duration::from_secs(3600));
    assert_eq!(api.keepalive.idle, Duration::from_secs(120));
    assert_eq!((api.keepalive.interval, api.keepalive.probes), (Duration::from_secs(10), 1));
    assert_eq!(api.source, Some(IpAddr::from([192, 0, 2, 10])));
    assert_eq!((api.backends[0].name.as_str(), api.backends[0].weight), ("b", 256));
}

#[test]
fn other_styles_of_yaml_are_read() {
    let plain = parse(
        "listeners: [{ address: '127.0.0.1:8080', pool: '007' }]\npools: [{ name: '007', source: '2001:db8::1', backends: [{ address: '[2001:db8::2%3]:65535' }] }]",
    );
    assert_eq!(Config::load(&corpus().join("quoted.yaml")).unwrap(), plain);

    let shared = Config::load(&corpus().join("aliases.yaml")).unwrap();
    assert_eq!(shared.pools[0].backends, shared.pools[1].backends);
    assert_eq!(shared.pools[0].keepalive, shared.pools[1].keepalive);

    let text = fs::read_to_string(configs().join("minimal.yaml")).unwrap();
    let minimal = parse(&text);
    assert_eq!(parse(&text.replace('\n', "\r\n")), minimal);
    assert_eq!(parse(&format!("\u{feff}{text}")), minimal);
    assert_eq!(parse(&format!("---\n{text}...\n")), minimal);
}

#[test]
fn a_short_form_equals_the_long_one() {
    let long = parse(
        "
listeners: [{ address: ':8080', pool: tcp }]
pools:
- { name: tcp, probe: { tcp: {} }, backends: [{ address: '10.0.0.1:80' }, { address: '[2001:db8::2]:80' }] }
- { name: http, probe: { http: {} }, backends: [{ address: '10.0.0.1:80' }] }
- { name: path, probe: { http: { path: '/health?full=1' } }, backends: [{ address: '10.0.0.1:80' }] }
- { name: redis, probe: { redis: {} }, backends: [{ address: '10.0.0.1:6379' }] }
- name: mixed
  backends:
  - { address: '10.0.0.1:80' }
  - { name: b, address: '10.0.0.2:80', weight: 2 }
  - { address: '[2001:db8::3]:80' }
  - { address: '10.0.0.4:80' }
",
    );
    assert_eq!(Config::load(&corpus().join("short.yaml")).unwrap(), long);
}

#[test]
fn a_null_counts_as_no_key() {
    let bare = "
listeners: [{ address: ':8080', pool: web }]
pools: [{ name: web, backends: [{ address: '10.0.0.1:80' }] }]
";
    assert_eq!(Config::load(&corpus().join("nulls.yaml")).unwrap(), parse(bare));
}

/// Wherever `off`, `on` or a number is allowed, its spelling and its quotes make no difference.
#[test]
fn every_spelling_of_off_and_on_is_read() {
    let text = |off: &str, on: &str, number: &str| {
        format!(
            "
runtime: {{ workers: {number} }}
admin: {{ socket: {off}, http: {off} }}
access_log: {off}
listeners: [{{ address: ':8080', pool: a, access_log: {off}, freebind: {on}, v6only: {off}, backlog: {number} }}]
pools:
- {{ name: a, eject: {off}, probe: {off}, max_lag: {off}, queue: {off}, slow_start: {off}, failback_delay: {off},
    attempts: {number}, backends: [{{ address: '10.0.0.1:80', weight: {number}, max_connections: {off} }}] }}
- {{ name: b, eject: {on}, keepalive: {on}, queue: {on}, probe: {{ redis: {on}, port: {number} }}, backends: ['10.0.0.1:80'] }}
- {{ name: c, probe: {{ http: {{ tls: {off} }}, jitter: {off} }}, backends: ['10.0.0.1:80'] }}
"
        )
    };
    let expected = parse(&text("off", "on", "3"));
    assert_eq!(expected.admin.socket, AdminSocket::Off);
    assert_eq!((expected.admin.http, &expected.access_log), (None, &None));
    assert!(!expected.listeners[0].access_log && expected.listeners[0].freebind);
    assert!(expected.pools[0].eject.is_none() && expected.pools[1].eject.is_some());
    assert_eq!((expected.pools[0].queue.connections_max, expected.pools[1].queue.connections_max), (0, 1000));
    for off in ["'off'", "\"off\"", "Off", "OFF", "false", "'false'", "False", "FALSE", "no", "No", "'no'"] {
        assert_eq!(parse(&text(off, "on", "3")), expected, "{off}");
    }
    for on in ["'on'", "On", "ON", "true", "\"true\"", "True", "TRUE", "yes", "Yes", "'yes'"] {
        assert_eq!(parse(&text("off", on, "3")), expected, "{on}");
    }
    for number in ["'3'", "\"3\""] {
        assert_eq!(parse(&text("off", "on", number)), expected, "{number}");
    }
}

#[test]
fn descriptions() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../corpus/descriptions");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in ["full", "web", "probes", "cluster", "standby", "routes"]
            .map(|name| configs().join(name).with_extension("yaml"))
            .into_iter()
            .chain(
                ["aliases", "switches", "short", "durations"]
                    .map(|name| corpus().join(name).with_extension("yaml")),
            )
        {
            let name = path.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(name, Config::load(&path).unwrap());
        }
    });
}

#[track_caller]
fn parse(text: &str) -> Config {
    Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// The examples and the corpus, sorted.
pub(crate) fn files() -> Vec<PathBuf> {
    let folders = [configs(), corpus()];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}
