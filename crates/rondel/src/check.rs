//! `rondel check`: validates a configuration file and prints the result. It binds no address.

use std::io::{self, Write as _};
use std::path::PathBuf;

use config::Config;

use crate::file::Given;
use crate::outcome::{Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel check rondel.yaml
  rondel check /etc/rondel/rondel.yaml && rondel reload
  generate | rondel check -

Exit codes: 0 the file is valid, perhaps with warnings; 3 it is not.")]
pub(crate) struct Arguments {
    /// The configuration file; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

pub(crate) fn check(arguments: &Arguments) -> Outcome {
    let config = Given::read(&arguments.file)?.parse()?;
    warn(&config);
    print(config.to_string().trim_end())
}

/// Prints warnings about valid but suspicious settings to stderr. Only loopback addresses count as own addresses,
/// because the file may be for another host.
fn warn(config: &Config) {
    for warning in config.warnings(|ip| ip.is_loopback()) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}
