//! What happened to a balancer, and what is wrong with it, as `rondel events`, `rondel status` and `rondel health`
//! report it.

use std::fs;

use rustix::process::Signal;

use crate::admin::{Admin, curl};
use crate::lb::Lb;
use crate::peers::{Backend, refusing};
use crate::place::{Folder, address, eventually};
use crate::setup::Setup;

const PROBE: &str = "probe: { tcp: {}, interval: 200ms, timeout: 200ms, fast_interval: 100ms }";

#[test]
fn events_list_reloads_with_their_changes_and_commands_with_their_result() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target()]));
    let lb = Lb::start(&setup);
    let both = admin.of(Setup::to(&[a.target(), b.target()]));
    lb.write_config(&both);
    admin.done("reload");
    admin.done("drain web/a");
    admin.refused("drain web/none");
    let folder = Folder::new();
    let next = folder.file("next.yaml");
    fs::write(&next, setup.to_string()).unwrap();
    admin.done(&format!("plan {}", next.display()));
    lb.reload_refused(&"nonsense");

    let events = admin.done("events");
    let mut left = events.lines();
    for expected in [
        "info   phase      rondel 0.1.0 started: 1 listener, 1 pool, 1 backend",
        ": reload",
        "reload     reloaded: 1 change",
        "    ~ pool web: + backend b",
        ": drain web/a",
        "    web/a is drained; it has 0 connections",
        ": drain web/none",
        "admin: refused: there is no backend web/none",
        "error  reload     reload refused: ",
    ] {
        assert!(left.any(|line| line.contains(expected)), "{expected} is missing or out of order:\n{events}");
    }
    assert!(!events.contains(": plan "), "a command that only asks is no event:\n{events}");

    let of_web = admin.done("events --pool web");
    assert!(of_web.contains("reloaded: 1 change") && of_web.contains("drain web/a"), "{of_web}");
    assert!(!of_web.contains("started"), "{of_web}");
    assert!(admin.refused("events --pool wep").contains("did you mean `web`?"));
    let json: serde_json::Value = serde_json::from_str(&admin.done("events --json --since 1h")).unwrap();
    assert_eq!(json[0]["kind"], "phase", "{json:#}");
    assert!(admin.done("events --since 0").contains("no event since "));
    let said = admin.rondel("events --since 25:00");
    assert_eq!(said.code, 2, "{}", said.text);
    assert!(said.text.contains("expected a time such as `14:00`"), "{}", said.text);
}

#[test]
fn events_are_followed_until_the_process_ends() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let socket = admin.socket();
    let socket = socket.to_str().unwrap();
    let mut follow = Lb::command(&["events", "--follow", "--socket", socket], " started: ");
    admin.done("drain web/a");
    follow.wait_for("web/a is drained", 0);
    admin.done("reload");
    follow.wait_for("reloaded: nothing changed", 0);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    assert_eq!(follow.ended(), 1);
    let said = follow.log_text();
    assert!(said.contains("error: the connection to rondel was lost"), "{said}");
    assert_eq!(said.matches(" started: ").count(), 1, "an event is printed once: {said}");
}

#[test]
fn a_status_begins_with_what_is_wrong() {
    let (a, dead) = (Backend::named("a", 9001), refusing("dead", 9009));
    let admin = Admin::new();
    let setup = admin.of(Setup::to_with(PROBE, &[a.target(), dead.clone()]));
    let lb = Lb::start(&setup);
    let first = |word: &str| {
        eventually(word, || {
            admin.done("status").lines().take(3).collect::<Vec<_>>().join("\n").contains(word)
        });
    };
    first("1 problem:\n  warning  pool web: backend dead, 1 of 2, is down since ");
    assert!(admin.done("status").contains("connection refused"), "{}", admin.done("status"));
    assert!(admin.done("health --pool web").contains("pool web: 1 of 2 backends take connections"));
    let (_, json) = curl("/status.json", &[]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["problems"][0]["kind"], "down", "{json:#}");

    // What an operator takes out of service is no problem.
    admin.done("drain web/dead");
    first("all well\n2 notes:\n  the log level is debug");
    assert!(
        admin.done("status").contains("pool web: backend dead, 1 of 2, is drained: it has 0 connections")
    );
    admin.done("enable web/dead");
    admin.done("disable web/a");
    first("error    pool web: no backend is available: 1 down and 1 disabled");
    let said = admin.rondel("health --pool web");
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("pool web: 0 of 2 backends take connections"), "{}", said.text);
    admin.done("enable web/a");

    lb.reload_refused(&"nonsense");
    first("error    the last reload was refused, and the configuration before it is in force since ");
    lb.reload(&setup);
    first("1 problem:\n  warning  pool web: backend dead");
}

#[test]
fn a_status_tells_that_the_file_was_changed_and_not_reloaded() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target()]));
    let lb = Lb::start(&setup);
    assert!(admin.done("status").starts_with("all well\n"));
    lb.write_config(&admin.of(Setup::to(&[a.target(), b.target()])));
    let tells = |word: &str| eventually(word, || admin.done("status").contains(word));
    tells("the configuration file differs from the configuration in force since ");
    lb.write_config(&"nonsense");
    tells("the configuration file has changed and is invalid since ");
    lb.reload(&setup);
    assert!(admin.done("status").starts_with("all well\n"));
}

#[test]
fn health_of_a_listener_is_that_of_the_backends_its_clients_get() {
    let admin = Admin::new();
    let dead = refusing("dead", 9009);
    let a = Backend::named("a", 9001);
    let setup = admin.of(Setup::to_with(PROBE, &[a.target(), dead.clone()]));
    let _lb = Lb::start(&setup);
    let listener = address(8080);
    eventually("one is down", || admin.done("status").contains("backend dead, 1 of 2, is down"));
    for line in ["health --listener web".to_owned(), format!("health --listener {listener}")] {
        assert!(admin.done(&line).contains("a client gets a backend of pool web"), "{line}");
    }
    admin.done("disable web/a");
    // By `on_all_down` such a client gets a backend that is down.
    let said = admin.rondel("health --listener web --json");
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(r#""ready":false"#), "{}", said.text);
    for line in ["health --listener wep", "health --pool wep"] {
        assert!(admin.refused(line).contains("did you mean `web`?"), "{line}");
    }
}
