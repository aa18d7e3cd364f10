//! Redis, a primary and its replica, and a Sentinel that promotes the replica.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use crate::failover::visitors::{Visit, Visitors, all_served, failures, longest, since};
use crate::failover::{heard, in_force, print_number, print_time};
use crate::lb::{Lb, total};
use crate::peers::Client;
use crate::place::{PATIENCE, address, eventually};
use crate::servers::{Redis, Sentinel};
use crate::setup::{PORT, Setup, target};

#[test]
fn writers_follow_a_failover_of_sentinel() {
    let old = Redis::start(9001, &[]);
    let new = Redis::replica_of(9002, &old);
    old.wait_for_replica();
    let sentinel = Sentinel::watching(9003, &old);
    let lb = start();
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    let told = Instant::now();
    sentinel.fail_over();
    eventually("it is promoted", || new.is_primary());
    let promoted = Instant::now();
    // The old one still claims to be the primary.
    lb.wait_for("backends old, new all report that they are the primary; new is written to", mark);
    let followed = in_force(&lb);
    let written = total(&lb.log_from(lb.reload_unchanged()), "backend=old", "picked");
    // Until Sentinel makes it a replica.
    heard(&lb, "old", "role changed from primary to replica", mark);
    writers.wait_for(50);
    let visits = writers.leave();

    all_served(since(&visits, followed));
    assert_eq!(lost(&new, since(&visits, followed)), 0);
    assert_eq!(total(&lb.log_from(lb.reload_unchanged()), "backend=old", "picked"), written);
    let case = "Redis, SENTINEL FAILOVER";
    print_number(case, "errors, until it was followed", failures(&visits).len());
    print_number(
        case,
        "writes acknowledged by the old primary that the new one has not",
        lost(&new, &visits),
    );
    print_time(case, "promoted after", promoted - told);
    print_time(case, "followed after the promotion", followed - promoted);
}

#[test]
fn a_failover_that_the_servers_agree_on_loses_nothing() {
    let old = Redis::start(9001, &[]);
    let new = Redis::replica_of(9002, &old);
    old.wait_for_replica();
    let lb = start();
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    let told = Instant::now();
    let (host, port) = (new.at.ip().to_string(), new.at.port().to_string());
    assert_eq!(old.says(&["FAILOVER", "TO", &host, &port]).trim(), "OK");
    heard(&lb, "old", "role changed from primary to ", mark);
    let followed = heard(&lb, "new", "role changed from replica to primary", mark);
    writers.wait_for(50);
    let visits = writers.leave();

    all_served(since(&visits, followed));
    assert_eq!(lost(&new, &visits), 0);
    let case = "Redis, FAILOVER";
    print_number(case, "errors, until it was followed", failures(&visits).len());
    print_time(case, "followed after", followed - told);
}

/// How many acknowledged writes of these visits are missing at `server`.
fn lost(server: &Redis, visits: &[Visit<u64>]) -> usize {
    let keys = server.says(&["KEYS", "write:*"]);
    let keys: BTreeSet<&str> = keys.lines().map(str::trim).collect();
    let acknowledged = visits.iter().filter_map(|visit| visit.saw.as_ref().ok());
    acknowledged.filter(|number| !keys.contains(format!("write:{number}").as_str())).count()
}

#[test]
fn writers_wait_while_sentinel_replaces_a_killed_primary() {
    let mut old = Redis::start(9001, &[]);
    let _new = Redis::replica_of(9002, &old);
    old.wait_for_replica();
    let _sentinel = Sentinel::watching(9003, &old);
    let lb = start();
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    let killing = Instant::now();
    old.program.end(Signal::KILL);
    let killed = Instant::now();
    let detected = heard(&lb, "old", "is down", mark);
    let mut held = lb.connect();
    held.send(b"PING\r\n");
    // Meanwhile it has no link to its primary, and is still a replica.
    let promoted = heard(&lb, "new", "role changed from replica to primary", mark);
    assert_eq!(held.line(), "+PONG\r");
    writers.wait_for(50);

    // The old one returns empty, and is a primary until Sentinel makes it a replica, which takes a while.
    let before = total(&lb.log_from(lb.reload_unchanged()), "backend=old", "picked");
    let mark = lb.mark();
    old.program.start_again();
    lb.wait_for("backends old, new all report that they are the primary", mark);
    in_force(&lb);
    writers.wait_for(50);
    let visits = writers.leave();

    // Clients are also held while the roles are unknown.
    all_served(since(&visits, killed));
    assert_eq!(total(&lb.log_from(lb.reload_unchanged()), "backend=old", "picked"), before);
    let case = "Redis, killed and replaced by Sentinel";
    print_number(case, "errors, broken off by the kill", failures(&visits).len());
    print_time(case, "detected", detected - killed);
    print_time(case, "replaced by Sentinel, as seen by rondel", promoted - killed);
    print_time(case, "held at most", longest(since(&visits, killing)));
}

#[test]
fn a_primary_that_was_stopped_gets_no_writes_when_it_continues() {
    let old = Redis::start(9001, &[]);
    let new = Redis::replica_of(9002, &old);
    old.wait_for_replica();
    let _sentinel = Sentinel::watching(9003, &old);
    let lb = start_with("1s");
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    old.program.signal(Signal::STOP);
    let stopped = Instant::now();
    // Its kernel still accepts, so clients hang until it is detected.
    let detected = heard(&lb, "old", "is down: no answer in time", mark);
    let promoted = heard(&lb, "new", "role changed from replica to primary", mark);
    writers.wait_for(50);

    let picked = || total(&lb.log_from(lb.reload_unchanged()), "backend=old", "picked");
    let before = picked();
    let mark = lb.mark();
    old.program.signal(Signal::CONT);
    // Sentinel makes it a replica only after a while.
    lb.wait_for("backends old, new all report that they are the primary; new is written to", mark);
    in_force(&lb);
    writers.wait_for(50);
    let visits = writers.leave();

    all_served(since(&visits, detected));
    assert_eq!(lost(&new, since(&visits, detected)), 0);
    assert_eq!(picked(), before);
    let case = "Redis, stopped and replaced by Sentinel";
    print_number(case, "errors, until it was detected", failures(&visits).len());
    print_time(case, "detected", detected - stopped);
    print_time(case, "replaced by Sentinel, as seen by rondel", promoted - stopped);
}

/// Starts rondel with a listener for writers.
#[track_caller]
fn start() -> Lb {
    start_with("5s")
}

/// The same with this timeout of probes.
#[track_caller]
fn start_with(timeout: &str) -> Lb {
    let pool = format!(
        "probe: {{ redis: {{}}, interval: 500ms, fast_interval: 200ms, timeout: {timeout}, rise: 2, fall: 3 }}"
    );
    let lb = Lb::start(
        &Setup::empty()
            .listen("web", address(PORT), "web", "role: primary, hold: { connections: 100, timeout: 60s }")
            .pool("web", &pool, &[target("old", 9001), target("new", 9002)]),
    );
    lb.wait_for("backend old: role changed from unknown to primary", 0);
    heard(&lb, "new", "role changed from unknown to replica", 0);
    lb
}

/// Clients that write one number after another, each over a connection of its own.
fn writers(at: SocketAddr) -> Visitors<u64> {
    let numbers = Arc::new(AtomicU64::new(1));
    Visitors::come(3, move || {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        match write(at, number) {
            Ok(answer) if answer == "+OK\r" => Ok(number),
            Ok(answer) => Err(answer),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn write(at: SocketAddr, number: u64) -> io::Result<String> {
    let mut client = Client::over(TcpStream::connect_timeout(&at, PATIENCE)?);
    client.0.write_all(format!("SET write:{number} {number}\r\n").as_bytes())?;
    client.try_line()
}
