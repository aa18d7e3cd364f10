//! The demo shows traffic, a failure and a recovery without a key pressed.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::lb::{Lb, rondel};
use crate::place::{address, eventually};
use crate::servers::run;

#[test]
fn it_shows_traffic_a_failure_and_a_recovery() {
    let [listen, dashboard] = [8080, 9907].map(address);
    let [listen, at] = [listen, dashboard].map(|address| address.to_string());
    let script = "1s kill 2, 4s revive 2";
    let demo = ["demo", "--listen", &listen, "--dashboard", &at, "--traffic", "50", "--script", script];
    let mut lb = Lb::command(&demo, "Ctrl-C ends it");
    assert!(lb.log_text().contains(&format!("http://{at}/")), "{}", lb.log_text());

    eventually("backend-2 is down", || backend(dashboard, 1)["state"] == "down");
    let others = || [0, 2].map(|index| backend(dashboard, index)["connected"].as_u64().unwrap());
    let before = others();
    eventually("the others go on", || others().iter().zip(before).all(|(now, before)| *now > before));
    eventually("backend-2 is up again", || backend(dashboard, 1)["state"] == "up");
    let revived = backend(dashboard, 1);
    assert_eq!(revived["probe"]["downs"], 1, "{revived}");
    assert!(revived["probe"]["down_seconds"].as_f64().unwrap() > 0.0, "{revived}");
    let before = revived["connected"].as_u64().unwrap();
    eventually("it has clients again", || backend(dashboard, 1)["connected"].as_u64().unwrap() > before);

    let log = lb.log_text();
    for line in ["demo: backend-2 is killed", "demo: backend-2 runs"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    lb.signal(Signal::INT);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn it_has_its_own_socket_and_uses_another_port_if_its_own_is_taken() {
    // One of the two has it, or another process of this host.
    let demo = ["demo", "--traffic", "0"];
    let (first, second) = (Lb::command(&demo, "Ctrl-C ends it"), Lb::command(&demo, "Ctrl-C ends it"));
    let sockets = [&first, &second].map(|demo| {
        let log = demo.log_text();
        let line = log.lines().find_map(|line| line.trim().strip_prefix("export RONDEL_SOCKET=")).unwrap();
        line.trim_matches('"').to_owned()
    });
    assert_ne!(sockets[0], sockets[1]);
    let says = "is in use, so the demo uses another port; `--listen` chooses one.";
    assert!(second.log_text().contains(says), "{}", second.log_text());
    for socket in &sockets {
        let folder = fs::metadata(Path::new(socket).parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        let said = rondel(["drain", "demo/backend-1", "--socket", socket]);
        assert_eq!(said.code, 0, "{}", said.text);
    }
    for mut demo in [first, second] {
        demo.signal(Signal::INT);
        assert_eq!(demo.ended(), 0);
    }
    for socket in sockets {
        assert!(!Path::new(&socket).parent().unwrap().exists(), "{socket}");
    }
}

/// Those of README, and those that need a file or an access log.
#[test]
fn every_command_works_on_it() {
    let mut demo = Lb::command(&["demo", "--traffic", "0"], "Ctrl-C ends it");
    let log = demo.log_text();
    let line = log.lines().find_map(|line| line.trim().strip_prefix("export RONDEL_SOCKET=")).unwrap();
    let socket = line.trim_matches('"').to_owned();
    let directory = Path::new(&socket).parent().unwrap().to_owned();
    let file = directory.join("rondel.yaml");
    let at_file = file.to_str().unwrap();
    for command in [
        "status",
        "backends",
        "connections",
        "connections --ended",
        "route 127.0.0.1 demo",
        "drain demo/backend-1",
        "undrain demo/backend-1",
        "weight demo/backend-2 3",
        "disable demo/backend-3",
        "enable demo/backend-3",
        "close --client 127.0.0.1",
        "log-level info",
        "health",
        "reopen",
        "reload",
        &format!("plan {at_file}"),
    ] {
        let said = rondel(command.split(' ').chain(["--socket", &socket]));
        assert_eq!(said.code, 0, "{command}: {}", said.text);
    }
    for command in ["check", "doctor"] {
        let said = rondel([command, at_file]);
        assert_eq!(said.code, 0, "{command}: {}", said.text);
    }
    // A change of the file is applied, and the line that does it can be pasted.
    let sed = log.lines().find_map(|line| line.trim().strip_suffix(" && rondel reload")).unwrap();
    run(Command::new("sh").args(["-c", sed]));
    let said = rondel(["reload", "--socket", &socket]);
    assert!(said.text.contains("balance"), "{}", said.text);
    // A shell without the variable is told about it.
    let said = rondel(["status", "--socket", "/nowhere/admin.sock"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("a demo runs: `export RONDEL_SOCKET="), "{}", said.text);

    demo.signal(Signal::INT);
    assert_eq!(demo.ended(), 0);
    assert!(!directory.exists(), "{}", directory.display());
}

#[test]
fn an_address_that_is_taken_is_named_with_its_option() {
    let taken = TcpListener::bind(address(9000)).unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--dashboard"] {
        let said = rondel(["demo", "--traffic", "0", option, &at]);
        assert_eq!(said.code, 4, "{}", said.text);
        assert!(said.text.contains(&format!("`rondel demo {option} 127.0.0.1:")), "{}", said.text);
    }
}

/// The status of a backend of the demo, by its index.
#[track_caller]
fn backend(dashboard: SocketAddr, index: usize) -> Value {
    let page = run(Command::new("curl").args(["--silent", &format!("http://{dashboard}/status.json")]));
    let mut status: Value = serde_json::from_str(&page).unwrap();
    status["pools"][0]["backends"][index].take()
}
