//! `rondel doctor`: checks whether this host has what a configuration needs, with a cure for what it lacks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use config::Config;
use host::doctor::{Finding, Level, examine};

use crate::file::Given;
use crate::outcome::{Failed, Outcome, print, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel doctor
  rondel doctor /etc/rondel/rondel.yaml
  sudo -u rondel rondel doctor /etc/rondel/rondel.yaml
  rondel doctor rondel.yaml --json | jq '.[] | select(.level != \"ok\")'

Run it as the user that rondel runs as, and with the same limits. It changes nothing: it binds the \
listeners' addresses for a moment, and connects to each backend once.

Exit codes: 0 no check fails, perhaps with warnings; 1 a check fails; 3 the file is invalid.")]
pub(crate) struct Arguments {
    /// The configuration file, `-` for standard input; without one only the host is checked
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn doctor(arguments: &Arguments) -> Outcome {
    let config = match &arguments.file {
        Some(file) => Given::read(file)?.parse()?,
        None => without_pools(),
    };
    let admin_descriptors = control::admin_descriptors(&config);
    let findings = examine(config, admin_descriptors)
        .map_err(|error| Failed::Runtime(format!("the host cannot be examined: {error}")))?;
    if arguments.json {
        print_json(&findings)?;
    } else {
        print(&findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        1 => Err(Failed::Runtime("1 check fails".to_owned())),
        number => Err(Failed::Runtime(format!("{number} checks fail"))),
    }
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
    let Finding { level, subject, found, cure } = finding;
    let cure = cure.as_ref().map_or_else(String::new, |cure| format!("\n      {cure}"));
    format!("{level:<4}  {subject}: {found}{cure}")
}
