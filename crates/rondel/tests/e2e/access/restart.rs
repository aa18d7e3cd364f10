//! What operators say survives a restart, or it is said why not.

use std::fs;

use super::{Gets, from};
use crate::admin::Admin;
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::{Folder, eventually};
use crate::setup::Setup;

/// A folder for the state, and a configuration with it.
fn with_state(backend: &Backend, admin: &Admin, folder: &Folder) -> Setup {
    let runtime = format!("workers: 2, drain_timeout: 5s, state: {}", folder.path().display());
    admin.of(Setup::to(&[backend.target()])).runtime(&runtime)
}

#[test]
fn what_is_said_survives_a_restart() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let setup = with_state(&backend, &admin, &folder);
    let lb = Lb::start(&setup);
    admin.done("deny 127.0.0.9 --why scans");
    admin.done("deny 127.0.0.10 --for 1h");
    admin.done("deny 127.0.0.11 --for 1s");
    lb.wait_for("denial of 127.0.0.11 ended", 0);
    admin.done("deny 127.0.0.12 --for 1s");
    lb.end();

    let lb = Lb::start(&setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    assert_eq!(from(&lb, "127.0.0.10"), Gets::Reset);
    assert_eq!(from(&lb, "127.0.0.11"), Gets::Service);
    let shown = admin.done("access");
    assert!(shown.contains("scans") && (shown.contains("59m") || shown.contains("1h")), "{shown}");
    lb.wait_for("state: what operators said about ", 0);

    // A process that is killed has had no time to write, but what was said a while ago is written.
    admin.done("forget 127.0.0.9");
    eventually("it is written", || {
        !fs::read_to_string(folder.file("state.json")).unwrap().contains("127.0.0.9\"")
    });
    lb.kill();
    let lb = Lb::start(&setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    assert_eq!(from(&lb, "127.0.0.10"), Gets::Reset);
}

#[test]
fn without_a_folder_nothing_survives_a_restart() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[backend.target()]));
    let lb = Lb::start(&setup);
    admin.done("deny 127.0.0.9");
    lb.end();
    let lb = Lb::start(&setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
}

#[test]
fn a_broken_state_file_is_a_warning_and_is_kept() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let setup = with_state(&backend, &admin, &folder);
    fs::write(folder.file("state.json"), "{\"version\": 1, \"access\": [").unwrap();
    let lb = Lb::start(&setup);
    let log = lb.log_text();
    assert!(log.contains("state.json is not used: EOF while parsing"), "{log}");
    assert!(folder.file("state.json.unreadable").exists());
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    admin.done("deny 127.0.0.9");
    eventually("it is written", || {
        fs::read_to_string(folder.file("state.json")).is_ok_and(|text| text.contains("127.0.0.9"))
    });
    lb.end();
}

#[test]
fn a_folder_that_is_missing_is_said_at_the_start_and_nothing_else_fails() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let setup = with_state(&backend, &admin, &folder);
    let elsewhere = folder.file("missing");
    let runtime = format!("workers: 2, drain_timeout: 5s, state: {}", elsewhere.display());
    let lb = Lb::start(&setup.runtime(&runtime));
    lb.wait_for("state.json cannot be written: No such file or directory", 0);
    admin.done("deny 127.0.0.9");
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
    lb.end();
}

#[test]
fn as_much_as_there_may_be_is_restored_and_one_more_is_refused() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let entry = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        let prefix = format!("10.{}.{high}.{low}", number >> 16);
        format!(
            r#"{{"prefix":"{prefix}","list":null,"action":"deny","since":0,"until":null,"by":"","why":""}}"#
        )
    };
    let entries: Vec<String> = (0..99_999).map(entry).collect();
    let state = format!(r#"{{"version":1,"access":[{}]}}"#, entries.join(","));
    fs::write(folder.file("state.json"), state).unwrap();
    let lb = Lb::start(&with_state(&backend, &admin, &folder));
    lb.wait_for("what operators said about 99999 prefixes holds again", 0);
    admin.done("deny 127.0.0.9");
    let refused = admin.refused("deny 127.0.0.10");
    assert!(refused.contains("100000 prefixes are denied or allowed already"), "{refused}");
    // What is there can still be changed.
    admin.done("deny 127.0.0.9 --for 1h");
    assert_eq!([from(&lb, "127.0.0.9"), from(&lb, "127.0.0.10")], [Gets::Reset, Gets::Service]);
    admin.done("forget 10.0.0.0");
    admin.done("deny 127.0.0.10");
    assert_eq!(from(&lb, "127.0.0.10"), Gets::Reset);
}

#[test]
fn another_folder_needs_a_restart() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    let mark = lb.reload_refused(&with_state(&backend, &admin, &folder));
    assert!(lb.log_from(mark).contains("`runtime.state` is"), "{}", lb.log_from(mark));
}
