//! Routes by name and protocol: clients of OpenSSL and curl reach the server that they ask for, whose certificate they
//! see; what is not TLS, not understood or not said goes where the listener says.

mod programs;
mod tls;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::tls::{Server, fragmenting, handshake, hello, page};
use crate::access_log::AccessLog;
use crate::lb::{Lb, all_closes, rondel};
use crate::peers::{Backend, Client, End, Peer, refusing};
use crate::place::{Folder, PATIENCE, address, eventually, holds_within};
use crate::setup::{PORT, Setup, Target};

/// A listener with these routes and other settings, whose own pool is `web`; a pool of each target's name.
fn setup(routes: &str, settings: &str, targets: &[Target]) -> Setup {
    let setup =
        Setup::empty().listen("web", address(PORT), "web", &format!("routes: [{routes}], {settings}"));
    let pools = targets.iter().map(|target| (target.name.clone(), target));
    pools.fold(setup, |setup, (name, target)| setup.pool(&name, "", [target]))
}

/// Sends a hello, and returns the name of the backend, which sends the hello back.
#[track_caller]
fn asks(client: &mut Client, hello: &[u8]) -> String {
    client.send(hello);
    let name = client.line();
    assert_eq!(client.receive(hello.len()), hello, "the bytes are untouched");
    name
}

#[track_caller]
fn reaches(lb: &Lb, hello: &[u8]) -> String {
    let mut client = lb.connect();
    let name = asks(&mut client, hello);
    client.echoes(b"and on");
    name
}

#[test]
fn each_name_reaches_its_server_and_sees_its_certificate() {
    let servers =
        [("one", 9001), ("two", 9002), ("web", 9003)].map(|(name, port)| Server::openssl(name, port));
    let nginx = Server::nginx("three", 9004);
    let targets: Vec<_> = servers.iter().chain([&nginx]).map(Server::target).collect();
    let log = AccessLog::new();
    let routes = "{ sni: [one.example], pool: one }, { sni: [\"*.two.example\"], pool: two }, \
                  { sni: [three.example], alpn: [http/1.1], pool: three }";
    let lb = Lb::start(&log.with_all(setup(routes, "", &targets)));
    for (name, alpn, certificate) in [
        ("one.example", "", "one"),
        ("ONE.example", "", "one"),
        ("a.two.example", "h2", "two"),
        ("two.example", "", "web"),
        ("a.b.two.example", "", "web"),
        ("three.example", "http/1.1,h2", "three"),
        ("three.example", "h2", "web"),
        ("unknown.example", "", "web"),
        ("", "", "web"),
    ] {
        let said = handshake(lb.address(), name, alpn);
        assert!(said.contains(&format!("CN = {certificate}")), "{name} {alpn}: {said}");
    }
    // With what follows the handshake.
    assert!(page(lb.address(), "one.example").contains("s_server"), "a page of OpenSSL");
    assert_eq!(page(lb.address(), "three.example"), "three");
    eventually("all are logged", || log.lines().len() == 11);
    let lines = log.lines();
    let line = lines.iter().find(|line| line.contains("\"sni\":\"a.two.example\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["route"], &line["alpn"]), (&"*.two.example".into(), &"h2".into()));
    let taken = |route: &str| {
        log.metric(&format!("rondel_listener_routed_total{{listener=\"web\",route=\"{route}\"}}"))
    };
    let counts = ["one.example", "*.two.example", "three.example/http/1.1", "unknown"].map(taken);
    assert_eq!(counts, [3, 1, 2, 5]);
    lb.end();
}

/// With 1-byte records in 1-byte segments a real handshake comes about as with any others.
#[test]
fn a_hello_in_one_byte_records_and_segments_is_served() {
    let (one, web) = (Server::openssl("one", 9001), Server::openssl("web", 9002));
    let routes = "{ sni: [one.example], pool: one }";
    let lb = Lb::start(&setup(routes, "", &[one.target(), web.target()]));
    let shim = fragmenting(8200, lb.address());
    let said = handshake(shim, "one.example", "h2");
    assert!(said.contains("CN = one") && said.contains("Verification"), "{said}");
    lb.end();
}

#[test]
fn a_hello_is_routed_wherever_it_is_cut() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let lb = Lb::start(&setup("{ sni: [a.example], pool: a }", "", &[a.target(), web.target()]));
    // One with a post-quantum share is longer than a segment.
    for (hello, step) in
        [(hello("a.example", &["h2"], 0, 16_384), 1), (hello("a.example", &[], 1_300, 900), 97)]
    {
        for cut in (0..hello.len()).step_by(step) {
            let mut client = lb.connect();
            client.send(&hello[..cut]).send(&hello[cut..]);
            assert_eq!(client.line(), "a", "cut after {cut} bytes");
            assert_eq!(client.receive(hello.len()), hello);
        }
        let mut client = lb.connect();
        for byte in &hello {
            client.send(&[*byte]);
        }
        assert_eq!(client.line(), "a", "byte by byte");
        // With all that follows, and the end.
        let mut client = lb.connect();
        client.send(&[&hello[..], b"more"].concat()).finish();
        assert_eq!(client.rest(), [b"a\n", &hello[..], b"more"].concat());
    }
    assert_eq!(web.accepted(), 0);
    lb.end();
}

#[test]
fn what_is_not_tls_goes_to_its_route_at_once() {
    let (ssh, web) = (Backend::named("ssh", 9001), Backend::named("web", 9002));
    let targets = [ssh.target(), web.target()];
    let lb = Lb::start(&setup("{ tls: none, pool: ssh }", "", &targets));
    assert_eq!(reaches(&lb, b"SSH-2.0-OpenSSH_9.2p1\r\n"), "ssh");
    assert_eq!(reaches(&lb, b"G"), "ssh");
    assert_eq!(reaches(&lb, &hello("a.example", &[], 0, 16_384)), "web");
    lb.end();
    let lb = Lb::start(&setup("{ sni: [a.example], pool: ssh }", "", &targets));
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01\x03\x01",
        b"\x15\x03\x01\0\x02\x02\x28",
    ] {
        assert_eq!(lb.connect().send(bytes).end(), End::Reset);
    }
    assert_eq!(all_closes(&lb.end()).get("hello_invalid"), Some(&4));
}

#[test]
fn a_client_that_waits_for_the_server_reaches_it_after_its_time() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let targets = [a.target(), web.target()];
    let settings = "opening: { timeout: 500ms }, silent: pool";
    let lb = Lb::start(&setup("{ sni: [a.example], pool: a }", settings, &targets));
    let begun = Instant::now();
    let mut client = lb.connect();
    assert_eq!(client.line(), "web");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    client.echoes(b"late, and not examined");
    drop(client);
    // One that ends without a byte does not wait.
    let mut client = lb.connect();
    client.finish();
    assert_eq!(client.rest(), b"web\n");
    drop(client);
    // One that has begun to speak is not silent.
    assert_eq!(lb.connect().send(b"\x16\x03").end(), End::Reset);
    assert_eq!(all_closes(&lb.end()).get("opening_timed_out"), Some(&1));
}

/// A hello that is spoiled never reaches the pool for hellos without a name.
#[test]
fn a_spoiled_hello_is_refused_and_logged() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let log = AccessLog::new();
    let routes = "{ sni: [a.example], pool: a }, { tls: none, pool: a }";
    let settings = "silent: pool";
    let lb = Lb::start(&log.with_all(setup(routes, settings, &[a.target(), web.target()])));
    let whole = hello("a.example", &["h2"], 0, 16_384);
    let mut with_nul = whole.clone();
    let name = whole.windows(9).position(|bytes| bytes == b"a.example").unwrap();
    with_nul[name + 1] = 0;
    let mut longer = whole.clone();
    longer[name - 1] += 1;
    let huge = hello("a.example", &[], 16_384, 16_384);
    for bytes in [&with_nul[..], &longer, &huge, b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\x05\x02\0\0\x01\0"] {
        assert_eq!(lb.connect().send(bytes).end(), End::Reset);
    }
    assert_eq!(lb.connect().send(&whole[..whole.len() - 1]).finish().end(), End::Reset);
    assert_eq!((a.accepted(), web.accepted()), (0, 0));
    eventually("all are logged", || log.lines().len() == 6);
    for line in log.lines() {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["termination"]["code"], "PR", "{line}");
        assert_eq!(line["termination"]["reason"], "hello_invalid", "{line}");
        assert!(line.get("route").is_none() && line.get("sni").is_none(), "{line}");
    }
    lb.end();
}

#[test]
fn a_name_that_no_route_has_is_refused_if_the_listener_says_so() {
    let a = Backend::named("a", 9001);
    let log = AccessLog::new();
    let setup = setup("{ sni: [a.example], pool: web }", "unknown: refuse", &[a.target().named("web")]);
    let lb = Lb::start(&log.with_all(setup));
    assert_eq!(reaches(&lb, &hello("a.example", &[], 0, 16_384)), "a");
    let endless = "n".repeat(200) + ".example";
    for name in ["b.example", "", &endless] {
        assert_eq!(lb.connect().send(&hello(name, &["h2"], 0, 16_384)).end(), End::Reset);
    }
    let mut refused: Vec<Value> = Vec::new();
    eventually("all are logged", || {
        let lines = log.lines();
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        refused = lines.filter(|line| line["termination"]["reason"] == "no_route").collect();
        refused.len() == 3
    });
    let mut names: Vec<_> = refused.iter().map(|line| line["sni"].as_str().map(str::len)).collect();
    names.sort_unstable();
    assert_eq!(names, [None, Some(9), Some(64)], "a name is cut, and none is absent");
    assert!(refused.iter().all(|line| line["alpn"] == "h2" && line["termination"]["code"] == "PR"));
    lb.end();
}

#[test]
fn the_second_attempt_sends_the_same_hello() {
    let a = Backend::named("a", 9002);
    let setup = Setup::empty()
        .listen("web", address(PORT), "web", "routes: [{ sni: [a.example], pool: web }]")
        .pool("web", "eject: off", &[refusing("refusing", 9001), a.target()]);
    let lb = Lb::start(&setup);
    for _ in 0..4 {
        assert_eq!(reaches(&lb, &hello("a.example", &[], 1_300, 16_384)), "a");
    }
    lb.end();
}

#[test]
fn a_hello_follows_a_header() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let log = AccessLog::new();
    let settings = "proxy_protocol: { from: [\"127.0.0.0/8\"] }";
    let routes = "{ sni: [a.example], pool: a }";
    let lb = Lb::start(&log.with_all(setup(routes, settings, &[a.target(), web.target()])));
    let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    let hello = hello("a.example", &["h2"], 0, 16_384);
    let all = [&header[..], &hello].concat();
    for cut in [0, 10, header.len(), header.len() + 1, header.len() + 40] {
        let mut client = lb.connect();
        client.send(&all[..cut]).send(&all[cut..]);
        assert_eq!(client.line(), "a");
        assert_eq!(client.receive(hello.len()), hello, "the hello, without the header");
        client.finish();
        client.rest();
    }
    eventually("all are logged", || log.lines().len() == 5);
    for line in log.lines() {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["client"], &line["route"]), (&"192.0.2.1:56324".into(), &"a.example".into()));
    }
    lb.end();
}

#[test]
fn a_reload_changes_routes_for_new_connections() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let targets = [a.target(), b.target()];
    let lb = Lb::start(&setup("{ sni: [x.example], pool: a }", "", &targets));
    let hello = hello("x.example", &[], 0, 16_384);
    let mut before = lb.connect();
    assert_eq!(asks(&mut before, &hello), "a");
    let reloaded =
        lb.reload(&setup("{ sni: [x.example], pool: web }, { alpn: [h2], pool: a }", "", &targets));
    lb.wait_for("~ listener web: pool of x.example a -> web, + route h2 -> a", reloaded);
    assert_eq!(reaches(&lb, &hello), "web");
    before.echoes(b"as before");
    // Without routes nothing is waited for.
    lb.reload(&setup("", "", &targets).without_listeners().listen("web", address(PORT), "web", ""));
    assert_eq!(lb.connect().line(), "web");
    before.echoes(b"still as before");
    drop(before);
    lb.end();
}

/// A deadline that a byte moved would never be over.
#[test]
fn three_thousand_silent_and_slow_clients_are_gone_at_the_deadline() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let settings = "opening: { timeout: 1s, connections: 4000 }";
    let targets = [a.target(), web.target()];
    let lb = Lb::start(&setup("{ sni: [a.example], pool: a }", settings, &targets));
    let hello = hello("a.example", &[], 0, 16_384);
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..3000).map(|_| lb.connect()).collect();
    for byte in &hello[..8] {
        for client in clients.iter_mut().step_by(3) {
            // It may be over already.
            let _ = std::io::Write::write_all(&mut client.0, &[*byte]);
        }
        assert_eq!(reaches(&lb, &hello), "a", "served meanwhile");
    }
    for client in &mut clients {
        assert!(client.wait_cut());
    }
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!((a.accepted(), web.accepted()), (8, 0), "a backend saw a client that did not show itself");
    assert_eq!(all_closes(&lb.end()).get("opening_timed_out"), Some(&3000));
}

#[test]
fn commands_know_routes() {
    let (a, web) = (Backend::named("a", 9001), Backend::named("web", 9002));
    let log = AccessLog::new();
    let routes = "{ sni: [a.example], pool: a }, { name: acme, alpn: [acme-tls/1], pool: web }";
    let setup = setup(routes, "unknown: refuse", &[a.target(), web.target()]);
    let lb = Lb::start(&log.with_all(setup.clone()));
    let route = |words: &[&str]| {
        let line = [&["route", "192.0.2.7", "web"], words].concat();
        log.rondel_with(&line)
    };
    assert!(route(&["--sni", "A.example."]).starts_with("192.0.2.7 at web by route a.example, pool a, "));
    assert!(route(&["--sni", "b.example", "--alpn", "acme-tls/1"]).contains("by route acme, pool web"));
    let refused = route(&["--sni", "b.example", "--alpn", "h2"]);
    assert!(
        refused.contains("no route takes the name b.example") && refused.contains("no_route"),
        "{refused}"
    );
    assert!(route(&["--no-tls"]).contains("hello_invalid"));
    let mut client = lb.connect();
    assert_eq!(asks(&mut client, &hello("a.example", &[], 0, 16_384)), "a");
    let listed = log.rondel(["connections", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["connections"][0]["route"], "a.example");
    assert_eq!(listed["connections"][0]["sni"], "a.example");
    assert!(log.rondel(["status"]).contains("-> pools web, a"), "{}", log.rondel(["status"]));
    assert!(log.rondel(["health", "--listener", "web"]).contains("2 of 2 pools take connections"));
    drop(client);
    lb.end();
    // A route that never matches is warned of.
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    let covered = "{ sni: [\"*.example\"], pool: a }, { sni: [a.example], pool: web }";
    std::fs::write(&file, self::setup(covered, "", &[a.target(), web.target()]).to_string()).unwrap();
    let said = rondel(["check", file.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(
        said.text.contains("`a.example` can never match: the route *.example before it"),
        "{}",
        said.text
    );
}

/// What a client that was taken for a silent one says later is not held back.
#[test]
fn a_silent_client_that_speaks_later_is_heard_at_once() {
    let web = Backend::echo(9001);
    let settings = "opening: { timeout: 300ms }, silent: pool";
    let setup = setup("{ sni: [a.example], pool: web }", settings, &[web.target().named("web")]);
    let lb = Lb::start(&setup);
    let mut client: Peer = lb.connect();
    assert!(holds_within(PATIENCE, || web.accepted() == 1));
    client.echoes(b"x");
    client.echoes(&vec![b'y'; 100_000]);
    drop(client);
    lb.end();
}
