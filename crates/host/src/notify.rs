//! Tells systemd how the process is, by the protocol of `sd_notify(3)`: when it is ready, reloads and ends, a line on how it
//! does, and, as long as every worker turns, that it lives.
//!
//! Where nobody asked to be told, nothing is said and no time passes for it. What cannot be said is said in the log, once:
//! the data plane does not depend on anybody listening.

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

use crate::pulse::Pulse;

/// Whom to tell, and what was told last.
#[derive(Debug)]
pub struct Notify {
    /// Where the one listens who is told; none where nobody asked.
    to: Option<SocketAddr>,
    /// The line on how it does that was told last.
    line: String,
    /// When it is looked whether that is another one.
    line_due: Instant,
    watchdog: Option<Watchdog>,
    /// Whether the last message could not be sent.
    failed: bool,
}

/// What is killed unless it says often enough that it lives.
#[derive(Debug)]
struct Watchdog {
    /// How often it says so: twice in the time it has.
    interval: Duration,
    due: Instant,
    pulse: Pulse,
}

impl Notify {
    /// As the environment asks for it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
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
            pulse: Pulse::new(workers),
        });
        Self { to, line: String::new(), line_due: now, watchdog, failed: false }
    }

    /// It serves.
    pub fn ready(&mut self, line: &str, now: Instant) {
        self.say("READY=1", line, now);
    }

    /// It goes over to another configuration; [`ready`](Self::ready) says when it has, or has not.
    pub fn reloading(&mut self) {
        let time = clock_gettime(ClockId::Monotonic);
        let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
        // In one message: systemd takes the answer to its own request by the time.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// It ends.
    pub fn stopping(&mut self, line: &str, now: Instant) {
        self.say("STOPPING=1", line, now);
    }

    /// When [`on_due`](Self::on_due) is to be called; none if never.
    pub fn due(&self) -> Option<Instant> {
        self.to.as_ref()?;
        Some(self.watchdog.as_ref().map_or(self.line_due, |watchdog| watchdog.due.min(self.line_due)))
    }

    /// Says what there is to say by now. While it drains, `ends` is so and more time is asked for: `TimeoutStopSec=` need not
    /// know `drain_timeout`.
    ///
    /// Says whether workers are to be woken: those that have nothing to do turn only then, and it is by turning that they
    /// show that they live.
    #[must_use]
    pub fn on_due(&mut self, now: Instant, turns: &[u64], ends: bool, line: String) -> bool {
        if now >= self.line_due {
            self.line_due = now + LINE_INTERVAL;
            let mut message = String::new();
            if ends {
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
        let still = watchdog.pulse.look(turns);
        for worker in &still.new {
            log::error!(
                "worker {worker} has not turned for {}: the watchdog is not fed while it stands still",
                config::show_duration(watchdog.interval)
            );
        }
        if still.is_none() {
            self.send("WATCHDOG=1\n");
        }
        true
    }

    /// The worker has ended, and nobody waits for it to turn.
    pub fn on_ended(&mut self, worker: usize) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.pulse.on_ended(worker);
        }
    }

    fn say(&mut self, state: &str, line: &str, now: Instant) {
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
            Err(error) if !self.failed => log::warn!("systemd cannot be told how this process is: {error}"),
            Err(_) | Ok(()) => {}
        }
        self.failed = sent.is_err();
    }
}

/// A socket for each message, as `sd_notify` does it: who listens may have been started anew.
fn send(to: &SocketAddr, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(LISTENER_PATIENCE))?;
    socket.connect_addr(to)?;
    socket.send(message.as_bytes()).map(drop)
}

/// The address that `NOTIFY_SOCKET` names: a path, or after an `@` a name that is no file.
fn address(variable: &OsStr) -> io::Result<SocketAddr> {
    match variable.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(variable),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    }
}

/// Half of the time that the watchdog has; none where there is no watchdog, or it is another process's.
fn watchdog_interval(microseconds: Option<&str>, of: Option<&str>, own: u32) -> Option<Duration> {
    if of.is_some_and(|of| of.parse() != Ok(own)) {
        return None;
    }
    let microseconds: u64 = microseconds?.parse().ok()?;
    (microseconds > 1).then(|| Duration::from_micros(microseconds / 2))
}

/// A line's end would be the end of the field.
fn on_one_line(line: &str) -> String {
    line.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// How often the line is told at most, apart from the moments when something else is told as well.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// By how long the end is put off each time: several times the interval in which that is said.
const EXTENSION: Duration = Duration::from_secs(10);

/// How long a message waits for whoever is told; a manager that stands still holds up nothing for longer.
const LISTENER_PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LINE_INTERVAL, Notify, Watchdog, address, watchdog_interval};
    use crate::pulse::Pulse;

    #[test]
    fn whom_to_tell() {
        assert!(address(OsStr::new("/run/systemd/notify")).unwrap().as_pathname().is_some());
        assert!(address(OsStr::new("@rondel")).unwrap().as_pathname().is_none());
        for wrong in ["", "vsock:2:1", "notify"] {
            assert!(address(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_by_whom_it_watches() {
        let half = Some(Duration::from_secs(5));
        assert_eq!(watchdog_interval(Some("10000000"), None, 7), half);
        assert_eq!(watchdog_interval(Some("10000000"), Some("7"), 7), half);
        assert_eq!(watchdog_interval(Some("10000000"), Some("8"), 7), None);
        assert_eq!(watchdog_interval(None, Some("7"), 7), None);
        assert_eq!(watchdog_interval(Some("0"), None, 7), None);
        assert_eq!(watchdog_interval(Some("soon"), None, 7), None);
    }

    #[tokio::test]
    async fn a_worker_that_stands_still_starves_the_watchdog() {
        let (mut notify, told, start) = notify("starves");
        let at = |seconds| start + Duration::from_secs(seconds);
        let line = || "serving".to_owned();
        assert!(!notify.on_due(start, &[0, 0], false, line()), "nothing of the watchdog is due yet");
        assert_eq!(next(&told), "STATUS=serving\n");
        assert!(notify.on_due(at(5), &[1, 1], false, line()));
        assert_eq!(next(&told), "WATCHDOG=1\n");
        // Worker 1 stands still, then turns again.
        assert!(notify.on_due(at(10), &[2, 1], false, line()));
        assert!(notify.on_due(at(15), &[3, 1], false, line()));
        assert_eq!(nothing(&told), None);
        assert!(notify.on_due(at(20), &[4, 2], false, line()));
        assert_eq!(next(&told), "WATCHDOG=1\n");
        notify.on_ended(1);
        assert!(notify.on_due(at(25), &[5, 2], false, line()));
        assert_eq!(next(&told), "WATCHDOG=1\n");
    }

    #[tokio::test]
    async fn the_line_is_told_when_it_is_another_and_not_too_often() {
        let (mut notify, told, start) = notify("line");
        notify.watchdog = None;
        notify.ready("one\n  two", start);
        assert_eq!(next(&told), "READY=1\nSTATUS=one; two\n");
        assert_eq!(notify.due(), Some(start + LINE_INTERVAL));
        let _ = notify.on_due(start + LINE_INTERVAL, &[], false, "one\n  two".to_owned());
        assert_eq!(nothing(&told), None);
        let _ = notify.on_due(start + LINE_INTERVAL * 2, &[], true, "three".to_owned());
        assert_eq!(next(&told), "EXTEND_TIMEOUT_USEC=10000000\nSTATUS=three\n");
        let _ = notify.on_due(start + LINE_INTERVAL * 3, &[], true, "three".to_owned());
        assert_eq!(next(&told), "EXTEND_TIMEOUT_USEC=10000000\n");
    }

    #[tokio::test]
    async fn a_manager_that_is_gone_or_does_not_read_is_in_nobodys_way() {
        let (mut notify, told, start) = notify("gone");
        // More than the queue of a datagram socket holds.
        for _ in 0..600 {
            notify.ready("x", start);
            if notify.failed {
                break;
            }
        }
        assert!(notify.failed, "the queue took all of it");
        drop(told);
        notify.ready("x", start);
        assert!(notify.failed);
    }

    /// One that tells an abstract socket of this name, with two workers and a watchdog of ten seconds.
    fn notify(name: &str) -> (Notify, UnixDatagram, Instant) {
        let to = address(OsStr::new(&format!("@rondel-notify-{name}-{}", std::process::id()))).unwrap();
        let told = UnixDatagram::bind_addr(&to).unwrap();
        told.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let interval = Duration::from_secs(5);
        let watchdog = Watchdog { interval, due: start + interval, pulse: Pulse::new(2) };
        let notify = Notify {
            to: Some(to),
            line: String::new(),
            line_due: start,
            watchdog: Some(watchdog),
            failed: false,
        };
        (notify, told, start)
    }

    #[track_caller]
    fn next(told: &UnixDatagram) -> String {
        nothing(told).expect("something was told")
    }

    fn nothing(told: &UnixDatagram) -> Option<String> {
        let mut message = [0; 1024];
        let length = told.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    }
}
