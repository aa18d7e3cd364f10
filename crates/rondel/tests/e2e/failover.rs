//! Servers that fall and rise behind the binary: who is asked, what the log says of it, and what clients see.
//!
//! A test waits for what the log says, never for a time. How long things took is printed, in lines that begin with
//! `failover:`, and decides nothing; `scripts/failover` makes the table in docs/databases.md of them.

// The harness.
pub(crate) mod actor;
mod claimant;
mod visitors;

// The promises.
mod claims;
mod fates;
mod load;
mod mariadb;
mod misbehaving;
mod postgres;
mod redis;
mod roles;
mod web;

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::lb::{Lb, Mark};

/// Waits until the log says `what` of a backend, from the mark on, and what it says is in force; says when that was.
#[track_caller]
fn heard(lb: &Lb, backend: &str, what: &str, mark: Mark) -> Instant {
    lb.wait_for(&format!("backend {backend}: {what}"), mark);
    in_force(lb)
}

/// Waits until what the log has said is in force, and says when that was. Control answers one thing after the other, so a
/// reload that is done is behind whatever was said before it was asked for.
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
