//! nginx, active-active and active-passive: one is killed, and returns.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::failover::visitors::{Visitors, all_served, failures, shares, since, within};
use crate::failover::{heard, in_force, print_number, print_time};
use crate::lb::{Lb, total};
use crate::place::eventually;
use crate::programs::{Nginx, Reuse, get, try_get, wrk};
use crate::setup::{Setup, Target};

#[test]
fn one_of_three_is_killed_and_gets_its_share_again() {
    let [mut a, b, c] = ["a", "b", "c"].map(nginx);
    let lb = Lb::start(&Setup::to_with(PROBE, &[a.target(), b.target(), c.target()]));
    let visitors = visitors(&lb);
    visitors.wait_for(150);

    let mark = lb.mark();
    let killing = Instant::now();
    a.kill();
    let killed = Instant::now();
    let detected = heard(&lb, "a", "is down", mark);
    visitors.wait_for(150);
    a.start_again();
    let revived = Instant::now();
    let back = heard(&lb, "a", "is up", mark);
    visitors.wait_for(300);
    let visits = visitors.leave();

    // Clients that connect while this is unknown get another server.
    all_served(since(&visits, killed));
    assert!(!shares(within(&visits, detected, revived)).contains_key("a"));
    let after = since(&visits, back);
    let each = after.len() / 3;
    let shares = shares(after);
    assert!(shares.values().all(|share| share.abs_diff(each) <= CLIENTS), "{shares:?}");
    // No burst: it gets a third of all from the first one on. A delayed client may be out of order.
    let most =
        since(&visits, revived).windows(12).map(|some| self::shares(some).get("a").copied().unwrap_or(0));
    assert!(most.max() <= Some(4 + 1 + CLIENTS));

    let case = "web, active-active, killed";
    print_number(case, "errors, broken off by the kill", failures(&visits).len());
    print_number(case, "errors, of clients that came later", failures(since(&visits, killed)).len());
    print_time(case, "detected", detected - killing);
    print_time(case, "back in its share", back - revived);
}

#[test]
fn a_crowd_does_not_notice_a_server_that_stops_and_returns() {
    let [mut a, b, c] = ["a", "b", "c"].map(nginx);
    let lb = Lb::start(&Setup::to_with(PROBE, &[a.target(), b.target(), c.target()]));
    let mark = lb.mark();
    a.kill();
    heard(&lb, "a", "is down", mark);
    let picked = |log: &str| ["a", "b", "c"].map(|name| total(log, &format!("backend={name}"), "picked"));
    let picked = || picked(&lb.log_from(lb.reload_unchanged()));
    let at = lb.address();
    let crowd = || thread::spawn(move || wrk(at, 50, 2, Reuse::ConnectionPerRequest));

    let load = crowd();
    let before = picked();
    eventually("the crowd is there", || picked()[1] > before[1] + 100);
    assert_eq!(picked()[0], before[0]);
    a.start_again();
    heard(&lb, "a", "is up", mark);
    load.join().unwrap().flawless();

    let before = picked();
    crowd().join().unwrap().flawless();
    let after = picked();
    let given: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    // Strictly in turn; the query of the counters may make a difference of one.
    assert!(given.iter().all(|share| share.abs_diff(given[0]) <= 1) && given[0] > 100, "{given:?}");
}

#[test]
fn the_standby_serves_while_the_active_one_is_down() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let lb = Lb::start(&Setup::to_with(PROBE, &[a.target(), backup(&b)]));
    let visitors = visitors(&lb);
    visitors.wait_for(50);

    let mark = lb.mark();
    let killing = Instant::now();
    a.kill();
    let detected = heard(&lb, "a", "is down", mark);
    visitors.wait_for(50);
    a.start_again();
    let revived = Instant::now();
    let back = heard(&lb, "a", "is up", mark);
    visitors.wait_for(50);
    let visits = visitors.leave();

    assert_eq!(shares(within(&visits, visits[0].begun, killing)).into_keys().collect::<Vec<_>>(), ["a"]);
    all_served(since(&visits, detected));
    assert_eq!(shares(within(&visits, detected, revived)).into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(shares(since(&visits, back)).into_keys().collect::<Vec<_>>(), ["a"]);

    let case = "web, active-passive, killed";
    print_number(case, "errors, until it was detected", failures(&visits).len());
    print_time(case, "detected", detected - killing);
    print_time(case, "back", back - revived);
}

#[test]
fn failed_connects_activate_the_standby_before_a_probe_does() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let probe =
        "probe: { http: {}, interval: 60s, fast_interval: 60s }, eject: { failures: 3, for: 60s, max: 60s }";
    let lb = Lb::start(&Setup::to_with(probe, &[a.target(), backup(&b)]));
    let visitors = visitors(&lb);
    visitors.wait_for(50);

    let mark = lb.mark();
    let killing = Instant::now();
    a.kill();
    let ejected = heard(&lb, "a", "ejected for 1m: ", mark);
    visitors.wait_for(50);
    let visits = visitors.leave();

    all_served(since(&visits, ejected));
    let case = "web, active-passive, killed, with eject";
    print_number(case, "errors, until it was ejected", failures(&visits).len());
    print_time(case, "ejected", ejected - killing);
}

#[test]
fn an_ejected_backend_is_used_again_when_the_ejection_expires() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let lb =
        Lb::start(&Setup::to_with("eject: { failures: 3, for: 1s, max: 1s }", &[a.target(), b.target()]));
    let visitors = visitors(&lb);
    visitors.wait_for(50);

    let mark = lb.mark();
    a.kill();
    let ejected = heard(&lb, "a", "ejected for 1s: ", mark);
    a.start_again();
    let revived = Instant::now();
    let back = heard(&lb, "a", "its time is up: no longer ejected", mark);
    visitors.wait_for(50);
    let visits = visitors.leave();

    all_served(since(&visits, ejected));
    assert_eq!(shares(within(&visits, ejected, revived)).into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(shares(since(&visits, back)).len(), 2);
}

#[test]
fn with_manual_failback_the_standby_serves_until_the_command() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let targets = [a.target(), backup(&b)];
    let lb = Lb::start(&Setup::to_with(&format!("{PROBE}, failback: manual"), &targets));
    let mark = lb.mark();
    a.kill();
    heard(&lb, "a", "is down", mark);
    let visitors = visitors(&lb);
    visitors.wait_for(50);
    a.start_again();
    let back = heard(&lb, "a", "is up", mark);
    visitors.wait_for(50);
    let stayed = in_force(&lb);
    lb.reload(&Setup::to_with(PROBE, &targets));
    let told = in_force(&lb);
    visitors.wait_for(50);
    let visits = visitors.leave();

    all_served(&visits);
    assert_eq!(shares(within(&visits, back, stayed)).into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(shares(since(&visits, told)).into_keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn the_active_server_takes_over_after_failback_delay() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let targets = [a.target(), backup(&b)];
    let lb = Lb::start(&Setup::to_with(&format!("{PROBE}, failback_delay: 1h"), &targets));
    let mark = lb.mark();
    a.kill();
    heard(&lb, "a", "is down", mark);
    let starting = Instant::now();
    a.start_again();
    heard(&lb, "a", "is up", mark);
    let visitors = visitors(&lb);
    visitors.wait_for(50);
    // It counts from when it came up, not from when that was logged.
    lb.reload(&Setup::to_with(&format!("{PROBE}, failback_delay: 2s"), &targets));
    eventually("it has taken over", || try_get(lb.address()).is_ok_and(|name| name == "a"));
    visitors.wait_for(50);
    let visits = visitors.leave();

    all_served(&visits);
    let by_a = visits.iter().filter(|visit| visit.saw.as_deref() == Ok("a"));
    let first = by_a.map(|visit| visit.ended).min().expect("it has taken over");
    assert!(first - starting >= Duration::from_secs(2));
    let by_b = visits.iter().filter(|visit| visit.saw.as_deref() == Ok("b"));
    let last = by_b.map(|visit| visit.begun).max().expect("it had to wait");
    assert_eq!(shares(since(&visits, last + Duration::from_nanos(1))).into_keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn with_slow_start_a_server_begins_with_a_tenth_of_its_share() {
    let [mut a, b] = ["a", "b"].map(nginx);
    let targets = [a.target(), b.target()];
    let lb = Lb::start(&Setup::to_with(&format!("{PROBE}, slow_start: 1h"), &targets));
    let given_to_a = |visits: usize| (0..visits).filter(|_| get(lb.address()) == "a").count();
    // A server that was there from the start is not slow.
    assert_eq!(given_to_a(20), 10);
    let mark = lb.mark();
    a.kill();
    heard(&lb, "a", "is down", mark);
    a.start_again();
    heard(&lb, "a", "is up", mark);
    // One of eleven, spread evenly: there is no burst.
    for _ in 0..10 {
        assert_eq!(given_to_a(11), 1);
    }
    lb.reload(&Setup::to_with(&format!("{PROBE}, slow_start: 0s"), &targets));
    assert_eq!(given_to_a(20), 10);
}

fn nginx(name: &str) -> Nginx {
    Nginx::start(name, 9001 + u16::from(name.as_bytes()[0] - b'a'))
}

fn backup(server: &Nginx) -> Target {
    server.target().with("tier: backup")
}

fn visitors(lb: &Lb) -> Visitors<String> {
    let at: SocketAddr = lb.address();
    Visitors::come(CLIENTS, move || try_get(at).map_err(|error| error.to_string()))
}

const CLIENTS: usize = 4;

/// Fast, but with a timeout that a busy machine does not exceed.
const PROBE: &str =
    "probe: { http: {}, interval: 200ms, fast_interval: 100ms, timeout: 5s, rise: 2, fall: 3 }";
