//! `rondel drain` and `rondel undrain`: no new connections to a backend, and the other way round.

use std::time::Duration;

use control::admin::{BackendName, BackendStatus, Command, Status};

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel drain web/a
  rondel drain web/10.0.0.1:80 --wait 60 && systemctl stop app
  rondel drain web/a --timeout 60s --wait 61

Connections that the backend has go on. With --timeout, those that are left are closed in the last half of that time, a few at
once. It stays drained over reloads, until `rondel undrain` or `rondel enable`.
Exit codes: 0 as asked, 3 refused, 6 connections were left when --wait was over.")]
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
    for second in 0..=seconds {
        let status = arguments.reach.status()?;
        let Some(backend) = find(&status, &arguments.backend) else {
            return print("the backend is gone: a reload removed it");
        };
        if backend.active == 0 {
            return print("no connection is left");
        }
        if told != Some(backend.active) && !arguments.reach.json {
            print(&format!("{} connections left", backend.active))?;
            told = Some(backend.active);
        }
        if second == seconds {
            return Err(Failed::DrainTimedOut(backend.active));
        }
        pause()?;
    }
    Ok(())
}

fn find<'a>(status: &'a Status, name: &BackendName) -> Option<&'a BackendStatus> {
    let name = name.to_string();
    let of_pool = |pool: &'a control::admin::PoolStatus| {
        pool.backends.iter().find(|backend| {
            name == format!("{}/{}", pool.name, backend.name)
                || name == format!("{}/{}", pool.name, backend.address)
        })
    };
    status.pools.iter().find_map(of_pool)
}

fn pause() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failed::Runtime(error.to_string()))?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    Ok(())
}
