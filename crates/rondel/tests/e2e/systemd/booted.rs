//! The unit under a systemd that is the first process of a host, as in production.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::unit;
use crate::lb::{Said, binary};
use crate::peers::{Backend, Client, End};
use crate::place::{Folder, PATIENCE, address, assert_root, eventually, holds_within};
use crate::setup::{PORT, Setup};

#[test]
fn a_host_runs_the_unit_unchanged() {
    let backend = Backend::echo(9001);
    let setup = Setup::to(&[backend.target()]).runtime("drain_timeout: 1s");
    let setup = setup.admin("socket: /run/rondel/admin.sock");
    let host = Host::boot(&setup);
    let serves = || Client::connect(address(PORT)).echoes(b"served");

    host.does(&["start", "rondel"]);
    serves();
    assert_eq!(host.tells("User"), "rondel");
    eventually("it has a line on how it does", || host.tells("StatusText").contains("1 of 1 backend up"));

    host.configure("listeners: 7\n");
    let refused = host.systemctl(&["reload", "rondel"]);
    assert_ne!(refused.code, 0, "{}", refused.text);
    assert!(host.log().contains("rondel.yaml:1:12"), "why it was refused: {}", host.log());
    serves();
    host.configure(&setup.to_string());
    host.does(&["reload", "rondel"]);
    assert_eq!(host.tells("ActiveState"), "active");

    host.does(&["kill", "--signal=KILL", "rondel"]);
    eventually("it is started again", || {
        host.tells("NRestarts") == "1" && host.tells("ActiveState") == "active"
    });
    serves();

    let mut held = Client::connect(address(PORT));
    held.echoes(b"held");
    host.does(&["stop", "rondel"]);
    assert_eq!(held.end(), End::Reset);
    // With a client left at the deadline it ends with its own code, which is not a failure.
    assert_eq!(host.tells("ExecMainStatus"), "6");
    assert_eq!((host.tells("ActiveState"), host.tells("Result")), ("inactive".into(), "success".into()));
}

#[test]
fn a_host_with_the_socket_unit_refuses_no_client_during_restarts() {
    let backend = Backend::echo(9001);
    let host = Host::boot(&Setup::to(&[backend.target()]));
    host.adds_socket();
    host.does(&["start", "rondel.socket"]);
    // It is started because a client connects.
    assert_eq!(host.tells("ActiveState"), "inactive");
    Client::connect(address(PORT)).echoes(b"the first");

    let restarted = AtomicBool::new(false);
    thread::scope(|scope| {
        let visits = scope.spawn(|| {
            let mut visits = 0;
            while !restarted.load(Ordering::Relaxed) {
                Client::connect(address(PORT)).echoes(b"served");
                visits += 1;
            }
            visits
        });
        // More at once would exceed the limit of systemd, which then gives up the socket as well.
        for _ in 0..3 {
            host.does(&["restart", "rondel"]);
        }
        restarted.store(true, Ordering::Relaxed);
        println!("served over three restarts: {}", visits.join().expect("a visit failed"));
    });
    host.does(&["stop", "rondel.socket", "rondel.service"]);
}

/// A systemd with the unit, and its own files and processes.
struct Host {
    folder: Folder,
    maker: Child,
}

impl Host {
    #[track_caller]
    fn boot(setup: &Setup) -> Self {
        assert_root("boots a host");
        let folder = Folder::new();
        let units = folder.file("units");
        fs::create_dir_all(units.join("rondel.service.d")).unwrap();
        fs::copy(unit("rondel.service"), units.join("rondel.service")).unwrap();
        // There is no journal.
        let log = format!(
            "[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n",
            folder.file("log").display()
        );
        fs::write(units.join("rondel.service.d/log.conf"), log).unwrap();
        for target in ["default", "sysinit", "basic", "shutdown", "network-online", "sockets"] {
            // A unit that another one refers to is kept when it has ended.
            let text = "[Unit]\nDefaultDependencies=no\nBefore=rondel.service\n";
            fs::write(units.join(format!("{target}.target")), text).unwrap();
        }
        fs::write(folder.file("rondel.yaml"), setup.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/systemd/boot.sh");
        let complaints = File::create(folder.file("boot.log")).unwrap();
        let maker = Command::new("unshare")
            .args(["--mount", "--", "bash"])
            .arg(script)
            .arg(folder.path())
            .arg(binary())
            .stdin(Stdio::null())
            .stdout(complaints.try_clone().unwrap())
            .stderr(complaints)
            .spawn()
            .unwrap_or_else(|error| panic!("unshare (of util-linux) does not start: {error}"));
        let host = Self { folder, maker };
        eventually("systemd has booted", || {
            matches!(host.systemctl(&["is-system-running"]).text.trim(), "running" | "degraded")
        });
        host
    }

    /// The socket unit, at the address where the tests listen.
    #[track_caller]
    fn adds_socket(&self) {
        let text = fs::read_to_string(unit("rondel.socket")).unwrap();
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with("ListenStream=")).collect();
        let (listen, at) =
            (format!("ListenStream={}", address(PORT)), lines.iter().position(|line| *line == "[Socket]"));
        lines.insert(at.expect("it has a socket") + 1, &listen);
        fs::write(self.folder.file("units/rondel.socket"), lines.join("\n")).unwrap();
        self.does(&["daemon-reload"]);
    }

    /// Runs a command on the unit, which succeeds.
    #[track_caller]
    fn does(&self, words: &[&str]) {
        let said = self.systemctl(words);
        assert_eq!(said.code, 0, "systemctl {words:?}: {}\n{}", said.text, self.log());
    }

    fn systemctl(&self, words: &[&str]) -> Said {
        let Some(first) = self.first_process() else { return Said { code: 1, text: String::new() } };
        let output = Command::new("nsenter")
            .args(["--target", &first, "--mount", "--pid", "--cgroup", "--", "systemctl"])
            .args(words)
            .output()
            .unwrap_or_else(|error| panic!("nsenter (of util-linux) does not start: {error}"));
        let text = [output.stdout, output.stderr].concat();
        Said {
            code: output.status.code().unwrap_or_else(|| output.status.into_raw()),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// The properties of the unit.
    #[track_caller]
    fn tells(&self, property: &str) -> String {
        let said = self.systemctl(&["show", "--value", "--property", property, "rondel"]);
        assert_eq!(said.code, 0, "{}", said.text);
        said.text.trim().to_owned()
    }

    fn configure(&self, text: &str) {
        fs::write(self.folder.file("etc/rondel/rondel.yaml"), text).unwrap();
    }

    /// The output of the unit.
    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        read("boot.log") + &read("log")
    }

    /// The ID that the first process of the host has here.
    fn first_process(&self) -> Option<String> {
        let maker = self.maker.id();
        let children = fs::read_to_string(format!("/proc/{maker}/task/{maker}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // All processes of the host end with it, and with those all its mounts; the groups stay.
        self.maker.kill().unwrap();
        self.maker.wait().unwrap();
        let groups = self.folder.file("cgroups");
        let name = self.folder.path().file_name().unwrap();
        let clean = "mount -t cgroup2 none \"$0\" && find \"$0/$1\" -depth -type d -exec rmdir {} +";
        let is_clean = holds_within(PATIENCE, || {
            let mut clean_up = Command::new("unshare");
            clean_up.args(["--mount", "--", "sh", "-c", clean]).arg(&groups).arg(name);
            clean_up.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        // A test that fails reports its reason, and not this: a host that did not boot may have no groups.
        assert!(is_clean || thread::panicking(), "a process of the host is left in its groups");
    }
}
