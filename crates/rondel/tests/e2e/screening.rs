//! Access lists, limits of sources and rates of listeners, as the file says them.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::access_log::AccessLog;
use crate::lb::{Lb, all_closes};
use crate::peers::{Backend, Client, End};
use crate::place::{address, eventually};
use crate::setup::{PORT, Setup};

/// Two addresses that clients of these tests have.
const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 10, 0, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 20, 0, 1));

/// A listener with these settings before an echo.
fn setup(echo: &Backend, settings: &str) -> Setup {
    Setup::to(&[echo.target()]).without_listeners().listen("web", address(PORT), "web", settings)
}

#[track_caller]
fn from(source: IpAddr) -> Client {
    Client::connect_from(source, address(PORT)).unwrap()
}

/// Whether a client is reset at once.
fn is_reset(source: IpAddr) -> bool {
    match Client::connect_from(source, address(PORT)) {
        Ok(mut client) => client.end() == End::Reset,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Those of so many clients at once that are served.
fn served(source: IpAddr, number: usize) -> Vec<Client> {
    let clients: Vec<_> = (0..number).map(|_| Client::connect_from(source, address(PORT))).collect();
    clients
        .into_iter()
        .flatten()
        .filter_map(|mut client| client.try_echo(b"x").ok().map(|()| client))
        .collect()
}

#[test]
fn a_client_that_is_denied_is_reset_and_reaches_no_backend() {
    let echo = Backend::echo(9001);
    let rules = "rules: [{ allow: 127.10.0.1 }, { deny: [127.10.0.0/16, 127.20.0.0/16] }]";
    let lb = Lb::start(&setup(&echo, "access: internet").access("internet", rules));
    from(ONE).echoes(b"the first rule that matches decides, not the longest prefix or the last");
    assert!(is_reset(OTHER));
    lb.connect().echoes(b"no rule matches");
    assert_eq!(echo.accepted(), 2);
    assert_eq!(all_closes(&lb.end())["denied"], 1);
}

#[test]
fn a_list_may_allow_a_few_and_deny_the_rest() {
    let echo = Backend::echo(9001);
    let few = "rules: [{ allow: [127.10.0.0/16, '2001:db8::/32'] }], otherwise: deny";
    let lb = Lb::start(&setup(&echo, "access: office").access("office", few));
    from(ONE).echoes(b"x");
    assert!(is_reset(OTHER));
    assert_eq!(lb.turn_away(), End::Reset);
}

#[test]
fn a_source_has_exactly_the_connections_that_it_may_over_all_workers() {
    let echo = Backend::echo(9001);
    for dry_run in [false, true] {
        let limits = format!("connections: 20, dry_run: {dry_run}");
        let log = AccessLog::new();
        let setup = setup(&echo, "limits: visitors").runtime("workers: 4, drain_timeout: 5s");
        let lb = Lb::start(&log.with_all(setup.limits("visitors", &limits)));
        let clients = served(ONE, 50);
        assert_eq!(clients.len(), if dry_run { 50 } else { 20 });
        let would_refuse =
            log.metric("rondel_listener_would_refuse_total{listener=\"web\",reason=\"source_limit\"}");
        assert_eq!(would_refuse, if dry_run { 30 } else { 0 });
        assert_eq!(served(OTHER, 5).len(), 5, "another source has its own");
        // Once they have left, as many may come again.
        drop(clients);
        eventually("all have left", || log.metric("rondel_connections_active") == 0);
        assert_eq!(served(ONE, 25).len(), if dry_run { 25 } else { 20 });
        lb.end();
    }
}

#[test]
fn a_source_that_comes_too_fast_is_refused_until_it_waits() {
    let echo = Backend::echo(9001);
    let lb = Lb::start(&setup(&echo, "limits: visitors").limits("visitors", "rate: 2/s, burst: 5"));
    let number = served(ONE, 20).len();
    // Time goes on while they come.
    assert!((5..20).contains(&number), "{number} were served");
    assert_eq!(served(OTHER, 5).len(), 5);
    eventually("the next may come", || served(ONE, 1).len() == 1);
    let closes = all_closes(&lb.end());
    assert!(closes["source_rate"] >= 20 - number as u64, "{closes:?}");
}

#[test]
fn sources_that_are_exempt_do_not_count() {
    let echo = Backend::echo(9001);
    let limits = "connections: 1, rate: 1/m, burst: 1, exempt: 127.10.0.0/16";
    let lb = Lb::start(&setup(&echo, "limits: visitors").limits("visitors", limits));
    assert_eq!(served(ONE, 10).len(), 10);
    assert_eq!(served(OTHER, 10).len(), 1);
    lb.end();
}

#[test]
fn limits_count_the_client_that_a_header_names_and_not_its_proxy() {
    let echo = Backend::echo(9001);
    let behind = "limits: visitors, proxy_protocol: { from: any }";
    let lb = Lb::start(&setup(&echo, behind).limits("visitors", "connections: 2"));
    let client = |number: u8| {
        let mut client = lb.connect();
        client.send(format!("PROXY TCP4 192.0.2.{number} 198.51.100.1 1000 443\r\n").as_bytes());
        client
    };
    let mut clients: Vec<_> = [1, 1, 2, 2, 3, 3].map(client).into();
    for client in &mut clients {
        client.echoes(b"x");
    }
    assert_eq!(client(2).end(), End::Reset);
    drop(clients);
    assert_eq!(all_closes(&lb.end())["source_limit"], 1);
}

#[test]
fn clients_beyond_the_rate_of_a_listener_wait_and_none_is_refused() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(&echo, "rate: 20/s")));
    let began = Instant::now();
    assert_eq!(served(ONE, 40).len(), 40);
    // Two come at once, as a tenth of a second's may.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert!(log.metric("rondel_listener_rate_pauses_total{listener=\"web\"}") > 0);
    lb.end();
}

#[test]
fn a_reload_changes_lists_limits_and_rates() {
    let echo = Backend::echo(9001);
    let lb = Lb::start(&setup(&echo, ""));
    from(ONE).echoes(b"x");
    lb.reload(&setup(&echo, "access: all").access("all", "rules: [{ deny: 127.0.0.0/8 }]"));
    assert!(is_reset(ONE));
    lb.reload(&setup(&echo, "limits: few").limits("few", "connections: 3"));
    let clients = served(ONE, 5);
    assert_eq!(clients.len(), 3);
    // What is counted is not forgotten.
    lb.reload(&setup(&echo, "limits: few").limits("few", "connections: 4"));
    assert_eq!(served(ONE, 5).len(), 1);
    drop(clients);
    lb.reload(&setup(&echo, ""));
    assert_eq!(served(ONE, 10).len(), 10);
}

#[test]
fn a_flood_of_refused_clients_does_not_flood_the_access_log() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let one = setup(&echo, "access: all").runtime("workers: 1, drain_timeout: 5s");
    let lb = Lb::start(&log.with_all(one.access("all", "rules: [{ deny: 127.10.0.0/16 }]")));
    for _ in 0..2_000 {
        assert!(is_reset(ONE));
    }
    let refused = "rondel_listener_connections_closed_total{listener=\"web\",reason=\"denied\"}";
    eventually("all are refused", || log.metric(refused) == 2_000);
    let left_out = log.metric("rondel_access_log_lines_total{result=\"left_out\"}");
    assert!(left_out > 0);
    eventually("the others are in the log", || log.lines().len() as u64 == 2_000 - left_out);
    // A line of another client is written in the flood too.
    let mut client = lb.connect();
    client.echoes(b"x");
    client.finish().rest();
    eventually("it is in the log", || log.lines().len() as u64 == 2_001 - left_out);
    lb.end();
}
