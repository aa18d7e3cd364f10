//! Backends that are the process itself, and addresses that two parts of it would use.

use std::fs;
use std::net::SocketAddr;

use crate::admin::Admin;
use crate::attack::namespace::Namespace;
use crate::lb::{Lb, rondel, run_with};
use crate::peers::{Backend, Client};
use crate::place::{Folder, address};
use crate::setup::{Setup, target_at};

#[test]
fn a_backend_that_is_the_own_listener_is_rejected_by_check_run_reload_and_plan() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let good = admin.of(Setup::to(&[backend.target()]));
    let looped = admin.of(Setup::to(&[target_at("a", address(8080))]));
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    fs::write(&file, looped.to_string()).unwrap();
    let said = format!("the backend `{0}` is the listener `web` of this file", address(8080));

    let checked = rondel(["check", file.to_str().unwrap()]);
    assert_eq!(checked.code, 3, "{}", checked.text);
    assert!(checked.text.contains(&said), "{}", checked.text);
    let run = run_with(&[], &looped);
    assert_eq!(run.code, 3, "{}", run.text);

    let lb = Lb::start(&good);
    let planned = admin.refused(&format!("plan {}", file.display()));
    assert!(planned.contains(&said), "{planned}");
    let mark = lb.reload_refused(&looped);
    assert!(lb.log_from(mark).contains(&said));
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn tcp_to_itself_is_rejected() {
    let at = address(8080).to_string();
    let said = rondel(["tcp", "--listen", &at, "--to", &at]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("this process's own listener"), "{}", said.text);
}

/// The file does not show which addresses the host has: start, reload, plan and doctor check.
#[test]
fn a_backend_that_a_wildcard_listener_covers_is_rejected_on_its_host() {
    Namespace::within(|namespace| {
        let held: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        let wildcard: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        let backend = Backend::named("a", 9001);
        let admin = Admin::new();
        let to = |backend| {
            let setup = Setup::to(&[backend]).without_listeners().listen("web", wildcard, "web", "");
            admin.of(setup)
        };
        let looped = to(target_at("b", held));
        let folder = Folder::new();
        let file = folder.file("rondel.yaml");
        fs::write(&file, looped.to_string()).unwrap();
        let [checked, other] = ["check", "doctor"].map(|command| rondel([command, file.to_str().unwrap()]));
        assert_eq!(checked.code, 0, "{}", checked.text);
        assert!(!other.text.contains("own listener"), "another host's: {}", other.text);

        namespace.add_address("192.0.2.1/32");
        let said =
            "backend b at 192.0.2.1:8080 of pool web is this process's own listener web at 0.0.0.0:8080";
        let doctor = rondel(["doctor", file.to_str().unwrap()]);
        assert_eq!(doctor.code, 3, "{}", doctor.text);
        assert!(doctor.text.contains(&format!("fail  backends: {said}")), "{}", doctor.text);
        let run = run_with(&[], &looped);
        assert_eq!(run.code, 3, "{}", run.text);
        assert!(run.text.contains(said), "{}", run.text);

        let lb = Lb::start(&to(backend.target()));
        let planned = admin.refused(&format!("plan {}", file.display()));
        assert!(planned.contains(said), "{planned}");
        let mark = lb.reload_refused(&looped);
        assert!(lb.log_from(mark).contains(said));
        assert_eq!(Client::connect("127.0.0.1:8080".parse().unwrap()).line(), "a");
    });
}

#[test]
fn a_listener_at_the_address_of_the_admin_interface_is_not_blamed_on_another_process() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).admin(&format!("socket: off, http: \"{}\"", address(8080)));
    let said = run_with(&[], &setup);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("where the admin interface is"), "{}", said.text);
    assert!(!said.text.contains("another process"), "{}", said.text);
}

#[test]
fn a_listener_that_leads_to_another_one_serves() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[target_at("b", address(8081))]).listen("inner", address(8081), "inner", "").pool(
        "inner",
        "",
        &[backend.target()],
    );
    let lb = Lb::start(&setup);
    assert_eq!(lb.connect().line(), "a");
}
