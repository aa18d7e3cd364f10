//! `rondel doctor`: checks whether this host has what a configuration needs, with a cure for what it lacks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use config::Config;
use host::doctor::{Finding, Level, Request, examine};

use crate::file::Given;
use crate::outcome::{Failed, Outcome, print, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel doctor
  rondel doctor /etc/rondel/rondel.yaml
  sudo rondel doctor --user rondel /etc/rondel/rondel.yaml
  rondel doctor rondel.yaml --json | jq '.[] | select(.level != \"ok\")'

It asks each backend once what a running rondel would ask: its probe, with its password, TLS and \
source, or without one a connect. It binds the listeners' addresses for a moment. It writes nothing.

Run it with the limits of the service, and as its user, or as root with `--user`. Each finding says \
what `rondel run` does about it, and the exit code if it would not start.

Exit codes: 0 no check fails, perhaps with warnings; 1 a check fails, and `rondel run` would start \
nevertheless, or exit with 1; 3 the file is invalid or cannot be read; 4, 5 `rondel run` would not \
start, and exit with this code.")]
pub(crate) struct Arguments {
    /// The configuration file, `-` for standard input; without one only the host is checked
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read files as this user, with which rondel runs; takes root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn doctor(arguments: &Arguments) -> Outcome {
    let config = match &arguments.file {
        Some(file) => Given::read(file)?.parse()?,
        None => without_pools(),
    };
    let request = Request {
        user: arguments.user.as_deref(),
        file: arguments.file.as_deref(),
        admin_descriptors: control::admin_descriptors(&config),
    };
    let findings = examine(config, &request)
        .map_err(|error| Failed::Runtime(format!("the host cannot be examined: {error}")))?;
    if arguments.json {
        print_json(&findings)?;
    } else {
        print(&findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    let failing = || findings.iter().filter(|finding| finding.level == Level::Fail);
    let run_exit_code = failing().find_map(|finding| finding.run_exit_code);
    let run = if run_exit_code.is_none() { "would start" } else { "would not start" };
    let fail = match failing().count() {
        0 => return Ok(()),
        1 => "1 check fails".to_owned(),
        number => format!("{number} checks fail"),
    };
    Err(Failed::Checks { message: format!("{fail}; `rondel run` {run}"), run_exit_code })
}

/// A configuration with every default, and without listeners and pools.
fn without_pools() -> Config {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::forward(nowhere, &[nowhere]);
    config.listeners.clear();
    config.pools.clear();
    config
}

fn line(finding: &Finding) -> String {
    let Finding { level, subject, found, run, cure, .. } = finding;
    let run = run.as_ref().map(|run| format!("`rondel run` {run}"));
    let more: Vec<_> = run.iter().chain(cure).map(|line| format!("\n      {line}")).collect();
    format!("{level:<4}  {subject}: {found}{}", more.concat())
}
