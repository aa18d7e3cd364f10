//! Denials, allowances, and their ends.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Gets, connected, from, is_reset};
use crate::admin::Admin;
use crate::completions::print;
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::{Folder, PATIENCE};
use crate::setup::Setup;

/// A balancer with one backend, and its admin interface.
fn start(change: impl FnOnce(Setup) -> Setup) -> (Backend, Admin, Lb, Setup) {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let setup = change(admin.of(Setup::to(&[backend.target()])));
    let lb = Lb::start(&setup);
    (backend, admin, lb, setup)
}

/// The first listener with an access list that denies 127.0.0.8/29.
fn with_list(setup: Setup) -> Setup {
    let setup = setup.access("internet", "rules: [{ deny: [127.0.0.8/29] }]");
    let at = crate::place::address(crate::setup::PORT);
    setup.without_listeners().listen("web", at, "web", "access: internet")
}

#[test]
fn a_denial_without_any_list_refuses_at_once_and_survives_a_reload() {
    let (_backend, admin, lb, setup) = start(|setup| setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    let said = admin.done("deny 127.0.0.9 --why scans");
    assert!(said.contains("127.0.0.9 is denied without an end"), "{said}");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    assert_eq!(from(&lb, "127.0.0.10"), Gets::Service);
    lb.reload(&setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    assert_eq!(crate::lb::closes(&lb.end(), "denied"), 2);
}

#[test]
fn a_denial_with_a_time_ends_by_itself_and_its_end_is_an_event() {
    let (_backend, admin, lb, _setup) = start(|setup| setup);
    let said = admin.done("deny 127.0.0.8/29 --for 1s");
    assert!(said.contains("127.0.0.8/29 is denied for 1s"), "{said}");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    lb.wait_for("denial of 127.0.0.8/29 ended", 0);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    let events = admin.done("events --json");
    assert_eq!(events.matches(r#""kind":"access""#).count(), 2, "{events}");
    assert!(events.contains("deny 127.0.0.8/29 --for 1s"), "{events}");
}

#[test]
fn a_denial_that_closes_ends_established_connections_of_its_addresses_alone() {
    let (_backend, admin, lb, _setup) = start(|setup| setup);
    let mut denied = connected(&lb, "127.0.0.9");
    let mut allowed = connected(&lb, "127.0.0.10");
    let mut other = connected(&lb, "127.0.0.99");
    admin.done("deny 127.0.0.9");
    denied.echoes(b"a denial alone closes nothing");
    admin.done("forget 127.0.0.9");

    admin.done("allow 127.0.0.10");
    let said = admin.done("deny 127.0.0.8/29 --close");
    assert!(
        said.contains("of it, 127.0.0.10 stays allowed") && said.contains("1 connection closed"),
        "{said}"
    );
    is_reset(&mut denied);
    allowed.echoes(b"an exception");
    other.echoes(b"another address");
    drop((allowed, other));
    assert_eq!(crate::lb::closes(&lb.end(), "closed_by_operator"), 1);
}

#[test]
fn a_denial_of_one_list_closes_and_refuses_at_its_listeners_alone() {
    let open = crate::place::address(8081);
    let (_backend, admin, lb, _setup) = start(|setup| with_list(setup).listen("open", open, "web", ""));
    let mut listed = connected(&lb, "127.0.0.99");
    let mut unlisted = crate::peers::Client::connect_from([127, 0, 0, 99].into(), open).unwrap();
    unlisted.line();
    let said = admin.done("deny 127.0.0.99 --list internet --close");
    assert!(said.contains("127.0.0.99 in access list internet is denied"), "{said}");
    assert!(said.contains("1 connection closed"), "{said}");
    is_reset(&mut listed);
    unlisted.echoes(b"without a list");
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Reset);
    let mut unlisted = crate::peers::Client::connect_from([127, 0, 0, 99].into(), open).unwrap();
    assert_eq!(unlisted.line(), "a");
}

#[test]
fn connections_of_a_prefix_are_listed_and_closed() {
    let (_backend, admin, lb, _setup) = start(|setup| setup);
    let mut first = connected(&lb, "127.0.0.9");
    let mut second = connected(&lb, "127.0.0.10");
    let mut other = connected(&lb, "127.0.0.99");
    assert_eq!(admin.done("connections --client 127.0.0.8/29").lines().count(), 3);
    let said = admin.done("close --client 127.0.0.8/29");
    assert!(said.contains("2 connections were closed"), "{said}");
    is_reset(&mut first);
    is_reset(&mut second);
    other.echoes(b"another address");
}

#[test]
fn what_is_allowed_goes_before_files_and_denials() {
    let (_backend, admin, lb, _setup) = start(with_list);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    admin.done("allow 127.0.0.8/30");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    assert_eq!(from(&lb, "127.0.0.13"), Gets::Reset);

    let refused = admin.refused("deny 127.0.0.9");
    assert!(refused.contains("127.0.0.9 is within 127.0.0.8/30, which is allowed"), "{refused}");
    let refused = admin.refused("deny 127.0.0.9 --list internet");
    assert!(refused.contains("127.0.0.8/30, which is allowed"), "{refused}");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    // A wider denial leaves it as an exception.
    admin.done("deny 127.0.0.0/26");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    assert_eq!(from(&lb, "127.0.0.33"), Gets::Reset);
}

#[test]
fn what_was_said_is_taken_back_and_the_same_again_changes_nothing() {
    let (_backend, admin, lb, _setup) = start(with_list);
    admin.done("deny 127.0.0.99");
    let again = admin.done("deny 127.0.0.99");
    assert!(again.contains("127.0.0.99 is denied already: nothing changed"), "{again}");
    let other = admin.done("deny 127.0.0.99 --for 1h");
    assert!(other.contains("is denied for 1h; before, it was denied without an end"), "{other}");
    let said = admin.done("forget 127.0.0.99 --list internet");
    assert!(said.contains("nothing is said about 127.0.0.99 in access list internet"), "{said}");
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Reset);
    assert!(admin.done("forget 127.0.0.99").contains("127.0.0.99 is no longer denied"));
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Service);

    let refused = admin.refused("deny 127.0.0.99 --list internal");
    assert!(refused.contains("there is no access list internal; did you mean `internet`?"), "{refused}");
    let refused = admin.refused("deny 0.0.0.0/0");
    assert!(refused.contains("every address") && refused.contains("--yes"), "{refused}");
    let wrong = admin.rondel("deny 127.0.0.9/24");
    assert!(wrong.code == 2 && wrong.text.contains("127.0.0.0/24"), "{}", wrong.text);
    admin.done("deny 0.0.0.0/0 --yes");
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Reset);
    admin.done("forget 0.0.0.0/0");
}

#[test]
fn a_thousand_denials_one_after_the_other_share_their_tables() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[backend.target()]));
    let lb = Lb::start_under(&["env", "RUST_LOG=info,totals=debug,tables=debug"], &setup);
    let (began, mark) = (Instant::now(), lb.mark());
    for number in 0..1000 {
        let prefix = format!("198.18.{}.{}", number / 250, number % 250);
        let answer = tell(&admin.socket(), &format!(r#"{{"deny":{{"prefix":"{prefix}"}}}}"#));
        assert!(answer.contains(r#"{"done":["#), "{answer}");
    }
    // This one is in a table, and so are all before it.
    let answer = tell(&admin.socket(), r#"{"deny":{"prefix":"127.0.0.9","close":true}}"#);
    assert!(answer.contains("0 connections closed"), "{answer}");
    let took = began.elapsed();
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    assert!(took < PATIENCE, "{took:?}");
    let tables = lb.log_from(mark).matches("another table is in force").count();
    let most = 10 + took.as_millis() as usize / 100;
    assert!((2..=most).contains(&tables), "{tables} tables within {took:?}");
    assert_eq!(admin.done("bans").lines().count(), 1002);
}

/// Gives a command through the socket, and returns the answer.
fn tell(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = command.len();
    write!(stream, "POST /command HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{command}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_is_said_about_a_list_ends_with_the_list() {
    let (backend, admin, lb, _setup) = start(with_list);
    admin.done("deny 127.0.0.99 --list internet");
    admin.done("deny 127.0.0.98");
    let next = admin.of(Setup::to(&[backend.target()]));
    let folder = Folder::new();
    let file = folder.file("next.yaml");
    std::fs::write(&file, next.to_string()).unwrap();
    let dropped = "- denial of 127.0.0.99 in access list internet, as there is no such list any more";
    let planned = admin.done(&format!("plan {}", file.display()));
    assert!(planned.contains(dropped), "{planned}");
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Reset);
    lb.write_config(&next);
    let reloaded = admin.done("reload");
    assert!(reloaded.contains(dropped), "{reloaded}");
    assert_eq!(from(&lb, "127.0.0.99"), Gets::Service);
    assert_eq!(from(&lb, "127.0.0.98"), Gets::Reset);
}

#[test]
fn access_and_route_say_what_decides_about_a_client() {
    let (_backend, admin, lb, _setup) = start(|setup| {
        let at = crate::place::address(crate::setup::PORT);
        let setup = setup.access("internet", "rules: [{ deny: [127.0.0.8/29] }]");
        let setup = setup.limits("visitors", "connections: 1, rate: 20/s");
        setup.without_listeners().listen("web", at, "web", "access: internet, limits: visitors")
    });
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    let route = admin.done("route 127.0.0.9 web");
    assert!(route.contains("refused\n  its address is denied: rule 1, deny 127.0.0.8/29"), "{route}");

    admin.done("allow 127.0.0.9 --for 1h --why monitoring");
    let check = admin.done("access --check 127.0.0.9");
    assert!(
        check.contains("127.0.0.9 is allowed at web (list internet): operator, allowance of 127.0.0.9, 1h left: monitoring"),
        "{check}"
    );
    let client = connected(&lb, "127.0.0.9");
    let route = admin.done("route 127.0.0.9 web");
    assert!(route.contains("limits visitors refuse another now: source_limit"), "{route}");
    assert!(route.contains("limits: visitors, 127.0.0.9 has 1 of 1 connections; 20/s after 200"), "{route}");
    let json = admin.done("route 127.0.0.99 web --json");
    assert!(
        json.contains(r#""refused":null"#)
            && json.contains(r#""decided_by":"no rule matches: otherwise allow""#),
        "{json}"
    );

    let shown = admin.done("access internet");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |row: &[&str]| rows.iter().any(|found| found.starts_with(row));
    assert!(has(&["internet", "1", "1", "1", "deny", "127.0.0.8/29"]), "{shown}");
    assert!(has(&["internet", "operator", "-", "1", "allow"]), "{shown}");
    assert!(has(&["127.0.0.9", "allowed", "-"]), "{shown}");
    assert!(shown.contains("uid=0") && shown.contains("monitoring"), "{shown}");
    assert!(admin.refused("access internal").contains("did you mean `internet`?"));
    drop(client);
}

#[test]
fn sources_shows_the_clients_with_most_connections_and_those_refused_most() {
    let (_backend, admin, lb, _setup) = start(|setup| {
        let at = crate::place::address(crate::setup::PORT);
        let setup = setup.limits("visitors", "connections: 3, source: { v4: 29 }");
        setup.without_listeners().listen("web", at, "web", "limits: visitors")
    });
    let clients = ["127.0.0.9", "127.0.0.9", "127.0.0.10", "127.0.0.99"].map(|ip| connected(&lb, ip));
    for _ in 0..5 {
        assert_eq!(from(&lb, "127.0.0.11"), Gets::Reset);
    }
    admin.done("deny 127.0.0.200");
    assert_eq!(from(&lb, "127.0.0.200"), Gets::Reset);

    let by_address = admin.done("sources --top 2");
    let rows: Vec<Vec<&str>> = by_address.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[..2], [["SOURCE", "CONNECTIONS"], ["127.0.0.9", "2"]], "{by_address}");
    assert_eq!(rows[4..], [["SOURCE", "REFUSED"], ["127.0.0.11", "5"], ["127.0.0.200", "1"]], "{by_address}");
    let by_source = admin.done("sources visitors");
    let has = |words: [&str; 2]| by_source.lines().any(|line| line.split_whitespace().eq(words));
    assert!(has(["127.0.0.8/29", "3"]), "{by_source}");
    assert!(admin.refused("sources visitor").contains("did you mean `visitors`?"));
    drop(clients);
}

#[test]
fn shells_complete_lists_and_what_was_said() {
    let (_backend, admin, lb, _setup) = start(with_list);
    admin.done("deny 203.0.113.0/24 --why scans");
    let socket = admin.socket().display().to_string();
    let candidates = |line: &[&str]| {
        let said = print("bash", line);
        String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lists = candidates(&["rondel", "deny", "--socket", &socket, "192.0.2.1", "--list", "in"]);
    assert_eq!(lists, ["internet"]);
    let said = candidates(&["rondel", "forget", "--socket", &socket, "203"]);
    assert_eq!(said, ["203.0.113.0/24"]);
    drop(lb);
}

#[test]
fn many_denials_end_together() {
    let (_backend, admin, lb, _setup) = start(|setup| setup);
    for number in 0..100 {
        tell(&admin.socket(), &format!(r#"{{"deny":{{"prefix":"198.18.0.{number}","for_seconds":2}}}}"#));
    }
    let until = Instant::now() + Duration::from_secs(10);
    while admin.done("bans").lines().count() > 1 {
        assert!(Instant::now() < until, "they have not ended");
    }
    assert!(lb.log_text().contains("denial of 198.18.0."), "{}", lb.log_text());
}
