//! `rondel drain` and `rondel undrain`: stops and resumes sending new connections to a backend.

use std::net::SocketAddr;
use std::time::Duration;

use api::{BackendName, Command, RemovedKind, Status};
use config::counted;

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Failed, Outcome, print, print_progress};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel drain web/a
  rondel drain web/10.0.0.1:80 --wait 60 && systemctl stop app
  rondel drain web/a --timeout 60s --wait 61

Established connections of the backend continue. With --timeout, those that are left are closed \
gradually in the last half of that time. The drain persists over reloads, until `rondel undrain` or \
`rondel enable`. If a reload removes the backend, --wait continues to wait for its connections.

Exit codes: 0 success; 1 the number of connections is not known, because rondel ended or the drain \
was ended; 3 refused; 6 connections were left when --wait expired.")]
pub(crate) struct Arguments {
    /// The backend, by its pool and its name or address
    #[arg(value_name = "POOL/BACKEND", add = names::backends())]
    backend: BackendName,
    /// Close the connections that are left in the last half of this time, such as 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = config::read_duration)]
    timeout: Option<Duration>,
    /// Wait for the last connection to end, at most for this number of seconds
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
    #[command(flatten)]
    admin: AdminClient,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel undrain web/a")]
pub(crate) struct Undrain {
    /// The backend, by its pool and its name or address
    #[arg(value_name = "POOL/BACKEND", add = names::backends())]
    backend: BackendName,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn drain(arguments: &Arguments) -> Outcome {
    let backend = arguments.backend.clone();
    let timeout_seconds = arguments.timeout.map(whole_seconds).transpose()?;
    arguments.admin.command(&Command::Drain { backend, timeout_seconds }, "")?;
    arguments.wait.map_or(Ok(()), |seconds| wait(arguments, seconds))
}

pub(crate) fn undrain(arguments: &Undrain) -> Outcome {
    arguments.admin.command(&Command::Undrain { backend: arguments.backend.clone() }, "")
}

/// Rounds up, so that no connection is closed early.
fn whole_seconds(timeout: Duration) -> Result<u32, Failed> {
    let seconds = timeout.as_millis().div_ceil(1000);
    seconds.try_into().map_err(|_| Failed::Refused("the timeout is too long: it is at most 24h".to_owned()))
}

/// Polls once a second until no connection is left.
fn wait(arguments: &Arguments, seconds: u32) -> Outcome {
    let mut last_printed = None;
    let as_json = arguments.admin.json;
    for second in 0..=seconds {
        let status = arguments.admin.status().map_err(|failed| match failed {
            Failed::Runtime(why) => {
                Failed::Runtime(format!("the number of connections left is not known: {why}"))
            }
            other => other,
        })?;
        let (left, end) = match find(&status, &arguments.backend.to_string()) {
            Progress::Drained(left) => (left, "no connection is left"),
            Progress::Removed(left) => (left, "no connection is left, and a reload removed the backend"),
            Progress::Serving => return Err(Failed::Runtime(NOT_DRAINED.to_owned())),
        };
        if left == 0 {
            return if as_json { Ok(()) } else { print(end) };
        }
        if last_printed != Some(left) && !as_json {
            print_progress(&format!("{} left", counted(left, "connection")))?;
            last_printed = Some(left);
        }
        if second == seconds {
            return Err(Failed::DrainTimedOut(left));
        }
        pause()?;
    }
    Ok(())
}

/// The progress of a drain, with the number of connections left.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Drained(u64),
    /// The backend gets new connections again.
    Serving,
    /// A reload removed the backend.
    Removed(u64),
}

fn find(status: &Status, wanted: &str) -> Progress {
    let is_it = |pool: &str, name: &str, address: SocketAddr| {
        wanted == format!("{pool}/{name}") || wanted == format!("{pool}/{address}")
    };
    let backends =
        status.pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let mut found = backends.filter(|(pool, backend)| is_it(&pool.name, &backend.name, backend.address));
    if let Some((_, backend)) = found.next() {
        return if backend.overrides.drained { Progress::Drained(backend.active) } else { Progress::Serving };
    }
    let removed = status.removed.iter().filter(|removed| removed.kind == RemovedKind::Backend);
    Progress::Removed(
        removed
            .filter(|removed| removed.addresses.iter().any(|at| is_it(&removed.pool, &removed.name, *at)))
            .map(|removed| removed.active)
            .sum(),
    )
}

/// The error if a drain is ended during `--wait`.
const NOT_DRAINED: &str = "the backend is no longer drained: an operator ended the drain, or the socket belongs to another rondel now";

/// Sleeps for a second.
pub(crate) fn pause() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failed::Runtime(error.to_string()))?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    Ok(())
}
