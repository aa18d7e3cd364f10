//! Clients that are routed by what their first bytes ask for.

use std::num::NonZeroU32;
use std::time::Duration;

use config::{
    Config, HeaderVersions, Opening, Others, Proxies, ProxyProtocol, Route, Routing, ServerName, Silent,
    Takes, Unknown,
};
use connection::CloseReason;
use preface::{Ends, Written};
use sim::{Read, hello};
use worker::StateView;

use crate::balancer::Balancer;

const OPENING: Opening = Opening { timeout: Duration::from_secs(5), connections_max: 100 };

fn names(names: &[&str]) -> Takes {
    let name = |name: &&str| match name.strip_prefix("*.") {
        Some(parent) => ServerName::Wildcard(parent.to_owned()),
        None => ServerName::Exact((*name).to_owned()),
    };
    Takes::Hello { names: names.iter().map(name).collect(), protocols: Vec::new() }
}

/// A listener whose own pool is `tcp`, with a route to each of the pools `route 0`, `route 1` and so on, each of one
/// backend.
fn routed(takes: Vec<Takes>, unknown: Unknown, silent: Silent) -> Balancer {
    let mut balancer = Balancer::new(|config| config.listeners[0].opening = OPENING);
    let like = balancer.config.pools[0].clone();
    let mut routes = Vec::new();
    for (number, takes) in takes.into_iter().enumerate() {
        let name = format!("route {number}");
        let mut pool = like.clone();
        pool.name.clone_from(&name);
        pool.backends[0].address = balancer.stage.serving();
        balancer.config.pools.push(pool);
        routes.push(Route { name, takes, pool: config::PoolIndex(number + 1) });
    }
    balancer.config.listeners[0].routing = Routing { routes, unknown, silent };
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    balancer
}

fn by_name() -> Balancer {
    routed(vec![names(&["a.x"]), names(&["*.y"])], Unknown::Pool, Silent::Refuse)
}

/// How many connections each pool with any has had.
fn connected(balancer: &Balancer) -> Vec<(String, u64)> {
    let table = balancer.published.load_full();
    let of = |pool: &std::sync::Arc<table::Pool>| {
        let backends = pool.backends.iter().map(|backend| backend.counters.of(0).connected.get());
        (pool.name.clone(), backends.sum())
    };
    table.pools.iter().map(of).filter(|(_, connected)| *connected > 0).collect()
}

fn taken(balancer: &Balancer, route: &str) -> u64 {
    let listener = balancer.listener();
    let found = listener.routes.as_ref().unwrap().iter().find(|found| found.name == route);
    found.unwrap_or_else(|| panic!("no route {route}")).taken.of(0).get()
}

#[track_caller]
fn goes_to(mut balancer: Balancer, bytes: &[u8], pool: &str) {
    let mut client = balancer.client();
    balancer.hears(&mut client, bytes);
    let mut backend = balancer.next_backend();
    assert_eq!(connected(&balancer), [(pool.to_owned(), 1)]);
    let length = u32::try_from(bytes.len()).unwrap();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(length), "the bytes are untouched");
}

#[track_caller]
fn is_refused(mut balancer: Balancer, bytes: &[u8], finishes: bool, reason: CloseReason) {
    let mut client = balancer.client();
    if !bytes.is_empty() {
        balancer.hears(&mut client, bytes);
    }
    if finishes {
        client.finish();
        balancer.turn_while_there_is_something();
    }
    assert_eq!(balancer.ended(), [(reason, 1)], "{}", bytes.escape_ascii());
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert!(balancer.stage.accepted().is_none(), "a backend was contacted");
    assert_eq!(balancer.listener().opening_semaphore.active(), 0);
}

#[test]
fn no_backend_is_contacted_before_the_hello_is_whole() {
    for record_bytes in [16_384, 1, 13] {
        let bytes = hello(Some("a.x"), &["h2"], record_bytes);
        for cut in (0..bytes.len()).filter(|cut| record_bytes > 1 || cut % 7 == 0) {
            let mut balancer = by_name();
            let mut client = balancer.client();
            if cut > 0 {
                balancer.hears(&mut client, &bytes[..cut]);
            }
            let view = balancer.worker.inspect().connections[0];
            assert_eq!(view.state, StateView::Opening, "after {cut} bytes");
            assert!(balancer.stage.accepted().is_none());
            balancer.hears(&mut client, &bytes[cut..]);
            let mut backend = balancer.next_backend();
            assert_eq!(connected(&balancer), [("route 0".to_owned(), 1)], "after {cut} bytes");
            let length = u32::try_from(bytes.len()).unwrap();
            assert_eq!(balancer.read(&mut backend), Read::Bytes(length));
            // A single byte arrives, so no mark is left that more must reach.
            client.send(1);
            balancer.turn_while_there_is_something();
            assert_eq!(balancer.read(&mut backend), Read::Bytes(1), "after {cut} bytes");
            backend.send(1);
            balancer.turn_while_there_is_something();
            assert_eq!(balancer.read(&mut client), Read::Bytes(1));
        }
    }
}

#[test]
fn each_name_goes_to_its_pool() {
    goes_to(by_name(), &hello(Some("a.x"), &[], 16_384), "route 0");
    goes_to(by_name(), &hello(Some("A.X."), &["h2"], 16_384), "route 0");
    goes_to(by_name(), &hello(Some("z.y"), &[], 3), "route 1");
    goes_to(by_name(), &hello(Some("z.z.y"), &[], 16_384), "tcp");
    goes_to(by_name(), &hello(Some("b.x"), &[], 16_384), "tcp");
    goes_to(by_name(), &hello(None, &[], 16_384), "tcp");
    let by_protocol = || {
        let takes = Takes::Hello { names: Vec::new(), protocols: vec!["acme-tls/1".to_owned()] };
        routed(vec![takes, names(&["a.x"])], Unknown::Refuse, Silent::Refuse)
    };
    goes_to(by_protocol(), &hello(Some("a.x"), &["acme-tls/1"], 16_384), "route 0");
    goes_to(by_protocol(), &hello(Some("a.x"), &["h2"], 16_384), "route 1");
    is_refused(by_protocol(), &hello(Some("b.x"), &["h2"], 16_384), false, CloseReason::NoRoute);
    is_refused(by_protocol(), &hello(None, &[], 1), false, CloseReason::NoRoute);
}

#[test]
fn what_is_not_tls_has_its_own_route_or_none() {
    let with = || routed(vec![names(&["a.x"]), Takes::NotTls], Unknown::Refuse, Silent::Refuse);
    for bytes in [&b"SSH-2.0-x\r\n"[..], b"G", b"\x16\x02"] {
        goes_to(with(), bytes, "route 1");
        is_refused(by_name(), bytes, false, CloseReason::HelloInvalid);
    }
}

/// Whatever the default pool allows, a spoiled hello does not get there.
#[test]
fn a_hello_that_is_not_understood_is_never_one_without_a_name() {
    let whole = hello(Some("a.x"), &["h2"], 16_384);
    let at = whole.windows(3).position(|bytes| bytes == b"a.x").unwrap();
    let mut of_two_lengths = whole.clone();
    of_two_lengths[at - 1] += 1;
    let mut with_nul = whole.clone();
    with_nul[at + 1] = 0;
    let mut other_message = whole.clone();
    other_message[5] = 2;
    let other_record = [&whole[..3], &[0, 9], &whole[5..14], &[21, 3, 1, 0, 2, 2, 40]].concat();
    for bytes in [&of_two_lengths[..], &with_nul, &other_message, &other_record, b"\x16\x03\x01\0\0"] {
        let pools = || {
            let takes = vec![names(&["a.x"]), Takes::NotTls];
            routed(takes, Unknown::Pool, Silent::Pool)
        };
        is_refused(pools(), bytes, false, CloseReason::HelloInvalid);
    }
    is_refused(by_name(), &whole[..whole.len() - 1], true, CloseReason::HelloInvalid);
    is_refused(by_name(), b"", true, CloseReason::HelloInvalid);
}

#[test]
fn a_byte_does_not_move_the_deadline_of_a_hello() {
    let mut balancer = by_name();
    let mut client = balancer.client();
    for byte in &hello(Some("a.x"), &[], 16_384)[..4] {
        balancer.stage.pass(Duration::from_secs(1));
        balancer.hears(&mut client, &[*byte]);
    }
    assert_eq!(balancer.ended(), []);
    balancer.pass(Duration::from_millis(1_020));
    assert_eq!(balancer.ended(), [(CloseReason::OpeningTimedOut, 1)]);
    assert_eq!(balancer.read(&mut client), Read::Reset);
}

#[test]
fn a_client_that_says_nothing_goes_where_the_listener_says() {
    for silent in [Silent::Refuse, Silent::Pool] {
        let mut balancer = routed(vec![names(&["a.x"])], Unknown::Refuse, silent);
        let mut client = balancer.client();
        balancer.stage.pass(Duration::from_millis(4_900));
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), []);
        assert!(balancer.stage.accepted().is_none());
        balancer.pass(Duration::from_millis(200));
        if silent == Silent::Refuse {
            assert_eq!(balancer.ended(), [(CloseReason::OpeningTimedOut, 1)]);
            assert_eq!(balancer.read(&mut client), Read::Reset);
            continue;
        }
        let mut backend = balancer.next_backend();
        assert_eq!((connected(&balancer), taken(&balancer, "silent")), (vec![("tcp".to_owned(), 1)], 1));
        // The server speaks first.
        backend.send(9);
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.read(&mut client), Read::Bytes(9));
        client.send(5);
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.read(&mut backend), Read::Bytes(5));
    }
}

#[test]
fn a_client_that_ends_without_a_byte_does_not_wait_for_its_time() {
    let mut balancer = routed(vec![names(&["a.x"])], Unknown::Refuse, Silent::Pool);
    let mut client = balancer.client();
    client.finish();
    balancer.turn_while_there_is_something();
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Fin);
    backend.send(3);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut client), Read::Bytes(3));
}

#[test]
fn a_client_that_has_said_something_is_not_silent() {
    let mut balancer = routed(vec![names(&["a.x"])], Unknown::Pool, Silent::Pool);
    let mut client = balancer.client();
    balancer.hears(&mut client, b"\x16");
    balancer.pass(Duration::from_millis(5_100));
    assert_eq!(balancer.ended(), [(CloseReason::OpeningTimedOut, 1)]);
}

#[test]
fn the_next_backend_gets_the_same_hello() {
    let mut balancer = by_name();
    let mut refusing = balancer.config.pools[1].backends[0].clone();
    refusing.address = balancer.stage.refusing();
    balancer.config.pools[1].backends.insert(0, refusing);
    balancer.reload(&[]);
    let bytes = hello(Some("a.x"), &[], 16_384);
    for _ in 0..2 {
        let mut client = balancer.client();
        balancer.hears(&mut client, &bytes);
        let mut backend = balancer.next_backend();
        assert_eq!(balancer.read(&mut backend), Read::Bytes(u32::try_from(bytes.len()).unwrap()));
    }
    let pool = balancer.published.load_full();
    let retried = pool.pool("route 0").unwrap().backends[0].counters.of(0).retried.get();
    assert!(retried > 0, "none was refused");
}

#[test]
fn a_hello_follows_a_header_under_the_same_deadline() {
    let behind_a_proxy = || {
        let mut balancer = by_name();
        let versions = HeaderVersions { v1: true, v2: true };
        let proxy_protocol = ProxyProtocol { from: Proxies::Any, others: Others::Refuse, versions };
        balancer.config.listeners[0].proxy_protocol = Some(proxy_protocol);
        balancer.reload(&[]);
        balancer.turn_while_there_is_something();
        balancer
    };
    let ends = Ends::new("192.0.2.1:56324".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
    let (header, bytes) = (Written::v1(&ends), hello(Some("z.y"), &["h2"], 5));
    let length = u32::try_from(bytes.len()).unwrap();
    for cut in [header.as_bytes().len(), header.as_bytes().len() + 20, 10] {
        let mut balancer = behind_a_proxy();
        let mut client = balancer.client();
        let all = [header.as_bytes(), &bytes].concat();
        balancer.hears(&mut client, &all[..cut]);
        balancer.stage.pass(Duration::from_secs(4));
        assert!(balancer.stage.accepted().is_none());
        balancer.hears(&mut client, &all[cut..]);
        let mut backend = balancer.next_backend();
        assert_eq!(connected(&balancer), [("route 1".to_owned(), 1)]);
        assert_eq!(balancer.read(&mut backend), Read::Bytes(length), "the hello, without the header");
    }
    let mut balancer = behind_a_proxy();
    let mut client = balancer.client();
    balancer.stage.pass(Duration::from_secs(4));
    balancer.hears(&mut client, header.as_bytes());
    balancer.pass(Duration::from_millis(1_100));
    assert_eq!(balancer.ended(), [(CloseReason::OpeningTimedOut, 1)]);
}

#[test]
fn a_client_that_waits_is_routed_again_by_another_table() {
    let waiting = || {
        let mut balancer = by_name();
        balancer.config.pools[1].backends[0].connections_max = NonZeroU32::new(1);
        balancer.config.pools[1].queue.timeout = Duration::from_secs(60);
        balancer.reload(&[]);
        balancer.turn_while_there_is_something();
        let bytes = hello(Some("a.x"), &[], 16_384);
        let mut first = balancer.client();
        balancer.hears(&mut first, &bytes);
        let mut first_backend = balancer.next_backend();
        let length = u32::try_from(bytes.len()).unwrap();
        assert_eq!(balancer.read(&mut first_backend), Read::Bytes(length));
        let mut second = balancer.client();
        balancer.hears(&mut second, &bytes);
        let view = balancer.worker.inspect();
        assert!(matches!(view.connections[1].state, StateView::Waiting { .. }));
        (balancer, (first, first_backend), second)
    };
    // Its name has another pool.
    let (mut balancer, first, second) = waiting();
    balancer.config.listeners[0].routing.routes[0].pool = config::PoolIndex(2);
    balancer.reload(&[]);
    let mut backend = balancer.next_backend();
    assert!(matches!(balancer.read(&mut backend), Read::Bytes(_)), "it has its hello");
    assert_eq!(connected(&balancer), [("route 0".to_owned(), 1), ("route 1".to_owned(), 1)]);
    assert_eq!(taken(&balancer, "route 0"), 2, "a connection counts once");
    drop((first, second));
    // Its name has none any more.
    let (mut balancer, first, mut second) = waiting();
    balancer.config.listeners[0].routing.routes.remove(0);
    balancer.config.listeners[0].routing.unknown = Unknown::Refuse;
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::NoRoute, 1)]);
    assert_eq!(balancer.read(&mut second), Read::Reset);
    // There are no routes any more: all go to the pool of the listener.
    drop(first);
    let (mut balancer, _first, _second) = waiting();
    balancer.config.listeners[0].routing.routes.clear();
    balancer.reload(&[]);
    balancer.next_backend();
    assert_eq!(connected(&balancer), [("tcp".to_owned(), 1), ("route 0".to_owned(), 1)]);
}

#[test]
fn a_hello_in_many_records_takes_few_wake_ups_and_too_many_are_refused() {
    let name = format!("{}.y", "n".repeat(250));
    let mut balancer = by_name();
    let mut client = balancer.client();
    // One byte after the other.
    for byte in hello(Some(&name), &["h2"; 100], 1) {
        balancer.hears(&mut client, &[byte]);
    }
    balancer.next_backend();
    assert_eq!(connected(&balancer), [("route 1".to_owned(), 1)]);
    let mut balancer = by_name();
    let mut client = balancer.client();
    let bytes = hello(Some("a.x"), &vec!["protocol"; 1_500], 1);
    for part in bytes.chunks(7_000) {
        if balancer.ended().is_empty() {
            balancer.hears(&mut client, part);
        }
    }
    assert_eq!(balancer.ended(), [(CloseReason::HelloInvalid, 1)], "it is more than 64 KiB");
}

#[test]
fn the_record_has_the_route_and_what_was_asked_for() {
    let with_log = |config: &mut Config| {
        config.access_log = Some(config::AccessLog {
            to: config::LogTarget::Stderr,
            facility: config::Facility::Local0,
            fields: None,
            format: config::LogFormat::Json,
            skip_empty: false,
        });
    };
    let mut balancer = by_name();
    with_log(&mut balancer.config);
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let mut client = balancer.client();
    balancer.pass(Duration::from_millis(300));
    balancer.hears(&mut client, &hello(Some("A.x"), &["h2", "http/1.1"], 16_384));
    balancer.next_backend();
    client.reset();
    balancer.turn_while_there_is_something();
    let record = balancer.records.take().unwrap();
    let introduction = record.introduction.unwrap();
    assert_eq!(introduction.route.unwrap().name, "route 0");
    let asked = introduction.asked.unwrap();
    assert_eq!(asked.shown_name(), Some("a.x"));
    assert_eq!(asked.shown_protocols().as_deref(), Some("h2,http/1.1"));
    assert!(Duration::from(introduction.opening.unwrap()) >= Duration::from_millis(300));
    assert_eq!((taken(&balancer, "route 0"), taken(&balancer, "unknown")), (1, 0));
}
