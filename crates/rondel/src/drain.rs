//! `rondel drain` and `rondel undrain`: no new connections to a backend, and the other way round.

use std::net::SocketAddr;
use std::time::Duration;

use api::{BackendName, Command, RemovedKind, Status};
use config::counted;

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print, print_and_go_on};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel drain web/a
  rondel drain web/10.0.0.1:80 --wait 60 && systemctl stop app
  rondel drain web/a --timeout 60s --wait 61

Connections that the backend has go on. With --timeout, those that are left are closed in the last half of that time, a few at
once. It stays drained over reloads, until `rondel undrain` or `rondel enable`. With --wait, connections of a backend that a reload
removes meanwhile are waited for too.
Exit codes: 0 as asked, 1 it is not known what is left: rondel ended, or the drain was taken back; 3 refused, 6 connections were left
when --wait was over.")]
pub(crate) struct Arguments {
    /// The backend: its pool and its name, or its pool and its address
    #[arg(value_name = "POOL/BACKEND")]
    backend: BackendName,
    /// Close the connections that are left in the last half of this time, such as 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = config::read_duration)]
    timeout: Option<Duration>,
    /// Wait until its last connection has ended, for so many seconds at most
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel undrain web/a")]
pub(crate) struct Undrain {
    /// The backend: its pool and its name, or its pool and its address
    #[arg(value_name = "POOL/BACKEND")]
    backend: BackendName,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn drain(arguments: &Arguments) -> Outcome {
    let backend = arguments.backend.clone();
    let timeout_seconds = arguments.timeout.map(whole_seconds).transpose()?;
    arguments.reach.command(&Command::Drain { backend, timeout_seconds }, "")?;
    arguments.wait.map_or(Ok(()), |seconds| wait(arguments, seconds))
}

pub(crate) fn undrain(arguments: &Undrain) -> Outcome {
    arguments.reach.command(&Command::Undrain { backend: arguments.backend.clone() }, "")
}

/// Rounded up: nobody is closed sooner than was said.
fn whole_seconds(timeout: Duration) -> Result<u32, Failed> {
    let seconds = timeout.as_millis().div_ceil(1000);
    seconds.try_into().map_err(|_| Failed::Refused("the timeout is too long: it is at most 24h".to_owned()))
}

/// Looks once a second how many connections are left.
fn wait(arguments: &Arguments, seconds: u32) -> Outcome {
    let mut told = None;
    let as_json = arguments.reach.json;
    for second in 0..=seconds {
        let status = arguments.reach.status().map_err(|failed| match failed {
            Failed::Runtime(why) => Failed::Runtime(format!("how many are left is not known: {why}")),
            other => other,
        })?;
        let (left, end) = match find(&status, &arguments.backend.to_string()) {
            Drained::Drained(left) => (left, "no connection is left"),
            Drained::Removed(left) => (left, "no connection is left, and a reload removed the backend"),
            Drained::Serving => return Err(Failed::Runtime(NOT_DRAINED.to_owned())),
        };
        if left == 0 {
            return if as_json { Ok(()) } else { print(end) };
        }
        if told != Some(left) && !as_json {
            print_and_go_on(&format!("{} left", counted(left, "connection")))?;
            told = Some(left);
        }
        if second == seconds {
            return Err(Failed::DrainTimedOut(left));
        }
        pause()?;
    }
    Ok(())
}

/// A backend that is waited for, and how many connections it has.
#[derive(Debug, PartialEq, Eq)]
enum Drained {
    Drained(u64),
    /// It gets new ones again.
    Serving,
    /// The file has it no more.
    Removed(u64),
}

fn find(status: &Status, wanted: &str) -> Drained {
    let is_it = |pool: &str, name: &str, address: SocketAddr| {
        wanted == format!("{pool}/{name}") || wanted == format!("{pool}/{address}")
    };
    let backends =
        status.pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let mut found = backends.filter(|(pool, backend)| is_it(&pool.name, &backend.name, backend.address));
    if let Some((_, backend)) = found.next() {
        return if backend.overrides.drained { Drained::Drained(backend.active) } else { Drained::Serving };
    }
    let removed = status.removed.iter().filter(|removed| removed.kind == RemovedKind::Backend);
    Drained::Removed(
        removed
            .filter(|removed| is_it(&removed.pool, &removed.name, removed.address))
            .map(|removed| removed.active)
            .sum(),
    )
}

/// What is wrong where a drain is taken back while its end is waited for.
const NOT_DRAINED: &str =
    "the backend is drained no more: an operator took that back, or another rondel has the socket now";

/// A second.
pub(crate) fn pause() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failed::Runtime(error.to_string()))?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    Ok(())
}
