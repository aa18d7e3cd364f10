//! The environment of a test: its loopback address, its folder, its patience.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

/// How long anything that is promised soon may take on a busy machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test waits for something that must not happen.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// `port` at the loopback address of this process alone: 127.64.0.0/10 has room for every process ID.
pub(crate) fn address(port: u16) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 | high, middle, low], port))
}

/// A free port of `::1`; there is only one `::1`, so its ports are assigned, not fixed.
pub(crate) fn free_v6() -> SocketAddr {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Whether the long lane is selected.
pub(crate) fn long_lane() -> bool {
    std::env::var("RONDEL_LONG").is_ok_and(|long| long == "1")
}

/// Asserts that this user has the privileges of the test.
pub(crate) fn assert_root(what: &str) {
    assert!(geteuid().is_root(), "this test {what}: run it as root");
}

/// Waits until `holds` returns true, and polls often; `what` names it if it never does.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, holds), "{what}: not within {PATIENCE:?}");
}

/// Whether `holds` returns true before `patience` is over.
pub(crate) fn holds_within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder that is removed with its owner, and kept for inspection if the test fails.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rondel-e2e-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for inspection: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
