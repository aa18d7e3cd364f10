//! A network of a test's own, in which packets can be dropped: a network namespace with nothing but a loopback.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::{fs, panic, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::place::assert_root;
use crate::servers::run;

/// The namespace that the calling thread is in, with what it starts.
pub(crate) struct Namespace(());

impl Namespace {
    /// Runs `body` in a new one, on a thread of its own. It has no name, and goes with the last thread, process and socket
    /// in it: nothing can be left behind, however the test ends.
    pub(crate) fn within<R: Send>(body: impl FnOnce(&Self) -> R + Send) -> R {
        assert_root("makes a network namespace");
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter();
                let namespace = Self(());
                run(Command::new("ip").args(["link", "set", "lo", "up"]));
                namespace.nft("add table inet attack");
                // What arrives, not what leaves: a sender is told of what is dropped on its way out.
                namespace.nft("add chain inet attack input { type filter hook input priority 0; }");
                body(&namespace)
            });
            inside.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Does `verdict`, such as `drop`, to all packets that `matches` says, such as `tcp dport 9001`.
    pub(crate) fn filter(&self, matches: &str, verdict: &str) {
        self.nft(&format!("add rule inet attack input {matches} {verdict}"));
    }

    /// Drops all packets to and from this port.
    pub(crate) fn black_hole(&self, port: u16) {
        self.filter(&format!("tcp dport {port}"), "drop");
        self.filter(&format!("tcp sport {port}"), "drop");
    }

    /// Lets all through again.
    pub(crate) fn let_through(&self) {
        self.nft("flush chain inet attack input");
    }

    /// Gives `address` to its loopback.
    #[expect(clippy::unused_self, reason = "whoever has it is inside")]
    pub(crate) fn add_address(&self, address: &str) {
        run(Command::new("ip").args(["address", "add", address, "dev", "lo"]));
    }

    #[expect(clippy::unused_self, reason = "whoever has it is inside")]
    pub(crate) fn remove_address(&self, address: &str) {
        run(Command::new("ip").args(["address", "delete", address, "dev", "lo"]));
    }

    /// Sets a value below `/proc/sys/net`, which each namespace has for itself.
    #[expect(clippy::unused_self, reason = "whoever has it is inside")]
    pub(crate) fn set(&self, name: &str, value: &str) {
        fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
    }

    #[expect(clippy::unused_self, reason = "whoever has it is inside")]
    fn nft(&self, command: &str) {
        run(Command::new("nft").arg(command));
    }
}

/// Takes the calling thread into a new network namespace. What it starts from now on is in there, too.
fn enter() {
    // unshare(2) is no safe call, so a process makes the namespace, and lives until this thread is in it.
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
