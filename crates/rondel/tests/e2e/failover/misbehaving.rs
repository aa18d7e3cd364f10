//! Misbehaving servers beside a good one: what their clients see, and what is logged, once.

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::failover::visitors::{Visitors, all_served, failures, shares, since, within};
use crate::failover::{heard, in_force, print_number, print_time};
use crate::lb::{Lb, closes};
use crate::peers::{Backend, Unanswering};
use crate::place::{Folder, eventually};
use crate::programs::{Nginx, get, try_get};
use crate::servers::Redis;
use crate::setup::{Setup, Target, target};

#[test]
fn it_accepts_and_sends_nothing() {
    is_left_out(Backend::mute(9001), "is down: no answer in time");
}

#[test]
fn it_answers_in_no_protocol() {
    let bad = Backend::scripted("mute", 9001, |mut peer| {
        let _ = peer.0.read(&mut [0; 1024]);
        let _ = peer.0.write_all(b"\x7f\x00HELO\r\n$$$\r\n\r\n\xff\xfe");
    });
    is_left_out(bad, "is down: protocol error");
}

/// Whether the answer or the close is read first is a race, so the error may differ each time.
#[test]
fn it_sends_random_bytes_before_a_request() {
    let bad = Backend::scripted("mute", 9001, |mut peer| {
        let _ = peer.0.write_all(b"\x7f\x00HELO\r\n$$$\r\n\r\n\xff\xfe");
    });
    let good = Nginx::start("good", 9002);
    let lb = Lb::start(&beside(&bad.target(), &good));
    heard(&lb, "mute", "is down: ", 0);
    good_serves(&lb);
    let before = bad.accepted();
    eventually("it is probed repeatedly", || bad.accepted() >= before + 20);
    let said = lines_of(&lb, "mute");
    // It is down, violates the protocol, or closed: each once.
    assert!(said.len() <= 3, "{said:?}");
}

#[test]
fn it_answers_after_the_timeout() {
    let bad = Backend::scripted("mute", 9001, |mut peer| {
        let _ = peer.0.read(&mut [0; 1024]);
        thread::sleep(TIMEOUT * 2);
        let _ = peer.0.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    is_left_out(bad, "is down: no answer in time");
}

/// The server beside it serves every client, and the log has the reason, once.
#[track_caller]
fn is_left_out(bad: Backend, why: &str) {
    let good = Nginx::start("good", 9002);
    let lb = Lb::start(&beside(&bad.target(), &good));
    heard(&lb, "mute", why, 0);
    good_serves(&lb);
    let before = bad.accepted();
    eventually("it is probed repeatedly", || bad.accepted() >= before + 3);
    assert_eq!(lines_of(&lb, "mute").len(), 1, "{}", lb.log_text());
    // Otherwise some probe would always be waiting for it.
    drop(bad);
}

#[test]
fn it_does_not_answer_to_a_syn() {
    let bad = Unanswering::new("mute", 9001);
    let good = Nginx::start("good", 9002);
    let lb = Lb::start(&beside(&bad.target(), &good));
    heard(&lb, "mute", "is down: no answer in time", 0);
    good_serves(&lb);
    assert_eq!(lines_of(&lb, "mute").len(), 1, "{}", lb.log_text());
    drop(bad);
}

#[track_caller]
fn good_serves(lb: &Lb) {
    for _ in 0..20 {
        assert_eq!(get(lb.address()), "good");
    }
}

#[test]
fn a_server_that_stops_goes_down_and_its_connections_are_closed() {
    let [stopped, good] = [Nginx::start("stopped", 9001), Nginx::start("good", 9002)];
    let probe = format!("{PROBE}, on_down: close");
    let lb = Lb::start(&Setup::to_with(&probe, &[stopped.target(), good.target()]));
    let at = lb.address();
    let visitors = Visitors::come(4, move || try_get(at).map_err(|error| error.to_string()));
    visitors.wait_for(50);

    let mark = lb.mark();
    stopped.signal(Signal::STOP);
    let silent = Instant::now();
    // Its kernel still accepts, so clients hang until it is detected.
    let detected = heard(&lb, "stopped", "is down: no answer in time", mark);
    visitors.wait_for(50);
    let woken = Instant::now();
    stopped.signal(Signal::CONT);
    let back = heard(&lb, "stopped", "is up", mark);
    visitors.wait_for(50);
    let visits = visitors.leave();

    all_served(since(&visits, detected));
    assert_eq!(shares(within(&visits, detected, woken)).into_keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(shares(since(&visits, back)).len(), 2);
    print_time("web, active-active, stopped", "detected", detected - silent);
    let stuck = failures(&visits).len();
    print_number("web, active-active, stopped", "errors, until it was detected", stuck);
    assert_eq!(closes(&lb.end(), "backend_down"), u64::try_from(stuck).unwrap());
}

#[test]
fn a_wrong_password_is_logged_once_and_takes_no_server_down() {
    let redis = Redis::start(9001, &["--requirepass", "right"]);
    let folder = Folder::new();
    let file = folder.file("password");
    fs::write(&file, "wrong\n").unwrap();
    let probe = format!(
        "probe: {{ redis: {{ password_file: \"{}\" }}, interval: 100ms, fast_interval: 100ms }}",
        file.display()
    );
    let lb = Lb::start(&Setup::to_with(&probe, &[target("redis", 9001)]));

    lb.wait_for("backend redis: probe failed: access denied", 0);
    let asked = || denied(&redis);
    let before = asked();
    eventually("it is probed repeatedly", || asked() >= before + 10);
    let said = lines_of(&lb, "redis");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("ERROR") && !said[0].contains("wrong"), "{said:?}");
    // Its clients have the right password.
    assert_eq!(lb.connect().send(b"AUTH right\r\n").line(), "+OK\r");

    // The password is read for each probe.
    fs::write(&file, "right\n").unwrap();
    lb.wait_for("backend redis: is up", 0);
}

/// How many logins a redis with the password `right` has rejected.
fn denied(redis: &Redis) -> u64 {
    let stats = redis.says(&["-a", "right", "--no-auth-warning", "INFO", "errorstats"]);
    let count = stats.lines().find_map(|line| line.strip_prefix("errorstat_WRONGPASS:count="));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

/// The log lines of a backend, without the totals.
fn lines_of(lb: &Lb, backend: &str) -> Vec<String> {
    in_force(lb);
    let log = lb.log_text();
    log.lines().filter(|line| line.contains(&format!("backend {backend}: "))).map(str::to_owned).collect()
}

fn beside(bad: &Target, good: &Nginx) -> Setup {
    Setup::to_with(PROBE, &[bad.clone(), good.target()])
}

const TIMEOUT: Duration = Duration::from_secs(1);

const PROBE: &str =
    "probe: { http: {}, interval: 100ms, fast_interval: 100ms, timeout: 1s, rise: 2, fall: 2 }";
