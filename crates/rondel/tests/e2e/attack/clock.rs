//! A clock that jumps: timeouts use the monotonic clock, whatever the time of day does.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::stand::on_each_stand;
use crate::lb::{Lb, closes};
use crate::peers::{Backend, Client, End};
use crate::place::{Folder, address, eventually};
use crate::servers::run;
use crate::setup::Setup;

#[test]
fn a_clock_that_jumps_by_days_moves_no_timeout() {
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let setup = Setup::to_with("idle_timeout: 500ms", &[backend.target()])
            .listen("patient", address(8081), "patient", "")
            .pool("patient", "idle_timeout: 1h", &[backend.target()]);
        let clock = Clock::new();
        let faked = clock.wrapper();
        let wrapper = [stand.wrapper(), &faked.each_ref().map(String::as_str)].concat();
        let lb = Lb::start_under(&wrapper, &stand.complete("drain_timeout: 5s", &setup));
        let mut patient = Client::connect(address(8081));
        assert_eq!(patient.line(), "a");

        for days in JUMPS {
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            let heard_last = Instant::now();
            client.echoes(b"the last line");
            clock.jump(days);
            // The log has the time of day.
            eventually("the jump is in the log", || {
                let mark = lb.mark();
                lb.signal(Signal::HUP);
                lb.wait_for("reloaded", mark);
                lb.log_from(mark).contains(&date_in(days))
            });
            assert_eq!(client.end(), End::Reset);
            assert!(heard_last.elapsed() >= Duration::from_millis(500), "{:?}", heard_last.elapsed());
            patient.echoes(b"as before");
        }
        drop(patient);
        assert_eq!(closes(&lb.end(), "idle"), JUMPS.len() as u64);
    });
}

/// Days from now.
const JUMPS: [i32; 4] = [1, -1, 0, 365];

/// The time of day of a process, by libfaketime. It does not affect the monotonic clock, as a kernel does not.
struct Clock {
    folder: Folder,
}

impl Clock {
    fn new() -> Self {
        let library = libfaketime();
        assert!(Path::new(&library).exists(), "{library} (of the Debian package faketime) is missing");
        let clock = Self { folder: Folder::new() };
        clock.jump(0);
        clock
    }

    /// The wrapper that starts a command with this clock.
    fn wrapper(&self) -> [String; 5] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", libfaketime()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.folder.file("clock").display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }

    /// Sets it this many days ahead.
    fn jump(&self, days: i32) {
        // In one step, so that no reader sees half of it.
        let draft = self.folder.file("draft");
        fs::write(&draft, format!("{days:+}d\n")).unwrap();
        fs::rename(draft, self.folder.file("clock")).unwrap();
    }
}

fn libfaketime() -> String {
    format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH)
}

/// The date in this many days, in UTC as in the log.
fn date_in(days: i32) -> String {
    run(Command::new("date").args(["--utc", "--date", &format!("{days} days"), "+%F"])).trim().to_owned()
}
