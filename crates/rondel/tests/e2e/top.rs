//! `rondel top` on a terminal. Its unit tests have the screens.
//!
//! Only what changes is drawn, so a test waits for single words.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::admin::Admin;
use crate::lb::{Lb, binary, rondel};
use crate::peers::Backend;
use crate::place::Folder;
use crate::setup::Setup;
use crate::terminal::Terminal;

/// A terminal of 40 lines and 140 columns with `rondel top`.
fn top(socket: &Path) -> Terminal {
    Terminal::run(&binary(), &["top", "--socket", socket.to_str().unwrap()], "; echo code=$?")
}

#[test]
fn top_runs_on_a_terminal_until_a_key_ends_it() {
    let backend = Backend::named("a", 9001);
    let folder = Folder::new();
    let socket = folder.file("admin.sock");
    let _lb = Lb::start(&Setup::to(&[backend.target()]).admin(&format!("socket: {}", socket.display())));
    // Without a terminal it names the alternative.
    let said = rondel(["top", "--socket", socket.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("rondel status"), "{}", said.text);
    let said = rondel(["top", "--json", "--socket", socket.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.text);
    let status: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(status["pools"][0]["backends"][0]["name"], "a", "{status:#}");

    let mut terminal = top(&socket);
    terminal.shows("web/a");
    terminal.keys("q");
    terminal.shows("code=0");
}

#[test]
fn top_lists_connections_and_finds_rows() {
    let backends = [Backend::named("alpha", 9001), Backend::named("beta", 9002)];
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[backends[0].target(), backends[1].target()])));
    let client = lb.connect();
    let mut terminal = top(&admin.socket());
    terminal.shows("web/beta");
    terminal.keys("C");
    terminal.shows("relaying");
    terminal.forget();
    terminal.keys("p");
    terminal.shows("web/beta");
    terminal.forget();
    terminal.keys("/gamma\r");
    terminal.shows("none");
    terminal.keys("?");
    terminal.shows("selected");
    terminal.keys("q");
    terminal.shows("code=0");
    drop((client, backends));
}

#[test]
fn top_shows_a_lost_process_and_the_next_one() {
    let backends = [Backend::named("alpha", 9001), Backend::named("zulu", 9002)];
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[backends[0].target()])));
    let mut terminal = top(&admin.socket());
    terminal.shows("web/alpha");
    lb.kill();
    terminal.shows("no answer since ");
    let _next = Lb::start(&admin.of(Setup::to(&[backends[1].target()])));
    terminal.shows("zulu");
    terminal.keys("q");
    terminal.shows("code=0");
    drop(backends);
}

#[test]
fn top_draws_again_when_the_terminal_changes_its_size() {
    let backend = Backend::named("alpha", 9001);
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    let mut terminal = top(&admin.socket());
    terminal.shows("web/alpha");
    let device = fs::read_link(format!("/proc/{}/fd/1", terminal.pid().as_raw_nonzero())).unwrap();
    let resize = |rows: &str, columns: &str| {
        let done = Command::new("stty").arg("-F").arg(&device).args(["rows", rows, "cols", columns]).status();
        assert!(done.unwrap().success());
    };
    resize("24", "30");
    terminal.shows("30x24");
    terminal.forget();
    resize("24", "80");
    terminal.shows("POOL/BACKEND");
    terminal.keys("\x03");
    terminal.shows("code=0");
}
