//! `rondel check`: says what a configuration file means, or what is wrong with it, and what is likely to be meant otherwise. It
//! binds nothing.

use std::io::{self, Write as _};
use std::path::PathBuf;

use config::Config;

use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel check rondel.yaml
  rondel check /etc/rondel/rondel.yaml && rondel reload
  generate | rondel check /dev/stdin

Exit codes: 0 the file is right, 3 it is not.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

pub(crate) fn check(arguments: &Arguments) -> Outcome {
    let text = Config::text_of(&arguments.file).map_err(Failed::Config)?;
    match Config::parse(&arguments.file.display().to_string(), &text) {
        Ok(config) => {
            warn(&config);
            print(config.to_string().trim_end())
        }
        Err(error) => Err(Failed::Config(error)),
    }
}

/// Says on stderr what is right and likely to be meant otherwise. Of this host's addresses it knows the loopback alone, for the
/// file may be another host's.
fn warn(config: &Config) {
    for warning in config.warnings(|ip| ip.is_loopback()) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}
