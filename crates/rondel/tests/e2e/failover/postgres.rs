//! PostgreSQL, a primary and its streaming standby: the primary is stopped, the standby is promoted, and the old
//! primary returns.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::failover::visitors::{Visitors, all_served, failures, first_served, longest, since};
use crate::failover::{heard, in_force, print_number, print_time};
use crate::lb::Lb;
use crate::place::{address, eventually};
use crate::servers::{Postgres, run};
use crate::setup::{PORT, Setup, target};

#[test]
fn writes_continue_at_the_standby_once_it_is_promoted() {
    follows("PostgreSQL, stopped and promoted", |_| (), Postgres::stop);
}

#[test]
fn writes_continue_at_the_standby_when_the_primary_was_killed() {
    // Otherwise the standby would not have everything that was acknowledged.
    let synchronous = |primary: &Postgres| {
        primary.says("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.says("SELECT pg_reload_conf()");
        eventually("the standby is synchronous", || {
            primary.says("SELECT sync_state FROM pg_stat_replication").trim() == "sync"
        });
    };
    follows("PostgreSQL, killed and promoted", synchronous, |old| old.program.end(Signal::KILL));
}

#[track_caller]
fn follows(case: &str, prepare: impl FnOnce(&Postgres), end: impl FnOnce(&mut Postgres)) {
    let mut old = Postgres::primary(9001, "");
    old.says("CREATE TABLE writes (number bigint PRIMARY KEY)");
    old.says("CREATE USER writer PASSWORD 's3cret'; GRANT ALL ON writes TO writer");
    let new = Postgres::standby(9002, &old);
    prepare(&old);
    let lb = start(&old);
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    let ending = Instant::now();
    end(&mut old);
    let stopped = Instant::now();
    let detected = heard(&lb, "old", "is down", mark);
    // Clients that connect now are held, and this one for certain: no server is promoted before it has connected.
    let mut held = lb.connect();
    held.send(&SSL_REQUEST);
    assert!(held.silent());
    let promoting = Instant::now();
    new.promote();
    let promoted = Instant::now();
    assert_eq!(held.receive(1), b"N");
    writers.wait_for(50);

    // The old primary returns and still claims the role.
    let mark = lb.mark();
    let said = old.program.output().len();
    old.start_again();
    lb.wait_for("backends old, new all report that they are the primary", mark);
    in_force(&lb);
    writers.wait_for(50);
    let visits = writers.leave();

    // Clients are also held while the roles are unknown.
    all_served(since(&visits, stopped));
    let read_only = failures(&visits).iter().filter(|error| error.contains("read-only")).count();
    assert_eq!(read_only, 0, "{:?}", failures(&visits));
    assert!(!new.program.output().contains("read-only transaction"));
    let acknowledged: BTreeSet<u64> =
        visits.iter().filter_map(|visit| visit.saw.as_ref().ok().copied()).collect();
    let stored: BTreeSet<u64> =
        new.says("SELECT number FROM writes").lines().map(|line| line.parse().unwrap()).collect();
    assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
    let since_its_return = &old.program.output()[said..];
    assert!(since_its_return.contains("connection authorized: user=probe"));
    assert!(!since_its_return.contains("user=writer"), "{since_its_return}");

    print_number(case, "errors, until it had ended", failures(&visits).len());
    print_time(case, "detected", detected - stopped);
    print_time(case, "promotion takes", promoted - promoting);
    print_time(case, "from the promotion to the first write", first_served(&visits, promoted) - promoted);
    print_time(case, "held at most", longest(since(&visits, ending)));
}

#[test]
fn a_standby_that_falls_behind_is_not_read_from_until_it_has_caught_up() {
    let old = Postgres::primary(9001, "");
    let new = Postgres::standby(9002, &old);
    let lb = start_with(&old, "max_lag: 1MiB");
    let read_from = || {
        let mut psql = Postgres::client("psql", address(READERS));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", "SELECT inet_server_port()"]);
        run(&mut psql).trim().to_owned()
    };
    assert_eq!(read_from(), "9002");
    // It has received everything, and shows none of it.
    new.says("SELECT pg_wal_replay_pause()");
    old.says("CREATE TABLE much AS SELECT number, repeat('x', 1000) FROM generate_series(1, 4000) AS number");
    eventually("the primary is read from", || read_from() == "9001");
    new.says("SELECT pg_wal_replay_resume()");
    eventually("the standby is read from again", || read_from() == "9002");
    drop(lb);
}

#[test]
fn pgbench_writes_to_the_primary_and_reads_from_the_standby_before_and_after() {
    let mut old = Postgres::primary(9001, "");
    let new = Postgres::standby(9002, &old);
    let lb = start(&old);
    let pgbench = |port: u16, arguments: &[&str]| {
        let mut command = Postgres::client("pgbench", address(port));
        command.args(arguments).arg("postgres");
        command
    };
    run(&mut pgbench(PORT, &["--initialize", "--quiet"]));
    eventually("the standby has the tables", || {
        new.says("SELECT to_regclass('pgbench_accounts_pkey') IS NOT NULL").trim() == "t"
    });
    let writing = ["--client=4", "--transactions=50"];
    let reading = ["--client=4", "--select-only", "--connect", "--transactions=20"];
    assert_done(&run(&mut pgbench(PORT, &writing)), 200);
    assert_done(&run(&mut pgbench(READERS, &reading)), 80);
    assert!(sessions(&new) >= 80);

    // Sessions on the standby do not notice its promotion.
    let reading_on = ["--client=2", "--select-only", "--time=4"];
    let before = sessions(&new);
    let readers = thread::spawn(move || run(&mut pgbench(READERS, &reading_on)));
    eventually("they read", || sessions(&new) >= before + 2);
    let mark = lb.mark();
    old.stop();
    heard(&lb, "old", "is down", mark);
    new.promote();
    assert_done(&run(&mut pgbench(PORT, &writing)), 200);
    assert_done(&run(&mut pgbench(READERS, &reading)), 80);
    let report = readers.join().unwrap();
    assert!(report.contains("number of failed transactions: 0 "), "{report}");
}

/// Starts rondel with a listener for writers and one for readers.
#[track_caller]
fn start(primary: &Postgres) -> Lb {
    start_with(primary, "")
}

/// The same, with further settings of the pool.
#[track_caller]
fn start_with(primary: &Postgres, settings: &str) -> Lb {
    let password = primary.program.folder().file("probe-password");
    fs::write(&password, "s3cret\n").unwrap();
    let pool = format!(
        "probe: {{ postgres: {{ user: probe, password_file: \"{}\" }},
            interval: 500ms, fast_interval: 200ms, timeout: 5s, rise: 2, fall: 3 }}, {settings}",
        password.display()
    );
    let lb = Lb::start(
        &Setup::empty()
            .listen("web", address(PORT), "web", "role: primary, hold: { connections: 100, timeout: 60s }")
            .listen("readers", address(READERS), "web", "role: replica, fallback: primary")
            .pool("web", &pool, &[target("old", 9001), target("new", 9002)]),
    );
    lb.wait_for("backend old: role changed from unknown to primary", 0);
    heard(&lb, "new", "role changed from unknown to replica", 0);
    lb
}

/// Clients that write one number after another, each with a psql of its own.
fn writers(at: SocketAddr) -> Visitors<u64> {
    let numbers = Arc::new(AtomicU64::new(1));
    Visitors::come(3, move || {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let query = format!("INSERT INTO writes VALUES ({number})");
        let output = psql(at, &query).output().unwrap();
        if output.status.success() {
            Ok(number)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
}

fn psql(at: SocketAddr, query: &str) -> Command {
    let mut command = Postgres::client("psql", at);
    command.args(["--username=writer", "--no-psqlrc", "--dbname=postgres", "--command", query]);
    command
}

/// How many sessions of its superuser a server has accepted over TCP.
fn sessions(server: &Postgres) -> usize {
    server.program.output().matches("connection authorized: user=postgres").count()
}

/// Asserts that pgbench reports this many transactions, and no failed one.
#[track_caller]
fn assert_done(report: &str, transactions: u32) {
    let done = format!("number of transactions actually processed: {transactions}/{transactions}");
    assert!(report.contains(&done), "{report}");
    assert!(report.contains("number of failed transactions: 0 "), "{report}");
}

/// The port of readers.
const READERS: u16 = PORT + 1;

/// The first message of a client that prefers TLS; the answer is one letter, here `N`.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
