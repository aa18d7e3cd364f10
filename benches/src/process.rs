//! Child processes, pinned to cores, in process groups, and ended with their descendants.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::thread::sched_getaffinity;

use crate::janitor::{Janitor, Thing};
use crate::{proc, wait};

/// The cores of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The core of the balancer.
    Balancer,
    /// The core of load and backends: what a balancer saves does not speed up the load.
    Load,
    /// Both, for the case with two workers.
    Both,
}

impl Cores {
    /// As `taskset` takes it.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Balancer => "0",
            Self::Load => "1",
            Self::Both => "0,1",
        }
    }

    /// An error if this process may not run on all of them.
    pub(crate) fn check() -> io::Result<()> {
        let allowed = sched_getaffinity(None)?;
        if allowed.is_set(0) && allowed.is_set(1) {
            return Ok(());
        }
        Err(io::Error::other("cores 0 and 1 are needed, one for a balancer and one for its load"))
    }

    pub(crate) fn count(self) -> u32 {
        if self == Self::Both { 2 } else { 1 }
    }
}

/// The cores and the network namespace of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The cores.
    pub(crate) cores: Cores,
    /// The namespace; `None` is that of this process.
    pub(crate) namespace: Option<&'a str>,
}

impl Place<'_> {
    /// In the namespace of this process.
    pub(crate) fn here(cores: Cores) -> Self {
        Self { cores, namespace: None }
    }
}

/// The destination of a process's standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// Its log.
    Log,
    /// This process, which also has its input.
    Piped,
}

/// A started process with its descendants. It ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    pub(crate) janitor: Arc<Janitor>,
    /// Whether its number may have been reused.
    pub(crate) reaped: bool,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it, or a descendant, listens on `address`.
    pub(crate) fn wait_until_listening(&self, address: SocketAddr) -> io::Result<()> {
        let listens =
            wait::until(START_LIMIT, || self.has_ended() || proc::listens(self.child.id(), address));
        if listens && !self.has_ended() {
            return Ok(());
        }
        Err(self.failure(&format!("does not listen on {address}")))
    }

    fn has_ended(&self) -> bool {
        !proc::is_alive(self.pid())
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// An error about this process, with the end of its output.
    pub(crate) fn failure(&self, what: &str) -> io::Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n  ");
        io::Error::other(format!("{} {what}\n  {end}", self.name))
    }

    /// Sends a signal to it alone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.group(), signal)?)
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // At once: what it still holds does not matter, and a draining balancer would only delay others.
        if !self.reaped {
            let tree = proc::tree(self.pid());
            let _ = kill_process_group(self.group(), Signal::KILL);
            let _ = self.child.wait();
            // Its workers hold the port until they have ended; when init reaps them does not matter.
            wait::until(END_LIMIT, || !tree.iter().any(|&pid| proc::is_alive(pid)));
        }
        self.janitor.gone(Thing::Group(self.child.id()));
    }
}

/// Waits for the end of `process`, and returns its output. Meanwhile `act` runs at each of the `beats`.
///
/// Another thread reads, because a read has no timeout.
#[expect(clippy::disallowed_methods, reason = "the beats are times of day")]
pub(crate) fn output(
    process: &mut Process,
    limit: Duration,
    beats: Beats,
    act: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<String> {
    let stdout = process.child.stdout.take().expect("it was started with a pipe");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // If the limit has passed, the receiver is gone.
        let _ = sender.send(io::read_to_string(stdout));
    });
    let start = Instant::now();
    let mut beat = start + beats.first;
    let printed = loop {
        match receiver.recv_timeout(beat.saturating_duration_since(Instant::now())) {
            Ok(printed) => break printed?,
            Err(_) if start.elapsed() > limit => {
                return Err(process.failure(&format!("does not end within {} s", limit.as_secs())));
            }
            Err(_) => act()?,
        }
        beat += beats.period;
    };
    let status = process.child.wait()?;
    process.reaped = true;
    if status.success() {
        Ok(printed)
    } else {
        Err(process.failure(&format!("failed ({status}): {printed}")))
    }
}

/// When an action runs beside a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beats {
    /// The first time, after its start,
    pub(crate) first: Duration,
    /// and then repeatedly after this.
    pub(crate) period: Duration,
}

/// Waits until no socket listens on `address`: the kernel may close the sockets of a killed process slightly later,
/// and with `SO_REUSEPORT` some clients would connect there.
pub(crate) fn wait_until_free(address: SocketAddr) -> io::Result<()> {
    if wait::until(END_LIMIT, || !proc::listens(std::process::id(), address)) {
        return Ok(());
    }
    Err(io::Error::other(format!("another process listens on {address}")))
}

/// Whether a program is installed.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(program).is_file())
    })
}

/// Enough for a program to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The kernel frees the resources of a killed process before that.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Enough to see the reason.
const LOG_LINES_SHOWN: usize = 8;
