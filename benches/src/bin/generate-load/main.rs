//! HTTP load on one address: at full speed, or at a fixed rate.
//!
//! It opens sockets and sends requests as fast as it can: use it only against your own hosts.
//!
//! With `--rate`, a request is due at a given instant, and its latency counts from then. If a balancer stalls for a
//! while, every request that had to wait counts, and not only the one that was in progress (leaving the others out
//! is called "coordinated omission").

mod load; // One thread's share of the load. Start here.

// When a request is due, the connections that carry it, the response, and the record.
mod schedule;

mod connections;
mod response;

mod record;

mod clock;

#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clock::clock;
use crate::connections::{Connections, Target};
use crate::load::Load;
use crate::record::{Record, Report, Window};
use crate::schedule::{Pace, Schedule, Share};

/// Generates HTTP/1.1 load on one address, and prints the result as a line of JSON.
///
/// It sends as fast as it can: use it only against your own hosts.
#[derive(Parser)]
struct Arguments {
    /// Where to connect to
    address: SocketAddr,
    /// How many connections carry the requests
    #[arg(long, value_name = "N")]
    connections: NonZeroU32,
    /// How long to record, after a warm-up of a tenth of it, at most half a second
    #[arg(long, value_parser = seconds)]
    seconds: Duration,
    /// Send this many requests per second, however long the responses take; by default each connection sends its
    /// next request after the last response
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<NonZeroU32>,
    /// The path to request
    #[arg(long, default_value = "/", value_parser = path)]
    path: String,
    /// Open a connection for every request
    #[arg(long)]
    close: bool,
    /// How many threads share the connections
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroU32,
}

/// The load to generate.
struct Plan {
    target: Target,
    connections: NonZeroU32,
    pace: Pace,
    seconds: Duration,
    threads: u32,
}

fn main() -> ExitCode {
    let plan = Arguments::parse().into_plan();
    allow_open_files();
    match generate(&plan).and_then(|report| print(&report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-load: {}: {error}", plan.target.address);
            ExitCode::FAILURE
        }
    }
}

/// Runs the load as planned, from several threads.
fn generate(plan: &Plan) -> io::Result<Report> {
    let mut opened = Vec::new();
    for share in Share::all(plan.threads) {
        let connections = share.of(plan.connections.get()) as usize;
        opened.push((share, Connections::open(plan.target.clone(), connections)?));
    }
    let start = clock();
    let from = start + (plan.seconds / 10).min(WARM_UP_MAX);
    let window = Window { from, until: from + plan.seconds };
    let record = || Record::new(window, plan.pace);
    thread::scope(|scope| {
        let loads: Vec<_> = opened
            .into_iter()
            .map(|(share, connections)| {
                let schedule = Schedule::new(plan.pace, start..window.until, share);
                scope.spawn(move || Load::new(connections, schedule, record()).run())
            })
            .collect();
        let mut total = record();
        for load in loads {
            total.add(&load.join().expect("a panic aborts the process")?);
        }
        Ok(total.report())
    })
}

fn print(report: &Report) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string(report)?)
}

impl Arguments {
    fn into_plan(self) -> Plan {
        Plan {
            target: Target {
                address: self.address,
                request: request(self.address, &self.path, self.close),
                keep_alive: !self.close,
            },
            connections: self.connections,
            pace: self.rate.map_or(Pace::Answers, Pace::Rate),
            seconds: self.seconds,
            // A thread without a connection would have nothing to do.
            threads: self.threads.min(self.connections).get(),
        }
    }
}

fn request(address: SocketAddr, path: &str, close: bool) -> Vec<u8> {
    let close = if close { "Connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{close}\r\n").into_bytes()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|error| format!("{error}"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(seconds) if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) => Ok(seconds),
        _ => Err("it is a number of seconds from 0.01 to 86400".to_owned()),
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a path begins with `/`, and has no blanks in it".to_owned())
    }
}

/// Each connection is a file; the shell's limit is often 1024 while more are allowed.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // If that is not enough either, connecting fails with the reason.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The warm-up is a tenth of the time, within this limit: caches and windows are warm by then.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

const SECONDS_MIN: Duration = Duration::from_millis(10);

/// A day; instants that far ahead can still be computed in nanoseconds at any rate.
const SECONDS_MAX: Duration = Duration::from_secs(24 * 60 * 60);
