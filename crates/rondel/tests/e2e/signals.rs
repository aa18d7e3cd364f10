//! Signals, and terminals that close: what ends, what continues, and the state of the terminal afterwards.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};

use crate::admin::Admin;
use crate::lb::{Lb, binary};
use crate::peers::{Backend, Client};
use crate::place::{Folder, PATIENCE, address, eventually, holds_within};
use crate::setup::Setup;
use crate::terminal::{Terminal, wait_for_the_end_of};

#[test]
fn signals_for_the_access_log_do_not_end_commands() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let mut client = lb.connect();
    client.line();

    let socket = admin.socket();
    let wait = ["drain", "web/a", "--wait", "60", "--socket", socket.to_str().unwrap()];
    let mut waiting = Lb::command(&wait, "1 connection left");
    // A signal that ends a process does so at once.
    waiting.signal(Signal::USR1);
    waiting.signal(Signal::USR2);
    drop(client);
    assert_eq!(waiting.ended(), 0);
    assert!(waiting.log_text().contains("no connection is left"), "{}", waiting.log_text());
    // The same holds for the balancer.
    lb.signal(Signal::USR2);
    assert_eq!(admin.done("health").trim(), "ready");
}

#[test]
fn top_restores_the_terminal_when_a_signal_ends_it() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let socket = admin.socket();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let top = ["top", "--socket", socket.to_str().unwrap()];
        let mut terminal = Terminal::run(&binary(), &top, "; echo code=$?; stty -a");
        terminal.shows("web/a");
        terminal.signal(Signal::USR1);
        terminal.signal(Signal::USR2);
        terminal.signal(signal);
        let seen = terminal.until_the_end();
        // The previous screen, a cursor, lines and an echo.
        for expected in ["\u{1b}[?1049l", "\u{1b}[?25h", "code=0", " icanon ", " echo "] {
            assert!(seen.contains(expected), "{signal:?}: {expected:?} is not in\n{seen}");
        }
    }
}

#[test]
fn top_ends_with_its_terminal() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let socket = admin.socket();
    let mut terminal = Terminal::run(&binary(), &["top", "--socket", socket.to_str().unwrap()], "");
    terminal.shows("web/a");
    wait_for_the_end_of(terminal.close());
}

#[test]
fn a_demo_ends_with_its_terminal() {
    let [listen, dashboard] = [8080, 9907].map(|port| address(port).to_string());
    let demo = ["demo", "--listen", &listen, "--dashboard", &dashboard];
    let mut terminal = Terminal::run(&binary(), &demo, "");
    terminal.shows("Ctrl-C ends it");
    let backend = terminal.seen().split("backend-1 on ").nth(1).unwrap();
    let backend: SocketAddr = backend.split_whitespace().next().unwrap().parse().unwrap();
    TcpStream::connect(backend).unwrap();
    wait_for_the_end_of(terminal.close());
    for left in [address(8080), address(9907), backend] {
        // Its last thread has the sockets.
        eventually("nothing listens there", || TcpStream::connect(left).is_err());
    }
}

#[test]
fn a_demo_ends_when_nothing_reads_what_it_prints() {
    let [listen, dashboard] = [8080, 9907].map(|port| address(port).to_string());
    let mut demo = Command::new(binary())
        .args(["demo", "--listen", &listen, "--dashboard", &dashboard, "--script", "1s kill 2"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("rondel balances")));
    drop(lines);
    let mut status = None;
    let ended = holds_within(PATIENCE, || {
        status = demo.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        demo.kill().unwrap();
        demo.wait().unwrap();
    }
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_balancer_reloads_and_continues_when_its_terminal_closes() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    std::fs::write(&file, admin.of(Setup::to(&[a.target()])).to_string()).unwrap();
    let mut terminal = Terminal::run(&binary(), &["run", "--config", file.to_str().unwrap()], "");
    terminal.shows("ready");
    let pid = terminal.close();
    eventually("it has reloaded", || admin.done("status").contains("reloads: 1 applied, 0 refused"));
    assert_eq!(Client::connect(address(8080)).line(), "a");
    kill_process(pid, Signal::TERM).unwrap();
    wait_for_the_end_of(pid);
}

#[test]
fn a_balancer_without_a_file_continues_after_a_hangup() {
    let a = Backend::named("a", 9001);
    let [listen, to] = [8080, 9001].map(|port| address(port).to_string());
    let lb = Lb::command(&["tcp", "--listen", &listen, "--to", &to], " ready");
    let mut client = lb.connect();
    client.line();
    lb.signal(Signal::HUP);
    lb.wait_for("reload: there is no file to read; the configuration stays", 0);
    client.echoes(b"as before");
    assert_eq!(lb.connect().line(), "a");
    drop((client, a));
}
