//! Individual connections: listing them, and closing them.

use std::net::IpAddr;

use crate::admin::{Admin, curl};
use crate::lb::{Lb, closes};
use crate::peers::{Backend, Client, End, refusing};
use crate::place::{address, eventually};
use crate::setup::Setup;

#[test]
fn each_connection_is_listed_with_its_bytes() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target()])));
    let lines = |line: &str| {
        let is_row = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        admin.done(line).lines().filter(is_row).count()
    };
    assert_eq!(lines("connections"), 0);
    let mut clients = [lb.connect(), lb.connect(), lb.connect()];
    let names = clients.each_mut().map(|client| client.line());
    clients[0].echoes(b"twelve bytes");

    let list = admin.done("connections");
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 4, "{list}");
    let of_client = |number: usize| {
        let address = clients[number].local_address().to_string();
        let found = rows.iter().find(|line| line[1] == address);
        found.unwrap_or_else(|| panic!("{address} is not in\n{list}"))
    };
    let first = of_client(0);
    let backend = format!("web/{}", names[0]);
    assert_eq!(first[2..], ["web", &backend, first[4], "12", "14", "relaying"], "{list}");
    assert_eq!(of_client(2)[5..], ["0", "2", "relaying"], "{list}");

    assert_eq!(lines("connections --backend web/a") + lines("connections --backend web/b"), 3);
    assert_eq!(lines("connections --client 192.0.2.1"), 0);
    assert_eq!(lines("connections --listener web --pool web"), 3);
    assert!(admin.done("connections --limit 1").contains("and 2 more"));
    let json = admin.done("connections --json");
    assert!(json.contains(r#""bytes_to_backend":12,"bytes_to_client":14,"state":"relaying""#), "{json}");
    // Client addresses are not public.
    assert_eq!(curl("/connections", &["--data", "{}"]).0, "403");

    drop(clients);
    eventually("nothing is listed", || lines("connections") == 0);
    drop(lb);
}

#[test]
fn an_unknown_name_is_rejected_with_the_known_ones() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target()])));
    for (line, said) in [
        ("connections --pool wep", "there is no pool wep; did you mean `web`?"),
        ("connections --pool nope", "there is no pool nope; there is web"),
        ("connections --listener nope", "there is no listener nope; there is web"),
        ("connections --backend web/nope", "there is no backend web/nope; there are web/a and web/b"),
        ("connections --backend nope/a", "there is no backend nope/a; there are web/a and web/b"),
        ("connections --json --pool nope", "there is no pool nope; there is web"),
        ("connections --ended --pool nope", "there is no pool nope; there is web"),
        ("connections --ended --listener nope", "there is no listener nope; there is web"),
        ("connections --ended --backend web/nope", "there is no backend web/nope; there are web/a and web/b"),
        ("backends --pool nope", "there is no pool nope; there is web"),
        ("route 192.0.2.7 nope", "there is no listener nope; there is web"),
        ("failback nope", "there is no pool nope; there is web"),
        ("close --backend web/nope", "there is no backend web/nope; there are web/a and web/b"),
        ("drain web/c", "there is no backend web/c; did you mean `web/a`?"),
        ("undrain web/nope", "there is no backend web/nope"),
        ("disable web/nope", "there is no backend web/nope"),
        ("enable web/nope", "there is no backend web/nope"),
        ("weight web/nope 1", "there is no backend web/nope"),
    ] {
        let refused = admin.refused(line);
        assert!(refused.contains(said), "rondel {line}: {refused}");
    }
}

#[test]
fn an_empty_result_is_reported_and_is_no_failure() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    for (line, said) in [
        ("connections", "there is no connection now"),
        ("connections --pool web", "there is no connection of pool web now"),
        (
            "connections --listener web --backend web/a",
            "there is no connection of listener web to backend web/a now",
        ),
        ("connections --client 192.0.2.1", "there is no connection of client 192.0.2.1 now"),
        ("connections --ended", "no ended connection is recorded: `access_log` is off"),
    ] {
        let answer = admin.done(line);
        assert!(answer.lines().any(|line| line == said), "rondel {line}: {answer}");
    }
    for line in ["connections --json --pool web", "connections --json --ended"] {
        // Nothing else is printed.
        serde_json::from_str::<serde_json::Value>(&admin.done(line)).unwrap();
    }
}

#[test]
fn half_closed_and_waiting_connections_are_marked() {
    let (mute, full) = (Backend::mute(9001), Backend::named("full", 9002));
    let admin = Admin::new();
    let setup = Setup::to(&[mute.target()]).listen("second", address(8081), "full", "");
    let bounded = full.target().with("max_connections: 1");
    let _lb = Lb::start(&admin.of(setup.pool("full", "", &[bounded])));
    let mut finished = Client::connect(address(8080));
    finished.send(b"the last").finish();
    eventually("a side has finished", || admin.done("connections --pool web").contains("half_closed"));

    let mut served = Client::connect(address(8081));
    served.line();
    let mut queued = Client::connect(address(8081));
    eventually("one waits", || {
        let list = admin.done("connections --listener second");
        list.contains(" full/full ") && list.contains(" full/- ") && list.contains(" queued")
    });
    drop(served);
    assert_eq!(queued.line(), "full");
    // Its backend would never end it.
    admin.done("close --backend web/mute");
    assert_eq!(finished.end(), End::Reset);
}

#[test]
fn only_the_connection_with_the_id_is_closed() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let mut clients = [lb.connect(), lb.connect()];
    for client in &mut clients {
        client.line();
    }
    let list = admin.done("connections");
    let address = clients[0].local_address().to_string();
    let line = list.lines().find(|line| line.contains(&address)).unwrap();
    let id = line.split_whitespace().next().unwrap().to_owned();

    assert!(admin.done(&format!("close {id}")).contains("1 connection was closed"));
    assert_eq!(clients[0].end(), End::Reset);
    clients[1].echoes(b"as before");
    // The next connection in the slot is another one.
    let mut next = lb.connect();
    next.line();
    eventually("it has ended", || admin.rondel(&format!("close {id}")).text.contains("it has ended"));
    next.echoes(b"as before");
    assert!(admin.refused("close 99-0-0").contains("there is no connection"));
    assert_eq!(admin.rondel("close").code, 2);
    assert_eq!(admin.rondel("close 1-2").code, 2);
    drop((clients, next));
    assert_eq!(closes(&lb.end(), "closed_by_operator"), 1);
}

#[test]
fn all_connections_of_a_backend_or_a_client_can_be_closed() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = |backends: &[_]| admin.of(Setup::to_with("on_remove: keep", backends));
    let lb = Lb::start(&setup(&[a.target(), b.target()]));
    let mut clients: Vec<_> = (0..6).map(|_| lb.connect()).collect();
    let names: Vec<String> = clients.iter_mut().map(|client| client.line()).collect();
    // It is found although the file has it no more.
    lb.reload(&setup(&[b.target()]));
    assert!(admin.done("close --backend web/a").contains("3 connections were closed"));
    for (name, client) in names.iter().zip(&mut clients) {
        if name == "a" { assert_eq!(client.end(), End::Reset) } else { client.echoes(b"as before") }
    }
    let client = format!("close --client {}", clients[0].local_address().ip());
    assert!(admin.done(&client).contains("3 connections were closed"));
    assert!(admin.done(&client).contains(" has no connections: nothing changed"));
    assert!(admin.done("close --backend web/b").contains("web/b has no connections: nothing changed"));
    drop(clients);
    assert_eq!(closes(&lb.end(), "closed_by_operator"), 6);
}

#[test]
fn route_names_the_backend_that_a_client_gets() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let maglev =
        Setup::to(&[a.target(), b.target()]).pool("sticky", "balance: maglev", &[a.target(), b.target()]);
    let lb = Lb::start(&admin.of(maglev.listen("sticky", address(8081), "sticky", "")));
    let told = |client: IpAddr, listener: &str| {
        let told = admin.done(&format!("route {client} {listener}"));
        told.lines().next().unwrap().rsplit(": ").next().unwrap().to_owned()
    };
    // A query does not advance the rotation.
    for _ in 0..4 {
        let any = address(0).ip();
        let foreseen = told(any, "web");
        assert_eq!(foreseen, told(any, "web"));
        assert_eq!(lb.connect().line(), foreseen);
    }
    let mut client = Client::connect(address(8081));
    assert_eq!(client.line(), told(client.local_address().ip(), "sticky"));

    admin.done("drain web/a");
    let page = admin.done("route 192.0.2.7 web");
    let has = |page: &str, backend: &str, word: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("{backend} "))).unwrap();
        assert!(row.contains(word), "{word}: {page}");
    };
    assert!(page.contains("round_robin: b"), "{page}");
    has(&page, "web/a", "it is drained");
    has(&page, "web/b", "100%");
    // Nothing is wrong with it.
    has(&page, "web/b", "no probe");
    admin.done("undrain web/a");
    admin.done("disable web/a");
    has(&admin.done("route 192.0.2.7 web"), "web/a", "it is disabled");
    admin.done("enable web/a");
    admin.done("weight web/a 0");
    has(&admin.done("route 192.0.2.7 web"), "web/a", "its weight is 0");
    admin.done("drain web/b");
    assert!(admin.done("route 192.0.2.7 web").contains("the reason no_backend"));
    assert!(admin.refused("route 192.0.2.7 other").contains("there is no listener other"));
    assert_eq!(admin.rondel("route nonsense web").code, 2);
    assert_eq!(curl("/route", &["--data", "{}"]).0, "403");
}

#[test]
fn route_says_why_a_client_gets_a_backend_that_is_down() {
    let admin = Admin::new();
    let down = [refusing("a", 9001), refusing("b", 9002)];
    let _lb = Lb::start(&admin.of(Setup::to_with("probe: tcp", &down)));
    let page = admin.done("route 192.0.2.7 web");
    assert!(page.contains("no backend is available, and `on_all_down` is `open`; it is next"), "{page}");
    let rows = page.lines().filter(|line| line.starts_with("web/"));
    assert!(rows.clone().count() == 2, "{page}");
    assert!(rows.clone().all(|row| row.contains(" 50% ") && row.contains("it is down")), "{page}");
}
