//! A network of its own for a test, in which packets can be dropped: a network namespace with only a loopback.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::{fs, panic, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::place::assert_root;
use crate::servers::run;

/// The network namespace of the calling thread and of what it starts.
pub(crate) struct Namespace(());

impl Namespace {
    /// Runs `body` in a new one, on a separate thread. It has no name, and ends with the last thread, process and
    /// socket in it: nothing can be left behind, however the test ends.
    pub(crate) fn within<R: Send>(body: impl FnOnce(&Self) -> R + Send) -> R {
        assert_root("makes a network namespace");
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter();
                let namespace = Self(());
                run(Command::new("ip").args(["link", "set", "lo", "up"]));
                namespace.nft("add table inet attack");
                // On arrival, not on departure: a sender is notified of what is dropped on its way out.
                namespace.nft("add chain inet attack input { type filter hook input priority 0; }");
                body(&namespace)
            });
            inside.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Applies `verdict`, such as `drop`, to all packets that match, such as `tcp dport 9001`.
    pub(crate) fn filter(&self, matches: &str, verdict: &str) {
        self.nft(&format!("add rule inet attack input {matches} {verdict}"));
    }

    /// Drops all packets to and from this port.
    pub(crate) fn black_hole(&self, port: u16) {
        self.filter(&format!("tcp dport {port}"), "drop");
        self.filter(&format!("tcp sport {port}"), "drop");
    }

    /// Removes all rules.
    pub(crate) fn let_through(&self) {
        self.nft("flush chain inet attack input");
    }

    /// Adds `address` to its loopback.
    #[expect(clippy::unused_self, reason = "only code inside the namespace has it")]
    pub(crate) fn add_address(&self, address: &str) {
        run(Command::new("ip").args(["address", "add", address, "dev", "lo"]));
    }

    #[expect(clippy::unused_self, reason = "only code inside the namespace has it")]
    pub(crate) fn remove_address(&self, address: &str) {
        run(Command::new("ip").args(["address", "delete", address, "dev", "lo"]));
    }

    /// Sets a value below `/proc/sys/net`, which each namespace has separately.
    #[expect(clippy::unused_self, reason = "only code inside the namespace has it")]
    pub(crate) fn set(&self, name: &str, value: &str) {
        fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
    }

    #[expect(clippy::unused_self, reason = "only code inside the namespace has it")]
    fn nft(&self, command: &str) {
        run(Command::new("nft").arg(command));
    }
}

/// Moves the calling thread into a new network namespace, and with it what it starts from now on.
fn enter() {
    // unshare(2) is not a safe call, so a process makes the namespace, and lives until this thread is in it.
    let mut maker = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo made; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("unshare (of util-linux) does not start: {error}"));
    let mut made = String::new();
    BufReader::new(maker.stdout.as_mut().unwrap()).read_line(&mut made).unwrap();
    assert_eq!(made, "made\n", "unshare does not make a network namespace");
    let link = fs::File::open(format!("/proc/{}/ns/net", maker.id())).unwrap();
    move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    drop(maker.stdin.take());
    maker.wait().unwrap();
}
