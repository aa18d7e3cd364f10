//! Servers that fail and return behind the balancer: the backend of each client, the log, and what clients see.
//!
//! A test waits for what the log says, never for a time. How long things took is printed, in lines that begin with
//! `failover:`, and decides nothing; `scripts/failover` makes the table in docs/databases.md of them.

// The harness.
pub(crate) mod actor;
mod claimant;
mod visitors;

// The promises.
mod claims;
mod evictions;
mod load;
mod mariadb;
mod misbehaving;
mod postgres;
mod redis;
mod roles;
mod standbys;
mod web;

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::lb::{Lb, Mark};

/// Waits until the log reports `what` for a backend, from the mark on, and until it is in force; returns when that
/// was.
#[track_caller]
fn heard(lb: &Lb, backend: &str, what: &str, mark: Mark) -> Instant {
    lb.wait_for(&format!("backend {backend}: {what}"), mark);
    in_force(lb)
}

/// Waits until what the log has reported is in force, and returns when that was. Control handles one event at a
/// time, so a completed reload follows everything logged before it was requested.
#[track_caller]
fn in_force(lb: &Lb) -> Instant {
    lb.reload_unchanged();
    Instant::now()
}

/// Prints a number of the table in docs/databases.md.
fn print_number(case: &str, what: &str, number: impl Display) {
    println!("failover: {case}: {what}: {number}");
}

/// Prints a time of the table in docs/databases.md.
fn print_time(case: &str, what: &str, time: Duration) {
    print_number(case, what, format_args!("{} ms", time.as_millis()));
}
