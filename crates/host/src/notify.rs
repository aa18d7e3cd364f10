//! Notifies systemd by the protocol of `sd_notify(3)`: ready, reloading and stopping, a status line, and watchdog
//! messages as long as every worker turns.
//!
//! Without `NOTIFY_SOCKET` nothing is sent. A failure to send is logged once and has no other effect.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::stall::StallDetector;

/// The notification socket, and the status line that was sent last.
#[derive(Debug)]
pub struct Notify {
    /// The notification socket; `None` if there is none.
    to: Option<SocketAddr>,
    /// The status line that was sent last.
    line: String,
    /// When the status line is compared and sent next.
    line_due: Instant,
    watchdog: Option<Watchdog>,
    /// Whether the last message could not be sent.
    failed: bool,
}

/// systemd's watchdog, which kills the process unless it gets a message in time.
#[derive(Debug)]
struct Watchdog {
    /// The interval of messages: half of the watchdog's timeout.
    interval: Duration,
    due: Instant,
    stalls: StallDetector,
}

impl Notify {
    /// Reads the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_environment(workers: usize, now: Instant) -> Self {
        let to = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            address(&path).inspect_err(|error| log::warn!("NOTIFY_SOCKET={}: {error}", path.display())).ok()
        });
        let variable = |name| env::var(name).ok();
        let interval = watchdog_interval(
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
            std::process::id(),
        );
        let watchdog = interval.filter(|_| to.is_some()).map(|interval| Watchdog {
            interval,
            due: now + interval,
            stalls: StallDetector::new(workers),
        });
        Self { to, line: String::new(), line_due: now, watchdog, failed: false }
    }

    /// The process accepts connections.
    pub fn ready(&mut self, line: &str, now: Instant) {
        self.send_state("READY=1", line, now);
    }

    /// A reload begins. [`ready`](Self::ready) ends it, whether it was applied or refused.
    pub fn reloading(&mut self) {
        let time = clock_gettime(ClockId::Monotonic);
        let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
        // Both in one message: systemd matches the time with its request.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The process stops.
    pub fn stopping(&mut self, line: &str, now: Instant) {
        self.send_state("STOPPING=1", line, now);
    }

    /// When [`on_due`](Self::on_due) is due; `None` if never.
    pub fn due(&self) -> Option<Instant> {
        self.to.as_ref()?;
        Some(self.watchdog.as_ref().map_or(self.line_due, |watchdog| watchdog.due.min(self.line_due)))
    }

    /// Sends the messages that are due. If `is_stopping`, it extends the stop timeout, so that `TimeoutStopSec=`
    /// need not exceed `drain_timeout`.
    ///
    /// Returns whether the workers must be woken: an idle worker turns only when it is woken, and the watchdog
    /// needs turns.
    #[must_use]
    pub fn on_due(&mut self, now: Instant, turns: &[u64], is_stopping: bool, line: String) -> bool {
        if now >= self.line_due {
            self.line_due = now + LINE_INTERVAL;
            let mut message = String::new();
            if is_stopping {
                // Writing to a `String` does not fail.
                let _ = writeln!(message, "EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros());
            }
            if line != self.line {
                let _ = writeln!(message, "STATUS={}", on_one_line(&line));
                self.line = line;
            }
            self.send(&message);
        }
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| now >= watchdog.due) else {
            return false;
        };
        watchdog.due = now + watchdog.interval;
        let stalls = watchdog.stalls.check(turns);
        for worker in &stalls.new {
            log::error!(
                "worker {worker} has not turned for {}: no watchdog messages are sent while it is stalled",
                config::show_duration(watchdog.interval)
            );
        }
        if stalls.is_empty() {
            self.send("WATCHDOG=1\n");
        }
        true
    }

    /// The worker has ended, and no longer has to turn.
    pub fn on_ended(&mut self, worker: usize) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.stalls.on_ended(worker);
        }
    }

    fn send_state(&mut self, state: &str, line: &str, now: Instant) {
        self.send(&format!("{state}\nSTATUS={}\n", on_one_line(line)));
        line.clone_into(&mut self.line);
        self.line_due = now + LINE_INTERVAL;
    }

    fn send(&mut self, message: &str) {
        let Some(to) = &self.to else { return };
        if message.is_empty() {
            return;
        }
        let sent = send(to, message);
        match &sent {
            Err(error) if !self.failed => log::warn!("cannot notify systemd: {error}"),
            Err(_) | Ok(()) => {}
        }
        self.failed = sent.is_err();
    }
}

/// Opens a socket for each message, as `sd_notify` does: the service manager may have been restarted.
fn send(to: &SocketAddr, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.connect_addr(to)?;
    socket.send(message.as_bytes()).map(drop)
}

/// Parses `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
fn address(variable: &OsStr) -> io::Result<SocketAddr> {
    match variable.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(variable),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    }
}

/// Half of the watchdog's timeout; `None` if there is no watchdog, or it watches another process.
fn watchdog_interval(microseconds: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let microseconds: u64 = microseconds?.parse().ok()?;
    (microseconds > 1).then(|| Duration::from_micros(microseconds / 2))
}

/// Joins lines: a newline would end the field.
fn on_one_line(line: &str) -> String {
    line.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The minimum interval of status lines that accompany no other message.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// How long each message extends the stop timeout: several times [`LINE_INTERVAL`].
const EXTENSION: Duration = Duration::from_secs(10);

/// How long sending a message may block when the service manager does not read.
const SEND_TIMEOUT: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LINE_INTERVAL, Notify, Watchdog, address, watchdog_interval};
    use crate::stall::StallDetector;

    #[test]
    fn the_socket_is_a_path_or_an_abstract_name() {
        assert!(address(OsStr::new("/run/systemd/notify")).unwrap().as_pathname().is_some());
        assert!(address(OsStr::new("@rondel")).unwrap().as_pathname().is_none());
        for wrong in ["", "vsock:2:1", "notify"] {
            assert!(address(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_watchdog_interval_is_half_of_the_timeout_of_this_process() {
        let half = Some(Duration::from_secs(5));
        assert_eq!(watchdog_interval(Some("10000000"), None, 7), half);
        assert_eq!(watchdog_interval(Some("10000000"), Some("7"), 7), half);
        assert_eq!(watchdog_interval(Some("10000000"), Some("8"), 7), None);
        assert_eq!(watchdog_interval(None, Some("7"), 7), None);
        assert_eq!(watchdog_interval(Some("0"), None, 7), None);
        assert_eq!(watchdog_interval(Some("soon"), None, 7), None);
    }

    #[tokio::test]
    async fn a_stalled_worker_suspends_watchdog_messages() {
        let (mut notify, manager, start) = notify("stalled");
        let at = |seconds| start + Duration::from_secs(seconds);
        let line = || "serving".to_owned();
        assert!(!notify.on_due(start, &[0, 0], false, line()), "no watchdog message is due yet");
        assert_eq!(next(&manager), "STATUS=serving\n");
        assert!(notify.on_due(at(5), &[1, 1], false, line()));
        assert_eq!(next(&manager), "WATCHDOG=1\n");
        // Worker 1 stalls, then turns again.
        assert!(notify.on_due(at(10), &[2, 1], false, line()));
        assert!(notify.on_due(at(15), &[3, 1], false, line()));
        assert_eq!(receive(&manager), None);
        assert!(notify.on_due(at(20), &[4, 2], false, line()));
        assert_eq!(next(&manager), "WATCHDOG=1\n");
        notify.on_ended(1);
        assert!(notify.on_due(at(25), &[5, 2], false, line()));
        assert_eq!(next(&manager), "WATCHDOG=1\n");
    }

    #[tokio::test]
    async fn a_changed_line_is_sent_at_intervals() {
        let (mut notify, manager, start) = notify("line");
        notify.watchdog = None;
        notify.ready("one\n  two", start);
        assert_eq!(next(&manager), "READY=1\nSTATUS=one; two\n");
        assert_eq!(notify.due(), Some(start + LINE_INTERVAL));
        let _ = notify.on_due(start + LINE_INTERVAL, &[], false, "one\n  two".to_owned());
        assert_eq!(receive(&manager), None);
        let _ = notify.on_due(start + LINE_INTERVAL * 2, &[], true, "three".to_owned());
        assert_eq!(next(&manager), "EXTEND_TIMEOUT_USEC=10000000\nSTATUS=three\n");
        let _ = notify.on_due(start + LINE_INTERVAL * 3, &[], true, "three".to_owned());
        assert_eq!(next(&manager), "EXTEND_TIMEOUT_USEC=10000000\n");
    }

    #[tokio::test]
    async fn a_manager_that_ended_or_does_not_read_blocks_nothing() {
        let (mut notify, manager, start) = notify("ended");
        // More than the queue of a datagram socket holds.
        for _ in 0..600 {
            notify.ready("x", start);
            if notify.failed {
                break;
            }
        }
        assert!(notify.failed, "the queue took all of it");
        drop(manager);
        notify.ready("x", start);
        assert!(notify.failed);
    }

    /// A notifier to an abstract socket of this name, for two workers, with a watchdog timeout of ten seconds.
    fn notify(name: &str) -> (Notify, UnixDatagram, Instant) {
        let to = address(OsStr::new(&format!("@rondel-notify-{name}-{}", std::process::id()))).unwrap();
        let manager = UnixDatagram::bind_addr(&to).unwrap();
        manager.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let interval = Duration::from_secs(5);
        let watchdog = Watchdog { interval, due: start + interval, stalls: StallDetector::new(2) };
        let notify = Notify {
            to: Some(to),
            line: String::new(),
            line_due: start,
            watchdog: Some(watchdog),
            failed: false,
        };
        (notify, manager, start)
    }

    #[track_caller]
    fn next(manager: &UnixDatagram) -> String {
        receive(manager).expect("a message was sent")
    }

    fn receive(manager: &UnixDatagram) -> Option<String> {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    }
}
