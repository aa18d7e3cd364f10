//! Block lists of files, reloaded under load.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write};
use std::thread;

use super::{Gets, from};
use crate::admin::Admin;
use crate::lb::Lb;
use crate::place::{Folder, address, eventually};
use crate::programs::{Nginx, Reuse, wrk};
use crate::setup::{PORT, Setup};

/// The line that is wrong in the second version.
const WRONG_LINE: usize = 4711;

/// Three hundred thousand prefixes, and this one before them.
fn block_list(first: &str, wrong: bool) -> String {
    let mut text = format!("{first}\n");
    for number in 0..300_000_u32 {
        let [_, high, middle, low] = (number * 32).to_be_bytes();
        let length = if wrong && number as usize + 2 == WRONG_LINE { 33 } else { 27 };
        writeln!(text, "11.{high}.{middle}.{low}/{length}").unwrap();
    }
    text
}

#[test]
fn a_long_block_list_is_reloaded_under_load_or_refused_as_a_whole() {
    let nginx = Nginx::start("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let file = folder.file("blocked.cidr");
    fs::write(&file, block_list("127.0.0.9", false)).unwrap();
    let rules = format!("rules: [{{ deny_file: {} }}]", file.display());
    let setup = admin.of(Setup::to(&[nginx.target()])).access("internet", &rules);
    let setup = setup.without_listeners().listen("web", address(PORT), "web", "access: internet");
    let lb = Lb::start(&setup);
    assert_eq!(from_silent(&lb, "127.0.0.9"), Gets::Reset);

    thread::scope(|scope| {
        let load = scope.spawn(|| wrk(lb.address(), 16, 6, Reuse::ConnectionPerRequest));
        fs::write(&file, block_list("127.0.0.10", true)).unwrap();
        let refused = admin.refused("reload");
        let place = format!("blocked.cidr:{WRONG_LINE}: ");
        assert!(refused.contains(&place) && refused.contains("not the length of a prefix"), "{refused}");
        assert_eq!(from_silent(&lb, "127.0.0.9"), Gets::Reset, "the list before it is in force");
        fs::write(&file, block_list("127.0.0.10", false)).unwrap();
        admin.done("reload");
        assert_eq!(from_silent(&lb, "127.0.0.9"), Gets::Service);
        assert_eq!(from_silent(&lb, "127.0.0.10"), Gets::Reset);
        load.join().unwrap().flawless();
    });
    assert!(admin.done("access").contains("deny 300001 prefixes of "));
}

#[test]
fn a_block_list_that_was_changed_and_not_reloaded_is_a_problem_of_the_status() {
    let backend = crate::peers::Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let file = folder.file("blocked.cidr");
    fs::write(&file, "192.0.2.0/24\n").unwrap();
    let rules = format!("rules: [{{ deny_file: {} }}]", file.display());
    let setup = admin.of(Setup::to(&[backend.target()])).access("internet", &rules);
    let setup = setup.without_listeners().listen("web", address(PORT), "web", "access: internet");
    let lb = Lb::start(&setup);
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Service);
    fs::write(&file, "192.0.2.0/24\n127.0.0.9\n").unwrap();
    eventually("the change is noticed", || admin.done("status --json").contains(r#""difference":{"#));
    admin.done("reload");
    assert!(admin.done("status --json").contains(r#""difference":null"#));
    assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
}

/// The same for a backend that waits for a request.
#[track_caller]
fn from_silent(lb: &Lb, ip: &str) -> Gets {
    let client = crate::peers::Client::connect_from(ip.parse().unwrap(), lb.address());
    let mut client = match client {
        Ok(client) => client,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Gets::Reset,
        Err(error) => panic!("{ip}: {error}"),
    };
    // The reset arrives before the request is sent or after it, and whichever call meets it first is the only one to
    // report it: a read after a failed write would return the end of the stream.
    match client.0.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| client.try_line()) {
        Ok(line) if line.starts_with("HTTP/1.1 200") => Gets::Service,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Gets::Reset,
        other => panic!("{ip}: {other:?}"),
    }
}
