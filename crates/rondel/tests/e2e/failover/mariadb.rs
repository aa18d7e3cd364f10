//! MariaDB, a primary and its replica: the primary is stopped, the replica takes over, and the old primary returns.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::failover::visitors::{Visitors, all_served, failures, first_served, longest, since};
use crate::failover::{heard, in_force, print_number, print_time};
use crate::lb::Lb;
use crate::place::{address, eventually};
use crate::servers::{MariaDb, run};
use crate::setup::{PORT, Setup, target};

#[test]
fn writes_continue_at_the_replica_once_it_is_promoted() {
    let mut old = MariaDb::start(9001, &[]);
    let new = MariaDb::start(9002, &["--read-only"]);
    new.follow(&old);
    old.says(
        "CREATE DATABASE work; CREATE TABLE work.writes (number bigint PRIMARY KEY) ENGINE = InnoDB;
        CREATE USER writer IDENTIFIED BY 's3cret'; GRANT INSERT, SELECT ON work.* TO writer",
    );
    eventually("the replica has the user", || {
        new.says("SELECT user FROM mysql.user").lines().any(|user| user == "writer")
    });
    let lb = start(&old);
    assert_eq!(run(&mut MariaDb::client(address(READERS), "writer", "SELECT @@port")).trim(), "9002");
    let writers = writers(lb.address());
    writers.wait_for(50);

    let mark = lb.mark();
    let ending = Instant::now();
    old.stop();
    let stopped = Instant::now();
    let detected = heard(&lb, "old", "is down", mark);
    // Clients that connect now are held, and this one for certain: no server is promoted before it has connected.
    let mut held = lb.connect();
    assert!(held.silent());
    let promoting = Instant::now();
    new.promote();
    let promoted = Instant::now();
    // The server speaks first: after length and number, a greeting of protocol 10.
    assert_eq!(held.receive(5)[4], 10);
    writers.wait_for(50);

    // The old primary returns and still claims the role.
    let mark = lb.mark();
    old.start_again();
    lb.wait_for("backends old, new all report that they are the primary", mark);
    in_force(&lb);
    writers.wait_for(50);
    let visits = writers.leave();

    // Clients are also held while the roles are unknown.
    all_served(since(&visits, stopped));
    let read_only = failures(&visits).iter().filter(|error| error.contains("read-only")).count();
    assert_eq!(read_only, 0, "{:?}", failures(&visits));
    let stored = |server: &MariaDb| -> BTreeSet<u64> {
        let numbers = server.says("SELECT number FROM work.writes");
        numbers.lines().skip(1).map(|line| line.parse().unwrap()).collect()
    };
    let acknowledged: BTreeSet<u64> =
        visits.iter().filter_map(|visit| visit.saw.as_ref().ok().copied()).collect();
    let stored_by_new = stored(&new);
    assert!(acknowledged.is_subset(&stored_by_new), "lost: {:?}", acknowledged.difference(&stored_by_new));
    // The old one has not received writes since.
    let inserted = old.says("SHOW GLOBAL STATUS LIKE 'Com_insert'");
    assert!(inserted.contains("Com_insert\t0"), "{inserted}");

    let case = "MariaDB, stopped and promoted";
    print_number(case, "errors, until it had stopped", failures(&visits).len());
    print_time(case, "detected", detected - stopped);
    print_time(case, "promotion takes", promoted - promoting);
    print_time(case, "from the promotion to the first write", first_served(&visits, promoted) - promoted);
    print_time(case, "held at most", longest(since(&visits, ending)));
}

/// Starts rondel with a listener for writers and one for readers.
#[track_caller]
fn start(primary: &MariaDb) -> Lb {
    let password = primary.program.folder().file("probe-password");
    fs::write(&password, "s3cret\n").unwrap();
    let pool = format!(
        "probe: {{ mysql: {{ user: probe, password_file: \"{}\" }},
            interval: 500ms, fast_interval: 200ms, timeout: 5s, rise: 2, fall: 3 }}",
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

/// Clients that write one number after another, each with a client program of its own.
fn writers(at: SocketAddr) -> Visitors<u64> {
    let numbers = Arc::new(AtomicU64::new(1));
    Visitors::come(3, move || {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let query = format!("INSERT INTO work.writes VALUES ({number})");
        let output = MariaDb::client(at, "writer", &query).output().unwrap();
        if output.status.success() {
            Ok(number)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
}

/// The port of readers.
const READERS: u16 = PORT + 1;
