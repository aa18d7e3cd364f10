//! Redis, a primary and its replica, and a Sentinel that monitors them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::place::{address, eventually};
use crate::servers::{Program, give_away, run, unprivileged, unprivileged_folder};

/// A server without persistence.
pub(crate) struct Redis {
    pub(crate) at: SocketAddr,
    pub(crate) program: Program,
}

impl Redis {
    /// A primary; `settings` as on its command line.
    #[track_caller]
    pub(crate) fn start(port: u16, settings: &[&str]) -> Self {
        let at = address(port);
        let folder = unprivileged_folder();
        let mut command = unprivileged("/usr/bin/redis-server");
        command
            .args(["--bind", &at.ip().to_string(), "--port", &port.to_string(), "--protected-mode", "no"])
            // Otherwise it would be known by the address that it connects from.
            .args(["--replica-announce-ip", &at.ip().to_string()])
            .args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(folder.path())
            .args(settings);
        Self { at, program: Program::start(folder, command, at) }
    }

    /// A server that follows `primary`.
    #[track_caller]
    pub(crate) fn replica_of(port: u16, primary: &Self) -> Self {
        let of = format!("{} {}", primary.at.ip(), primary.at.port());
        Self::start(port, &["--replicaof", &of])
    }

    /// Queries it.
    #[track_caller]
    pub(crate) fn says(&self, command: &[&str]) -> String {
        ask(self.at, command)
    }

    /// Whether it reports to be the primary. One that Sentinel promotes drops its clients, so there may be no
    /// answer.
    pub(crate) fn is_primary(&self) -> bool {
        let answered = client(self.at, &["ROLE"]).output().expect("redis-cli, of the package redis-tools");
        answered.stdout.starts_with(b"master")
    }

    /// Waits until one replica has all of its data.
    ///
    /// A replica that is online may still be sent nothing: if its copy came without a file, the primary waits for
    /// its first ACK, which arrives within a second.
    #[track_caller]
    pub(crate) fn wait_for_replica(&self) {
        assert_eq!(self.says(&["SET", "first", "write"]).trim(), "OK");
        eventually("the replica has its data", || {
            let info = self.says(&["INFO", "replication"]);
            let after = |key: &str| Some(info.split_once(key)?.1.split([',', '\r', '\n']).next()?.to_owned());
            info.contains("state=online") && after(",offset=") == after("master_repl_offset:")
        });
    }
}

/// A Sentinel, which decides alone.
pub(crate) struct Sentinel {
    at: SocketAddr,
    _program: Program,
}

impl Sentinel {
    /// Monitors `primary` and its replica, and knows both.
    #[track_caller]
    pub(crate) fn watching(port: u16, primary: &Redis) -> Self {
        let at = address(port);
        let folder = unprivileged_folder();
        // It writes its state into its file.
        let file = folder.file("sentinel.conf");
        let (host, dir) = (primary.at.ip(), folder.path().display());
        fs::write(
            &file,
            format!(
                "bind {host}\nport {port}\nprotected-mode no\ndir {dir}\nsentinel monitor main {host} {} 1\n\
                sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 10000\n",
                primary.at.port(),
            ),
        )
        .unwrap();
        give_away(&file);
        let mut command = unprivileged("/usr/bin/redis-server");
        command.arg(&file).arg("--sentinel");
        let sentinel = Self { at, _program: Program::start(folder, command, at) };
        eventually("it knows the replica", || {
            let replicas = ask(at, &["SENTINEL", "REPLICAS", "main"]);
            replicas.contains("master-link-status\nok")
        });
        sentinel
    }

    /// Makes the replica the primary, and the primary the replica.
    #[track_caller]
    pub(crate) fn fail_over(&self) {
        assert_eq!(ask(self.at, &["SENTINEL", "FAILOVER", "main"]).trim(), "OK");
    }
}

#[track_caller]
fn ask(at: SocketAddr, command: &[&str]) -> String {
    run(&mut client(at, command))
}

fn client(at: SocketAddr, command: &[&str]) -> Command {
    let mut client = Command::new("redis-cli");
    client.args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()]).args(command);
    client
}
